//! Nothing that is somebody's gets into a log, a metric or an error: canaries in every place that a client or a table
//! can put them, sought while functions log all that they can be told to.

use crate::PATIENCE;
use crate::isolation::{OTHER, neighbour};
use crate::wire::{headers, own_caller, send};
use crate::world::{ORGANIZATION, TEMPLATE, World};
use admin::api::Caller;
use arrow_json::ArrayWriter;
use aws::S3Objects;
use bytes::Bytes;
use domain::ports::objects::{Location, ReadObjects, WriteObjects};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs::File;
use std::time::{Duration, Instant};

/// Profiles of the sample that these tests export from.
const PROFILES: u32 = 400;
/// After how long a message comes back.
const VISIBILITY: Duration = Duration::from_secs(3);
/// The columns that say who somebody is.
const PERSONAL: [&str; 6] = ["profileId", "identityMap", "person", "personalEmail", "mobilePhone", "homeAddress"];
/// Names of the sample that are no words and part of none: sought in whatever surroundings.
const RARE_NAMES: [&str; 10] =
    ["Andersen", "Diallo", "Haddad", "Kowalski", "Okafor", "Vasquez", "Fatima", "Marek", "Oskar", "Priya"];
/// What stands in damaged files.
const CANARY: &str = "Canary Kowalski <canary.kowalski@canary.example> 5550142 ";
/// What is sought of it, in small letters.
const OF_CANARY: [&str; 3] = ["canary", "kowalski", "5550142"];

#[tokio::test(flavor = "multi_thread")]
async fn no_log_line_holds_personal_data_a_token_or_a_key_whatever_is_logged() {
    let mut world = World::start_on(&at_trace(), Some(VISIBILITY), PROFILES).await;
    let mut functions = world.stack().template().functions.values();
    assert!(functions.all(|function| function.environment["LOG_LEVEL"] == "trace"));
    let mut request = World::request(&world.segments()[0]);
    // Every field of every member, addresses and names among them.
    request.as_object_mut().unwrap().remove("fields");
    let job = world.api().create(&request).await.unwrap();
    let job = world.watch(&job, |_, _| {}).await;
    assert_eq!(job["status"], "SUCCEEDED");
    assert!(job["metrics"]["totalExportedProfileCounter"].as_u64() > Some(0), "{job}");

    let refused = [
        json!({
            "fields": "personalEmail.canary@example.org",
            "schema": {"name": "canary"},
            "destination": {"datasetId": "canary"},
        }),
        json!({
            "filter": {"segments": [{"segmentId": "canary", "status": ["canary"]}]},
            "mergePolicy": {"id": "canary"},
        }),
    ];
    for body in refused {
        assert!(world.api().create(&body).await.unwrap_err().to_string().contains("400"));
    }
    assert!(world.api().list("status=canary&limit=canary&offset=canary").await.is_err());

    let people = exported_people(&mut world).await;
    let logs = logs(&world);
    assert!(
        logs.contains(r#""status":400"#) && logs.contains(r#""task":"part""#),
        "the logs are those of these requests"
    );
    let me = own_caller(&world);
    hold_clean(&logs, ["canary", "@example.", "Bearer", "local-secret", &me.api_key]);
    hold_clean(&logs, me.token.split('.'));
    let known = known_of(&people);
    assert!(known.iter().any(|text| text.len() == 38), "the ECIDs are among it");
    hold_clean(&logs, &known);
    let names = names_of(&people);
    // As a JSON string, and as one within another.
    hold_clean(&logs, names.iter().flat_map(|name| [format!("\"{name}\""), format!("\"{name}\\")]));
    let rare: Vec<_> = RARE_NAMES.into_iter().filter(|name| names.contains(*name)).collect();
    assert!(rare.len() >= 5, "{rare:?}");
    hold_clean(&logs.to_lowercase(), rare.into_iter().map(str::to_lowercase));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_fails_on_damaged_files_tells_nothing_of_what_they_hold() {
    let mut world = World::start_on(&at_trace(), Some(VISIBILITY), PROFILES).await;
    let objects = world.objects().await;
    let buckets = &world.stack().template().buckets;
    let lake = buckets.iter().find(|bucket| bucket.id == "LakeBucket").unwrap().name.clone();
    let stored = objects.list(&Location::new(&lake, "")).await.unwrap();
    let damages: [(&str, fn(&[u8]) -> Vec<u8>); 5] = [
        (".parquet", overwritten),
        (".parquet", scratched),
        (".parquet", torn),
        (".avro", overwritten),
        (".metadata.json", misspelt),
    ];
    for (suffix, damage) in damages {
        let is_hit = |at: &&Location| at.key.contains("/sample/profiles/") && at.key.ends_with(suffix);
        let hit: Vec<_> = stored.iter().map(|(at, _)| at).filter(is_hit).collect();
        let mut whole = Vec::new();
        for at in &hit {
            let bytes = objects.read(at).await.unwrap();
            assert_ne!(damage(&bytes), bytes, "{at}");
            replace(&objects, at, damage(&bytes).into()).await;
            whole.push(bytes);
        }
        let job = world.submit(&world.segments()[0]).await;
        let job = world.watch(&job, |_, _| {}).await;
        assert_eq!(job["status"], "FAILED", "{suffix}: {job}");
        let errors = job["errors"].to_string();
        assert!(errors.contains(suffix), "it names a file: {errors}");
        hold_clean(&errors, ["/", &lake]);
        hold_clean(&job.to_string().to_lowercase(), OF_CANARY);
        for (at, bytes) in hit.into_iter().zip(whole) {
            replace(&objects, at, bytes).await;
        }
    }
    let logs = logs(&world);
    for cause in ["an input file cannot be read", "table metadata cannot be read"] {
        assert!(logs.contains(cause), "the logs are those of these jobs");
    }
    // The way to a file does stand in the log, for those who have to repair it.
    hold_clean(&logs.to_lowercase(), OF_CANARY);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_repeats_of_the_request_what_the_api_says_and_nothing_of_anybody_else() {
    let mut world = World::start_on(&at_trace(), Some(VISIBILITY), PROFILES).await;
    let me = own_caller(&world);
    let wrong = json!({
        "fields": "mine-a.mine-b",
        "schema": {"name": "mine-schema"},
        "mergePolicy": {"id": "mine-policy"},
        "filter": {
            "segments": [{"segmentId": "mine-segment", "status": ["mine-status"]}],
            "fromIngestTimestamp": "mine-time",
        },
        "destination": {"datasetId": "mine-dataset"},
    });
    let wrong = wrong.to_string();
    // What is sent, how it is answered, and what of it may come back: a path of `fields`, an id, a path of the URL.
    let cases: [(&str, &[(&'static str, &str)], &str, u16, &[&str]); 11] = [
        ("POST /export/jobs", &[], &wrong, 400, &["mine-a.mine-b"]),
        ("POST /export/jobs", &[], r#"{"mine-name": "mine-value"#, 400, &[]),
        ("POST /export/jobs", &[("content-type", "mine-type/plain")], &wrong, 400, &[]),
        ("POST /export/jobs", &[("idempotency-key", "mine key is mine-key")], &wrong, 400, &[]),
        ("GET /export/jobs?limit=mine-limit&offset=mine-offset&status=mine-status", &[], "", 400, &[]),
        ("GET /export/jobs/mine-id", &[], "", 404, &["mine-id"]),
        ("DELETE /export/jobs/mine-id", &[], "", 404, &["mine-id"]),
        ("GET /mine-path", &[], "", 404, &["/mine-path"]),
        ("GET /export/jobs", &[("authorization", "Bearer mine-head.mine-claims.mine-signature")], "", 401, &[]),
        ("GET /export/jobs", &[("x-api-key", "mine-key")], "", 403, &[]),
        ("GET /export/jobs", &[("x-gw-ims-org-id", "mine-org@AdobeOrg")], "", 403, &[]),
    ];
    for (line, changed, body, status, repeated) in cases {
        let (answered, answer) = ask(&world, &me, line, changed, body).await;
        assert_eq!(answered, status, "{line}: {answer}");
        assert!(repeated.iter().all(|text| answer.contains(*text)), "{line}: {answer}");
        let rest = repeated.iter().fold(answer, |rest, text| rest.replace(*text, ""));
        hold_clean(&rest, ["mine-", "s3://", ".rs:", &me.token, "local-secret"]);
    }

    let theirs = World::request("theirs-segment").to_string();
    let headers = [("idempotency-key", "theirs-key"), ("x-request-id", "theirs-request")];
    let (status, answer) = ask(&world, &me, "POST /export/jobs", &headers, &theirs).await;
    assert!(status == 200 && answer.contains("theirs-segment") && answer.contains("theirs-request"), "{answer}");
    let job: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    let (id, batch) = (&job["id"], job["destination"]["batchId"].as_str().unwrap());
    let other = world.caller(&neighbour(OTHER, "prod")).await;
    let same_dataset = World::request("some-segment").to_string();
    let cases = [
        (format!("GET /export/jobs/{id}"), "", 404),
        (format!("DELETE /export/jobs/{id}"), "", 404),
        ("POST /export/jobs".into(), same_dataset.as_str(), 400),
    ];
    for (line, body, status) in cases {
        let (answered, answer) = ask(&world, &other, &line, &headers[..1], body).await;
        assert_eq!(answered, status, "{line}: {answer}");
        hold_clean(&answer, ["theirs-", ORGANIZATION, batch, "sample.", "exports.", "s3://", ".rs:"]);
    }
    let job = world.watch(&job, |_, _| {}).await;
    assert_eq!(job["status"], "SUCCEEDED", "{job}");
    // A request's id is there to be found in the log.
    hold_clean(&logs(&world), ["mine-", "theirs-segment", "theirs-key"]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticks_record_is_what_it_picked_up_and_nothing_else() {
    let world = World::start_with(PROFILES, &[("COLLECT_GRACE_SECONDS", "1")]).await;
    let job = world.watch(&world.submit(&world.segments()[0]).await, |_, _| {}).await;
    assert_eq!(job["status"], "SUCCEEDED", "{job}");
    let began = Instant::now();
    let mut record = loop {
        assert!(began.elapsed() < PATIENCE, "the job is not cleaned up after");
        let log = std::fs::read(world.stack().data().join("logs/sweeper.log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let mut records = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let found = records.find(|record| record["invocation"] == "tick" && record["collected"].as_u64() > Some(0));
        match found {
            Some(found) => break found,
            None => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    assert!(record["duration_ms"].is_u64() && record["request_id"].is_string(), "{record}");
    assert!(record["ended_at"].is_u64() && record["_aws"]["Timestamp"] == record["ended_at"], "{record}");
    record["_aws"]["Timestamp"] = json!("…");
    for drawn in ["ended_at", "duration_ms", "request_id"] {
        record[drawn] = json!("…");
    }
    let metric = json!({
        "Namespace": "SegmentExport",
        "Dimensions": [["FunctionName"]],
        "Metrics": [{"Name": "collected", "Unit": "Count"}],
    });
    let whole = json!({
        "_aws": {"Timestamp": "…", "CloudWatchMetrics": [metric]},
        "FunctionName": world.stack().function("sweeper").unwrap().function(),
        "ended_at": "…",
        "request_id": "…",
        "invocation": "tick",
        "resent_jobs": 0,
        "resent_parts": 0,
        "given_up": 0,
        "collected": 1,
        "failed": 0,
        "duration_ms": "…",
    });
    assert_eq!(record, whole);
    world.stop().await;
}

/// The template whose functions log all that they can be told to: whatever is logged at another level is among it.
fn at_trace() -> String {
    let usual = "Default: info\n";
    assert_eq!(TEMPLATE.matches(usual).count(), 1);
    TEMPLATE.replace(usual, "Default: trace\n")
}

/// All that functions have logged.
fn logs(world: &World) -> String {
    let files = std::fs::read_dir(world.stack().data().join("logs")).unwrap();
    let logs = files.map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
    logs.map(|log| String::from_utf8_lossy(&log).into_owned()).collect()
}

/// Holds that no line has any of the texts in it.
fn hold_clean<T: AsRef<str>>(lines: &str, texts: impl IntoIterator<Item = T>) {
    for text in texts {
        let text = text.as_ref();
        assert!(!text.is_empty());
        assert_eq!(lines.lines().find(|line| line.contains(text)), None, "{text}");
    }
}

/// Sends a request with these headers in place of the caller's, and gives the status and all that came back.
async fn ask(
    world: &World,
    caller: &Caller,
    line: &str,
    changed: &[(&'static str, &str)],
    body: &str,
) -> (u16, String) {
    let mut sent = headers(caller);
    sent.extend(changed.iter().map(|(name, value)| (*name, (*value).to_owned())));
    let (method, target) = line.split_once(' ').unwrap();
    let answer = send(world, method, target, &sent, body).await;
    (answer.status, format!("{}\r\n\r\n{}", answer.head, answer.body))
}

/// The personal columns of all exported rows.
async fn exported_people(world: &mut World) -> Vec<Value> {
    let locations = world.exported_files().await;
    let store = world.stack().data().join("s3");
    let mut people = Vec::new();
    for location in locations {
        let file = File::open(store.join(location.strip_prefix("s3://").unwrap())).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let personal = ProjectionMask::columns(reader.parquet_schema(), PERSONAL);
        for batch in reader.with_projection(personal).build().unwrap() {
            let mut rows = ArrayWriter::new(Vec::new());
            rows.write(&batch.unwrap()).unwrap();
            rows.finish().unwrap();
            people.extend(serde_json::from_slice::<Vec<Value>>(&rows.into_inner()).unwrap());
        }
    }
    people
}

/// The texts at these places of people's records.
fn texts(people: &[Value], places: &[&str]) -> BTreeSet<String> {
    let at = people.iter().flat_map(|person| places.iter().filter_map(move |place| person.pointer(place)));
    at.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// What is like no other text: ids, identities, addresses and numbers.
fn known_of(people: &[Value]) -> BTreeSet<String> {
    let places = ["/profileId", "/personalEmail/address", "/mobilePhone/number", "/homeAddress/street1"];
    let mut known = texts(people, &places);
    let namespaces = people.iter().filter_map(|person| person["identityMap"].as_object());
    let identities = namespaces.flat_map(|map| map.values()).filter_map(Value::as_array).flatten();
    known.extend(identities.filter_map(|identity| identity["id"].as_str()).map(str::to_owned));
    known
}

/// What may be like other texts: people's names, and those of their cities.
fn names_of(people: &[Value]) -> BTreeSet<String> {
    texts(people, &["/person/name/firstName", "/person/name/lastName", "/homeAddress/city"])
}

/// Puts other bytes in an object's place, as whoever owns the table could.
async fn replace(objects: &S3Objects, at: &Location, bytes: Bytes) {
    objects.delete(at).await.unwrap();
    objects.create(at, bytes).await.unwrap();
}

/// A file of the same size that is none of its format.
fn overwritten(file: &[u8]) -> Vec<u8> {
    CANARY.bytes().cycle().take(file.len()).collect()
}

/// A file whose first pages are overwritten, and whose footer stands.
fn scratched(file: &[u8]) -> Vec<u8> {
    let (begin, end) = (4, file.len() / 3);
    [&file[..begin], &overwritten(&file[begin..end]), &file[end..]].concat()
}

/// A file that was cut off.
fn torn(file: &[u8]) -> Vec<u8> {
    file[..file.len() / 2].to_vec()
}

/// Table metadata with a text where a number should be, which a reader could quote.
fn misspelt(file: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(file);
    text.replace(r#""format-version":2"#, &format!(r#""format-version":"{CANARY}""#)).into_bytes()
}
