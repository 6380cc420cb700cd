//! The first pass, before anything else: which rows mention a wanted segment. Only profiles that have such a row can be
//! members, so nothing is asked of any other.

use super::Work;
use super::kept::Kept;
use crate::error::EngineError;
use crate::input::InputFile;
use crate::membership::{BoundMemberships, Wanted};
use crate::part::{Progress, Step, Tally};
use crate::row_group::RowGroup;
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};
use domain::ports::objects::{ReadObjects, WriteObjects};
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

/// The rows that mention a wanted segment, of whatever namespace and status.
pub(super) struct Mentions {
    /// By file and row group, and there by number up to the last one that does; of no group in which none does.
    groups: HashMap<(usize, usize), BooleanBuffer>,
}

impl Mentions {
    /// Looks through all files; keeps where it finds what is wanted, and what it reads if it is read again.
    pub(super) async fn read<O: ReadObjects + WriteObjects>(
        work: &Work<'_, O>,
        wanted: &Wanted,
        kept: &mut Kept,
        tally: &mut Tally<impl FnMut(Progress) -> Step + Send>,
    ) -> Result<Self, EngineError> {
        let mut groups = HashMap::new();
        kept.fit(work.part.task.settings.index_bytes);
        for (at, input) in work.inputs.iter().enumerate() {
            let source = work.part.task.part.files[at].source;
            let column = work.part.sources[source].memberships.as_ref();
            let bound = column.map(|column| column.bind(wanted, input, true)).transpose()?.flatten();
            let Some(bound) = bound else { continue };
            let [_, again] = work.read_again(source, input)?;
            for &group in &input.groups {
                let rows = of_group(work, &bound, (at, input, group), &again, kept, tally).await?;
                groups.extend((!rows.is_empty()).then_some(((at, group), rows)));
            }
        }
        Ok(Self { groups })
    }

    /// Whether there are none at all.
    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Whether one of these rows of a row group, which is given by file and number, is among them.
    pub(super) fn hold_any(&self, group: (usize, usize), rows: Range<usize>) -> bool {
        self.groups.get(&group).is_some_and(|mentioned| {
            let (start, end) = (rows.start.min(mentioned.len()), rows.end.min(mentioned.len()));
            mentioned.slice(start, end - start).count_set_bits() > 0
        })
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.groups.values().map(BooleanBuffer::count_set_bits).sum()
    }
}

/// Those of a row group.
pub(super) enum Mentioned<'m> {
    /// Nothing is wanted: all rows are as good.
    All,
    /// None of them.
    None,
    /// Some.
    Some(&'m BooleanBuffer),
}

impl<'m> Mentioned<'m> {
    /// Those of a row group.
    pub(super) fn of(mentions: Option<&'m Mentions>, file: usize, group: usize) -> Self {
        match mentions.map(|mentions| mentions.groups.get(&(file, group))) {
            None => Self::All,
            Some(None) => Self::None,
            Some(Some(rows)) => Self::Some(rows),
        }
    }

    /// Whether a row, given by its number in the row group, is among them.
    pub(super) fn hold(&self, row: usize) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Some(rows) => row < rows.len() && rows.value(row),
        }
    }
}

/// The rows of a row group.
async fn of_group<O: ReadObjects + WriteObjects>(
    work: &Work<'_, O>,
    bound: &BoundMemberships<'_>,
    (at, input, number): (usize, &InputFile<O>, usize),
    again: &BTreeSet<usize>,
    kept: &mut Kept,
    tally: &mut Tally<impl FnMut(Progress) -> Step + Send>,
) -> Result<BooleanBuffer, EngineError> {
    let mut group = RowGroup::new(input, number, again);
    let mut places = bound.places(&mut group).await?;
    let (mut told, mut rows) = (Some(Vec::new()), BooleanBufferBuilder::new(0));
    loop {
        let some = places.next().map_err(|_| input.damage())?;
        let Some(last) = some.last() else { break };
        // Room is made for rows that are there, whatever the footer says.
        rows.resize(last.row as usize + 1);
        some.iter().for_each(|place| rows.set_bit(place.row as usize, true));
        if let Some(list) = &mut told {
            list.push(some);
        }
        told = told.filter(|list| kept.has_room(list));
        tally.report(0)?;
    }
    group.keep(bound.segment_leaf(), places.into_chunk());
    kept.put((at, number), group.into_kept());
    if let Some(told) = told {
        kept.put_places((at, number), told);
    }
    kept.fit(work.part.task.settings.index_bytes);
    Ok(rows.finish())
}
