//! How rows find their profiles, by their ids.

use super::mentions::{Mentioned, Mentions};
use super::numbers::Numbers;
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
    /// The first of them.
    start: usize,
    /// Whether one of them is mentioned.
    is_mentioned: bool,
    /// The profiles before.
    profiles: u32,
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
        Self::Order(Run { id: None, start: 0, is_mentioned: false, profiles: 0 })
    }

    /// By hashes. To wait until it is known who is mentioned pays if that is no more than every other row.
    pub(super) fn hash<O: ReadObjects + WriteObjects>(work: &Work<'_, O>, mentions: Option<&Mentions>) -> Self {
        let rows = work.inputs.iter().map(rows).fold(0, u64::saturating_add);
        let mentioned = mentions.map(|mentions| mentions.count() as u64).filter(|mentioned| mentioned * 2 <= rows);
        let room = mentioned.unwrap_or(u64::MAX).min(room(work)) as usize;
        let (hashes, numbers) = (Hashes::new(), Numbers::with_room(room));
        Self::Hash(Hashed { hashes, numbers, of_rows: mentioned.map(|_| Vec::new()), are_several: false })
    }

    /// Whether it has come to nothing.
    pub(super) fn is_lost(&self) -> bool {
        matches!(self, Self::Lost)
    }

    /// Takes a row in.
    pub(super) fn take(&mut self, rows: &mut Rows, (position, time): (u32, i64), is_mentioned: bool, id: &[u8]) {
        match self {
            Self::Lost => {}
            Self::Order(run) => {
                match run.id.as_deref().map_or(Ordering::Greater, |before| id.cmp(before)) {
                    Ordering::Less => return *self = Self::Lost,
                    Ordering::Equal => {}
                    Ordering::Greater => run.begin(rows, id),
                }
                run.is_mentioned |= is_mentioned;
                rows.push(position, time);
                push(&mut rows.profile, run.profiles);
            }
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
    /// Another id.
    fn begin(&mut self, rows: &mut Rows, id: &[u8]) {
        self.end(rows);
        let known = self.id.get_or_insert_default();
        known.clear();
        known.extend_from_slice(id);
    }

    /// Keeps the rows if one of them is mentioned.
    fn end(&mut self, rows: &mut Rows) {
        match std::mem::take(&mut self.is_mentioned) {
            true => self.profiles += 1,
            false => rows.truncate(self.start),
        }
        self.start = rows.len();
    }
}

/// How many rows of a file are read.
fn rows<O: ReadObjects>(input: &InputFile<O>) -> u64 {
    input.groups.iter().map(|&group| input.rows(group)).sum()
}

/// The number of profiles that room is made for.
fn room<O: ReadObjects + WriteObjects>(work: &Work<'_, O>) -> u64 {
    let most = work.inputs.iter().map(rows).max().unwrap_or(0);
    let slices = work.part.task.part.slice.map_or(1, |slice| u64::from(slice.modulus.max(1)));
    let fits = work.part.task.settings.index_bytes / BYTES_FOR_ROOM;
    (most / slices / work.share.count()).min(MOST_ROOM).min(fits)
}
