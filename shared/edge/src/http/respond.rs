//! From the gateway's event to its reply.

use super::event::Event;
use super::route::{self, Open, Operation, Route};
use super::{Reply, Request, envelope, openapi};
use crate::random::OsRandom;
use crate::telemetry::metrics::INVOCATION;
use crate::verdict::{Refusal, Verdict};
use domain::ports::Random;
use domain::problem::{Code, Problem};
use domain::request::MAX_BODY_BYTES;
use futures::FutureExt;
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::{Map, Value, json};
use std::panic::AssertUnwindSafe;
use tracing::Instrument;
use tracing::field::Empty;

/// Longest `x-request-id` that is taken over, in characters.
const MAX_REQUEST_ID: usize = 128;

/// Serves one operation until the process ends. Unknown paths and wrong methods are answered whoever gets them.
pub async fn serve_http<H, F>(operation: Operation, handler: H) -> Result<(), lambda_runtime::Error>
where
    H: Fn(Request) -> F,
    F: Future<Output = Result<Reply, Problem>>,
{
    let handler = &handler;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        Ok::<_, lambda_runtime::Error>(respond(operation, event.payload, &OsRandom, handler).await)
    }))
    .await
}

/// The gateway's reply (payload 2.0) to its event. Never fails: what goes wrong is an answer too.
pub async fn respond<H, F>(operation: Operation, event: Value, random: &impl Random, handler: &H) -> Value
where
    H: Fn(Request) -> F,
    F: Future<Output = Result<Reply, Problem>>,
{
    let event = serde_json::from_value::<Event>(event);
    let request_id = request_id(event.as_ref().ok(), random);
    let span = tracing::info_span!(
        target: INVOCATION, "request",
        request_id, operation = ?operation, gateway_id = Empty, job_id = Empty, organization = Empty, sandbox = Empty,
        status = Empty, client_errors = Empty, server_errors = Empty, moved = Empty, state = Empty,
    );
    if let Ok(event) = &event
        && let Some(open) = route::open(&event.raw_path)
    {
        return span.in_scope(|| answer_anybody(open, event, &request_id));
    }
    let bodiless = event.as_ref().is_ok_and(|e| e.request_context.http.method == "HEAD");
    let reply = async {
        let event = event.map_err(|error| {
            tracing::error!(%error, "an event that cannot be read");
            envelope::reply(&Problem::internal(), &request_id)
        })?;
        tracing::Span::current().record("gateway_id", &event.request_context.request_id);
        let request = admit(operation, event, &request_id)?;
        let answer = AssertUnwindSafe(async { handler(request).await }).catch_unwind().await;
        let answer = answer.unwrap_or_else(|_| {
            tracing::error!("the handler panicked");
            Err(Problem::internal())
        });
        answer.map_err(|problem| envelope::reply(&problem, &request_id))
    };
    let answered = async {
        let reply = reply.await.unwrap_or_else(|refused| refused);
        record_status(reply.status);
        reply
    };
    render(answered.instrument(span).await, &request_id, bodiless)
}

/// Tells the request's record how it was answered.
fn record_status(status: u16) {
    let (client_errors, server_errors) = (matches!(status, 400..500), status >= 500);
    tracing::Span::current()
        .record("status", status)
        .record("client_errors", u64::from(client_errors))
        .record("server_errors", u64::from(server_errors));
}

/// Everything that is judged before the handler, in the contract's order.
fn admit(operation: Operation, event: Event, request_id: &str) -> Result<Request, Reply> {
    let refuse = |problem: &Problem| envelope::reply(problem, request_id);
    let caller = match Verdict::from_context(&event.request_context.authorizer.lambda) {
        Verdict::Allow(caller) => caller,
        Verdict::Refuse(refusal) => return Err(refused(refusal, request_id)),
    };
    tracing::Span::current()
        .record("organization", caller.tenant.organization())
        .record("sandbox", caller.tenant.sandbox());
    let method = event.request_context.http.method.as_str();
    let id = match route::find(method, &event.raw_path) {
        Route::Found(found, id) if found == operation => id,
        // An HTTP API loses what follows a decoded question mark; of an id that begins with one nothing is left.
        Route::Found(Operation::List, id) if operation == Operation::Get => id,
        Route::WrongMethod(_) if operation == Operation::Cancel && method == "DELETE" => String::new(),
        Route::WrongMethod(allowed) => {
            return Err(wrong_method(method, allowed, request_id));
        }
        // The gateway matches paths before it decodes them: what it found unknown may look like another operation's here.
        Route::Found(..) | Route::Unknown => {
            let title = format!("The path {} is not served.", shown(&event.raw_path));
            let detail = "The API is under /export/jobs and /data/core/ups/export/jobs.";
            return Err(refuse(&Problem::new(Code::PathNotFound, title, detail)));
        }
    };
    if let Some(needed) = operation.permission().filter(|needed| !caller.permissions.iter().any(|p| p == needed)) {
        let title = format!("The client lacks the permission {needed}.");
        let detail = "Its grants for this organization and sandbox must name it.";
        return Err(refuse(&Problem::new(Code::NotPermitted, title, detail)));
    }
    if method == "POST" && !event.headers.get("content-type").is_some_and(is_json) {
        return Err(no_content_type());
    }
    let query = event.query();
    let body = event.bytes().ok_or_else(|| {
        tracing::error!("the gateway's Base64 cannot be read");
        refuse(&Problem::internal())
    })?;
    if body.len() > MAX_BODY_BYTES {
        let title = format!("The body has {} bytes; at most {MAX_BODY_BYTES} are allowed.", body.len());
        return Err(refuse(&Problem::new(Code::BodyTooLarge, title, "Split the export into several jobs.")));
    }
    Ok(Request { id, query, headers: event.headers, body, request_id: request_id.to_owned(), caller })
}

fn refused(refusal: Refusal, request_id: &str) -> Reply {
    match refusal.answer() {
        Some((status, body)) => Reply { status, headers: Vec::new(), body: Some(body) },
        None => envelope::reply(&Problem::unavailable(), request_id),
    }
}

fn wrong_method(method: &str, allowed: &'static str, request_id: &str) -> Reply {
    let title = format!("The path does not have the method {}.", shown(method));
    let problem = Problem::new(Code::MethodNotAllowed, title, format!("Its methods are {allowed}."));
    envelope::reply(&problem, request_id).with("Allow", allowed)
}

/// AEP's own answer to a POST that is not declared as JSON.
fn no_content_type() -> Reply {
    let body = json!({
        "type": "/placeholder/type/uri",
        "status": 400,
        "title": "BadRequestError",
        "detail": "A valid content-type must be specified",
    });
    Reply { status: 400, headers: Vec::new(), body: Some(body) }
}

/// Whether a content type is `application/json` or `application/*+json`, with any parameters.
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.strip_prefix("application/").is_some_and(|subtype| {
        let token = subtype.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b));
        token && (subtype == "json" || subtype.strip_suffix("+json").is_some_and(|name| !name.is_empty()))
    })
}

/// The client's `x-request-id`, if it can stand in a header, a log line and a job as it is; else 32 alphanumerics.
fn request_id(event: Option<&Event>, random: &impl Random) -> String {
    let sound = |id: &&str| {
        id.len() <= MAX_REQUEST_ID && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:=+/@".contains(&b))
    };
    let sent = event.and_then(|e| e.headers.get("x-request-id")).filter(sound);
    sent.map_or_else(|| format!("{:032x}", random.bits()), str::to_owned)
}

/// A client's text as it may stand in a sentence.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

/// The reply to a request for what needs no token.
fn answer_anybody(open: Open, event: &Event, request_id: &str) -> Value {
    let context = &event.request_context;
    tracing::Span::current().record("gateway_id", &context.request_id);
    let method = context.http.method.as_str();
    if !matches!(method, "GET" | "HEAD") {
        let reply = wrong_method(method, "GET, HEAD", request_id);
        record_status(reply.status);
        return render(reply, request_id, false);
    }
    record_status(200);
    show(open, request_id, method == "HEAD")
}

/// What needs no token.
fn show(open: Open, request_id: &str, bodiless: bool) -> Value {
    let (content_type, body) = match open {
        Open::Description => ("application/json", openapi::document().to_string()),
        Open::Page => ("text/html; charset=utf-8", openapi::page(&openapi::document())),
    };
    let headers = json!({
        "Content-Type": content_type,
        "Cache-Control": "public, max-age=300",
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "x-request-id": request_id,
    });
    let mut out = json!({ "statusCode": 200, "headers": headers, "isBase64Encoded": false });
    if !bodiless {
        out["body"] = json!(body);
    }
    out
}

fn render(reply: Reply, request_id: &str, bodiless: bool) -> Value {
    let mut headers = Map::new();
    if reply.body.is_some() {
        headers.insert("Content-Type".into(), json!("application/json"));
    }
    headers.insert("x-request-id".into(), json!(request_id));
    for (name, value) in reply.headers {
        headers.insert(name.into(), json!(value));
    }
    let mut out = json!({ "statusCode": reply.status, "headers": headers, "isBase64Encoded": false });
    if let Some(body) = reply.body.filter(|_| !bodiless) {
        out["body"] = json!(body.to_string());
    }
    out
}
