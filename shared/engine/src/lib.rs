//! Rows in, Parquet out: one part of an export job.
//!
//! [`export_part`] reads the data files of a part, judges on a few leaf columns which profiles are exported, reads the
//! projected columns of those rows alone, merges the rows of a profile where it has several, and writes the profiles as
//! Parquet files that carry the export table's field ids.
//! It knows the ports of `domain`, Arrow and Parquet; no AWS, no HTTP, no Iceberg.

mod alone;
mod batches;
mod bounds;
mod copied;
mod deletes;
mod error;
mod gathered;
mod hashes;
mod identities;
mod input;
mod int96;
mod layout;
mod leaf;
mod lone;
mod membership;
mod merged;
mod moved;
mod page_bounds;
mod part;
mod pieces;
mod project;
mod ranges;
mod row_group;
mod selection;
mod shape;
mod source;
mod tree;
mod writer;

#[cfg(test)]
mod tests;

pub use error::EngineError;
pub use part::{PartTask, Progress, Settings, Step, export_part};
