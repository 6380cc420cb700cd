//! What a job reads and writes, settled once: the plan, and the lists of files that its parts bring forth.

mod halves;
mod parts;

pub use parts::compose_parts;

use crate::fields::Projection;
use crate::filter::{EventList, ProfileFilter};
use crate::id::{BatchId, JobId};
use crate::name_mapping::NameMapping;
use crate::registry::{ColumnNames, DatasetKind, MergePolicy};
use crate::schema::{Field, Schema};
use crate::tenant::Tenant;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// The plan format that this release writes. Plans of this and of the previous release are understood.
pub const PLAN_VERSION: u32 = 1;
/// Most rows that are merged in one part, so that parts run beside each other; what a part holds is bounded by the engine.
pub const MAX_MERGED_ROWS: u64 = 4_000_000;
/// Most data files that one plan may hold.
pub const MAX_PLANNED_FILES: usize = 100_000;

/// A table in the catalog.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TableName {
    /// The catalog's database (Iceberg: namespace).
    pub database: String,
    /// The table within it.
    pub table: String,
}

impl std::fmt::Display for TableName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.database, self.table)
    }
}

/// An input table at the snapshot that the job reads, whatever is committed later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pin {
    /// The registry's id of the dataset.
    pub dataset_id: String,
    /// The table.
    pub table: TableName,
    /// Iceberg's table UUID: a dropped and recreated table is another one.
    pub table_uuid: String,
    /// The pinned snapshot; `None` = the table had none, and the input is empty.
    pub snapshot_id: Option<i64>,
    /// Iceberg's id of the schema that was current when the snapshot was pinned, which may be younger than the snapshot;
    /// `None` in records of older releases = the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_id: Option<i32>,
}

/// The whole plan, stored as one object. It *is* the plan: whoever plans later reads it and computes no other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// [`PLAN_VERSION`] of the release that wrote it.
    pub version: u32,
    /// Whose job.
    pub tenant: Tenant,
    /// The job.
    pub job_id: JobId,
    /// Where the rows come from: profile datasets in the order in which they win ties, then event datasets.
    pub sources: Vec<PlannedSource>,
    /// Where they go.
    pub target: PlannedTarget,
    /// How the fragments of a profile become one row.
    pub merge_policy: MergePolicy,
    /// Which fields.
    pub projection: Projection,
    /// Which profiles.
    pub filter: ProfileFilter,
    /// Which events go along; `None` = none.
    pub events: Option<EventList>,
    /// The batches: exactly one, or one for each segment entry in request order.
    pub batches: Vec<BatchId>,
    /// Whether the batches are one for each segment entry.
    pub segment_per_batch: bool,
    /// The units of work: disjoint, and together all of the pinned snapshot. Numbered by position.
    pub parts: Vec<PlannedPart>,
}

impl Plan {
    /// Whether every row of a part is a profile of its own: the owner promises it, or it was seen. The halves of a part of
    /// which it was seen are by profiles, as all halves of buckets are, and only merging tells these apart.
    pub fn rows_stand_alone(&self, part: &PlannedPart) -> bool {
        part.distinct && part.slice.is_none() || matches!(&self.sources[..], [only] if only.unique_profiles)
    }
}

/// A dataset that a plan reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedSource {
    /// Fragments or events.
    pub kind: DatasetKind,
    /// Table and snapshot.
    pub pin: Pin,
    /// The pinned schema; files are read by its field ids.
    pub schema: Schema,
    /// Top-level columns of the table's other schemas: those of which the plan's equality deletes compare something that
    /// `schema` has no more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<Field>,
    /// What the columns of data files without field ids are; `None` = such files are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_mapping: Option<NameMapping>,
    /// What the table calls the columns that the product needs.
    pub columns: ColumnNames,
    /// Whether the owner promises one row per profile.
    pub unique_profiles: bool,
}

/// The export dataset that a plan writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedTarget {
    /// The registry's id of the dataset.
    pub dataset_id: String,
    /// The table.
    pub table: TableName,
    /// Iceberg's table UUID.
    pub table_uuid: String,
    /// The table's schema when planned: its field ids go into every file.
    pub schema: Schema,
    /// The identity-on-`batchId` partition spec that the files are written for.
    pub spec_id: i32,
    /// The folder of data files, `s3://bucket/key/` with a closing slash. Keys below it come from [`part_file`].
    pub data_prefix: String,
}

/// One unit of work: 5–30 s of a worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedPart {
    /// The data files, or ranges of them, by source and then by location.
    pub files: Vec<DataFile>,
    /// The delete files that some of them name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deletes: Vec<DeleteFile>,
    /// Which of the profiles in the files are meant; `None` = all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slice: Option<Slice>,
    /// Which rows of each row group are meant, where rows stand alone; `None` = all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RowRun>,
    /// Whether no two of its rows are the same profile's, as an earlier job has seen: see [`TableFiles::distinct`].
    #[serde(default, skip_serializing_if = "is_false")]
    pub distinct: bool,
}

impl PlannedPart {
    /// Planned bytes: what progress is counted in. At least 1, so that a part always weighs something.
    pub fn weight(&self) -> u64 {
        let bytes: u64 = self.files.iter().map(DataFile::weight).sum();
        let pieces = self.slice.map_or(1, |slice| slice.modulus.max(1)).max(self.run.map_or(1, |run| run.runs.max(1)));
        (bytes / u64::from(pieces)).max(1)
    }
}

/// Some of a row group's rows: of so many runs of about one length the one of that number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowRun {
    /// How many runs a row group is cut in.
    pub runs: u32,
    /// Which of them, from 0.
    pub number: u32,
}

impl RowRun {
    /// The positions of the rows that are meant, in a row group of so many.
    pub fn of(self, rows: u64) -> Range<u64> {
        let start = |number: u32| {
            let number = u128::from(number.min(self.runs));
            u64::try_from(u128::from(rows) * number / u128::from(self.runs.max(1))).unwrap_or(rows)
        };
        start(self.number)..start(self.number.saturating_add(1))
    }
}

/// Some of the profiles of files: those whose Iceberg hash, once divided by the number of buckets, leaves this remainder. A
/// bucket of N that is cut in k is so the same as k buckets of k·N.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Slice {
    /// N: the buckets that the table has.
    pub buckets: u32,
    /// k: how many slices a bucket is cut in.
    pub modulus: u32,
    /// Which of them, below k.
    pub remainder: u32,
}

impl Slice {
    /// Whether a profile of that (non-negative) Iceberg hash is meant.
    pub fn holds(&self, hash: u32) -> bool {
        hash / self.buckets.max(1) % self.modulus.max(1) == self.remainder
    }
}

/// A data file of an input table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DataFile {
    /// The position of its dataset among the plan's sources.
    #[serde(default)]
    pub source: usize,
    /// `s3://bucket/key`.
    pub location: String,
    /// File size in bytes.
    pub bytes: u64,
    /// Rows in the whole file.
    pub rows: u64,
    /// The bucket of `profileId`, where the table is bucketed by it.
    pub bucket: Option<u32>,
    /// Only the row groups that start in this half-open byte range; `None` = all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<(u64, u64)>,
    /// Byte offsets at which row groups start, where the table's metadata tells them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub split_offsets: Vec<u64>,
    /// The delete files that apply to it, by position among those of the part (of the table, before parts are composed).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deletes: Vec<usize>,
}

/// A delete file of an input table. Which data files it applies to stands with them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeleteFile {
    /// `s3://bucket/key`.
    pub location: String,
    /// File size in bytes.
    pub bytes: u64,
    /// What its rows say.
    pub kind: DeleteKind,
}

/// What the rows of a delete file say.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum DeleteKind {
    /// Which row of which data file is gone.
    Position,
    /// Rows with these values are gone; null equals null.
    Equality {
        /// The columns that are compared, by field id.
        field_ids: Vec<i32>,
    },
}

/// The live files of a table at one snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableFiles {
    /// The data files.
    pub data: Vec<DataFile>,
    /// The delete files that some of them name by position here.
    pub deletes: Vec<DeleteFile>,
    /// See [`PlannedSource::former`].
    pub former: Vec<Field>,
    /// See [`PlannedSource::name_mapping`].
    pub name_mapping: Option<NameMapping>,
    /// Locations of the data files of fragments in which no profile id stands twice, as earlier jobs have seen.
    pub distinct: BTreeSet<String>,
}

impl DataFile {
    /// Bytes of the file or of the range of it.
    pub fn weight(&self) -> u64 {
        self.range.map_or(self.bytes, |(start, end)| end.min(self.bytes).saturating_sub(start))
    }
}

/// What one attempt at a part brought forth, stored as one object beside its files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutputList {
    /// [`PLAN_VERSION`] of the release that wrote it.
    pub version: u32,
    /// The files, in order of batch and then of writing. Empty where no profile of the part is exported.
    pub files: Vec<OutputFile>,
    /// What was counted on the way.
    pub counts: Counts,
    /// Whether the part is one whole file of fragments, and it was seen that no profile id stands twice in it. Whoever
    /// exports it is told; the object is not.
    #[serde(skip)]
    pub distinct: bool,
}

/// A Parquet file that a part wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutputFile {
    /// `s3://bucket/key`.
    pub location: String,
    /// The batch whose rows it holds: all its rows are of one batch.
    pub batch_id: BatchId,
    /// File size in bytes.
    pub bytes: u64,
    /// Rows; never 0.
    pub rows: u64,
    /// Least and greatest `profileId`, where the file carries the column.
    pub profile_id_bounds: Option<(String, String)>,
    /// Byte offsets at which its row groups start.
    pub split_offsets: Vec<u64>,
}

/// Counters of a part, a shard or a job; they add up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Exported rows over all batches.
    pub rows: u64,
    /// Bytes of the written files.
    pub bytes: u64,
    /// Per identity namespace: the exported profiles that have an identity in it.
    pub by_namespace: BTreeMap<String, u64>,
    /// Profiles left out for having more than 50 identities.
    pub too_many_identities: u64,
    /// Profiles left out for having events and no fragment. Counted where a job reads event datasets.
    #[serde(default)]
    pub empty_profiles: u64,
}

impl Counts {
    /// Adds another's counters to these.
    pub fn add(&mut self, other: &Counts) {
        self.rows += other.rows;
        self.bytes += other.bytes;
        self.too_many_identities += other.too_many_identities;
        self.empty_profiles += other.empty_profiles;
        for (namespace, count) in &other.by_namespace {
            *self.by_namespace.entry(namespace.clone()).or_default() += count;
        }
    }
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// The folder of a batch's files, below a plan's `data_prefix`; with a closing slash.
pub fn batch_folder(batch: &BatchId) -> String {
    format!("batchId={batch}/")
}

/// Whether an object's name is one that [`part_file`] gives: other writers of the same folder name their files otherwise.
pub fn is_part_file(name: &str) -> bool {
    let Some(stem) = name.strip_suffix(".parquet") else { return false };
    let words: Vec<&str> = stem.split('-').collect();
    let digits = |word: &str, least: usize| word.len() >= least && word.bytes().all(|b| b.is_ascii_digit());
    let hex = |word: &str| word.len() == 8 && word.bytes().all(|b| b.is_ascii_hexdigit());
    matches!(words[..], [part, attempt, owner, n] if digits(part, 5) && digits(attempt, 1) && hex(owner) && digits(n, 3))
}

/// The name, below a plan's `data_prefix`, of a file that an attempt writes. The batch tells the job; attempt and the start
/// of the owner's id make it unique, so that no attempt ever writes where another one did. Short, since some stores limit
/// the length of keys far below S3's 1,024 bytes.
pub fn part_file(part: u32, attempt: u32, owner: &str, batch: &BatchId, sequence: usize) -> String {
    let owner = owner.get(..8).unwrap_or(owner);
    let folder = batch_folder(batch);
    format!("{folder}{part:05}-{attempt}-{owner}-{sequence:03}.parquet")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_names_of_ours_are_taken_for_ours() {
        let ours = part_file(7, 2, "0a1b2c3d-0000-4000-8000-000000000000", &BatchId::new(1), 3);
        assert!(is_part_file(ours.rsplit('/').next().unwrap()));
        let uuid = "0a1b2c3d-0000-4000-8000-000000000000";
        for other in [format!("00000-1-{uuid}-00001.parquet"), format!("{uuid}.parquet"), "00007-2-0a1b2c3d-003".into()]
        {
            assert!(!is_part_file(&other), "{other}");
        }
    }

    #[test]
    fn pins_and_sources_of_an_older_release_are_understood() {
        let pin =
            json!({"datasetId": "d", "table": {"database": "d", "table": "t"}, "tableUuid": "u", "snapshotId": 1});
        let columns = serde_json::to_value(ColumnNames::default()).unwrap();
        let source = json!({"kind": "profile", "pin": pin, "schema": {"schema-id": 0, "fields": []}, "columns": columns,
            "uniqueProfiles": false});
        let read: PlannedSource = serde_json::from_value(source.clone()).unwrap();
        assert_eq!((read.pin.schema_id, &read.former, &read.name_mapping), (None, &Vec::new(), &None));
        assert_eq!(serde_json::to_value(&read).unwrap(), source);
    }
}
