//! The one error envelope: a superset of RFC 7807 problem details.

use super::Reply;
use domain::problem::{Code, Problem, Violation};
use serde_json::{Map, Value, json};

/// After how many seconds a request that met 429 or 503 may come again.
const RETRY_AFTER_SECONDS: u32 = 5;
/// Most violations that are listed: more than a sound request could have, far from what a reply can hold (6 MB).
const MOST_LISTED: usize = 2_000;

/// The reply that stands for a problem. Every violation is listed under its own status; the status line is the whole's.
pub fn reply(problem: &Problem, request_id: &str) -> Reply {
    let code = problem.code;
    let mut body = Map::new();
    body.insert("requestId".into(), json!(request_id));
    body.insert("type".into(), json!(format!("https://ns.adobe.com/aep/errors/{}", code.text())));
    body.insert("title".into(), json!(problem.title));
    body.insert("status".into(), json!(code.status()));
    let detail = match problem.violations.len() {
        n if n > MOST_LISTED => format!("{} The first {MOST_LISTED} problems are listed.", problem.detail),
        _ => problem.detail.clone(),
    };
    if !detail.is_empty() {
        body.insert("detail".into(), json!(detail));
    }
    body.insert("errors".into(), errors(problem));
    let reply = Reply { status: code.status(), headers: Vec::new(), body: Some(Value::Object(body)) };
    match code {
        Code::TooManyRequests | Code::Unavailable => reply.with("Retry-After", RETRY_AFTER_SECONDS.to_string()),
        _ => reply,
    }
}

fn errors(problem: &Problem) -> Value {
    let whole = [Violation { code: problem.code, message: problem.title.clone() }];
    let violations = if problem.violations.is_empty() { &whole[..] } else { &problem.violations };
    let mut by_status = Map::new();
    for violation in violations.iter().take(MOST_LISTED) {
        let of_status = by_status.entry(violation.code.status().to_string()).or_insert_with(|| json!([]));
        if let Value::Array(list) = of_status {
            list.push(json!({ "code": violation.code.text(), "message": violation.message }));
        }
    }
    Value::Object(by_status)
}
