//! HTTP requests in, replies out: what every route has in common. The order of the checks is the contract's: verdict, path
//! and method, permission, content type, size; the body is the handler's.

mod envelope;
mod event;
pub mod openapi;
mod respond;
mod route;

pub use event::{Event, Headers};
pub use respond::{respond, serve_http};
pub use route::{EXPORT_PERMISSION, Operation};

use crate::verdict::Caller;
use domain::id::JobId;
use domain::problem::{Code, Problem};
use domain::request::MAX_BODY_DEPTH;
use serde_json::Value;

/// A request that may be served: its verdict, path, method, content type and size are judged.
#[derive(Clone, Debug)]
pub struct Request {
    /// The path's id, decoded, whatever it is; empty where the path has none.
    pub id: String,
    /// The query's pairs, decoded, in order.
    pub query: Vec<(String, String)>,
    /// The headers.
    pub headers: Headers,
    /// The body's bytes.
    pub body: Vec<u8>,
    /// `x-request-id`, or one that was drawn: stands in the reply and, on create, in the job.
    pub request_id: String,
    /// Who is calling.
    pub caller: Caller,
}

impl Request {
    /// The job that the path names. Whatever is no id is a job that is not found.
    pub fn job_id(&self) -> Result<JobId, Problem> {
        let id = JobId::parse(&self.id).ok_or_else(|| Problem::job_not_found(&self.id))?;
        tracing::Span::current().record("job_id", id.value());
        Ok(id)
    }

    /// The last value of a query parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().rev().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON. The problem tells where it breaks off, and repeats nothing of it.
    pub fn json(&self) -> Result<Value, Problem> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let title = match self.body.is_empty() {
                true => "The body is empty.".to_owned(),
                false => format!("The body is not JSON: line {}, column {}.", error.line(), error.column()),
            };
            let detail = format!("Send one JSON object in UTF-8, nested at most {MAX_BODY_DEPTH} levels deep.");
            Problem::new(Code::NotJson, title, &detail)
        })
    }
}

/// An answer. `Content-Type` and `x-request-id` are added to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body; `None` = none.
    pub body: Option<Value>,
}

impl Reply {
    /// 200 with a body.
    pub fn ok(body: Value) -> Self {
        Self { status: 200, headers: Vec::new(), body: Some(body) }
    }

    /// The same reply with one more header.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
