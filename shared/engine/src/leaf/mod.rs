//! Leaf columns on the level of Parquet's encodings: levels, dictionary ids and plain values, read, chosen and written
//! without ever becoming rows.
//!
//! An export keeps most values as they are. What is not looked at is moved as it is encoded: levels are cut by row, ids
//! are renumbered, plain bytes are copied.

mod chunk;
mod chunk_bytes;
mod dictionary;
mod encoder;
mod held;
mod hybrid;
mod open;
mod pack;
mod packed;
mod pages;
mod path;
mod records;
mod spans;
mod unpack;

pub(crate) use chunk::LeafChunk;
pub(crate) use chunk_bytes::ChunkBytes;
pub(crate) use dictionary::Entries;
pub(crate) use encoder::{EncodedChunk, LeafEncoder};
pub(crate) use held::HeldLeaf;
pub(crate) use hybrid::{Small, count_of};
pub(crate) use pages::{Ids, LeafPage, PageView, Values};
pub(crate) use path::{LeafForm, Raise, ValueForm, Widening, def_down_to, def_of, settled_from};
pub(crate) use spans::{Run, Spans, rows_within};

use parquet::errors::ParquetError;

/// Bytes of a file that are not what its footer says they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damaged;

impl From<ParquetError> for Damaged {
    fn from(_: ParquetError) -> Self {
        Self
    }
}

/// Why rows could not be added.
#[derive(Debug)]
pub(crate) enum EncodeError {
    /// The page that they come from is not what it should be.
    Damaged(Damaged),
    /// They could not be encoded.
    Parquet(ParquetError),
}

impl From<Damaged> for EncodeError {
    fn from(damaged: Damaged) -> Self {
        Self::Damaged(damaged)
    }
}

impl From<ParquetError> for EncodeError {
    fn from(error: ParquetError) -> Self {
        Self::Parquet(error)
    }
}
