//! Pages that are closed, and the chunk that is finished of them.

use super::LeafEncoder;
use crate::leaf::hybrid;
use crate::leaf::pack::pack;
use bytes::Bytes;
use parquet::basic::{Compression, Encoding};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::Result;
use parquet::file::metadata::{ColumnChunkMetaData, PageEncodingStats};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};

/// A page that is closed.
pub(super) struct ClosedPage {
    page: Page,
    uncompressed_bytes: usize,
}

/// A finished column chunk.
pub(crate) struct EncodedChunk {
    /// Its bytes.
    pub(crate) bytes: Bytes,
    /// What a row group's writer wants to know of it.
    pub(crate) close: ColumnCloseResult,
}

impl LeafEncoder {
    /// Closes the page that is open.
    pub(super) fn close_page(&mut self) -> Result<()> {
        let open = std::mem::take(&mut self.open);
        if open.rows == 0 {
            return Ok(());
        }
        let mut body = Vec::new();
        for (levels, greatest) in [(&open.reps, self.form.max_rep), (&open.defs, self.form.max_def)] {
            if greatest > 0 {
                let at = body.len();
                body.extend([0; 4]);
                hybrid::encode(levels, hybrid::width_of(greatest.into()), &mut body);
                let length = (body.len() - at - 4) as u32;
                body[at..at + 4].copy_from_slice(&length.to_le_bytes());
            }
        }
        let encoding = open.values.encode(self.dictionary.len(), &mut body);
        let num_values = open.defs.len().max(open.reps.len()).max(open.rows) as u32;
        let uncompressed_bytes = body.len();
        let buf = self.pack(body)?;
        let page = Page::DataPage {
            buf,
            num_values,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        self.pages.push(ClosedPage { page, uncompressed_bytes });
        Ok(())
    }

    fn pack(&mut self, body: Vec<u8>) -> Result<Bytes> {
        let packed = match self.level {
            Some(level) => pack(level, &body)?,
            None => body.into(),
        };
        self.compressed_bytes += packed.len();
        Ok(packed)
    }

    /// The dictionary, unless no page needs it: where it was full within the first page, that one became plain.
    fn dictionary_page(&mut self) -> Result<Option<ClosedPage>> {
        if self.pages.iter().all(|closed| closed.page.encoding() != Encoding::RLE_DICTIONARY) {
            return Ok(None);
        }
        let body = std::mem::take(&mut self.dictionary.bytes);
        let uncompressed_bytes = body.len();
        let (buf, num_values) = (self.pack(body)?, self.dictionary.len() as u32);
        let page = Page::DictionaryPage { buf, num_values, encoding: Encoding::PLAIN, is_sorted: false };
        Ok(Some(ClosedPage { page, uncompressed_bytes }))
    }

    /// Finishes the chunk; its pages as they are, the dictionary's first.
    pub(crate) fn into_pages(mut self) -> Result<Vec<Page>> {
        self.close_page()?;
        let dictionary = self.dictionary_page()?;
        Ok(dictionary.into_iter().chain(self.pages).map(|closed| closed.page).collect())
    }

    /// Finishes the chunk.
    pub(crate) fn finish(mut self) -> Result<EncodedChunk> {
        self.close_page()?;
        let dictionary = self.dictionary_page()?;
        let has_dictionary = dictionary.is_some();
        let mut sink = TrackedWrite::new(Vec::with_capacity(self.compressed_bytes));
        let mut writer = SerializedPageWriter::new(&mut sink);
        let mut uncompressed_bytes = 0;
        let mut encodings = vec![Encoding::RLE];
        if let Some(ClosedPage { page, uncompressed_bytes: bytes }) = dictionary {
            let written = writer.write_page(CompressedPage::new(page, bytes))?;
            uncompressed_bytes += written.uncompressed_size as i64;
            encodings.extend([Encoding::PLAIN, Encoding::RLE_DICTIONARY]);
        }
        let mut data_offset = None;
        let mut stats: Vec<PageEncodingStats> = Vec::new();
        for ClosedPage { page, uncompressed_bytes: bytes } in self.pages {
            encodings.push(page.encoding());
            match stats.iter_mut().find(|known| known.encoding == page.encoding()) {
                Some(known) => known.count += 1,
                None => {
                    let (page_type, encoding) = (page.page_type(), page.encoding());
                    stats.push(PageEncodingStats { page_type, encoding, count: 1 });
                }
            }
            let written = writer.write_page(CompressedPage::new(page, bytes))?;
            uncompressed_bytes += written.uncompressed_size as i64;
            data_offset.get_or_insert(written.offset as i64);
        }
        writer.close()?;
        let bytes: Bytes = sink.into_inner()?.into();
        let metadata = ColumnChunkMetaData::builder(self.column)
            .set_compression(self.level.map_or(Compression::UNCOMPRESSED, Compression::ZSTD))
            .set_encodings(encodings)
            .set_total_compressed_size(bytes.len() as i64)
            .set_total_uncompressed_size(uncompressed_bytes)
            .set_num_values(self.levels as i64)
            .set_page_encoding_stats(stats)
            .set_data_page_offset(data_offset.unwrap_or_default())
            .set_dictionary_page_offset(has_dictionary.then_some(0))
            .build()?;
        let close = ColumnCloseResult {
            bytes_written: bytes.len() as u64,
            rows_written: self.rows,
            metadata,
            bloom_filter: None,
            column_index: None,
            offset_index: None,
        };
        Ok(EncodedChunk { bytes, close })
    }
}
