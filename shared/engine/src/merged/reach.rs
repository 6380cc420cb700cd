//! Which pages of profile ids may hold one that a mentioned row has: of all others no id is looked at.

use super::Work;
use super::mentions::{Mentioned, Mentions};
use crate::error::EngineError;
use crate::input::InputFile;
use crate::layout::ProfileIds;
use crate::page_bounds::PageBounds;
use domain::ports::objects::{ReadObjects, WriteObjects};

/// What is known of the pages of ids.
pub(super) struct Reach {
    /// Stretches of ids, both ends included, in order and apart: every mentioned row's id lies in one.
    stretches: Vec<(Vec<u8>, Vec<u8>)>,
    /// The bounds of each file's pages.
    bounds: Vec<PageBounds>,
}

impl Reach {
    /// Finds the stretches of the pages that hold the mentioned rows' ids. `None` where the files' indexes do not tell them, or
    /// there is no such page, or no other.
    pub(super) async fn of<O: ReadObjects + WriteObjects>(
        work: &Work<'_, O>,
        mentions: &Mentions,
    ) -> Result<Option<Self>, EngineError> {
        let (mut reaching, mut are_others) = (Vec::new(), false);
        for (file, input) in work.inputs.iter().enumerate() {
            let leaf = leaf_of_ids(work, file);
            for &group in &input.groups {
                let mentioned = Mentioned::of(Some(mentions), file, group);
                let starts = leaf.and_then(|leaf| page_starts(input, group, leaf));
                let (Some(starts), Mentioned::Some(rows)) = (&starts, &mentioned) else {
                    if let Mentioned::Some(_) = mentioned {
                        return Ok(None);
                    }
                    are_others |= starts.is_some();
                    continue;
                };
                for (page, here) in starts.windows(2).enumerate() {
                    let (start, end) = (here[0].min(rows.len()), here[1].min(rows.len()));
                    match rows.slice(start, end - start).count_set_bits() > 0 {
                        true => reaching.push((file, group, page)),
                        false => are_others = true,
                    }
                }
            }
        }
        if reaching.is_empty() || !are_others {
            return Ok(None);
        }
        let mut bounds = Vec::with_capacity(work.inputs.len());
        for (file, input) in work.inputs.iter().enumerate() {
            bounds.push(match leaf_of_ids(work, file) {
                Some(leaf) => input.page_bounds(leaf).await?,
                None => PageBounds::default(),
            });
        }
        let stretch = |(file, group, page): (usize, usize, usize)| {
            bounds[file].of(group, page).map(|(least, greatest)| (least.to_vec(), greatest.to_vec()))
        };
        let stretches = reaching.into_iter().map(stretch).collect::<Option<Vec<_>>>();
        Ok(stretches.map(|stretches| Self { stretches: joined(stretches), bounds }))
    }

    /// The first rows of those pages of a row group that hold no id within; `None`: of all its pages.
    pub(super) fn beyond<O: ReadObjects>(
        &self,
        (file, input): (usize, &InputFile<O>),
        group: usize,
        leaf: usize,
    ) -> Option<Vec<usize>> {
        let starts = page_starts(input, group, leaf).unwrap_or_default();
        let is_beyond = |page: usize| self.bounds[file].of(group, page).is_some_and(|ids| !meets(&self.stretches, ids));
        let pages = starts.len().saturating_sub(1);
        let beyond: Vec<usize> = (0..pages).filter(|page| is_beyond(*page)).map(|page| starts[page]).collect();
        (pages == 0 || beyond.len() < pages).then_some(beyond)
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

/// Whether one of the stretches has an id of that one.
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
