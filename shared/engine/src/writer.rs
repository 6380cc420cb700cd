//! The files of a part: Parquet, row group by row group, uploaded while the next one is encoded.

use crate::bounds::Bounds;
use crate::error::EngineError;
use crate::input::group_start;
use crate::layout::Layout;
use crate::leaf::{EncodedChunk, LeafEncoder};
use crate::part::{PartTask, Settings};
use crate::pieces::Pieces;
use arrow_array::ArrayRef;
use arrow_schema::Field;
use domain::id::BatchId;
use domain::plan::OutputFile;
use domain::ports::objects::{Location, ObjectError, UploadObject, WriteObjects};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, ArrowWriterOptions, compute_leaves};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::SchemaDescriptor;

/// Rows at which a row group is closed, however few bytes they take.
const GROUP_ROWS: u64 = 1 << 20;
/// Bytes of a file under way that an upload may still hold in memory.
const UNSENT_BYTES: u64 = 24 << 20;

/// Writes the rows of one batch into as many files as their size asks for.
pub(crate) struct BatchWriter<'a, O: WriteObjects, F> {
    objects: &'a O,
    file_at: &'a F,
    batch_id: &'a BatchId,
    settings: Settings,
    layout: &'a Layout,
    open: Option<OpenFile<O::Upload>>,
    /// The files that are complete.
    files: Vec<OutputFile>,
    /// Where files are, or may be after an answer was lost.
    written: Vec<Location>,
}

struct OpenFile<U> {
    at: Location,
    upload: U,
    file: SerializedFileWriter<Pieces>,
    factory: ArrowRowGroupWriterFactory,
    group: Option<OpenGroup>,
    groups: usize,
    rows: u64,
    bounds: Bounds,
}

/// A row group in the making: its columns get the same rows, each in its own way and time.
pub(crate) struct OpenGroup {
    /// The export's columns in order.
    pub(crate) sinks: Vec<Sink>,
    rows: u64,
}

/// A column of a row group that has all its rows.
enum Column {
    Arrays(Vec<ArrowColumnWriter>),
    Chunks(Vec<EncodedChunk>),
}

impl Column {
    fn chunks(&self) -> &[EncodedChunk] {
        match self {
            Self::Arrays(_) => &[],
            Self::Chunks(chunks) => chunks,
        }
    }
}

/// How a column of a row group is made.
pub(crate) enum Sink {
    /// From arrays.
    Arrays(Vec<ArrowColumnWriter>),
    /// From leaf columns as they are stored; absent while one is borrowed.
    Leaves(Vec<Option<LeafEncoder>>),
}

impl<'a, O: WriteObjects, F: Fn(&BatchId, usize) -> Location> BatchWriter<'a, O, F> {
    /// A writer that has written nothing. `file_at` names the files by their position.
    pub(crate) fn new(
        objects: &'a O,
        file_at: &'a F,
        batch_id: &'a BatchId,
        task: &PartTask<'a>,
        layout: &'a Layout,
    ) -> Self {
        let (open, files, written) = (None, Vec::new(), Vec::new());
        Self { objects, file_at, batch_id, settings: task.settings, layout, open, files, written }
    }

    /// The open row group, in which the columns are made so: from leaves where `from_leaves` says it.
    pub(crate) async fn group(&mut self, from_leaves: &[bool]) -> Result<&mut OpenGroup, EngineError> {
        let mut file = match self.open.take() {
            Some(file) => file,
            None => self.begin().await?,
        };
        // The file goes back before any error is returned, so that `abandon` finds it.
        let readied = file.ready(from_leaves, zstd_level(&self.settings));
        let file = self.open.insert(file);
        readied.map_err(EngineError::Encode)?;
        file.group.as_mut().ok_or_else(|| EngineError::Encode(ParquetError::General("no row group is open".into())))
    }

    /// Says that the open row group has got so many rows more, in every column but the batch's and, where that is made from
    /// leaves, the events': those have none.
    pub(crate) async fn added(&mut self, rows: usize, bounds: &Bounds) -> Result<(), EngineError> {
        let Some(file) = &mut self.open else { return Ok(()) };
        file.rows += rows as u64;
        file.bounds.include(bounds);
        if let Some(group) = &mut file.group {
            group.rows += rows as u64;
            let batch = self.batch_id.as_str().as_bytes();
            if let Some(Sink::Leaves(leaves)) = group.sinks.get_mut(self.layout.batch_column) {
                let added = leaves.iter_mut().flatten().try_for_each(|leaf| leaf.push_same(batch, rows));
                added.map_err(EngineError::Encode)?;
            }
            let events = self.layout.events_column.and_then(|column| group.sinks.get_mut(column));
            if let Some(Sink::Leaves(leaves)) = events {
                let added = leaves.iter_mut().flatten().try_for_each(|leaf| leaf.push_empty_lists(rows));
                added.map_err(EngineError::Encode)?;
            }
            if group.encoded_bytes() >= self.settings.row_group_bytes || group.rows >= GROUP_ROWS {
                file.close_group().map_err(EngineError::Encode)?;
                file.send().await?;
            }
        }
        let encoded = file.bytes() + file.group.as_ref().map_or(0, |group| group.encoded_bytes() as u64);
        if encoded >= self.settings.file_bytes { self.complete().await } else { Ok(()) }
    }

    /// Adds a row group of column chunks that are finished, all but the batch's, which is made here.
    pub(crate) async fn write_chunks(
        &mut self,
        chunks: Vec<EncodedChunk>,
        rows: usize,
        bounds: &Bounds,
    ) -> Result<(), EngineError> {
        let mut file = match self.open.take() {
            Some(file) => file,
            None => self.begin().await?,
        };
        let batch = (self.layout.batch_column, self.batch_id.as_str().as_bytes());
        let written = file.write_chunks(chunks, rows, batch, zstd_level(&self.settings));
        let file = self.open.insert(file);
        written.map_err(EngineError::Encode)?;
        file.rows += rows as u64;
        file.bounds.include(bounds);
        file.send().await?;
        if file.bytes() >= self.settings.file_bytes { self.complete().await } else { Ok(()) }
    }

    /// Bytes that the open file may hold in memory, roughly.
    pub(crate) fn memory(&self) -> u64 {
        let held = |file: &OpenFile<_>| {
            file.group.as_ref().map_or(0, OpenGroup::memory) as u64 + file.bytes().min(UNSENT_BYTES)
        };
        self.open.as_ref().map_or(0, held)
    }

    /// Completes the last file and tells all of them, in order of writing.
    pub(crate) async fn finish(&mut self) -> Result<Vec<OutputFile>, EngineError> {
        self.complete().await?;
        Ok(std::mem::take(&mut self.files))
    }

    /// Gives up: aborts the upload under way and deletes what is complete, as far as the store allows.
    pub(crate) async fn abandon(self) {
        let aborted = match self.open {
            Some(file) => file.upload.abort().await,
            None => Ok(()),
        };
        if let Err(error) = aborted {
            tracing::warn!(%error, "an upload was not aborted");
        }
        for at in &self.written {
            if let Err(error) = self.objects.delete(at).await {
                tracing::warn!(%error, "a file of an abandoned part was not deleted");
            }
        }
    }

    async fn begin(&mut self) -> Result<OpenFile<O::Upload>, EngineError> {
        let options =
            ArrowWriterOptions::new().with_skip_arrow_metadata(true).with_properties(properties(&self.settings));
        let file = ArrowWriter::try_new_with_options(Pieces::default(), self.layout.schema.clone(), options);
        let (file, factory) = file.and_then(ArrowWriter::into_serialized_writer).map_err(EngineError::Encode)?;
        let at = (self.file_at)(self.batch_id, self.files.len());
        let upload = self.objects.begin(&at).await?;
        Ok(OpenFile { at, upload, file, factory, group: None, groups: 0, rows: 0, bounds: Bounds::default() })
    }

    /// Completes the open file, if there is one; what is written then goes to another.
    pub(crate) async fn complete(&mut self) -> Result<(), EngineError> {
        let Some(file) = &mut self.open else { return Ok(()) };
        file.close_group().map_err(EngineError::Encode)?;
        let footer = file.file.finish().map_err(EngineError::Encode)?;
        file.send().await?;
        let Some(file) = self.open.take() else { return Ok(()) };
        let output = OutputFile {
            location: file.at.to_string(),
            batch_id: self.batch_id.clone(),
            bytes: file.bytes(),
            rows: file.rows,
            profile_id_bounds: file.bounds.into_inner(),
            split_offsets: footer.row_groups().iter().map(group_start).collect(),
        };
        let completed = file.upload.complete().await;
        if !matches!(completed, Err(ObjectError::Occupied(_))) {
            self.written.push(file.at);
        }
        completed?;
        self.files.push(output);
        Ok(())
    }
}

impl<U: UploadObject> OpenFile<U> {
    /// Hands the bytes that are encoded so far to the upload.
    async fn send(&mut self) -> Result<(), EngineError> {
        self.file.flush().map_err(|e| EngineError::Encode(ParquetError::from(e)))?;
        for piece in self.file.inner_mut().take() {
            self.upload.write(piece).await?;
        }
        Ok(())
    }
}

impl<U> OpenFile<U> {
    fn bytes(&self) -> u64 {
        self.file.bytes_written() as u64
    }

    /// Opens a row group whose columns are made so, unless the open one is such.
    fn ready(&mut self, from_leaves: &[bool], level: ZstdLevel) -> ParquetResult<()> {
        if self.group.as_ref().is_some_and(|group| group.is_made(from_leaves)) {
            return Ok(());
        }
        self.close_group()?;
        let schema = self.file.schema_descr();
        // They are made for all columns or none, and each takes memory and time.
        let of_arrays = match from_leaves.contains(&false) {
            true => self.factory.create_column_writers(self.groups)?,
            false => Vec::new(),
        };
        let mut of_arrays = of_arrays.into_iter();
        let mut sinks = Vec::with_capacity(from_leaves.len());
        for (column, leaves) in from_leaves.iter().zip(leaves_of_columns(schema)) {
            let writers: Vec<_> = of_arrays.by_ref().take(leaves.len()).collect();
            sinks.push(match column {
                false => Sink::Arrays(writers),
                true => {
                    let leaves = leaves.map(|leaf| LeafEncoder::new(schema.column(leaf), level).map(Some));
                    Sink::Leaves(leaves.collect::<Result<_, _>>()?)
                }
            });
        }
        self.group = Some(OpenGroup { sinks, rows: 0 });
        Ok(())
    }

    fn close_group(&mut self) -> ParquetResult<()> {
        let Some(group) = self.group.take().filter(|group| group.rows > 0) else { return Ok(()) };
        let lent = || ParquetError::General("a column is still lent".into());
        let columns = group.sinks.into_iter().map(|sink| match sink {
            Sink::Arrays(writers) => Ok(Column::Arrays(writers)),
            Sink::Leaves(leaves) => {
                let chunks = leaves.into_iter().map(|leaf| leaf.ok_or_else(lent)?.finish());
                chunks.collect::<ParquetResult<_>>().map(Column::Chunks)
            }
        });
        let columns = columns.collect::<ParquetResult<Vec<_>>>()?;
        if columns.iter().all(|column| matches!(column, Column::Chunks(_))) {
            self.expect(columns.iter().flat_map(Column::chunks))?;
        }
        let mut to = self.file.next_row_group()?;
        for column in columns {
            match column {
                Column::Arrays(writers) => {
                    writers.into_iter().try_for_each(|writer| writer.close()?.append_to_row_group(&mut to))?;
                }
                Column::Chunks(chunks) => {
                    chunks.into_iter().try_for_each(|chunk| to.append_column(&chunk.bytes, chunk.close))?;
                }
            }
        }
        to.close()?;
        self.groups += 1;
        Ok(())
    }

    /// Says that these chunks come next: behind all that is written, some of which the writer may still hold.
    fn expect<'c>(&mut self, chunks: impl Iterator<Item = &'c EncodedChunk>) -> ParquetResult<()> {
        self.file.flush()?;
        self.file.inner_mut().expect(chunks.map(|chunk| chunk.bytes.clone()));
        Ok(())
    }

    fn write_chunks(
        &mut self,
        chunks: Vec<EncodedChunk>,
        rows: usize,
        (batch_column, batch): (usize, &[u8]),
        level: ZstdLevel,
    ) -> ParquetResult<()> {
        self.close_group()?;
        let schema = self.file.schema_descr();
        let batch_leaf = leaves_of_columns(schema).nth(batch_column).map_or(0, |leaves| leaves.start);
        let mut of_batch = LeafEncoder::new(schema.column(batch_leaf), level)?;
        of_batch.push_same(batch, rows)?;
        let (mut chunks, of_batch) = (chunks, of_batch.finish()?);
        chunks.insert(batch_leaf.min(chunks.len()), of_batch);
        self.expect(chunks.iter())?;
        let mut to = self.file.next_row_group()?;
        chunks.into_iter().try_for_each(|chunk| to.append_column(&chunk.bytes, chunk.close))?;
        to.close()?;
        self.groups += 1;
        Ok(())
    }
}

impl OpenGroup {
    /// Adds rows of a column that is made from arrays.
    pub(crate) fn write_array(&mut self, (at, field): (usize, &Field), column: &ArrayRef) -> Result<(), EngineError> {
        let Some(Sink::Arrays(writers)) = self.sinks.get_mut(at) else { return Ok(()) };
        let leaves = compute_leaves(field, column).map_err(EngineError::Encode)?;
        let mut written = writers.iter_mut().zip(&leaves);
        written.try_for_each(|(writer, leaf)| writer.write(leaf)).map_err(EngineError::Encode)
    }

    fn is_made(&self, from_leaves: &[bool]) -> bool {
        self.sinks.iter().map(|sink| matches!(sink, Sink::Leaves(_))).eq(from_leaves.iter().copied())
    }

    /// The leaves of a column that is made from them.
    pub(crate) fn leaves(&mut self, column: usize) -> Option<impl Iterator<Item = &mut LeafEncoder>> {
        match self.sinks.get_mut(column) {
            Some(Sink::Leaves(leaves)) => Some(leaves.iter_mut().flatten()),
            Some(Sink::Arrays(_)) | None => None,
        }
    }

    fn encoded_bytes(&self) -> usize {
        self.sum(ArrowColumnWriter::get_estimated_total_bytes, LeafEncoder::encoded_bytes)
    }

    fn memory(&self) -> usize {
        self.sum(ArrowColumnWriter::memory_size, LeafEncoder::memory)
    }

    fn sum(&self, of_arrays: fn(&ArrowColumnWriter) -> usize, of_leaf: fn(&LeafEncoder) -> usize) -> usize {
        let of_sink = |sink: &Sink| match sink {
            Sink::Arrays(writers) => writers.iter().map(of_arrays).sum::<usize>(),
            Sink::Leaves(leaves) => leaves.iter().flatten().map(of_leaf).sum(),
        };
        self.sinks.iter().map(of_sink).sum()
    }
}

/// The leaves of each top-level column.
pub(crate) fn leaves_of_columns(schema: &SchemaDescriptor) -> impl Iterator<Item = std::ops::Range<usize>> {
    let columns = schema.root_schema().get_fields().len();
    let first = move |column| (0..schema.num_columns()).position(|leaf| schema.get_column_root_idx(leaf) == column);
    let start = move |column| first(column).unwrap_or(schema.num_columns());
    (0..columns).map(move |column| start(column)..start(column + 1))
}

/// The compression of exported files.
pub(crate) fn zstd_level(settings: &Settings) -> ZstdLevel {
    ZstdLevel::try_new(settings.zstd_level).unwrap_or_default()
}

fn properties(settings: &Settings) -> WriterProperties {
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(zstd_level(settings)))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        // Either every chunk of a file tells where its pages start, or none does; copied ones need not know.
        .set_offset_index_disabled(true)
        .build()
}
