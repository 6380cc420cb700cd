//! SQS by winterbaume, behind a small HTTP server that gives queues loopback URLs, keeps SQS's batch limits and moves dead
//! letters back.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;
use winterbaume_core::{MockRequest, MockService};
use winterbaume_sqs::state::SqsError;
use winterbaume_sqs::types::Message;
use winterbaume_sqs::{InMemorySqsBackend, SqsBackend, SqsService};

use super::{ACCOUNT, REGION};
use crate::StartError;
use crate::server::{Server, json as json_answer};

const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

/// SQS takes at most ten entries in one batch.
const BATCH_ENTRIES: usize = 10;
/// SQS takes at most 1 MiB in one message or batch.
const PAYLOAD_BYTES: usize = 1024 * 1024;

/// How often a waiting receive looks for messages that time, not a send, made visible.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The running emulator.
#[derive(Debug)]
pub struct Sqs {
    server: Server,
    queues: Queues,
}

/// What SQS answered instead of doing it.
#[derive(Debug, thiserror::Error)]
#[error("The queue {queue} refused.")]
pub struct QueueError {
    queue: String,
    #[source]
    source: SqsError,
}

/// The queues behind the port, in process; a clone shares them.
#[derive(Clone)]
pub struct Queues {
    service: Arc<SqsService>,
    backend: Arc<InMemorySqsBackend>,
    sent: Arc<Notify>,
}

impl fmt::Debug for Queues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queues").finish_non_exhaustive()
    }
}

impl Sqs {
    /// Serves no queues yet, on `listener`.
    pub fn start(listener: TcpListener) -> Result<Self, StartError> {
        let refused = |source| StartError::Listen { port: 0, source };
        let backend = Arc::new(InMemorySqsBackend::new());
        let service = Arc::new(SqsService::with_backend(backend.clone()));
        let queues = Queues { service, backend, sent: Arc::new(Notify::new()) };
        let url = format!("http://{}", listener.local_addr().map_err(refused)?);
        let served = queues.clone();
        let server = Server::start(listener, move |request| answer(served.clone(), url.clone(), request));
        Ok(Self { server: server.map_err(refused)?, queues })
    }

    /// `http://host:port`.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The queues, without the wire.
    pub fn queues(&self) -> Queues {
        self.queues.clone()
    }

    /// Stops serving; the messages are lost.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

impl Queues {
    /// Creates a queue with SQS attributes (`VisibilityTimeout`, `RedrivePolicy` …).
    pub async fn create(&self, name: &str, attributes: &BTreeMap<String, String>) -> Result<(), QueueError> {
        let attributes = attributes.clone().into_iter().collect::<HashMap<_, _>>();
        let created = self.backend.create_queue(ACCOUNT.into(), REGION.into(), name.into(), attributes, None).await;
        created.map(drop).map_err(refused_by(name))
    }

    /// Sends one message.
    pub async fn send(&self, queue: &str, body: &str) -> Result<(), QueueError> {
        let (account, region, body) = (ACCOUNT.into(), REGION.into(), body.into());
        let sent = self.backend.send_message(account, region, queue.into(), body, None, HashMap::new(), None, None);
        sent.await.map_err(refused_by(queue))?;
        self.sent.notify_waiters();
        Ok(())
    }

    /// Waits up to `wait` for at least one message and takes at most `max`; each is hidden for the queue's visibility
    /// timeout, or moved to the dead-letter queue where it was received too often.
    pub async fn receive(&self, queue: &str, max: usize, wait: Duration) -> Result<Vec<Message>, QueueError> {
        let until = Instant::now() + wait;
        loop {
            // Registered before the look, so that a send between look and wait is not missed.
            let sent = self.sent.notified();
            tokio::pin!(sent);
            sent.as_mut().enable();
            let received = self.backend.receive_messages(ACCOUNT.into(), REGION.into(), queue.into(), max, None).await;
            let messages = received.map_err(refused_by(queue))?;
            if !messages.is_empty() || Instant::now() >= until {
                return Ok(messages);
            }
            // Either a send woke it, or it is time to look for messages that became visible again.
            let _ = timeout_at(until.min(Instant::now() + LOOK_AGAIN), sent).await;
        }
    }

    /// Deletes a received message; one that is gone already is no error.
    pub async fn delete(&self, queue: &str, receipt_handle: &str) -> Result<(), QueueError> {
        let (account, region, handle) = (ACCOUNT.into(), REGION.into(), receipt_handle.into());
        match self.backend.delete_message(account, region, queue.into(), handle).await {
            Ok(()) | Err(SqsError::InvalidReceiptHandle { .. }) => Ok(()),
            Err(error) => Err(refused_by(queue)(error)),
        }
    }

    /// Sends all of a dead-letter queue's messages to the queue that they came from.
    pub async fn redrive(&self, dead_letters: &str) -> Result<(), QueueError> {
        let refused = || refused_by(dead_letters);
        let (account, region) = (ACCOUNT.into(), REGION.into());
        let sources = self.backend.list_dead_letter_source_queues(account, region, dead_letters.into());
        let sources = sources.await.map_err(refused())?;
        let source = sources.first().and_then(|url| url.rsplit('/').next());
        let source = source.ok_or(SqsError::NonExistentQueue).map_err(refused())?;
        loop {
            let letters = self.receive(dead_letters, BATCH_ENTRIES, Duration::ZERO).await?;
            if letters.is_empty() {
                return Ok(());
            }
            for letter in letters {
                self.send(source, &letter.body).await?;
                self.delete(dead_letters, letter.receipt_handle.as_deref().unwrap_or_default()).await?;
            }
        }
    }

    /// The queue's attributes (`ApproximateNumberOfMessages` …), as SQS names them.
    pub async fn attributes(&self, queue: &str) -> Result<BTreeMap<String, String>, QueueError> {
        let attributes = self.backend.get_queue_attributes(ACCOUNT.into(), REGION.into(), queue.into()).await;
        Ok(attributes.map_err(refused_by(queue))?.into_iter().collect())
    }
}

fn refused_by(queue: &str) -> impl FnOnce(SqsError) -> QueueError + use<> {
    let queue = queue.to_owned();
    move |source| QueueError { queue, source }
}

async fn answer(queues: Queues, url: String, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
        return json_answer(StatusCode::BAD_REQUEST, CONTENT_TYPE, Bytes::new());
    };
    let target = parts.headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let action = target.rsplit('.').next().unwrap_or_default().to_owned();
    if let Some(refusal) = refuse_large(&action, &body) {
        return json_answer(StatusCode::BAD_REQUEST, CONTENT_TYPE, refusal.to_string());
    }
    if action == "StartMessageMoveTask" {
        return move_letters(&queues, &body).await;
    }
    let aws = format!("https://sqs.{REGION}.amazonaws.com");
    let request =
        MockRequest { method: parts.method.to_string(), uri: format!("{aws}/"), headers: parts.headers, body };
    let answered = queues.service.handle(request).await;
    if action.starts_with("SendMessage") {
        queues.sent.notify_waiters();
    }
    let body = match action.as_str() {
        "CreateQueue" | "GetQueueUrl" | "ListQueues" => {
            String::from_utf8_lossy(&answered.body).replace(&aws, &url).into()
        }
        _ => answered.body,
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = StatusCode::from_u16(answered.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *response.headers_mut() = answered.headers;
    response
}

/// Moves messages at once where SQS starts a task; winterbaume only takes a note of it.
async fn move_letters(queues: &Queues, body: &[u8]) -> Response<Full<Bytes>> {
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let arn = request["SourceArn"].as_str().unwrap_or_default();
    let (status, answer) = match queues.redrive(arn.rsplit(':').next().unwrap_or_default()).await {
        Ok(()) => (StatusCode::OK, json!({ "TaskHandle": Uuid::new_v4() })),
        Err(error) => {
            let kind = "com.amazonaws.sqs#ResourceNotFoundException";
            (StatusCode::BAD_REQUEST, json!({ "__type": kind, "message": error.to_string() }))
        }
    };
    json_answer(status, CONTENT_TYPE, answer.to_string())
}

/// The limits that winterbaume does not keep: entries in a batch, and bytes in a message or batch.
fn refuse_large(action: &str, body: &[u8]) -> Option<Value> {
    let request: Value = serde_json::from_slice(body).ok()?;
    let entries = request["Entries"].as_array().map_or(&[] as &[Value], Vec::as_slice);
    if entries.len() > BATCH_ENTRIES {
        let message = format!("Maximum number of entries per request are 10. You have sent {}.", entries.len());
        return Some(json!({ "__type": "com.amazonaws.sqs#TooManyEntriesInBatchRequest", "message": message }));
    }
    let size = |message: &Value| message["MessageBody"].as_str().map_or(0, str::len);
    let (bytes, kind) = match action {
        "SendMessage" => (size(&request), "com.amazonaws.sqs#InvalidParameterValue"),
        "SendMessageBatch" => (entries.iter().map(size).sum(), "com.amazonaws.sqs#BatchRequestTooLong"),
        _ => return None,
    };
    let message = format!("A message or batch may have {PAYLOAD_BYTES} bytes; this one has {bytes}.");
    (bytes > PAYLOAD_BYTES).then(|| json!({ "__type": kind, "message": message }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::lambda::fake::HttpClient;
    use crate::server::listen;

    async fn queue(attributes: &[(&str, &str)]) -> (Sqs, Queues) {
        let sqs = Sqs::start(listen(0).await.unwrap()).unwrap();
        let queues = sqs.queues();
        let attributes = attributes.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        queues.create("dead", &BTreeMap::new()).await.unwrap();
        queues.create("work", &attributes).await.unwrap();
        (sqs, queues)
    }

    #[tokio::test]
    async fn a_waiting_receive_is_woken_by_a_send() {
        let (_sqs, queues) = queue(&[]).await;
        let waiting = tokio::spawn({
            let queues = queues.clone();
            async move { queues.receive("work", 10, Duration::from_secs(60)).await }
        });
        queues.send("work", "hello").await.unwrap();
        assert_eq!(waiting.await.unwrap().unwrap()[0].body, "hello");
    }

    #[tokio::test]
    async fn a_message_received_too_often_goes_to_the_dead_letter_queue() {
        let redrive = format!(r#"{{"deadLetterTargetArn":"arn:aws:sqs:{REGION}:{ACCOUNT}:dead","maxReceiveCount":1}}"#);
        let (_sqs, queues) = queue(&[("VisibilityTimeout", "0"), ("RedrivePolicy", &redrive)]).await;
        queues.send("work", "poison").await.unwrap();
        assert_eq!(queues.receive("work", 1, Duration::ZERO).await.unwrap().len(), 1);
        assert_eq!(queues.receive("work", 1, Duration::ZERO).await.unwrap().len(), 0);
        assert_eq!(queues.receive("dead", 1, Duration::ZERO).await.unwrap()[0].body, "poison");
    }

    #[tokio::test]
    async fn dead_letters_are_moved_back_to_their_queue() {
        let redrive = format!(r#"{{"deadLetterTargetArn":"arn:aws:sqs:{REGION}:{ACCOUNT}:dead","maxReceiveCount":5}}"#);
        let (sqs, queues) = queue(&[("RedrivePolicy", &redrive)]).await;
        for n in 0..12 {
            queues.send("dead", &format!("letter {n}")).await.unwrap();
        }
        let start = async |queue: &str| {
            let arn = json!({ "SourceArn": format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}") });
            let target = [("x-amz-target", "AmazonSQS.StartMessageMoveTask")];
            HttpClient::new().post(&sqs.url(), &target, arn).await
        };
        let (status, body) = start("dead").await;
        assert!(status == 200 && body.contains("TaskHandle"), "{status} {body}");
        let letters = async |queue| queues.attributes(queue).await.unwrap()["ApproximateNumberOfMessages"].clone();
        assert_eq!((letters("dead").await, letters("work").await), ("0".to_owned(), "12".to_owned()));
        for no_dead_letters in ["work", "none"] {
            let (status, body) = start(no_dead_letters).await;
            assert!(status == 400 && body.contains("ResourceNotFoundException"), "{status} {body}");
        }
    }

    #[tokio::test]
    async fn a_deleted_message_may_be_deleted_again() {
        let (_sqs, queues) = queue(&[]).await;
        queues.send("work", "x").await.unwrap();
        let message = queues.receive("work", 1, Duration::ZERO).await.unwrap().remove(0);
        let handle = message.receipt_handle.unwrap();
        queues.delete("work", &handle).await.unwrap();
        queues.delete("work", &handle).await.unwrap();
        assert_eq!(queues.attributes("work").await.unwrap()["ApproximateNumberOfMessagesNotVisible"], "0");
    }

    #[test]
    fn batches_over_ten_entries_or_one_mebibyte_are_refused() {
        let batch = |count: usize, size: usize| {
            json!({ "Entries": vec![json!({ "Id": "1", "MessageBody": "x".repeat(size) }); count] }).to_string()
        };
        let kind = |body: String| refuse_large("SendMessageBatch", body.as_bytes()).map(|e| e["__type"].to_string());
        assert!(kind(batch(11, 1)).unwrap().contains("TooManyEntriesInBatchRequest"));
        assert!(kind(batch(2, 600_000)).unwrap().contains("BatchRequestTooLong"));
        assert_eq!(kind(batch(10, 1000)), None);
    }
}
