//! The capabilities that the product needs from outside, one trait each. A port is documented by its promise; the
//! conformance suites of `testkit` hold its twin and its real adapter to it.

pub mod jobs;
pub mod lake;
pub mod objects;
pub mod queue;
pub mod registry;

use crate::instant::Millis;
use std::future::Future;

/// Tells the time. Only for what people see and for leases: no safety argument uses a clock.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Millis;

    /// Ends when this clock shows `until`, or later.
    fn sleep_until(&self, until: Millis) -> impl Future<Output = ()> + Send;
}

/// Draws random bits: ids, nonces, jitter.
pub trait Random: Send + Sync {
    /// 128 bits, independent of all drawn before.
    fn bits(&self) -> u128;
}
