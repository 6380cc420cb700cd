//! The lake's twin: tables that are one list of snapshots each, moved by compare-and-swap.

use crate::faults::{Faults, lock};
use crate::{MemoryObjects, Weather};
use bytes::Bytes;
use domain::guard::Guard;
use domain::id::JobId;
use domain::job::Widening;
use domain::plan::{DataFile, OutputFile, Pin, TableFiles, TableName};
use domain::ports::lake::*;
use domain::ports::objects::{Location, WriteObjects};
use domain::schema::{Field, Schema};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex};

/// The lake in memory. Clones share the state.
#[derive(Clone, Debug, Default)]
pub struct MemoryLake {
    tables: Arc<Mutex<BTreeMap<TableName, MemoryTable>>>,
    /// Where commits write their files.
    objects: MemoryObjects,
    faults: Faults,
}

/// A table.
#[derive(Clone, Debug)]
pub struct MemoryTable {
    /// As it is looked at, but for the current snapshot.
    pub state: Arc<TableState>,
    /// What a swap compares.
    pub version: u64,
    /// Why it takes no commit of ours now.
    pub refuses: Option<String>,
    /// The snapshots, the current one last.
    pub snapshots: Vec<Snapshot>,
    /// The metadata files of widenings that moved the table.
    pub widenings: Vec<Location>,
}

/// A snapshot of a table.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Its id.
    pub id: i64,
    /// The job that made it.
    pub job: Option<JobId>,
    /// The job whose commit it abandons.
    pub abandoned: Option<JobId>,
    /// The file of the commit that made it, where one of ours did.
    pub commit_file: Option<Location>,
    /// What the job added.
    pub added: Vec<OutputFile>,
    /// The live files of a source table.
    pub live: Vec<DataFile>,
}

impl MemoryTable {
    /// A table without snapshots.
    pub fn new(state: TableState) -> Self {
        Self { state: state.into(), version: 1, refuses: None, snapshots: Vec::new(), widenings: Vec::new() }
    }

    fn look(&self) -> TableState {
        TableState { snapshot_id: self.snapshots.last().map(|s| s.id), ..(*self.state).clone() }
    }

    /// Whether the job's snapshot is in it.
    pub fn is_committed(&self, job: JobId) -> bool {
        self.snapshots.iter().any(|s| s.job == Some(job))
    }

    /// Whether the job's commit was abandoned.
    pub fn is_abandoned(&self, job: JobId) -> bool {
        self.snapshots.iter().any(|s| s.abandoned == Some(job))
    }

    /// The folder of its commits' files.
    fn metadata_folder(&self) -> String {
        format!("{}/metadata/", self.state.location)
    }

    /// The file that a commit writes.
    fn commit_file(&self, commit: &Commit) -> Option<Location> {
        Location::parse(&format!("{}{}-m0.avro", self.metadata_folder(), commit.commit_uuid))
    }

    /// The metadata file that a widening writes.
    fn widening_file(&self, uuid: &str) -> Option<Location> {
        Location::parse(&format!("{}{:05}-{uuid}.metadata.json", self.metadata_folder(), self.version))
    }

    /// Its schema with the columns that it lacks, if it lacks any.
    fn widened(&self, wanted: &Schema) -> Option<Schema> {
        let schema = &self.state.copy.schema;
        let lacking: Vec<_> = wanted.fields.iter().filter(|f| schema.field(&f.name).is_none()).cloned().collect();
        let fields = schema.fields.iter().cloned().chain(lacking).collect::<Vec<_>>();
        (fields.len() > schema.fields.len()).then(|| Schema { schema_id: schema.schema_id + 1, fields })
    }

    /// Makes a schema the current one.
    fn evolve(&mut self, schema: Schema) {
        self.version += 1;
        Arc::make_mut(&mut self.state).copy.schema = schema;
    }

    /// Adds a snapshot, whoever else does.
    pub fn push(&mut self, snapshot: Snapshot) {
        self.version += 1;
        self.snapshots.push(Snapshot { id: self.version as i64, ..snapshot });
    }

    /// Adds a snapshot, if the table is as it was judged.
    pub fn swap(&mut self, judged: &Self, snapshot: Snapshot) -> bool {
        self.change(judged, |table| table.push(snapshot))
    }

    /// Changes the table, if it is as it was judged.
    fn change(&mut self, judged: &Self, change: impl FnOnce(&mut Self)) -> bool {
        let same = self.version == judged.version && self.state.copy.table_uuid == judged.state.copy.table_uuid;
        if !Guard::TableVersion.allows(same) {
            return false;
        }
        // What is swapped in is the judged metadata, changed.
        *self = Self { version: self.version, refuses: self.refuses.take(), ..judged.clone() };
        change(self);
        true
    }
}

impl MemoryLake {
    /// A lake whose calls go through that weather, and whose commits write a file each to these objects.
    pub fn under(weather: Arc<dyn Weather>, objects: MemoryObjects) -> Self {
        Self { faults: Faults::under(weather), objects, ..Self::default() }
    }

    /// Puts a table without snapshots in the place of whatever is there.
    pub fn put(&self, name: &TableName, state: TableState) {
        lock(&self.tables).insert(name.clone(), MemoryTable::new(state));
    }

    /// Drops a table.
    pub fn drop_table(&self, name: &TableName) {
        lock(&self.tables).remove(name);
    }

    /// Lets a table refuse commits of ours for good, with a sentence, or take them again.
    pub fn refuse(&self, name: &TableName, why: Option<&str>) {
        if let Some(table) = lock(&self.tables).get_mut(name) {
            table.refuses = why.map(str::to_owned);
        }
    }

    /// Another writer's commit, after which these are a source table's live files.
    pub fn commit(&self, name: &TableName, live: Vec<DataFile>) {
        if let Some(table) = lock(&self.tables).get_mut(name) {
            table.push(Snapshot { live, ..Snapshot::default() });
        }
    }

    /// A table's owner adds a column to it.
    pub fn add_column(&self, name: &TableName, column: Field) {
        if let Some(table) = lock(&self.tables).get_mut(name)
            && let Some(schema) = table.widened(&Schema { schema_id: 0, fields: vec![column] })
        {
            table.evolve(schema);
        }
    }

    /// Looks at all tables.
    pub fn inspect<T>(&self, look: impl FnOnce(&BTreeMap<TableName, MemoryTable>) -> T) -> T {
        look(&lock(&self.tables))
    }

    async fn load(&self, call: &str, name: &TableName) -> Result<MemoryTable, LakeError> {
        let found = || lock(&self.tables).get(name).cloned().ok_or_else(|| LakeError::NoTable(name.clone()));
        self.faults.around(call, unavailable, found).await
    }

    async fn load_of(&self, call: &str, name: &TableName, uuid: &str) -> Result<MemoryTable, LakeError> {
        let table = self.load(call, name).await?;
        if table.state.copy.table_uuid != uuid {
            return Err(LakeError::OtherTable(name.clone()));
        }
        Ok(table)
    }

    /// Writes the commit's file and adds its snapshot, if the table is as it was judged.
    async fn swap(&self, name: &TableName, judged: &MemoryTable, snapshot: Snapshot) -> Result<bool, LakeError> {
        if let Some(at) = &snapshot.commit_file {
            self.write(at).await?;
        }
        self.change(name, judged, |table| table.push(snapshot)).await
    }

    /// Writes a file of a table's metadata.
    async fn write(&self, at: &Location) -> Result<(), LakeError> {
        let written = self.objects.create(at, Bytes::new()).await;
        written.map_err(|error| LakeError::Unavailable(error.into()))
    }

    /// Changes a table, if it is as it was judged.
    async fn change(
        &self,
        name: &TableName,
        judged: &MemoryTable,
        change: impl FnOnce(&mut MemoryTable) + Send,
    ) -> Result<bool, LakeError> {
        let change = || {
            let mut tables = lock(&self.tables);
            let table = tables.get_mut(name).ok_or_else(|| LakeError::NoTable(name.clone()))?;
            Ok(table.change(judged, change))
        };
        self.faults.around("update_table", unavailable, change).await
    }
}

fn unavailable(why: String) -> LakeError {
    LakeError::Unavailable(why.into())
}

impl ReadTables for MemoryLake {
    async fn look(&self, table: &TableName, _: &str) -> Result<TableState, LakeError> {
        Ok(self.load("look", table).await?.look())
    }

    async fn look_pinned(&self, pin: &Pin, _: &str) -> Result<TableState, LakeError> {
        Ok(self.load_of("look_pinned", &pin.table, &pin.table_uuid).await?.look())
    }

    async fn files(&self, pin: &Pin, _: &str) -> Result<TableFiles, LakeError> {
        let table = self.load_of("files", &pin.table, &pin.table_uuid).await?;
        let Some(id) = pin.snapshot_id else { return Ok(TableFiles::default()) };
        match table.snapshots.into_iter().find(|s| s.id == id) {
            Some(snapshot) => Ok(TableFiles { data: snapshot.live, ..TableFiles::default() }),
            None => Err(LakeError::SnapshotGone(pin.table.clone())),
        }
    }
}

impl WidenTables for MemoryLake {
    async fn widen<F>(
        &self,
        table: &TableName,
        table_uuid: &str,
        wanted: &Schema,
        uuid: &str,
        tell: impl FnOnce(Widening) -> F + Send,
    ) -> Result<Widened, LakeError>
    where
        F: Future<Output = bool> + Send,
    {
        let mut judged = self.load_of("widen", table, table_uuid).await?;
        let (Some(schema), Some(at)) = (judged.widened(wanted), judged.widening_file(uuid)) else {
            return Ok(Widened::Stands(judged.look()));
        };
        let widening = Widening { table_uuid: table_uuid.into(), metadata_file: at.to_string() };
        if !Guard::StillPlanning.allows(tell(widening).await) {
            return Ok(Widened::Withdrawn);
        }
        self.write(&at).await?;
        let widen = |table: &mut MemoryTable| {
            table.evolve(schema);
            table.widenings.push(at);
        };
        if !self.change(table, &judged, widen.clone()).await? {
            return Ok(Widened::Conflict);
        }
        widen(&mut judged);
        Ok(Widened::Stands(judged.look()))
    }

    async fn overtake(&self, table: &TableName, widenings: &[Widening]) -> Result<Vec<String>, LakeError> {
        loop {
            let judged = self.load("overtake", table).await?;
            let ours = widenings.iter().filter(|widening| widening.table_uuid == judged.state.copy.table_uuid);
            let is_named = |file: &String| judged.widenings.iter().any(|at| at.to_string() == *file);
            let lost: Vec<_> = ours.map(|w| w.metadata_file.clone()).filter(|file| !is_named(file)).collect();
            let touch = |table: &mut MemoryTable| table.version += 1;
            if lost.is_empty() || !Guard::Overtaking.stands() || self.change(table, &judged, touch).await? {
                return Ok(lost);
            }
        }
    }
}

impl AppendOnce for MemoryLake {
    async fn append<F>(
        &self,
        commit: &Commit,
        still_committing: impl FnOnce() -> F + Send,
    ) -> Result<Appended, LakeError>
    where
        F: Future<Output = bool> + Send,
    {
        let target = &commit.target;
        let judged = self.load_of("load_table", &target.table, &target.table_uuid).await?;
        if judged.is_committed(commit.job_id) && Guard::JobCommittedOnce.stands() {
            return Ok(Appended::Visible);
        }
        if !Guard::StillCommitting.allows(still_committing().await) {
            return Ok(Appended::Withdrawn);
        }
        if let Some(why) = &judged.refuses {
            return Err(LakeError::Unsupported(why.clone()));
        }
        let (commit_file, added) = (judged.commit_file(commit), commit.files.clone());
        let snapshot = Snapshot { job: Some(commit.job_id), commit_file, added, ..Snapshot::default() };
        match self.swap(&target.table, &judged, snapshot).await? {
            true => Ok(Appended::Visible),
            false => Ok(Appended::Conflict),
        }
    }

    async fn abandon(&self, commit: &Commit) -> Result<Abandoned, LakeError> {
        let target = &commit.target;
        let judged = self.load_of("load_table", &target.table, &target.table_uuid).await?;
        if judged.is_committed(commit.job_id) {
            return Ok(Abandoned::Visible);
        }
        if judged.is_abandoned(commit.job_id) || !Guard::Abandoning.stands() {
            return Ok(Abandoned::Never);
        }
        let (commit_file, abandoned) = (judged.commit_file(commit), Some(commit.job_id));
        match self.swap(&target.table, &judged, Snapshot { commit_file, abandoned, ..Snapshot::default() }).await? {
            true => Ok(Abandoned::Never),
            false => Ok(Abandoned::Conflict),
        }
    }

    async fn named(&self, commit: &Commit, tried: &[String]) -> Result<Named, LakeError> {
        let table = self.load_of("named", &commit.target.table, &commit.target.table_uuid).await?;
        let added = table.snapshots.iter().flat_map(|s| &s.added);
        let of_job = added.filter(|file| commit.batches.contains(&file.batch_id));
        let files = of_job.map(|file| file.location.clone()).collect();
        let made = |uuid: &String| {
            let mut files = table.snapshots.iter().filter_map(|snapshot| snapshot.commit_file.as_ref());
            files.any(|at| at.key.contains(uuid.as_str()))
        };
        Ok(Named {
            committed: table.is_committed(commit.job_id),
            files,
            metadata_folder: table.metadata_folder(),
            moved: tried.iter().filter(|uuid| made(uuid)).cloned().collect(),
        })
    }
}
