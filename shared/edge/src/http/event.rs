//! The gateway's event: payload format 2.0, of which only what is used is read. Whatever may be absent may be null.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// An HTTP API's event to a route or to its authorizer.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Event {
    /// The path.
    pub raw_path: String,
    /// The query, encoded, without its question mark.
    pub raw_query_string: String,
    /// The headers.
    #[serde(deserialize_with = "or_default")]
    pub headers: Headers,
    /// The body, as text or as Base64.
    pub body: Option<String>,
    /// Which of the two.
    pub is_base64_encoded: bool,
    /// What the gateway adds.
    pub request_context: RequestContext,
}

/// What the gateway adds to a request.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RequestContext {
    /// The gateway's own id of the request.
    pub request_id: String,
    /// Its HTTP part.
    pub http: HttpPart,
    /// What the authorizer said; absent on events to the authorizer itself.
    #[serde(deserialize_with = "or_default")]
    pub authorizer: AuthorizerPart,
}

/// The HTTP part of the request's context.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct HttpPart {
    /// The method, in capitals.
    pub method: String,
}

/// What the authorizer said.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct AuthorizerPart {
    /// The context of its simple response.
    #[serde(deserialize_with = "or_default")]
    pub lambda: Map<String, Value>,
}

/// Headers by lower-case name. Repeated ones come from the gateway as one value joined with commas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(BTreeMap<String, String>);

impl Headers {
    /// The trimmed value of a header, given by its lower-case name; a blank one is an absent one.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.even_blank(name).filter(|value| !value.is_empty())
    }

    /// As [`Headers::get`], but a blank header is there, and empty.
    pub fn even_blank(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim())
    }
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let sent = BTreeMap::<String, String>::deserialize(from)?;
        Ok(Self(sent.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect()))
    }
}

impl Event {
    /// The body's bytes; `None` where the gateway's Base64 cannot be read.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        let text = self.body.as_deref().unwrap_or_default();
        if self.is_base64_encoded { STANDARD.decode(text).ok() } else { Some(text.as_bytes().to_vec()) }
    }

    /// The query's pairs, decoded, in order.
    pub fn query(&self) -> Vec<(String, String)> {
        let pairs = self.raw_query_string.split('&').filter(|pair| !pair.is_empty());
        pairs
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                (decode(&name.replace('+', " ")), decode(&value.replace('+', " ")))
            })
            .collect()
    }
}

/// Percent-decoding. A broken escape stands for itself, bytes that are no UTF-8 become replacement characters.
pub(super) fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        match (byte, after) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                out.push(hex(*high) << 4 | hex(*low));
                rest = after;
            }
            _ => {
                out.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The value of an ASCII hexadecimal digit.
fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(value: Value) -> Event {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn whatever_may_be_absent_may_be_null() {
        let event = event(json!({"headers": null, "body": null, "requestContext": {"authorizer": null}}));
        assert_eq!((event.bytes(), event.headers), (Some(Vec::new()), Headers::default()));
    }

    #[test]
    fn a_body_is_text_or_base64() {
        let bytes = |body, coded| event(json!({"body": body, "isBase64Encoded": coded})).bytes();
        assert_eq!(bytes("{}", false), Some(b"{}".to_vec()));
        assert_eq!(bytes("e30=", true), Some(b"{}".to_vec()));
        assert_eq!(bytes("e30", true), None);
    }

    #[test]
    fn a_query_is_decoded_in_order() {
        let query = event(json!({"rawQueryString": "limit=2&&offset=1%5F2&status&a+b=%c3%a4+%zz%4&limit=3="})).query();
        let wanted = [("limit", "2"), ("offset", "1_2"), ("status", ""), ("a b", "ä %zz%4"), ("limit", "3=")];
        assert_eq!(query, wanted.map(|(n, v)| (n.to_owned(), v.to_owned())));
    }

    #[test]
    fn headers_are_found_by_lower_case_and_blank_ones_are_absent() {
        let headers = event(json!({"headers": {"X-Api-Key": " k ", "accept": "  "}})).headers;
        assert_eq!((headers.get("x-api-key"), headers.get("accept"), headers.get("host")), (Some("k"), None, None));
    }
}
