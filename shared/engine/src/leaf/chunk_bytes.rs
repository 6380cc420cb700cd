//! The bytes of a column chunk, as Parquet's page reader takes them.

use bytes::{Buf, Bytes};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

/// The bytes of a column chunk, known by their positions in the file.
#[derive(Clone, Debug)]
pub(crate) struct ChunkBytes {
    /// Where in the file they start.
    pub(crate) start: u64,
    /// The bytes.
    pub(crate) bytes: Bytes,
}

impl ChunkBytes {
    fn from(&self, at: u64) -> Result<Bytes> {
        let offset = at.checked_sub(self.start).and_then(|at| usize::try_from(at).ok());
        let offset = offset.filter(|at| *at <= self.bytes.len());
        offset.map(|at| self.bytes.slice(at..)).ok_or_else(|| ParquetError::EOF("outside of the column chunk".into()))
    }
}

impl Length for ChunkBytes {
    fn len(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl ChunkReader for ChunkBytes {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let bytes = self.from(start)?;
        if bytes.len() < length {
            return Err(ParquetError::EOF("outside of the column chunk".into()));
        }
        Ok(bytes.slice(..length))
    }
}
