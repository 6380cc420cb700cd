//! Rows into files: by bucket, sorted by profile, as ZSTD Parquet.

use crate::failure::Failure;
use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch, StringArray};
use arrow_cast::cast;
use arrow_schema::DataType;
use arrow_select::interleave::interleave_record_batch;
use lake::bucket_of;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::properties::WriterProperties;
use std::collections::{BTreeMap, BTreeSet};

/// Most rows and bytes of a row group: small enough to be skipped or streamed one by one.
const GROUP_ROWS: usize = 50_000;
const GROUP_BYTES: usize = 64 << 20;
/// Rows that are gathered at a time.
const GATHER_ROWS: usize = 8_192;

/// A row, as the batch that holds it and its position there.
type RowAt = (usize, usize);

/// Rows of a table's shape with the order in which they are written.
#[derive(Debug)]
pub struct Sorted {
    batches: Vec<RecordBatch>,
    /// Per file its bucket and its rows.
    files: Vec<(Option<u32>, Vec<RowAt>)>,
}

/// A file ready to be uploaded.
#[derive(Debug)]
pub struct Encoded {
    /// Its bucket.
    pub bucket: Option<u32>,
    /// Its rows.
    pub rows: u64,
    /// Where its row groups start.
    pub split_offsets: Vec<u64>,
    /// Its bytes.
    pub file: Vec<u8>,
}

/// The profiles that rows are of; rows without one are left to [`Sorted`] to refuse.
pub fn profile_ids(batches: &[RecordBatch], profile_id: &str) -> Result<BTreeSet<String>, Failure> {
    let mut ids = BTreeSet::new();
    for column in batches.iter().filter_map(|b| b.column_by_name(profile_id)) {
        let texts = cast(column, &DataType::Utf8)
            .map_err(|_| Failure::say(format!("the column {profile_id} must be string in the file.")))?;
        ids.extend(texts.as_string::<i32>().iter().flatten().map(str::to_owned));
    }
    Ok(ids)
}

impl Sorted {
    /// Sorts batches of the table's shape, in which every row has a `profile_id`.
    pub fn new(batches: Vec<RecordBatch>, profile_id: &str, buckets: Option<u32>) -> Result<Self, Failure> {
        let ids = batches.iter().map(|b| b.column_by_name(profile_id).and_then(|c| c.as_string_opt::<i32>()));
        let ids: Vec<&StringArray> = ids
            .collect::<Option<_>>()
            .ok_or_else(|| Failure::say(format!("the column {profile_id} must be string in the table.")))?;
        let mut files: BTreeMap<Option<u32>, Vec<RowAt>> = BTreeMap::new();
        for (i, column) in ids.iter().enumerate() {
            for row in 0..column.len() {
                let bucket = buckets.map(|n| bucket_of(n, column.value(row)));
                files.entry(bucket).or_default().push((i, row));
            }
        }
        for rows in files.values_mut() {
            // Stable: fragments of one profile keep the order in which they came.
            rows.sort_by(|&(a, x), &(b, y)| ids[a].value(x).cmp(ids[b].value(y)));
        }
        let files = files.into_iter().collect();
        Ok(Self { batches, files })
    }

    /// The numbers of the files.
    pub fn groups(&self) -> std::ops::Range<usize> {
        0..self.files.len()
    }

    /// Encodes the file of that number.
    pub fn encode(&self, number: usize) -> Result<Encoded, Failure> {
        let (bucket, rows) = &self.files[number];
        let batches: Vec<_> = self.batches.iter().collect();
        let failed = |e: &dyn std::fmt::Display| Failure::say(format!("a file cannot be encoded: {e}."));
        let options = ArrowWriterOptions::new().with_properties(properties()).with_skip_arrow_metadata(true);
        let mut writer =
            ArrowWriter::try_new_with_options(Vec::new(), self.batches[0].schema(), options).map_err(|e| failed(&e))?;
        for some in rows.chunks(GATHER_ROWS) {
            let gathered = interleave_record_batch(&batches, some).map_err(|e| failed(&e))?;
            writer.write(&gathered).map_err(|e| failed(&e))?;
        }
        let metadata = writer.finish().map_err(|e| failed(&e))?;
        let file = std::mem::take(writer.inner_mut());
        let split_offsets = metadata.row_groups().iter().map(start_of).collect();
        Ok(Encoded { bucket: *bucket, rows: rows.len() as u64, split_offsets, file })
    }
}

/// How every file is written.
pub fn properties() -> WriterProperties {
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_max_row_group_bytes(Some(GROUP_BYTES))
        .build()
}

fn start_of(group: &RowGroupMetaData) -> u64 {
    group.columns().first().map_or(0, |column| column.byte_range().0)
}
