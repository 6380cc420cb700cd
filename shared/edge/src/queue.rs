//! Queue events in, the messages that must come again out.

use crate::telemetry::log_chain;
use crate::telemetry::metrics::INVOCATION;
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use domain::guard::Guard;
use domain::message::{Message, Task};
use futures::FutureExt;
use lambda_runtime::{LambdaEvent, service_fn};
use std::error::Error;
use std::panic::AssertUnwindSafe;
use tracing::Instrument;
use tracing::field::Empty;

/// Serves the work queue until the process ends: each message goes to `handler`, and whatever it fails on comes again.
pub async fn serve_queue<H, F, E>(handler: H) -> Result<(), lambda_runtime::Error>
where
    H: Fn(Message) -> F,
    F: Future<Output = Result<(), E>>,
    E: Error + 'static,
{
    let handler = &handler;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<SqsEvent>| async move {
        Ok::<_, lambda_runtime::Error>(take(event.payload, handler).await)
    }))
    .await
}

/// Handles a batch, one message after the other; gives those that failed. Poison and panics count as failed, so that they
/// end in the dead-letter queue, and take no other message along.
pub async fn take<H, F, E>(event: SqsEvent, handler: &H) -> SqsBatchResponse
where
    H: Fn(Message) -> F,
    F: Future<Output = Result<(), E>>,
    E: Error + 'static,
{
    let mut reply = SqsBatchResponse::default();
    for record in event.records {
        if !take_one(&record, handler).await && Guard::FailedMessageIds.stands() {
            // Without an id Lambda takes the whole batch for failed, which is right: it cannot be told apart.
            reply.add_failure(record.message_id.unwrap_or_default());
        }
    }
    reply
}

async fn take_one<H, F, E>(record: &SqsMessage, handler: &H) -> bool
where
    H: Fn(Message) -> F,
    F: Future<Output = Result<(), E>>,
    E: Error + 'static,
{
    let request_id = record.message_id.as_deref().unwrap_or_default();
    let Some(message) = record.body.as_deref().and_then(Message::from_json) else {
        tracing::error!(request_id, "a message that nobody can read; it goes to the dead-letter queue");
        return false;
    };
    let (task, part) = match message.task {
        Task::Plan => ("plan", None),
        Task::Part { part } => ("part", Some(part)),
        Task::Commit => ("commit", None),
        Task::Collect => ("collect", None),
    };
    let attempt = record.attributes.get("ApproximateReceiveCount").map(String::as_str);
    let span = tracing::info_span!(
        target: INVOCATION, "message",
        request_id, job_id = message.job_id.value(), task, part, attempt,
        organization = message.tenant.organization(), sandbox = message.tenant.sandbox(),
        rows = Empty, bytes = Empty, moved = Empty, state = Empty, failed = Empty,
        invariant_violated = Empty,
    );
    async {
        let done = match AssertUnwindSafe(async { handler(message).await }).catch_unwind().await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                log_chain("the message failed and comes again", &error);
                false
            }
            Err(_) => {
                tracing::error!("the message's handler panicked; the message comes again");
                false
            }
        };
        tracing::Span::current().record("failed", u64::from(!done));
        done
    }
    .instrument(span)
    .await
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Mutex;

    fn event(bodies: &[(&str, serde_json::Value)]) -> SqsEvent {
        let records: Vec<_> = bodies.iter().map(|(id, body)| json!({"messageId": id, "body": body})).collect();
        serde_json::from_value(json!({ "Records": records })).unwrap()
    }

    fn body(job: u64) -> serde_json::Value {
        json!(format!(r#"{{"kind":"plan","organization":"A@AdobeOrg","sandbox":"prod","jobId":{job}}}"#))
    }

    async fn failed(event: SqsEvent, seen: &Mutex<Vec<u64>>) -> Vec<String> {
        let handler = async |message: Message| {
            seen.lock().unwrap().push(message.job_id.value());
            match message.job_id.value() {
                13 => Err(std::fmt::Error),
                666 => panic!("on purpose"),
                _ => Ok(()),
            }
        };
        take(event, &handler).await.batch_item_failures.into_iter().map(|f| f.item_identifier).collect()
    }

    #[tokio::test]
    async fn only_what_failed_comes_again() {
        let seen = Mutex::default();
        let batch = [("a", body(1)), ("b", body(13)), ("c", body(666)), ("d", body(2))];
        assert_eq!(failed(event(&batch), &seen).await, ["b", "c"]);
        assert_eq!(*seen.lock().unwrap(), [1, 13, 666, 2]);
    }

    #[tokio::test]
    async fn poison_never_reaches_the_handler_and_ends_in_the_dead_letter_queue() {
        let seen = Mutex::default();
        let poison = [json!("{}"), json!(""), json!(null), json!(r#"{"kind":"plan","organization":"a#b"}"#)];
        for body in poison {
            assert_eq!(failed(event(&[("p", body)]), &seen).await, ["p"]);
        }
        assert!(seen.lock().unwrap().is_empty());
    }
}
