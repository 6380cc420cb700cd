//! The files of a part: Parquet, encoded row group by row group, uploaded while the next one is encoded.

use crate::error::EngineError;
use crate::input::group_start;
use crate::layout::{Layout, PROFILE_ID};
use crate::part::{PartTask, Settings};
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray};
use arrow_schema::{ArrowError, SchemaRef};
use bytes::Bytes;
use domain::id::BatchId;
use domain::plan::OutputFile;
use domain::ports::objects::{Location, ObjectError, UploadObject, WriteObjects};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use std::sync::Arc;

/// Least and greatest of the strings seen.
type Bounds = Option<(String, String)>;

/// However many batches there are, a row group is not closed before it has as many encoded bytes.
const LEAST_GROUP_BYTES: usize = 1 << 20;

/// Writes the rows of one batch into as many files as their size asks for.
pub(crate) struct BatchWriter<'a, O: WriteObjects, F> {
    objects: &'a O,
    file_at: &'a F,
    batch_id: &'a BatchId,
    settings: Settings,
    schema: SchemaRef,
    /// The column of strings whose bounds are kept.
    bounded: Option<usize>,
    open: Option<OpenFile<O::Upload>>,
    /// The files that are complete.
    files: Vec<OutputFile>,
    /// Where files are, or may be after an answer was lost.
    written: Vec<Location>,
}

struct OpenFile<U> {
    at: Location,
    upload: U,
    encoder: ArrowWriter<Vec<u8>>,
    rows: u64,
    bounds: Bounds,
}

impl<'a, O: WriteObjects, F: Fn(&BatchId, usize) -> Location> BatchWriter<'a, O, F> {
    /// A writer that has written nothing. `file_at` names the files by their position.
    pub(crate) fn new(
        objects: &'a O,
        file_at: &'a F,
        batch_id: &'a BatchId,
        task: &PartTask<'a>,
        layout: &Layout,
    ) -> Self {
        let (schema, bounded) = (layout.schema.clone(), layout.schema.index_of(PROFILE_ID).ok());
        // Many batches share the memory of one.
        let share = task.settings.row_group_bytes / task.plan.batches.len().max(1);
        let row_group_bytes = share.max(LEAST_GROUP_BYTES).min(task.settings.row_group_bytes);
        let settings = Settings { row_group_bytes, ..task.settings };
        Self {
            objects,
            file_at,
            batch_id,
            settings,
            schema,
            bounded,
            open: None,
            files: Vec::new(),
            written: Vec::new(),
        }
    }

    /// The batch's id, once for each row.
    pub(crate) fn constant(&self, rows: usize) -> Result<ArrayRef, ArrowError> {
        let value = Arc::new(StringArray::from(vec![self.batch_id.as_str()]));
        Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(Int32Array::from(vec![0; rows]), value)?))
    }

    /// Adds rows at the end.
    pub(crate) async fn write(&mut self, rows: &RecordBatch) -> Result<(), EngineError> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let mut file = match self.open.take() {
            Some(file) => file,
            None => self.begin().await?,
        };
        if let Some(values) = self.bounded.and_then(|column| rows.column(column).as_string_opt::<i32>()) {
            widen(&mut file.bounds, values.iter().flatten());
        }
        file.rows += rows.num_rows() as u64;
        let encoded = file.encoder.write(rows).map_err(EngineError::Encode);
        // The file goes back before any error is returned, so that `abandon` finds it.
        let file = self.open.insert(file);
        encoded?;
        file.send().await?;
        let bytes = file.encoder.bytes_written() + file.encoder.in_progress_size();
        if bytes as u64 >= self.settings.file_bytes { self.complete().await } else { Ok(()) }
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
        let encoder = ArrowWriter::try_new_with_options(Vec::new(), self.schema.clone(), options);
        let encoder = encoder.map_err(EngineError::Encode)?;
        let at = (self.file_at)(self.batch_id, self.files.len());
        let upload = self.objects.begin(&at).await?;
        Ok(OpenFile { at, upload, encoder, rows: 0, bounds: None })
    }

    async fn complete(&mut self) -> Result<(), EngineError> {
        let Some(file) = &mut self.open else { return Ok(()) };
        let footer = file.encoder.finish().map_err(EngineError::Encode)?;
        file.send().await?;
        let Some(file) = self.open.take() else { return Ok(()) };
        let output = OutputFile {
            location: file.at.to_string(),
            batch_id: self.batch_id.clone(),
            bytes: file.encoder.bytes_written() as u64,
            rows: file.rows,
            profile_id_bounds: file.bounds,
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
        self.encoder.sync().map_err(|e| EngineError::Encode(ParquetError::from(e)))?;
        let encoded = std::mem::take(self.encoder.inner_mut());
        if !encoded.is_empty() {
            self.upload.write(Bytes::from(encoded)).await?;
        }
        Ok(())
    }
}

fn properties(settings: &Settings) -> WriterProperties {
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(settings.zstd_level).unwrap_or_default()))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_max_row_group_bytes(Some(settings.row_group_bytes.max(1)))
        .build()
}

fn widen<'v>(bounds: &mut Bounds, values: impl Iterator<Item = &'v str>) {
    let mut range: Option<(&str, &str)> = None;
    for value in values {
        range = Some(range.map_or((value, value), |(least, greatest)| (least.min(value), greatest.max(value))));
    }
    let Some((least, greatest)) = range else { return };
    match bounds {
        None => *bounds = Some((least.to_owned(), greatest.to_owned())),
        Some((low, high)) => {
            if least < low.as_str() {
                *low = least.to_owned();
            }
            if greatest > high.as_str() {
                *high = greatest.to_owned();
            }
        }
    }
}
