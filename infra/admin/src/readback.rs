//! Reading back what a job made visible: not what the job says, but what the table's current snapshot names.

use crate::failure::Failure;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use domain::plan::TableName;
use domain::ports::lake::ReadTables;
use domain::ports::objects::{Location, ReadObjects};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// A batch as it stands in its table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadBack {
    /// Rows whose `batchId` is the batch.
    pub rows: u64,
    /// Files that hold them.
    pub files: usize,
    /// Bytes of those files.
    pub bytes: u64,
    /// Names of the columns, without `batchId`.
    pub columns: Vec<String>,
    /// The first rows, each column as text.
    pub sample: Vec<Vec<String>>,
}

/// Reads every row of a batch, and keeps the first `sample` of them. Refuses a batch from which somebody has deleted rows
/// without rewriting its files.
pub async fn batch(
    tables: &impl ReadTables,
    objects: &impl ReadObjects,
    table: &TableName,
    batch_id: &str,
    sample: usize,
) -> Result<ReadBack, Failure> {
    let state = tables.look(table, "profileId").await?;
    let pin = state.pin("", table);
    let mut back = ReadBack::default();
    for file in tables.files(&pin, "profileId").await?.data {
        if !file.location.contains(&format!("/batchId={batch_id}/")) {
            continue;
        }
        if !file.deletes.is_empty() {
            let what = format!("rows of the batch {batch_id} have been deleted from {table}; compact the table first.");
            return Err(Failure::say(what));
        }
        let at = Location::parse(&file.location).ok_or_else(|| unreadable(&file.location))?;
        let rows = back.rows;
        read_file(objects.read(&at).await?, batch_id, sample, &mut back).map_err(|_| unreadable(&file.location))?;
        if back.rows > rows {
            back.files += 1;
            back.bytes += file.bytes;
        }
    }
    Ok(back)
}

fn unreadable(location: &str) -> Failure {
    Failure::say(format!("the file {location} cannot be read back as Parquet."))
}

type Unreadable = Box<dyn std::error::Error + Send + Sync>;

/// Counts a file's rows of the batch, and keeps the first ones as text.
fn read_file(bytes: bytes::Bytes, batch_id: &str, sample: usize, back: &mut ReadBack) -> Result<(), Unreadable> {
    let options = FormatOptions::default().with_null("");
    for rows in ParquetRecordBatchReaderBuilder::try_new(bytes)?.build()? {
        let rows = rows?;
        let schema = rows.schema();
        let batches = rows.column_by_name("batchId").ok_or("no batchId")?;
        let batches = ArrayFormatter::try_new(batches, &options)?;
        let shown: Vec<_> = (0..rows.num_columns()).filter(|i| schema.field(*i).name() != "batchId").collect();
        let columns = shown.iter().map(|i| ArrayFormatter::try_new(rows.column(*i), &options));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        back.columns = shown.iter().map(|i| schema.field(*i).name().clone()).collect();
        for row in 0..rows.num_rows() {
            if batches.value(row).to_string() != batch_id {
                continue;
            }
            back.rows += 1;
            if back.sample.len() < sample {
                back.sample.push(columns.iter().map(|c| c.value(row).to_string()).collect());
            }
        }
    }
    Ok(())
}
