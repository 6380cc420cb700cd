//! The work queue's twin.

use crate::faults::{Faults, lock};
use crate::{Fault, Weather};
use domain::message::Message;
use domain::ports::queue::{QueueError, SendMessages};
use std::sync::{Arc, Mutex};

/// The work queue in memory. Clones share the messages.
#[derive(Clone, Debug, Default)]
pub struct MemoryQueue {
    messages: Arc<Mutex<Vec<Message>>>,
    faults: Faults,
}

impl MemoryQueue {
    /// A queue whose calls go through that weather.
    pub fn under(weather: Arc<dyn Weather>) -> Self {
        Self { faults: Faults::under(weather), ..Self::default() }
    }

    /// The next call of that port method (`"send"`) fails as unavailable, before or after its effect.
    pub fn fail_next(&self, call: &str, fault: Fault) {
        self.faults.order(call, fault);
    }

    /// All messages sent since the last `take`, in order; a test that wants them twice, or in another order, does so itself.
    pub fn take(&self) -> Vec<Message> {
        std::mem::take(&mut lock(&self.messages))
    }
}

impl SendMessages for MemoryQueue {
    async fn send(&self, messages: &[Message]) -> Result<(), QueueError> {
        let send = || {
            lock(&self.messages).extend_from_slice(messages);
            Ok(())
        };
        self.faults.around("send", QueueError, send).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance;

    #[tokio::test]
    async fn the_twin_keeps_the_promises_of_the_queue_port() {
        let queue = MemoryQueue::default();
        conformance::queue(queue.clone(), || std::future::ready(queue.take())).await;
    }
}
