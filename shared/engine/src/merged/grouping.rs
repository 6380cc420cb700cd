//! How rows find their profiles, by their ids.

use super::mentions::{Mentioned, Mentions};
use super::numbers::Numbers;
use super::rank::NO_TIME;
use super::rows::Rows;
use super::{Work, bytes_of, push};
use crate::hashes::Hashes;
use crate::input::InputFile;
use domain::ports::objects::{ReadObjects, WriteObjects};
use std::cmp::Ordering;

/// Room for finding profiles is taken at once for so many at most, and for so many bytes of the budget for one.
const MOST_ROOM: u64 = 4 << 20;
const BYTES_FOR_ROOM: u64 = 48;

/// What rows are put together by.
pub(super) enum Grouping {
    /// The order of ids, as they ascend: rows of one profile stand side by side. Takes nothing but the rows that are kept.
    Order(Run),
    /// An id before which a greater one stands.
    Lost,
    /// The hash of the id.
    Hash(Hashed),
}

/// The rows of the id that was seen last.
pub(super) struct Run {
    id: Option<Vec<u8>>,
    /// The only one of them so far, as it is not mentioned: most rows of a part have no other one, and are passed over.
    unmentioned: Option<(u32, i64)>,
    /// Where the others are listed.
    start: usize,
    /// Whether one of them is mentioned.
    is_mentioned: bool,
    /// The profiles before.
    profiles: u32,
    /// How many ids were seen.
    ids: u64,
}

/// What is known of ids by their hashes.
pub(super) struct Hashed {
    hashes: Hashes,
    /// Profiles of all rows, or of those that are mentioned once all are known.
    numbers: Numbers,
    /// The hashes of all rows, until that is known.
    of_rows: Option<Vec<u128>>,
    /// Whether they are more than one.
    are_several: bool,
}

impl Grouping {
    /// By ascending ids.
    pub(super) fn order() -> Self {
        Self::Order(Run { id: None, unmentioned: None, start: 0, is_mentioned: false, profiles: 0, ids: 0 })
    }

    /// By hashes. To wait until it is known who is mentioned pays if that is no more than every other row.
    pub(super) fn hash<O: ReadObjects + WriteObjects>(work: &Work<'_, O>, mentions: Option<&Mentions>) -> Self {
        let rows = work.inputs.iter().map(InputFile::all_rows).fold(0, u64::saturating_add);
        let mentioned = mentions.map(|mentions| mentions.count() as u64).filter(|mentioned| mentioned * 2 <= rows);
        let room = mentioned.unwrap_or(u64::MAX).min(room(work)) as usize;
        let (hashes, numbers) = (Hashes::new(), Numbers::with_room(room));
        Self::Hash(Hashed { hashes, numbers, of_rows: mentioned.map(|_| Vec::new()), are_several: false })
    }

    /// Whether it has come to nothing.
    pub(super) fn is_lost(&self) -> bool {
        matches!(self, Self::Lost)
    }

    /// Whether ids are hoped to ascend, and did so far.
    pub(super) fn hopes_for_order(&self) -> bool {
        matches!(self, Self::Order(_))
    }

    /// How many ids were seen, each greater than the one before; `None` where no order was hoped for, or none was there.
    pub(super) fn ascending_ids(&self) -> Option<u64> {
        match self {
            Self::Order(run) => Some(run.ids),
            Self::Lost | Self::Hash(_) => None,
        }
    }

    /// Takes a row in.
    pub(super) fn take(&mut self, rows: &mut Rows, (position, time): (u32, i64), is_mentioned: bool, id: &[u8]) {
        match self {
            Self::Lost => {}
            Self::Order(run) => match run.id.as_deref().map_or(Ordering::Greater, |before| id.cmp(before)) {
                Ordering::Less => *self = Self::Lost,
                Ordering::Equal => run.add(rows, (position, time), is_mentioned),
                Ordering::Greater => run.begin(rows, (position, time), is_mentioned, id),
            },
            Self::Hash(Hashed { hashes, numbers, of_rows, are_several }) => {
                let hash = hashes.of(id);
                rows.push(position, time);
                match of_rows {
                    None => {
                        push(&mut rows.profile, numbers.of(hash));
                    }
                    Some(of_rows) => {
                        *are_several |= of_rows.first().is_some_and(|first| *first != hash);
                        push(of_rows, hash);
                    }
                }
            }
        }
    }

    /// Takes in all rows of a page, if they stand in the order that is hoped for and no two of their ids are the same: then
    /// most of them need not be remembered. Tells whether it has; if not, they are to be taken in one by one. The first one
    /// has that position in the file, and that number in the row group.
    pub(super) fn take_distinct(
        &mut self,
        rows: &mut Rows,
        (position, number): (u32, usize),
        mentioned: &Mentioned<'_>,
        ids: &[&[u8]],
    ) -> bool {
        let Self::Order(run) = self else { return false };
        let Some((last, others)) = ids.split_last() else { return true };
        if !ascend(run.id.as_deref(), ids) {
            return false;
        }
        let row = |at: usize| (position + at as u32, NO_TIME);
        for at in (0..others.len()).filter(|at| mentioned.hold(number + at)) {
            run.end(rows);
            run.add(rows, row(at), true);
        }
        run.ids += others.len() as u64;
        // There may be more rows of the last one.
        run.begin(rows, row(others.len()), mentioned.hold(number + others.len()), last);
        true
    }

    /// A file has no more rows.
    pub(super) fn end_file(&mut self, rows: &mut Rows) {
        if let Self::Order(run) = self {
            run.end(rows);
        }
        rows.end_file();
    }

    /// Once all rows are taken in: keeps those of profiles that are mentioned, and tells how many ids they have.
    pub(super) fn settle<O: ReadObjects>(
        &mut self,
        rows: &mut Rows,
        inputs: &[InputFile<O>],
        mentions: Option<&Mentions>,
    ) -> usize {
        match self {
            Self::Lost => 0,
            Self::Order(run) => run.profiles as usize,
            Self::Hash(Hashed { numbers, of_rows, .. }) => {
                if let Some(of_rows) = of_rows.take() {
                    for (file, input) in inputs.iter().enumerate() {
                        for &group in &input.groups {
                            let (mentioned, first) = (Mentioned::of(mentions, file, group), input.first_row(group));
                            let of_group = rows.of_group(file, input, group);
                            for row in of_group.filter(|row| mentioned.hold(rows.number(first, *row))) {
                                numbers.of(of_rows[row]);
                            }
                        }
                    }
                    rows.keep(|row| numbers.known(of_rows[row]));
                }
                numbers.len()
            }
        }
    }

    /// How many profiles are known; where they cannot be told apart yet, whether there are several.
    pub(super) fn profiles(&self, rows: &Rows) -> usize {
        match self {
            Self::Lost => 0,
            Self::Order(run) => run.profiles as usize + usize::from(rows.len() > run.start),
            Self::Hash(hashed) => hashed.numbers.len().max(1 + usize::from(hashed.are_several)),
        }
    }

    /// The bytes that it holds.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Lost | Self::Order(_) => 0,
            Self::Hash(hashed) => hashed.numbers.bytes() + hashed.of_rows.as_ref().map_or(0, bytes_of),
        }
    }
}

impl Run {
    /// The first row of another id.
    fn begin(&mut self, rows: &mut Rows, row: (u32, i64), is_mentioned: bool, id: &[u8]) {
        self.end(rows);
        self.ids += 1;
        let known = self.id.get_or_insert_default();
        known.clear();
        known.extend_from_slice(id);
        match is_mentioned {
            true => self.add(rows, row, true),
            false => self.unmentioned = Some(row),
        }
    }

    /// A row of that id.
    fn add(&mut self, rows: &mut Rows, row: (u32, i64), is_mentioned: bool) {
        self.is_mentioned |= is_mentioned;
        for (position, time) in self.unmentioned.take().into_iter().chain([row]) {
            rows.push(position, time);
            push(&mut rows.profile, self.profiles);
        }
    }

    /// Keeps the rows if one of them is mentioned.
    fn end(&mut self, rows: &mut Rows) {
        self.unmentioned = None;
        match std::mem::take(&mut self.is_mentioned) {
            true => self.profiles += 1,
            false => rows.truncate(self.start),
        }
        self.start = rows.len();
    }
}

/// Whether ids ascend after the one before them, and no two are the same.
pub(super) fn ascend(before: Option<&[u8]>, ids: &[&[u8]]) -> bool {
    let follows = ids.first().is_none_or(|first| before.is_none_or(|before| before < *first));
    follows && ids.is_sorted_by(|a, b| precedes(a, b))
}

/// Whether an id stands before another. Most differ early on.
fn precedes(id: &[u8], other: &[u8]) -> bool {
    match (id.first_chunk::<8>(), other.first_chunk::<8>()) {
        (Some(first), Some(of_other)) if first != of_other => {
            u64::from_be_bytes(*first) < u64::from_be_bytes(*of_other)
        }
        _ => id < other,
    }
}

/// The number of profiles that room is made for.
fn room<O: ReadObjects + WriteObjects>(work: &Work<'_, O>) -> u64 {
    let most = work.inputs.iter().map(InputFile::all_rows).max().unwrap_or(0);
    let slices = work.part.task.part.slice.map_or(1, |slice| u64::from(slice.modulus.max(1)));
    let fits = work.part.task.settings.index_bytes / BYTES_FOR_ROOM;
    (most / slices / work.share.count()).min(MOST_ROOM).min(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_buffer::BooleanBuffer;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    /// Ids that mostly ascend, some of them twice and more; and who is mentioned.
    fn rows_of_ids() -> impl Strategy<Value = Vec<(String, bool)>> {
        let step = prop_oneof![30 => 1i32..10, 10 => Just(0), 1 => -60i32..0];
        let row = (step, prop::bool::weighted(0.3));
        prop::collection::vec(row, 0..60).prop_map(|rows| {
            let mut at = 300;
            let id = |step| {
                at += step;
                // Three have the same first bytes, of which one is short.
                if at % 3 == 0 { format!("{:03}", at / 3) } else { format!("{:03}-{at:08}", at / 3) }
            };
            let (steps, mentioned): (Vec<i32>, Vec<bool>) = rows.into_iter().unzip();
            steps.into_iter().map(id).zip(mentioned).collect()
        })
    }

    proptest! {
        #[test]
        fn rows_in_order_are_put_together_whatever_their_pages(
            given in rows_of_ids(),
            cuts in prop::collection::btree_set(0usize..60, 0..6),
            all: bool,
        ) {
            let mentioned: BooleanBuffer = given.iter().map(|(_, mentioned)| *mentioned).collect();
            let mentioned = if all { Mentioned::All } else { Mentioned::Some(&mentioned) };
            let (mut grouping, mut rows) = (Grouping::order(), Rows::default());
            let ends: BTreeSet<usize> = cuts.into_iter().map(|cut| cut.min(given.len())).chain([given.len()]).collect();
            let mut start = 0;
            for end in ends {
                let ids: Vec<&[u8]> = given[start..end].iter().map(|(id, _)| id.as_bytes()).collect();
                if !grouping.take_distinct(&mut rows, (start as u32, start), &mentioned, &ids) {
                    for (row, id) in (start..).zip(ids) {
                        grouping.take(&mut rows, (row as u32, NO_TIME), mentioned.hold(row), id);
                    }
                }
                start = end;
            }
            prop_assert_eq!(grouping.is_lost(), !given.is_sorted_by_key(|(id, _)| id));
            if !grouping.is_lost() {
                let ids: BTreeSet<&String> = given.iter().map(|(id, _)| id).collect();
                prop_assert_eq!(grouping.ascending_ids(), Some(ids.len() as u64));
                grouping.end_file(&mut rows);
                let mut together: BTreeMap<&String, Vec<usize>> = BTreeMap::new();
                (0..).zip(&given).for_each(|(row, (id, _))| together.entry(id).or_default().push(row));
                let kept = together.into_values().filter(|rows| rows.iter().any(|row| mentioned.hold(*row)));
                let of_profile = |(profile, rows): (u32, Vec<usize>)| rows.into_iter().map(move |row| (row as u32, profile));
                let kept: Vec<(u32, u32)> = (0..).zip(kept).flat_map(of_profile).collect();
                let found: Vec<(u32, u32)> = rows.position.iter().copied().zip(rows.profile.iter().copied()).collect();
                prop_assert_eq!(found, kept);
            }
        }
    }
}
