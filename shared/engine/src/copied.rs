//! Whole row groups that are exported as they stand: column chunks are copied, neither decoded nor encoded.

use crate::error::EngineError;
use crate::input::InputFile;
use crate::leaf::{ChunkBytes, EncodedChunk, LeafEncoder};
use crate::moved::MovedLeaf;
use domain::ports::objects::ReadObjects;
use parquet::basic::{Compression, ZstdLevel};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::schema::types::ColumnDescPtr;

/// Larger row groups are moved leaf by leaf, as a copy is held whole.
const MOST_BYTES: i64 = 160 << 20;

/// Whether these leaves of a row group are worth copying (from so many bytes on), and compressed as exports are.
pub(crate) fn is_worth<'l, O: ReadObjects>(
    input: &InputFile<O>,
    group: usize,
    leaves: impl Iterator<Item = &'l MovedLeaf>,
    least_bytes: i64,
) -> bool {
    let mut bytes = 0i64;
    let mut is_alike = true;
    for leaf in leaves {
        let chunk = input.chunk(group, leaf.leaf);
        is_alike &= matches!(chunk.compression(), Compression::ZSTD(_));
        bytes = bytes.saturating_add(chunk.compressed_size());
    }
    is_alike && (least_bytes..=MOST_BYTES).contains(&bytes)
}

/// A leaf of a row group as the export has it: its very bytes, or with levels that say the same in other numbers.
pub(crate) fn chunk<O: ReadObjects>(
    input: &InputFile<O>,
    group: usize,
    (leaf, bytes): (&MovedLeaf, ChunkBytes),
    export: ColumnDescPtr,
    level: ZstdLevel,
) -> std::result::Result<EncodedChunk, EngineError> {
    if leaf.is_the_same()
        && let Some(close) = copied(input, group, leaf.leaf, export.clone()).map_err(EngineError::Encode)?
    {
        return Ok(EncodedChunk { bytes: bytes.bytes, close });
    }
    let mut encoder = LeafEncoder::new(export, level).map_err(EngineError::Encode)?;
    let mut chunk = input.open_chunk(group, leaf.leaf, bytes)?;
    let all: Vec<u32> = (0..input.rows(group) as u32).collect();
    while let Some((spans, page)) = chunk.next_for(|here| here.len()).map_err(|_| input.damage())? {
        encoder
            .push(&page, &spans, &all, chunk.dictionary.as_ref(), (&leaf.raise, leaf.widening))
            .map_err(|e| input.encoding(e))?;
    }
    encoder.finish().map_err(EngineError::Encode)
}

/// What a row group's writer is told of a copied chunk; its positions count from the chunk's first byte. `None`: the footer
/// gives them in an order in which they cannot be told.
fn copied<O: ReadObjects>(
    input: &InputFile<O>,
    group: usize,
    leaf: usize,
    export: ColumnDescPtr,
) -> Result<Option<ColumnCloseResult>> {
    let chunk = input.chunk(group, leaf);
    let start =
        i64::try_from(chunk.byte_range().0).map_err(|_| ParquetError::General("a chunk lies too far".into()))?;
    let (dictionary, data) = (chunk.dictionary_page_offset().map(|at| at - start), chunk.data_page_offset() - start);
    if data < 0 || dictionary.is_some_and(|at| at != 0 || data == 0) {
        return Ok(None);
    }
    let mut builder = ColumnChunkMetaData::builder(export)
        .set_compression(chunk.compression())
        .set_encodings_mask(*chunk.encodings_mask())
        .set_total_compressed_size(chunk.compressed_size())
        .set_total_uncompressed_size(chunk.uncompressed_size())
        .set_num_values(chunk.num_values())
        .set_data_page_offset(data)
        .set_dictionary_page_offset(dictionary)
        .set_unencoded_byte_array_data_bytes(chunk.unencoded_byte_array_data_bytes());
    if let Some(statistics) = chunk.statistics() {
        builder = builder.set_statistics(statistics.clone());
    }
    Ok(Some(ColumnCloseResult {
        bytes_written: chunk.byte_range().1,
        rows_written: input.rows(group),
        metadata: builder.build()?,
        bloom_filter: None,
        column_index: None,
        offset_index: None,
    }))
}
