//! The work queue: at least once, in any order.

use crate::message::Message;
use std::future::Future;

/// The queue did not take every message; some may have been taken.
#[derive(Debug, thiserror::Error)]
#[error("the work queue is unavailable: {0}")]
pub struct QueueError(pub String);

/// Sends messages to the worker.
pub trait SendMessages: Clone + Send + Sync + 'static {
    /// Sends them, ten a call, grouped by tenant so that none starves another.
    fn send(&self, messages: &[Message]) -> impl Future<Output = Result<(), QueueError>> + Send;
}
