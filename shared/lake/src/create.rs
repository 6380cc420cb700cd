//! Creating databases and tables.

use crate::Lake;
use crate::catalog::ident;
use crate::error::{Refusal, lake_error};
use crate::glue::GlueApi;
use crate::schema::{BATCH_ID, to_iceberg};
use domain::plan::TableName;
use domain::ports::lake::LakeError;
use domain::ports::objects::{ReadObjects, WriteObjects};
use domain::schema::Schema;
use iceberg::spec::{Transform, UnboundPartitionSpec};
use iceberg::{Catalog, ErrorKind, NamespaceIdent, Result, TableCreation};
use std::collections::HashMap;

impl<O: ReadObjects + WriteObjects, G: GlueApi> Lake<O, G> {
    /// Creates the database, if it is not there, with `s3://bucket/key` as the folder of its tables.
    pub async fn ensure_database(&self, name: &str, location: &str) -> std::result::Result<(), LakeError> {
        let catalog = self.catalog();
        let namespace = NamespaceIdent::new(name.into());
        let created = async {
            if catalog.namespace_exists(&namespace).await? {
                return Ok(());
            }
            let properties = HashMap::from([("location".to_owned(), location.trim_end_matches('/').to_owned())]);
            match catalog.create_namespace(&namespace, properties).await {
                Err(error) if error.kind() == ErrorKind::NamespaceAlreadyExists => Ok(()),
                settled => settled.map(drop),
            }
        };
        created.await.map_err(|e| lake_error(&TableName { database: name.into(), table: "*".into() }, e))
    }

    /// Creates a profile or event table in the folder `s3://bucket/key`, partitioned by `bucket(N, bucket_column)` where
    /// buckets are given. Iceberg draws new field ids. [`LakeError::Unsupported`] if the name is taken.
    pub async fn create_profile_table(
        &self,
        table: &TableName,
        location: &str,
        schema: &Schema,
        buckets: Option<u32>,
        bucket_column: &str,
    ) -> std::result::Result<(), LakeError> {
        let partition = buckets.map(|n| (bucket_column, format!("{bucket_column}_bucket"), Transform::Bucket(n)));
        self.create(table, location, schema, partition).await.map_err(|e| lake_error(table, e))
    }

    /// Creates an export table in the folder `s3://bucket/key`, partitioned by `batchId`. Iceberg draws new field ids.
    /// [`LakeError::Unsupported`] if the name is taken.
    pub async fn create_export_table(
        &self,
        table: &TableName,
        location: &str,
        schema: &Schema,
    ) -> std::result::Result<(), LakeError> {
        let partition = Some((BATCH_ID, BATCH_ID.to_owned(), Transform::Identity));
        self.create(table, location, schema, partition).await.map_err(|e| lake_error(table, e))
    }

    async fn create(
        &self,
        table: &TableName,
        location: &str,
        schema: &Schema,
        partition: Option<(&str, String, Transform)>,
    ) -> Result<()> {
        let schema = to_iceberg(schema)?;
        let mut spec = UnboundPartitionSpec::builder();
        if let Some((column, name, transform)) = partition {
            let source = schema.as_struct().field_by_name(column).map(|f| f.id);
            let source =
                source.ok_or_else(|| Refusal(format!("{table} has no column {column} to be partitioned by")))?;
            if transform == Transform::Bucket(0) {
                return Err(Refusal(format!("{table} cannot have 0 buckets")).into());
            }
            spec = spec.add_partition_field(source, name, transform)?;
        }
        let creation = TableCreation::builder()
            .name(table.table.clone())
            .location(location.trim_end_matches('/').into())
            .schema(schema)
            .partition_spec(spec.build())
            .build();
        self.catalog().create_table(ident(table).namespace(), creation).await.map(drop)
    }
}
