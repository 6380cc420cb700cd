//! A way to Glue on which an update is lost, going or coming.

use std::io::{Error, ErrorKind, Result};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What is lost of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The request: nothing happens.
    Request,
    /// The answer: it has happened.
    Answer,
}

/// The way. What is lost is a connection that closes.
pub struct Cut {
    /// Where it begins.
    pub url: String,
    next: Arc<Mutex<Option<Lost>>>,
}

impl Cut {
    /// A way to that URL.
    pub async fn to(url: &str) -> Self {
        let target = url.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let next: Arc<Mutex<Option<Lost>>> = Arc::default();
        let lost = next.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (target, lost) = (target.clone(), lost.clone());
                // A connection that ends is the client's to notice.
                tokio::spawn(async move { carry(client, &target, &lost).await.ok() });
            }
        });
        Self { url, next }
    }

    /// The next update is lost so.
    pub fn lose(&self, what: Lost) {
        *self.next.lock().unwrap() = Some(what);
    }
}

async fn carry(client: TcpStream, target: &str, lost: &Mutex<Option<Lost>>) -> Result<()> {
    let (mut client, mut server) = (BufReader::new(client), BufReader::new(TcpStream::connect(target).await?));
    loop {
        let request = message(&mut client).await?;
        let is_update = String::from_utf8_lossy(&request).contains("AWSGlue.UpdateTable");
        let cut = if is_update { lost.lock().unwrap().take() } else { None };
        if cut == Some(Lost::Request) {
            return Ok(());
        }
        server.write_all(&request).await?;
        let answer = message(&mut server).await?;
        if cut == Some(Lost::Answer) {
            return Ok(());
        }
        client.write_all(&answer).await?;
    }
}

/// A request or an answer, whole.
async fn message(from: &mut BufReader<TcpStream>) -> Result<Vec<u8>> {
    let (mut whole, mut length) = (Vec::new(), 0);
    loop {
        let start = whole.len();
        if from.read_until(b'\n', &mut whole).await? == 0 {
            return Err(Error::from(ErrorKind::UnexpectedEof));
        }
        let header = String::from_utf8_lossy(&whole[start..]).trim().to_ascii_lowercase();
        if let Some(digits) = header.strip_prefix("content-length:") {
            length = digits.trim().parse().map_err(|_| Error::from(ErrorKind::InvalidData))?;
        }
        if header.is_empty() {
            break;
        }
    }
    let head = whole.len();
    whole.resize(head + length, 0);
    from.read_exact(&mut whole[head..]).await?;
    Ok(whole)
}

/// A call of Glue's that the product never makes.
pub async fn post(url: &str, action: &str, body: &serde_json::Value) {
    let (target, body) = (url.strip_prefix("http://").unwrap(), body.to_string());
    let head = format!(
        "POST / HTTP/1.1\r\nhost: {target}\r\nx-amz-target: AWSGlue.{action}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut server = BufReader::new(TcpStream::connect(target).await.unwrap());
    server.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let answer = message(&mut server).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
}
