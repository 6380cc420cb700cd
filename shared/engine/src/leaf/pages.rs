//! A column chunk, page by page: levels as bytes, values as ids or plain.

use super::dictionary::{Entries, text_at};
use super::hybrid;
use super::records::Records;
use super::{Damaged, LeafForm, ValueForm};
use bytes::{Buf, Bytes};
use parquet::basic::{Encoding, PageType};
use parquet::column::page::{Page, PageReader};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::schema::types::ColumnDescPtr;
use std::borrow::Cow;
use std::cell::Cell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// The bytes of a column chunk, known by their positions in the file.
#[derive(Clone, Debug)]
pub(crate) struct ChunkBytes {
    /// Where in the file they start.
    pub(crate) start: u64,
    /// The bytes.
    pub(crate) bytes: Bytes,
}

impl ChunkBytes {
    fn from(&self, at: u64) -> ParquetResult<Bytes> {
        let offset = at.checked_sub(self.start).and_then(|at| usize::try_from(at).ok());
        let offset = offset.filter(|at| *at <= self.bytes.len());
        offset.map(|at| self.bytes.slice(at..)).ok_or_else(|| ParquetError::EOF("outside of the column chunk".into()))
    }
}

impl Length for ChunkBytes {
    fn len(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl ChunkReader for ChunkBytes {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let bytes = self.from(start)?;
        if bytes.len() < length {
            return Err(ParquetError::EOF("outside of the column chunk".into()));
        }
        Ok(bytes.slice(..length))
    }
}

/// A page's values.
#[derive(Clone, Debug)]
pub(crate) enum Values {
    /// Entries of the chunk's dictionary; each is one.
    Ids(Vec<u32>),
    /// Plain values: of a fixed size, or behind their lengths.
    Plain(Bytes),
    /// Booleans, a byte each.
    Bits(Vec<u8>),
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

    /// The dictionary's id of a value, where values are kept so.
    pub(crate) fn id(&self, value: usize) -> Option<u32> {
        if let Values::Ids(ids) = &self.page.values { ids.get(value).copied() } else { None }
    }

    /// A value; of plain texts none that stands before one that was asked for.
    pub(crate) fn get(&self, value: usize) -> Result<&'p [u8], Damaged> {
        match (&self.page.values, self.form.values) {
            (Values::Ids(ids), _) => Ok(self.entries.ok_or(Damaged)?.get(*ids.get(value).ok_or(Damaged)?)),
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
}

/// What a row has on a page.
pub(crate) struct RowOfPage {
    /// The row's levels.
    pub(crate) levels: Range<usize>,
    /// Its values.
    pub(crate) values: Range<usize>,
}

/// A column chunk of a row group.
pub(crate) struct LeafChunk {
    source: Source,
    form: LeafForm,
    is_all_ids: bool,
    /// The dictionary, as soon as its page was met.
    pub(crate) dictionary: Option<Entries>,
    /// The row that the next page starts with.
    next_row: usize,
    rows: usize,
    /// Levels that the chunk still has.
    levels_left: usize,
}

enum Source {
    Pages(Box<SerializedPageReader<ChunkBytes>>),
    /// Encodings that are not handled here, decoded by Parquet's own reader.
    Records(Box<Records>),
}

impl LeafChunk {
    /// A chunk of a row group of so many rows. Where pages start may be known from the file's index.
    pub(crate) fn new(
        bytes: ChunkBytes,
        chunk: &ColumnChunkMetaData,
        rows: usize,
        locations: Option<Vec<PageLocation>>,
    ) -> Result<Self, Damaged> {
        let form = LeafForm::of(chunk.column_descr()).ok_or(Damaged)?;
        let levels_left = usize::try_from(chunk.num_values()).map_err(|_| Damaged)?;
        let handled = chunk.encodings().all(|e| is_handled(e, form.values));
        let pages = || SerializedPageReader::new(Arc::new(bytes), chunk, rows, locations);
        let pages = catch_unwind(AssertUnwindSafe(pages)).map_err(|_| Damaged)??;
        let source = match handled {
            true => Source::Pages(Box::new(pages)),
            false => Source::Records(Box::new(Records::new(chunk.column_descr_ptr(), pages, form))),
        };
        Ok(Self { source, form, is_all_ids: is_all_ids(chunk), dictionary: None, next_row: 0, rows, levels_left })
    }

    /// Whether the footer says that every value is an entry of the dictionary.
    pub(crate) fn is_all_ids(&self) -> bool {
        self.is_all_ids
    }

    /// The form of the column.
    pub(crate) fn form(&self) -> LeafForm {
        self.form
    }

    /// The next data page and the number of its first row; pages whose rows are known not to be wanted are passed over. A
    /// page may start with the rest of the row before.
    pub(crate) fn next(&mut self, wanted: impl Fn(Range<usize>) -> bool) -> Result<Option<(usize, LeafPage)>, Damaged> {
        // Parquet's reader may panic over damaged bytes; a chunk is not used again after an error.
        let next = catch_unwind(AssertUnwindSafe(|| self.next_page(wanted))).map_err(|_| Damaged)??;
        let Some(page) = next else {
            return if self.next_row == self.rows { Ok(None) } else { Err(Damaged) };
        };
        self.levels_left = self.levels_left.checked_sub(page.levels).ok_or(Damaged)?;
        let first_row = self.next_row;
        self.next_row += match self.form.max_rep {
            0 => page.levels,
            _ if page.reps.is_empty() => page.levels,
            _ => page.reps.iter().filter(|rep| **rep == 0).count(),
        };
        if self.next_row > self.rows || first_row == 0 && page.reps.first().is_some_and(|rep| *rep != 0) {
            return Err(Damaged);
        }
        Ok(Some((first_row, page)))
    }

    /// Reads up to the dictionary, which comes first where there is one.
    pub(crate) fn read_dictionary(&mut self) -> Result<Option<&Entries>, Damaged> {
        let read = AssertUnwindSafe(|| -> Result<(), Damaged> {
            if let Source::Pages(pages) = &mut self.source
                && pages.peek_next_page()?.is_some_and(|page| page.is_dict)
            {
                let page = pages.get_next_page()?;
                self.dictionary = page.map(|page| dictionary(&page, self.form)).transpose()?;
            }
            Ok(())
        });
        catch_unwind(read).map_err(|_| Damaged)??;
        Ok(self.dictionary.as_ref())
    }

    /// Tells the levels and values that rows have, which are given by number in order; each row by its position in the
    /// list. A row that goes on on another page is told again with the rest.
    pub(crate) fn each_row(
        &mut self,
        rows: &[u32],
        mut tell: impl FnMut(usize, &PageView<'_>, RowOfPage) -> Result<(), Damaged>,
    ) -> Result<(), Damaged> {
        let wanted = |page: Range<usize>| {
            let from = rows.partition_point(|row| (*row as usize) < page.start);
            rows.get(from).is_some_and(|row| (*row as usize) < page.end)
        };
        while let Some((first_row, page)) = self.next(wanted)? {
            let spans = Spans::of(&page, first_row, self.form);
            let view = PageView::new(&page, self.dictionary.as_ref(), self.form);
            let first = rows.partition_point(|row| (*row as usize) < spans.first_row);
            for (at, row) in (first..).zip(spans.runs(rows).flatten()) {
                let levels = spans.level(row)..spans.level(row + 1);
                let values = spans.value(row)..spans.value(row + 1);
                tell(at, &view, RowOfPage { levels, values })?;
            }
        }
        Ok(())
    }

    fn next_page(&mut self, wanted: impl Fn(Range<usize>) -> bool) -> Result<Option<LeafPage>, Damaged> {
        let pages = match &mut self.source {
            Source::Pages(pages) => pages,
            Source::Records(records) => return records.next(self.form),
        };
        while let Some(next) = pages.peek_next_page()? {
            let flat = next.num_levels.filter(|_| self.form.max_rep == 0);
            if let Some(rows) = next.num_rows.or(flat).filter(|_| !next.is_dict)
                && rows > 0
                && !wanted(self.next_row..self.next_row.saturating_add(rows))
            {
                pages.skip_next_page()?;
                self.next_row = self.next_row.checked_add(rows).ok_or(Damaged)?;
                continue;
            }
            let Some(page) = pages.get_next_page()? else { break };
            if page.is_dictionary_page() {
                self.dictionary = Some(dictionary(&page, self.form)?);
            } else if page.num_values() as usize > self.levels_left {
                return Err(Damaged);
            } else if page.num_values() > 0 {
                return data_page(&page, self.form, self.dictionary.as_ref()).map(Some);
            }
        }
        Ok(None)
    }
}

fn is_all_ids(chunk: &ColumnChunkMetaData) -> bool {
    let ids = [Encoding::PLAIN_DICTIONARY, Encoding::RLE_DICTIONARY];
    if let Some(of_data_pages) = chunk.page_encoding_stats_mask() {
        return of_data_pages.is_only(Encoding::RLE_DICTIONARY) || of_data_pages.is_only(Encoding::PLAIN_DICTIONARY);
    }
    let stats = chunk.page_encoding_stats();
    let mut of_data_pages =
        stats.into_iter().flatten().filter(|page| page.page_type != PageType::DICTIONARY_PAGE).peekable();
    of_data_pages.peek().is_some() && of_data_pages.all(|page| ids.contains(&page.encoding))
}

fn is_handled(encoding: Encoding, values: ValueForm) -> bool {
    match encoding {
        Encoding::PLAIN | Encoding::RLE | Encoding::PLAIN_DICTIONARY | Encoding::RLE_DICTIONARY => true,
        // As an encoding of levels; values are never kept so.
        #[allow(deprecated)]
        Encoding::BIT_PACKED => values != ValueForm::Bits,
        _ => false,
    }
}

fn dictionary(page: &Page, form: LeafForm) -> Result<Entries, Damaged> {
    Entries::new(page.buffer().clone(), page.num_values() as usize, form.values)
}

fn data_page(page: &Page, form: LeafForm, dictionary: Option<&Entries>) -> Result<LeafPage, Damaged> {
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
        false => defs.iter().filter(|def| **def == form.max_def).count(),
    };
    let values = values_of(values, encoding, count, form.values, dictionary)?;
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
    let mut levels = Vec::with_capacity(count);
    hybrid::decode(bytes, width, count, &mut levels)?;
    checked(levels, greatest)
}

fn checked(levels: Vec<u8>, greatest: u8) -> Result<Vec<u8>, Damaged> {
    if levels.iter().fold(0, |most, level| most.max(*level)) > greatest { Err(Damaged) } else { Ok(levels) }
}

fn values_of(
    bytes: Bytes,
    encoding: Encoding,
    count: usize,
    form: ValueForm,
    dictionary: Option<&Entries>,
) -> Result<Values, Damaged> {
    match (encoding, form) {
        (Encoding::PLAIN_DICTIONARY | Encoding::RLE_DICTIONARY, _) => {
            let entries = dictionary.map_or(0, Entries::len);
            let mut ids: Vec<u32> = Vec::with_capacity(count);
            if count > 0 {
                let (width, ids_bytes) = bytes.split_first().ok_or(Damaged)?;
                hybrid::decode(ids_bytes, *width, count, &mut ids)?;
                if ids.iter().fold(0, |most, id| most.max(*id)) as usize >= entries {
                    return Err(Damaged);
                }
            }
            Ok(Values::Ids(ids))
        }
        (Encoding::PLAIN, ValueForm::Bits) => {
            let packed = bytes.get(..count.div_ceil(8)).ok_or(Damaged)?;
            Ok(Values::Bits((0..count).map(|i| packed[i / 8] >> (i % 8) & 1).collect()))
        }
        (Encoding::RLE, ValueForm::Bits) => {
            let mut bits = Vec::with_capacity(count);
            hybrid::decode(bytes.get(4..).ok_or(Damaged)?, 1, count, &mut bits)?;
            Ok(Values::Bits(bits))
        }
        (Encoding::PLAIN, ValueForm::Fixed(size)) => {
            let length = count.checked_mul(size).filter(|length| *length <= bytes.len()).ok_or(Damaged)?;
            Ok(Values::Plain(bytes.slice(..length)))
        }
        (Encoding::PLAIN, ValueForm::Texts) => Ok(Values::Plain(bytes)),
        _ => Err(Damaged),
    }
}

impl LeafPage {
    /// Repetition levels, whether they are all 0 or not.
    pub(crate) fn repetitions(&self) -> Cow<'_, [u8]> {
        if self.reps.is_empty() { Cow::Owned(vec![0; self.levels]) } else { Cow::Borrowed(&self.reps) }
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

/// Where the rows of a page start among its levels and values.
#[derive(Debug)]
pub(crate) struct Spans {
    /// The row of the first span; where the page starts with the rest of a row, that one.
    pub(crate) first_row: usize,
    /// Number of rows, that rest among them.
    pub(crate) rows: usize,
    /// Where each row's levels start, and an end; none where a row is a level.
    levels: Vec<u32>,
    /// Where each row's values start, and an end; none where a level is a value.
    values: Vec<u32>,
}

impl Spans {
    /// The rows of a page whose first new row has that number.
    pub(crate) fn of(page: &LeafPage, first_row: usize, form: LeafForm) -> Self {
        let (mut levels, mut values) = (Vec::new(), Vec::new());
        if page.reps.is_empty() {
            if !page.defs.is_empty() {
                let mut before = 0;
                values.reserve(page.levels + 1);
                values.extend(page.defs.iter().map(|def| {
                    before += u32::from(*def == form.max_def);
                    before - u32::from(*def == form.max_def)
                }));
                values.push(before);
            }
            return Self { first_row, rows: page.levels, levels, values };
        }
        let continues = page.reps[0] != 0;
        if page.defs.is_empty() {
            levels.extend((0u32..).zip(&page.reps).filter(|(at, rep)| **rep == 0 || *at == 0).map(|(at, _)| at));
        } else {
            let mut before = 0;
            for (at, (rep, def)) in (0u32..).zip(page.reps.iter().zip(&page.defs)) {
                if *rep == 0 || at == 0 {
                    levels.push(at);
                    values.push(before);
                }
                before += u32::from(*def == form.max_def);
            }
            values.push(before);
        }
        let rows = levels.len();
        levels.push(page.levels as u32);
        Self { first_row: first_row - usize::from(continues), rows, levels, values }
    }

    /// Where the levels of the row at that position of the page start; the end of all behind the last one.
    pub(crate) fn level(&self, row: usize) -> usize {
        if self.levels.is_empty() { row } else { self.levels[row] as usize }
    }

    /// Where its values start.
    pub(crate) fn value(&self, row: usize) -> usize {
        if self.values.is_empty() { self.level(row) } else { self.values[row] as usize }
    }

    /// The rows of a sorted list that lie here, as runs of positions in the page.
    pub(crate) fn runs<'r>(&self, rows: &'r [u32]) -> impl Iterator<Item = Range<usize>> + use<'r> {
        let (first, end) = (self.first_row, self.first_row + self.rows);
        let from = rows.partition_point(|row| (*row as usize) < first);
        let to = from + rows[from..].partition_point(|row| (*row as usize) < end);
        let here = &rows[from..to];
        here.chunk_by(|a, b| a + 1 == *b).map(move |run| {
            let start = run[0] as usize - first;
            start..start + run.len()
        })
    }
}

/// Parquet's own reader of a chunk.
pub(super) type Pages = SerializedPageReader<ChunkBytes>;
/// What a column is.
pub(super) type Column = ColumnDescPtr;
