//! A server that answers as it is told to and remembers what it was asked: for answers that no emulator gives.

use aws::{Clients, Endpoints};
use serde_json::Value;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// An answer: status, content type and body.
pub type Answer = (u16, &'static str, String);

/// An answer of DynamoDB or SQS.
pub fn json(status: u16, body: Value) -> Answer {
    (status, "application/x-amz-json-1.0", body.to_string())
}

/// An answer of S3.
pub fn xml(status: u16, code: &str) -> Answer {
    (status, "application/xml", format!("<Error><Code>{code}</Code><Message>as told</Message></Error>"))
}

/// The server. Answers in order; after the last it goes on with the last.
pub struct Script {
    pub clients: Clients,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Script {
    pub async fn start(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (seen, answers) = (asked.clone(), Arc::new(answers));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, answers) = (seen.clone(), answers.clone());
                // A broken connection is the client's to notice.
                tokio::spawn(async move { serve(stream, &seen, &answers).await.ok() });
            }
        });
        let endpoints = Endpoints {
            dynamodb: url.clone(),
            s3: url.clone(),
            sqs: url.clone(),
            glue: url,
            region: "us-east-1".into(),
            access_key: "key".into(),
            secret_key: "secret".into(),
        };
        Self { clients: Clients::at(&endpoints).await, asked }
    }

    /// The bodies of all requests so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// One member of each request's JSON body.
    pub fn asked_for(&self, member: &str) -> Vec<Value> {
        self.asked().iter().map(|body| serde_json::from_str::<Value>(body).unwrap()[member].clone()).collect()
    }
}

async fn serve(stream: TcpStream, asked: &Mutex<Vec<String>>, answers: &[Answer]) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut length, mut line) = (0, String::new());
        loop {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let header = line.trim_end().to_ascii_lowercase();
            if let Some(digits) = header.strip_prefix("content-length:") {
                length = digits.trim().parse().unwrap();
            }
            if header.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        let (status, kind, answer) = {
            let mut asked = asked.lock().unwrap();
            asked.push(String::from_utf8_lossy(&body).into_owned());
            answers[(asked.len() - 1).min(answers.len() - 1)].clone()
        };
        let head = format!("HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", answer.len());
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(answer.as_bytes()).await?;
    }
}
