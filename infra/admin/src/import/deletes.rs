//! Delete files: which earlier rows are gone, said beside the data files instead of by rewriting them (merge-on-read).

use super::columns::table_schema;
use super::encode::properties;
use crate::failure::Failure;
use crate::inspect::column::read_column;
use crate::tables::KeepTables;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use domain::plan::{DeleteKind, TableFiles};
use domain::ports::lake::TableState;
use domain::ports::objects::{Location, ReadObjects};
use domain::registry::Dataset;
use lake::bucket_of;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ArrowWriter, PARQUET_FIELD_ID_META_KEY};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Field ids that Iceberg reserves for the two columns of a position delete file.
const FILE_PATH: (&str, i32) = ("file_path", 2_147_483_546);
const POS: (&str, i32) = ("pos", 2_147_483_545);

/// The rows of one delete file.
#[derive(Clone, Debug)]
pub struct DeleteRows {
    /// The bucket that it applies to.
    pub bucket: Option<u32>,
    /// What its rows say.
    pub kind: DeleteKind,
    rows: RecordBatch,
}

impl DeleteRows {
    fn new(bucket: Option<u32>, kind: DeleteKind, columns: Vec<(Field, ArrayRef)>) -> Result<Self, Failure> {
        let (fields, columns): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
        let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns);
        Ok(Self { bucket, kind, rows: rows.map_err(|e| unwritable(&e))? })
    }

    /// Number of rows.
    pub fn count(&self) -> u64 {
        self.rows.num_rows() as u64
    }

    /// The file.
    pub fn encode(&self) -> Result<Vec<u8>, Failure> {
        let options = ArrowWriterOptions::new().with_properties(properties()).with_skip_arrow_metadata(true);
        let mut file = Vec::new();
        let mut writer =
            ArrowWriter::try_new_with_options(&mut file, self.rows.schema(), options).map_err(|e| unwritable(&e))?;
        writer.write(&self.rows).map_err(|e| unwritable(&e))?;
        writer.close().map_err(|e| unwritable(&e))?;
        Ok(file)
    }
}

/// Deletes the rows that these profiles have now, whichever they are: a file for each bucket, with the ids alone.
pub fn by_equality(dataset: &Dataset, state: &TableState, ids: &BTreeSet<String>) -> Result<Vec<DeleteRows>, Failure> {
    let name = &dataset.columns.profile_id;
    let schema = table_schema(&state.copy.schema)?;
    let (Ok(field), Some(column)) = (schema.field_with_name(name), state.copy.schema.field(name)) else {
        return Err(Failure::say(format!("the table {} has no column {name}.", dataset.table)));
    };
    let mut buckets: BTreeMap<Option<u32>, Vec<&str>> = BTreeMap::new();
    for id in ids {
        buckets.entry(state.copy.buckets.map(|n| bucket_of(n, id))).or_default().push(id);
    }
    let files = buckets.into_iter().map(|(bucket, ids)| {
        let ids: ArrayRef = Arc::new(StringArray::from(ids));
        DeleteRows::new(bucket, DeleteKind::Equality { field_ids: vec![column.id] }, vec![(field.clone(), ids)])
    });
    files.collect()
}

/// Deletes the rows that these profiles have now, looked up in the files that may hold them: a file for each bucket, with
/// paths and positions in order, as readers expect them.
pub async fn by_position(
    dataset: &Dataset,
    state: &TableState,
    ids: &BTreeSet<String>,
    tables: &impl KeepTables,
    objects: &impl ReadObjects,
) -> Result<Vec<DeleteRows>, Failure> {
    let name = &dataset.columns.profile_id;
    let Some(field_id) = state.copy.schema.field(name).map(|f| f.id).filter(|_| !ids.is_empty()) else {
        return Ok(Vec::new());
    };
    let wanted: BTreeSet<_> = ids.iter().map(|id| state.copy.buckets.map(|n| bucket_of(n, id))).collect();
    let pin = state.pin(&dataset.id, &dataset.table);
    let mut buckets: BTreeMap<Option<u32>, BTreeSet<(String, i64)>> = BTreeMap::new();
    let TableFiles { data, name_mapping, .. } = tables.files(&pin, name).await?;
    for file in data.into_iter().filter(|f| wanted.contains(&f.bucket)) {
        let at = Location::parse(&file.location)
            .ok_or_else(|| Failure::say(format!("{} is no s3:// location.", file.location)))?;
        let (mut row, mut rows) = (0, Vec::new());
        read_column(objects, &at, file.bytes, (field_id, name), name_mapping.as_ref(), |id| {
            rows.extend(id.is_some_and(|id| ids.contains(id)).then_some(row));
            row += 1;
        })
        .await?;
        buckets.entry(file.bucket).or_default().extend(rows.into_iter().map(|row| (file.location.clone(), row)));
    }
    let files = buckets.into_iter().filter(|(_, rows)| !rows.is_empty()).map(|(bucket, rows)| {
        let (paths, positions): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        let paths: ArrayRef = Arc::new(StringArray::from(paths));
        let positions: ArrayRef = Arc::new(Int64Array::from(positions));
        let columns = vec![(reserved(FILE_PATH, DataType::Utf8), paths), (reserved(POS, DataType::Int64), positions)];
        DeleteRows::new(bucket, DeleteKind::Position, columns)
    });
    files.collect()
}

fn reserved((name, id): (&str, i32), kind: DataType) -> Field {
    let id = HashMap::from([(PARQUET_FIELD_ID_META_KEY.to_owned(), id.to_string())]);
    Field::new(name, kind, false).with_metadata(id)
}

fn unwritable(error: &dyn std::fmt::Display) -> Failure {
    Failure::say(format!("a delete file cannot be encoded: {error}."))
}
