//! Leaf columns on the level of Parquet's encodings: levels, dictionary ids and plain values, read, chosen and written
//! without ever becoming rows.
//!
//! An export keeps most values as they are. What is not looked at is moved as it is encoded: levels are cut by row, ids
//! are renumbered, plain bytes are copied.

mod chunk;
mod dictionary;
mod encoder;
mod hybrid;
mod open;
mod pack;
mod pages;
mod path;
mod records;
mod spans;
mod unpack;

pub(crate) use chunk::{ChunkBytes, LeafChunk, lie_within};
pub(crate) use dictionary::Entries;
pub(crate) use encoder::{EncodeError, EncodedChunk, LeafEncoder};
pub(crate) use pages::{LeafPage, PageView, Values};
pub(crate) use path::{LeafForm, Raise, ValueForm, Widening, def_of};
pub(crate) use spans::Spans;

/// Bytes of a file that are not what its footer says they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damaged;

impl From<parquet::errors::ParquetError> for Damaged {
    fn from(_: parquet::errors::ParquetError) -> Self {
        Self
    }
}
