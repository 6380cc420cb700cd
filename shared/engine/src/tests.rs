//! The engine as a whole, over objects in memory.
#![allow(clippy::unwrap_used)]

mod distinct;
mod files;
mod filtering;
mod foreign;
pub(crate) mod layouts;
mod merging;
mod moving;
mod oracle;
mod packing;
mod projecting;
mod properties;
mod refusals;
mod requests;
pub(crate) mod table;
mod torn;
