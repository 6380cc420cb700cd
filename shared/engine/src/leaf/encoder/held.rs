//! Rows that are put together of levels of several columns, which are held in memory.

use super::super::dictionary::{Entries, put_plain};
use super::super::held::{HeldValues, plain};
use super::super::open::OpenValues;
use super::super::{Damaged, EncodeError, HeldLeaf, Raise, Widening};
use super::{DICTIONARY_BYTES, LeafEncoder, UNKNOWN};
use parquet::errors::Result;
use std::ops::Range;

impl LeafEncoder {
    /// Says that the next rows are taken from so many columns, one by one.
    pub(crate) fn begin_held(&mut self, columns: usize) {
        self.ids_of = vec![Vec::new(); columns];
    }

    /// Begins a row whose levels are told piece by piece.
    pub(crate) fn begin_row(&mut self) -> Result<()> {
        if self.is_page_full() {
            self.close_page()?;
        }
        self.open.rows += 1;
        self.rows += 1;
        Ok(())
    }

    /// Adds levels of the held column of that number to the row that was begun, raised and with their values widened; the
    /// first one gets that repetition level.
    pub(crate) fn push_held(
        &mut self,
        (column, held): (usize, &HeldLeaf),
        (levels, rep): (Range<usize>, u8),
        (raise, widening): (&Raise, Widening),
    ) -> std::result::Result<(), EncodeError> {
        let values = held.values_of(levels.clone());
        self.levels += levels.len() as u64;
        if self.form.max_rep > 0 {
            self.open.reps.push(rep);
            self.open.reps.extend_from_slice(held.reps.get(levels.start + 1..levels.end).ok_or(Damaged)?);
        }
        match (self.form.max_def, held.form.max_def) {
            // A column that may not be null takes no null.
            (0, _) if values.len() < levels.len() => return Err(Damaged.into()),
            (0, _) => {}
            (greatest, 0) => self.open.defs.resize(self.open.defs.len() + levels.len(), greatest),
            _ => self.open.defs.extend(held.defs.get(levels).ok_or(Damaged)?.iter().map(|def| raise.of(*def))),
        }
        for value in values {
            self.push_held_value((column, held), value, widening)?;
        }
        Ok(())
    }

    /// Adds a level without a value to the row that was begun.
    pub(crate) fn push_nothing(&mut self, rep: u8, def: u8) -> std::result::Result<(), EncodeError> {
        if def >= self.form.max_def {
            return Err(Damaged.into());
        }
        self.levels += 1;
        self.open.defs.push(def);
        if self.form.max_rep > 0 {
            self.open.reps.push(rep);
        }
        Ok(())
    }

    fn push_held_value(
        &mut self,
        (column, held): (usize, &HeldLeaf),
        value: usize,
        widening: Widening,
    ) -> std::result::Result<(), EncodeError> {
        let (values, at) = held.stretch(value)?;
        if self.open.values.is_empty() {
            // Of whatever kind the first values of a page are, the others become the same.
            self.open.values = match values {
                HeldValues::Bits(_) => OpenValues::Bits(Vec::new()),
                HeldValues::Ids(..) if !self.is_plain_only() => OpenValues::Ids(Vec::new()),
                HeldValues::Ids(..) | HeldValues::Plain(..) => OpenValues::Plain(Vec::new()),
            };
        }
        match (values, &mut self.open.values) {
            (HeldValues::Ids(ids, entries), _) => {
                self.push_id(column, *ids.get(at).ok_or(Damaged)?, entries, widening)?;
            }
            (HeldValues::Bits(bits), OpenValues::Bits(open)) => open.push(*bits.get(at).ok_or(Damaged)?),
            (HeldValues::Plain(bytes, starts), OpenValues::Plain(open)) => {
                let plain = plain(held.form.values, bytes, starts, at)?;
                self.texts.check_all(plain)?;
                open.extend_from_slice(&widening.apply(plain));
            }
            (HeldValues::Plain(..), _) => {
                self.push_value(&widening.apply(held.value_at(value)?))?;
            }
            _ => return Err(Damaged.into()),
        }
        Ok(())
    }

    /// Adds a value, by its id in the dictionary of a held column.
    fn push_id(
        &mut self,
        column: usize,
        id: u32,
        entries: &Entries,
        widening: Widening,
    ) -> std::result::Result<(), EncodeError> {
        let ids = self.ids_of.get_mut(column).ok_or(Damaged)?;
        if ids.len() != entries.len() {
            *ids = vec![UNKNOWN; entries.len()];
        }
        match (ids[id as usize], &mut self.open.values) {
            (known, OpenValues::Ids(open)) if known != UNKNOWN => open.push(known),
            _ => {
                if let Some(new) = self.push_value(&widening.apply(entries.get(id)))? {
                    self.ids_of[column][id as usize] = new;
                }
            }
        }
        Ok(())
    }

    /// Adds a value to a page that is not one of booleans; tells its id if it has one.
    fn push_value(&mut self, value: &[u8]) -> std::result::Result<Option<u32>, EncodeError> {
        self.texts.check(value)?;
        if let OpenValues::Ids(open) = &mut self.open.values {
            if let Some(id) = self.dictionary.id_of(value, DICTIONARY_BYTES) {
                open.push(id);
                return Ok(Some(id));
            }
            self.make_plain();
        }
        match &mut self.open.values {
            OpenValues::Plain(open) => put_plain(self.form.values, value, open),
            OpenValues::Ids(_) | OpenValues::Bits(_) => return Err(Damaged.into()),
        }
        Ok(None)
    }
}
