//! Pages in ZSTD, unpacked straight to where they are read: Parquet's own reader copies each once more.

use super::Damaged;
use bytes::Bytes;
use parquet::basic::Compression;
use parquet::column::page::Page;
use parquet::file::metadata::ColumnChunkMetaData;
use std::cell::RefCell;
use std::io::{Cursor, Read};
use zstd::bulk::Decompressor;
use zstd::zstd_safe::get_frame_content_size;

thread_local! {
    /// One for all columns that a thread reads.
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Unpacks the pages of a column chunk.
pub(super) struct Unpacker {
    /// What all pages of the chunk take, and what any page can: no page takes more.
    most_bytes: u64,
}

impl Unpacker {
    /// For a chunk that is in ZSTD, with what Parquet's reader is to take the chunk for: one that is not compressed.
    pub(super) fn of(chunk: &ColumnChunkMetaData) -> Result<Option<(Self, ColumnChunkMetaData)>, Damaged> {
        if !matches!(chunk.compression(), Compression::ZSTD(_)) {
            return Ok(None);
        }
        let most_bytes = u64::try_from(chunk.uncompressed_size()).map_err(|_| Damaged)?.min(i32::MAX as u64);
        let packed = chunk.clone().into_builder().set_compression(Compression::UNCOMPRESSED).build()?;
        Ok(Some((Self { most_bytes }, packed)))
    }

    /// A page as it was before it was packed.
    pub(super) fn unpack(&self, mut page: Page) -> Result<Page, Damaged> {
        match &mut page {
            Page::DataPage { buf, .. } | Page::DictionaryPage { buf, .. } => *buf = self.bytes(buf, 0)?,
            Page::DataPageV2 { buf, is_compressed, def_levels_byte_len, rep_levels_byte_len, .. } => {
                if *is_compressed {
                    *buf = self.bytes(buf, *def_levels_byte_len as usize + *rep_levels_byte_len as usize)?;
                }
            }
        }
        Ok(page)
    }

    /// What is packed, behind so many bytes that are not.
    fn bytes(&self, packed: &[u8], levels: usize) -> Result<Bytes, Damaged> {
        let (levels, packed) = packed.split_at_checked(levels).ok_or(Damaged)?;
        let mut unpacked = Vec::new();
        if let Some(bytes) = get_frame_content_size(packed).ok().flatten().filter(|bytes| *bytes <= self.most_bytes) {
            unpacked.try_reserve_exact(levels.len() + bytes as usize).map_err(|_| Damaged)?;
            unpacked.extend_from_slice(levels);
            let mut behind = Cursor::new(&mut unpacked);
            behind.set_position(levels.len() as u64);
            if decompress(packed, &mut behind).is_ok() {
                return Ok(unpacked.into());
            }
        }
        // Of several frames, or of one that does not tell its size.
        unpacked.clear();
        unpacked.extend_from_slice(levels);
        if !packed.is_empty() {
            let packed = zstd::Decoder::new(packed).map_err(|_| Damaged)?;
            packed.take(self.most_bytes).read_to_end(&mut unpacked).map_err(|_| Damaged)?;
        }
        Ok(unpacked.into())
    }
}

/// Unpacks a frame behind what is there.
fn decompress(packed: &[u8], behind: &mut Cursor<&mut Vec<u8>>) -> std::io::Result<usize> {
    DECOMPRESSOR.with_borrow_mut(|made| {
        let codec = match made {
            Some(codec) => codec,
            None => made.insert(Decompressor::new()?),
        };
        codec.decompress_to_buffer(packed, behind)
    })
}
