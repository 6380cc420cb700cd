//! Looking at tables: what a table is now, and which files are live at a pinned snapshot.

use crate::Lake;
use crate::error::{Refusal, lake_error};
use crate::glue::GlueApi;
use crate::schema::{batch_spec, buckets, to_domain};
use domain::plan::{DataFile, Pin, TableName};
use domain::ports::lake::{LakeError, ReadTables, TableState};
use domain::ports::objects::{ReadObjects, WriteObjects};
use domain::registry::TableCopy;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use iceberg::Result;
use iceberg::spec::{
    DataContentType, DataFileFormat, Manifest, ManifestContentType, ManifestEntryRef, ManifestFile, ManifestStatus,
    PrimitiveLiteral, SnapshotRef,
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

    async fn files(&self, pin: &Pin, profile_id: &str) -> std::result::Result<Vec<DataFile>, LakeError> {
        let judged = self.judge(&pin.table).await?;
        let metadata = judged.table().metadata();
        if metadata.uuid().to_string() != pin.table_uuid {
            return Err(LakeError::OtherTable(pin.table.clone()));
        }
        let Some(snapshot_id) = pin.snapshot_id else { return Ok(Vec::new()) };
        let Some(snapshot) = metadata.snapshot_by_id(snapshot_id) else {
            return Err(LakeError::SnapshotGone(pin.table.clone()));
        };
        files(judged.table(), snapshot, &pin.table, profile_id).await.map_err(|e| lake_error(&pin.table, e))
    }
}

async fn state(table: &Table, profile_id: &str) -> Result<TableState> {
    let metadata = table.metadata();
    let schema = metadata.current_schema();
    let column = schema.as_struct().field_by_name(profile_id);
    Ok(TableState {
        copy: TableCopy {
            table_uuid: metadata.uuid().to_string(),
            format_version: metadata.format_version() as u8,
            schema: to_domain(schema)?,
            buckets: column.and_then(|c| buckets(metadata.default_partition_spec(), c.id)).map(|(_, n)| n),
            delete_kinds: delete_kinds(table).await?.into_iter().map(str::to_owned).collect(),
            batch_spec_id: batch_spec(metadata),
        },
        snapshot_id: metadata.current_snapshot_id(),
        location: metadata.location().trim_end_matches('/').into(),
    })
}

/// The kinds of the live delete files at the current snapshot.
async fn delete_kinds(table: &Table) -> Result<BTreeSet<&'static str>> {
    let Some(snapshot) = table.metadata().current_snapshot() else { return Ok(BTreeSet::new()) };
    let mut kinds = BTreeSet::new();
    let deletes = manifests(table, snapshot).await?.into_iter().filter(|m| m.content == ManifestContentType::Deletes);
    let mut read = entries(table, deletes.collect());
    while let Some((_, manifest)) = read.try_next().await? {
        kinds.extend(live(&manifest).map(|e| delete_kind(e.content_type())));
    }
    Ok(kinds)
}

/// What the domain calls a kind of delete file. (Deletion vectors delete by position.)
fn delete_kind(content: DataContentType) -> &'static str {
    match content {
        DataContentType::EqualityDeletes => "equality",
        DataContentType::PositionDeletes | DataContentType::Data => "position",
    }
}

async fn files(table: &Table, snapshot: &SnapshotRef, name: &TableName, profile_id: &str) -> Result<Vec<DataFile>> {
    let rules = Rules::of(table, name, profile_id);
    let mut files = Vec::new();
    let mut read = entries(table, manifests(table, snapshot).await?);
    while let Some((file, manifest)) = read.try_next().await? {
        for entry in live(&manifest) {
            files.push(rules.planned(&file, entry)?);
        }
    }
    Ok(files)
}

/// What a table's live files must keep to.
struct Rules<'t> {
    table: &'t Table,
    name: &'t TableName,
    profile_id: &'t str,
    /// The column's id and N, where the table is bucketed.
    buckets: Option<(i32, u32)>,
}

impl<'t> Rules<'t> {
    fn of(table: &'t Table, name: &'t TableName, profile_id: &'t str) -> Self {
        let metadata = table.metadata();
        let column = metadata.current_schema().as_struct().field_by_name(profile_id).map(|c| c.id);
        let buckets = column.and_then(|id| Some((id, buckets(metadata.default_partition_spec(), id)?.1)));
        Self { table, name, profile_id, buckets }
    }

    /// The file of a live entry as a plan names it, or why the table is refused.
    fn planned(&self, manifest: &ManifestFile, entry: &ManifestEntryRef) -> std::result::Result<DataFile, Refusal> {
        let file = entry.data_file();
        if manifest.content == ManifestContentType::Deletes || file.content_type() != DataContentType::Data {
            return Err(self.has_deletes(delete_kind(file.content_type())));
        }
        if file.file_format() != DataFileFormat::Parquet {
            let format = file.file_format();
            return Err(Refusal(format!(
                "{} has a live {format} file, {}; only Parquet is read: rewrite the table's data files as Parquet and try again",
                self.name,
                file.file_path()
            )));
        }
        let offsets = file.split_offsets().unwrap_or_default();
        Ok(DataFile {
            location: file.file_path().into(),
            bytes: file.file_size_in_bytes(),
            rows: file.record_count(),
            bucket: self.buckets.map(|(column, n)| self.bucket(manifest, entry, column, n)).transpose()?,
            range: None,
            split_offsets: offsets.iter().filter_map(|o| u64::try_from(*o).ok()).collect(),
        })
    }

    fn bucket(
        &self,
        manifest: &ManifestFile,
        entry: &ManifestEntryRef,
        column: i32,
        n: u32,
    ) -> std::result::Result<u32, Refusal> {
        let spec_id = manifest.partition_spec_id;
        let spec = self.table.metadata().partition_spec_by_id(spec_id);
        let Some((at, _)) = spec.and_then(|s| buckets(s, column)).filter(|(_, of_file)| *of_file == n) else {
            return Err(self.is_of_old_spec(entry.file_path(), spec_id, n));
        };
        let value = entry.data_file().partition().fields().get(at).and_then(Option::as_ref);
        match value.and_then(|v| v.as_primitive_literal()) {
            Some(PrimitiveLiteral::Int(bucket)) if (0..i64::from(n)).contains(&i64::from(bucket)) => Ok(bucket as u32),
            _ => Err(Refusal(format!(
                "the file {} of {} lies in no bucket: rows without {} cannot be exported; delete them and try again",
                entry.file_path(),
                self.name,
                self.profile_id
            ))),
        }
    }

    fn has_deletes(&self, kind: &str) -> Refusal {
        let name = self.name;
        Refusal(format!(
            "{name} has live {kind} delete files, which are not applied yet; rewrite its data files (Athena: OPTIMIZE {name} \
             REWRITE DATA USING BIN_PACK; Spark: CALL system.rewrite_data_files(table => '{name}', options => \
             map('delete-file-threshold', '1'))) and try again"
        ))
    }

    fn is_of_old_spec(&self, path: &str, spec_id: i32, n: u32) -> Refusal {
        let (name, profile_id) = (self.name, self.profile_id);
        Refusal(format!(
            "{name} is bucketed, but its file {path} was written under partition spec {spec_id}, which has no \
             bucket({n}, {profile_id}); rewrite its data files (Spark: CALL system.rewrite_data_files(table => '{name}', \
             options => map('rewrite-all', 'true'))) and try again"
        ))
    }
}

/// The manifests of a snapshot that may hold live files.
pub(crate) async fn manifests(table: &Table, snapshot: &SnapshotRef) -> Result<Vec<ManifestFile>> {
    let list = table.manifest_list_reader(snapshot).load().await?;
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
            let manifest = file.load_manifest(&io).await?;
            Ok((file, manifest))
        }
    };
    stream::iter(manifests).map(read).buffered(MANIFESTS_AT_A_TIME).boxed()
}

/// The entries of a manifest that are not marked as deleted.
pub(crate) fn live(manifest: &Manifest) -> impl Iterator<Item = &ManifestEntryRef> {
    manifest.entries().iter().filter(|e| e.status() != ManifestStatus::Deleted)
}
