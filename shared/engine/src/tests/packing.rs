//! How pages are packed.

use super::table::*;
use crate::{EngineError, Step};
use parquet::basic::Compression;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaDataReader, ParquetMetaDataWriter};
use serde_json::json;
use testkit::MemoryObjects;

#[tokio::test]
async fn a_file_that_is_packed_in_a_way_that_nothing_unpacks_is_refused_with_a_sentence() {
    let store = MemoryObjects::default();
    let body = parquet(&batch(&arrow_schema(&source_schema()), &[json!({ "profileId": "p" })]), 10);
    let footer = ParquetMetaDataReader::new().parse_and_finish(&body).unwrap();
    let packed = |column: &ColumnChunkMetaData| {
        column.clone().into_builder().set_compression(Compression::BROTLI(Default::default())).build().unwrap()
    };
    let group = footer.row_group(0).clone();
    let columns = group.columns().iter().map(packed).collect();
    let group = group.into_builder().set_column_metadata(columns).build().unwrap();
    let footer = footer.into_builder().set_row_groups(vec![group]).build();
    let mut body = body.to_vec();
    ParquetMetaDataWriter::new(&mut body, &footer).finish().unwrap();
    let file = put(&store, "a", body.into()).await;
    let error = Job::fields("profileId").export(&store, vec![file], |_| Step::Continue).await.unwrap_err();
    let EngineError::Unsupported(sentence) = error else { panic!("{error:?}") };
    assert_eq!(
        sentence,
        "the data file s3://lake/profiles/a cannot be read: its pages are packed with BROTLI. Rewrite it with ZSTD, Snappy, GZIP or LZ4"
    );
}
