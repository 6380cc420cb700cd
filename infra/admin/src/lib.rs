//! The CLI behind `admin`: the registry as code, loading data, sample data, tokens, jobs. A library, so that the local
//! stack's first run does the same in its own process.

// The futures of the AWS SDK are nested deeper than the default allows for.
#![recursion_limit = "256"]

pub mod api;
pub mod cli;
pub mod failure;
#[cfg(test)]
mod fakes;
pub mod import;
pub mod inspect;
pub mod jobs;
pub mod oauth;
pub mod readback;
pub mod registry;
pub mod sample;
pub mod stack;
pub mod tables;
pub mod token;
pub mod yaml;

pub use failure::Failure;
