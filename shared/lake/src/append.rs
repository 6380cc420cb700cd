//! Appending a job's snapshot, exactly once.

use crate::Lake;
use crate::catalog::Judged;
use crate::error::lake_error;
use crate::glue::GlueApi;
use crate::read::{entries, live, manifests};
use crate::schema::{BATCH_ID, PROFILE_ID, is_by_batch};
use domain::id::BatchId;
use domain::plan::{OutputFile, PlannedTarget, TableName};
use domain::ports::lake::{Abandoned, AppendOnce, Appended, Commit, LakeError, Named};
use domain::ports::objects::{ReadObjects, WriteObjects};
use futures::TryStreamExt;
use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, Datum, Literal, ManifestContentType, ManifestFile,
    PrimitiveLiteral, Struct, TableMetadata, Transform,
};
use iceberg::transaction::{ApplyTransactionAction, Transaction};
use iceberg::{Error, ErrorKind, Result};
use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use uuid::Uuid;

/// Iceberg's folder of metadata files below a table's location.
const METADATA: &str = "metadata";
/// Summary property: the job that made the snapshot.
const JOB_ID: &str = "export.job-id";
/// Summary property: the job whose commit this snapshot defeats.
const ABANDONED_JOB_ID: &str = "export.abandoned-job-id";
/// Summary property: the job's batches, comma-separated.
const BATCH_IDS: &str = "export.batch-ids";

impl<O: ReadObjects + WriteObjects, G: GlueApi> AppendOnce for Lake<O, G> {
    async fn append<F>(
        &self,
        commit: &Commit,
        still_committing: impl FnOnce() -> F + Send,
    ) -> std::result::Result<Appended, LakeError>
    where
        F: Future<Output = bool> + Send,
    {
        let target = &commit.target;
        let failed = |e| lake_error(&target.table, e);
        let judged = self.judge_target(target).await?;
        if is_committed(&judged, commit).await.map_err(failed)? {
            return Ok(Appended::Visible);
        }
        if !still_committing().await {
            return Ok(Appended::Withdrawn);
        }
        let judged = for_batches(judged, target)?;
        let files = commit.files.iter().map(|f| exported_file(f, target));
        let files = files.collect::<Result<_>>().map_err(failed)?;
        let uuid = Uuid::parse_str(&commit.commit_uuid).map_err(|e| failed(e.into()))?;
        let batches: Vec<_> = commit.batches.iter().map(BatchId::as_str).collect();
        let summary = [(JOB_ID, commit.job_id.to_string()), (BATCH_IDS, batches.join(","))];
        self.swap_in(&target.table, judged, files, uuid, summary).await
    }

    async fn abandon(&self, commit: &Commit) -> std::result::Result<Abandoned, LakeError> {
        let target = &commit.target;
        let failed = |e| lake_error(&target.table, e);
        let judged = self.judge_target(target).await?;
        if is_committed(&judged, commit).await.map_err(failed)? {
            return Ok(Abandoned::Visible);
        }
        let job_id = commit.job_id.to_string();
        if is_named(&judged, ABANDONED_JOB_ID, &job_id) {
            return Ok(Abandoned::Never);
        }
        let uuid = Uuid::parse_str(&commit.commit_uuid).map_err(|e| failed(e.into()))?;
        match self.swap_in(&target.table, judged, Vec::new(), uuid, [(ABANDONED_JOB_ID, job_id)]).await? {
            Appended::Visible => Ok(Abandoned::Never),
            Appended::Withdrawn | Appended::Conflict => Ok(Abandoned::Conflict),
        }
    }

    async fn named(&self, commit: &Commit, tried: &[String]) -> std::result::Result<Named, LakeError> {
        let judged = self.judge_target(&commit.target).await?;
        let failed = |e| lake_error(&commit.target.table, e);
        let mut files = BTreeSet::new();
        each_live_file(&judged, &commit.batches, |location| {
            files.insert(location.to_owned());
        })
        .await
        .map_err(failed)?;
        let committed = is_named(&judged, JOB_ID, &commit.job_id.to_string()) || !files.is_empty();
        let metadata = judged.table().metadata();
        Ok(Named {
            committed,
            files,
            metadata_folder: format!("{}/{METADATA}/", metadata.location()),
            moved: moved(metadata, tried),
        })
    }
}

impl<O: ReadObjects + WriteObjects, G: GlueApi> Lake<O, G> {
    /// The table that a job was planned for, as it stands.
    async fn judge_target(&self, target: &PlannedTarget) -> std::result::Result<Judged, LakeError> {
        let judged = self.judge(&target.table).await?;
        judged.of(&target.table, &target.table_uuid)?;
        Ok(judged)
    }

    /// Appends one snapshot to the judged table and swaps by the version that was judged.
    async fn swap_in<const N: usize>(
        &self,
        table: &TableName,
        judged: Judged,
        files: Vec<DataFile>,
        commit_uuid: Uuid,
        summary: [(&str, String); N],
    ) -> std::result::Result<Appended, LakeError> {
        let transaction = Transaction::new(judged.shown());
        let append = transaction
            .fast_append()
            .with_check_duplicate(false)
            .set_commit_uuid(commit_uuid)
            .set_snapshot_properties(summary.map(|(key, value)| (key.to_owned(), value)).into())
            .add_data_files(files);
        let catalog = self.catalog().bound_to(judged, commit_uuid);
        let committed = match append.apply(transaction) {
            Ok(transaction) => transaction.commit(&catalog).await,
            Err(error) => Err(error),
        };
        match committed {
            Ok(_) => Ok(Appended::Visible),
            Err(error) if error.kind() == ErrorKind::CatalogCommitConflicts => Ok(Appended::Conflict),
            Err(error) => Err(lake_error(table, error)),
        }
    }
}

/// Those of a job's commits that moved the table: a snapshot's list of manifests has their UUID in its name.
fn moved(metadata: &TableMetadata, tried: &[String]) -> Vec<String> {
    let lists: Vec<&str> = metadata.snapshots().map(|snapshot| snapshot.manifest_list()).collect();
    tried.iter().filter(|uuid| lists.iter().any(|list| list.contains(uuid.as_str()))).cloned().collect()
}

/// Whether a snapshot's summary has that property.
pub(crate) fn is_named(judged: &Judged, key: &str, value: &str) -> bool {
    let mut snapshots = judged.table().metadata().snapshots();
    snapshots.any(|s| s.summary().additional_properties.get(key).is_some_and(|v| v == value))
}

/// Whether the job's snapshot is in the table: a summary names the job or, where that snapshot has been expired since, a
/// live data file lies in one of the job's partitions.
async fn is_committed(judged: &Judged, commit: &Commit) -> Result<bool> {
    if is_named(judged, JOB_ID, &commit.job_id.to_string()) {
        return Ok(true);
    }
    let mut found = false;
    each_live_file(judged, &commit.batches, |_| found = true).await?;
    Ok(found)
}

/// Shows every live data file that lies in the partition of one of these batches.
async fn each_live_file(judged: &Judged, batches: &[BatchId], mut show: impl FnMut(&str)) -> Result<()> {
    let metadata = judged.table().metadata();
    let batch_id = metadata.current_schema().as_struct().field_by_name(BATCH_ID);
    let (Some(snapshot), Some(batch_id)) = (metadata.current_snapshot(), batch_id) else { return Ok(()) };
    let position = |file: &ManifestFile| {
        let spec = metadata.partition_spec_by_id(file.partition_spec_id)?;
        spec.fields().iter().position(|f| f.source_id == batch_id.id && f.transform == Transform::Identity)
    };
    let mut candidates = manifests(judged.table(), snapshot).await?;
    candidates
        .retain(|m| m.content == ManifestContentType::Data && position(m).is_some_and(|at| may_hold(m, at, batches)));
    let mut read = entries(judged.table(), candidates);
    while let Some((file, manifest)) = read.try_next().await? {
        let Some(at) = position(&file) else { continue };
        let of_job = |partition: &Struct| match partition.fields().get(at) {
            Some(Some(Literal::Primitive(PrimitiveLiteral::String(batch)))) => {
                batches.iter().any(|b| b.as_str() == batch)
            }
            _ => false,
        };
        live(&manifest).map(|e| e.data_file()).filter(|f| of_job(f.partition())).for_each(|f| show(f.file_path()));
    }
    Ok(())
}

/// Whether a manifest's bounds leave room for a file of these batches.
fn may_hold(manifest: &ManifestFile, at: usize, batches: &[BatchId]) -> bool {
    let Some(field) = manifest.partitions.as_ref().and_then(|p| p.get(at)) else { return true };
    let above = |b: &[u8]| field.lower_bound.as_ref().is_none_or(|least| least.as_ref() <= b);
    let below = |b: &[u8]| field.upper_bound.as_ref().is_none_or(|greatest| b <= greatest.as_ref());
    batches.iter().map(|b| b.as_str().as_bytes()).any(|b| above(b) && below(b))
}

/// The table as the job's files were written for it, whatever spec is the default one by now.
fn for_batches(judged: Judged, target: &PlannedTarget) -> std::result::Result<Judged, LakeError> {
    let metadata = judged.table().metadata();
    let planned = metadata.partition_spec_by_id(target.spec_id);
    if !planned.is_some_and(|spec| is_by_batch(metadata, spec)) {
        let sentence = format!("{} has no partition spec any more that is exactly identity({BATCH_ID})", target.table);
        return Err(LakeError::Unsupported(sentence));
    }
    judged.with_default_spec(target.spec_id).map_err(|e| lake_error(&target.table, e))
}

/// A file of the job's output. Bounds stand only for what readers look a profile or a batch up by.
fn exported_file(file: &OutputFile, target: &PlannedTarget) -> Result<DataFile> {
    let batch = file.batch_id.as_str();
    let mut lower = HashMap::new();
    let mut upper = HashMap::new();
    let profile_id = target.schema.field(PROFILE_ID).zip(file.profile_id_bounds.as_ref());
    let batch_id = target.schema.field(BATCH_ID);
    let profile_id = profile_id.map(|(column, (least, greatest))| (column.id, least.as_str(), greatest.as_str()));
    for (column, least, greatest) in profile_id.into_iter().chain(batch_id.map(|c| (c.id, batch, batch))) {
        lower.insert(column, Datum::string(least));
        upper.insert(column, Datum::string(greatest));
    }
    parquet_file(&file.location, file.bytes, file.rows, &file.split_offsets)
        .partition_spec_id(target.spec_id)
        .partition(Struct::from_iter([Some(Literal::string(batch))]))
        .lower_bounds(lower)
        .upper_bounds(upper)
        .build()
        .map_err(incomplete)
}

/// A Parquet file of data, to be completed by its partition.
pub(crate) fn parquet_file(location: &str, bytes: u64, rows: u64, split_offsets: &[u64]) -> DataFileBuilder {
    let offsets: Vec<_> = split_offsets.iter().filter_map(|o| i64::try_from(*o).ok()).collect();
    let mut file = DataFileBuilder::default();
    file.content(DataContentType::Data)
        .file_path(location.into())
        .file_format(DataFileFormat::Parquet)
        .file_size_in_bytes(bytes)
        .record_count(rows)
        .split_offsets((!offsets.is_empty()).then_some(offsets));
    file
}

/// What it means that a file's builder does not build.
pub(crate) fn incomplete(error: iceberg::spec::DataFileBuilderError) -> Error {
    Error::new(ErrorKind::DataInvalid, "a data file lacks a field").with_source(error)
}
