//! A function's result as the gateway's answer.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::{Map, Value, json};

use crate::server;

/// The gateway's own answers: `{"message": …}`.
pub(super) fn message(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    server::json(status, "application/json", json!({ "message": text }).to_string())
}

/// The answer that a result of payload 2.0 stands for; `None` where it stands for none, which the gateway answers 500.
/// A result without `statusCode` is the body of a 200.
pub(super) fn from_result(result: &Bytes) -> Option<Response<Full<Bytes>>> {
    let parsed: Value = serde_json::from_slice(result).ok()?;
    let Some(status) = parsed.get("statusCode") else {
        return Some(server::json(StatusCode::OK, "application/json", result.clone()));
    };
    let status = status.as_u64().and_then(|status| u16::try_from(status).ok());
    let mut response = Response::new(Full::new(body(&parsed)?));
    *response.status_mut() = StatusCode::from_u16(status?).ok()?;
    let none = Map::new();
    let object = |key: &str| parsed[key].as_object().unwrap_or(&none);
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    for (name, value) in object("headers") {
        response.headers_mut().insert(HeaderName::try_from(name).ok()?, header_value(value)?);
    }
    for (name, values) in object("multiValueHeaders") {
        let name = HeaderName::try_from(name).ok()?;
        response.headers_mut().remove(&name);
        for value in list(values) {
            response.headers_mut().append(&name, header_value(&value)?);
        }
    }
    for cookie in list(&parsed["cookies"]) {
        response.headers_mut().append(header::SET_COOKIE, header_value(&cookie)?);
    }
    // The server writes the length of the body that is sent.
    response.headers_mut().remove(header::CONTENT_LENGTH);
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().entry(header::CONTENT_TYPE).or_insert(plain);
    Some(response)
}

fn body(result: &Value) -> Option<Bytes> {
    match &result["body"] {
        Value::Null => Some(Bytes::new()),
        Value::String(text) if result["isBase64Encoded"] == true => STANDARD.decode(text).ok().map(Bytes::from),
        Value::String(text) => Some(text.clone().into()),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn header_value(value: &Value) -> Option<HeaderValue> {
    match value {
        Value::String(text) => HeaderValue::try_from(text).ok(),
        Value::Number(_) | Value::Bool(_) => HeaderValue::try_from(value.to_string()).ok(),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use http_body_util::BodyExt;

    async fn read(result: &Value) -> Option<(u16, http::HeaderMap, String)> {
        let response = from_result(&result.to_string().into())?;
        let (parts, body) = response.into_parts();
        let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        Some((parts.status.as_u16(), parts.headers, body))
    }

    #[tokio::test]
    async fn status_headers_cookies_and_body_are_taken_over() {
        let result = json!({
            "statusCode": 201, "headers": { "content-type": "application/json", "X-Retry": 3, "content-length": "99" },
            "multiValueHeaders": { "vary": ["a", "b"] }, "cookies": ["k=v"], "body": "{}", "isBase64Encoded": false });
        let (status, headers, body) = read(&result).await.unwrap();
        assert_eq!((status, body.as_str()), (201, "{}"));
        assert_eq!((&headers["content-type"], &headers["x-retry"]), (&"application/json".parse().unwrap(), &3.into()));
        assert_eq!(headers.get_all("vary").iter().count(), 2);
        assert_eq!(headers["set-cookie"], "k=v");
        assert!(!headers.contains_key("content-length"));
    }

    #[tokio::test]
    async fn a_result_without_a_status_is_the_body_of_a_200() {
        let (status, headers, body) = read(&json!({ "a": 1 })).await.unwrap();
        assert_eq!(
            (status, body.as_str(), &headers["content-type"]),
            (200, r#"{"a":1}"#, &"application/json".parse().unwrap())
        );
    }

    #[tokio::test]
    async fn a_base64_body_is_decoded() {
        let result = json!({ "statusCode": 200, "body": "aGk=", "isBase64Encoded": true });
        assert_eq!(read(&result).await.unwrap().2, "hi");
    }

    #[tokio::test]
    async fn a_result_that_stands_for_no_answer_is_refused() {
        assert!(read(&json!({ "statusCode": "twohundred" })).await.is_none());
        assert!(read(&json!({ "statusCode": 200, "headers": { "bad name": "x" } })).await.is_none());
        assert!(read(&json!({ "statusCode": 200, "body": { "not": "text" } })).await.is_none());
        assert!(from_result(&Bytes::from_static(b"not json")).is_none());
    }
}
