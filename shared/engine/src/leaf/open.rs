//! The open page of a column chunk in the making.

use super::dictionary::text_at;
use super::hybrid;
use super::{Damaged, ValueForm};
use parquet::basic::{ConvertedType, Encoding, LogicalType, Type as PhysicalType};
use parquet::schema::types::ColumnDescPtr;
use std::ops::Range;

/// A page in the making.
#[derive(Default)]
pub(super) struct OpenPage {
    pub(super) reps: Vec<u8>,
    pub(super) defs: Vec<u8>,
    pub(super) rows: usize,
    pub(super) values: OpenValues,
}

/// Its values, of one kind.
pub(super) enum OpenValues {
    Ids(Vec<u32>),
    Plain(Vec<u8>),
    Bits(Vec<u8>),
}

impl Default for OpenValues {
    fn default() -> Self {
        Self::Ids(Vec::new())
    }
}

impl OpenValues {
    /// Bytes that they will take encoded, before compression, roughly.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Ids(ids) => ids.len(),
            Self::Plain(bytes) => bytes.len(),
            Self::Bits(bits) => bits.len() / 8,
        }
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Ids(ids) => ids.is_empty(),
            Self::Plain(bytes) | Self::Bits(bytes) => bytes.is_empty(),
        }
    }

    /// Bytes that they take in memory.
    pub(super) fn memory(&self) -> usize {
        match self {
            Self::Ids(ids) => ids.capacity() * 4,
            Self::Plain(bytes) | Self::Bits(bytes) => bytes.capacity(),
        }
    }

    /// Adds them in their encoded form; ids of a dictionary of so many entries.
    pub(super) fn encode(&self, entries: usize, body: &mut Vec<u8>) -> Encoding {
        match self {
            // A chunk without values has no dictionary.
            Self::Ids(ids) if ids.is_empty() => {}
            Self::Ids(ids) => {
                // Some readers want a bit for each id even where there is one entry.
                let width = hybrid::width_of(entries.saturating_sub(1) as u32).max(1);
                body.push(width);
                hybrid::encode(ids, width, body);
                return Encoding::RLE_DICTIONARY;
            }
            Self::Plain(bytes) => body.extend(bytes),
            Self::Bits(bits) => {
                let byte = |bits: &[u8]| bits.iter().rev().fold(0, |byte, bit| byte << 1 | bit);
                body.extend(bits.chunks(8).map(byte));
            }
        }
        Encoding::PLAIN
    }
}

/// The bytes of some of a page's plain values. `at` remembers a value and where it starts, so that texts are walked once.
pub(super) fn plain_range<'p>(
    form: ValueForm,
    bytes: &'p [u8],
    values: Range<usize>,
    at: &mut (usize, usize),
) -> Result<&'p [u8], Damaged> {
    let mut walk = |to: usize| -> Result<usize, Damaged> {
        while at.0 < to {
            *at = (at.0 + 1, text_at(bytes, at.1)?.1);
        }
        Ok(at.1)
    };
    let (start, end) = match form {
        ValueForm::Fixed(size) => (values.start * size, values.end * size),
        ValueForm::Texts => (walk(values.start)?, walk(values.end)?),
        ValueForm::Bits => return Err(Damaged),
    };
    bytes.get(start..end).ok_or(Damaged)
}

/// What the texts of a column must keep to.
#[derive(Clone, Copy)]
pub(super) struct Texts {
    are_utf8: bool,
}

impl Texts {
    /// Of a column.
    pub(super) fn of(column: &ColumnDescPtr) -> Self {
        let are_utf8 = column.physical_type() == PhysicalType::BYTE_ARRAY
            && (column.converted_type() == ConvertedType::UTF8
                || matches!(column.logical_type_ref(), Some(LogicalType::String)));
        Self { are_utf8 }
    }

    /// Checks a text.
    pub(super) fn check(self, text: &[u8]) -> Result<(), Damaged> {
        if !self.are_utf8 || text.is_ascii() || std::str::from_utf8(text).is_ok() { Ok(()) } else { Err(Damaged) }
    }

    /// Checks texts behind their lengths.
    pub(super) fn check_all(self, texts: &[u8]) -> Result<(), Damaged> {
        // Lengths of short texts look like ASCII too.
        if !self.are_utf8 || texts.is_ascii() {
            return Ok(());
        }
        let mut at = 0;
        while at < texts.len() {
            let (start, end) = text_at(texts, at)?;
            self.check(&texts[start..end])?;
            at = end;
        }
        Ok(())
    }
}
