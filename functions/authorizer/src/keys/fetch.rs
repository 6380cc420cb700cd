//! The one thing outside that the authorizer asks: the issuer's key set, over HTTPS.

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorSettings, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use http::Uri;
use std::error::Error;
use std::time::Duration;

/// For the whole of it, from connecting to the last byte: a request waits for it.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Longest key set that is read, in bytes; they have a few KiB.
const MAX_BYTES: usize = 256 * 1024;

/// Fetches a key set.
pub trait FetchKeys {
    /// The set's JSON as it is now.
    fn fetch(&self) -> impl Future<Output = Result<String, FetchError>> + Send;
}

/// Why there is no key set.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No answer came, or not in time.
    #[error("no answer")]
    Unreachable(#[source] Box<dyn Error + Send + Sync>),
    /// The answer is another than 200. Redirections are not followed.
    #[error("the answer has the status {0}")]
    Status(u16),
    /// The answer is too long, or no text.
    #[error("the answer is no key set")]
    Strange,
}

/// A key set at a URL.
#[derive(Clone, Debug)]
pub struct HttpKeys {
    url: Uri,
    connector: SharedHttpConnector,
}

impl HttpKeys {
    /// The set at an `https` URL; `http` is taken from this machine itself only. Contacts nothing.
    pub fn at(url: &str) -> Option<Self> {
        let url: Uri = url.parse().ok()?;
        let loopback = matches!(url.host()?, "127.0.0.1" | "[::1]" | "localhost");
        let sound = match url.scheme_str()? {
            "https" => true,
            "http" => loopback,
            _ => false,
        };
        let connector = Connector::builder()
            .connector_settings(HttpConnectorSettings::builder().connect_timeout(TIMEOUT).read_timeout(TIMEOUT).build())
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .build();
        sound.then(|| Self { url, connector: SharedHttpConnector::new(connector) })
    }

    async fn get(&self) -> Result<String, FetchError> {
        let request = http::Request::get(self.url.clone()).header("accept", "application/json").body(SdkBody::empty());
        let request = request.map_err(|error| FetchError::Unreachable(error.into()))?;
        let request = HttpRequest::try_from(request).map_err(|error| FetchError::Unreachable(error.into()))?;
        let response = self.connector.call(request).await.map_err(|error| FetchError::Unreachable(error.into()))?;
        let status = response.status().as_u16();
        if status != 200 {
            return Err(FetchError::Status(status));
        }
        let (mut body, mut read) = (ByteStream::new(response.into_body()), Vec::new());
        while let Some(piece) = body.next().await {
            read.extend_from_slice(&piece.map_err(|error| FetchError::Unreachable(error.into()))?);
            if read.len() > MAX_BYTES {
                return Err(FetchError::Strange);
            }
        }
        String::from_utf8(read).map_err(|_| FetchError::Strange)
    }
}

impl FetchKeys for HttpKeys {
    async fn fetch(&self) -> Result<String, FetchError> {
        let late = |error| FetchError::Unreachable(Box::new(error));
        tokio::time::timeout(TIMEOUT, self.get()).await.map_err(late)?
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// What is fetched from a server that gives this answer, whatever it is asked; and what it was asked.
    async fn fetched(answer: &[u8]) -> (Result<String, FetchError>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys?v=1", listener.local_addr().unwrap());
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 4096];
            let length = stream.read(&mut asked).await.unwrap();
            asked.truncate(length);
            // The reader hangs up as soon as it has seen enough.
            let _ = stream.write_all(answer).await;
            String::from_utf8(asked).unwrap()
        };
        let keys = HttpKeys::at(&url).unwrap();
        tokio::join!(keys.fetch(), serve)
    }

    #[tokio::test]
    async fn a_key_set_is_fetched_with_one_get() {
        let (text, asked) = fetched(b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{\"keys\":[]}").await;
        assert_eq!(text.unwrap(), r#"{"keys":[]}"#);
        assert!(asked.starts_with("GET /keys?v=1 HTTP/1.1\r\n"), "{asked}");
    }

    #[tokio::test]
    async fn any_other_answer_is_an_error_and_no_redirection_is_followed() {
        let moved = b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n";
        assert!(matches!(fetched(moved).await.0, Err(FetchError::Status(302))));
        let broken = b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{\"ke";
        assert!(matches!(fetched(broken).await.0, Err(FetchError::Unreachable(_))));
        let mut endless = b"HTTP/1.1 200 OK\r\ncontent-length: 9999999\r\n\r\n".to_vec();
        endless.resize(MAX_BYTES + 1_000, b' ');
        assert!(matches!(fetched(&endless).await.0, Err(FetchError::Strange)));
        assert!(matches!(
            fetched(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n\xff").await.0,
            Err(FetchError::Strange)
        ));
    }

    #[test]
    fn keys_come_over_tls_or_from_this_machine() {
        for url in ["https://issuer.example/keys", "http://127.0.0.1:9/keys", "http://localhost/keys"] {
            assert!(HttpKeys::at(url).is_some(), "{url}");
        }
        for url in ["http://issuer.example/keys", "http://127.0.0.1.issuer.example/", "file:///etc/keys", "keys", ""] {
            assert!(HttpKeys::at(url).is_none(), "{url}");
        }
    }
}
