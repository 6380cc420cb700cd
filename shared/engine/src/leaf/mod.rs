//! Leaf columns on the level of Parquet's encodings: levels, dictionary ids and plain values, read, chosen and written
//! without ever becoming rows.
//!
//! An export keeps most values as they are. What is not looked at is moved as it is encoded: levels are cut by row, ids
//! are renumbered, plain bytes are copied.

mod dictionary;
mod encoder;
mod hybrid;
mod pages;
mod path;
mod records;

pub(crate) use dictionary::Entries;
pub(crate) use encoder::{EncodeError, EncodedChunk, LeafEncoder};
pub(crate) use pages::{ChunkBytes, LeafChunk, LeafPage, PageView, Spans, Values};
pub(crate) use path::{LeafForm, Raise, ValueForm, def_of};

/// Bytes of a file that are not what its footer says they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damaged;

impl From<parquet::errors::ParquetError> for Damaged {
    fn from(_: parquet::errors::ParquetError) -> Self {
        Self
    }
}
