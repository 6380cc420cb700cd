//! A column chunk in the making: levels and values as they are stored elsewhere, put together anew.

mod closed;
mod held;

pub(crate) use closed::EncodedChunk;

use super::dictionary::{Dictionary, Entries, put_plain};
use super::open::{OpenPage, OpenValues, Texts, plain_range};
use super::packed::PackedIds;
use super::{Damaged, EncodeError, Ids, LeafForm, LeafPage, Raise, Run, Small, Spans, ValueForm, Values, Widening};
use parquet::basic::ZstdLevel;
use parquet::errors::{ParquetError, Result};
use parquet::schema::types::ColumnDescPtr;
use std::ops::Range;

/// Bytes at which a dictionary takes no more entries; what follows is plain.
const DICTIONARY_BYTES: usize = 1 << 20;
/// Rows, levels and bytes at which a page is closed.
const PAGE_ROWS: usize = 20_000;
const PAGE_LEVELS: usize = 1 << 18;
const PAGE_BYTES: usize = 1 << 20;

/// Writes a column chunk.
pub(crate) struct LeafEncoder {
    column: ColumnDescPtr,
    form: LeafForm,
    /// How far its pages are packed; `None`: not at all.
    level: Option<ZstdLevel>,
    texts: Texts,
    dictionary: Dictionary,
    /// The dictionary's ids of the entries of the chunk that is read; [`UNKNOWN`] for those not met yet.
    ids: Vec<u32>,
    /// The same of each of the columns that rows are taken from one by one.
    ids_of: Vec<Vec<u32>>,
    open: OpenPage,
    pages: Vec<closed::ClosedPage>,
    compressed_bytes: usize,
    levels: u64,
    rows: u64,
}

const UNKNOWN: u32 = u32::MAX;

impl LeafEncoder {
    /// A chunk without rows of that column, compressed at that level.
    pub(crate) fn new(column: ColumnDescPtr, level: ZstdLevel) -> Result<Self> {
        Ok(Self { level: Some(level), ..Self::unpacked(column)? })
    }

    /// One that is not compressed, as its pages are read at once.
    pub(crate) fn unpacked(column: ColumnDescPtr) -> Result<Self> {
        let form = LeafForm::of(&column).ok_or_else(|| ParquetError::NYI("a column nests too deep".into()))?;
        let texts = Texts::of(&column);
        Ok(Self {
            column,
            form,
            level: None,
            dictionary: Dictionary::new(form.values),
            texts,
            ids: Vec::new(),
            ids_of: Vec::new(),
            open: OpenPage::default(),
            pages: Vec::new(),
            compressed_bytes: 0,
            levels: 0,
            rows: 0,
        })
    }

    /// Says that the next pages are of another chunk.
    pub(crate) fn begin_chunk(&mut self) {
        self.ids.clear();
    }

    /// Bytes that the chunk holds in memory, roughly.
    pub(crate) fn memory(&self) -> usize {
        let open = self.open.reps.capacity() + self.open.defs.capacity() + self.open.values.memory();
        self.compressed_bytes + open + self.dictionary.memory() + self.ids_memory()
    }

    fn ids_memory(&self) -> usize {
        self.ids_of.iter().chain([&self.ids]).map(|ids| ids.capacity() * 4).sum()
    }

    /// Bytes that the chunk has encoded so far, roughly.
    pub(crate) fn encoded_bytes(&self) -> usize {
        self.compressed_bytes + self.open.values.bytes() + self.dictionary.bytes.len()
    }

    /// Adds rows of a page, which are given by number in order, with their levels raised and their
    /// values widened.
    pub(crate) fn push(
        &mut self,
        page: &LeafPage,
        spans: &Spans,
        chosen: &[u32],
        entries: Option<&Entries>,
        (raise, widening): (&Raise, Widening),
    ) -> std::result::Result<(), EncodeError> {
        let starts_a_row = page.reps.first().is_none_or(|rep| *rep == 0);
        self.open_for(&page.values, starts_a_row)?;
        let runs: Vec<Run> = spans.runs(chosen).map(|rows| spans.run(rows)).collect();
        let Some(first) = runs.first() else { return Ok(()) };
        // The rest of a row was counted with its start.
        let rest = usize::from(first.rows.start == 0 && !starts_a_row);
        let rows = runs.iter().map(|run| run.rows.len()).sum::<usize>() - rest;
        self.open.rows += rows;
        self.rows += rows as u64;
        self.push_levels(page, &runs, raise)?;
        match (&page.values, &mut self.open.values) {
            (Values::Ids(Ids::Small(ids)), _) => self.push_ids(ids, &runs, entries.ok_or(Damaged)?, widening)?,
            (Values::Ids(Ids::Large(ids)), _) => self.push_ids(ids, &runs, entries.ok_or(Damaged)?, widening)?,
            (Values::Ids(Ids::Packed(ids)), _) => {
                let (ids, runs) = few_of(ids, runs)?;
                self.push_ids(&ids, &runs, entries.ok_or(Damaged)?, widening)?;
            }
            (Values::Bits(bits), OpenValues::Bits(open)) => extend(open, bits, &runs, |run| &run.values),
            (Values::Plain(bytes), OpenValues::Plain(open)) => {
                let form = if widening == Widening::None { self.form.values } else { ValueForm::Fixed(4) };
                let mut at = (0, 0);
                for run in &runs {
                    let bytes = plain_range(form, bytes, run.values.clone(), &mut at)?;
                    self.texts.check_all(bytes)?;
                    open.extend_from_slice(&widening.apply(bytes));
                }
            }
            _ => return Err(Damaged.into()),
        }
        Ok(())
    }

    /// Adds rows that all have the same value.
    pub(crate) fn push_same(&mut self, value: &[u8], rows: usize) -> Result<()> {
        self.open_for(&Values::Ids(Ids::default()), true)?;
        // A single value fits any dictionary.
        let id = self.dictionary.id_of(value, usize::MAX).unwrap_or_default();
        if let OpenValues::Ids(ids) = &mut self.open.values {
            ids.resize(ids.len() + rows, id);
        }
        self.push_level(self.form.max_def, rows);
        Ok(())
    }

    /// Adds rows of a leaf below a list at the top, which may be null: it is there, and nothing is in it.
    pub(crate) fn push_empty_lists(&mut self, rows: usize) -> Result<()> {
        self.open_for(&Values::Ids(Ids::default()), true)?;
        self.push_level(1, rows);
        Ok(())
    }

    /// Adds rows of one level each.
    fn push_level(&mut self, def: u8, rows: usize) {
        let grown = |levels: &Vec<u8>, greatest: u8| if greatest > 0 { levels.len() + rows } else { 0 };
        self.open.reps.resize(grown(&self.open.reps, self.form.max_rep), 0);
        self.open.defs.resize(grown(&self.open.defs, self.form.max_def), def);
        self.open.rows += rows;
        self.rows += rows as u64;
        self.levels += rows as u64;
    }

    /// Makes the open page one for such values. What is not of one kind goes to another page, at a row's start.
    fn open_for(&mut self, values: &Values, starts_a_row: bool) -> Result<()> {
        let (full, plain_only) = (self.is_page_full(), self.is_plain_only());
        let fits = match (values, &self.open.values) {
            (Values::Ids(_), OpenValues::Ids(_)) => !plain_only,
            (Values::Ids(_), OpenValues::Plain(_)) => plain_only || !starts_a_row,
            (Values::Plain(_), OpenValues::Plain(_)) | (Values::Bits(_), OpenValues::Bits(_)) => true,
            _ => false,
        };
        if full && starts_a_row || !fits && starts_a_row && self.open.rows > 0 {
            self.close_page()?;
        }
        if self.open.rows == 0 {
            self.open.values = match values {
                Values::Bits(_) => OpenValues::Bits(Vec::new()),
                Values::Ids(_) if !plain_only => OpenValues::Ids(Vec::new()),
                Values::Ids(_) | Values::Plain(_) => OpenValues::Plain(Vec::new()),
            };
        } else if !fits {
            self.make_plain();
        }
        Ok(())
    }

    fn is_page_full(&self) -> bool {
        self.open.rows >= PAGE_ROWS
            || self.open.defs.len().max(self.open.reps.len()) >= PAGE_LEVELS
            || self.open.values.bytes() >= PAGE_BYTES
    }

    fn is_plain_only(&self) -> bool {
        self.dictionary.is_full && self.form.values != ValueForm::Bits
    }

    fn push_levels(&mut self, page: &LeafPage, runs: &[Run], raise: &Raise) -> std::result::Result<(), Damaged> {
        let count: usize = runs.iter().map(|run| run.levels.len()).sum();
        self.levels += count as u64;
        if self.form.max_rep > 0 {
            let reps = &mut self.open.reps;
            match page.reps.is_empty() {
                true => reps.resize(reps.len() + count, 0),
                false => extend(reps, &page.reps, runs, |run| &run.levels),
            }
        }
        if self.form.max_def > 0 {
            let defs = &mut self.open.defs;
            if page.defs.is_empty() {
                defs.resize(defs.len() + count, self.form.max_def);
                return Ok(());
            }
            let before = defs.len();
            extend(defs, &page.defs, runs, |run| &run.levels);
            if !raise.is_nothing() {
                defs[before..].iter_mut().for_each(|def| *def = raise.of(*def));
            }
            return Ok(());
        }
        // A column that may not be null takes no null.
        let values: usize = runs.iter().map(|run| run.values.len()).sum();
        if values == count { Ok(()) } else { Err(Damaged) }
    }

    fn push_ids<T: Small>(
        &mut self,
        ids: &[T],
        runs: &[Run],
        entries: &Entries,
        widening: Widening,
    ) -> std::result::Result<(), EncodeError> {
        if self.ids.len() != entries.len() {
            self.ids = vec![UNKNOWN; entries.len()];
        }
        let mut wanted = runs.iter().flat_map(|run| &ids[run.values.clone()]);
        let mut unplaced = None;
        if let OpenValues::Ids(open) = &mut self.open.values {
            open.reserve(runs.iter().map(|run| run.values.len()).sum());
            'runs: for (at, run) in runs.iter().enumerate() {
                for (value, id) in run.values.clone().zip(&ids[run.values.clone()]) {
                    let known = &mut self.ids[id.bits() as usize];
                    if *known == UNKNOWN {
                        let entry = widening.apply(entries.get(id.bits() as u32));
                        self.texts.check(&entry)?;
                        let Some(new) = self.dictionary.id_of(&entry, DICTIONARY_BYTES) else {
                            unplaced = Some((at, value));
                            break 'runs;
                        };
                        *known = new;
                    }
                    open.push(*known);
                }
            }
            let Some((at, value)) = unplaced else { return Ok(()) };
            let before: usize = runs[..at].iter().map(|run| run.values.len()).sum();
            let placed = before + value - runs[at].values.start;
            wanted.by_ref().take(placed).for_each(drop);
        }
        let form = self.form.values;
        let texts = self.texts;
        let plain = self.make_plain();
        for id in wanted {
            let entry = entries.get(id.bits() as u32);
            texts.check(entry)?;
            put_plain(form, &widening.apply(entry), plain);
        }
        Ok(())
    }

    /// Tells the open page's values plain.
    fn make_plain(&mut self) -> &mut Vec<u8> {
        let mut plain = Vec::new();
        match std::mem::take(&mut self.open.values) {
            OpenValues::Ids(ids) => {
                ids.iter().for_each(|id| put_plain(self.form.values, self.dictionary.get(*id), &mut plain));
            }
            OpenValues::Plain(bytes) | OpenValues::Bits(bytes) => plain = bytes,
        }
        self.open.values = OpenValues::Plain(plain);
        match &mut self.open.values {
            OpenValues::Plain(plain) => plain,
            OpenValues::Ids(_) | OpenValues::Bits(_) => unreachable!("it was just made plain"),
        }
    }
}

/// The ids of these runs alone, and the runs with where they are among those.
fn few_of(ids: &PackedIds, runs: Vec<Run>) -> std::result::Result<(Vec<u32>, Vec<Run>), Damaged> {
    let mut few = Vec::with_capacity(runs.iter().map(|run| run.values.len()).sum());
    let mut among = Vec::with_capacity(runs.len());
    for run in runs {
        let start = few.len();
        ids.unpack(run.values, &mut few)?;
        among.push(Run { values: start..few.len(), ..run });
    }
    Ok((few, among))
}

/// Runs of at most so many are copied one by one.
const SHORT: usize = 8;

/// Adds runs of levels or bits, most of which are short.
fn extend(to: &mut Vec<u8>, from: &[u8], runs: &[Run], range: impl Fn(&Run) -> &Range<usize>) {
    to.reserve(runs.iter().map(|run| range(run).len()).sum());
    for run in runs {
        let run = &from[range(run).clone()];
        match run {
            [only] => to.push(*only),
            [..] if run.len() <= SHORT => to.extend(run.iter().copied()),
            [..] => to.extend_from_slice(run),
        }
    }
}
