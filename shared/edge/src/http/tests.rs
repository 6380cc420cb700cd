//! The edge as clients see it, from the gateway's event to its reply.

use super::*;
use domain::ports::Random;
use domain::problem::Violation;
use serde_json::{Map, json};
use std::sync::Mutex;

const DOCS: &str = include_str!("../../../../docs/errors.md");

/// Draws the same bits every time.
struct SameBits;

impl Random for SameBits {
    fn bits(&self) -> u128 {
        0x0123_4567_89ab_cdef_0123_4567_89ab_cdef
    }
}

/// An allowed request; `change` makes it what the case is about.
fn event(method: &str, path: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut event = json!({
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": "",
        "headers": { "content-type": "application/json", "x-request-id": "r-1" },
        "requestContext": {
            "http": { "method": method },
            "requestId": "g-1",
            "authorizer": { "lambda": {
                "verdict": "allow", "organization": "A@AdobeOrg", "sandbox": "prod", "client": "key",
                "permissions": "x,export-audience-for-segment",
            } },
        },
        "isBase64Encoded": false,
    });
    change(&mut event);
    event
}

/// The reply of an operation whose handler answers with what it saw.
async fn reply(operation: Operation, event: Value) -> Value {
    let handler = async |request: Request| {
        let caller = &request.caller;
        Ok(Reply::ok(json!({
            "id": request.id,
            "query": request.query,
            "body": String::from_utf8_lossy(&request.body),
            "requestId": request.request_id,
            "caller": [caller.tenant.key(), caller.client, caller.permissions.join("|")],
        })))
    };
    readable(respond(operation, event, &SameBits, &handler).await)
}

/// The reply of a handler that fails.
async fn failed(problem: Problem) -> Value {
    let handler = async |_| Err(problem.clone());
    readable(respond(Operation::List, event("GET", "/export/jobs", |_| {}), &SameBits, &handler).await)
}

fn readable(mut reply: Value) -> Value {
    if let Some(text) = reply["body"].as_str() {
        reply["body"] = serde_json::from_str(text).unwrap();
    }
    reply
}

fn status(reply: &Value) -> u64 {
    reply["statusCode"].as_u64().unwrap()
}

#[tokio::test]
async fn an_allowed_request_reaches_its_handler_whole() {
    let event = event("GET", "/data/core/ups/export/jobs/42/", |e| e["rawQueryString"] = json!("a=1&b=%20"));
    insta::assert_json_snapshot!(reply(Operation::Get, event).await);
}

#[tokio::test]
async fn every_refusal_has_the_gateways_body() {
    let mut replies = Map::new();
    for verdict in ["403010", "401013", "403000", "403003", "400003", "403025", "unavailable"] {
        let event =
            event("GET", "/nowhere", |e| e["requestContext"]["authorizer"]["lambda"]["verdict"] = json!(verdict));
        replies.insert(verdict.into(), reply(Operation::List, event).await);
    }
    insta::assert_json_snapshot!(replies);
}

#[tokio::test]
async fn a_missing_verdict_is_a_403() {
    for authorizer in [json!(null), json!({}), json!({"lambda": null}), json!({"lambda": {}})] {
        let reply = reply(
            Operation::List,
            event("GET", "/export/jobs", |e| {
                e["requestContext"]["authorizer"] = authorizer;
            }),
        );
        assert_eq!(reply.await["body"], json!({"error_code": "403025", "message": "Profile is not valid"}));
    }
}

#[tokio::test]
async fn the_verdict_comes_before_the_path_the_path_before_the_permission_and_that_before_content_type_and_size() {
    let huge = json!("x".repeat(300_000));
    let bad = |method: &str, path: &str, verdict: &str, content_type: &str| {
        event(method, path, |e| {
            let context = &mut e["requestContext"]["authorizer"]["lambda"];
            context["verdict"] = json!(verdict.trim_end_matches(" nothing"));
            if verdict.ends_with(" nothing") {
                context["permissions"] = json!("x,export-audience-for-segments");
            }
            e["headers"]["content-type"] = json!(content_type);
            e["body"] = huge.clone();
        })
    };
    let cases = [
        (bad("POST", "/nowhere", "401013", "text/plain"), 401),
        (bad("POST", "/nowhere", "allow", "text/plain"), 404),
        (bad("PATCH", "/export/jobs", "allow nothing", "text/plain"), 405),
        (bad("POST", "/export/jobs", "allow nothing", "text/plain"), 403),
        (bad("POST", "/export/jobs", "allow", "text/plain"), 400),
        (bad("POST", "/export/jobs", "allow", "application/json"), 413),
    ];
    for (event, wanted) in cases {
        assert_eq!(status(&reply(Operation::Create, event).await), wanted);
    }
}

#[tokio::test]
async fn the_description_and_its_page_need_no_token_and_have_only_get_and_head() {
    for (path, content_type) in [("/openapi.json", "application/json"), ("/docs", "text/html; charset=utf-8")] {
        let ask = async |method| {
            let event = event(method, path, |e| e["requestContext"]["authorizer"] = json!(null));
            respond(Operation::List, event, &SameBits, &async |_| panic!("no handler")).await
        };
        let (got, head) = (ask("GET").await, ask("HEAD").await);
        assert_eq!((status(&got), &got["headers"]["Content-Type"]), (200, &json!(content_type)));
        assert!(got["body"].as_str().unwrap().contains("/export/jobs/{id}"));
        assert_eq!((status(&head), &head["body"], &head["headers"]), (200, &Value::Null, &got["headers"]));
        let put = reply(Operation::List, event("PUT", path, |e| e["requestContext"]["authorizer"] = json!(null))).await;
        assert_eq!((status(&put), &put["headers"]["Allow"]), (405, &json!("GET, HEAD")));
    }
}

#[tokio::test]
async fn creating_and_cancelling_need_the_permission_and_reading_does_not() {
    let cases = [
        (Operation::List, "GET", "/export/jobs", 200),
        (Operation::Get, "HEAD", "/data/core/ups/export/jobs/1", 200),
        (Operation::Create, "POST", "/export/jobs/", 403),
        (Operation::Cancel, "DELETE", "/export/jobs/1", 403),
    ];
    for (operation, method, path, wanted) in cases {
        for permissions in [json!(""), json!("export"), json!(null)] {
            let event = event(method, path, |e| {
                e["requestContext"]["authorizer"]["lambda"]["permissions"] = permissions;
            });
            let reply = reply(operation, event).await;
            assert_eq!(status(&reply), wanted, "{method}");
            if wanted == 403 {
                let code = Code::NotPermitted.text();
                assert_eq!(reply["body"]["type"], format!("https://ns.adobe.com/aep/errors/{code}"));
            }
        }
    }
}

#[tokio::test]
async fn unknown_paths_wrong_methods_and_large_bodies_are_answered_in_the_envelope() {
    let cases = [
        event("GET", "/export/unknown", |_| {}),
        event("PUT", "/export/jobs/", |_| {}),
        event("POST", "/data/core/ups/export/jobs/42", |_| {}),
        event("POST", "/export/jobs", |e| e["body"] = json!("x".repeat(256 * 1024 + 1))),
    ];
    let mut replies = Vec::new();
    for event in cases {
        replies.push(reply(Operation::Create, event).await);
    }
    insta::assert_json_snapshot!(replies);
}

#[tokio::test]
async fn a_body_of_256_kib_passes_and_base64_is_measured_decoded() {
    let plain = event("POST", "/export/jobs", |e| e["body"] = json!("x".repeat(256 * 1024)));
    assert_eq!(status(&reply(Operation::Create, plain).await), 200);
    // 349,528 characters of Base64 are 262,144 bytes and two of padding.
    let coded = |tail: &str| {
        event("POST", "/export/jobs", |e| {
            e["body"] = json!(format!("{}{tail}", "AAAA".repeat(87_381)));
            e["isBase64Encoded"] = json!(true);
        })
    };
    assert_eq!(status(&reply(Operation::Create, coded("AA==")).await), 200);
    assert_eq!(status(&reply(Operation::Create, coded("AAA=")).await), 413);
    assert_eq!(status(&reply(Operation::Create, coded("A")).await), 500);
}

#[tokio::test]
async fn post_needs_a_json_content_type_and_nothing_else_does() {
    let with = |method: &str, content_type: Option<&str>| {
        event(method, "/export/jobs", |e| match content_type {
            Some(text) => e["headers"]["content-type"] = json!(text),
            None => e["headers"] = json!({"x-request-id": "r-1"}),
        })
    };
    let taken = [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON ;a=b",
        "application/vnd.adobe.xdm+json",
        "application/problem+json; version=1",
    ];
    for text in taken {
        assert_eq!(status(&reply(Operation::Create, with("POST", Some(text))).await), 200, "{text}");
    }
    let refused = [
        "text/json",
        "application/jsonx",
        "application/+json",
        "json",
        "application/json,text/plain",
        "application/x/y+json",
        "multipart/form-data",
    ];
    for text in refused {
        assert_eq!(status(&reply(Operation::Create, with("POST", Some(text))).await), 400, "{text}");
    }
    assert_eq!(status(&reply(Operation::List, with("GET", Some("text/plain"))).await), 200);
    assert_eq!(status(&reply(Operation::List, with("GET", None)).await), 200);
    insta::assert_json_snapshot!(reply(Operation::Create, with("POST", None)).await);
}

#[tokio::test]
async fn head_is_get_without_a_body_also_where_it_fails() {
    let found = reply(Operation::Get, event("HEAD", "/export/jobs/1", |_| {})).await;
    assert_eq!((status(&found), &found["body"]), (200, &Value::Null));
    let lost = reply(Operation::Get, event("HEAD", "/export/jobs/1/2", |_| {})).await;
    assert_eq!((status(&lost), &lost["body"]), (404, &Value::Null));
    assert_eq!(lost["headers"]["Content-Type"], "application/json");
}

#[tokio::test]
async fn a_sound_request_id_is_echoed_and_any_other_replaced() {
    let drawn = "0123456789abcdef0123456789abcdef";
    let long = "a".repeat(129);
    let cases = [
        (json!("Vrxt59wqKLr5OlpnclFc2kMGAVwZQIT2"), "Vrxt59wqKLr5OlpnclFc2kMGAVwZQIT2"),
        (json!("d995479c-8a08-4240-903b-af469c67be1f"), "d995479c-8a08-4240-903b-af469c67be1f"),
        (json!(long[..128]), &long[..128]),
        (json!(long), drawn),
        (json!("a,b"), drawn),
        (json!("a\r\nSet-Cookie: b"), drawn),
        (json!("ä"), drawn),
        (json!(" "), drawn),
    ];
    for (sent, wanted) in cases {
        for path in ["/export/jobs", "/nowhere"] {
            let reply =
                reply(Operation::List, event("GET", path, |e| e["headers"]["x-request-id"] = sent.clone())).await;
            assert_eq!(reply["headers"]["x-request-id"], *wanted);
            assert_eq!(reply["body"]["requestId"], *wanted);
        }
    }
}

#[tokio::test]
async fn every_code_has_one_envelope() {
    let mut replies = Map::new();
    for code in Code::ALL {
        let reply = failed(Problem::new(code, "What happened.", "What to do.")).await;
        assert_eq!(status(&reply), u64::from(code.status()));
        let waits = matches!(code.status(), 429 | 503);
        assert_eq!(reply["headers"].get("Retry-After").is_some(), waits, "{code:?}");
        replies.insert(code.text(), reply["body"].clone());
    }
    insta::assert_json_snapshot!(replies);
}

#[tokio::test]
async fn every_violation_is_listed_under_its_own_status() {
    let violations = vec![
        Violation::at("a", Code::WrongType, "must be a string."),
        Violation::at("b", Code::NotImplemented, "later."),
        Violation::at("c[1].d", Code::InvalidValue, "must be one of x, y."),
    ];
    let problem = Problem { violations, ..Problem::new(Code::WrongType, "Three problems.", "") };
    insta::assert_json_snapshot!(failed(problem).await);
}

#[tokio::test]
async fn a_panic_is_a_500_and_ends_nothing() {
    let calls = Mutex::new(0);
    let handler = async |_: Request| -> Result<Reply, Problem> {
        *calls.lock().unwrap() += 1;
        panic!("a secret of the store")
    };
    for _ in 0..2 {
        let reply = respond(Operation::List, event("GET", "/export/jobs", |_| {}), &SameBits, &handler).await;
        assert_eq!(status(&reply), 500);
        assert!(!reply.to_string().contains("secret"));
    }
    assert_eq!(*calls.lock().unwrap(), 2);
}

#[tokio::test]
async fn an_event_that_nobody_can_read_is_a_500_in_the_envelope() {
    for event in [json!(null), json!(7), json!({"rawPath": 7}), json!({"headers": {"a": 1}})] {
        let reply = reply(Operation::List, event).await;
        assert_eq!((status(&reply), &reply["body"]["status"]), (500, &json!(500)));
    }
}

#[tokio::test]
async fn regression_a_path_that_is_another_operations_once_it_is_decoded_is_unknown() {
    assert_eq!(status(&reply(Operation::List, event("DELETE", "/export/jobs/1", |_| {})).await), 404);
}

#[tokio::test]
async fn regression_an_id_that_the_gateway_cut_at_its_question_mark_is_no_id() {
    for (operation, method) in [(Operation::Get, "GET"), (Operation::Get, "HEAD"), (Operation::Cancel, "DELETE")] {
        let handler = async |request: Request| {
            request.job_id()?;
            panic!("no id")
        };
        let replied = respond(operation, event(method, "/export/jobs/", |_| {}), &SameBits, &handler).await;
        assert_eq!(status(&replied), 404, "{method}");
    }
}

#[test]
fn a_broken_body_is_told_by_position_only() {
    let parsed = |body: &str| {
        let context = json!({"verdict": "allow", "organization": "A@AdobeOrg", "sandbox": "prod"});
        let crate::verdict::Verdict::Allow(caller) =
            crate::verdict::Verdict::from_context(context.as_object().unwrap())
        else {
            unreachable!()
        };
        let (query, headers) = (Vec::new(), Headers::default());
        let body = body.as_bytes().to_vec();
        Request { id: String::new(), query, headers, body, request_id: "r".into(), caller }.json()
    };
    assert_eq!(parsed("{}"), Ok(json!({})));
    assert_eq!(parsed("").unwrap_err().title, "The body is empty.");
    assert_eq!(parsed("{\n \"secret\": tru }").unwrap_err().title, "The body is not JSON: line 2, column 15.");
    assert_eq!(parsed(&"[".repeat(200)).unwrap_err().code, Code::NotJson);
}

#[test]
fn the_documentation_lists_every_code_with_its_status_meaning_and_remedy() {
    for code in Code::ALL {
        let start = format!("| {} | {} | ", code.text(), code.status());
        let row = DOCS.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("{start}"));
        let cells: Vec<_> = row.split(" | ").map(|cell| cell.trim_matches([' ', '|'])).collect();
        assert!(cells.len() == 4 && cells.iter().all(|cell| !cell.is_empty()), "{row}");
    }
    for (refusal, (status, body)) in crate::verdict::Refusal::ALL.into_iter().filter_map(|r| Some((r, r.answer()?))) {
        let row = format!("| {} | {status} | {} | ", refusal.name(), body["message"].as_str().unwrap());
        assert!(DOCS.contains(&row), "{row}");
    }
    let listed = DOCS.lines().filter(|line| line.starts_with("| UPAPI-")).count();
    assert_eq!(listed, Code::ALL.len());
}
