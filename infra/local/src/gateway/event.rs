//! A request as API Gateway's events say it: payload format 2.0, for functions and for authorizers.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::request::Parts;
use http::{HeaderMap, Method, header};
use serde_json::{Map, Value, json};

use crate::emulators::{ACCOUNT, REGION};

/// Every caller is on this machine.
const SOURCE_IP: &str = "127.0.0.1";

/// A request that has come in whole.
pub(super) struct Received {
    parts: Parts,
    body: Bytes,
    at: DateTime<Utc>,
    request_id: String,
}

/// A request on its route: what both events have in common.
pub(super) struct RoutedRequest {
    common: Map<String, Value>,
    context: Value,
    route_arn: String,
    body: Bytes,
    is_text: bool,
}

impl Received {
    pub(super) fn new(parts: Parts, body: Bytes) -> Self {
        Self { parts, body, at: Utc::now(), request_id: uuid::Uuid::new_v4().to_string() }
    }

    pub(super) fn method(&self) -> &Method {
        &self.parts.method
    }

    /// As sent.
    pub(super) fn path(&self) -> &str {
        self.parts.uri.path()
    }

    pub(super) fn for_route(self, api_id: &str, key: &str, parameters: &BTreeMap<String, String>) -> RoutedRequest {
        // An HTTP API hands the path on decoded, and loses what follows a decoded question mark.
        let decoded = percent_decoded(self.parts.uri.path());
        let path = decoded.split('?').next().unwrap_or_default();
        let query = self.parts.uri.query().unwrap_or_default();
        let mut headers = joined_headers(&self.parts.headers);
        let host = headers.get("host").cloned().unwrap_or_else(|| "localhost".to_owned());
        for (name, value) in [
            (
                "x-amzn-trace-id",
                format!("Root=1-{:08x}-{}", self.at.timestamp(), &self.request_id.replace('-', "")[..24]),
            ),
            ("x-forwarded-for", SOURCE_IP.to_owned()),
            ("x-forwarded-port", host.rsplit_once(':').map_or("80", |(_, port)| port).to_owned()),
            ("x-forwarded-proto", "http".to_owned()),
        ] {
            headers.entry(name.to_owned()).or_insert(value);
        }
        let is_text = is_text(&self.parts.headers) && std::str::from_utf8(&self.body).is_ok();
        let context = self.context(api_id, key, path, &host);
        let mut common = Map::new();
        common.insert("version".into(), "2.0".into());
        common.insert("routeKey".into(), key.into());
        common.insert("rawPath".into(), path.into());
        common.insert("rawQueryString".into(), query.into());
        let cookies = cookies(&self.parts.headers);
        if !cookies.is_empty() {
            common.insert("cookies".into(), cookies.into());
        }
        common.insert("headers".into(), json!(headers));
        let query = query_parameters(query);
        if !query.is_empty() {
            common.insert("queryStringParameters".into(), json!(query));
        }
        if !parameters.is_empty() {
            common.insert("pathParameters".into(), json!(parameters));
        }
        let route_arn = format!("arn:aws:execute-api:{REGION}:{ACCOUNT}:{api_id}/$default/{}{path}", self.method());
        RoutedRequest { common, context, route_arn, body: self.body, is_text }
    }

    fn context(&self, api_id: &str, key: &str, path: &str, host: &str) -> Value {
        let user_agent = self.parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        let domain = host.split(':').next().unwrap_or_default();
        json!({
            "accountId": ACCOUNT,
            "apiId": api_id,
            "domainName": domain,
            "domainPrefix": domain.split('.').next(),
            "http": {
                "method": self.method().as_str(),
                "path": path,
                "protocol": format!("{:?}", self.parts.version),
                "sourceIp": SOURCE_IP,
                "userAgent": user_agent.unwrap_or_default(),
            },
            "requestId": self.request_id,
            "routeKey": key,
            "stage": "$default",
            "time": self.at.format("%d/%b/%Y:%H:%M:%S %z").to_string(),
            "timeEpoch": self.at.timestamp_millis(),
        })
    }
}

impl RoutedRequest {
    /// The event for the route's function; `authorized` is the authorizer's context.
    pub(super) fn event(&self, authorized: Option<&Value>) -> Value {
        let mut event = self.common.clone();
        let mut context = self.context.clone();
        if let Some(authorized) = authorized {
            context["authorizer"] = json!({ "lambda": authorized });
        }
        event.insert("requestContext".into(), context);
        if !self.body.is_empty() {
            let text = if self.is_text {
                String::from_utf8_lossy(&self.body).into_owned()
            } else {
                STANDARD.encode(&self.body)
            };
            event.insert("body".into(), text.into());
        }
        event.insert("isBase64Encoded".into(), (!self.body.is_empty() && !self.is_text).into());
        event.into()
    }

    /// The event for the authorizer's function: without the body.
    pub(super) fn authorizer_event(&self) -> Value {
        let mut event = self.common.clone();
        event.insert("type".into(), "REQUEST".into());
        event.insert("routeArn".into(), self.route_arn.as_str().into());
        // The authorizers here have no identity sources.
        event.insert("identitySource".into(), Value::Null);
        event.insert("requestContext".into(), self.context.clone());
        event.into()
    }
}

/// Names in lower case, several values of one name joined by commas; cookies stand elsewhere.
fn joined_headers(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut joined = BTreeMap::<String, String>::new();
    for (name, value) in headers {
        if name == header::COOKIE {
            continue;
        }
        let value = String::from_utf8_lossy(value.as_bytes());
        joined
            .entry(name.as_str().to_owned())
            .and_modify(|before| before.extend([",", &value]))
            .or_insert_with(|| value.into_owned());
    }
    joined
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(';')).map(|cookie| cookie.trim().to_owned()).collect()
}

fn query_parameters(query: &str) -> BTreeMap<String, String> {
    let mut joined = BTreeMap::<String, String>::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        joined
            .entry(name.into_owned())
            .and_modify(|before| before.extend([",", &value]))
            .or_insert_with(|| value.into_owned());
    }
    joined
}

/// Whether the gateway hands the body on as text; anything else goes as base64.
fn is_text(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return true };
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind.starts_with("text/")
        || ["application/json", "application/javascript", "application/xml"].contains(&kind.as_str())
        || kind.ends_with("+json")
        || kind.ends_with("+xml")
}

/// Percent signs that begin no code stay; bytes that are no UTF-8 become replacement characters.
pub(super) fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let code = text.get(at + 1..at + 3).filter(|code| code.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(code) if *byte == b'%' => {
                decoded.push(code);
                at += 3;
            }
            _ => {
                decoded.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use http::Request;

    fn routed(request: http::request::Builder, body: &'static [u8]) -> RoutedRequest {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let parameters = BTreeMap::from([("id".to_owned(), "7".to_owned())]);
        Received::new(parts, Bytes::from_static(body)).for_route("Api", "POST /jobs/{id}", &parameters)
    }

    fn post() -> http::request::Builder {
        Request::post("/jobs/7?limit=2&tag=a&tag=b%20c").header("Host", "localhost:8080")
    }

    #[test]
    fn a_request_becomes_an_event_of_payload_2_0() {
        let request = post().header("X-Two", "a").header("x-two", "b").header("Cookie", "k=v; l=w");
        let event = routed(request.header("content-type", "application/json"), br#"{"a":1}"#).event(None);
        assert_eq!(event["version"], "2.0");
        assert_eq!(event["rawPath"], "/jobs/7");
        assert_eq!(event["rawQueryString"], "limit=2&tag=a&tag=b%20c");
        assert_eq!(event["queryStringParameters"], json!({ "limit": "2", "tag": "a,b c" }));
        assert_eq!(event["pathParameters"], json!({ "id": "7" }));
        assert_eq!(event["headers"]["x-two"], "a,b");
        assert_eq!(event["headers"].get("cookie"), None);
        assert_eq!(event["cookies"], json!(["k=v", "l=w"]));
        assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!(r#"{"a":1}"#), &json!(false)));
        let context = &event["requestContext"];
        assert_eq!((&context["http"]["method"], &context["http"]["path"]), (&json!("POST"), &json!("/jobs/7")));
        assert_eq!(context["http"]["protocol"], "HTTP/1.1");
        assert_eq!(context["stage"], "$default");
        assert_eq!(context.get("authorizer"), None);
    }

    #[test]
    fn what_is_not_there_is_left_out() {
        let (parts, ()) = Request::get("/jobs").body(()).unwrap().into_parts();
        let event = Received::new(parts, Bytes::new()).for_route("Api", "$default", &BTreeMap::new()).event(None);
        for absent in ["body", "cookies", "queryStringParameters", "pathParameters"] {
            assert_eq!(event.get(absent), None, "{absent}");
        }
        assert_eq!(event["rawQueryString"], "");
    }

    #[test]
    fn a_body_that_is_no_text_goes_as_base64() {
        for (kind, is_base64) in [
            ("application/octet-stream", true),
            ("application/json; charset=utf-8", false),
            ("application/vnd.adobe.xdm+json", false),
        ] {
            let event = routed(post().header("content-type", kind), b"{}").event(None);
            assert_eq!(event["isBase64Encoded"], is_base64, "{kind}");
        }
        let event = routed(post().header("content-type", "text/plain"), b"\xff").event(None);
        assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("/w=="), &json!(true)));
    }

    #[test]
    fn the_authorizers_context_stands_in_the_functions_event() {
        let event = routed(post(), b"").event(Some(&json!({ "verdict": "allow" })));
        assert_eq!(event["requestContext"]["authorizer"], json!({ "lambda": { "verdict": "allow" } }));
    }

    #[test]
    fn the_authorizers_event_has_the_route_and_no_body() {
        let event = routed(post().header("authorization", "Bearer x"), b"secret").authorizer_event();
        assert_eq!((&event["type"], &event["identitySource"]), (&json!("REQUEST"), &Value::Null));
        assert_eq!(event["routeArn"], "arn:aws:execute-api:us-east-1:123456789012:Api/$default/POST/jobs/7");
        assert_eq!(event["headers"]["authorization"], "Bearer x");
        assert_eq!((event.get("body"), event.get("isBase64Encoded")), (None, None));
    }

    #[test]
    fn percent_codes_are_decoded_and_stray_percent_signs_stay() {
        assert_eq!(percent_decoded("a%20b%2Fc"), "a b/c");
        assert_eq!(percent_decoded("100%"), "100%");
        assert_eq!(percent_decoded("%zz%+1"), "%zz%+1");
        assert_eq!(percent_decoded("%ff"), "\u{fffd}");
        assert_eq!(percent_decoded("é%C3%A9"), "éé");
    }
}
