//! Tokens from an issuer, for a client id and its secret (RFC 6749 §4.4): Cognito, Adobe's IMS, and most others.

use crate::api::{collect, connector};
use crate::failure::Failure;
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use serde_json::Value;

/// The access token that the token endpoint at `url` gives a client.
pub async fn token(url: &str, client_id: &str, secret: &str, scope: Option<&str>) -> Result<String, Failure> {
    let unreachable = |_: Box<dyn std::error::Error + Send + Sync>| Failure::say(format!("{url} does not answer."));
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials");
    form.append_pair("client_id", client_id).append_pair("client_secret", secret);
    scope.map(|scope| form.append_pair("scope", scope));
    let request = http::Request::post(url)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("accept", "application/json")
        .body(SdkBody::from(form.finish()));
    let request = request.map_err(|_| Failure::say(format!("{url} is no URL.")))?;
    let request = HttpRequest::try_from(request).map_err(|_| Failure::say(format!("{url} is no URL.")))?;
    let mut response = connector().call(request).await.map_err(|error| unreachable(error.into()))?;
    let status = response.status().as_u16();
    let answer = collect(response.take_body()).await.map_err(unreachable)?;
    read(url, status, &answer)
}

fn read(url: &str, status: u16, answer: &[u8]) -> Result<String, Failure> {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    match (status, answer["access_token"].as_str(), answer["error"].as_str()) {
        (200, Some(token), _) => Ok(token.to_owned()),
        (_, _, Some(error)) => Err(Failure::say(format!("{url} gives no token: {error} ({status})."))),
        _ => Err(Failure::say(format!("{url} gives no token ({status}); is that a token endpoint?"))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_client_and_its_secret_are_sent_as_a_form_and_the_token_is_read() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/oauth2/token", listener.local_addr().unwrap());
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = String::new();
            while !asked.contains("scope=") {
                let mut piece = [0; 4096];
                let length = stream.read(&mut piece).await.unwrap();
                asked.push_str(std::str::from_utf8(&piece[..length]).unwrap());
            }
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 22\r\n\r\n{\"access_token\":\"a.b\"}";
            stream.write_all(answer.as_bytes()).await.unwrap();
            asked
        };
        let (token, asked) = tokio::join!(token(&url, "id", "s&s", Some("export/jobs")), serve);
        assert_eq!(token.unwrap(), "a.b");
        let (head, body) = asked.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /oauth2/token HTTP/1.1\r\n"), "{head}");
        assert_eq!(body, "grant_type=client_credentials&client_id=id&client_secret=s%26s&scope=export%2Fjobs");
    }

    #[test]
    fn a_refusal_is_told_without_the_secret() {
        let told = |status, answer: &str| read("https://i/token", status, answer.as_bytes()).unwrap_err().to_string();
        let refused = told(400, r#"{"error":"invalid_client"}"#);
        assert_eq!(refused, "https://i/token gives no token: invalid_client (400).");
        for (status, answer) in [(404, "<html>"), (200, "{}"), (500, r#"{"access_token":"a"}"#)] {
            assert!(told(status, answer).ends_with("is that a token endpoint?"), "{answer}");
        }
    }
}
