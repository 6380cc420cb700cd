//! How pages are packed.

use super::layouts::retold;
use super::table::*;
use crate::Step;
use parquet::basic::Compression;
use serde_json::json;
use testkit::MemoryObjects;

#[tokio::test]
async fn a_file_that_is_packed_in_a_way_that_nothing_unpacks_is_refused_with_a_sentence() {
    let store = MemoryObjects::default();
    let body = parquet(&batch(&arrow_schema(&source_schema()), &[json!({ "profileId": "p" })]), 10);
    let body = retold(&body, |_, column| column.set_compression(Compression::BROTLI(Default::default())));
    let file = put(&store, "a", body).await;
    let error = Job::fields("profileId").export(&store, vec![file], |_| Step::Continue).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the data file s3://lake/profiles/a cannot be exported: its pages are packed with BROTLI; rewrite it with ZSTD, Snappy, GZIP or LZ4"
    );
}
