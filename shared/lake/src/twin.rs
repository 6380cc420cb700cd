//! Glue's twin in memory, for tests: every update draws a new version and holds only at the version it names.

use crate::glue::{Database, GlueApi, GlueError, GlueTable, TableInput};
use domain::plan::TableName;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What goes wrong with an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The request is lost: nothing happens.
    BeforeEffect,
    /// The answer is lost: what the call does has happened.
    AfterEffect,
    /// Another writer is faster: the table moves to another version, with the same content.
    Overtaken,
}

/// The catalog in memory; clones share the state.
#[derive(Clone, Debug, Default)]
pub struct MemoryGlue(Arc<Mutex<State>>);

#[derive(Clone, Debug, Default)]
struct State {
    databases: BTreeMap<String, Database>,
    tables: BTreeMap<TableName, GlueTable>,
    versions: u64,
    faults: VecDeque<Fault>,
    overtaking: Option<(TableName, TableInput)>,
    database_calls: usize,
}

impl MemoryGlue {
    /// The next update meets this fault; several strike one update each, in order.
    pub fn fail_next_update(&self, fault: Fault) {
        self.lock().faults.push_back(fault);
    }

    /// Just before the next update, another writer's entry is put in the table's place.
    pub fn overtake_next_update(&self, name: &TableName, entry: TableInput) {
        self.lock().overtaking = Some((name.clone(), entry));
    }

    /// Another catalog in the same state, to see there what a call would do.
    pub fn fork(&self) -> Self {
        Self(Arc::new(Mutex::new(self.lock().clone())))
    }

    /// Forgets a table.
    pub fn drop_table(&self, name: &TableName) {
        self.lock().tables.remove(name);
    }

    /// Puts an entry beside all rules.
    pub fn put(&self, name: &TableName, entry: GlueTable) {
        self.lock().tables.insert(name.clone(), entry);
    }

    /// How often it was asked to create a database.
    pub fn databases_created(&self) -> usize {
        self.lock().database_calls
    }

    /// Versions drawn so far, over all tables: what was written.
    pub fn versions(&self) -> u64 {
        self.lock().versions
    }

    /// Locks, also after another test thread's panic: the state is whole between calls.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn write(&mut self, name: TableName, input: &TableInput) {
        self.versions += 1;
        let entry = GlueTable { version_id: Some(self.versions.to_string()), input: input.clone() };
        self.tables.insert(name, entry);
    }

    fn get(&self, name: &TableName) -> Result<GlueTable, GlueError> {
        self.tables.get(name).cloned().ok_or(GlueError::NotFound)
    }
}

fn name(database: &str, input: &TableInput) -> TableName {
    TableName { database: database.into(), table: input.name.clone() }
}

impl GlueApi for MemoryGlue {
    async fn database(&self, name: &str) -> Result<Database, GlueError> {
        self.lock().databases.get(name).cloned().ok_or(GlueError::NotFound)
    }

    async fn create_database(&self, database: &Database) -> Result<(), GlueError> {
        let mut state = self.lock();
        state.database_calls += 1;
        if state.databases.contains_key(&database.name) {
            return Err(GlueError::AlreadyExists);
        }
        state.databases.insert(database.name.clone(), database.clone());
        Ok(())
    }

    async fn table(&self, name: &TableName) -> Result<GlueTable, GlueError> {
        self.lock().get(name)
    }

    async fn tables(&self, database: &str) -> Result<Vec<GlueTable>, GlueError> {
        let state = self.lock();
        Ok(state.tables.iter().filter(|(n, _)| n.database == database).map(|(_, t)| t.clone()).collect())
    }

    async fn create_table(&self, database: &str, input: &TableInput) -> Result<(), GlueError> {
        let mut state = self.lock();
        let name = name(database, input);
        if state.tables.contains_key(&name) {
            return Err(GlueError::AlreadyExists);
        }
        state.write(name, input);
        Ok(())
    }

    async fn update_table(&self, database: &str, input: &TableInput, version_id: &str) -> Result<(), GlueError> {
        let mut state = self.lock();
        let name = name(database, input);
        let fault = state.faults.pop_front();
        if fault == Some(Fault::BeforeEffect) {
            return Err(GlueError::Unavailable("the request was lost".into()));
        }
        if let Some((name, entry)) = state.overtaking.take() {
            state.write(name, &entry);
        }
        if fault == Some(Fault::Overtaken) {
            let same = state.get(&name)?.input;
            state.write(name.clone(), &same);
        }
        if state.get(&name)?.version_id.as_deref() != Some(version_id) {
            return Err(GlueError::VersionMismatch);
        }
        state.write(name, input);
        match fault {
            Some(Fault::AfterEffect) => Err(GlueError::Unavailable("the answer was lost".into())),
            _ => Ok(()),
        }
    }
}
