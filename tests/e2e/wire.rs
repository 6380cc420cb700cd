//! Requests as they stand on the wire: what clients tidy up is sent as it is, and answers are seen whole.

use crate::PATIENCE;
use crate::world::World;
use admin::api::Caller;
use serde_json::Value;
use std::collections::BTreeMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Both base paths.
pub const BASES: [&str; 2] = ["/export/jobs", "/data/core/ups/export/jobs"];

/// A request's headers by name.
pub type Headers = BTreeMap<&'static str, String>;

/// An answer as it came.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// The body as JSON; null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// Whether the request was refused, and did not fail.
    pub fn refuses(&self) -> bool {
        (400..500).contains(&self.status)
    }

    /// What came of a request, in one line that is not too long.
    pub fn told(&self, method: &str, path: &str) -> String {
        let short = |text: &str| text.chars().take(100).collect::<String>();
        format!("{method} {}: {} {}", short(path), self.status, short(&self.body))
    }
}

/// The headers of a client's request. The request's id is always the same, so that whole answers can be compared.
pub fn headers(caller: &Caller) -> Headers {
    BTreeMap::from([
        ("authorization", format!("Bearer {}", caller.token)),
        ("x-api-key", caller.api_key.clone()),
        ("x-gw-ims-org-id", caller.organization.clone()),
        ("x-sandbox-name", caller.sandbox.clone()),
        ("x-request-id", "request-1".to_owned()),
    ])
}

/// Who the stack's own client is, with the token that the stack tells.
pub fn own_caller(world: &World) -> Caller {
    let stack: Value = serde_json::from_slice(&std::fs::read(world.folder().join("stack.json")).unwrap()).unwrap();
    let text = |name: &str| stack[name].as_str().unwrap().to_owned();
    Caller {
        token: text("token"),
        api_key: text("apiKey"),
        organization: text("organization"),
        sandbox: text("sandbox"),
    }
}

/// The headers of the stack's own client.
pub fn ours(world: &World) -> Headers {
    headers(&own_caller(world))
}

/// Sends a request as it stands; a body goes as JSON, unless a header says otherwise. An answer that does not come is a failure.
pub async fn send(world: &World, method: &str, target: &str, headers: &Headers, body: &str) -> Answer {
    let url = world.stack().url();
    let host = url.strip_prefix("http://").unwrap();
    let mut request = format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        request += &format!("content-length: {}\r\n", body.len());
        if !headers.contains_key("content-type") {
            request += "content-type: application/json\r\n";
        }
    }
    request += &format!("\r\n{body}");
    let exchange = async {
        let mut stream = TcpStream::connect(host).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = tokio::time::timeout(PATIENCE, exchange).await.expect("an answer comes").unwrap();
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}
