//! The edge: HTTP, queue and schedule events in, replies out. What is common to every function stands here once: settings,
//! telemetry, clock and randomness, the gateway's verdicts, and how a problem becomes a status and a body.

pub mod authorizer;
pub mod clock;
pub mod failure;
pub mod http;
pub mod queue;
pub mod random;
pub mod schedule;
pub mod settings;
pub mod telemetry;
pub mod verdict;
