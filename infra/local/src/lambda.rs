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
pub(crate) mod fake {
    use std::sync::Arc;

    use super::{Bytes, Invoke, InvokeError};
    use serde_json::Value;

    /// A function within the test: event in, result out; `None` is an error of the function.
    #[derive(Clone)]
    pub(crate) struct Fake(Arc<dyn Fn(Value) -> Option<Value> + Send + Sync>);

    impl Fake {
        pub(crate) fn new(function: impl Fn(Value) -> Option<Value> + Send + Sync + 'static) -> Self {
            Self(Arc::new(function))
        }
    }

    impl Invoke for Fake {
        async fn invoke(&self, event: Bytes) -> Result<Bytes, InvokeError> {
            let event = serde_json::from_slice(&event).expect("events are JSON");
            let result = (self.0)(event).map(|result| result.to_string().into());
            result.ok_or_else(|| InvokeError::TimedOut { function: "fake".to_owned() })
        }
    }
}
