//! A catalog in memory, for this crate's tests: tables as they were created, and what was appended to them.

use crate::tables::KeepTables;
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_schema::{DataType, FieldRef};
use domain::plan::{DataFile, DeleteFile, DeleteKind, Pin, TableFiles, TableName};
use domain::ports::lake::{LakeError, ReadTables, TableState};
use domain::ports::objects::{Location, ReadObjects};
use domain::registry::TableCopy;
use domain::schema::Schema;
use lake::{NewDataFile, NewDeleteFile};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};

/// Tables in memory. Clones share the state.
#[derive(Clone, Debug, Default)]
pub struct MemoryTables(Arc<Mutex<BTreeMap<TableName, Table>>>);

/// A table with its files, each with the number of the snapshot that brought it.
#[derive(Clone, Debug)]
struct Table {
    state: TableState,
    files: Vec<(i64, NewDataFile)>,
    deletes: Vec<(i64, NewDeleteFile)>,
}

impl Table {
    /// Position deletes apply to files of their own snapshot and before, equality deletes to files of before; both within
    /// their bucket.
    fn deletes_of(&self, snapshot: i64, file: &NewDataFile) -> Vec<usize> {
        let applies = |(at, delete): &(i64, NewDeleteFile)| {
            let equality = i64::from(matches!(delete.kind, DeleteKind::Equality { .. }));
            delete.bucket == file.bucket && snapshot + equality <= *at
        };
        (0..self.deletes.len()).filter(|i| applies(&self.deletes[*i])).collect()
    }
}

impl MemoryTables {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<TableName, Table>> {
        self.0.lock().expect("no test panics while it holds the lock")
    }

    /// Puts a table there as another tool would have made it.
    pub fn put(&self, table: &TableName, schema: &Schema, buckets: Option<u32>, batch_spec_id: Option<i32>) {
        let copy = TableCopy {
            table_uuid: format!("uuid of {table}"),
            format_version: 2,
            schema: schema.clone(),
            buckets,
            delete_kinds: Vec::new(),
            foreign_formats: Vec::new(),
            name_mapping_flaw: None,
            batch_spec_id,
        };
        let location = format!("s3://lake/{}/{}", table.database, table.table);
        let state = TableState { copy, snapshot_id: None, location };
        self.lock().insert(table.clone(), Table { state, files: Vec::new(), deletes: Vec::new() });
    }

    /// What was appended to a table.
    pub fn files_of(&self, table: &TableName) -> Vec<NewDataFile> {
        self.lock()[table].files.iter().map(|(_, file)| file.clone()).collect()
    }

    /// The delete files that were appended to a table.
    pub fn deletes_of(&self, table: &TableName) -> Vec<NewDeleteFile> {
        self.lock()[table].deletes.iter().map(|(_, file)| file.clone()).collect()
    }

    /// A table as it stands.
    pub fn look_at(&self, table: &TableName) -> TableCopy {
        self.lock()[table].state.copy.clone()
    }

    /// The names of all tables.
    pub fn names(&self) -> Vec<String> {
        self.lock().keys().map(TableName::to_string).collect()
    }
}

impl ReadTables for MemoryTables {
    async fn look(&self, table: &TableName, _: &str) -> Result<TableState, LakeError> {
        self.lock().get(table).map(|t| t.state.clone()).ok_or_else(|| LakeError::NoTable(table.clone()))
    }

    async fn look_pinned(&self, pin: &Pin, profile_id: &str) -> Result<TableState, LakeError> {
        self.look(&pin.table, profile_id).await
    }

    async fn files(&self, pin: &Pin, _: &str) -> Result<TableFiles, LakeError> {
        let tables = self.lock();
        let table = tables.get(&pin.table).ok_or_else(|| LakeError::NoTable(pin.table.clone()))?;
        let data = table.files.iter().map(|(snapshot, f)| DataFile {
            source: 0,
            location: f.location.clone(),
            bytes: f.bytes,
            rows: f.rows,
            bucket: f.bucket,
            range: None,
            split_offsets: f.split_offsets.clone(),
            deletes: table.deletes_of(*snapshot, f),
        });
        let deletes = table.deletes.iter().map(|(_, f)| DeleteFile {
            location: f.location.clone(),
            bytes: f.bytes,
            kind: f.kind.clone(),
        });
        Ok(TableFiles { data: data.collect(), deletes: deletes.collect(), ..TableFiles::default() })
    }
}

impl KeepTables for MemoryTables {
    async fn ensure_database(&self, _: &str, _: &str) -> Result<(), LakeError> {
        Ok(())
    }

    async fn create_profile_table(
        &self,
        table: &TableName,
        location: &str,
        schema: &Schema,
        buckets: Option<(u32, &str)>,
    ) -> Result<(), LakeError> {
        self.put(table, schema, buckets.map(|(n, _)| n), None);
        self.lock().entry(table.clone()).and_modify(|t| t.state.location = location.to_owned());
        Ok(())
    }

    async fn create_export_table(&self, table: &TableName, location: &str, schema: &Schema) -> Result<(), LakeError> {
        self.put(table, schema, None, Some(0));
        self.lock().entry(table.clone()).and_modify(|t| t.state.location = location.to_owned());
        Ok(())
    }

    async fn append_changes(
        &self,
        table: &TableName,
        files: Vec<NewDataFile>,
        deletes: Vec<NewDeleteFile>,
    ) -> Result<(), LakeError> {
        let mut tables = self.lock();
        let table = tables.get_mut(table).ok_or_else(|| LakeError::NoTable(table.clone()))?;
        let snapshot = table.state.snapshot_id.unwrap_or_default() + 1;
        table.state.snapshot_id = Some(snapshot);
        table.files.extend(files.into_iter().map(|f| (snapshot, f)));
        table.deletes.extend(deletes.into_iter().map(|f| (snapshot, f)));
        Ok(())
    }

    async fn evolve(&self, table: &TableName, schema: &Schema) -> Result<(), LakeError> {
        let mut tables = self.lock();
        let table = tables.get_mut(table).ok_or_else(|| LakeError::NoTable(table.clone()))?;
        table.state.copy.schema = schema.clone();
        Ok(())
    }
}

/// The rows of a Parquet file in the store.
pub async fn read_parquet(objects: &impl ReadObjects, location: &str) -> Vec<RecordBatch> {
    let at = Location::parse(location).expect("tests write s3:// locations");
    let bytes = objects.read(&at).await.expect("tests read what they wrote");
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).and_then(|b| b.build()).expect("it is Parquet");
    reader.map(|batch| batch.expect("it is readable")).collect()
}

/// Rows as JSON, nulls left out.
pub fn json(batches: &[RecordBatch]) -> Vec<Value> {
    let mut text = Vec::new();
    let builder = arrow_json::WriterBuilder::new().with_explicit_nulls(false);
    let mut writer = builder.build::<_, arrow_json::writer::LineDelimited>(&mut text);
    batches.iter().for_each(|b| writer.write(&with_offsets(b)).expect("the writer knows every type of the tests"));
    writer.finish().expect("memory takes all");
    let lines = text.split(|b| *b == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).expect("the writer writes JSON")).collect()
}

/// Parquet says UTC, which the JSON writer knows as an offset only.
fn with_offsets(batch: &RecordBatch) -> RecordBatch {
    let columns = batch.schema_ref().fields().iter().zip(batch.columns()).map(|(field, column)| {
        let with_offset =
            arrow_cast::cast(column, &offset_type(field.data_type())).expect("only a zone's name changes");
        (field.name().clone(), with_offset)
    });
    RecordBatch::try_from_iter(columns).expect("the columns are of one batch")
}

fn offset_type(kind: &DataType) -> DataType {
    let field = |field: &FieldRef| Arc::new(field.as_ref().clone().with_data_type(offset_type(field.data_type())));
    match kind {
        DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(*unit, Some("+00:00".into())),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(field).collect()),
        DataType::List(element) => DataType::List(field(element)),
        DataType::Map(entries, sorted) => DataType::Map(field(entries), *sorted),
        other => other.clone(),
    }
}

/// The live rows of a table, as a reader that knows delete files sees them: a row goes by its file's path and its number,
/// or by its profile id in the column of that name.
pub async fn live_rows(
    tables: &MemoryTables,
    objects: &impl ReadObjects,
    table: &TableName,
    profile_id: &str,
) -> Vec<Value> {
    let state = tables.look(table, profile_id).await.expect("the table is there");
    let files = tables.files(&state.pin("", table), profile_id).await.expect("the table is there");
    let mut positions = BTreeSet::new();
    let mut ids = vec![BTreeSet::new(); files.deletes.len()];
    for (delete, ids) in files.deletes.iter().zip(&mut ids) {
        for batch in read_parquet(objects, &delete.location).await {
            let texts = batch.column(0).as_string::<i32>().iter().flatten().map(str::to_owned);
            match delete.kind {
                DeleteKind::Position => {
                    positions.extend(texts.zip(batch.column(1).as_primitive::<Int64Type>().values().to_vec()));
                }
                DeleteKind::Equality { .. } => ids.extend(texts),
            }
        }
    }
    let mut live = Vec::new();
    for file in &files.data {
        let rows = json(&read_parquet(objects, &file.location).await);
        live.extend(rows.into_iter().enumerate().filter_map(|(at, row)| {
            let id = row[profile_id].as_str().unwrap_or_default();
            let replaced = file.deletes.iter().any(|i| ids[*i].contains(id));
            let gone = replaced || positions.contains(&(file.location.clone(), at as i64));
            (!gone).then_some(row)
        }));
    }
    live
}
