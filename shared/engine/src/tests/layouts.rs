//! Files laid out as writers of many kinds do it.

use arrow_array::RecordBatch;
use bytes::Bytes;
use parquet::arrow::{ArrowSchemaConverter, ArrowWriter};
use parquet::basic::{Compression, Encoding, Type as PhysicalType};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};

/// How a writer lays out a file.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Rows of a row group.
    pub group_rows: usize,
    /// Rows of a page.
    pub page_rows: usize,
    /// Whether values stand in dictionaries; of how many bytes at the most.
    pub dictionary: Option<usize>,
    /// Whether pages are of the second version.
    pub second_version: bool,
    /// How pages are compressed.
    pub compression: Compression,
    /// How values are encoded that stand in no dictionary.
    pub encoding: Option<Encoding>,
    /// Whether the file tells where its pages start.
    pub offset_index: bool,
}

/// A Parquet file of a batch, laid out so. An encoding is left to the columns that can have it.
pub fn laid_out(batch: &RecordBatch, layout: Layout) -> Bytes {
    let version = if layout.second_version { WriterVersion::PARQUET_2_0 } else { WriterVersion::PARQUET_1_0 };
    let mut properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(layout.group_rows))
        .set_data_page_row_count_limit(layout.page_rows)
        .set_write_batch_size(1)
        .set_writer_version(version)
        .set_compression(layout.compression)
        .set_offset_index_disabled(!layout.offset_index)
        .set_dictionary_enabled(layout.dictionary.is_some())
        .set_dictionary_page_size_limit(layout.dictionary.unwrap_or(1));
    if !layout.offset_index {
        properties = properties.set_statistics_enabled(EnabledStatistics::Chunk);
    }
    let parquet = ArrowSchemaConverter::new().convert(&batch.schema()).unwrap();
    for column in parquet.columns().iter().filter(|c| c.physical_type() == PhysicalType::BYTE_ARRAY) {
        if let Some(encoding) = layout.encoding {
            properties = properties.set_column_encoding(column.path().clone(), encoding);
        }
    }
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties.build())).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap().into()
}
