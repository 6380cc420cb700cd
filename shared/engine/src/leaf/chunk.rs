//! A column chunk, page by page.

use super::dictionary::Entries;
use super::hybrid::count_of;
use super::pages::{LeafPage, PageView, data_page, dictionary};
use super::records::Records;
use super::spans::{SPARSE, rows_within};
use super::unpack::Unpacker;
use super::{ChunkBytes, Damaged, LeafForm, Run, Spans, ValueForm};
use parquet::basic::{Encoding, PageType};
use parquet::column::page::{Page, PageReader};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::serialized_reader::SerializedPageReader;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

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
    /// The pages that were read, if they are to be kept.
    kept: Option<Vec<KeptPage>>,
    /// Bytes that kept pages take in memory.
    page_bytes: usize,
}

#[derive(Clone)]
struct KeptPage {
    first_row: usize,
    end_row: usize,
    page: Arc<LeafPage>,
}

/// Bytes of pages and dictionary beyond which those of a chunk are not kept.
const KEPT_BYTES: usize = 32 << 20;

enum Source {
    /// Pages as they are stored, and what unpacks them, where that is not done by their reader.
    Pages(Box<SerializedPageReader<ChunkBytes>>, Option<Unpacker>),
    /// Encodings that are not handled here, decoded by Parquet's own reader.
    Records(Box<Records>),
    /// Pages that were kept.
    Kept(std::vec::IntoIter<KeptPage>),
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
        let unpacker = if handled { Unpacker::of(chunk)? } else { None };
        let (unpacker, stored) = unpacker.unzip();
        let stored = stored.as_ref().unwrap_or(chunk);
        let pages = || SerializedPageReader::new(Arc::new(bytes), stored, rows, locations);
        let pages = catch_unwind(AssertUnwindSafe(pages)).map_err(|_| Damaged)??;
        let source = match handled {
            true => Source::Pages(Box::new(pages), unpacker),
            false => Source::Records(Box::new(Records::new(chunk.column_descr_ptr(), pages))),
        };
        Ok(Self {
            source,
            form,
            is_all_ids: is_all_ids(chunk),
            dictionary: None,
            next_row: 0,
            rows,
            levels_left,
            kept: None,
            page_bytes: 0,
        })
    }

    /// Whether the footer says that every value is an entry of the dictionary.
    pub(crate) fn is_all_ids(&self) -> bool {
        self.is_all_ids
    }

    /// The form of the column.
    pub(crate) fn form(&self) -> LeafForm {
        self.form
    }

    /// The next data page and the rows that start on it; pages whose rows are known not to be wanted are passed over. A page
    /// may start with the rest of the row before.
    pub(crate) fn next(
        &mut self,
        wanted: impl Fn(Range<usize>) -> bool,
    ) -> Result<Option<(Range<usize>, Arc<LeafPage>)>, Damaged> {
        self.next_asked(|page| if wanted(page) { usize::MAX } else { 0 })
    }

    /// The same with where its rows are, where it is known how many of some rows are asked for: where they are few, its ids are
    /// not all unpacked, and its rows not all listed.
    pub(crate) fn next_for(
        &mut self,
        asked: impl Fn(Range<usize>) -> usize,
    ) -> Result<Option<(Spans, Arc<LeafPage>)>, Damaged> {
        let next = self.next_asked(&asked)?;
        Ok(next.map(|(begun, page)| (Spans::of(&page, begun, self.form, asked), page)))
    }

    fn next_asked(
        &mut self,
        asked: impl Fn(Range<usize>) -> usize,
    ) -> Result<Option<(Range<usize>, Arc<LeafPage>)>, Damaged> {
        if let Source::Kept(pages) = &mut self.source {
            // The rest of a row goes with the row.
            let mut here =
                pages.filter(|page| asked(page.first_row.saturating_sub(page.continues())..page.end_row) > 0);
            return Ok(here.next().map(|page| (page.first_row..page.end_row, page.page)));
        }
        // Parquet's reader may panic over damaged bytes; a chunk is not used again after an error.
        let next = catch_unwind(AssertUnwindSafe(|| self.next_page(asked))).map_err(|_| Damaged)??;
        let Some(page) = next else {
            return if self.next_row == self.rows { Ok(None) } else { Err(Damaged) };
        };
        self.levels_left = self.levels_left.checked_sub(page.levels).ok_or(Damaged)?;
        let first_row = self.next_row;
        self.next_row += match self.form.max_rep {
            0 => page.levels,
            _ if page.reps.is_empty() => page.levels,
            _ => count_of(&page.reps, 0),
        };
        if self.next_row > self.rows || first_row == 0 && page.reps.first().is_some_and(|rep| *rep != 0) {
            return Err(Damaged);
        }
        let page = Arc::new(page);
        if let Some(kept) = &mut self.kept {
            kept.push(KeptPage { first_row, end_row: self.next_row, page: page.clone() });
            self.page_bytes += page.memory();
            if self.kept_bytes() > KEPT_BYTES {
                self.kept = None;
            }
        }
        Ok(Some((first_row..self.next_row, page)))
    }

    /// From now on keeps the pages that are read.
    pub(crate) fn keep_pages(&mut self) {
        self.kept = Some(Vec::new());
    }

    /// The chunk anew, of the pages that were kept; `None` where none were, or they were too large.
    pub(crate) fn rewound(self) -> Option<Self> {
        let kept = self.kept.filter(|kept| !kept.is_empty())?;
        Some(Self { source: Source::Kept(kept.into_iter()), kept: None, ..self })
    }

    /// Whether the pages of all rows were kept.
    pub(crate) fn is_whole(&self) -> bool {
        let Source::Kept(pages) = &self.source else { return false };
        let end = |end, page: &KeptPage| (page.first_row == end).then_some(page.end_row);
        pages.as_slice().iter().try_fold(0, end) == Some(self.rows)
    }

    /// Whether the pages of these rows, which are given in order, were kept.
    pub(crate) fn holds(&self, rows: &[u32]) -> bool {
        let Source::Kept(pages) = &self.source else { return false };
        let here = pages.as_slice().iter().map(|page| rows_within(rows, page.first_row..page.end_row).len());
        self.is_whole() || self.form.max_rep == 0 && here.sum::<usize>() == rows.len()
    }

    /// Bytes that what is kept takes in memory: pages, and the dictionary that they need.
    pub(crate) fn kept_bytes(&self) -> usize {
        match self.kept.is_some() || matches!(self.source, Source::Kept(_)) {
            true => self.page_bytes + self.dictionary.as_ref().map_or(0, Entries::memory),
            false => 0,
        }
    }

    /// Reads on until the last row that was read is whole, if pages are kept.
    pub(crate) fn finish_row(&mut self) -> Result<(), Damaged> {
        while self.kept.is_some()
            && let Some((_, page)) = self.next(|_| false)?
        {
            if page.reps.first().is_none_or(|rep| *rep == 0) {
                break;
            }
        }
        Ok(())
    }

    /// Reads up to the dictionary, which comes first where there is one.
    pub(crate) fn read_dictionary(&mut self) -> Result<Option<&Entries>, Damaged> {
        let read = AssertUnwindSafe(|| -> Result<(), Damaged> {
            if let Source::Pages(pages, unpacker) = &mut self.source
                && pages.peek_next_page()?.is_some_and(|page| page.is_dict)
            {
                let page = next_unpacked(pages, unpacker)?;
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
        mut tell: impl FnMut(usize, &PageView<'_>, Run) -> Result<(), Damaged>,
    ) -> Result<(), Damaged> {
        while let Some((spans, page)) = self.next_for(|here| rows_within(rows, here).len())? {
            let view = PageView::new(&page, self.dictionary.as_ref(), self.form);
            let first = rows.partition_point(|row| (*row as usize) < spans.first_row);
            for (at, row) in (first..).zip(spans.runs(rows).flatten()) {
                tell(at, &view, spans.run(row..row + 1))?;
            }
        }
        Ok(())
    }

    fn next_page(&mut self, asked: impl Fn(Range<usize>) -> usize) -> Result<Option<LeafPage>, Damaged> {
        let (pages, unpacker) = match &mut self.source {
            Source::Pages(pages, unpacker) => (pages, unpacker),
            Source::Records(records) => return records.next(self.form),
            Source::Kept(_) => return Ok(None),
        };
        while let Some(next) = pages.peek_next_page()? {
            let flat = next.num_levels.filter(|_| self.form.max_rep == 0);
            let mut are_few_asked = false;
            if let Some(rows) = next.num_rows.or(flat).filter(|rows| *rows > 0 && !next.is_dict) {
                let asked = asked(self.next_row..self.next_row.saturating_add(rows));
                if asked == 0 {
                    pages.skip_next_page()?;
                    self.next_row = self.next_row.checked_add(rows).ok_or(Damaged)?;
                    continue;
                }
                // What is kept is counted, and is looked at again.
                are_few_asked = asked < rows / SPARSE && self.kept.is_none();
            }
            let Some(page) = next_unpacked(pages, unpacker)? else { break };
            if page.is_dictionary_page() {
                if self.dictionary.is_some() {
                    return Err(Damaged);
                }
                self.dictionary = Some(dictionary(&page, self.form)?);
            } else if page.num_values() as usize > self.levels_left {
                return Err(Damaged);
            } else if page.num_values() > 0 {
                return data_page(&page, self.form, self.dictionary.as_ref(), are_few_asked).map(Some);
            }
        }
        Ok(None)
    }
}

fn next_unpacked(
    pages: &mut SerializedPageReader<ChunkBytes>,
    unpacker: &Option<Unpacker>,
) -> Result<Option<Page>, Damaged> {
    let Some(page) = pages.get_next_page()? else { return Ok(None) };
    match unpacker {
        Some(unpacker) => unpacker.unpack(page).map(Some),
        None => Ok(Some(page)),
    }
}

impl KeptPage {
    /// How many rows that were begun on another page it goes on with.
    fn continues(&self) -> usize {
        usize::from(self.page.reps.first().is_some_and(|rep| *rep != 0))
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use bytes::Bytes;
    use parquet::column::page::{CompressedPage, PageWriter};
    use parquet::file::metadata::PageEncodingStats;
    use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
    use parquet::schema::parser::parse_message_type;
    use parquet::schema::types::SchemaDescriptor;
    use std::sync::Arc;

    #[test]
    fn values_are_all_ids_where_statistics_of_encodings_tell_so() {
        let schema = SchemaDescriptor::new(Arc::new(parse_message_type("message m { optional binary a; }").unwrap()));
        let chunk = |stats: &[(PageType, Encoding)]| {
            let stats = stats.iter().map(|(page_type, encoding)| PageEncodingStats {
                page_type: *page_type,
                encoding: *encoding,
                count: 1,
            });
            ColumnChunkMetaData::builder(schema.column(0)).set_page_encoding_stats(stats.collect()).build().unwrap()
        };
        let dictionary = (PageType::DICTIONARY_PAGE, Encoding::PLAIN);
        let (ids, plain) = ((PageType::DATA_PAGE, Encoding::RLE_DICTIONARY), (PageType::DATA_PAGE, Encoding::PLAIN));
        assert!(is_all_ids(&chunk(&[dictionary, ids])));
        assert!(!is_all_ids(&chunk(&[dictionary, ids, plain])));
        assert!(!is_all_ids(&chunk(&[dictionary])), "there may be pages that nothing tells of");
        assert!(!is_all_ids(&ColumnChunkMetaData::builder(schema.column(0)).build().unwrap()));
    }

    #[test]
    fn a_second_dictionary_is_damage() {
        let schema = SchemaDescriptor::new(Arc::new(parse_message_type("message m { required int32 a; }").unwrap()));
        let dictionary = Page::DictionaryPage {
            buf: Bytes::from_static(&[7, 0, 0, 0]),
            num_values: 1,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        let one_id = Page::DataPage {
            buf: Bytes::from_static(&[1, 2, 0]),
            num_values: 1,
            encoding: Encoding::RLE_DICTIONARY,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        for dictionaries in [1, 2] {
            let mut sink = TrackedWrite::new(Vec::new());
            let mut writer = SerializedPageWriter::new(&mut sink);
            for page in vec![dictionary.clone(); dictionaries].into_iter().chain([one_id.clone()]) {
                let length = page.buffer().len();
                writer.write_page(CompressedPage::new(page, length)).unwrap();
            }
            writer.close().unwrap();
            let bytes: Bytes = sink.into_inner().unwrap().into();
            let chunk = ColumnChunkMetaData::builder(schema.column(0))
                .set_encodings(vec![Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY])
                .set_total_compressed_size(bytes.len() as i64)
                .set_total_uncompressed_size(bytes.len() as i64)
                .set_num_values(1)
                .set_dictionary_page_offset(Some(0))
                .build()
                .unwrap();
            let mut chunk = LeafChunk::new(ChunkBytes { start: 0, bytes }, &chunk, 1, None).unwrap();
            assert_eq!(chunk.next(|_| true).is_ok(), dictionaries == 1);
        }
    }
}
