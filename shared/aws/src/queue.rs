//! The queue port over SQS.

use crate::patience::{pause, told};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use domain::message::Message;
use domain::ports::queue::{QueueError, SendMessages};
use domain::tenant::Tenant;
use futures::{StreamExt, TryStreamExt, stream};
use std::sync::Arc;

/// Most messages of one call.
const BATCH: usize = 10;
/// Calls under way at once.
const AT_ONCE: usize = 8;
/// Times that a message which SQS did not take is offered.
const TRIES: u32 = 5;
/// Longest message group id, in characters.
const GROUP_CHARS: usize = 128;

/// The work queue at a URL: a standard queue, fair between tenants by message group.
#[derive(Clone, Debug)]
pub struct SqsQueue {
    client: Client,
    url: Arc<str>,
}

impl SqsQueue {
    /// The queue of that URL.
    pub fn new(client: Client, url: &str) -> Self {
        Self { client, url: url.into() }
    }

    /// Sends up to ten messages, and again those of them that were not taken.
    async fn send_batch(&self, messages: &[Message]) -> Result<(), QueueError> {
        let mut left: Vec<_> = (0..).zip(messages).map(|(at, message)| entry(at, message)).collect();
        let mut tried = 1;
        loop {
            let call = self.client.send_message_batch().queue_url(&*self.url).set_entries(Some(left.clone()));
            let answer = Box::pin(call.send()).await.map_err(|error| QueueError(told(&error)))?;
            left.retain(|entry| answer.failed().iter().any(|failed| failed.id() == entry.id()));
            let Some(first) = answer.failed().first().filter(|_| !left.is_empty()) else { return Ok(()) };
            if tried == TRIES || first.sender_fault() {
                return Err(QueueError(format!("{} messages were not taken: {}", left.len(), first.code())));
            }
            pause(tried).await;
            tried += 1;
        }
    }
}

impl SendMessages for SqsQueue {
    async fn send(&self, messages: &[Message]) -> Result<(), QueueError> {
        let batches: Vec<_> = messages.chunks(BATCH).map(<[Message]>::to_vec).collect();
        let sent = stream::iter(batches).map(|batch| async move { self.send_batch(&batch).await });
        sent.buffer_unordered(AT_ONCE).try_collect().await
    }
}

fn entry(at: usize, message: &Message) -> SendMessageBatchRequestEntry {
    SendMessageBatchRequestEntry::builder()
        .id(at.to_string())
        .message_body(message.to_json())
        .message_group_id(group(&message.tenant))
        .build()
        .expect("id and body are set")
}

/// The tenant's message group. All characters of a tenant's key may stand in one; a key that is too long is cut and told
/// apart by a checksum.
fn group(tenant: &Tenant) -> String {
    let key = tenant.key();
    if key.len() <= GROUP_CHARS {
        return key;
    }
    let sum = crc_fast::crc64_nvme(key.as_bytes());
    format!("{}~{sum:016x}", &key[..GROUP_CHARS - 17])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use domain::message::Task;
    use testkit::fixtures;

    #[test]
    fn a_message_goes_into_its_tenants_group() {
        let message = Message::new(&fixtures::tenant(), fixtures::job_id(1), Task::Plan);
        assert_eq!(entry(0, &message).message_group_id(), Some("EXAMPLE@AdobeOrg#prod"));
    }

    #[test]
    fn a_group_is_the_tenant_and_never_too_long() {
        assert_eq!(group(&fixtures::tenant()), "EXAMPLE@AdobeOrg#prod");
        let long = |sandbox: &str| group(&Tenant::new(&"o".repeat(128), sandbox).unwrap());
        assert_eq!(long("a").len(), GROUP_CHARS);
        assert_ne!(long("a"), long("b"));
    }
}
