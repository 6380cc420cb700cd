//! The Lambda Runtime API of one execution environment: one process, one invocation at a time.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono::Utc;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use crate::server::{Server, json};

const PREFIX: &str = "/2018-06-01/runtime/";
const CONTENT_TYPE: &str = "application/json";

/// What the function reported instead of a result. Both texts are the function's own: for logs, not for clients.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FunctionError {
    /// The kind of error, as the runtime names it.
    #[serde(default)]
    pub error_type: String,
    /// What it says.
    #[serde(default)]
    pub error_message: String,
}

/// The function's result, or the error it reported.
pub type Outcome = Result<Bytes, FunctionError>;

/// An invocation that was handed in: first it is taken by the process, then it has an outcome. Either channel closes
/// without a value when the Runtime API goes away.
#[derive(Debug)]
pub struct Invocation {
    /// Fires when the process has asked for it: the function's timeout runs from here.
    pub taken: oneshot::Receiver<()>,
    /// What the process reported.
    pub outcome: oneshot::Receiver<Outcome>,
}

/// The server; dropping it stops it, which ends the process at its next call.
#[derive(Debug)]
pub struct RuntimeApi {
    server: Server,
    offers: mpsc::UnboundedSender<Offer>,
}

struct Offer {
    request_id: String,
    payload: Bytes,
    timeout: Duration,
    taken: oneshot::Sender<()>,
    outcome: oneshot::Sender<Outcome>,
}

struct Environment {
    function_arn: HeaderValue,
    offers: tokio::sync::Mutex<mpsc::UnboundedReceiver<Offer>>,
    running: Mutex<Option<(String, oneshot::Sender<Outcome>)>>,
}

impl RuntimeApi {
    /// Serves an environment of the function `function_arn` on `listener`.
    pub fn start(listener: TcpListener, function_arn: &str) -> io::Result<Self> {
        let (offers, receiver) = mpsc::unbounded_channel();
        let environment = Arc::new(Environment {
            function_arn: HeaderValue::try_from(function_arn).map_err(io::Error::other)?,
            offers: tokio::sync::Mutex::new(receiver),
            running: Mutex::new(None),
        });
        let server = Server::start(listener, move |request| {
            let environment = environment.clone();
            async move { environment.answer(request).await }
        })?;
        Ok(Self { server, offers })
    }

    /// `host:port`, the value of `AWS_LAMBDA_RUNTIME_API`.
    pub fn authority(&self) -> String {
        self.server.address().to_string()
    }

    /// Hands an invocation in; the process gets `timeout` for it.
    pub fn invoke(&self, payload: Bytes, timeout: Duration) -> Invocation {
        let (taken, was_taken) = oneshot::channel();
        let (outcome, had_outcome) = oneshot::channel();
        let request_id = uuid::Uuid::new_v4().to_string();
        // With the server gone the offer is dropped, and both channels close, which is the answer.
        let _ = self.offers.send(Offer { request_id, payload, timeout, taken, outcome });
        Invocation { taken: was_taken, outcome: had_outcome }
    }
}

impl Environment {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let method = request.method().clone();
        let Some(path) = request.uri().path().strip_prefix(PREFIX).map(str::to_owned) else {
            return refusal(StatusCode::NOT_FOUND, "UnknownPath");
        };
        match (method, path.split('/').collect::<Vec<_>>().as_slice()) {
            (Method::GET, ["invocation", "next"]) => self.next().await,
            (Method::POST, ["invocation", id, "response"]) => match request.into_body().collect().await {
                Ok(body) => self.finish(id, Ok(body.to_bytes())),
                // The process died while it was answering: that is seen where the process is watched.
                Err(_) => refusal(StatusCode::BAD_REQUEST, "InvalidResponse"),
            },
            (Method::POST, ["invocation", id, "error"]) => {
                let reported = reported_error(request).await;
                self.finish(id, Err(reported))
            }
            (Method::POST, ["init", "error"]) => {
                let reported = reported_error(request).await;
                self.fail_init(reported).await
            }
            _ => refusal(StatusCode::NOT_FOUND, "UnknownPath"),
        }
    }

    /// Waits for the next invocation. One that a dying process takes along fails with it, where processes are watched.
    async fn next(&self) -> Response<Full<Bytes>> {
        let mut offers = self.offers.lock().await;
        let Some(offer) = offers.recv().await else { return refusal(StatusCode::GONE, "Shutdown") };
        drop(offers);
        let deadline = Utc::now().timestamp_millis() + i64::try_from(offer.timeout.as_millis()).unwrap_or(i64::MAX / 2);
        let trace = format!("Root=1-{:08x}-{};Sampled=0", Utc::now().timestamp(), &simple_uuid()[..24]);
        let mut response = json(StatusCode::OK, CONTENT_TYPE, offer.payload);
        let headers = response.headers_mut();
        headers.insert("lambda-runtime-aws-request-id", ascii(&offer.request_id));
        headers.insert("lambda-runtime-deadline-ms", deadline.into());
        headers.insert("lambda-runtime-invoked-function-arn", self.function_arn.clone());
        headers.insert("lambda-runtime-trace-id", ascii(&trace));
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some((offer.request_id, offer.outcome));
        // Whoever offered it may have given up; the outcome then goes nowhere.
        let _ = offer.taken.send(());
        response
    }

    fn finish(&self, request_id: &str, outcome: Outcome) -> Response<Full<Bytes>> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        match running.take() {
            Some((id, waiting)) if id == request_id => {
                let _ = waiting.send(outcome);
                json(StatusCode::ACCEPTED, CONTENT_TYPE, r#"{"status":"OK"}"#)
            }
            other => {
                *running = other;
                refusal(StatusCode::BAD_REQUEST, "InvalidRequestID")
            }
        }
    }

    /// The process could not start: the invocation that waited for it fails with what it reported.
    async fn fail_init(&self, reported: FunctionError) -> Response<Full<Bytes>> {
        if let Ok(offer) = self.offers.lock().await.try_recv() {
            let _ = offer.taken.send(());
            let _ = offer.outcome.send(Err(reported));
        }
        json(StatusCode::ACCEPTED, CONTENT_TYPE, r#"{"status":"OK"}"#)
    }
}

async fn reported_error(request: Request<Incoming>) -> FunctionError {
    let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    serde_json::from_slice(&body).unwrap_or_else(|_| FunctionError {
        error_type: "Unhandled".to_owned(),
        error_message: String::from_utf8_lossy(&body).into_owned(),
    })
}

fn refusal(status: StatusCode, kind: &str) -> Response<Full<Bytes>> {
    json(status, CONTENT_TYPE, format!(r#"{{"errorType":"{kind}","errorMessage":"{kind}"}}"#))
}

fn simple_uuid() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

fn ascii(text: &str) -> HeaderValue {
    HeaderValue::try_from(text).expect("hex digits, dashes and signs are a header value")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use hyper_util::client::legacy::{Client, connect::HttpConnector};
    use hyper_util::rt::TokioExecutor;

    use super::*;
    use crate::server::listen;

    /// A process of a function, played in this one.
    struct Process {
        client: Client<HttpConnector, Full<Bytes>>,
        base: String,
    }

    impl Process {
        async fn new() -> (RuntimeApi, Self) {
            let api = RuntimeApi::start(listen(0).await.unwrap(), "arn:aws:lambda:x:1:function:f").unwrap();
            let base = format!("http://{}{PREFIX}", api.authority());
            (api, Self { client: Client::builder(TokioExecutor::new()).build_http(), base })
        }

        async fn next(&self) -> Response<Incoming> {
            self.client.get(format!("{}invocation/next", self.base).parse().unwrap()).await.unwrap()
        }

        async fn post(&self, path: &str, body: &'static str) -> StatusCode {
            let request = Request::post(format!("{}{path}", self.base)).body(Full::from(body)).unwrap();
            self.client.request(request).await.unwrap().status()
        }
    }

    fn id_of<B>(response: &Response<B>) -> String {
        response.headers()["lambda-runtime-aws-request-id"].to_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn an_invocation_is_taken_and_answered() {
        let (api, process) = Process::new().await;
        let before = Utc::now().timestamp_millis();
        let invocation = api.invoke(Bytes::from_static(b"{\"n\":1}"), Duration::from_secs(30));
        let next = process.next().await;
        assert_eq!(next.headers()["lambda-runtime-invoked-function-arn"], "arn:aws:lambda:x:1:function:f");
        assert!(next.headers().contains_key("lambda-runtime-trace-id"));
        let deadline: i64 = next.headers()["lambda-runtime-deadline-ms"].to_str().unwrap().parse().unwrap();
        assert!((30_000..40_000).contains(&(deadline - before)), "{deadline} {before}");
        let id = id_of(&next);
        assert_eq!(next.into_body().collect().await.unwrap().to_bytes(), "{\"n\":1}");
        invocation.taken.await.unwrap();
        assert_eq!(process.post(&format!("invocation/{id}/response"), "done").await, StatusCode::ACCEPTED);
        assert_eq!(invocation.outcome.await.unwrap().unwrap(), "done");
    }

    #[tokio::test]
    async fn a_reported_error_is_the_outcome() {
        let (api, process) = Process::new().await;
        let invocation = api.invoke(Bytes::new(), Duration::from_secs(1));
        let id = id_of(&process.next().await);
        let body = r#"{"errorType":"Poison","errorMessage":"bad"}"#;
        assert_eq!(process.post(&format!("invocation/{id}/error"), body).await, StatusCode::ACCEPTED);
        let error = invocation.outcome.await.unwrap().unwrap_err();
        assert_eq!(error, FunctionError { error_type: "Poison".into(), error_message: "bad".into() });
    }

    #[tokio::test]
    async fn an_init_error_fails_the_invocation_that_waited() {
        let (api, process) = Process::new().await;
        let invocation = api.invoke(Bytes::new(), Duration::from_secs(1));
        let body = r#"{"errorType":"Settings","errorMessage":"TABLE_NAME is missing"}"#;
        assert_eq!(process.post("init/error", body).await, StatusCode::ACCEPTED);
        assert_eq!(invocation.outcome.await.unwrap().unwrap_err().error_type, "Settings");
    }

    #[tokio::test]
    async fn an_answer_for_another_request_is_refused_and_the_invocation_goes_on() {
        let (api, process) = Process::new().await;
        let invocation = api.invoke(Bytes::new(), Duration::from_secs(1));
        let id = id_of(&process.next().await);
        assert_eq!(process.post("invocation/other/response", "x").await, StatusCode::BAD_REQUEST);
        process.post(&format!("invocation/{id}/response"), "mine").await;
        assert_eq!(invocation.outcome.await.unwrap().unwrap(), "mine");
    }
}
