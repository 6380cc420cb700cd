//! Reading files of this machine: Parquet, or NDJSON by the table's columns.

use super::columns::lenient_schema;
use crate::failure::Failure;
use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use domain::schema::Schema;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Rows of a batch.
const BATCH_ROWS: usize = 8_192;

/// Reads Parquet (`.parquet`) and NDJSON (`.ndjson`, `.jsonl`, `.json`: one object a line) files. In NDJSON, times are
/// RFC 3339 texts, or numbers of microseconds; keys that the table lacks are refused.
pub fn read_files(paths: &[PathBuf], schema: &Schema) -> Result<Vec<RecordBatch>, Failure> {
    let mut batches = Vec::new();
    for path in paths {
        let file = File::open(path).map_err(|e| Failure::file(path, e))?;
        match path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase).as_deref() {
            Some("parquet") => batches.extend(read_parquet(path, file)?),
            Some("ndjson" | "jsonl" | "json") => batches.extend(read_ndjson(path, file, schema)?),
            _ => {
                let what = format!("{}: the name must end in .parquet, .ndjson, .jsonl or .json.", path.display());
                return Err(Failure::Sentence(what));
            }
        }
    }
    Ok(batches)
}

fn read_parquet(path: &Path, file: File) -> Result<Vec<RecordBatch>, Failure> {
    let unreadable = |e: &dyn std::fmt::Display| Failure::say(format!("{}: no readable Parquet: {e}.", path.display()));
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(|builder| builder.with_batch_size(BATCH_ROWS).build())
        .map_err(|e| unreadable(&e))?;
    reader.collect::<Result<_, ArrowError>>().map_err(|e| unreadable(&e))
}

fn read_ndjson(path: &Path, file: File, schema: &Schema) -> Result<Vec<RecordBatch>, Failure> {
    let unreadable = |e: ArrowError| Failure::say(format!("{}: {e}.", path.display()));
    let reader = arrow_json::ReaderBuilder::new(Arc::new(lenient_schema(schema)?))
        .with_batch_size(BATCH_ROWS)
        .with_strict_mode(true)
        .with_coerce_primitive(true)
        .build(BufReader::with_capacity(1 << 20, file))
        .map_err(unreadable)?;
    reader.collect::<Result<_, ArrowError>>().map_err(unreadable)
}
