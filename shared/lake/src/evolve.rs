//! Schemas that change: export tables grow by what their datasets gain, any table takes a schema as it is given.

use crate::Lake;
use crate::error::lake_error;
use crate::glue::GlueApi;
use crate::read::state;
use crate::schema::{PROFILE_ID, to_domain, to_iceberg};
use crate::widening::widened;
use domain::job::Widening;
use domain::plan::TableName;
use domain::ports::lake::{LakeError, WidenTables, Widened};
use domain::ports::objects::{ReadObjects, WriteObjects};
use domain::schema::Schema;
use iceberg::ErrorKind;
use std::future::Future;
use uuid::Uuid;

impl<O: ReadObjects + WriteObjects, G: GlueApi> WidenTables for Lake<O, G> {
    async fn widen<F>(
        &self,
        table: &TableName,
        table_uuid: &str,
        wanted: &Schema,
        uuid: &str,
        tell: impl FnOnce(Widening) -> F + Send,
    ) -> Result<Widened, LakeError>
    where
        F: Future<Output = bool> + Send,
    {
        let failed = |e| lake_error(table, e);
        let judged = self.judge(table).await?;
        let metadata = judged.of(table, table_uuid)?.table().metadata();
        let stands = match widened(metadata, wanted, table).map_err(failed)? {
            None => judged.table().clone(),
            Some(schema) => {
                let uuid = Uuid::parse_str(uuid).map_err(|e| failed(e.into()))?;
                let changed = self.catalog().changed(&judged, uuid, |builder| builder.add_current_schema(schema));
                let changed = changed.map_err(failed)?;
                let metadata_file = changed.metadata_location_result().map_err(failed)?.to_owned();
                if !tell(Widening { table_uuid: table_uuid.to_owned(), metadata_file }).await {
                    return Ok(Widened::Withdrawn);
                }
                match self.catalog().swap(judged, changed).await {
                    Err(error) if error.kind() == ErrorKind::CatalogCommitConflicts => return Ok(Widened::Conflict),
                    swapped => swapped.map_err(failed)?,
                }
            }
        };
        Ok(Widened::Stands(state(&stands, PROFILE_ID).await.map_err(failed)?))
    }

    async fn overtake(&self, table: &TableName, widenings: &[Widening]) -> Result<Vec<String>, LakeError> {
        self.settle(table, |judged| async move {
            let uuid = judged.table().metadata().uuid().to_string();
            let is_named = |widening: &Widening| judged.metadata_files().any(|file| file == widening.metadata_file);
            let ours = widenings.iter().filter(|widening| widening.table_uuid == uuid);
            let lost: Vec<_> = ours.filter(|w| !is_named(w)).map(|w| w.metadata_file.clone()).collect();
            if !lost.is_empty() {
                self.catalog().touch(judged).await.map_err(|e| lake_error(table, e))?;
            }
            Ok(lost)
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
