//! Pages of a column chunk: levels as bytes, values as ids or plain.

use super::dictionary::{Entries, LENGTH_BYTES, text_at};
use super::hybrid::{self, count_of};
use super::packed::PackedIds;
use super::{Damaged, LeafForm, ValueForm};
use bytes::{Buf, Bytes};
use parquet::basic::Encoding;
use parquet::column::page::Page;
use std::borrow::Cow;
use std::cell::Cell;
use std::ops::Range;

/// A page's values.
#[derive(Clone, Debug)]
pub(crate) enum Values {
    /// Entries of the chunk's dictionary; each is one.
    Ids(Ids),
    /// Plain values: of a fixed size, or behind their lengths.
    Plain(Bytes),
    /// Booleans, a byte each.
    Bits(Vec<u8>),
}

/// Ids of dictionary entries, in as many bytes as they need.
#[derive(Clone, Debug)]
pub(crate) enum Ids {
    /// Of up to 8 bits.
    Small(Vec<u8>),
    /// Of more.
    Large(Vec<u32>),
    /// Of a page of which few rows are asked for.
    Packed(PackedIds),
}

impl Ids {
    /// An id.
    pub(crate) fn get(&self, at: usize) -> Option<u32> {
        match self {
            Self::Small(ids) => ids.get(at).map(|id| u32::from(*id)),
            Self::Large(ids) => ids.get(at).copied(),
            Self::Packed(ids) => ids.get(at),
        }
    }

    /// Reads so many ids of entries up to that one; `Damaged` if one is beyond it. Where few are asked for, they stay packed,
    /// and those are judged as they are looked at.
    fn decode(bytes: &Bytes, count: usize, last: u32, are_few_asked: bool) -> Result<Self, Damaged> {
        let (width, packed) = bytes.split_first().ok_or(Damaged)?;
        if are_few_asked && let Some(ids) = PackedIds::new(bytes.slice(1..), *width, count, last)? {
            return Ok(Self::Packed(ids));
        }
        if *width <= 8 {
            let ids: Vec<u8> = hybrid::decode(packed, *width, count)?;
            let most = ids.iter().fold(0, |most, id| (*id).max(most));
            return if u32::from(most) > last { Err(Damaged) } else { Ok(Self::Small(ids)) };
        }
        let ids: Vec<u32> = hybrid::decode(packed, *width, count)?;
        // The top bit is set of an id beyond the last one, or of what is left after it is taken from that, which is no more
        // than the greatest `i32`.
        let top = ids.iter().fold(0, |top, id| top | id | last.wrapping_sub(*id));
        if top >> 31 != 0 { Err(Damaged) } else { Ok(Self::Large(ids)) }
    }

    /// Bytes that they take in memory.
    fn memory(&self) -> usize {
        match self {
            Self::Small(ids) => ids.capacity(),
            Self::Large(ids) => ids.capacity() * 4,
            Self::Packed(ids) => ids.memory(),
        }
    }
}

/// None.
impl Default for Ids {
    fn default() -> Self {
        Self::Small(Vec::new())
    }
}

/// A data page.
#[derive(Clone, Debug)]
pub(crate) struct LeafPage {
    /// Number of its levels.
    pub(crate) levels: usize,
    /// Repetition levels; none where all are 0.
    pub(crate) reps: Vec<u8>,
    /// Definition levels; none where all are the greatest.
    pub(crate) defs: Vec<u8>,
    /// Number of its values.
    pub(crate) count: usize,
    /// Its values.
    pub(crate) values: Values,
}

/// A page as it is looked into at some places, in order.
pub(crate) struct PageView<'p> {
    page: &'p LeafPage,
    entries: Option<&'p Entries>,
    form: LeafForm,
    /// A plain text and where its length starts.
    walked: Cell<(usize, usize)>,
}

impl<'p> PageView<'p> {
    /// A page of a chunk with that dictionary.
    pub(crate) fn new(page: &'p LeafPage, entries: Option<&'p Entries>, form: LeafForm) -> Self {
        Self { page, entries, form, walked: Cell::default() }
    }

    /// A repetition level.
    pub(crate) fn rep(&self, level: usize) -> u8 {
        self.page.reps.get(level).copied().unwrap_or(0)
    }

    /// A definition level.
    pub(crate) fn def(&self, level: usize) -> u8 {
        self.page.defs.get(level).copied().unwrap_or(self.form.max_def)
    }

    /// How many of some levels have a value.
    pub(crate) fn values_within(&self, levels: Range<usize>) -> usize {
        self.page.values_within(levels, self.form.max_def)
    }

    /// The dictionary's id of a value, where values are kept so.
    pub(crate) fn id(&self, value: usize) -> Option<u32> {
        if let Values::Ids(ids) = &self.page.values { ids.get(value) } else { None }
    }

    /// A value; of plain texts none that stands before one that was asked for.
    pub(crate) fn get(&self, value: usize) -> Result<&'p [u8], Damaged> {
        match (&self.page.values, self.form.values) {
            (Values::Ids(ids), _) => Ok(self.entries.ok_or(Damaged)?.get(ids.get(value).ok_or(Damaged)?)),
            (Values::Bits(bits), _) => bits.get(value..=value).ok_or(Damaged),
            (Values::Plain(bytes), ValueForm::Fixed(size)) => {
                bytes.get(value * size..(value + 1) * size).ok_or(Damaged)
            }
            (Values::Plain(bytes), ValueForm::Texts | ValueForm::Bits) => {
                let (mut walked, mut at) = self.walked.get();
                loop {
                    let (start, end) = text_at(bytes, at)?;
                    if walked >= value {
                        self.walked.set((walked, at));
                        return Ok(&bytes[start..end]);
                    }
                    (walked, at) = (walked + 1, end);
                }
            }
        }
    }

    /// The texts of all levels, in order; `None` where one has none, or there are more of them than different ones.
    pub(crate) fn distinct(&self) -> Result<Option<Vec<&'p [u8]>>, Damaged> {
        let count = self.page.count;
        if count < self.page.levels {
            return Ok(None);
        }
        match (&self.page.values, self.form.values) {
            (Values::Plain(bytes), ValueForm::Texts) => {
                let mut all = Vec::with_capacity(count.min(bytes.len() / LENGTH_BYTES));
                LeafPage::each_text(bytes, count, |text| all.push(text))?;
                Ok(Some(all))
            }
            (Values::Ids(_), _) if count <= self.entries.map_or(0, Entries::len) => {
                (0..count).map(|value| self.get(value)).collect::<Result<_, _>>().map(Some)
            }
            _ => Ok(None),
        }
    }
}

/// The entries of a dictionary page.
pub(super) fn dictionary(page: &Page, form: LeafForm) -> Result<Entries, Damaged> {
    Entries::new(page.buffer().clone(), page.num_values() as usize, form.values)
}

/// A data page of a chunk with that dictionary; of its rows there may be few that are asked for.
pub(super) fn data_page(
    page: &Page,
    form: LeafForm,
    dictionary: Option<&Entries>,
    are_few_asked: bool,
) -> Result<LeafPage, Damaged> {
    let levels = page.num_values() as usize;
    let (reps, defs, values, encoding) = match page {
        Page::DataPage { buf, encoding, def_level_encoding, rep_level_encoding, .. } => {
            let mut rest = buf.clone();
            let reps = levels_of(&mut rest, *rep_level_encoding, form.max_rep, levels, 0)?;
            let defs = levels_of(&mut rest, *def_level_encoding, form.max_def, levels, form.max_def)?;
            (reps, defs, rest, *encoding)
        }
        Page::DataPageV2 { buf, encoding, rep_levels_byte_len, def_levels_byte_len, .. } => {
            let (reps_end, defs_bytes) = (*rep_levels_byte_len as usize, *def_levels_byte_len as usize);
            let defs_end = reps_end.checked_add(defs_bytes).filter(|end| *end <= buf.len()).ok_or(Damaged)?;
            let reps = run_levels(&buf[..reps_end], form.max_rep, levels, 0)?;
            let defs = run_levels(&buf[reps_end..defs_end], form.max_def, levels, form.max_def)?;
            (reps, defs, buf.slice(defs_end..), *encoding)
        }
        Page::DictionaryPage { .. } => return Err(Damaged),
    };
    let count = match defs.is_empty() {
        true => levels,
        false => count_of(&defs, form.max_def),
    };
    let values = values_of((values, encoding, count), form.values, dictionary, are_few_asked)?;
    Ok(LeafPage { levels, reps, defs, count, values })
}

/// Takes levels off the front of a page; none where all are `usual`.
fn levels_of(rest: &mut Bytes, encoding: Encoding, greatest: u8, count: usize, usual: u8) -> Result<Vec<u8>, Damaged> {
    if greatest == 0 {
        return Ok(Vec::new());
    }
    if encoding == Encoding::RLE {
        let length = rest.first_chunk::<4>().map(|length| u32::from_le_bytes(*length) as usize).ok_or(Damaged)?;
        rest.advance(4);
        if length > rest.len() {
            return Err(Damaged);
        }
        return run_levels(&rest.split_to(length), greatest, count, usual);
    }
    let mut levels = Vec::with_capacity(count);
    let taken = hybrid::decode_big_endian(rest, hybrid::width_of(greatest.into()), count, &mut levels)?;
    rest.advance(taken);
    checked(levels, greatest)
}

fn run_levels(bytes: &[u8], greatest: u8, count: usize, usual: u8) -> Result<Vec<u8>, Damaged> {
    let width = hybrid::width_of(greatest.into());
    if greatest == 0 || hybrid::constant(bytes, width, count) == Some(usual.into()) {
        return Ok(Vec::new());
    }
    checked(hybrid::decode(bytes, width, count)?, greatest)
}

fn checked(levels: Vec<u8>, greatest: u8) -> Result<Vec<u8>, Damaged> {
    let most = levels.iter().fold(0, |most, level| (*level).max(most));
    if most > greatest { Err(Damaged) } else { Ok(levels) }
}

fn values_of(
    (bytes, encoding, count): (Bytes, Encoding, usize),
    form: ValueForm,
    dictionary: Option<&Entries>,
    are_few_asked: bool,
) -> Result<Values, Damaged> {
    match (encoding, form) {
        (Encoding::PLAIN_DICTIONARY | Encoding::RLE_DICTIONARY, _) => {
            let last = dictionary.map_or(0, Entries::len).checked_sub(1).map(|last| last as u32);
            let ids = match count {
                0 => Ids::default(),
                _ => Ids::decode(&bytes, count, last.ok_or(Damaged)?, are_few_asked)?,
            };
            Ok(Values::Ids(ids))
        }
        (Encoding::PLAIN, ValueForm::Bits) => {
            let packed = bytes.get(..count.div_ceil(8)).ok_or(Damaged)?;
            Ok(Values::Bits(hybrid::unpack(packed, 1, count)))
        }
        (Encoding::RLE, ValueForm::Bits) => hybrid::decode(bytes.get(4..).ok_or(Damaged)?, 1, count).map(Values::Bits),
        (Encoding::PLAIN, ValueForm::Fixed(size)) => {
            let length = count.checked_mul(size).filter(|length| *length <= bytes.len()).ok_or(Damaged)?;
            Ok(Values::Plain(bytes.slice(..length)))
        }
        (Encoding::PLAIN, ValueForm::Texts) => Ok(Values::Plain(bytes)),
        _ => Err(Damaged),
    }
}

impl LeafPage {
    /// Bytes that it takes in memory.
    pub(super) fn memory(&self) -> usize {
        let values = match &self.values {
            Values::Ids(ids) => ids.memory(),
            Values::Plain(bytes) => bytes.len(),
            Values::Bits(bits) => bits.capacity(),
        };
        self.reps.capacity() + self.defs.capacity() + values
    }

    /// Repetition levels, whether they are all 0 or not.
    pub(crate) fn repetitions(&self) -> Cow<'_, [u8]> {
        if self.reps.is_empty() { Cow::Owned(vec![0; self.levels]) } else { Cow::Borrowed(&self.reps) }
    }

    /// How many of some levels have a value, as those of the greatest definition level have.
    pub(crate) fn values_within(&self, levels: Range<usize>, max_def: u8) -> usize {
        match self.defs.is_empty() {
            true => levels.len(),
            false => count_of(&self.defs[levels], max_def),
        }
    }

    /// Tells every text of a page of plain texts, in order.
    pub(crate) fn each_text<'p>(bytes: &'p [u8], count: usize, mut tell: impl FnMut(&'p [u8])) -> Result<(), Damaged> {
        let mut at = 0;
        for _ in 0..count {
            let (start, end) = text_at(bytes, at)?;
            tell(&bytes[start..end]);
            at = end;
        }
        Ok(())
    }
}
