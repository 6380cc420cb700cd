//! Loading files into a profile or event dataset: read, check, bucket, sort, write, and one snapshot for all of it.

mod columns;
mod conform;
mod deletes;
mod encode;
mod read;

pub use columns::{lenient_schema, table_schema};
pub use read::read_files;

use crate::failure::Failure;
use crate::tables::KeepTables;
use arrow_array::RecordBatch;
use bytes::Bytes;
use conform::Conform;
use deletes::DeleteRows;
use domain::instant::Micros;
use domain::ports::lake::TableState;
use domain::ports::objects::{Location, ReadObjects, UploadObject, WriteObjects};
use domain::registry::{Dataset, DatasetKind};
use encode::Sorted;
use futures::stream::{self, StreamExt, TryStreamExt};
use lake::{NewDataFile, NewDeleteFile};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// Size of the pieces in which a file is uploaded.
const PIECE_BYTES: usize = 8 << 20;

/// What an import brought into the table. Displays as a summary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Rows.
    pub rows: u64,
    /// Data files written.
    pub files: usize,
    /// Delete files written.
    pub delete_files: usize,
    /// Bytes of all of them.
    pub bytes: u64,
}

impl fmt::Display for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows in {} files", self.rows, self.files)?;
        if self.delete_files > 0 {
            write!(f, ", {} delete files", self.delete_files)?;
        }
        write!(f, ", {} bytes", self.bytes)
    }
}

/// Rows for a table, and the profiles whose earlier rows go as these come.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// The new rows: columns in any order, and of any type that the table's can be made from.
    pub rows: Vec<RecordBatch>,
    /// Profiles whose rows of now are deleted by position: each row is looked up now, and a reader skips it by its number.
    pub by_position: BTreeSet<String>,
    /// Profiles whose rows of now are deleted by equality: nothing is looked up now, and a reader compares its rows' ids.
    pub by_equality: BTreeSet<String>,
}

/// Loads batches, as [`Changes`] has them, into a dataset's table as one snapshot: a file for each bucket, sorted by
/// profile. `ingest_time` stands in where a row has none. Holds all rows in memory.
pub async fn load(
    dataset: &Dataset,
    batches: Vec<RecordBatch>,
    ingest_time: Option<Micros>,
    tables: &impl KeepTables,
    objects: &(impl ReadObjects + WriteObjects),
) -> Result<Imported, Failure> {
    change(dataset, Changes { rows: batches, ..Changes::default() }, ingest_time, tables, objects).await
}

/// Like [`load`], and the rows take the place of all that their profiles have in the dataset: an upsert by `profileId`.
pub async fn replace(
    dataset: &Dataset,
    batches: Vec<RecordBatch>,
    ingest_time: Option<Micros>,
    tables: &impl KeepTables,
    objects: &(impl ReadObjects + WriteObjects),
) -> Result<Imported, Failure> {
    if dataset.kind != DatasetKind::Profile {
        return Err(Failure::say("only the rows of a profile dataset can be replaced."));
    }
    let by_equality = encode::profile_ids(&batches, &dataset.columns.profile_id)?;
    let changes = Changes { rows: batches, by_equality, ..Changes::default() };
    change(dataset, changes, ingest_time, tables, objects).await
}

/// Makes the changes as one snapshot. The deletes do not reach the rows that come with them.
pub async fn change(
    dataset: &Dataset,
    changes: Changes,
    ingest_time: Option<Micros>,
    tables: &impl KeepTables,
    objects: &(impl ReadObjects + WriteObjects),
) -> Result<Imported, Failure> {
    let state = tables.look(&dataset.table, &dataset.columns.profile_id).await?;
    let sorted = Arc::new(prepare(dataset, &state, &changes.rows, ingest_time)?);
    let mut deletes = deletes::by_position(dataset, &state, &changes.by_position, tables, objects).await?;
    deletes.extend(deletes::by_equality(dataset, &state, &changes.by_equality)?);
    let mut written = Written::default();
    let outcome = write_all(&sorted, &deletes, &state, objects, &mut written).await;
    if let Err(failure) = outcome {
        // Nothing names them yet; leaving them would only cost storage, so a failure to delete is no failure.
        for file in written.locations().filter_map(Location::parse) {
            objects.delete(&file).await.ok();
        }
        return Err(failure);
    }
    let imported = written.summary();
    tables.append_changes(&dataset.table, written.data, written.deletes).await?;
    Ok(imported)
}

/// Files that stand in the store and in no table yet.
#[derive(Debug, Default)]
struct Written {
    data: Vec<NewDataFile>,
    deletes: Vec<NewDeleteFile>,
}

impl Written {
    fn locations(&self) -> impl Iterator<Item = &str> {
        let data = self.data.iter().map(|f| f.location.as_str());
        data.chain(self.deletes.iter().map(|f| f.location.as_str()))
    }

    fn summary(&self) -> Imported {
        Imported {
            rows: self.data.iter().map(|f| f.rows).sum(),
            files: self.data.len(),
            delete_files: self.deletes.len(),
            bytes: self.data.iter().map(|f| f.bytes).chain(self.deletes.iter().map(|f| f.bytes)).sum(),
        }
    }
}

fn prepare(
    dataset: &Dataset,
    state: &TableState,
    batches: &[RecordBatch],
    ingest_time: Option<Micros>,
) -> Result<Sorted, Failure> {
    if dataset.kind == DatasetKind::Export {
        return Err(Failure::say(format!("{} is an export dataset, which only jobs write.", dataset.id)));
    }
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
    deletes: &[DeleteRows],
    state: &TableState,
    objects: &impl WriteObjects,
    written: &mut Written,
) -> Result<(), Failure> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut files =
        stream::iter(sorted.groups()).map(|group| write_one(sorted.clone(), group, state, objects)).buffered(threads);
    while let Some(file) = files.try_next().await? {
        written.data.push(file);
    }
    for rows in deletes {
        let (location, bytes) = upload(rows.bucket, "-deletes", rows.encode()?, state, objects).await?;
        let (bucket, kind) = (rows.bucket, rows.kind.clone());
        written.deletes.push(NewDeleteFile { location, bytes, rows: rows.count(), bucket, kind });
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
    let (location, bytes) = upload(encoded.bucket, "", encoded.file, state, objects).await?;
    Ok(NewDataFile {
        location,
        bytes,
        rows: encoded.rows,
        bucket: encoded.bucket,
        split_offsets: encoded.split_offsets,
    })
}

/// Uploads a file below the table; gives its location and its size.
async fn upload(
    bucket: Option<u32>,
    what: &str,
    file: Vec<u8>,
    state: &TableState,
    objects: &impl WriteObjects,
) -> Result<(String, u64), Failure> {
    let name = bucket.map_or_else(String::new, |bucket| format!("bucket-{bucket:05}-"));
    let folder = state.location.trim_end_matches('/');
    let location = format!("{folder}/data/{name}{}{what}.parquet", uuid::Uuid::new_v4());
    let at = Location::parse(&location)
        .ok_or_else(|| Failure::say(format!("the table lies at {}, which is no s3:// location.", state.location)))?;
    let mut rest = Bytes::from(file);
    let bytes = rest.len() as u64;
    let mut upload = objects.begin(&at).await?;
    while !rest.is_empty() {
        upload.write(rest.split_to(PIECE_BYTES.min(rest.len()))).await?;
    }
    upload.complete().await?;
    Ok((location, bytes))
}

#[cfg(test)]
mod tests;
