//! Composing a plan's parts of its tables' files.

use super::{DataFile, DeleteFile, MAX_MERGED_ROWS, PlannedPart, Slice, TableFiles};
use crate::validation::MergeNeeds;
use std::collections::{BTreeMap, BTreeSet};

/// Groups the files of a plan's sources, in their order, into parts.
///
/// Where every row is a profile of its own a part is any run of files of about `target_bytes`; a file that is larger is
/// cut where its row groups start. Otherwise a part is a bucket of all sources, so that all fragments and events of a
/// profile meet in one part (I7); one with more than [`MAX_MERGED_ROWS`] is read by several parts, each for a slice of its
/// profiles. A bucket that is one file of distinct profile ids is as large a part as it would be otherwise, and says so.
pub fn compose_parts(tables: Vec<TableFiles>, needs: MergeNeeds, target_bytes: u64) -> Vec<PlannedPart> {
    let (mut files, mut deletes) = (Vec::new(), Vec::new());
    let mut distinct = BTreeSet::new();
    for (source, table) in tables.into_iter().enumerate() {
        let before = deletes.len();
        deletes.extend(table.deletes);
        distinct.extend(table.distinct.into_iter().map(|location| (source, location)));
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
    let is_distinct = |files: &[DataFile]| match files {
        [file] => distinct.contains(&(file.source, file.location.clone())),
        _ => false,
    };
    let part = |files: Vec<DataFile>| PlannedPart { distinct: is_distinct(&files), ..part_of(files, &deletes) };
    groups.into_iter().flat_map(|files| sliced(part(files), buckets)).collect()
}

/// The part, or slices of it that each hold no more rows than can be merged at a time.
fn sliced(part: PlannedPart, buckets: u32) -> Vec<PlannedPart> {
    // A row takes a byte at least, whatever the table's metadata says.
    let rows: u64 = part.files.iter().map(|f| f.rows.min(f.bytes)).sum();
    let modulus = rows.div_ceil(MAX_MERGED_ROWS).next_power_of_two().min(1 << 16) as u32;
    // Also where one slice is the whole: so a part that takes too long can be halved (W5).
    let slice = |remainder| Slice { buckets, modulus: modulus.max(1), remainder };
    (0..modulus.max(1)).map(|n| PlannedPart { slice: Some(slice(n)), ..part.clone() }).collect()
}

/// A part of these files, with the delete files that they name.
pub(super) fn part_of(mut files: Vec<DataFile>, deletes: &[DeleteFile]) -> PlannedPart {
    let mut known = BTreeMap::new();
    let mut own = Vec::new();
    for at in files.iter_mut().flat_map(|f| &mut f.deletes) {
        *at = *known.entry(*at).or_insert_with(|| {
            own.push(deletes[*at].clone());
            own.len() - 1
        });
    }
    PlannedPart { files, deletes: own, ..PlannedPart::default() }
}

/// Cuts a file into ranges of whole row groups of about `target_bytes` each.
fn cut(file: DataFile, target_bytes: u64) -> Vec<DataFile> {
    // Offsets come from the table's writer: in no order, they say nothing about where a file may be cut.
    let ascending = file.split_offsets.is_sorted_by(|a, b| a < b);
    if file.bytes <= target_bytes || file.split_offsets.len() < 2 || !ascending {
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
    use crate::plan::DeleteKind;
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
        TableFiles { data, ..TableFiles::default() }
    }

    #[test]
    fn a_part_has_the_delete_files_that_its_files_name_and_no_others() {
        let delete = |name: &str| DeleteFile { location: name.into(), bytes: 1, kind: DeleteKind::Position };
        let named = |location: &str, bucket, deletes| DataFile { bucket: Some(bucket), deletes, ..data_file(location) };
        let first = TableFiles {
            data: vec![named("a", 0, vec![0]), named("b", 1, vec![])],
            deletes: vec![delete("x")],
            ..TableFiles::default()
        };
        let second = TableFiles {
            data: vec![named("c", 0, vec![1, 0]), named("d", 1, vec![1])],
            deletes: vec![delete("y"), delete("z")],
            ..TableFiles::default()
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

    #[test]
    fn a_bucket_is_distinct_if_it_is_one_file_that_is_known_of_the_same_source() {
        let of_bucket = |location: &str, bucket| DataFile { bucket: Some(bucket), ..data_file(location) };
        let of = |files: &[(&str, u32)], distinct: &[&str]| TableFiles {
            data: files.iter().map(|(location, bucket)| of_bucket(location, *bucket)).collect(),
            distinct: distinct.iter().map(|location| (*location).to_owned()).collect(),
            ..TableFiles::default()
        };
        let one = of(
            &[("alone", 0), ("beside", 1), ("two", 2), ("of two", 2), ("unknown", 3)],
            &["alone", "beside", "two", "of two"],
        );
        let other = of(&[("another's", 1), ("alone", 4)], &[]);
        let parts = compose_parts(vec![one, other], MergeNeeds::Buckets(8), 1);
        let known: Vec<_> = parts.iter().filter(|part| part.distinct).map(|part| &*part.files[0].location).collect();
        assert_eq!((parts.len(), known), (5, vec!["alone"]));
        assert_eq!(parts.iter().filter_map(|part| part.slice).map(|slice| slice.modulus).collect::<Vec<_>>(), [1; 5]);
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
    fn what_is_as_large_as_a_part_is_one() {
        let whole = DataFile { split_offsets: vec![4, 100, 200, 300], ..file(0, 400, None, 1) };
        let ranges = |target| {
            let parts = compose_parts(vec![table(vec![whole.clone()])], MergeNeeds::Nothing, target);
            parts.iter().flat_map(|p| &p.files).map(|f| f.range).collect::<Vec<_>>()
        };
        assert_eq!(ranges(400), [None]);
        assert_eq!(ranges(200), [Some((0, 200)), Some((200, 400))]);
        let two = || vec![table(vec![file(0, 100, None, 1), file(1, 100, None, 1)])];
        let parts = |target| compose_parts(two(), MergeNeeds::Nothing, target).len();
        assert_eq!((parts(200), parts(199)), (1, 2));
    }

    #[test]
    fn a_bucket_of_too_many_rows_is_sliced_so_that_every_profile_lies_in_one_slice() {
        let bytes = 10 * MAX_MERGED_ROWS;
        let big = DataFile { bucket: Some(1), bytes, rows: 2 * MAX_MERGED_ROWS + 1, ..data_file("a") };
        let small = DataFile { bucket: Some(0), bytes, rows: MAX_MERGED_ROWS, ..data_file("b") };
        let parts = compose_parts(vec![table(vec![big, small])], MergeNeeds::Buckets(16), 1);
        assert_eq!(parts.iter().filter_map(|p| p.slice).map(|s| s.modulus).collect::<Vec<_>>(), [1, 4, 4, 4, 4]);
        assert_eq!(
            parts.iter().map(PlannedPart::weight).collect::<Vec<_>>(),
            [bytes, bytes / 4, bytes / 4, bytes / 4, bytes / 4]
        );
        for bucket_of_64 in 0..4u32 {
            let hash = (7 * 4 + bucket_of_64) * 16 + 1;
            let holding: Vec<_> = parts[1..].iter().filter_map(|p| p.slice).filter(|s| s.holds(hash)).collect();
            assert_eq!(holding.len(), 1);
            assert_eq!(holding[0].remainder, bucket_of_64);
        }
    }

    #[test]
    fn a_count_of_more_rows_than_bytes_makes_no_slices() {
        let lying = DataFile { bucket: Some(0), bytes: 900, rows: 1 << 40, ..data_file("a") };
        assert_eq!(compose_parts(vec![table(vec![lying])], MergeNeeds::Buckets(1), 1).len(), 1);
    }

    #[test]
    fn a_file_whose_offsets_are_in_no_order_is_not_cut() {
        let whole = DataFile { split_offsets: vec![4, 300, 100, 400], ..file(0, 500, None, 1) };
        let parts = compose_parts(vec![table(vec![whole])], MergeNeeds::Nothing, 150);
        assert_eq!(parts.iter().flat_map(|p| &p.files).map(|f| f.range).collect::<Vec<_>>(), [None]);
    }

    #[test]
    fn an_empty_table_has_no_parts_and_a_part_always_weighs_something() {
        assert!(compose_parts(vec![table(Vec::new())], MergeNeeds::Nothing, 100).is_empty());
        assert_eq!(PlannedPart::default().weight(), 1);
    }
}
