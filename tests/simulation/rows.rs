//! A stand-in for the engine: a row is its number, a file a list of numbers. What a part holds follows from the plan as it
//! does for the engine: files, ranges that row groups start in, runs of their rows, slices of profiles by their hash.

use domain::id::BatchId;
use domain::plan::{Counts, DataFile, OutputFile, OutputList, PLAN_VERSION, Plan, PlannedPart};
use domain::ports::objects::{Location, ObjectError, UploadObject, WriteObjects};
use engine::{EngineError, Progress, Step};
use export_worker::ExportParts;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use testkit::MemoryObjects;

/// Bytes that a source's row takes.
pub const ROW_BYTES: u64 = 10;
/// Rows of an output file.
const FILE_ROWS: usize = 7;

/// The stand-in.
#[derive(Clone, Debug)]
pub struct Rows {
    pub objects: MemoryObjects,
    /// Parts begun of which it was known that nothing in them is to be merged.
    pub known: Arc<AtomicUsize>,
}

/// All rows of a source's file.
pub fn of_file(file: &DataFile) -> Vec<u64> {
    let first: u64 = file.location.rsplit('/').next().and_then(|n| n.split('.').next()?.parse().ok()).unwrap();
    (0..file.rows).map(|row| first * 1_000 + row).collect()
}

/// The rows of a part.
pub fn of_part(part: &PlannedPart) -> Vec<u64> {
    let of_file = |file: &DataFile| {
        let (start, end) = file.range.unwrap_or((0, u64::MAX));
        let group = |row: u64| {
            let at = 4 + row % 1_000 * ROW_BYTES;
            file.split_offsets.iter().copied().filter(|offset| *offset <= at).max().unwrap_or(4)
        };
        let rows: Vec<u64> = of_file(file).into_iter().filter(|row| (start..end).contains(&group(*row))).collect();
        let run = |rows: &[u64]| {
            let meant = part.run.map_or(0..rows.len() as u64, |run| run.of(rows.len() as u64));
            rows[meant.start as usize..meant.end as usize].to_vec()
        };
        rows.chunk_by(|a, b| group(*a) == group(*b)).flat_map(run).collect::<Vec<_>>()
    };
    let rows = part.files.iter().flat_map(of_file);
    rows.filter(|row| part.slice.is_none_or(|slice| slice.holds(hash(*row)))).collect()
}

fn hash(row: u64) -> u32 {
    (row.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) as u32
}

/// Whether a part is one whole file that was read for merging: no row is there twice.
fn is_distinct(part: &PlannedPart) -> bool {
    let is_whole = |file: &DataFile| file.bucket.is_some() && file.range.is_none();
    part.slice.is_none() && !part.distinct && matches!(&part.files[..], [file] if is_whole(file))
}

impl ExportParts for Rows {
    async fn export(
        &self,
        plan: &Plan,
        part: &PlannedPart,
        file_at: impl Fn(&BatchId, usize) -> Location + Send + Sync,
        mut progress: impl FnMut(Progress) -> Step + Send,
    ) -> Result<OutputList, EngineError> {
        self.known.fetch_add(usize::from(part.distinct), Ordering::Relaxed);
        let rows = of_part(part);
        let whole = (rows.len() * plan.batches.len()).max(1) as u64;
        let (mut files, mut counts) = (Vec::new(), Counts::default());
        for batch in &plan.batches {
            for (n, rows) in rows.chunks(FILE_ROWS).enumerate() {
                let at = file_at(batch, n);
                let report = Progress { weight: part.weight() * counts.rows / whole, rows: counts.rows };
                let written = match progress(report) {
                    Step::Continue => self.write(&at, rows).await.map_err(EngineError::Objects),
                    Step::Stop => Err(EngineError::Stopped),
                };
                let bytes = match written {
                    Ok(bytes) => bytes,
                    Err(error) => {
                        self.abandon(&files).await;
                        return Err(error);
                    }
                };
                counts.rows += rows.len() as u64;
                counts.bytes += bytes;
                *counts.by_namespace.entry("id".into()).or_default() += rows.len() as u64;
                files.push(OutputFile {
                    location: at.to_string(),
                    batch_id: batch.clone(),
                    bytes,
                    rows: rows.len() as u64,
                    profile_id_bounds: None,
                    split_offsets: Vec::new(),
                });
            }
        }
        match progress(Progress { weight: part.weight(), rows: counts.rows }) {
            Step::Continue => Ok(OutputList { version: PLAN_VERSION, files, counts, distinct: is_distinct(part) }),
            Step::Stop => {
                self.abandon(&files).await;
                Err(EngineError::Stopped)
            }
        }
    }
}

impl Rows {
    async fn write(&self, at: &Location, rows: &[u64]) -> Result<u64, ObjectError> {
        let body = serde_json::to_vec(rows).expect("numbers are JSON");
        let bytes = body.len() as u64;
        let mut upload = self.objects.begin(at).await?;
        upload.write(body.into()).await?;
        upload.complete().await?;
        Ok(bytes)
    }

    async fn abandon(&self, files: &[OutputFile]) {
        for file in files.iter().filter_map(|file| Location::parse(&file.location)) {
            // As far as the store allows.
            self.objects.delete(&file).await.ok();
        }
    }
}
