//! What a job reads and writes, settled once: the plan, and the lists of files that its parts bring forth.

use crate::fields::Projection;
use crate::filter::MembershipFilter;
use crate::id::{BatchId, JobId};
use crate::registry::ColumnNames;
use crate::schema::Schema;
use crate::tenant::Tenant;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The plan format that this release writes. Plans of this and of the previous release are understood.
pub const PLAN_VERSION: u32 = 1;
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
    /// Where the rows come from.
    pub source: PlannedSource,
    /// Where they go.
    pub target: PlannedTarget,
    /// Which fields.
    pub projection: Projection,
    /// Which profiles.
    pub filter: MembershipFilter,
    /// The batches, in request order; exactly one unless `segmentPerBatch`.
    pub batches: Vec<BatchId>,
    /// The units of work: disjoint, and together all of the pinned snapshot. Numbered by position.
    pub parts: Vec<PlannedPart>,
}

/// The profile dataset that a plan reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedSource {
    /// Table and snapshot.
    pub pin: Pin,
    /// The schema at the pinned snapshot; files are read by its field ids.
    pub schema: Schema,
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
    /// The data files, or ranges of them.
    pub files: Vec<DataFile>,
}

impl PlannedPart {
    /// Planned bytes: what progress is counted in. At least 1, so that a part always weighs something.
    pub fn weight(&self) -> u64 {
        self.files.iter().map(DataFile::weight).sum::<u64>().max(1)
    }
}

/// A data file of an input table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DataFile {
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
}

impl Counts {
    /// Adds another's counters to these.
    pub fn add(&mut self, other: &Counts) {
        self.rows += other.rows;
        self.bytes += other.bytes;
        self.too_many_identities += other.too_many_identities;
        for (namespace, count) in &other.by_namespace {
            *self.by_namespace.entry(namespace.clone()).or_default() += count;
        }
    }
}

/// The name, below a plan's `data_prefix`, of a file that an attempt writes. The batch tells the job; attempt and the start
/// of the owner's id make it unique, so that no attempt ever writes where another one did. Short, since some stores limit
/// the length of keys far below S3's 1,024 bytes.
pub fn part_file(part: u32, attempt: u32, owner: &str, batch: &BatchId, sequence: usize) -> String {
    let owner = owner.get(..8).unwrap_or(owner);
    format!("batchId={batch}/{part:05}-{attempt}-{owner}-{sequence:03}.parquet")
}

/// Groups data files into parts.
///
/// With unique profiles a part is any run of files of about `target_bytes`; a file that is larger is cut where its row
/// groups start. Otherwise a part is a bucket, so that all fragments of a profile meet in one part (I7).
pub fn compose_parts(mut files: Vec<DataFile>, unique_profiles: bool, target_bytes: u64) -> Vec<PlannedPart> {
    files.sort_by(|a, b| (a.bucket, &a.location).cmp(&(b.bucket, &b.location)));
    if !unique_profiles {
        let mut buckets: BTreeMap<Option<u32>, PlannedPart> = BTreeMap::new();
        for file in files {
            buckets.entry(file.bucket).or_default().files.push(file);
        }
        return buckets.into_values().collect();
    }
    let mut parts = Vec::new();
    let mut open = PlannedPart::default();
    let mut open_bytes = 0;
    for piece in files.into_iter().flat_map(|f| cut(f, target_bytes)) {
        let weight = piece.weight();
        if !open.files.is_empty() && open_bytes + weight > target_bytes {
            parts.push(std::mem::take(&mut open));
            open_bytes = 0;
        }
        open_bytes += weight;
        open.files.push(piece);
    }
    if !open.files.is_empty() {
        parts.push(open);
    }
    parts
}

/// Cuts a file into ranges of whole row groups of about `target_bytes` each.
fn cut(file: DataFile, target_bytes: u64) -> Vec<DataFile> {
    if file.bytes <= target_bytes || file.split_offsets.len() < 2 {
        return vec![file];
    }
    let mut pieces = Vec::new();
    let mut start = 0;
    for &offset in &file.split_offsets[1..] {
        if offset - start >= target_bytes {
            pieces.push(DataFile { range: Some((start, offset)), ..file.clone() });
            start = offset;
        }
    }
    pieces.push(DataFile { range: Some((start, file.bytes)), ..file });
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(n: usize, bytes: u64, bucket: Option<u32>, groups: u64) -> DataFile {
        let split_offsets = (0..groups).map(|g| 4 + g * (bytes.max(groups) - 4) / groups.max(1)).collect();
        DataFile { location: format!("s3://b/{n:04}"), bytes, rows: bytes, bucket, range: None, split_offsets }
    }

    proptest! {
        /// I7: parts are disjoint and cover the files, each byte once.
        #[test]
        fn every_byte_of_every_file_lies_in_exactly_one_part(
            sizes in prop::collection::vec((10u64..5_000, 0u32..4, 1u64..9), 0..30),
            unique: bool,
            target in 1u64..6_000,
        ) {
            let files: Vec<_> =
                sizes.iter().enumerate().map(|(n, (bytes, bucket, groups))| file(n, *bytes, Some(*bucket), *groups)).collect();
            let parts = compose_parts(files.clone(), unique, target);
            for whole in &files {
                let mut pieces: Vec<_> = parts
                    .iter()
                    .flat_map(|p| &p.files)
                    .filter(|f| f.location == whole.location)
                    .map(|f| f.range.unwrap_or((0, f.bytes)))
                    .collect();
                pieces.sort_unstable();
                let mut at = 0;
                for (start, end) in pieces {
                    prop_assert_eq!(start, at);
                    prop_assert!(end > start);
                    at = end;
                }
                prop_assert_eq!(at, whole.bytes);
            }
            prop_assert!(parts.iter().all(|p| !p.files.is_empty()));
        }

        /// I7: without the promise of unique profiles, a bucket is never torn apart.
        #[test]
        fn a_bucket_lies_in_one_part(buckets in prop::collection::vec(0u32..5, 1..30), target in 1u64..500) {
            let files: Vec<_> = buckets.iter().enumerate().map(|(n, b)| file(n, 100, Some(*b), 3)).collect();
            let parts = compose_parts(files, false, target);
            let mut seen = std::collections::BTreeSet::new();
            for part in &parts {
                let of_part: std::collections::BTreeSet<_> = part.files.iter().map(|f| f.bucket).collect();
                prop_assert_eq!(of_part.len(), 1);
                prop_assert!(seen.insert(of_part));
            }
        }
    }

    #[test]
    fn a_large_file_is_cut_where_row_groups_start() {
        let whole = DataFile { split_offsets: vec![4, 100, 200, 300], ..file(0, 400, None, 1) };
        let ranges: Vec<_> = compose_parts(vec![whole], true, 150).iter().map(|p| p.files[0].range).collect();
        assert_eq!(ranges, [Some((0, 200)), Some((200, 400))]);
    }

    #[test]
    fn an_empty_table_has_no_parts_and_a_part_always_weighs_something() {
        assert!(compose_parts(Vec::new(), true, 100).is_empty());
        assert_eq!(PlannedPart::default().weight(), 1);
    }
}
