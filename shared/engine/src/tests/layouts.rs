//! Files laid out as writers of many kinds do it.

use arrow_array::RecordBatch;
use bytes::Bytes;
use parquet::arrow::{ArrowSchemaConverter, ArrowWriter};
use parquet::basic::{Compression, Encoding, Type as PhysicalType};
use parquet::file::metadata::{
    ColumnChunkMetaData, ColumnChunkMetaDataBuilder, ParquetMetaDataReader, ParquetMetaDataWriter,
};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnDescriptor;

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

/// Plain values on pages of two rows.
pub fn pages_of_two() -> Layout {
    Layout {
        group_rows: 7,
        page_rows: 2,
        dictionary: None,
        second_version: false,
        compression: Compression::ZSTD(Default::default()),
        encoding: None,
        offset_index: true,
    }
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

/// The same file with another footer: each column chunk as `told` tells it.
pub fn retold(
    body: &Bytes,
    told: impl Fn(&ColumnDescriptor, ColumnChunkMetaDataBuilder) -> ColumnChunkMetaDataBuilder,
) -> Bytes {
    let footer = ParquetMetaDataReader::new().parse_and_finish(body).unwrap();
    let groups = footer.row_groups().iter().map(|group| {
        let told = |column: &ColumnChunkMetaData| told(column.column_descr(), column.clone().into_builder());
        let columns = group.columns().iter().map(|column| told(column).build().unwrap());
        group.clone().into_builder().set_column_metadata(columns.collect()).build().unwrap()
    });
    let footer = footer.clone().into_builder().set_row_groups(groups.collect()).build();
    let mut body = body.to_vec();
    ParquetMetaDataWriter::new(&mut body, &footer).finish().unwrap();
    body.into()
}
