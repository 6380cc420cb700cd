//! A leaf column of some rows, any of which may be looked at at any time.

use super::dictionary::{Entries, text_at};
use super::open::plain_range;
use super::{Damaged, Ids, LeafForm, LeafPage, Run, Spans, ValueForm, Values};
use parquet::schema::types::ColumnDescriptor;
use std::ops::Range;

/// The leaf column, as it is stored but for the pages.
pub(crate) struct HeldLeaf {
    pub(super) form: LeafForm,
    /// Repetition levels; none where a row is a level.
    pub(super) reps: Vec<u8>,
    /// Definition levels; none where a level is a value.
    pub(super) defs: Vec<u8>,
    /// Where each row's levels start; none where a row is a level.
    rows: Vec<u32>,
    /// Where each level's values start; none where a level is a value.
    values: Vec<u32>,
    /// How many levels and values there are.
    count: (usize, usize),
    /// Values of pages that follow one another and are of one kind.
    stretches: Vec<Stretch>,
}

/// Some of the values.
struct Stretch {
    /// The first of them.
    first: usize,
    values: HeldValues,
}

/// Values of one kind.
pub(super) enum HeldValues {
    /// Entries of a dictionary.
    Ids(Vec<u32>, Entries),
    /// Plain ones; of texts, where each stands behind its length.
    Plain(Vec<u8>, Vec<u32>),
    /// Booleans, a byte each.
    Bits(Vec<u8>),
}

impl HeldLeaf {
    /// Nothing of a column.
    pub(crate) fn new(column: &ColumnDescriptor) -> Option<Self> {
        let form = LeafForm::of(column)?;
        let (reps, defs, rows, values, stretches) = Default::default();
        Some(Self { form, reps, defs, rows, values, count: (0, 0), stretches })
    }

    /// Adds rows of a page, which are given by number in order.
    pub(crate) fn push(
        &mut self,
        page: &LeafPage,
        spans: &Spans,
        chosen: &[u32],
        entries: Option<&Entries>,
    ) -> Result<(), Damaged> {
        let continues = page.reps.first().is_some_and(|rep| *rep != 0);
        let before = self.count.1;
        let mut of_values = Vec::new();
        for rows in spans.runs(chosen) {
            let Run { rows, levels, values } = spans.run(rows);
            if self.form.max_rep > 0 {
                // The rest of a row goes with its start.
                let new = rows.clone().skip(usize::from(continues && rows.start == 0));
                self.rows.extend(new.map(|row| (self.count.0 + spans.level(row) - levels.start) as u32));
                match page.reps.is_empty() {
                    true => self.reps.resize(self.reps.len() + levels.len(), 0),
                    false => self.reps.extend_from_slice(&page.reps[levels.clone()]),
                }
            }
            if self.form.max_def > 0 {
                let (max_def, mut value) = (self.form.max_def, self.count.1 as u32);
                let mut start = |is_value: bool| {
                    let start = value;
                    value += u32::from(is_value);
                    start
                };
                match page.defs.is_empty() {
                    true => {
                        self.defs.resize(self.defs.len() + levels.len(), max_def);
                        self.values.extend(levels.clone().map(|_| start(true)));
                    }
                    false => {
                        let defs = &page.defs[levels.clone()];
                        self.defs.extend_from_slice(defs);
                        self.values.extend(defs.iter().map(|def| start(*def == max_def)));
                    }
                }
            }
            self.count = (self.count.0 + levels.len(), self.count.1 + values.len());
            of_values.push(values);
        }
        if self.count.1 == before { Ok(()) } else { self.push_values(page, &of_values, entries, before) }
    }

    fn push_values(
        &mut self,
        page: &LeafPage,
        runs: &[Range<usize>],
        entries: Option<&Entries>,
        first: usize,
    ) -> Result<(), Damaged> {
        let last = self.stretches.last_mut().map(|stretch| &mut stretch.values);
        match (&page.values, last) {
            (Values::Ids(ids), Some(HeldValues::Ids(held, _))) => push_ids(ids, runs, held)?,
            (Values::Ids(ids), _) => {
                let mut held = Vec::new();
                push_ids(ids, runs, &mut held)?;
                self.begin(first, HeldValues::Ids(held, entries.ok_or(Damaged)?.clone()));
            }
            (Values::Bits(bits), Some(HeldValues::Bits(held))) => {
                runs.iter().for_each(|run| held.extend_from_slice(&bits[run.clone()]));
            }
            (Values::Bits(bits), _) => {
                let held = runs.iter().flat_map(|run| &bits[run.clone()]).copied().collect();
                self.begin(first, HeldValues::Bits(held));
            }
            (Values::Plain(bytes), Some(HeldValues::Plain(held, starts))) => {
                push_plain(self.form.values, bytes, runs, (held, starts))?;
            }
            (Values::Plain(bytes), _) => {
                let (mut held, mut starts) = (Vec::new(), Vec::new());
                push_plain(self.form.values, bytes, runs, (&mut held, &mut starts))?;
                self.begin(first, HeldValues::Plain(held, starts));
            }
        }
        Ok(())
    }

    fn begin(&mut self, first: usize, values: HeldValues) {
        self.stretches.push(Stretch { first, values });
    }

    /// The levels of a row.
    pub(crate) fn levels(&self, row: usize) -> Range<usize> {
        match self.form.max_rep {
            0 => row..row + 1,
            _ => {
                let start = |row| self.rows.get(row).map_or(self.count.0, |start| *start as usize);
                start(row)..start(row + 1)
            }
        }
    }

    /// A definition level.
    pub(crate) fn def(&self, level: usize) -> Result<u8, Damaged> {
        match self.form.max_def {
            0 => Ok(0),
            _ => self.defs.get(level).copied().ok_or(Damaged),
        }
    }

    /// A repetition level.
    pub(crate) fn rep(&self, level: usize) -> u8 {
        self.reps.get(level).copied().unwrap_or(0)
    }

    /// Whether its rows have the same levels as another leaf's, as far as repetition goes.
    pub(crate) fn nests_as(&self, other: &Self) -> bool {
        self.rows == other.rows && self.reps == other.reps
    }

    /// Takes the levels of the first entry off those of a row's map.
    pub(crate) fn next_entry(&self, left: &mut Range<usize>) -> Option<Range<usize>> {
        let start = left.next()?;
        left.start = left.find(|level| self.rep(*level) <= 1).unwrap_or(left.end);
        Some(start..left.start)
    }

    /// The value of a level, if it has one.
    pub(crate) fn value(&self, level: usize) -> Result<Option<&[u8]>, Damaged> {
        let values = self.values_of(level..level + 1);
        if values.is_empty() { Ok(None) } else { self.value_at(values.start).map(Some) }
    }

    /// The values of some levels.
    pub(super) fn values_of(&self, levels: Range<usize>) -> Range<usize> {
        match self.form.max_def {
            0 => levels,
            _ => {
                let start = |level| self.values.get(level).map_or(self.count.1, |start| *start as usize);
                start(levels.start)..start(levels.end)
            }
        }
    }

    /// The values that a value is among, and its position there.
    pub(super) fn stretch(&self, value: usize) -> Result<(&HeldValues, usize), Damaged> {
        let at = match self.stretches.as_slice() {
            [_] => 0,
            stretches => stretches.partition_point(|stretch| stretch.first <= value).checked_sub(1).ok_or(Damaged)?,
        };
        let stretch = self.stretches.get(at).ok_or(Damaged)?;
        Ok((&stretch.values, value - stretch.first))
    }

    /// A value by its number.
    pub(super) fn value_at(&self, value: usize) -> Result<&[u8], Damaged> {
        let (values, at) = self.stretch(value)?;
        match values {
            HeldValues::Ids(ids, entries) => Ok(entries.get(*ids.get(at).ok_or(Damaged)?)),
            HeldValues::Bits(bits) => bits.get(at..=at).ok_or(Damaged),
            HeldValues::Plain(bytes, starts) => {
                let value = plain(self.form.values, bytes, starts, at)?;
                Ok(if self.form.values == ValueForm::Texts { value.get(4..).ok_or(Damaged)? } else { value })
            }
        }
    }

    /// Bytes that it takes in memory.
    pub(crate) fn memory(&self) -> usize {
        let of_stretch = |stretch: &Stretch| match &stretch.values {
            HeldValues::Ids(ids, entries) => ids.capacity() * 4 + entries.memory(),
            HeldValues::Plain(bytes, starts) => bytes.capacity() + starts.capacity() * 4,
            HeldValues::Bits(bits) => bits.capacity(),
        };
        let levels = self.reps.capacity() + self.defs.capacity();
        let starts = (self.rows.capacity() + self.values.capacity()) * 4;
        levels + starts + self.stretches.iter().map(of_stretch).sum::<usize>()
    }
}

/// The bytes of a plain value, with its length before it where it is a text.
pub(super) fn plain<'b>(form: ValueForm, bytes: &'b [u8], starts: &[u32], at: usize) -> Result<&'b [u8], Damaged> {
    let range = match form {
        ValueForm::Fixed(size) => at * size..(at + 1) * size,
        ValueForm::Texts => {
            let start = |at: usize| starts.get(at).map(|start| *start as usize);
            start(at).ok_or(Damaged)?..start(at + 1).unwrap_or(bytes.len())
        }
        ValueForm::Bits => return Err(Damaged),
    };
    bytes.get(range).ok_or(Damaged)
}

fn push_ids(ids: &Ids, runs: &[Range<usize>], held: &mut Vec<u32>) -> Result<(), Damaged> {
    match ids {
        Ids::Small(ids) => runs.iter().for_each(|run| held.extend(ids[run.clone()].iter().map(|id| u32::from(*id)))),
        Ids::Large(ids) => runs.iter().for_each(|run| held.extend_from_slice(&ids[run.clone()])),
        Ids::Packed(ids) => runs.iter().try_for_each(|run| ids.unpack(run.clone(), held))?,
    }
    Ok(())
}

fn push_plain(
    form: ValueForm,
    bytes: &[u8],
    runs: &[Range<usize>],
    (held, starts): (&mut Vec<u8>, &mut Vec<u32>),
) -> Result<(), Damaged> {
    let mut at = (0, 0);
    for run in runs {
        let some = plain_range(form, bytes, run.clone(), &mut at)?;
        let mut text = 0;
        while form == ValueForm::Texts && text < some.len() {
            starts.push(u32::try_from(held.len() + text).map_err(|_| Damaged)?);
            text = text_at(some, text)?.1;
        }
        held.extend_from_slice(some);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
