//! Which pages of profile ids may hold one that a mentioned row has: of all others no id is looked at.

use super::Work;
use super::mentions::{Mentioned, Mentions};
use crate::input::InputFile;
use crate::layout::ProfileIds;
use domain::ports::objects::{ReadObjects, WriteObjects};
use parquet::basic::{ColumnOrder, SortOrder};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use std::ops::Range;

/// Stretches of ids, both ends included, in order and apart: every mentioned row's id lies in one.
pub(super) struct Reach(Vec<(Vec<u8>, Vec<u8>)>);

impl Reach {
    /// The stretches of the pages that hold the mentioned rows' ids; `None` where a file's index does not tell them.
    pub(super) fn of<O: ReadObjects + WriteObjects>(work: &Work<'_, O>, mentions: &Mentions) -> Option<Self> {
        let mut stretches = Vec::new();
        for (at, (input, file)) in work.inputs.iter().zip(&work.part.task.part.files).enumerate() {
            for &group in &input.groups {
                let mentioned = Mentioned::of(Some(mentions), at, group);
                if let Mentioned::None = mentioned {
                    continue;
                }
                let leaf = ProfileIds::bind(&work.part.sources[file.source], input).leaf_of_texts()?;
                for page in pages(input, group, leaf)?.iter().filter(|page| mentioned.hold_any(page.rows.clone())) {
                    let (least, greatest) = page.ids?;
                    stretches.push((least.to_vec(), greatest.to_vec()));
                }
            }
        }
        Some(Self::joined(stretches))
    }

    fn joined(mut stretches: Vec<(Vec<u8>, Vec<u8>)>) -> Self {
        stretches.sort_unstable();
        stretches.dedup_by(|next, before| {
            let meets = next.0 <= before.1;
            if meets && next.1 > before.1 {
                before.1 = std::mem::take(&mut next.1);
            }
            meets
        });
        Self(stretches)
    }

    /// The first rows of those pages of a row group that hold no id within.
    pub(super) fn beyond<O: ReadObjects>(&self, input: &InputFile<O>, group: usize, leaf: usize) -> Vec<usize> {
        let is_beyond = |page: &IdPage<'_>| page.ids.is_some_and(|(least, greatest)| !self.meets(least, greatest));
        let pages = pages(input, group, leaf).unwrap_or_default();
        pages.iter().filter(|page| is_beyond(page)).map(|page| page.rows.start).collect()
    }

    fn meets(&self, least: &[u8], greatest: &[u8]) -> bool {
        let next = self.0.partition_point(|(_, end)| end.as_slice() < least);
        self.0.get(next).is_some_and(|(start, _)| start.as_slice() <= greatest)
    }
}

/// A page of ids.
struct IdPage<'i> {
    /// Its rows, by number in the row group.
    rows: Range<usize>,
    /// No id on it is less than the first nor greater than the second; `None` where that is not known, or an id is missing.
    ids: Option<(&'i [u8], &'i [u8])>,
}

/// The pages of a leaf of ids, where the file has an index that tells where they start and what is on them.
fn pages<O: ReadObjects>(input: &InputFile<O>, group: usize, leaf: usize) -> Option<Vec<IdPage<'_>>> {
    let metadata = input.metadata();
    let is_by_bytes =
        metadata.file_metadata().column_order(leaf) == ColumnOrder::TYPE_DEFINED_ORDER(SortOrder::UNSIGNED);
    let index = metadata.column_index().filter(|_| is_by_bytes)?.get(group)?.get(leaf)?;
    let ColumnIndexMetaData::BYTE_ARRAY(index) = index else { return None };
    let starts = input.offsets(group, leaf)?.page_locations.iter().map(|page| usize::try_from(page.first_row_index));
    let mut bounds = starts.collect::<Result<Vec<_>, _>>().ok()?;
    bounds.push(input.rows(group) as usize);
    if bounds.len() != index.num_pages() as usize + 1 || bounds[0] != 0 || !bounds.is_sorted_by(|a, b| a < b) {
        return None;
    }
    let page = |(at, rows): (usize, &[usize])| {
        let ids = index.min_value(at).zip(index.max_value(at)).filter(|_| index.null_count(at) == Some(0));
        IdPage { rows: rows[0]..rows[1], ids }
    };
    Some(bounds.windows(2).enumerate().map(page).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_stretch_is_met_by_what_shares_an_id_with_it(
            stretches in prop::collection::vec((0u8..40, 0u8..6), 0..8),
            (least, length) in (0u8..40, 0u8..6),
        ) {
            let ends = |(least, length): (u8, u8)| (vec![least], vec![least + length]);
            let is_shared = |id: u8| stretches.iter().any(|(start, length)| (*start..=start + length).contains(&id));
            let reach = Reach::joined(stretches.iter().copied().map(ends).collect());
            prop_assert!(reach.0.windows(2).all(|two| two[0].1 < two[1].0));
            prop_assert_eq!(reach.meets(&[least], &[least + length]), (least..=least + length).any(is_shared));
        }
    }
}
