//! The record of each invocation. In a process of their own, as whatever meets a span without a subscriber may settle for all
//! threads that nobody wants it.
#![allow(clippy::unwrap_used)]

use aws_lambda_events::sqs::SqsEvent;
use domain::instant::Millis;
use domain::message::{Message, Task};
use domain::ports::Random;
use domain::problem::Problem;
use edge::http::{Operation, Reply, Request, respond};
use edge::queue::take;
use edge::telemetry::metrics::{INVOCATION, Records};
use serde_json::{Value, json};
use std::io::Write;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use tracing_subscriber::layer::SubscriberExt;

const POST: &str = include_str!("../../../infra/events/create_export_job.json");

/// What was written.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A clock that is 250 ms later at each look.
fn clock() -> Millis {
    static LOOKS: AtomicI64 = AtomicI64::new(0);
    Millis(1_790_000_000_000 + 250 * LOOKS.fetch_add(1, Ordering::Relaxed))
}

/// The records of what `invoke` does, in order.
fn records(invoke: impl FnOnce()) -> Vec<Value> {
    let lines = Lines::default();
    let written = lines.clone();
    let records = Records::new("stack-ExportWorker".into(), clock, move || written.clone());
    tracing::subscriber::with_default(tracing_subscriber::registry().with(records), invoke);
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The records of what a future does, in order.
fn records_of(invoke: impl Future) -> Vec<Value> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    records(|| {
        runtime.block_on(invoke);
    })
}

/// A record without its times, which hang on what other tests do meanwhile; they agree with one another.
fn steady(mut record: Value) -> Value {
    let ended = record["ended_at"].clone();
    assert!(ended.as_i64().unwrap() > 1_790_000_000_000);
    assert!(record["duration_ms"].as_i64().unwrap() >= 250);
    if let Some(metrics) = record.get_mut("_aws") {
        assert_eq!(metrics["Timestamp"], ended);
        metrics["Timestamp"] = json!("…");
    }
    record["ended_at"] = json!("…");
    record["duration_ms"] = json!(250);
    record
}

/// Draws the same bits every time.
struct SameBits;

impl Random for SameBits {
    fn bits(&self) -> u128 {
        0x0123_4567_89ab_cdef_0123_4567_89ab_cdef
    }
}

/// An allowed request without a body; `change` makes it what the case is about.
fn event(method: &str, path: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut event: Value = serde_json::from_str(POST).unwrap();
    event["rawPath"] = json!(path);
    event["headers"]["x-request-id"] = json!("r-1");
    event["body"] = json!(null);
    event["isBase64Encoded"] = json!(false);
    let context = &mut event["requestContext"];
    context["http"]["method"] = json!(method);
    context["requestId"] = json!("g-1");
    context["authorizer"]["lambda"]["organization"] = json!("A@AdobeOrg");
    change(&mut event);
    event
}

#[test]
fn an_invocation_is_one_line_with_all_that_its_span_was_told() {
    let records = records(|| {
        let span = tracing::info_span!(
            target: INVOCATION, "message",
            request_id = "m-1", job_id = 42_u64, task = "part", part = 3, attempt = "1",
            rows = tracing::field::Empty, bytes = tracing::field::Empty, failed = tracing::field::Empty,
            state = tracing::field::Empty,
        );
        span.in_scope(|| {
            tracing::info!(rows = 7, "an event is none of it");
            let inner = tracing::info_span!("inner", rows = 8);
            inner.in_scope(|| tracing::info!("nor is a span within"));
            tracing::Span::current().record("rows", 1_000_u64).record("bytes", 4_096_u64).record("failed", 0_u64);
        });
    });
    assert_eq!(records.len(), 1);
    insta::assert_json_snapshot!(steady(records[0].clone()));
}

#[test]
fn nothing_to_count_is_a_record_without_metrics() {
    let records = records(|| {
        drop(tracing::info_span!(target: INVOCATION, "tick", status = 200, failed = 0_u64, resent_jobs = 0_u64));
        drop(tracing::info_span!(target: INVOCATION, "tick", moved = 1_u64, state = 7, rows = "many"));
    });
    assert!(records.iter().all(|record| record.get("_aws").is_none()), "{records:?}");
    assert_eq!((&records[0]["status"], &records[0]["failed"]), (&json!(200), &json!(0)));
}

#[test]
fn a_metric_is_told_apart_by_its_own_dimension() {
    let records = records(|| {
        drop(tracing::info_span!(target: INVOCATION, "message", task = "commit", moved = 1_u64, state = "FAILED"));
    });
    let directives = records[0]["_aws"]["CloudWatchMetrics"].as_array().unwrap();
    let of = |n: usize| (&directives[n]["Metrics"][0]["Name"], &directives[n]["Dimensions"]);
    assert_eq!(of(0), (&json!("duration_ms"), &json!([["FunctionName", "task"]])));
    assert_eq!(of(1), (&json!("moved"), &json!([["FunctionName", "state"]])));
    assert_eq!(directives.len(), 2);
}

#[test]
fn what_needs_no_token_is_recorded_with_its_status() {
    for path in ["/openapi.json", "/docs"] {
        for (method, status, client_errors) in [("GET", 200, 0), ("HEAD", 200, 0), ("PUT", 405, 1)] {
            let event = event(method, path, |e| e["requestContext"]["authorizer"] = json!(null));
            let records = records_of(async {
                respond(Operation::List, event, &SameBits, &async |_| panic!("no handler")).await;
            });
            assert_eq!(records.len(), 1, "{method} {path}");
            let told = ["gateway_id", "status", "client_errors", "server_errors"].map(|name| records[0][name].clone());
            assert_eq!(told, [json!("g-1"), json!(status), json!(client_errors), json!(0)], "{method} {path}");
        }
    }
}

#[test]
fn a_request_is_recorded_with_all_that_became_of_it() {
    let handler = async |request: Request| {
        if request.body.is_empty() {
            return Err(Problem::internal());
        }
        // As the function and its store do.
        tracing::Span::current().record("moved", 1_u64).record("state", "NEW").record("job_id", 42_u64);
        Ok(Reply::ok(json!({})))
    };
    let asked = [
        event("POST", "/export/jobs", |e| e["body"] = json!("{}")),
        event("POST", "/export/jobs", |_| {}),
        event("POST", "/export/jobs", |e| e["requestContext"]["authorizer"] = json!(null)),
    ];
    let records = records_of(async {
        for event in asked {
            respond(Operation::Create, event, &SameBits, &handler).await;
        }
    });
    let records: Vec<_> = records.into_iter().map(steady).collect();
    insta::assert_json_snapshot!(records);
}

#[test]
fn a_message_is_recorded_with_all_that_became_of_it() {
    let received = |id: &str, kind: &str, tries: &str| {
        let body = format!(r#"{{"kind":{kind},"organization":"A@AdobeOrg","sandbox":"prod","jobId":42}}"#);
        json!({"messageId": id, "body": body, "attributes": {"ApproximateReceiveCount": tries}})
    };
    let batch = json!({"Records": [received("a", r#""part","part":3"#, "2"), received("b", r#""commit""#, "1")]});
    let event: SqsEvent = serde_json::from_value(batch).unwrap();
    let handler = async |message: Message| {
        if message.task == Task::Commit {
            return Err(std::fmt::Error);
        }
        // As the store does.
        tracing::Span::current().record("rows", 1_000_u64).record("bytes", 4_096_u64);
        Ok(())
    };
    let records = records_of(async { take(event, &handler).await });
    let records: Vec<_> = records.into_iter().map(steady).collect();
    insta::assert_json_snapshot!(records);
}
