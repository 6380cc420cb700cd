//! Glue in memory: every update draws a new version and holds only at the version it names.

use crate::glue::{Database, GlueApi, GlueError, GlueTable, TableInput};
use domain::plan::TableName;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use testkit::Fault;

/// The catalog; clones share the state.
#[derive(Clone, Debug, Default)]
pub(super) struct FakeGlue(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    databases: BTreeMap<String, Database>,
    tables: BTreeMap<TableName, GlueTable>,
    versions: u64,
    fault: Option<Fault>,
    database_calls: usize,
}

impl FakeGlue {
    /// The next update's request or answer is lost.
    pub(super) fn fail_next_update(&self, fault: Fault) {
        self.0.lock().unwrap().fault = Some(fault);
    }

    /// Forgets a table.
    pub(super) fn drop_table(&self, name: &TableName) {
        self.0.lock().unwrap().tables.remove(name);
    }

    /// Puts an entry beside all rules.
    pub(super) fn put(&self, name: &TableName, entry: GlueTable) {
        self.0.lock().unwrap().tables.insert(name.clone(), entry);
    }

    /// How often databases were created.
    pub(super) fn databases_created(&self) -> usize {
        self.0.lock().unwrap().database_calls
    }
}

impl State {
    fn write(&mut self, name: TableName, input: &TableInput) {
        self.versions += 1;
        let entry = GlueTable { version_id: Some(self.versions.to_string()), input: input.clone() };
        self.tables.insert(name, entry);
    }
}

fn name(database: &str, input: &TableInput) -> TableName {
    TableName { database: database.into(), table: input.name.clone() }
}

impl GlueApi for FakeGlue {
    async fn database(&self, name: &str) -> Result<Database, GlueError> {
        self.0.lock().unwrap().databases.get(name).cloned().ok_or(GlueError::NotFound)
    }

    async fn create_database(&self, database: &Database) -> Result<(), GlueError> {
        let mut state = self.0.lock().unwrap();
        state.database_calls += 1;
        match state.databases.insert(database.name.clone(), database.clone()) {
            None => Ok(()),
            Some(_) => Err(GlueError::AlreadyExists),
        }
    }

    async fn table(&self, name: &TableName) -> Result<GlueTable, GlueError> {
        self.0.lock().unwrap().tables.get(name).cloned().ok_or(GlueError::NotFound)
    }

    async fn tables(&self, database: &str) -> Result<Vec<GlueTable>, GlueError> {
        let state = self.0.lock().unwrap();
        Ok(state.tables.iter().filter(|(n, _)| n.database == database).map(|(_, t)| t.clone()).collect())
    }

    async fn create_table(&self, database: &str, input: &TableInput) -> Result<(), GlueError> {
        let mut state = self.0.lock().unwrap();
        let name = name(database, input);
        if state.tables.contains_key(&name) {
            return Err(GlueError::AlreadyExists);
        }
        state.write(name, input);
        Ok(())
    }

    async fn update_table(&self, database: &str, input: &TableInput, version_id: &str) -> Result<(), GlueError> {
        let mut state = self.0.lock().unwrap();
        let fault = state.fault.take();
        if fault == Some(Fault::BeforeEffect) {
            return Err(GlueError::Unavailable("the request was lost".into()));
        }
        let name = name(database, input);
        let current = state.tables.get(&name).ok_or(GlueError::NotFound)?;
        if current.version_id.as_deref() != Some(version_id) {
            return Err(GlueError::VersionMismatch);
        }
        state.write(name, input);
        match fault {
            Some(_) => Err(GlueError::Unavailable("the answer was lost".into())),
            None => Ok(()),
        }
    }
}
