//! Requests that no client makes by mistake: paths that lead elsewhere for a reader who tidies them up, and requests
//! that are too large. They are sent as they stand, since clients tidy paths up themselves.

use crate::wire::{BASES, Headers, ours, send};
use crate::world::World;
use serde_json::{Value, json};

const METHODS: [&str; 4] = ["GET", "HEAD", "POST", "DELETE"];
/// What a request without a token may be told, whatever its path.
const KEPT_OUT: [u16; 3] = [401, 403, 404];
/// Paths that would lead to the job `ID`, or to all jobs, if somebody resolved dots, decoded twice, joined slashes, cut
/// at a semicolon or a zero byte, or folded cases. By the contract they are unknown paths and unknown ids.
const NOWHERE: [&str; 58] = [
    "/export/jobs/..",
    "/export/jobs/.",
    "/export/jobs/./ID",
    "/export/./jobs",
    "/export/jobs/../jobs",
    "/export/jobs/../jobs/ID",
    "/export/jobs/%2e%2e",
    "/export/jobs/%2e%2e/jobs",
    "/export/jobs/%2E%2E/jobs/ID",
    "/export/jobs/.%2e/jobs/ID",
    "/export/jobs/%2e%2e%2fjobs",
    "/export/jobs/ID/.",
    "/export/jobs/ID/..",
    "/export/jobs/ID/%2e%2e",
    "/export/jobs/ID%2f..",
    "/../export/jobs/ID",
    "/%2e%2e/export/jobs/ID",
    "/docs/../export/jobs",
    "/docs/../export/jobs/ID",
    "/docs/%2e%2e/export/jobs",
    "/docs%2f..%2fexport%2fjobs",
    "/docs/export/jobs/ID",
    "/openapi.json/../export/jobs/ID",
    "/openapi.json%2f..%2fexport%2fjobs",
    "/data/core/ups/../ups/export/jobs",
    "/data/core/ups/export/jobs/../jobs/ID",
    "/data/core/export/jobs",
    "/export/jobs%252fID",
    "/export%252fjobs",
    "/%2565xport/jobs",
    "/export/jobs/%252e%252e/jobs",
    "/export/jobs/%252e%252e%252fjobs",
    "/export/jobs/ID%252f..",
    "//export//jobs",
    "//export/jobs",
    "/export//jobs/ID",
    "/export/jobs//",
    "/export/jobs//ID",
    "/export/jobs/ID//",
    "/data/core/ups//export/jobs/ID",
    "/export/jobs;a=b",
    "/export;a=b/jobs/ID",
    "/export/jobs/;ID",
    "/export/jobs/ID;a=b",
    "/EXPORT/JOBS",
    "/Export/jobs/ID",
    "/export/Jobs",
    "/DATA/core/ups/export/jobs",
    "/export/jobs%00",
    "/export/jobs/%00",
    "/export/jobs/%00ID",
    "/export/jobs/ID%00",
    "/export/jobs/ID%00/..",
    "/export/jobs/ID%0d%0aa:b",
    "/export/jobs/%20ID",
    "/export/jobs/%5cID",
    "/export/jobs/%ffID",
    "/export/jobs/ID/parts",
];

/// Paths that one decoding, which any reader may do, makes into the path beside them; what follows a decoded question
/// mark a gateway may lose. They may be answered as that path is, or refused.
const DECODED: [(&str, &str); 12] = [
    ("/%65xport/jobs", "/export/jobs"),
    ("/%65xport/jobs/ID", "/export/jobs/ID"),
    ("/export%2fjobs", "/export/jobs"),
    ("/export%2fjobs/ID", "/export/jobs/ID"),
    ("/export/jobs%2f", "/export/jobs"),
    ("/export/jobs%2fID", "/export/jobs/ID"),
    ("/export/jobs/ID%2f", "/export/jobs/ID"),
    ("/export/jobs%3fa", "/export/jobs"),
    ("/export/jobs/%3fa", "/export/jobs"),
    ("/export/jobs/ID%3fa", "/export/jobs/ID"),
    ("/export/jobs/ID%3f/a", "/export/jobs/ID"),
    ("/docs%3f/../export/jobs/ID", "/docs"),
];

/// A stack with a job that has ended, and the job.
async fn with_a_job() -> (World, Value) {
    let world = World::start(100).await;
    let job = world.submit(&world.segments()[0]).await;
    let job = world.watch(&job, |_, _| {}).await;
    (world, job)
}

/// All paths that lead nowhere.
fn nowhere(id: &str) -> Vec<String> {
    let long = [("/export/jobs/", "1"), ("/export/jobs", "/.."), ("/docs", "/a")];
    let long = long.map(|(begin, more)| format!("{begin}{}", more.repeat(10_000)));
    NOWHERE.iter().map(|path| path.replace("ID", id)).chain(long).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_trick_with_a_path_leads_elsewhere_than_the_path_itself() {
    let (world, job) = with_a_job().await;
    let (ours, request) = (ours(&world), World::request(&world.segments()[0]).to_string());
    let id = job["id"].as_u64().unwrap();
    let (there, never) = (id.to_string(), (id ^ 1).to_string());
    let mut wrong = Vec::new();
    for (path, plain) in DECODED {
        let (here, plain) = (path.replace("ID", &there), plain.replace("ID", &there));
        for method in ["GET", "HEAD"] {
            let answer = send(&world, method, &here, &ours, "").await;
            let expected = send(&world, method, &plain, &ours, "").await;
            assert_eq!(expected.status, 200, "{}", expected.told(method, &plain));
            if !answer.refuses() && (answer.status, &answer.body) != (expected.status, &expected.body) {
                wrong.push(answer.told(method, &here));
            }
        }
        // Nothing to be made or deleted there, whoever reads the path.
        let nothing = path.replace("ID", &never);
        for (method, body) in [("POST", "{}"), ("DELETE", "")] {
            let answer = send(&world, method, &nothing, &ours, body).await;
            if !answer.refuses() {
                wrong.push(answer.told(method, &nothing));
            }
        }
    }
    for path in nowhere(&there) {
        for method in METHODS {
            let body = if method == "POST" { request.as_str() } else { "" };
            let answer = send(&world, method, &path, &ours, body).await;
            if !answer.refuses() {
                wrong.push(answer.told(method, &path));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(world.api().list("").await.unwrap()["records"], json!([job]));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_no_path_leads_to_a_job() {
    let (world, job) = with_a_job().await;
    let (id, batch) = (job["id"].to_string(), job["destination"]["batchId"].as_str().unwrap());
    let plain = BASES.iter().flat_map(|base| ["", "/", "/ID", "/ID/"].map(|more| format!("{base}{more}")));
    let decoded = DECODED.iter().filter(|(_, plain)| *plain != "/docs").map(|(path, _)| (*path).to_owned());
    let named = plain.chain(decoded).map(|path| path.replace("ID", &id));
    let paths: Vec<_> = named.chain(nowhere(&id)).collect();
    let mut nobody = ours(&world);
    for token in [None, Some("Bearer e30.e30.e30")] {
        nobody.remove("authorization");
        nobody.extend(token.map(|token| ("authorization", token.to_owned())));
        for path in &paths {
            for method in METHODS {
                let body = if method == "POST" { "{}" } else { "" };
                let answer = send(&world, method, path, &nobody, body).await;
                let told = answer.told(method, path);
                assert!(KEPT_OUT.contains(&answer.status) && !answer.body.contains(batch), "{told}");
            }
        }
    }
    for open in ["/docs", "/openapi.json", "/docs%3f/../export/jobs", "/openapi.json%3f/../export/jobs"] {
        let answer = send(&world, "GET", open, &Headers::new(), "").await;
        let told = answer.told("GET", open);
        assert!((answer.status == 200 || answer.refuses()) && !answer.body.contains(batch), "{told}");
    }
    assert_eq!(world.api().list("").await.unwrap()["records"], json!([job]));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_refused_and_the_next_request_is_served() {
    let world = World::start(0).await;
    let (ours, request) = (ours(&world), World::request(&world.segments()[0]).to_string());
    let (header, query, limit) = ("a".repeat(8 * 1_024), "a".repeat(16 * 1_024), 256 * 1_024);
    let mut cases = Vec::new();
    for (name, status, code) in [
        ("authorization", 401, "401013"),
        ("x-api-key", 403, "403003"),
        ("x-gw-ims-org-id", 403, "403025"),
        ("x-sandbox-name", 403, "403025"),
        ("x-profile-instance-id", 400, "UPAPI-113021-400"),
        ("idempotency-key", 400, "UPAPI-113021-400"),
    ] {
        let mut sent = ours.clone();
        sent.insert(name, header.clone());
        cases.push(("POST", "/export/jobs".to_owned(), sent, request.clone(), status, code));
    }
    for name in ["limit", "offset", "status"] {
        let target = format!("/export/jobs?{name}={query}");
        cases.push(("GET", target, ours.clone(), String::new(), 400, "UPAPI-113020-400"));
    }
    // One that is as large as it may be is read, and is not JSON.
    let bodies = [(limit, 400, "010-400"), (limit + 1, 413, "040-413"), (4 * limit, 413, "040-413")];
    for (bytes, status, code) in bodies {
        cases.push(("POST", "/export/jobs".to_owned(), ours.clone(), " ".repeat(bytes), status, code));
    }
    for (method, target, sent, body, status, code) in cases {
        let answer = send(&world, method, &target, &sent, &body).await;
        let told = answer.told(method, &target);
        assert!(answer.status == status && answer.body.contains(code), "{code}: {told}");
        assert_eq!(world.api().list("limit=1").await.unwrap()["records"], json!([]), "after {told}");
    }
    let mut sent = ours;
    sent.insert("x-request-id", header);
    let answer = send(&world, "GET", "/export/jobs", &sent, "").await;
    assert!(answer.status == 200 || answer.refuses(), "{}", answer.told("GET", "/export/jobs"));
    assert!(answer.head.contains("x-request-id: "), "{}", answer.head);
    world.stop().await;
}
