//! Lambda's side of a queue mapping: batches of messages become events, and messages that were worked off are deleted.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use winterbaume_sqs::types::Message;

use crate::emulators::{Queues, REGION};
use crate::lambda::Invoke;
use crate::template::QueueMapping;

/// How long one look at an empty queue waits.
const LONG_POLL: Duration = Duration::from_secs(20);

/// A pause after the queue refused, so that the loop does not spin.
const REFUSED_PAUSE: Duration = Duration::from_secs(1);

/// Feeds `function` from the mapping's queue until `stopping` fires or closes, with at most `concurrency` batches at
/// once. A message of a failed batch is left to come back after its visibility timeout.
pub async fn run<I: Invoke>(
    queues: Queues,
    mapping: QueueMapping,
    function: I,
    concurrency: usize,
    mut stopping: watch::Receiver<bool>,
) {
    let permits = Arc::new(Semaphore::new(concurrency.max(1)));
    let mapping = Arc::new(mapping);
    let mut deliveries = JoinSet::new();
    loop {
        while deliveries.try_join_next().is_some() {}
        let received = async {
            let permit = permits.clone().acquire_owned().await.expect("the semaphore is never closed");
            (permit, queues.receive(&mapping.queue, mapping.batch_size.max(1), LONG_POLL).await)
        };
        let (permit, batch) = tokio::select! {
            received = received => received,
            _ = stopping.changed() => break,
        };
        match batch {
            Ok(batch) if batch.is_empty() => {}
            Ok(batch) => {
                let (queues, mapping, function) = (queues.clone(), mapping.clone(), function.clone());
                deliveries.spawn(async move {
                    deliver(&queues, &mapping, &function, batch).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::error!(?error, queue = mapping.queue, "the queue cannot be read");
                tokio::time::sleep(REFUSED_PAUSE).await;
            }
        }
    }
    // Functions are stopped by whoever stops the mapping; their deliveries then end by themselves.
    while deliveries.join_next().await.is_some() {}
}

async fn deliver<I: Invoke>(queues: &Queues, mapping: &QueueMapping, function: &I, batch: Vec<Message>) {
    // A failed invocation is in the log of the function and of its pool; no message of it is done.
    let Ok(result) = function.invoke(event(&mapping.queue_arn, &batch).to_string().into()).await else { return };
    let failed = if mapping.reports_item_failures { failed_items(&batch, &result) } else { Some(BTreeSet::new()) };
    let Some(failed) = failed else {
        tracing::warn!(queue = mapping.queue, "the function's batchItemFailures are not understood: the batch failed");
        return;
    };
    for message in batch.iter().filter(|message| !failed.contains(&message.message_id)) {
        let Some(handle) = &message.receipt_handle else { continue };
        if let Err(error) = queues.delete(&mapping.queue, handle).await {
            tracing::error!(?error, queue = mapping.queue, "a message that is done cannot be deleted");
        }
    }
}

/// The SQS event for a batch.
fn event(queue_arn: &str, batch: &[Message]) -> Value {
    let records = batch.iter().map(|message| {
        let mut attributes = Map::new();
        for (name, value) in [
            ("ApproximateReceiveCount", Some(message.approximate_receive_count.to_string())),
            ("SentTimestamp", Some(message.sent_timestamp.to_string())),
            ("SenderId", Some(message.sender_id.clone())),
            ("ApproximateFirstReceiveTimestamp", message.approximate_first_receive_timestamp.map(|at| at.to_string())),
        ] {
            attributes.extend(value.map(|value| (name.to_owned(), value.into())));
        }
        let own = message.message_attributes.iter().map(|(name, value)| {
            let value = json!({ "stringValue": value.string_value, "dataType": value.data_type,
                "stringListValues": [], "binaryListValues": [] });
            (name.clone(), value)
        });
        json!({
            "messageId": message.message_id,
            "receiptHandle": message.receipt_handle,
            "body": message.body,
            "attributes": attributes,
            "messageAttributes": own.collect::<Map<_, _>>(),
            "md5OfBody": message.body_md5,
            "eventSource": "aws:sqs",
            "eventSourceARN": queue_arn,
            "awsRegion": REGION,
        })
    });
    json!({ "Records": records.collect::<Vec<_>>() })
}

/// The messages that the function reports as failed; `None` where the whole batch counts as failed, as Lambda judges: no
/// JSON, an empty or missing identifier, or one that is not of the batch.
fn failed_items(batch: &[Message], result: &Bytes) -> Option<BTreeSet<String>> {
    // An empty result is a success.
    let result: Value = if result.is_empty() { Value::Null } else { serde_json::from_slice(result).ok()? };
    let failures = match result.get("batchItemFailures") {
        None | Some(Value::Null) => return Some(BTreeSet::new()),
        Some(failures) => failures.as_array()?,
    };
    let identifiers = failures.iter().map(|failure| {
        let identifier = failure.get("itemIdentifier")?.as_str()?;
        batch.iter().any(|message| message.message_id == identifier).then(|| identifier.to_owned())
    });
    identifiers.collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    use tokio::sync::Notify;

    use super::*;
    use crate::emulators::Sqs;
    use crate::lambda::fake::Fake;
    use crate::server::listen;

    fn message(id: &str) -> Message {
        Message {
            message_id: id.into(),
            body: format!("body of {id}"),
            body_md5: "md5".into(),
            receipt_handle: Some(format!("handle of {id}")),
            all_receipt_handles: Vec::new(),
            sender_id: "sender".into(),
            sent_timestamp: 1,
            approximate_first_receive_timestamp: Some(2),
            approximate_receive_count: 3,
            visible_at: 0,
            message_attributes: Default::default(),
        }
    }

    fn failed(result: &str) -> Option<Vec<String>> {
        let batch = [message("a"), message("b")];
        failed_items(&batch, &Bytes::from(result.to_owned())).map(|failed| failed.into_iter().collect())
    }

    #[test]
    fn failures_are_read_as_lambda_reads_them() {
        let none = Some(Vec::new());
        assert_eq!(failed(""), none);
        assert_eq!(failed("null"), none);
        assert_eq!(failed("{}"), none);
        assert_eq!(failed(r#"{"batchItemFailures":null}"#), none);
        assert_eq!(failed(r#"{"batchItemFailures":[]}"#), none);
        assert_eq!(failed(r#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#), Some(vec!["b".to_owned()]));
        for whole in [
            "not json",
            r#"{"batchItemFailures":"b"}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":"c"}]}"#,
            r#"{"batchItemFailures":[{"id":"b"}]}"#,
        ] {
            assert_eq!(failed(whole), None, "{whole}");
        }
    }

    #[test]
    fn a_batch_becomes_an_sqs_event() {
        let event = event("arn:q", &[message("a")]);
        let record = &event["Records"][0];
        assert_eq!((&record["messageId"], &record["body"]), (&json!("a"), &json!("body of a")));
        assert_eq!((&record["eventSource"], &record["eventSourceARN"]), (&json!("aws:sqs"), &json!("arn:q")));
        assert_eq!(record["attributes"]["ApproximateReceiveCount"], "3");
    }

    /// Runs a mapping over messages `1` to `count` until the function has seen so many records as `enough`.
    async fn run_over(
        count: usize,
        enough: usize,
        batch_size: usize,
        function: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> (Vec<String>, BTreeMap<String, String>) {
        let sqs = Sqs::start(listen(0).await.unwrap()).unwrap();
        let queues = sqs.queues();
        queues.create("work", &BTreeMap::from([("VisibilityTimeout".into(), "0".into())])).await.unwrap();
        for n in 1..=count {
            queues.send("work", &n.to_string()).await.unwrap();
        }
        let (seen, all_seen) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Notify::new()));
        let fake = Fake::new({
            let (seen, all_seen) = (seen.clone(), all_seen.clone());
            move |event| {
                let records = event["Records"].as_array().unwrap();
                let mut failures = Vec::new();
                for record in records {
                    let body = record["body"].as_str().unwrap();
                    seen.lock().unwrap().push(body.to_owned());
                    if !function(body) {
                        failures.push(json!({ "itemIdentifier": record["messageId"] }));
                    }
                }
                if seen.lock().unwrap().len() >= enough {
                    all_seen.notify_one();
                }
                Some(json!({ "batchItemFailures": failures }))
            }
        });
        let mapping = QueueMapping {
            queue: "work".into(),
            queue_arn: "arn".into(),
            batch_size,
            reports_item_failures: true,
            max_concurrency: None,
        };
        let (stop, stopping) = watch::channel(false);
        let running = tokio::spawn(run(queues.clone(), mapping, fake, 1, stopping));
        all_seen.notified().await;
        stop.send_replace(true);
        running.await.unwrap();
        let seen = seen.lock().unwrap().clone();
        (seen, queues.attributes("work").await.unwrap())
    }

    #[tokio::test]
    async fn messages_that_were_worked_off_are_deleted() {
        let (seen, attributes) = run_over(3, 3, 10, |_| true).await;
        assert_eq!(seen, ["1", "2", "3"]);
        assert_eq!(attributes["ApproximateNumberOfMessagesNotVisible"], "0");
        assert_eq!(attributes["ApproximateNumberOfMessages"], "0");
    }

    #[tokio::test]
    async fn only_the_failed_message_of_a_batch_comes_back() {
        let failures = Mutex::new(0);
        let (seen, _) = run_over(3, 4, 10, move |body| {
            let mut failures = failures.lock().unwrap();
            let fails = body == "2" && *failures == 0;
            *failures += usize::from(fails);
            !fails
        })
        .await;
        assert_eq!(seen, ["1", "2", "3", "2"]);
    }

    #[tokio::test]
    async fn a_batch_holds_no_more_than_its_size() {
        let (seen, _) = run_over(5, 5, 1, |_| true).await;
        assert_eq!(seen.len(), 5);
    }
}
