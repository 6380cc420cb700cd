//! What a job reads and writes, settled once: the plan, and the lists of files that its parts bring forth.

use crate::fields::Projection;
use crate::filter::{EventList, ProfileFilter};
use crate::id::{BatchId, JobId};
use crate::registry::{ColumnNames, DatasetKind, MergePolicy};
use crate::schema::Schema;
use crate::tenant::Tenant;
use crate::validation::MergeNeeds;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The plan format that this release writes. Plans of this and of the previous release are understood.
pub const PLAN_VERSION: u32 = 1;
/// Most rows that are merged in one part: what is known of each of them is held in memory, some 100 bytes a row.
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

/// A dataset that a plan reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedSource {
    /// Fragments or events.
    pub kind: DatasetKind,
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
    /// The data files, or ranges of them, by source and then by location.
    pub files: Vec<DataFile>,
    /// The delete files that some of them name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deletes: Vec<DeleteFile>,
    /// Which of the profiles in the files are meant; `None` = all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slice: Option<Slice>,
}

impl PlannedPart {
    /// Planned bytes: what progress is counted in. At least 1, so that a part always weighs something.
    pub fn weight(&self) -> u64 {
        let bytes: u64 = self.files.iter().map(DataFile::weight).sum();
        (bytes / u64::from(self.slice.map_or(1, |slice| slice.modulus)).max(1)).max(1)
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

/// The name, below a plan's `data_prefix`, of a file that an attempt writes. The batch tells the job; attempt and the start
/// of the owner's id make it unique, so that no attempt ever writes where another one did. Short, since some stores limit
/// the length of keys far below S3's 1,024 bytes.
pub fn part_file(part: u32, attempt: u32, owner: &str, batch: &BatchId, sequence: usize) -> String {
    let owner = owner.get(..8).unwrap_or(owner);
    format!("batchId={batch}/{part:05}-{attempt}-{owner}-{sequence:03}.parquet")
}

/// Groups the files of a plan's sources, in their order, into parts.
///
/// Where every row is a profile of its own a part is any run of files of about `target_bytes`; a file that is larger is
/// cut where its row groups start. Otherwise a part is a bucket of all sources, so that all fragments and events of a
/// profile meet in one part (I7); one with more than [`MAX_MERGED_ROWS`] is read by several parts, each for a slice of its
/// profiles.
pub fn compose_parts(tables: Vec<TableFiles>, needs: MergeNeeds, target_bytes: u64) -> Vec<PlannedPart> {
    let mut files = Vec::new();
    let mut deletes = Vec::new();
    for (source, table) in tables.into_iter().enumerate() {
        let before = deletes.len();
        deletes.extend(table.deletes);
        files.extend(table.data.into_iter().map(|file| {
            let named = file.deletes.iter().map(|at| before + at).collect();
            DataFile { source, deletes: named, ..file }
        }));
    }
    files.sort_by(|a, b| (a.bucket, a.source, &a.location).cmp(&(b.bucket, b.source, &b.location)));
    let mut groups: Vec<Vec<DataFile>> = Vec::new();
    let MergeNeeds::Buckets(buckets) = needs else {
        let mut open_bytes = 0;
        for piece in files.into_iter().flat_map(|f| cut(f, target_bytes)) {
            let weight = piece.weight();
            match groups.last_mut().filter(|_| open_bytes + weight <= target_bytes) {
                Some(open) => open.push(piece),
                None => {
                    open_bytes = 0;
                    groups.push(vec![piece]);
                }
            }
            open_bytes += weight;
        }
        return groups.into_iter().map(|files| part_of(files, &deletes)).collect();
    };
    for file in files {
        match groups.last_mut().filter(|open| open.last().is_some_and(|last| last.bucket == file.bucket)) {
            Some(open) => open.push(file),
            None => groups.push(vec![file]),
        }
    }
    groups.into_iter().flat_map(|files| sliced(part_of(files, &deletes), buckets)).collect()
}

/// The part, or slices of it that each hold no more rows than can be merged at a time.
fn sliced(part: PlannedPart, buckets: u32) -> Vec<PlannedPart> {
    let rows: u64 = part.files.iter().map(|f| f.rows).sum();
    let modulus = rows.div_ceil(MAX_MERGED_ROWS).next_power_of_two().min(1 << 16) as u32;
    if modulus <= 1 {
        return vec![part];
    }
    let slice = |remainder| Slice { buckets, modulus, remainder };
    (0..modulus).map(|n| PlannedPart { slice: Some(slice(n)), ..part.clone() }).collect()
}

/// A part of these files, with the delete files that they name.
fn part_of(mut files: Vec<DataFile>, deletes: &[DeleteFile]) -> PlannedPart {
    let mut known = BTreeMap::new();
    let mut own = Vec::new();
    for at in files.iter_mut().flat_map(|f| &mut f.deletes) {
        *at = *known.entry(*at).or_insert_with(|| {
            own.push(deletes[*at].clone());
            own.len() - 1
        });
    }
    PlannedPart { files, deletes: own, slice: None }
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
        DataFile { bytes, rows: bytes, bucket, split_offsets, ..data_file(&format!("s3://b/{n:04}")) }
    }

    fn data_file(location: &str) -> DataFile {
        let (location, split_offsets, deletes) = (location.to_owned(), Vec::new(), Vec::new());
        DataFile { source: 0, location, bytes: 0, rows: 0, bucket: None, range: None, split_offsets, deletes }
    }

    fn table(data: Vec<DataFile>) -> TableFiles {
        TableFiles { data, deletes: Vec::new() }
    }

    #[test]
    fn a_part_has_the_delete_files_that_its_files_name_and_no_others() {
        let delete = |name: &str| DeleteFile { location: name.into(), bytes: 1, kind: DeleteKind::Position };
        let named = |location: &str, bucket, deletes| DataFile { bucket: Some(bucket), deletes, ..data_file(location) };
        let first =
            TableFiles { data: vec![named("a", 0, vec![0]), named("b", 1, vec![])], deletes: vec![delete("x")] };
        let second = TableFiles {
            data: vec![named("c", 0, vec![1, 0]), named("d", 1, vec![1])],
            deletes: vec![delete("y"), delete("z")],
        };
        let shown: Vec<_> = compose_parts(vec![first, second], MergeNeeds::Buckets(2), 1)
            .iter()
            .map(|part| {
                let locations =
                    |file: &DataFile| file.deletes.iter().map(|at| part.deletes[*at].location.clone()).collect();
                part.files.iter().map(|f| (f.source, f.location.clone(), locations(f))).collect::<Vec<(_, _, Vec<_>)>>()
            })
            .collect();
        let file = |source, location: &str, deletes: &[&str]| {
            (source, location.to_owned(), deletes.iter().map(|d| (*d).to_owned()).collect())
        };
        let expected = [[file(0, "a", &["x"]), file(1, "c", &["z", "y"])], [file(0, "b", &[]), file(1, "d", &["z"])]];
        assert_eq!(shown, expected);
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
            let parts = compose_parts(vec![table(files.clone())], if unique { MergeNeeds::Nothing } else { MergeNeeds::Buckets(4) }, target);
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
            let (first, second) = files.split_at(files.len() / 2);
            let parts = compose_parts(vec![table(first.to_vec()), table(second.to_vec())], MergeNeeds::Buckets(5), target);
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
        let ranges: Vec<_> = compose_parts(vec![table(vec![whole])], MergeNeeds::Nothing, 150)
            .iter()
            .map(|p| p.files[0].range)
            .collect();
        assert_eq!(ranges, [Some((0, 200)), Some((200, 400))]);
    }

    #[test]
    fn a_bucket_of_too_many_rows_is_sliced_so_that_every_profile_lies_in_one_slice() {
        let big = DataFile { bucket: Some(1), bytes: 900, rows: 2 * MAX_MERGED_ROWS + 1, ..data_file("a") };
        let small = DataFile { bucket: Some(0), bytes: 900, rows: MAX_MERGED_ROWS, ..data_file("b") };
        let parts = compose_parts(vec![table(vec![big, small])], MergeNeeds::Buckets(16), 1);
        assert_eq!(parts.iter().map(|p| p.slice.is_some()).collect::<Vec<_>>(), [false, true, true, true, true]);
        assert_eq!(parts.iter().map(PlannedPart::weight).collect::<Vec<_>>(), [900, 225, 225, 225, 225]);
        for bucket_of_64 in 0..4u32 {
            let hash = (7 * 4 + bucket_of_64) * 16 + 1;
            let holding: Vec<_> = parts.iter().filter_map(|p| p.slice).filter(|s| s.holds(hash)).collect();
            assert_eq!(holding.len(), 1);
            assert_eq!(holding[0].remainder, bucket_of_64);
        }
    }

    #[test]
    fn an_empty_table_has_no_parts_and_a_part_always_weighs_something() {
        assert!(compose_parts(vec![table(Vec::new())], MergeNeeds::Nothing, 100).is_empty());
        assert_eq!(PlannedPart::default().weight(), 1);
    }
}
