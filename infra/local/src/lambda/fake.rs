//! Functions for tests: within the test, or as a process that is this test binary started anew.

#![allow(clippy::unwrap_used)]

use std::ffi::OsString;
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use super::{Invoke, InvokeError};

/// A function within the test: event in, result out; `None` is an error of the function.
#[derive(Clone)]
pub(crate) struct Fake(Arc<dyn Fn(Value) -> Option<Value> + Send + Sync>);

impl Fake {
    pub(crate) fn new(function: impl Fn(Value) -> Option<Value> + Send + Sync + 'static) -> Self {
        Self(Arc::new(function))
    }
}

impl Invoke for Fake {
    async fn invoke(&self, event: Bytes) -> Result<Bytes, InvokeError> {
        let event = serde_json::from_slice(&event).unwrap();
        let result = (self.0)(event).map(|result| result.to_string().into());
        result.ok_or_else(|| InvokeError::TimedOut { function: "fake".to_owned() })
    }
}

/// The command that starts this test binary as a function's process: with the one ignored "test" `name` chosen.
pub(crate) fn command(name: &str) -> Vec<OsString> {
    let program = std::env::current_exe().unwrap().into();
    [vec![program], [name, "--exact", "--ignored", "--nocapture"].map(OsString::from).to_vec()].concat()
}

/// What the process does: it answers invocations with `function`'s result, or the error in its place, until it is
/// killed. Without the Runtime API, when somebody runs all ignored tests, it does nothing.
pub(crate) fn serve<F>(function: impl Fn(HttpClient, Value) -> F)
where
    F: Future<Output = Result<Value, Value>>,
{
    let Ok(api) = std::env::var("AWS_LAMBDA_RUNTIME_API") else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = HttpClient::new();
        loop {
            let next = client.0.get(format!("http://{api}/2018-06-01/runtime/invocation/next").parse().unwrap());
            // The stack is gone: so is its function.
            let Ok(response) = next.await else { return };
            let id = response.headers()["lambda-runtime-aws-request-id"].to_str().unwrap().to_owned();
            let event = serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap();
            let (path, body) = match function(client.clone(), event).await {
                Ok(result) => ("response", result),
                Err(error) => ("error", error),
            };
            client.post(&format!("http://{api}/2018-06-01/runtime/invocation/{id}/{path}"), &[], body).await;
        }
    });
}

/// A plain HTTP client.
#[derive(Clone)]
pub(crate) struct HttpClient(Client<HttpConnector, Full<Bytes>>);

impl HttpClient {
    pub(crate) fn new() -> Self {
        Self(Client::builder(TokioExecutor::new()).build_http())
    }

    /// Status and body of a GET.
    pub(crate) async fn get(&self, url: &str) -> (u16, String) {
        self.send(Request::get(url).body(Full::default()).unwrap()).await
    }

    /// Status and body of a POST of JSON.
    pub(crate) async fn post(&self, url: &str, headers: &[(&str, &str)], body: Value) -> (u16, String) {
        self.send(request(Request::post(url), headers, body.to_string().into())).await
    }

    /// Status and body of a PUT of bytes.
    pub(crate) async fn put(&self, url: &str, headers: &[(&str, &str)], body: Vec<u8>) -> (u16, String) {
        self.send(request(Request::put(url), headers, body.into())).await
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> (u16, String) {
        let response = self.0.request(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }
}

fn request(mut builder: http::request::Builder, headers: &[(&str, &str)], body: Bytes) -> Request<Full<Bytes>> {
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(Full::new(body)).unwrap()
}
