//! Some rows of a row group, put together as they are stored before they are decoded: Parquet's reader pays more for rows
//! that it passes over than for those that it decodes.

use crate::error::EngineError;
use crate::input::InputFile;
use crate::leaf::{
    EncodeError, Entries, HeldLeaf, LeafChunk, LeafEncoder, LeafPage, Raise, Spans, Widening, rows_within,
};
use arrow_array::RecordBatch;
use domain::ports::objects::ReadObjects;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, RowGroups};
use parquet::arrow::{ProjectionMask, parquet_to_arrow_field_levels};
use parquet::column::page::{Page, PageIterator, PageMetadata, PageReader};
use parquet::errors::Result;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::vec;

/// Rows of a row group that are put together: leaf by leaf, as each of them is read, for whatever reason.
#[derive(Default)]
pub(crate) struct Gathering {
    rows: Arc<[u32]>,
    leaves: Vec<usize>,
    chunks: HashMap<usize, Vec<Page>>,
    /// The leaves that are held instead of being decoded.
    to_hold: BTreeSet<usize>,
    held: HashMap<usize, HeldLeaf>,
}

/// One leaf of them in the making.
pub(crate) struct GatheredLeaf {
    leaf: usize,
    rows: Arc<[u32]>,
    made: Made,
}

enum Made {
    /// To be decoded.
    Pages(Box<LeafEncoder>),
    /// To be held.
    Held(HeldLeaf),
}

impl Gathering {
    /// Rows, given by number in order, of which these leaves are wanted.
    pub(crate) fn new(leaves: &[usize], rows: Vec<u32>) -> Self {
        Self { rows: rows.into(), leaves: leaves.to_vec(), ..Self::default() }
    }

    /// The same, and these leaves as they are stored.
    pub(crate) fn holding(self, leaves: &BTreeSet<usize>) -> Self {
        Self { to_hold: leaves.clone(), ..self }
    }

    /// The rows.
    pub(crate) fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// The leaves that are to be decoded.
    pub(crate) fn leaves(&self) -> &[usize] {
        &self.leaves
    }

    /// The leaves that are not read yet.
    pub(crate) fn missing(&self) -> Vec<usize> {
        self.leaves.iter().chain(&self.to_hold).copied().filter(|leaf| !self.is_read(*leaf)).collect()
    }

    /// Reads a leaf; nothing of it where it is not wanted.
    pub(crate) fn read<O: ReadObjects>(
        &mut self,
        input: &InputFile<O>,
        leaf: usize,
        mut chunk: LeafChunk,
    ) -> std::result::Result<(), EngineError> {
        let Some(mut gathered) = self.begin(input, leaf)? else { return Ok(()) };
        while let Some((spans, page)) = chunk.next_for(|here| gathered.rows_within(here)).map_err(|_| input.damage())? {
            gathered.push(&page, &spans, chunk.dictionary.as_ref()).map_err(|e| input.encoding(e))?;
        }
        self.end(gathered)
    }

    /// Begins with a leaf that is about to be read; `None` where that is not wanted.
    pub(crate) fn begin<O: ReadObjects>(
        &self,
        input: &InputFile<O>,
        leaf: usize,
    ) -> std::result::Result<Option<GatheredLeaf>, EngineError> {
        let (column, is_held) = (input.schema().column(leaf), self.to_hold.contains(&leaf));
        if self.rows.is_empty() || self.is_read(leaf) || !is_held && !self.leaves.contains(&leaf) {
            return Ok(None);
        }
        let made = match is_held {
            true => Made::Held(HeldLeaf::new(&column).ok_or_else(|| input.damage())?),
            false => Made::Pages(Box::new(LeafEncoder::unpacked(column).map_err(EngineError::Encode)?)),
        };
        Ok(Some(GatheredLeaf { leaf, rows: self.rows.clone(), made }))
    }

    /// Ends with a leaf, all of which was read.
    pub(crate) fn end(&mut self, leaf: GatheredLeaf) -> std::result::Result<(), EngineError> {
        match leaf.made {
            Made::Held(held) => drop(self.held.insert(leaf.leaf, held)),
            Made::Pages(encoder) => {
                self.chunks.insert(leaf.leaf, encoder.into_pages().map_err(EngineError::Encode)?);
            }
        }
        Ok(())
    }

    fn is_read(&self, leaf: usize) -> bool {
        self.chunks.contains_key(&leaf) || self.held.contains_key(&leaf)
    }

    /// Reads what is missing of these leaves.
    pub(crate) async fn read_missing<O: ReadObjects>(
        &mut self,
        input: &InputFile<O>,
        group: usize,
        leaves: impl Fn(&usize) -> bool,
    ) -> std::result::Result<(), EngineError> {
        let missing: Vec<usize> = self.missing().into_iter().filter(leaves).collect();
        let mut left = missing.as_slice();
        while !left.is_empty() {
            let here;
            (here, left) = left.split_at(input.fetched_at_a_time(group, left.iter().copied()));
            for (leaf, chunk) in here.iter().zip(input.chunks(group, here).await?) {
                self.read(input, *leaf, chunk)?;
            }
        }
        Ok(())
    }

    /// Reads what is missing of the leaves that are held, and takes them all.
    pub(crate) async fn hold<O: ReadObjects>(
        &mut self,
        input: &InputFile<O>,
        group: usize,
    ) -> std::result::Result<HashMap<usize, HeldLeaf>, EngineError> {
        // What is decoded may be read as a stream instead.
        let all_are_gathered = input.is_gathered(group, self);
        let to_hold = self.to_hold.clone();
        self.read_missing(input, group, |leaf| all_are_gathered || to_hold.contains(leaf)).await?;
        self.to_hold.clear();
        Ok(std::mem::take(&mut self.held))
    }

    /// Reads what is missing, and decodes the rows, so many at a time. As they are stored they are in memory all at once.
    pub(crate) async fn decode<O: ReadObjects>(
        mut self,
        input: &InputFile<O>,
        group: usize,
        at_a_time: usize,
    ) -> std::result::Result<
        impl Iterator<Item = std::result::Result<RecordBatch, EngineError>> + Send + use<'_, O>,
        EngineError,
    > {
        self.read_missing(input, group, |_| true).await?;
        let mask = ProjectionMask::leaves(input.schema(), self.leaves.iter().copied());
        let levels = parquet_to_arrow_field_levels(input.schema(), mask, Some(input.fields()));
        let gathered = Gathered { rows: self.rows.len(), metadata: input.metadata().clone(), chunks: self.chunks };
        let reader = levels
            .and_then(|levels| ParquetRecordBatchReader::try_new_with_row_groups(&levels, &gathered, at_a_time, None));
        let mut reader = reader.map_err(|e| input.damaged(e))?;
        // The decoder may panic over values that no page of ours should hold; it is dropped then.
        let mut next = move || catch_unwind(AssertUnwindSafe(|| reader.next()));
        let mut is_broken = false;
        Ok(std::iter::from_fn(move || match is_broken {
            true => None,
            false => next().unwrap_or_else(|_| {
                is_broken = true;
                Some(Err(arrow_schema::ArrowError::ParquetError("the decoder gave up".into())))
            }),
        })
        .map(|batch| batch.map_err(|_| input.damage())))
    }
}

impl GatheredLeaf {
    /// How many of the rows are among those of a page.
    pub(crate) fn rows_within(&self, page: Range<usize>) -> usize {
        rows_within(&self.rows, page).len()
    }

    /// Takes the rows off a page.
    pub(crate) fn push(
        &mut self,
        page: &LeafPage,
        spans: &Spans,
        entries: Option<&Entries>,
    ) -> std::result::Result<(), EncodeError> {
        match &mut self.made {
            Made::Pages(encoder) => encoder.push(page, spans, &self.rows, entries, (&Raise::default(), Widening::None)),
            Made::Held(held) => Ok(held.push(page, spans, &self.rows, entries)?),
        }
    }
}

/// Leaf columns of rows, in memory.
struct Gathered {
    rows: usize,
    metadata: Arc<ParquetMetaData>,
    chunks: HashMap<usize, Vec<Page>>,
}

impl RowGroups for Gathered {
    fn num_rows(&self) -> usize {
        self.rows
    }

    fn column_chunks(&self, leaf: usize) -> Result<Box<dyn PageIterator>> {
        let pages = self.chunks.get(&leaf).cloned().unwrap_or_default();
        Ok(Box::new(Chunk(Some(Pages(pages.into_iter())))))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(self.metadata.row_groups().iter())
    }

    fn metadata(&self) -> &ParquetMetaData {
        &self.metadata
    }
}

/// The one chunk of a leaf column.
struct Chunk(Option<Pages>);

impl Iterator for Chunk {
    type Item = Result<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take().map(|pages| Ok(Box::new(pages) as Box<dyn PageReader>))
    }
}

impl PageIterator for Chunk {}

/// Its pages; each starts with a row.
struct Pages(vec::IntoIter<Page>);

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(Ok)
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        Ok(self.0.next())
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        Ok(self.0.as_slice().first().map(|page| PageMetadata {
            num_rows: None,
            num_levels: (!page.is_dictionary_page()).then(|| page.num_values() as usize),
            is_dict: page.is_dictionary_page(),
        }))
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.0.next();
        Ok(())
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        Ok(true)
    }
}
