//! Cross-origin answers, where the template configures them.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;

use crate::template::Cors;

/// The answer to a preflight; `None` where the request is none.
pub(super) fn preflight(cors: &Cors, request: &HeaderMap) -> Option<Response<Full<Bytes>>> {
    if !request.contains_key(header::ORIGIN) || !request.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
        return None;
    }
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    if add_headers(cors, request, headers) {
        set(headers, header::ACCESS_CONTROL_ALLOW_METHODS, &cors.allow_methods.join(","));
        set(headers, header::ACCESS_CONTROL_ALLOW_HEADERS, &cors.allow_headers.join(","));
        set(
            headers,
            header::ACCESS_CONTROL_MAX_AGE,
            &cors.max_age_seconds.map(|age| age.to_string()).unwrap_or_default(),
        );
    }
    Some(response)
}

/// What a browser needs to hand the answer on; whether the origin is allowed.
pub(super) fn add_headers(cors: &Cors, request: &HeaderMap, headers: &mut HeaderMap) -> bool {
    let Some(origin) = request.get(header::ORIGIN).and_then(|origin| origin.to_str().ok()) else { return false };
    let anyone = cors.allow_origins.iter().any(|allowed| allowed == "*");
    if !anyone && !cors.allow_origins.iter().any(|allowed| allowed == origin) {
        return false;
    }
    set(headers, header::ACCESS_CONTROL_ALLOW_ORIGIN, if anyone { "*" } else { origin });
    set(headers, header::ACCESS_CONTROL_EXPOSE_HEADERS, &cors.expose_headers.join(","));
    if cors.allow_credentials {
        set(headers, header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
    }
    true
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value)
        && !value.is_empty()
    {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn request(origin: &'static str) -> HeaderMap {
        HeaderMap::from_iter([
            (header::ORIGIN, HeaderValue::from_static(origin)),
            (header::ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("POST")),
        ])
    }

    fn cors() -> Cors {
        Cors {
            allow_origins: vec!["https://ours".into()],
            allow_methods: vec!["GET".into(), "POST".into()],
            max_age_seconds: Some(60),
            ..Cors::default()
        }
    }

    #[test]
    fn a_preflight_of_an_allowed_origin_is_told_what_it_may() {
        let response = preflight(&cors(), &request("https://ours")).unwrap();
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
        assert_eq!(response.headers()["access-control-allow-origin"], "https://ours");
        assert_eq!(response.headers()["access-control-allow-methods"], "GET,POST");
        assert_eq!(response.headers()["access-control-max-age"], "60");
        assert!(!response.headers().contains_key("access-control-allow-headers"));
    }

    #[test]
    fn another_origin_is_told_nothing() {
        let response = preflight(&cors(), &request("https://theirs")).unwrap();
        assert!(response.headers().is_empty());
        assert!(preflight(&cors(), &HeaderMap::new()).is_none());
    }
}
