//! The HTTP API: a request becomes an API Gateway event, goes through the authorizer's function to the route's, and its
//! result becomes the answer.

mod cors;
mod event;
mod reply;
mod routes;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Body;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::StartError;
use crate::lambda::Invoke;
use crate::server::Server;
use crate::template::{Cors, HttpApi};
use event::Received;
use reply::message;
use routes::Routes;

/// The largest body that the gateway takes.
const MAX_BODY_BYTES: usize = 10 * 1024 * 1024;

/// How long the gateway waits for an authorizer.
const AUTHORIZER_TIMEOUT: Duration = Duration::from_secs(10);

/// The running gateway.
#[derive(Debug)]
pub struct Gateway {
    server: Server,
}

impl Gateway {
    /// Serves `api` on `listener`; `functions` are by logical id. Routes to functions that are not among them, which no
    /// template gives, answer 500.
    pub fn start<I: Invoke>(
        listener: TcpListener,
        api: &HttpApi,
        functions: &BTreeMap<String, I>,
    ) -> Result<Self, StartError> {
        let desk = Arc::new(Desk::new(api, functions));
        let server = Server::start(listener, move |request| {
            let desk = desk.clone();
            async move { desk.answer(request).await }
        });
        Ok(Self { server: server.map_err(|source| StartError::Listen { port: 0, source })? })
    }

    /// `http://host:port`.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Takes no more requests; those in flight have a second.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

/// Where requests are taken in: the routes, each with its functions.
struct Desk<I> {
    api_id: String,
    cors: Option<Cors>,
    routes: Routes<Target<I>>,
}

struct Target<I> {
    function: Option<I>,
    authorizer: Option<Option<I>>,
    timeout: Duration,
}

impl<I: Invoke> Desk<I> {
    fn new(api: &HttpApi, functions: &BTreeMap<String, I>) -> Self {
        let target = |route: &crate::template::Route| Target {
            function: functions.get(&route.function).cloned(),
            authorizer: route.authorizer.as_ref().map(|id| functions.get(id).cloned()),
            timeout: route.timeout,
        };
        let routes = Routes::new(api.routes.iter().map(|route| (route.key.as_str(), target(route))));
        Self { api_id: api.id.clone(), cors: api.cors.clone(), routes }
    }

    async fn answer<B>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        B::Data: Send,
    {
        let (parts, body) = request.into_parts();
        if let Some(cors) = &self.cors
            && parts.method == Method::OPTIONS
            && let Some(preflight) = cors::preflight(cors, &parts.headers)
        {
            return preflight;
        }
        let headers = parts.headers.clone();
        let mut response = match Limited::new(body, MAX_BODY_BYTES).collect().await {
            Ok(body) => self.route(Received::new(parts, body.to_bytes())).await,
            Err(_too_long_or_cut_off) => message(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large"),
        };
        if let Some(cors) = &self.cors {
            cors::add_headers(cors, &headers, response.headers_mut());
        }
        response
    }

    async fn route(&self, received: Received) -> Response<Full<Bytes>> {
        let Some(found) = self.routes.find(received.method(), received.path()) else {
            return message(StatusCode::NOT_FOUND, "Not Found");
        };
        let request = received.for_route(&self.api_id, found.key, &found.parameters);
        let context = match &found.target.authorizer {
            None => None,
            Some(authorizer) => match authorize(authorizer.as_ref(), &request.authorizer_event()).await {
                Ok(context) => Some(context),
                Err(refusal) => return refusal,
            },
        };
        let Some(function) = &found.target.function else { return failed() };
        let event = request.event(context.as_ref()).to_string();
        match timeout(found.target.timeout, function.invoke(event.into())).await {
            Ok(Ok(result)) => reply::from_result(&result).unwrap_or_else(failed),
            Ok(Err(_logged)) => failed(),
            Err(_elapsed) => message(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"),
        }
    }
}

/// The authorizer's context, or the answer in place of the route's.
async fn authorize<I: Invoke>(authorizer: Option<&I>, event: &Value) -> Result<Value, Response<Full<Bytes>>> {
    let authorizer = authorizer.ok_or_else(failed)?;
    let asked = timeout(AUTHORIZER_TIMEOUT, authorizer.invoke(event.to_string().into())).await;
    let Ok(Ok(result)) = asked else { return Err(failed()) };
    let Ok(mut verdict) = serde_json::from_slice::<Value>(&result) else { return Err(failed()) };
    match verdict.get("isAuthorized").and_then(Value::as_bool) {
        Some(true) => Ok(verdict["context"].take()),
        Some(false) => Err(message(StatusCode::FORBIDDEN, "Forbidden")),
        None => Err(failed()),
    }
}

fn failed() -> Response<Full<Bytes>> {
    message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
}

#[cfg(test)]
#[path = "gateway/tests.rs"]
mod tests;
