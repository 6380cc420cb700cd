//! Looking at tables: what a table is now, and what its manifests list.

use crate::Lake;
use crate::catalog::Judged;
use crate::deletes::kind_name;
use crate::error::{in_file, lake_error};
use crate::glue::GlueApi;
use crate::planning;
use crate::schema::{batch_spec, buckets, to_domain};
use domain::name_mapping::{NAME_MAPPING, NameMapping};
use domain::plan::{Pin, TableFiles, TableName};
use domain::ports::lake::{LakeError, ReadTables, TableState};
use domain::ports::objects::{ReadObjects, WriteObjects};
use domain::registry::TableCopy;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use iceberg::Result;
use iceberg::spec::{
    DataFileFormat, Manifest, ManifestContentType, ManifestEntryRef, ManifestFile, ManifestStatus, Schema, SchemaRef,
    SnapshotRef,
};
use iceberg::table::Table;
use std::collections::BTreeSet;

/// Manifests that are read at a time.
const MANIFESTS_AT_A_TIME: usize = 16;

impl<O: ReadObjects + WriteObjects, G: GlueApi> ReadTables for Lake<O, G> {
    async fn look(&self, table: &TableName, profile_id: &str) -> std::result::Result<TableState, LakeError> {
        let judged = self.judge(table).await?;
        state(judged.table(), profile_id).await.map_err(|e| lake_error(table, e))
    }

    async fn look_pinned(&self, pin: &Pin, profile_id: &str) -> std::result::Result<TableState, LakeError> {
        let (judged, schema) = self.judge_pinned(pin).await?;
        state_under(judged.table(), &schema, profile_id).await.map_err(|e| lake_error(&pin.table, e))
    }

    async fn files(&self, pin: &Pin, profile_id: &str) -> std::result::Result<TableFiles, LakeError> {
        let (judged, schema) = self.judge_pinned(pin).await?;
        let Some(snapshot_id) = pin.snapshot_id else { return Ok(TableFiles::default()) };
        let Some(snapshot) = judged.table().metadata().snapshot_by_id(snapshot_id) else {
            return Err(LakeError::SnapshotGone(pin.table.clone()));
        };
        let planned = planning::files(judged.table(), snapshot, &schema, &pin.table, profile_id).await;
        planned.map_err(|e| lake_error(&pin.table, e))
    }
}

impl<O: ReadObjects + WriteObjects, G: GlueApi> Lake<O, G> {
    /// The table of a pin, and the schema that was pinned.
    async fn judge_pinned(&self, pin: &Pin) -> std::result::Result<(Judged, SchemaRef), LakeError> {
        let judged = self.judge(&pin.table).await?;
        let metadata = judged.of(&pin.table, &pin.table_uuid)?.table().metadata();
        let schema = match pin.schema_id {
            Some(id) => metadata.schema_by_id(id).cloned().ok_or_else(|| {
                LakeError::Unsupported(format!(
                    "{} has dropped the schema {id} from its metadata, by which the job is to read it; create the job again",
                    pin.table
                ))
            })?,
            None => metadata.current_schema().clone(),
        };
        Ok((judged, schema))
    }
}

/// What a table is now.
pub(crate) async fn state(table: &Table, profile_id: &str) -> Result<TableState> {
    state_under(table, table.metadata().current_schema(), profile_id).await
}

/// The same under another of its schemas.
async fn state_under(table: &Table, schema: &Schema, profile_id: &str) -> Result<TableState> {
    let metadata = table.metadata();
    let column = schema.as_struct().field_by_name(profile_id);
    let (delete_kinds, foreign_formats) = live_kinds(table).await?;
    Ok(TableState {
        copy: TableCopy {
            table_uuid: metadata.uuid().to_string(),
            format_version: metadata.format_version() as u8,
            schema: to_domain(schema)?,
            buckets: column.and_then(|c| buckets(metadata.default_partition_spec(), c.id)).map(|(_, n)| n),
            delete_kinds: delete_kinds.into_iter().collect(),
            foreign_formats: foreign_formats.into_iter().collect(),
            name_mapping_flaw: name_mapping(table).err(),
            batch_spec_id: batch_spec(metadata),
        },
        snapshot_id: metadata.current_snapshot_id(),
        location: metadata.location().trim_end_matches('/').into(),
    })
}

/// The table's name mapping, if it has one. The error is a clause.
pub(crate) fn name_mapping(table: &Table) -> std::result::Result<Option<NameMapping>, String> {
    table.metadata().properties().get(NAME_MAPPING).map(|json| NameMapping::parse(json)).transpose()
}

/// The kinds of the live delete files at the current snapshot, and the formats other than Parquet of the data files in the
/// oldest and the newest manifest: tables that change their format do so once, and reading all manifests is for plans.
async fn live_kinds(table: &Table) -> Result<(BTreeSet<String>, BTreeSet<String>)> {
    let (mut kinds, mut formats) = (BTreeSet::new(), BTreeSet::new());
    let Some(snapshot) = table.metadata().current_snapshot() else { return Ok((kinds, formats)) };
    let (mut looked_at, mut data): (Vec<_>, Vec<_>) =
        manifests(table, snapshot).await?.into_iter().partition(|m| m.content == ManifestContentType::Deletes);
    data.sort_by_key(|manifest| manifest.sequence_number);
    looked_at.extend(data.pop());
    looked_at.extend(data.into_iter().next());
    let mut read = entries(table, looked_at);
    while let Some((file, manifest)) = read.try_next().await? {
        match file.content {
            ManifestContentType::Deletes => kinds.extend(live(&manifest).map(|e| kind_name(e.data_file()))),
            ManifestContentType::Data => {
                let foreign = live(&manifest).map(|e| e.data_file().file_format());
                formats.extend(foreign.filter(|f| *f != DataFileFormat::Parquet).map(|f| f.to_string()));
            }
        }
    }
    Ok((kinds, formats))
}

/// The manifests of a snapshot that may hold live files.
pub(crate) async fn manifests(table: &Table, snapshot: &SnapshotRef) -> Result<Vec<ManifestFile>> {
    let list = table.manifest_list_reader(snapshot).load().await.map_err(|e| in_file(snapshot.manifest_list(), e))?;
    Ok(list.consume_entries().into_iter().filter(|m| m.has_added_files() || m.has_existing_files()).collect())
}

/// Reads manifests, several at a time, in order.
pub(crate) fn entries(
    table: &Table,
    manifests: Vec<ManifestFile>,
) -> impl Stream<Item = Result<(ManifestFile, Manifest)>> + Unpin + Send {
    let io = table.file_io().clone();
    let read = move |file: ManifestFile| {
        let io = io.clone();
        async move {
            let manifest = file.load_manifest(&io).await.map_err(|e| in_file(&file.manifest_path, e))?;
            Ok((file, manifest))
        }
    };
    stream::iter(manifests).map(read).buffered(MANIFESTS_AT_A_TIME).boxed()
}

/// The entries of a manifest that are not marked as deleted.
pub(crate) fn live(manifest: &Manifest) -> impl Iterator<Item = &ManifestEntryRef> {
    manifest.entries().iter().filter(|e| e.status() != ManifestStatus::Deleted)
}
