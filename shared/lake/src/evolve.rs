//! Schemas that change: export tables grow by what their datasets gain, any table takes a schema as it is given.

use crate::Lake;
use crate::error::lake_error;
use crate::glue::GlueApi;
use crate::read::state;
use crate::schema::{PROFILE_ID, to_domain, to_iceberg};
use crate::widening::widened;
use domain::plan::TableName;
use domain::ports::lake::{LakeError, TableState, WidenTables};
use domain::ports::objects::{ReadObjects, WriteObjects};
use domain::schema::Schema;
use iceberg::spec::TableMetadataBuilder;

impl<O: ReadObjects + WriteObjects, G: GlueApi> WidenTables for Lake<O, G> {
    async fn widen(&self, table: &TableName, table_uuid: &str, wanted: &Schema) -> Result<TableState, LakeError> {
        let failed = |e| lake_error(table, e);
        self.settle(table, |judged| async move {
            let metadata = judged.table().metadata();
            if metadata.uuid().to_string() != table_uuid {
                return Err(LakeError::OtherTable(table.clone()));
            }
            let stands = match widened(metadata, wanted, table).map_err(failed)? {
                None => judged.table().clone(),
                Some(schema) => {
                    let add = |builder: TableMetadataBuilder| builder.add_current_schema(schema);
                    self.catalog().change(judged, add).await.map_err(failed)?
                }
            };
            state(&stands, PROFILE_ID).await.map_err(failed)
        })
        .await
    }
}

impl<O: ReadObjects + WriteObjects, G: GlueApi> Lake<O, G> {
    /// Makes a schema the current one, with the field ids that stand in it: whoever adds a column gives it an id that the
    /// table never had. Files keep the schema that they were written with; nothing is written where it is current already.
    pub async fn evolve(&self, table: &TableName, schema: &Schema) -> Result<(), LakeError> {
        let failed = |e| lake_error(table, e);
        let wanted = &to_iceberg(schema).map_err(failed)?;
        self.settle(table, |judged| async move {
            let current = to_domain(judged.table().metadata().current_schema()).map_err(failed)?;
            if current.fields == schema.fields {
                return Ok(());
            }
            let spec = judged.table().metadata().default_partition_spec();
            if let Some(field) = spec.fields().iter().find(|f| wanted.field_by_id(f.source_id).is_none()) {
                let sentence = format!("{table} is partitioned by a column that would be dropped: {}", field.name);
                return Err(LakeError::Unsupported(sentence));
            }
            let wanted = wanted.clone();
            let evolved = self.catalog().change(judged, |builder| builder.add_current_schema(wanted)).await;
            evolved.map(drop).map_err(failed)
        })
        .await
    }
}
