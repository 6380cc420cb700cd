//! One data file, opened: its columns, its row groups, and streams of the rows in them.

use crate::error::EngineError;
use crate::gathered::Gathering;
use crate::int96::in_micros;
use crate::leaf::{ChunkBytes, EncodeError, LeafChunk, LeafForm};
use crate::part::Settings;
use crate::ranges::ObjectRanges;
use crate::tree::{FileColumn, carries_ids, file_columns, named_columns};
use arrow_array::RecordBatch;
use arrow_schema::Fields;
use domain::name_mapping::{NO_MAPPING, NameMapping};
use domain::plan::DataFile;
use domain::ports::objects::{Location, ObjectError, ReadObjects};
use futures::future::Either;
use futures::{FutureExt, Stream, StreamExt, stream};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, RowSelection};
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::page_index::offset_index::OffsetIndexMetaData;
use parquet::schema::types::SchemaDescriptor;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

/// Stored bytes of leaf columns that are fetched at a time.
const FETCHED_BYTES: u64 = 32 << 20;
const DAMAGED: &str = "its data is damaged";

/// An open data file, or the range of it that a part reads.
pub(crate) struct InputFile<O> {
    /// Where it is, for messages.
    pub(crate) location: String,
    /// Its top-level columns.
    pub(crate) columns: Vec<FileColumn>,
    /// The row groups to read, by number in the file.
    pub(crate) groups: Vec<usize>,
    pub(crate) ranges: ObjectRanges<O>,
    metadata: ArrowReaderMetadata,
    batch_bytes: u64,
}

impl<O: ReadObjects> InputFile<O> {
    /// Reads a file's footer. `names` tells the columns of a file that carries no field ids.
    pub(crate) async fn open(objects: &O, file: &DataFile, names: Option<&NameMapping>) -> Result<Self, EngineError> {
        match Self::open_as_told(objects, file, names).await {
            Err(error) => Err(explained(objects, file, error).await),
            opened => opened,
        }
    }

    async fn open_as_told(objects: &O, file: &DataFile, names: Option<&NameMapping>) -> Result<Self, EngineError> {
        let at = Location::parse(&file.location)
            .ok_or_else(|| EngineError::input(&file.location, "its location is no s3 URL"))?;
        let mut ranges = ObjectRanges { objects: Arc::new(objects.clone()), at, bytes: file.bytes };
        // The Arrow schema that some writers embed is of no use: it may hold types that differ from file to file.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let no_file = "it is no whole Parquet file";
        let metadata = AssertUnwindSafe(ArrowReaderMetadata::load_async(&mut ranges, options.clone()))
            .catch_unwind()
            .await
            .map_err(|_| EngineError::input(&file.location, no_file))?
            .map_err(|e| EngineError::reading(&file.location, no_file, e))?;
        let metadata = match in_micros(metadata.schema(), metadata.parquet_schema()) {
            Some(schema) => {
                let options = options.with_schema(Arc::new(schema));
                ArrowReaderMetadata::try_new(metadata.metadata().clone(), options)
                    .map_err(|e| EngineError::reading(&file.location, no_file, e))?
            }
            None => metadata,
        };
        let mut groups = Vec::new();
        for (number, group) in metadata.metadata().row_groups().iter().enumerate() {
            let start = checked_start(group, file.bytes).ok_or_else(|| {
                EngineError::input(&file.location, "its footer names bytes or rows that it does not have")
            })?;
            if let Some(codec) = group.columns().iter().map(ColumnChunkMetaData::compression).find(is_unread) {
                return Err(packed_otherwise(&file.location, codec));
            }
            if file.range.is_none_or(|(first, end)| (first..end).contains(&start)) {
                groups.push(number);
            }
        }
        let columns = match (carries_ids(metadata.schema()), names) {
            (true, _) => file_columns(metadata.schema()),
            (false, Some(names)) => {
                named_columns(metadata.schema(), names).map_err(|what| EngineError::input(&file.location, what))?
            }
            (false, None) => return Err(unnamed(&file.location)),
        };
        let batch_bytes = Settings::default().batch_bytes;
        Ok(Self { location: file.location.clone(), columns, groups, ranges, metadata, batch_bytes })
    }

    /// The same, with so many bytes of rows decoded at a time.
    pub(crate) fn with_batch_bytes(self, batch_bytes: u64) -> Self {
        Self { batch_bytes, ..self }
    }

    /// Rows of a row group.
    pub(crate) fn rows(&self, group: usize) -> u64 {
        self.metadata.metadata().row_group(group).num_rows() as u64
    }

    /// Rows of all row groups that are read.
    pub(crate) fn all_rows(&self) -> u64 {
        self.groups.iter().map(|&group| self.rows(group)).fold(0, u64::saturating_add)
    }

    /// The position in the file of a row group's first row.
    pub(crate) fn first_row(&self, group: usize) -> u64 {
        self.metadata.metadata().row_groups().iter().take(group).map(|g| g.num_rows() as u64).sum()
    }

    /// Bytes of a row in memory, of these leaves, roughly: encoded values may be far smaller than decoded ones, which take
    /// some 8 bytes even where they are null.
    pub(crate) fn row_bytes(&self, leaves: &[usize]) -> u64 {
        let groups = self.metadata.metadata().row_groups();
        let rows: u64 = groups.iter().map(|g| g.num_rows() as u64).sum();
        let bytes = groups.iter().map(|group| group_bytes(group, leaves)).fold(0, u64::saturating_add);
        bytes.checked_div(rows).unwrap_or(0)
    }

    /// How many rows of a row group are decoded at a time: no more than that, nor than fit the bytes for it.
    fn rows_at_a_time(&self, group: usize, leaves: &[usize], row_batch: usize) -> usize {
        let bytes = group_bytes(self.metadata.metadata().row_group(group), leaves);
        let fits = u128::from(self.batch_bytes) * u128::from(self.rows(group)) / u128::from(bytes.max(1));
        row_batch.min(usize::try_from(fits).unwrap_or(usize::MAX)).max(1)
    }

    /// The selected rows of a row group, all where nothing is selected, with only these leaf columns. `row_batch` rows at a
    /// time, or fewer where they are large.
    pub(crate) fn stream(
        &self,
        group: usize,
        leaves: &[usize],
        selection: Option<RowSelection>,
        row_batch: usize,
    ) -> Result<impl Stream<Item = Result<RecordBatch, EngineError>> + Unpin + Send + use<'_, O>, EngineError> {
        let mask = ProjectionMask::leaves(self.metadata.parquet_schema(), leaves.iter().copied());
        let mut builder =
            ParquetRecordBatchStreamBuilder::new_with_metadata(self.ranges.clone(), self.metadata.clone())
                .with_row_groups(vec![group])
                .with_projection(mask)
                .with_batch_size(self.rows_at_a_time(group, leaves, row_batch));
        if let Some(selection) = selection {
            builder = builder.with_row_selection(selection);
        }
        // The decoder may panic over damaged pages; whatever it held is dropped then, so that no broken state is seen.
        let stream = builder.build().map_err(|e| self.damaged(e))?;
        Ok(AssertUnwindSafe(stream).catch_unwind().map(|batch| match batch {
            Ok(batch) => batch.map_err(|e| self.damaged(e)),
            Err(_) => Err(self.error(DAMAGED)),
        }))
    }

    /// Rows of a row group with only the leaf columns that are wanted of them; as [`InputFile::stream`] has them.
    pub(crate) async fn read_rows(
        &self,
        group: usize,
        wanted: Gathering,
        row_batch: usize,
    ) -> Result<impl Stream<Item = Result<RecordBatch, EngineError>> + Unpin + Send + use<'_, O>, EngineError> {
        let (rows, leaves) = (wanted.rows(), wanted.leaves());
        if self.is_gathered(group, &wanted) {
            let at_a_time = self.rows_at_a_time(group, leaves, row_batch);
            return Ok(Either::Left(stream::iter(wanted.decode(self, group, at_a_time).await?)));
        }
        let all = self.rows(group) as usize;
        let runs = rows.chunk_by(|a, b| a + 1 == *b).map(|run| run[0] as usize..run[0] as usize + run.len());
        let selection = (rows.len() < all).then(|| RowSelection::from_consecutive_ranges(runs, all));
        self.stream(group, leaves, selection, row_batch).map(Either::Right)
    }

    /// Whether rows of a row group are put together before they are decoded: some of them, of leaves that are handled.
    pub(crate) fn is_gathered(&self, group: usize, wanted: &Gathering) -> bool {
        let is_handled = |leaf: &usize| LeafForm::of(&self.schema().column(*leaf)).is_some();
        (wanted.rows().len() as u64) < self.rows(group) && wanted.leaves().iter().all(is_handled)
    }

    /// How many of some leaf columns of a row group are fetched at a time.
    pub(crate) fn fetched_at_a_time(&self, group: usize, leaves: impl Iterator<Item = usize>) -> usize {
        let mut bytes = 0;
        let fits = |leaf: &usize| {
            bytes += self.chunk(group, *leaf).byte_range().1;
            bytes <= FETCHED_BYTES
        };
        leaves.take_while(fits).count().max(1)
    }

    /// What the footer says.
    pub(crate) fn metadata(&self) -> &Arc<ParquetMetaData> {
        self.metadata.metadata()
    }

    /// The columns as Arrow has them.
    pub(crate) fn fields(&self) -> &Fields {
        self.metadata.schema().fields()
    }

    /// The file's Parquet schema.
    pub(crate) fn schema(&self) -> &SchemaDescriptor {
        self.metadata.parquet_schema()
    }

    /// What the footer says of a leaf column of a row group.
    pub(crate) fn chunk(&self, group: usize, leaf: usize) -> &ColumnChunkMetaData {
        self.metadata.metadata().row_group(group).column(leaf)
    }

    /// Where the pages of a leaf column of a row group start, where the file has an index that tells it.
    pub(crate) fn offsets(&self, group: usize, leaf: usize) -> Option<&OffsetIndexMetaData> {
        self.metadata.metadata().offset_index()?.get(group)?.get(leaf).filter(|index| !index.page_locations.is_empty())
    }

    /// The stored bytes of leaf columns of a row group.
    pub(crate) async fn chunk_bytes(&self, group: usize, leaves: &[usize]) -> Result<Vec<ChunkBytes>, EngineError> {
        let range = |leaf: &usize| {
            let (start, length) = self.chunk(group, *leaf).byte_range();
            start..start + length
        };
        let ranges: Vec<_> = leaves.iter().map(range).collect();
        let bytes = self.ranges.clone().get_byte_ranges(ranges.clone()).await.map_err(|e| self.damaged(e))?;
        Ok(ranges.iter().zip(bytes).map(|(range, bytes)| ChunkBytes { start: range.start, bytes }).collect())
    }

    /// Leaf columns of a row group, page by page.
    pub(crate) async fn chunks(&self, group: usize, leaves: &[usize]) -> Result<Vec<LeafChunk>, EngineError> {
        let bytes = self.chunk_bytes(group, leaves).await?;
        let chunks = leaves.iter().zip(bytes).map(|(leaf, bytes)| self.open_chunk(group, *leaf, bytes));
        chunks.collect()
    }

    /// A leaf column of a row group, of these bytes.
    pub(crate) fn open_chunk(&self, group: usize, leaf: usize, bytes: ChunkBytes) -> Result<LeafChunk, EngineError> {
        let locations = self.offsets(group, leaf).map(|index| index.page_locations.clone());
        let rows = self.rows(group) as usize;
        LeafChunk::new(bytes, self.chunk(group, leaf), rows, locations).map_err(|_| self.damage())
    }

    /// The error for bytes that are not what they should be.
    pub(crate) fn damage(&self) -> EngineError {
        self.error(DAMAGED)
    }

    /// The error for stored values that could not be moved.
    pub(crate) fn encoding(&self, error: EncodeError) -> EngineError {
        match error {
            EncodeError::Damaged(_) => self.damage(),
            EncodeError::Parquet(error) => EngineError::Encode(error),
        }
    }

    /// An error in words of this file.
    pub(crate) fn error(&self, meaning: impl Into<String>) -> EngineError {
        EngineError::input(&self.location, meaning)
    }

    /// The error for values that do not fit the table's schema. Arrow's own words are left out: they may quote a value.
    pub(crate) fn unfit(&self) -> EngineError {
        self.error("its values do not fit the table's schema")
    }

    /// The error for a row group that ends early.
    pub(crate) fn lacks_rows(&self) -> EngineError {
        self.error("a row group lacks rows that its footer counts")
    }

    /// The same, with what Parquet's reader says of it, for the log.
    pub(crate) fn damaged(&self, error: ParquetError) -> EngineError {
        EngineError::reading(&self.location, DAMAGED, error)
    }
}

/// Why a file cannot be opened: its size, where that is not what the table's metadata says, since then its footer was looked
/// for in the wrong place.
async fn explained<O: ReadObjects>(objects: &O, file: &DataFile, error: EngineError) -> EngineError {
    let of_size = matches!(error, EngineError::Input { .. } | EngineError::Objects(ObjectError::Unavailable(_)));
    let Some(at) = Location::parse(&file.location).filter(|_| of_size) else { return error };
    match objects.size(&at).await {
        Ok(bytes) if bytes != file.bytes => {
            let meaning = format!("it has {bytes} bytes, and {} by the table's metadata", file.bytes);
            EngineError::input(&file.location, meaning)
        }
        _ => error,
    }
}

/// Bytes of a row group's leaves once they are decoded, roughly.
fn group_bytes(group: &RowGroupMetaData, leaves: &[usize]) -> u64 {
    let leaf = |leaf: &usize| {
        let chunk = group.columns().get(*leaf)?;
        let texts = chunk.unencoded_byte_array_data_bytes().unwrap_or(0);
        let decoded = chunk.num_values().saturating_mul(8).saturating_add(texts);
        u64::try_from(chunk.uncompressed_size().max(decoded)).ok()
    };
    leaves.iter().filter_map(leaf).fold(0, u64::saturating_add)
}

/// Whether nothing here unpacks such pages.
fn is_unread(codec: &Compression) -> bool {
    matches!(codec, Compression::BROTLI(_) | Compression::LZO)
}

/// The refusal of a file whose pages nothing here unpacks.
fn packed_otherwise(location: &str, codec: Compression) -> EngineError {
    let codec = codec.to_string();
    let codec = codec.split('(').next().unwrap_or_default();
    let meaning = format!("its pages are packed with {codec}; rewrite it with ZSTD, Snappy, GZIP or LZ4");
    EngineError::input(location, meaning)
}

/// The refusal of a file whose columns nothing tells. It names the file, as the repair begins there.
fn unnamed(location: &str) -> EngineError {
    EngineError::input(location, NO_MAPPING)
}

/// Where a row group starts, if all of it lies within the file and no column has fewer levels than there are rows; what
/// decodes it takes that for granted.
fn checked_start(group: &RowGroupMetaData, file_bytes: u64) -> Option<u64> {
    u64::try_from(group.num_rows()).ok()?;
    for chunk in group.columns() {
        if chunk.num_values() < group.num_rows() {
            return None;
        }
        let length = u64::try_from(chunk.compressed_size()).ok()?;
        if chunk_start(chunk)?.checked_add(length)? > file_bytes {
            return None;
        }
    }
    group.columns().first().map_or(Some(0), chunk_start)
}

/// Where a column chunk starts: at its dictionary page, where it has one, else at its first data page.
fn chunk_start(chunk: &ColumnChunkMetaData) -> Option<u64> {
    let data = u64::try_from(chunk.data_page_offset()).ok()?;
    match chunk.dictionary_page_offset() {
        Some(dictionary) => Some(u64::try_from(dictionary).ok()?.min(data)),
        None => Some(data),
    }
}

/// Where a row group of a file that we wrote starts.
pub(crate) fn group_start(group: &RowGroupMetaData) -> u64 {
    group.columns().first().and_then(chunk_start).unwrap_or(0)
}
