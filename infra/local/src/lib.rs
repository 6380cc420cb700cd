//! The deployment on one machine: it reads the template, and runs the gateway, the functions as processes, the queue
//! mapping, the schedule, and emulators of DynamoDB, S3, SQS and Glue on loopback ports. No Docker, no account.

// The futures of the AWS SDK are nested deeper than the default allows for.
#![recursion_limit = "256"]

pub mod emulators;
mod error;
pub mod event_sources;
pub mod functions;
pub mod gateway;
pub mod lambda;
pub mod schedule;
pub mod server;
pub mod stack;
pub mod template;

pub use error::StartError;
pub use stack::{Options, Stack};
