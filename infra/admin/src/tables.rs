//! What the CLI needs of the lake beyond the product's own ports: creating tables and loading files into them.

use domain::plan::TableName;
use domain::ports::lake::{LakeError, ReadTables};
use domain::schema::Schema;
use std::future::Future;

/// A Parquet file that was written for a table and is not yet in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFile {
    /// `s3://bucket/key`.
    pub location: String,
    /// File size in bytes.
    pub bytes: u64,
    /// Rows; never 0.
    pub rows: u64,
    /// The bucket of `profileId`, where the table is bucketed.
    pub bucket: Option<u32>,
    /// Byte offsets at which its row groups start.
    pub split_offsets: Vec<u64>,
}

/// Creates tables and loads files.
pub trait KeepTables: ReadTables {
    /// Creates the database if it is not there, with `s3://bucket/key` as its folder.
    fn ensure_database(&self, name: &str, location: &str) -> impl Future<Output = Result<(), LakeError>> + Send;

    /// Creates a profile or event table, partitioned by `bucket(N, column)` where buckets are given.
    fn create_profile_table(
        &self,
        table: &TableName,
        location: &str,
        schema: &Schema,
        buckets: Option<(u32, &str)>,
    ) -> impl Future<Output = Result<(), LakeError>> + Send;

    /// Creates an export table, partitioned by `batchId`.
    fn create_export_table(
        &self,
        table: &TableName,
        location: &str,
        schema: &Schema,
    ) -> impl Future<Output = Result<(), LakeError>> + Send;

    /// Appends the files as one snapshot.
    fn append_files(
        &self,
        table: &TableName,
        files: Vec<NewFile>,
    ) -> impl Future<Output = Result<(), LakeError>> + Send;
}

/// The bucket of a profile among `n`, as Iceberg's `bucket(n, column)` has it.
pub fn bucket_of(n: u32, profile_id: &str) -> u32 {
    let transform = iceberg::transform::create_transform_function(&iceberg::spec::Transform::Bucket(n)).expect("x");
    let v = transform.transform_literal(&iceberg::spec::Datum::string(profile_id)).expect("x").expect("x");
    match v.literal() { iceberg::spec::PrimitiveLiteral::Int(v) => *v as u32, _ => unreachable!() }
}
