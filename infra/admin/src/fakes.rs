//! A catalog in memory, for this crate's tests: tables as they were created, and the files that were appended.

use crate::tables::KeepTables;
use domain::plan::{DataFile, Pin, TableName};
use domain::ports::lake::{LakeError, ReadTables, TableState};
use domain::registry::TableCopy;
use domain::schema::Schema;
use lake::NewDataFile;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// Tables in memory. Clones share the state.
#[derive(Clone, Debug, Default)]
pub struct MemoryTables(Arc<Mutex<BTreeMap<TableName, (TableState, Vec<NewDataFile>)>>>);

impl MemoryTables {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<TableName, (TableState, Vec<NewDataFile>)>> {
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
            batch_spec_id,
        };
        let location = format!("s3://lake/{}/{}", table.database, table.table);
        self.lock().insert(table.clone(), (TableState { copy, snapshot_id: None, location }, Vec::new()));
    }

    /// What was appended to a table.
    pub fn files_of(&self, table: &TableName) -> Vec<NewDataFile> {
        self.lock()[table].1.clone()
    }

    /// The names of all tables.
    pub fn names(&self) -> Vec<String> {
        self.lock().keys().map(TableName::to_string).collect()
    }
}

impl ReadTables for MemoryTables {
    async fn look(&self, table: &TableName, _: &str) -> Result<TableState, LakeError> {
        self.lock().get(table).map(|(state, _)| state.clone()).ok_or_else(|| LakeError::NoTable(table.clone()))
    }

    async fn files(&self, pin: &Pin, _: &str) -> Result<Vec<DataFile>, LakeError> {
        let files = self.files_of(&pin.table).into_iter().map(|f| DataFile {
            location: f.location,
            bytes: f.bytes,
            rows: f.rows,
            bucket: f.bucket,
            range: None,
            split_offsets: f.split_offsets,
        });
        Ok(files.collect())
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
        self.lock().entry(table.clone()).and_modify(|(state, _)| state.location = location.to_owned());
        Ok(())
    }

    async fn create_export_table(&self, table: &TableName, location: &str, schema: &Schema) -> Result<(), LakeError> {
        self.put(table, schema, None, Some(0));
        self.lock().entry(table.clone()).and_modify(|(state, _)| state.location = location.to_owned());
        Ok(())
    }

    async fn append_files(&self, table: &TableName, files: Vec<NewDataFile>) -> Result<(), LakeError> {
        let mut tables = self.lock();
        let (state, present) = tables.get_mut(table).ok_or_else(|| LakeError::NoTable(table.clone()))?;
        state.snapshot_id = Some(state.snapshot_id.unwrap_or_default() + 1);
        present.extend(files);
        Ok(())
    }
}
