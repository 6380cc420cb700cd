//! Some rows of a row group, put together as they are stored before they are decoded: Parquet's reader pays more for rows
//! that it passes over than for those that it decodes.

use crate::error::EngineError;
use crate::input::InputFile;
use crate::leaf::{LeafChunk, LeafEncoder, Raise, Spans, Widening, lie_within};
use arrow_array::RecordBatch;
use domain::ports::objects::ReadObjects;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, RowGroups};
use parquet::arrow::{ProjectionMask, parquet_to_arrow_field_levels};
use parquet::column::page::{Page, PageIterator, PageMetadata, PageReader};
use parquet::errors::Result;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::vec;

/// Reads rows of a row group, given by number in order, with only these leaf columns. As they are stored they are in memory
/// all at once; they are decoded so many at a time.
pub(crate) async fn gather<'i, O: ReadObjects>(
    input: &'i InputFile<O>,
    group: usize,
    leaves: &[usize],
    rows: &[u32],
    at_a_time: usize,
) -> std::result::Result<
    impl Iterator<Item = std::result::Result<RecordBatch, EngineError>> + Send + use<'i, O>,
    EngineError,
> {
    let mut gathered = Gathered { rows: rows.len(), metadata: input.metadata(), chunks: HashMap::new() };
    let mut left = leaves;
    while !left.is_empty() {
        let here;
        (here, left) = left.split_at(input.fetched_at_a_time(group, left.iter().copied()));
        for (leaf, chunk) in here.iter().zip(input.chunks(group, here).await?) {
            gathered.chunks.insert(*leaf, pages_of(input, *leaf, chunk, rows)?);
        }
    }
    let mask = ProjectionMask::leaves(input.schema(), leaves.iter().copied());
    let levels = parquet_to_arrow_field_levels(input.schema(), mask, Some(input.fields()));
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

/// The rows' pages.
fn pages_of<O: ReadObjects>(
    input: &InputFile<O>,
    leaf: usize,
    mut chunk: LeafChunk,
    rows: &[u32],
) -> std::result::Result<Vec<Page>, EngineError> {
    let as_they_are = (&Raise::default(), Widening::None);
    let mut encoder = LeafEncoder::unpacked(input.schema().column(leaf)).map_err(EngineError::Encode)?;
    while let Some((first_row, page)) = chunk.next(|page| lie_within(rows, page)).map_err(|_| input.damage())? {
        let spans = Spans::of(&page, first_row, chunk.form());
        encoder.push(&page, &spans, rows, chunk.dictionary.as_ref(), as_they_are).map_err(|e| input.encoding(e))?;
    }
    encoder.into_pages().map_err(EngineError::Encode)
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
