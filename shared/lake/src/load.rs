//! Loading: files that were written from outside become one snapshot of a table.

use crate::Lake;
use crate::append::{incomplete, is_named, parquet_file};
use crate::error::{Refusal, lake_error};
use crate::glue::GlueApi;
use domain::plan::{DeleteKind, TableName};
use domain::ports::lake::LakeError;
use domain::ports::objects::{ReadObjects, WriteObjects};
use iceberg::Result;
use iceberg::spec::{
    DataContentType, DataFile, FormatVersion, Literal, MAIN_BRANCH, ManifestFile, ManifestListWriter,
    ManifestWriterBuilder, Operation, PartitionSpec, Snapshot, SnapshotSummaryCollector, Struct, Summary,
    TableMetadata, Transform,
};
use iceberg::table::Table;
use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// Summary property: one loading of files, so that a lost answer is settled by looking.
const IMPORT_ID: &str = "import.id";
/// Stands for the sequence number that a snapshot gets: files take it over from there.
const INHERITED: i64 = -1;
/// What summaries count: properties that add to the total of that name.
const COUNTED: [&str; 6] =
    ["data-files", "delete-files", "records", "files-size", "position-deletes", "equality-deletes"];

/// A Parquet file, with Iceberg field ids, that was written for a table and is not in it yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDataFile {
    /// `s3://bucket/key`.
    pub location: String,
    /// File size in bytes.
    pub bytes: u64,
    /// Rows; never 0.
    pub rows: u64,
    /// The bucket that all its rows lie in, where the table is bucketed.
    pub bucket: Option<u32>,
    /// Byte offsets at which its row groups start.
    pub split_offsets: Vec<u64>,
}

/// A Parquet file of deletes, with Iceberg field ids, that was written for a table and is not in it yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDeleteFile {
    /// `s3://bucket/key`.
    pub location: String,
    /// File size in bytes.
    pub bytes: u64,
    /// Rows; never 0.
    pub rows: u64,
    /// The bucket that it deletes from, where the table is bucketed.
    pub bucket: Option<u32>,
    /// What its rows say.
    pub kind: DeleteKind,
}

impl<O: ReadObjects + WriteObjects, G: GlueApi> Lake<O, G> {
    /// Appends files to a table as one snapshot, exactly once as long as the call is not repeated. The table is either not
    /// partitioned, or by one bucket field alone, and then every file names its bucket.
    pub async fn append_files(&self, table: &TableName, files: Vec<NewDataFile>) -> std::result::Result<(), LakeError> {
        self.append_changes(table, files, Vec::new()).await
    }

    /// Like [`Lake::append_files`], with delete files in the same snapshot. Positions may be those of files of this very
    /// snapshot; deletes by value reach only what was there before it.
    pub async fn append_changes(
        &self,
        table: &TableName,
        files: Vec<NewDataFile>,
        deletes: Vec<NewDeleteFile>,
    ) -> std::result::Result<(), LakeError> {
        if files.is_empty() && deletes.is_empty() {
            return Ok(());
        }
        let (import, files, deletes) = (&Uuid::new_v4().to_string(), &files, &deletes);
        let failed = |e| lake_error(table, e);
        self.settle(table, |judged| async move {
            if is_named(&judged, IMPORT_ID, import) {
                return Ok(());
            }
            let changes = Changes::of(judged.table().metadata(), table, files, deletes).map_err(failed)?;
            let snapshot = changes.written_beside(judged.table(), import).await.map_err(failed)?;
            let appended = self.catalog().change(judged, |b| b.set_branch_snapshot(snapshot, MAIN_BRANCH)).await;
            appended.map(drop).map_err(failed)
        })
        .await
    }
}

/// The files of one snapshot, as the table's default spec wants them.
struct Changes {
    data: Vec<DataFile>,
    deletes: Vec<DataFile>,
}

impl Changes {
    fn of(
        metadata: &TableMetadata,
        table: &TableName,
        files: &[NewDataFile],
        deletes: &[NewDeleteFile],
    ) -> Result<Self> {
        if metadata.format_version() != FormatVersion::V2 {
            return Err(Refusal(format!("{table} has not the Iceberg format version 2, which alone is written")).into());
        }
        let spec = metadata.default_partition_spec();
        let partition = |location: &str, bucket| {
            partition(spec, bucket).ok_or_else(|| {
                Refusal(format!(
                    "{table} is partitioned otherwise than the file {location} was written; load the table with the tool \
                     that keeps it"
                ))
            })
        };
        let data = files.iter().map(|file| {
            parquet_file(&file.location, file.bytes, file.rows, &file.split_offsets)
                .partition_spec_id(spec.spec_id())
                .partition(partition(&file.location, file.bucket)?)
                .build()
                .map_err(incomplete)
        });
        let deletes = deletes.iter().map(|file| {
            let (content, field_ids) = match &file.kind {
                DeleteKind::Position => (DataContentType::PositionDeletes, None),
                DeleteKind::Equality { field_ids } => (DataContentType::EqualityDeletes, Some(field_ids.clone())),
            };
            parquet_file(&file.location, file.bytes, file.rows, &[])
                .content(content)
                .equality_ids(field_ids)
                .partition_spec_id(spec.spec_id())
                .partition(partition(&file.location, file.bucket)?)
                .build()
                .map_err(incomplete)
        });
        Ok(Self { data: data.collect::<Result<_>>()?, deletes: deletes.collect::<Result<_>>()? })
    }

    /// The snapshot that adds them to the current one; its manifests and their list are written.
    async fn written_beside(self, table: &Table, import: &str) -> Result<Snapshot> {
        let metadata = table.metadata();
        let parent = metadata.current_snapshot();
        let (id, uuid, sequence) = (new_snapshot_id(), Uuid::new_v4(), metadata.next_sequence_number());
        let summary = self.summary(metadata, import);
        let mut manifests = match parent {
            Some(parent) => table.manifest_list_reader(parent).load().await?.consume_entries().into_iter().collect(),
            None => Vec::new(),
        };
        for (name, files) in [("m0", self.data), ("m1", self.deletes)] {
            if !files.is_empty() {
                let at = format!("{}/metadata/{uuid}-{name}.avro", metadata.location());
                manifests.push(write_manifest(table, &at, id, files).await?);
            }
        }
        let list = format!("{}/metadata/snap-{id}-0-{uuid}.avro", metadata.location());
        let output = table.file_io().new_output(&list)?.writer().await?;
        let mut writer = ManifestListWriter::v2(output, id, metadata.current_snapshot_id(), sequence);
        writer.add_manifests(manifests.into_iter())?;
        writer.close().await?;
        let snapshot = Snapshot::builder()
            .with_snapshot_id(id)
            .with_parent_snapshot_id(metadata.current_snapshot_id())
            .with_sequence_number(sequence)
            .with_timestamp_ms(now_ms().max(metadata.last_updated_ms()))
            .with_manifest_list(list)
            .with_summary(summary)
            .with_schema_id(metadata.current_schema_id());
        Ok(snapshot.build())
    }

    fn summary(&self, metadata: &TableMetadata, import: &str) -> Summary {
        let mut added = SnapshotSummaryCollector::default();
        for file in self.data.iter().chain(&self.deletes) {
            added.add_file(file, metadata.current_schema().clone(), metadata.default_partition_spec().clone());
        }
        let mut properties = added.build();
        let before = metadata.current_snapshot().map(|s| &s.summary().additional_properties);
        let count = |of: &HashMap<String, String>, key: String| of.get(&key)?.parse::<u64>().ok();
        for counted in COUNTED {
            let before = before.map_or(Some(0), |before| count(before, format!("total-{counted}")));
            let added = count(&properties, format!("added-{counted}")).unwrap_or_default();
            // Writers may leave totals out; what is not known is not made up.
            if let Some(before) = before {
                properties.insert(format!("total-{counted}"), (before + added).to_string());
            }
        }
        properties.insert(IMPORT_ID.into(), import.into());
        let operation = match (self.data.is_empty(), self.deletes.is_empty()) {
            (_, true) => Operation::Append,
            (true, false) => Operation::Delete,
            (false, false) => Operation::Overwrite,
        };
        Summary { operation, additional_properties: properties }
    }
}

/// A manifest of files of one kind, all new.
async fn write_manifest(table: &Table, at: &str, snapshot_id: i64, files: Vec<DataFile>) -> Result<ManifestFile> {
    let metadata = table.metadata();
    let output = table.file_io().new_output(at)?;
    let spec = metadata.default_partition_spec().as_ref().clone();
    let builder = ManifestWriterBuilder::new(output, Some(snapshot_id), metadata.current_schema().clone(), spec);
    let mut writer = match files.first().map(DataFile::content_type) {
        None | Some(DataContentType::Data) => builder.build_v2_data(),
        Some(DataContentType::PositionDeletes | DataContentType::EqualityDeletes) => builder.build_v2_deletes(),
    };
    for file in files {
        writer.add_file(file, INHERITED)?;
    }
    writer.write_manifest_file().await
}

/// The partition of a bucket; `None` where the spec is not by one bucket field alone.
fn partition(spec: &PartitionSpec, bucket: Option<u32>) -> Option<Struct> {
    match (spec.fields(), bucket) {
        ([], None) => Some(Struct::empty()),
        ([field], Some(bucket)) => match field.transform {
            Transform::Bucket(n) if bucket < n => {
                Some(Struct::from_iter([Some(Literal::int(i32::try_from(bucket).ok()?))]))
            }
            _ => None,
        },
        _ => None,
    }
}

fn new_snapshot_id() -> i64 {
    let (high, low) = Uuid::new_v4().as_u64_pair();
    ((high ^ low) & i64::MAX as u64) as i64
}

fn now_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}
