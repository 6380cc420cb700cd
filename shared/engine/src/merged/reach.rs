//! Which pages of profile ids may hold one that a mentioned row has: of all others no id is looked at.

use super::Work;
use super::mentions::Mentions;
use crate::error::EngineError;
use crate::input::InputFile;
use crate::layout::ProfileIds;
use crate::page_bounds::PageBounds;
use domain::ports::objects::{ReadObjects, WriteObjects};
use std::collections::HashMap;
use std::ops::Range;

/// The pages beyond, by file and row group.
pub(super) struct Reach(HashMap<(usize, usize), Beyond>);

/// Pages of a row group that hold no id which a mentioned row has.
pub(super) struct Beyond {
    /// The first row of each.
    starts: Vec<usize>,
    /// Whether there is no other page.
    is_all: bool,
}

/// A page of ids.
struct Page {
    at: (usize, usize),
    number: usize,
    first_row: usize,
    /// Whether one of its rows is mentioned.
    is_mentioned: bool,
}

impl Reach {
    /// Finds the pages beyond those that hold the mentioned rows' ids. `None` where the files' indexes do not tell them, or there
    /// is no such page, or no other.
    pub(super) async fn of<O: ReadObjects + WriteObjects>(
        work: &Work<'_, O>,
        mentions: &Mentions,
    ) -> Result<Option<Self>, EngineError> {
        let mut pages = Vec::new();
        for (file, input) in work.inputs.iter().enumerate() {
            let leaf = leaf_of_ids(work, file);
            for &group in &input.groups {
                let at = (file, group);
                match leaf.and_then(|leaf| page_starts(input, group, leaf)) {
                    Some(starts) => pages.extend(starts.windows(2).enumerate().map(|(number, rows)| {
                        let is_mentioned = mentions.hold_any(at, rows[0]..rows[1]);
                        Page { at, number, first_row: rows[0], is_mentioned }
                    })),
                    None if mentions.hold_any(at, 0..usize::MAX) => return Ok(None),
                    None => {}
                }
            }
        }
        let mentioned = pages.iter().filter(|page| page.is_mentioned).count();
        if mentioned == 0 || mentioned == pages.len() {
            return Ok(None);
        }
        let mut bounds = Vec::with_capacity(work.inputs.len());
        for (file, input) in work.inputs.iter().enumerate() {
            bounds.push(match leaf_of_ids(work, file) {
                Some(leaf) => input.page_bounds(leaf).await?,
                None => PageBounds::default(),
            });
        }
        let ids = |page: &Page| bounds[page.at.0].of(page.at.1, page.number);
        let stretch = |page| ids(page).map(|(least, greatest)| (least.to_vec(), greatest.to_vec()));
        let stretches = pages.iter().filter(|page| page.is_mentioned).map(stretch).collect::<Option<Vec<_>>>();
        let Some(stretches) = stretches.map(joined) else { return Ok(None) };
        let mut groups: HashMap<_, Beyond> = HashMap::new();
        for of_group in pages.chunk_by(|a, b| a.at == b.at) {
            let is_beyond = |page: &&Page| ids(page).is_some_and(|ids| !meets(&stretches, ids));
            let starts: Vec<_> = of_group.iter().filter(is_beyond).map(|page| page.first_row).collect();
            groups.insert(of_group[0].at, Beyond { is_all: starts.len() == of_group.len(), starts });
        }
        Ok(Some(Self(groups)))
    }

    /// The pages beyond of a row group of a file, where any are known.
    pub(super) fn beyond(&self, file: usize, group: usize) -> Option<&Beyond> {
        self.0.get(&(file, group))
    }
}

impl Beyond {
    /// Whether all of the row group's pages are.
    pub(super) fn is_all(&self) -> bool {
        self.is_all
    }

    /// Whether the page of these rows is.
    pub(super) fn has(&self, rows: &Range<usize>) -> bool {
        self.starts.binary_search(&rows.start).is_ok()
    }
}

/// The leaf of a file's profile ids, where they are texts.
fn leaf_of_ids<O: ReadObjects + WriteObjects>(work: &Work<'_, O>, file: usize) -> Option<usize> {
    let source = work.part.task.part.files[file].source;
    ProfileIds::bind(&work.part.sources[source], &work.inputs[file]).leaf_of_texts()
}

/// The first row of each page of a leaf column of a row group, and the end of all.
fn page_starts<O: ReadObjects>(input: &InputFile<O>, group: usize, leaf: usize) -> Option<Vec<usize>> {
    let starts = input.offsets(group, leaf)?.page_locations.iter().map(|page| usize::try_from(page.first_row_index));
    let mut starts = starts.collect::<Result<Vec<_>, _>>().ok()?;
    starts.push(input.rows(group) as usize);
    (starts[0] == 0 && starts.is_sorted_by(|a, b| a < b)).then_some(starts)
}

/// The same stretches in order, those together that share an id.
fn joined(mut stretches: Vec<(Vec<u8>, Vec<u8>)>) -> Vec<(Vec<u8>, Vec<u8>)> {
    stretches.sort_unstable();
    stretches.dedup_by(|next, before| {
        let meets = next.0 <= before.1;
        if meets && next.1 > before.1 {
            before.1 = std::mem::take(&mut next.1);
        }
        meets
    });
    stretches
}

/// Whether one of the stretches, both ends included, has an id of that one.
fn meets(stretches: &[(Vec<u8>, Vec<u8>)], (least, greatest): (&[u8], &[u8])) -> bool {
    let next = stretches.partition_point(|(_, end)| end.as_slice() < least);
    stretches.get(next).is_some_and(|(start, _)| start.as_slice() <= greatest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_stretch_is_met_by_what_shares_an_id_with_it(
            given in prop::collection::vec((0u8..40, 0u8..6), 0..8),
            (least, length) in (0u8..40, 0u8..6),
        ) {
            let ends = |(least, length): (u8, u8)| (vec![least], vec![least + length]);
            let is_shared = |id: u8| given.iter().any(|(start, length)| (*start..=start + length).contains(&id));
            let stretches = joined(given.iter().copied().map(ends).collect());
            prop_assert!(stretches.windows(2).all(|two| two[0].1 < two[1].0));
            prop_assert_eq!(meets(&stretches, (&[least], &[least + length])), (least..=least + length).any(is_shared));
        }
    }
}
