//! A small client of the export jobs API, with AEP's headers.

use aws_smithy_http_client::{Connector, tls};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorSettings};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// Why a call of the API failed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The API said no: the status, and what it says of it, every violation included.
    #[error("the API answered {status}: {}", .sentences.join(" "))]
    Refused {
        /// HTTP status.
        status: u16,
        /// What it says.
        sentences: Vec<String>,
    },
    /// No answer came.
    #[error("{base_url} does not answer; is the stack running?")]
    Unreachable {
        /// Where it should be.
        base_url: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What came is no answer of this API.
    #[error("{base_url} answered with something that is no job ({status}); is that the API?")]
    Strange {
        /// Where it was.
        base_url: String,
        /// HTTP status.
        status: u16,
    },
}

/// The API at a host, for one organization's sandbox.
#[derive(Clone, Debug)]
pub struct Api {
    base_url: String,
    headers: [(&'static str, String); 4],
    connector: Arc<Connector>,
}

/// Who calls, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The bearer token.
    pub token: String,
    /// The client's id.
    pub api_key: String,
    /// The organization.
    pub organization: String,
    /// The sandbox.
    pub sandbox: String,
}

impl Api {
    /// The API below `base_url` (`http://…` or `https://…`, without a path).
    pub fn new(base_url: &str, caller: &Caller) -> Self {
        let headers = [
            ("authorization", format!("Bearer {}", caller.token)),
            ("x-api-key", caller.api_key.clone()),
            ("x-gw-ims-org-id", caller.organization.clone()),
            ("x-sandbox-name", caller.sandbox.clone()),
        ];
        Self { base_url: base_url.trim_end_matches('/').to_owned(), headers, connector: Arc::new(connector()) }
    }

    /// Creates a job; gives it back as the API shows it.
    pub async fn create(&self, request: &Value) -> Result<Value, ApiError> {
        self.call("POST", "/export/jobs", Some(request)).await
    }

    /// The job of that id.
    pub async fn get(&self, id: u64) -> Result<Value, ApiError> {
        self.call("GET", &format!("/export/jobs/{id}"), None).await
    }

    /// A page of jobs, newest first: `{records, page, link}`. `query` is what follows the `?`, encoded; may be empty.
    pub async fn list(&self, query: &str) -> Result<Value, ApiError> {
        self.call("GET", &format!("/export/jobs?{query}"), None).await
    }

    /// Cancels the job, or deletes it where it has ended.
    pub async fn delete(&self, id: u64) -> Result<Value, ApiError> {
        self.call("DELETE", &format!("/export/jobs/{id}"), None).await
    }

    async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, ApiError> {
        let unreachable = |source: Box<dyn std::error::Error + Send + Sync>| ApiError::Unreachable {
            base_url: self.base_url.clone(),
            source,
        };
        let mut request = http::Request::builder().method(method).uri(format!("{}{path}", self.base_url));
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map_or_else(SdkBody::empty, |body| SdkBody::from(body.to_string()));
        let request = request.body(body).map_err(|e| unreachable(e.into()))?;
        let request = HttpRequest::try_from(request).map_err(|e| unreachable(e.into()))?;
        let mut response = self.connector.call(request).await.map_err(|e| unreachable(e.into()))?;
        let status = response.status().as_u16();
        let text = collect(response.take_body()).await.map_err(unreachable)?;
        let strange = || ApiError::Strange { base_url: self.base_url.clone(), status };
        match serde_json::from_slice::<Value>(&text) {
            Ok(answer) if status < 300 => Ok(answer),
            Ok(problem) => Err(ApiError::Refused { status, sentences: sentences(&problem).ok_or_else(strange)? }),
            Err(_) => Err(strange()),
        }
    }
}

/// HTTP over the SDK's own TLS stack, with times after which a call has failed.
pub(crate) fn connector() -> Connector {
    let settings = HttpConnectorSettings::builder()
        .connect_timeout(Duration::from_secs(5))
        .read_timeout(Duration::from_secs(30))
        .build();
    let provider = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc);
    Connector::builder().connector_settings(settings).tls_provider(provider).build()
}

pub(crate) async fn collect(body: SdkBody) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let collected = aws_smithy_types::byte_stream::ByteStream::new(body).collect().await?;
    Ok(collected.to_vec())
}

/// What an error body says: every violation of the envelope, else its title, else the gateway's message.
fn sentences(problem: &Value) -> Option<Vec<String>> {
    let all = problem["errors"].as_object().into_iter().flat_map(|e| e.values()).filter_map(Value::as_array).flatten();
    let all: Vec<_> = all.filter_map(|e| e["message"].as_str()).map(str::to_owned).collect();
    if !all.is_empty() {
        return Some(all);
    }
    let one = ["detail", "title", "message"].into_iter().find_map(|key| problem[key].as_str());
    one.map(|one| vec![one.to_owned()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_error_body_is_read_in_each_of_its_forms() {
        let envelope = json!({"title": "t", "errors": {"400": [{"message": "a."}, {"message": "b."}]}});
        let cases = [
            (envelope, Some(vec!["a.", "b."])),
            (json!({"title": "BadRequestError", "detail": "A valid content-type"}), Some(vec!["A valid content-type"])),
            (json!({"error_code": "403003", "message": "Api Key is invalid"}), Some(vec!["Api Key is invalid"])),
            (json!({"hello": 1}), None),
        ];
        for (body, expected) in cases {
            assert_eq!(sentences(&body), expected.map(|e| e.into_iter().map(str::to_owned).collect()), "{body}");
        }
    }
}
