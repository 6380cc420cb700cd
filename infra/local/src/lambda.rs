//! Lambda on one machine: each function is a pool of processes that speak the Runtime API.

pub mod pool;
pub mod runtime_api;

use bytes::Bytes;

pub use pool::{InvokeError, Launch, Pool};

/// Runs a function: what the gateway, the queue mappings and the schedules need of it.
pub trait Invoke: Clone + Send + Sync + 'static {
    /// One invocation: an event in, a result out, both JSON.
    fn invoke(&self, event: Bytes) -> impl Future<Output = Result<Bytes, InvokeError>> + Send;
}

impl Invoke for Pool {
    async fn invoke(&self, event: Bytes) -> Result<Bytes, InvokeError> {
        Pool::invoke(self, event).await
    }
}

#[cfg(test)]
pub(crate) mod fake;
