//! W5: a part that takes too long goes on as two halves.
//!
//! The plan is never changed: a half's number tells which part it is of, and by which way. Planned parts are numbered below
//! the stride, the least multiple of the shards that holds them all; the halves of the node `h` of a part's tree (the part
//! is node 1) are its nodes `2h` and `2h + 1`, each numbered `stride · (node - 1)` above the part. So a half lies in the
//! shard of its part.

use super::parts::part_of;
use super::{DataFile, Plan, PlannedPart, RowRun, Slice};

/// Most slices that a bucket is cut in.
const MOST_SLICES: u32 = 1 << 20;
/// Most runs that a row group is cut in: more would read it again and again for little.
const MOST_RUNS: u32 = 64;
/// Bytes up to which a range of a file is taken for one row group, where the table does not tell where they start.
const UNTOLD_BYTES: u64 = 64 << 20;

impl Plan {
    /// The part of that number, planned or a half, in a job of so many shards.
    pub fn part(&self, number: u32, shards: u32) -> Option<PlannedPart> {
        let part = self.node(number, shards)?;
        // A slice that is the whole need not be looked for row by row.
        Some(PlannedPart { slice: part.slice.filter(|slice| slice.modulus > 1), ..part })
    }

    /// The numbers of a part's halves; `None` where it cannot be halved any more.
    pub fn halves(&self, number: u32, shards: u32) -> Option<[u32; 2]> {
        self.halved(&self.node(number, shards)?)?;
        let stride = self.stride(shards)?;
        let first =
            stride.checked_mul((number / stride).checked_mul(2)?.checked_add(1)?)?.checked_add(number % stride)?;
        Some([first, first.checked_add(stride)?])
    }

    fn node(&self, number: u32, shards: u32) -> Option<PlannedPart> {
        let stride = self.stride(shards)?;
        let mut part = self.parts.get((number % stride) as usize)?.clone();
        let node = (number / stride).checked_add(1)?;
        for bit in (0..node.ilog2()).rev() {
            let [first, second] = self.halved(&part)?;
            part = if node >> bit & 1 == 0 { first } else { second };
        }
        Some(part)
    }

    fn stride(&self, shards: u32) -> Option<u32> {
        let parts = u32::try_from(self.parts.len()).ok()?;
        parts.div_ceil(shards.max(1)).checked_mul(shards.max(1)).filter(|stride| *stride > 0)
    }

    /// A part in two: by profiles where they meet from several files (I7), else by files, by row groups, and by rows.
    fn halved(&self, part: &PlannedPart) -> Option<[PlannedPart; 2]> {
        if let Some(slice) = part.slice {
            let modulus = slice.modulus.checked_mul(2).filter(|modulus| *modulus <= MOST_SLICES)?;
            let half = |remainder| PlannedPart { slice: Some(Slice { modulus, remainder, ..slice }), ..part.clone() };
            return Some([half(slice.remainder), half(slice.remainder + slice.modulus)]);
        }
        if !matches!(&self.sources[..], [only] if only.unique_profiles) {
            return None;
        }
        let (first, second) = match &part.files[..] {
            [] => return None,
            [file] => match cut(file).filter(|_| part.run.is_none()) {
                Some((first, second)) => (vec![first], vec![second]),
                None => return by_rows(part, file),
            },
            files => {
                let (first, second) = files.split_at(middle(files));
                (first.to_vec(), second.to_vec())
            }
        };
        Some([part_of(first, &part.deletes), part_of(second, &part.deletes)])
    }
}

/// A part of one row group in two, as long as each half has a row.
fn by_rows(part: &PlannedPart, file: &DataFile) -> Option<[PlannedPart; 2]> {
    let RowRun { runs, number } = part.run.unwrap_or(RowRun { runs: 1, number: 0 });
    let of_group = file.rows / file.split_offsets.len().max(1) as u64;
    let runs = runs.checked_mul(2).filter(|runs| *runs <= MOST_RUNS && u64::from(*runs) <= of_group)?;
    Some([0, 1].map(|half| PlannedPart { run: Some(RowRun { runs, number: number * 2 + half }), ..part.clone() }))
}

/// After how many of at least two files about half of the bytes are behind.
fn middle(files: &[DataFile]) -> usize {
    let all: u64 = files.iter().map(DataFile::weight).sum();
    let mut behind = 0;
    let reaches = |file: &DataFile| {
        behind += file.weight();
        behind * 2 >= all
    };
    files.iter().position(reaches).map_or(1, |at| at + 1).clamp(1, files.len() - 1)
}

/// A file in two, at the start of a row group near the middle; anywhere in the middle where the table does not tell them,
/// since a row group belongs to where it starts. `None` if it is one row group, or may be.
fn cut(file: &DataFile) -> Option<(DataFile, DataFile)> {
    let (start, end) = file.range.unwrap_or((0, file.bytes));
    let half = start + end.checked_sub(start)? / 2;
    let known = file.split_offsets.is_sorted_by(|a, b| a < b) && !file.split_offsets.is_empty();
    // A file's first row group is in any case in its first range.
    let first = file.split_offsets.first().copied().unwrap_or_default();
    let inside = |at: &u64| start.max(first) < *at && *at < end;
    let at = match known {
        true => file.split_offsets.iter().copied().filter(inside).min_by_key(|at| at.abs_diff(half))?,
        false => Some(half).filter(|half| start < *half && end - start > UNTOLD_BYTES)?,
    };
    let range = |start, end| DataFile { range: Some((start, end)), ..file.clone() };
    Some((range(start, at), range(at, end)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::fields::Projection;
    use crate::filter::ProfileFilter;
    use crate::id::JobId;
    use crate::plan::{PLAN_VERSION, Pin, PlannedSource, PlannedTarget, TableName};
    use crate::registry::{ColumnNames, DatasetKind, MergePolicy};
    use crate::tenant::Tenant;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// Rows of a file, and of each row group.
    const ROWS: u64 = 5;

    fn plan(parts: Vec<PlannedPart>) -> Plan {
        let table = TableName { database: "d".into(), table: "t".into() };
        let pin = Pin {
            dataset_id: "p".into(),
            table: table.clone(),
            table_uuid: "u".into(),
            snapshot_id: None,
            schema_id: None,
        };
        let source = PlannedSource {
            kind: DatasetKind::Profile,
            pin,
            schema: Default::default(),
            former: Vec::new(),
            name_mapping: None,
            columns: ColumnNames::default(),
            unique_profiles: true,
        };
        let (schema, data_prefix) = (Default::default(), "s3://b/data/".into());
        let target =
            PlannedTarget { dataset_id: "e".into(), table, table_uuid: "u".into(), schema, spec_id: 0, data_prefix };
        Plan {
            version: PLAN_VERSION,
            tenant: Tenant::new("A@AdobeOrg", "prod").unwrap(),
            job_id: JobId::parse("1").unwrap(),
            sources: vec![source],
            target,
            merge_policy: MergePolicy::built_in(),
            projection: Projection::default(),
            filter: ProfileFilter::default(),
            events: None,
            batches: Vec::new(),
            segment_per_batch: false,
            parts,
        }
    }

    fn file(name: &str, groups: &[u64], bytes: u64) -> DataFile {
        let (location, split_offsets) = (format!("s3://b/{name}"), groups.to_vec());
        DataFile {
            source: 0,
            location,
            bytes,
            rows: ROWS,
            bucket: None,
            range: None,
            split_offsets,
            deletes: Vec::new(),
        }
    }

    fn part(files: Vec<DataFile>) -> PlannedPart {
        PlannedPart { files, ..PlannedPart::default() }
    }

    /// The rows that are read: file, start of the row group, and position there.
    fn rows(part: &PlannedPart) -> Vec<(String, u64, u64)> {
        let run = part.run.map_or(0..ROWS, |run| run.of(ROWS));
        let of_file = |file: &DataFile| {
            let (start, end) = file.range.unwrap_or((0, file.bytes));
            let inside = file.split_offsets.iter().filter(|at| start <= **at && **at < end);
            let rows = |at: &u64| run.clone().map(|row| (file.location.clone(), *at, row)).collect::<Vec<_>>();
            inside.flat_map(rows).collect::<Vec<_>>()
        };
        part.files.iter().flat_map(of_file).collect()
    }

    /// All parts below a number, halved as long as `halve` says so.
    fn leaves(plan: &Plan, number: u32, shards: u32, halve: &mut impl FnMut() -> bool) -> Vec<u32> {
        match plan.halves(number, shards).filter(|_| halve()) {
            Some(halves) => halves.into_iter().flat_map(|half| leaves(plan, half, shards, halve)).collect(),
            None => vec![number],
        }
    }

    proptest! {
        /// I7, I1: however parts are halved, every row is read by one of them, and no two have one number.
        #[test]
        fn halves_share_the_rows_and_lie_in_the_shard_of_their_part(
            files in prop::collection::vec(prop::collection::vec(prop::collection::vec(1u64..500, 1..6), 1..5), 1..40),
            shards in 1u32..9,
            mut coins in prop::collection::vec(any::<bool>(), 0..200),
        ) {
            let mut n = 0;
            let mut of_sizes = |sizes: &Vec<u64>| {
                n += 1;
                let starts: Vec<u64> = sizes.iter().scan(4, |at, size| { let here = *at; *at += size; Some(here) }).collect();
                file(&n.to_string(), &starts, 4 + sizes.iter().sum::<u64>() + 8)
            };
            let parts = files.iter().map(|files| part(files.iter().map(&mut of_sizes).collect())).collect();
            let plan = plan(parts);
            let mut numbers = BTreeSet::new();
            for (number, planned) in (0..).zip(&plan.parts) {
                let leaves = leaves(&plan, number, shards, &mut || coins.pop().unwrap_or(false));
                let mut read: Vec<_> = leaves.iter().flat_map(|leaf| rows(&plan.part(*leaf, shards).unwrap())).collect();
                read.sort();
                let mut all = rows(planned);
                all.sort();
                prop_assert_eq!(read, all);
                for leaf in leaves {
                    prop_assert_eq!(leaf % shards, number % shards);
                    prop_assert!(numbers.insert(leaf), "two parts have the number {}", leaf);
                }
            }
        }

        /// I7: a profile of a halved bucket lies in one of the halves.
        #[test]
        fn halves_of_a_bucket_share_its_profiles(hashes in prop::collection::vec(0u32..1_000_000, 1..50), coins in prop::collection::vec(any::<bool>(), 0..30)) {
            let slice = Some(Slice { buckets: 16, modulus: 1, remainder: 0 });
            let plan = plan(vec![PlannedPart { slice, ..part(vec![file("a", &[4], 100), file("b", &[4], 100)]) }]);
            let mut coins = coins;
            let leaves = leaves(&plan, 0, 1, &mut || coins.pop().unwrap_or(false));
            for hash in hashes {
                let holding = leaves.iter().filter(|leaf| plan.part(**leaf, 1).unwrap().slice.is_none_or(|s| s.holds(hash)));
                prop_assert_eq!(holding.count(), 1);
            }
        }
    }

    #[test]
    fn a_single_row_group_is_halved_by_rows_as_long_as_each_half_has_some() {
        let plan = plan(vec![part(vec![file("a", &[4], 1_000)])]);
        let all = leaves(&plan, 0, 1, &mut || true);
        let parts: Vec<_> = all.iter().map(|leaf| plan.part(*leaf, 1).unwrap()).collect();
        assert_eq!(parts.iter().map(|part| part.run.unwrap().of(ROWS)).collect::<Vec<_>>(), [0..1, 1..2, 2..3, 3..5]);
        assert!(parts.iter().all(|part| part.files[0].range.is_none() && part.weight() == 250));
    }

    #[test]
    fn a_row_group_is_cut_in_no_more_runs_than_are_worth_reading_it_again() {
        let large = DataFile { rows: 1 << 20, ..file("a", &[4], 1_000) };
        assert_eq!(leaves(&plan(vec![part(vec![large])]), 0, 1, &mut || true).len(), MOST_RUNS as usize);
    }

    #[test]
    fn a_range_whose_row_groups_are_not_told_is_cut_where_there_may_be_several_and_then_by_rows() {
        let plan = plan(vec![part(vec![file("a", &[], 2 * UNTOLD_BYTES)])]);
        let all = leaves(&plan, 0, 1, &mut || true);
        let shown = all.iter().map(|leaf| plan.part(*leaf, 1).map(|part| (part.files[0].range, part.run)));
        let runs = (0..4).map(|number| Some(RowRun { runs: 4, number }));
        let ranges = [(0, UNTOLD_BYTES), (UNTOLD_BYTES, 2 * UNTOLD_BYTES)];
        let expected = ranges.iter().flat_map(|range| runs.clone().map(|run| Some((Some(*range), run))));
        assert_eq!(shown.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    }

    #[test]
    fn a_bucket_is_not_torn_apart() {
        let two = part(vec![file("a", &[4], 10), file("b", &[4], 10)]);
        let mut merged = plan(vec![two.clone()]);
        merged.sources[0].unique_profiles = false;
        assert_eq!(merged.halves(0, 1), None, "a bucket of an older plan");
        assert_eq!(plan(vec![two]).halves(0, 1), Some([1, 2]));
        assert_eq!(plan(vec![part(vec![file("a", &[], 1_000)])]).halves(0, 4), Some([4, 8]), "offsets are not told");
    }

    proptest! {
        #[test]
        fn every_row_lies_in_one_run(rows in 0u64..5_000, runs in 1u32..70) {
            let all = (0..runs).flat_map(|number| RowRun { runs, number }.of(rows));
            prop_assert!(all.eq(0..rows));
        }
    }

    #[test]
    fn a_number_that_names_no_part_is_none() {
        let row = DataFile { rows: 1, ..file("a", &[4], 10) };
        let plan = plan(vec![part(vec![row])]);
        assert_eq!((plan.part(1, 1), plan.part(u32::MAX, 1), plan.part(1, 2)), (None, None, None));
    }
}
