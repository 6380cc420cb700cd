//! Loading files into a profile dataset: read, check, bucket, sort, write, and one snapshot for all of it.

mod columns;
mod conform;
mod encode;
mod read;

pub use columns::{lenient_schema, table_schema};
pub use read::read_files;

use crate::failure::Failure;
use crate::tables::KeepTables;
use arrow_array::RecordBatch;
use bytes::Bytes;
use conform::Conform;
use domain::instant::Micros;
use domain::ports::lake::TableState;
use domain::ports::objects::{Location, UploadObject, WriteObjects};
use domain::registry::Dataset;
use encode::Sorted;
use futures::stream::{self, StreamExt, TryStreamExt};
use lake::NewDataFile;
use std::sync::Arc;

/// Size of the pieces in which a file is uploaded.
const PIECE_BYTES: usize = 8 << 20;

/// What an import brought into the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Rows.
    pub rows: u64,
    /// Files written.
    pub files: usize,
    /// Bytes of the files.
    pub bytes: u64,
}

/// Loads batches, which may have their columns in any order and of any type that the table's can be made from, into a
/// dataset's table as one snapshot: a file for each bucket, sorted by profile. `ingest_time` stands in where a row has
/// none. Holds all rows in memory.
pub async fn load(
    dataset: &Dataset,
    batches: Vec<RecordBatch>,
    ingest_time: Option<Micros>,
    tables: &impl KeepTables,
    objects: &impl WriteObjects,
) -> Result<Imported, Failure> {
    let state = tables.look(&dataset.table, &dataset.columns.profile_id).await?;
    let sorted = Arc::new(prepare(dataset, &state, batches, ingest_time)?);
    let mut written = Vec::new();
    let outcome = write_all(&sorted, &state, objects, &mut written).await;
    if let Err(failure) = outcome {
        // Nothing names them yet; leaving them would only cost storage, so a failure to delete is no failure.
        for file in written.iter().filter_map(|f| Location::parse(&f.location)) {
            objects.delete(&file).await.ok();
        }
        return Err(failure);
    }
    let bytes = written.iter().map(|f| f.bytes).sum();
    let imported = Imported { rows: written.iter().map(|f| f.rows).sum(), files: written.len(), bytes };
    tables.append_files(&dataset.table, written).await?;
    Ok(imported)
}

fn prepare(
    dataset: &Dataset,
    state: &TableState,
    batches: Vec<RecordBatch>,
    ingest_time: Option<Micros>,
) -> Result<Sorted, Failure> {
    let conform = Conform::new(dataset, &state.copy.schema, ingest_time)?;
    let batches =
        batches.iter().filter(|b| b.num_rows() > 0).map(|b| conform.batch(b)).collect::<Result<Vec<_>, _>>()?;
    if batches.is_empty() {
        return Err(Failure::say("there are no rows to import."));
    }
    Sorted::new(batches, &dataset.columns.profile_id, state.copy.buckets)
}

async fn write_all(
    sorted: &Arc<Sorted>,
    state: &TableState,
    objects: &impl WriteObjects,
    written: &mut Vec<NewDataFile>,
) -> Result<(), Failure> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut files =
        stream::iter(sorted.groups()).map(|group| write_one(sorted.clone(), group, state, objects)).buffered(threads);
    while let Some(file) = files.try_next().await? {
        written.push(file);
    }
    Ok(())
}

async fn write_one(
    sorted: Arc<Sorted>,
    group: usize,
    state: &TableState,
    objects: &impl WriteObjects,
) -> Result<NewDataFile, Failure> {
    let encoded = tokio::task::spawn_blocking(move || sorted.encode(group))
        .await
        .map_err(|_| Failure::say("encoding a file broke off."))??;
    let name = encoded.bucket.map_or_else(String::new, |bucket| format!("bucket-{bucket:05}-"));
    let location = format!("{}/data/{name}{}.parquet", state.location.trim_end_matches('/'), uuid::Uuid::new_v4());
    let at = Location::parse(&location)
        .ok_or_else(|| Failure::say(format!("the table lies at {}, which is no s3:// location.", state.location)))?;
    let mut rest = Bytes::from(encoded.file);
    let bytes = rest.len() as u64;
    let mut upload = objects.begin(&at).await?;
    while !rest.is_empty() {
        upload.write(rest.split_to(PIECE_BYTES.min(rest.len()))).await?;
    }
    upload.complete().await?;
    Ok(NewDataFile {
        location,
        bytes,
        rows: encoded.rows,
        bucket: encoded.bucket,
        split_offsets: encoded.split_offsets,
    })
}

#[cfg(test)]
mod tests;
