//! Tables: pin one, plan its files, append a job's snapshot exactly once.

use crate::id::{BatchId, JobId};
use crate::job::Widening;
use crate::plan::{OutputFile, Pin, PlannedTarget, TableFiles, TableName};
use crate::registry::TableCopy;
use crate::schema::Schema;
use std::collections::BTreeSet;
use std::future::Future;

/// Why a table call failed.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// The catalog has no such table.
    #[error("the table {0} does not exist")]
    NoTable(TableName),
    /// Another table stands under the name now.
    #[error("the table {0} was dropped and created again")]
    OtherTable(TableName),
    /// The table needs something that is not supported; the sentence names it and what to do.
    #[error("{0}")]
    Unsupported(String),
    /// The pinned snapshot has been expired.
    #[error("the pinned snapshot of {0} has been expired")]
    SnapshotGone(TableName),
    /// Metadata that cannot be read, and what is wrong with it, in a clause that names the file where it is known.
    #[error("the metadata of {0} cannot be read: {1}")]
    Damaged(TableName, String, #[source] Source),
    /// Catalog or store did not answer, or the outcome is unknown; look again later.
    #[error("the catalog or its store is unavailable")]
    Unavailable(#[source] Source),
    /// Catalog or store forbids it.
    #[error("access to {0} is denied")]
    Denied(TableName, #[source] Source),
}

/// A cause, for logs only.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// A table as it stands: the registry's copy of it and the snapshot that is current.
#[derive(Clone, Debug, PartialEq)]
pub struct TableState {
    /// What the registry keeps of it.
    pub copy: TableCopy,
    /// The current snapshot; `None` = nothing was ever committed.
    pub snapshot_id: Option<i64>,
    /// The table's folder, `s3://bucket/key` without a closing slash.
    pub location: String,
}

impl TableState {
    /// Pins the table as it stands, for the dataset of that id.
    pub fn pin(&self, dataset_id: &str, table: &TableName) -> Pin {
        Pin {
            dataset_id: dataset_id.into(),
            table: table.clone(),
            table_uuid: self.copy.table_uuid.clone(),
            snapshot_id: self.snapshot_id,
            schema_id: Some(self.copy.schema.schema_id),
        }
    }
}

/// Looks at tables.
pub trait ReadTables: Clone + Send + Sync + 'static {
    /// The table as it stands now. `profile_id` is what the table calls that column: buckets are counted by it.
    fn look(&self, table: &TableName, profile_id: &str) -> impl Future<Output = Result<TableState, LakeError>> + Send;

    /// The same with the pinned schema in place of the current one. [`LakeError::OtherTable`] where the pin is of another
    /// table, [`LakeError::Unsupported`] where the schema is gone.
    fn look_pinned(&self, pin: &Pin, profile_id: &str) -> impl Future<Output = Result<TableState, LakeError>> + Send;

    /// All live files at a pinned snapshot: the data files, each with its bucket of `profile_id` and the delete files that
    /// apply to it, and what the table tells about reading them. Refuses files that are not Parquet, deletion vectors, a
    /// damaged name mapping, and in a bucketed table a live data file that was written under a spec without the bucket field.
    fn files(&self, pin: &Pin, profile_id: &str) -> impl Future<Output = Result<TableFiles, LakeError>> + Send;
}

/// What became of an attempt at widening a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Widened {
    /// The table has all that is wanted: by this call, or found there. As it stands then.
    Stands(TableState),
    /// The attempt could not be told on the job's record; nothing was written.
    Withdrawn,
    /// Somebody else moved the table between look and swap; look again.
    Conflict,
}

/// Widens export tables.
pub trait WidenTables: ReadTables {
    /// One attempt to add to a table what `wanted` has and it lacks, by name path: columns and fields of structs at any
    /// depth, all of them optional, with field ids of the table's own (those in `wanted` say nothing). Looks at the table,
    /// then has `tell` put on the job's record which metadata file this attempt will write, named by `uuid`; writes it, and
    /// swaps by the version that was judged. Where nothing is lacking nothing is told or written. What stands in both keeps
    /// its type: a conflict is [`LakeError::Unsupported`]. [`LakeError::OtherTable`] if `table_uuid` is not the table's. A
    /// lost answer is [`LakeError::Unavailable`].
    fn widen<F>(
        &self,
        table: &TableName,
        table_uuid: &str,
        wanted: &Schema,
        uuid: &str,
        tell: impl FnOnce(Widening) -> F + Send,
    ) -> impl Future<Output = Result<Widened, LakeError>> + Send
    where
        F: Future<Output = bool> + Send;

    /// G: of what attempts may have written to widen a table, the files that it does not name and never will. The job is no
    /// longer planned, and the table's version is moved: who looks at the table after this can tell of no attempt any more,
    /// and who looked before swaps at a version that is gone. Attempts at another table are left out.
    fn overtake(
        &self,
        table: &TableName,
        widenings: &[Widening],
    ) -> impl Future<Output = Result<Vec<String>, LakeError>> + Send;
}

/// What a job commits.
#[derive(Clone, Debug, PartialEq)]
pub struct Commit {
    /// The job; named in the snapshot's summary as `export.job-id`.
    pub job_id: JobId,
    /// Its batches; in the summary as `export.batch-ids`.
    pub batches: Vec<BatchId>,
    /// The table.
    pub target: PlannedTarget,
    /// All files of all batches; may be empty: the snapshot is made all the same.
    pub files: Vec<OutputFile>,
    /// Drawn afresh for this attempt and recorded on the job before it. All files that the attempt writes are named by it.
    pub commit_uuid: String,
}

/// What became of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// The job's snapshot is in the table: by this call, or found there.
    Visible,
    /// The job was no longer committing when the table was looked at; nothing was written.
    Withdrawn,
    /// Somebody else moved the table between look and swap; look again.
    Conflict,
}

/// What became of an abandoned commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abandoned {
    /// The job's snapshot is in the table after all.
    Visible,
    /// It is not, and nobody who looked at the table before can still bring it there.
    Never,
    /// Somebody else moved the table between look and swap; look again.
    Conflict,
}

/// What a table has of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// Whether the job's snapshot is in it.
    pub committed: bool,
    /// The live data files of the job's batches, whoever wrote them.
    pub files: BTreeSet<String>,
    /// The folder of the table's metadata files, `s3://bucket/key/`: a commit's files lie there, named by its UUID.
    pub metadata_folder: String,
    /// Those of the job's commits that moved the table, by UUID, as far as it still has their snapshots.
    pub moved: Vec<String>,
}

impl Named {
    /// Of the commits that the job `tried`, by UUID, those that were overtaken: no snapshot names their files, and none ever
    /// will. None of them where the job `is_visible` and the table no longer has its snapshot: any of them may be the one that
    /// later snapshots build on.
    pub fn overtaken<'t>(&self, tried: &'t [String], is_visible: bool) -> Vec<&'t str> {
        if is_visible && self.moved.is_empty() {
            return Vec::new();
        }
        tried.iter().filter(|uuid| !self.moved.contains(uuid)).map(String::as_str).collect()
    }
}

/// Appends snapshots.
pub trait AppendOnce: Clone + Send + Sync + 'static {
    /// One attempt of F2: loads the table, judges on exactly that metadata whether the job is committed already, asks
    /// `still_committing`, appends one snapshot to it and swaps by the version that was judged. Never loads again in
    /// between. A lost answer is [`LakeError::Unavailable`]: the caller comes again, and the look settles it.
    fn append<F>(
        &self,
        commit: &Commit,
        still_committing: impl FnOnce() -> F + Send,
    ) -> impl Future<Output = Result<Appended, LakeError>> + Send
    where
        F: Future<Output = bool> + Send;

    /// One attempt of F4: loads the table and, unless the job's snapshot is in it, appends an empty one in its stead
    /// (`export.abandoned-job-id`), once. The job is no longer COMMITTING: who looks after this is told so, and who looked
    /// before swaps at a version that is gone. Of the commit, files say nothing.
    fn abandon(&self, commit: &Commit) -> impl Future<Output = Result<Abandoned, LakeError>> + Send;

    /// G: what the table, as it stands now, has of a job that has ended, which `tried` to commit under these UUIDs. Of the
    /// commit, files and UUID say nothing.
    fn named(&self, commit: &Commit, tried: &[String]) -> impl Future<Output = Result<Named, LakeError>> + Send;
}
