//! What the CLI needs of the lake beyond the product's own ports: creating tables and loading files into them.

use domain::plan::TableName;
use domain::ports::lake::{LakeError, ReadTables};
use domain::ports::objects::{ReadObjects, WriteObjects};
use domain::schema::Schema;
use lake::glue::GlueApi;
use lake::{Lake, NewDataFile, NewDeleteFile};
use std::future::Future;

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

    /// Appends files and delete files as one snapshot. Position deletes reach the files of this snapshot too, equality
    /// deletes only those of earlier ones.
    fn append_changes(
        &self,
        table: &TableName,
        files: Vec<NewDataFile>,
        deletes: Vec<NewDeleteFile>,
    ) -> impl Future<Output = Result<(), LakeError>> + Send;

    /// Makes the schema the table's current one. Fields keep their ids; types may have been promoted, and optional fields
    /// added under new ids.
    fn evolve(&self, table: &TableName, schema: &Schema) -> impl Future<Output = Result<(), LakeError>> + Send;
}

impl<O: ReadObjects + WriteObjects, G: GlueApi> KeepTables for Lake<O, G> {
    async fn ensure_database(&self, name: &str, location: &str) -> Result<(), LakeError> {
        Lake::ensure_database(self, name, location).await
    }

    async fn create_profile_table(
        &self,
        table: &TableName,
        location: &str,
        schema: &Schema,
        buckets: Option<(u32, &str)>,
    ) -> Result<(), LakeError> {
        let (buckets, column) = buckets.unzip();
        Lake::create_profile_table(self, table, location, schema, buckets, column.unwrap_or_default()).await
    }

    async fn create_export_table(&self, table: &TableName, location: &str, schema: &Schema) -> Result<(), LakeError> {
        Lake::create_export_table(self, table, location, schema).await
    }

    async fn append_changes(
        &self,
        table: &TableName,
        files: Vec<NewDataFile>,
        deletes: Vec<NewDeleteFile>,
    ) -> Result<(), LakeError> {
        Lake::append_changes(self, table, files, deletes).await
    }

    async fn evolve(&self, table: &TableName, schema: &Schema) -> Result<(), LakeError> {
        Lake::evolve(self, table, schema).await
    }
}
