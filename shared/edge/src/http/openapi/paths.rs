//! Operations: their parameters and answers.

use crate::http::{EXPORT_PERMISSION, Operation};
use domain::problem::Code;
use domain::state::ShownStatus;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// What any operation may answer: the gateway's refusals and our own troubles.
const ALWAYS: [u16; 8] = [400, 401, 403, 405, 413, 429, 500, 503];

pub(super) fn all() -> Value {
    // The description has no second base path.
    let here = json!([{ "url": "/" }]);
    json!({
        "/export/jobs": { "get": list(), "head": bodiless(list()), "post": create() },
        "/export/jobs/{id}": { "get": get(), "head": bodiless(get()), "delete": cancel() },
        "/openapi.json": { "servers": here, "get": describe(), "head": bodiless(describe()) },
        "/docs": { "servers": here, "get": read(), "head": bodiless(read()) },
    })
}

fn list() -> Value {
    let parameters = [shared("organization"), shared("sandbox"), shared("requestId"), limit(), offset(), status()];
    let page = answer("A page of jobs, newest first.", "Page", &[]);
    operation(Operation::List, "List jobs", "", &parameters, vec![("200", page)], &[])
}

fn limit() -> Value {
    json!({
        "name": "limit", "in": "query", "schema": { "type": "integer", "minimum": 1, "default": 100 },
        "description": "Most jobs on the page. More than 1,000 is taken for 1,000; a page also ends at 4 MiB.",
    })
}

fn offset() -> Value {
    json!({
        "name": "offset", "in": "query",
        "schema": { "type": "string", "pattern": "^(0?|[0-9]{1,16}_(0|[1-9][0-9]{0,14}|[1-8][0-9]{15}))$", "default": "" },
        "description": "page.pageOffset of the page before. Absent, empty or 0 is the first page.",
    })
}

fn status() -> Value {
    json!({
        "name": "status", "in": "query",
        "schema": { "type": "string", "enum": ShownStatus::ALL.map(ShownStatus::as_str) },
        "description": "Only jobs of that status.",
    })
}

fn create() -> Value {
    let parameters = [
        shared("organization"),
        shared("sandbox"),
        shared("requestId"),
        json!({
            "name": "Idempotency-Key", "in": "header",
            "schema": { "type": "string", "pattern": "^ *[!-~]{1,255} *$" },
            "description": "The same key with the same body within 24 hours gives the first job again.",
        }),
        json!({
            "name": "x-profile-instance-id", "in": "header",
            "schema": { "type": "string", "pattern": "^ *[!-~]{0,128} *$", "default": "ups" },
            "description": "Becomes profileInstanceId.",
        }),
    ];
    let mut made = answer("The job, or the one that the idempotency key made before.", "Job", &["X-Location"]);
    let of_job = |id| json!({ "operationId": id, "parameters": { "id": "$response.body#/id" } });
    made["links"] = json!({ "follow": of_job("get"), "cancel": of_job("cancel") });
    let codes = [
        Code::NotJson,
        Code::KeyReused,
        Code::KeyOfDeletedJob,
        Code::BodyTooLarge,
        Code::NotImplemented,
        Code::NotPermitted,
    ];
    let detail = format!("What can be known now is refused now. Needs the permission {EXPORT_PERMISSION}.");
    let mut operation = operation(Operation::Create, "Create a job", &detail, &parameters, vec![("200", made)], &codes);
    let schema = json!({ "schema": reference("schemas", "CreateRequest") });
    operation["requestBody"] = json!({ "required": true, "content": { "application/json": schema } });
    operation
}

fn get() -> Value {
    let parameters = [shared("id"), shared("organization"), shared("sandbox"), shared("requestId")];
    let job = answer("The job as it stands.", "Job", &[]);
    operation(Operation::Get, "Get a job", "", &parameters, vec![("200", job)], &[Code::JobNotFound])
}

fn cancel() -> Value {
    let prefer = json!({
        "name": "Prefer", "in": "header", "schema": { "type": "string", "examples": ["return=minimal"] },
        "description": "return=minimal asks for 204 without a body (RFC 7240).",
    });
    let parameters = [shared("id"), shared("organization"), shared("sandbox"), shared("requestId"), prefer];
    let taken = answer("It will be cancelled; or it had ended, and its record is gone.", "Cancelled", &[]);
    let minimal = json!({ "description": "The same, without a body.", "headers": headers_of(&["Preference-Applied"]) });
    let detail = format!(
        "A job that has ended is deleted: its record goes, its rows stay. Needs the permission {EXPORT_PERMISSION}."
    );
    let codes = [Code::JobNotFound, Code::TooLateToCancel, Code::NotPermitted];
    let answers = vec![("200", taken), ("204", minimal)];
    operation(Operation::Cancel, "Cancel or delete a job", &detail, &parameters, answers, &codes)
}

fn describe() -> Value {
    let content = json!({ "application/json": { "schema": { "type": "object" } } });
    open("describe", "This description", content)
}

fn read() -> Value {
    let content = json!({ "text/html": { "schema": { "type": "string" } } });
    open("read", "This description as a page", content)
}

/// An operation that needs no token.
fn open(id: &str, summary: &str, content: Value) -> Value {
    let found = json!({ "description": summary, "headers": headers_of(&[]), "content": content });
    let responses = json!({ "200": found, "429": reference("responses", "429"), "500": reference("responses", "500") });
    json!({
        "operationId": id, "summary": summary, "tags": ["Description"], "security": [],
        "parameters": [shared("requestId")], "responses": responses,
    })
}

fn operation(
    operation: Operation,
    summary: &str,
    detail: &str,
    parameters: &[Value],
    answers: Vec<(&str, Value)>,
    codes: &[Code],
) -> Value {
    let mut responses: Map<String, Value> = answers.into_iter().map(|(name, it)| (name.to_owned(), it)).collect();
    let statuses: BTreeSet<u16> = ALWAYS.into_iter().chain(codes.iter().map(|code| code.status())).collect();
    for status in statuses {
        responses.insert(status.to_string(), reference("responses", &status.to_string()));
    }
    json!({
        "operationId": format!("{operation:?}").to_lowercase(), "summary": summary, "description": detail,
        "tags": ["Export jobs"], "parameters": parameters, "responses": responses,
    })
}

/// HEAD: the same answers without their bodies.
fn bodiless(mut operation: Value) -> Value {
    let id = format!("{}Head", operation["operationId"].as_str().unwrap_or_default());
    operation["operationId"] = json!(id);
    if let Some(responses) = operation["responses"].as_object_mut() {
        for (status, answer) in responses {
            *answer =
                json!({ "description": format!("As GET's {status}, without a body."), "headers": headers_of(&[]) });
        }
    }
    operation
}

pub(super) fn parameters() -> Value {
    json!({
        "id": {
            "name": "id", "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 },
            "description": "The job's id, in decimal digits. Whatever is no id is a job that is not found.",
        },
        "organization": {
            "name": "x-gw-ims-org-id", "in": "header", "required": true,
            "schema": { "type": "string", "minLength": 1 },
            "description": "The organization, e.g. 1BD6382559DF0C130A49422D@AdobeOrg.",
        },
        "sandbox": {
            "name": "x-sandbox-name", "in": "header", "schema": { "type": "string", "default": "prod" },
            "description": "The organization's sandbox.",
        },
        "requestId": {
            "name": "x-request-id", "in": "header", "schema": { "type": "string" },
            "description": "Stands in the answer and, on create, in the job; else, and where it is longer than 128 \
                characters or holds other than letters, digits and -_.:=+/@, one is drawn.",
        },
    })
}

pub(super) fn headers() -> Value {
    let text = |description: &str| json!({ "description": description, "schema": { "type": "string" } });
    let seconds = json!({ "type": "string", "pattern": "^[0-9]+$" });
    json!({
        "x-request-id": { "description": "Name it when you ask for help.", "required": true, "schema": { "type": "string" } },
        "X-Location": text("The job's path."),
        "Preference-Applied": text("return=minimal"),
        "Allow": text("The path's methods."),
        "Retry-After": { "description": "Come again after that many seconds.", "schema": seconds },
    })
}

/// Every status but success, once.
pub(super) fn responses() -> Value {
    let problem = || json!({ "schema": reference("schemas", "Problem") });
    let any_of = |names: &[&str]| {
        let schemas: Vec<_> = names.iter().map(|name| reference("schemas", name)).collect();
        json!({ "schema": { "anyOf": schemas } })
    };
    let statuses: BTreeSet<u16> = Code::ALL.iter().map(|code| code.status()).chain(ALWAYS).collect();
    let answers = statuses.into_iter().map(|status| {
        let (description, schema, headers): (_, _, &[&str]) = match status {
            400 => ("The request is not valid.", any_of(&["Problem", "Refusal", "NoContentType"]), &[]),
            401 => ("The token is not valid.", any_of(&["Refusal"]), &[]),
            403 => ("The caller may not do that.", any_of(&["Refusal", "Problem"]), &[]),
            404 => ("There is no such job.", problem(), &[]),
            405 => ("The path has no such method.", problem(), &["Allow"]),
            409 => ("Too late to cancel.", problem(), &[]),
            413 => ("The body is too large.", any_of(&["Problem", "Message"]), &[]),
            422 => ("The idempotency key came before, with another body.", problem(), &[]),
            429 => ("Too many requests.", any_of(&["Problem", "Message"]), &["Retry-After"]),
            501 => ("Specified, not implemented yet.", problem(), &[]),
            503 => ("Out of reach; come again.", any_of(&["Problem", "Message"]), &["Retry-After"]),
            _ => ("Our own fault.", any_of(&["Problem", "Message"]), &[]),
        };
        let content = json!({ "application/json": schema });
        let answer = json!({ "description": description, "headers": headers_of(headers), "content": content });
        (status.to_string(), answer)
    });
    Value::Object(answers.collect())
}

fn answer(description: &str, schema: &str, headers: &[&str]) -> Value {
    let content = json!({ "application/json": { "schema": reference("schemas", schema) } });
    json!({ "description": description, "headers": headers_of(headers), "content": content })
}

fn headers_of(names: &[&str]) -> Value {
    let all = ["x-request-id"].iter().chain(names);
    Value::Object(all.map(|name| ((*name).to_owned(), reference("headers", name))).collect())
}

fn shared(parameter: &str) -> Value {
    reference("parameters", parameter)
}

pub(super) fn reference(kind: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{kind}/{name}") })
}
