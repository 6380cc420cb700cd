//! What an export job is: ids, the request and its validation, the status table, plans, messages and the ports.
//!
//! Pure by rule: no I/O, no clock, no randomness, no environment, no AWS. Whatever happens outside reaches this crate
//! through the capability traits of [`ports`].

pub mod cursor;
pub mod fields;
pub mod filter;
pub mod guard;
pub mod id;
pub mod instant;
pub mod invariant;
pub mod job;
pub mod message;
pub mod name_mapping;
pub mod plan;
pub mod ports;
pub mod problem;
pub mod registry;
pub mod request;
pub mod schema;
pub mod state;
pub mod tenant;
pub mod union;
pub mod validation;
