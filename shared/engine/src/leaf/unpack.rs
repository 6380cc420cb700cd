//! Pages in ZSTD, unpacked straight to where they are read: Parquet's own reader copies each once more.

use super::Damaged;
use bytes::Bytes;
use parquet::basic::Compression;
use parquet::column::page::Page;
use parquet::file::metadata::ColumnChunkMetaData;
use std::io::{Cursor, Read};
use zstd::bulk::Decompressor;
use zstd::zstd_safe::get_frame_content_size;

/// Unpacks the pages of a column chunk.
pub(super) struct Unpacker {
    codec: Decompressor<'static>,
    /// What all pages of the chunk take: no page takes more.
    most_bytes: u64,
}

impl Unpacker {
    /// For a chunk that is in ZSTD, with what Parquet's reader is to take the chunk for: one that is not compressed.
    pub(super) fn of(chunk: &ColumnChunkMetaData) -> Result<Option<(Self, ColumnChunkMetaData)>, Damaged> {
        if !matches!(chunk.compression(), Compression::ZSTD(_)) {
            return Ok(None);
        }
        let codec = Decompressor::new().map_err(|_| Damaged)?;
        let most_bytes = u64::try_from(chunk.uncompressed_size()).map_err(|_| Damaged)?;
        let packed = chunk.clone().into_builder().set_compression(Compression::UNCOMPRESSED).build()?;
        Ok(Some((Self { codec, most_bytes }, packed)))
    }

    /// A page as it was before it was packed.
    pub(super) fn unpack(&mut self, mut page: Page) -> Result<Page, Damaged> {
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
    fn bytes(&mut self, packed: &[u8], levels: usize) -> Result<Bytes, Damaged> {
        let (levels, packed) = packed.split_at_checked(levels).ok_or(Damaged)?;
        let mut unpacked = Vec::new();
        if let Some(bytes) = get_frame_content_size(packed).ok().flatten().filter(|bytes| *bytes <= self.most_bytes) {
            unpacked.reserve_exact(levels.len() + bytes as usize);
            unpacked.extend_from_slice(levels);
            let mut behind = Cursor::new(&mut unpacked);
            behind.set_position(levels.len() as u64);
            if self.codec.decompress_to_buffer(packed, &mut behind).is_ok() {
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
