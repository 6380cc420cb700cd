//! What the model is a model of: one job, its items, its table, its objects, and the processes that work on it.

use super::process::Process;
use domain::guard::Guard;
use domain::instant::Millis;
use domain::job::Job;
use domain::plan::{DataFile, OutputFile, Plan, PlannedPart};
use domain::ports::jobs::{Gate, PartRef, PartState};
use domain::ports::lake::TableState;
use domain::state::State as JobState;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};
use testkit::{MemoryTable, Snapshot, Tables, fixtures};

/// Shards of the job.
pub const SHARDS: u32 = 2;
/// When everything happens. Leases have always run out: no safety argument uses a clock.
pub const NOW: Millis = fixtures::NOW;
/// Files of a source's snapshot, and rows of each, which are one row group.
const FILES: usize = 2;
const FILE_ROWS: u64 = 2;

/// What else may happen, so many times.
#[derive(Clone, Copy, Debug, Default, Hash)]
pub struct Left {
    /// Processes that begin with a message.
    pub deliveries: u8,
    /// Parts that take too long.
    pub splits: u8,
    /// Commits of other writers to the export table.
    pub commits: u8,
    /// Commits of other writers to the source.
    pub writes: u8,
    /// Times that the export table changes between taking commits and refusing them.
    pub refusals: u8,
    /// Whether a client may cancel.
    pub cancels: bool,
}

/// All of it.
#[derive(Clone)]
pub struct State {
    pub tables: Tables,
    /// The export table.
    pub target: MemoryTable,
    /// The source's current snapshot.
    pub source: usize,
    /// The plan object: of which snapshot, by which release.
    pub plan: Option<(usize, usize)>,
    /// Output lists by their keys: the rows that they stand for.
    pub lists: BTreeMap<String, Vec<u64>>,
    pub processes: Vec<Process>,
    pub left: Left,
    /// Processes that ever began.
    pub begun: u8,
}

impl State {
    /// The job as a client has just created it.
    pub fn new(left: Left) -> Self {
        let mut tables = Tables::default();
        tables.create(&plain_job(), None, NOW);
        let copy = fixtures::export_dataset().copy.unwrap();
        let state = TableState { copy, snapshot_id: None, location: "s3://lake/exports".into() };
        Self {
            tables,
            target: MemoryTable::new(state),
            source: 0,
            plan: None,
            lists: BTreeMap::new(),
            processes: Vec::new(),
            left,
            begun: 0,
        }
    }

    /// The job as the last write left it.
    pub fn job(&self) -> Job {
        self.tables.job(&fixtures::tenant(), fixtures::job_id(1)).unwrap().job
    }

    /// The job's state alone.
    pub fn job_state(&self) -> JobState {
        self.tables.jobs.values().next().unwrap().job.state
    }

    /// What was planned.
    pub fn planned(&self) -> Option<&'static Plan> {
        self.plan.map(|(snapshot, release)| &PLANS[snapshot][release])
    }

    pub fn part_ref(&self, part: u32) -> PartRef {
        PartRef { tenant: fixtures::tenant(), job: fixtures::job_id(1), shard: part % SHARDS, part }
    }

    /// Judges what stands.
    pub fn judge(&self) -> Result<(), String> {
        let job = self.tables.jobs.values().next().unwrap();
        for ((_, _, number), shard) in &self.tables.shards {
            let of_shard = self.tables.parts.iter().filter(|(at, _)| at.shard == *number).map(|(_, item)| &item.part);
            let leaves: Vec<_> = of_shard.filter(|part| part.state != PartState::Split).collect();
            let done: Vec<_> = leaves.iter().filter(|part| part.state == PartState::Done).collect();
            hold(shard.done as usize == done.len(), || format!("I2: a shard counts {} parts", shard.done))?;
            let begun = job.job.work.is_some();
            hold(!begun || shard.total as usize == leaves.len(), || format!("I2: a shard is of {}", shard.total))?;
            let mut rows = 0;
            for part in done {
                let list = part.output.as_ref().and_then(|at| self.lists.get(at)).ok_or("I6: a list is gone")?;
                rows += list.len() as u64;
            }
            hold(shard.counts.rows == rows, || format!("I10: a shard counts {} rows of {rows}", shard.counts.rows))?;
        }
        let open = self.tables.shards.values().any(|shard| shard.gate == Gate::Open);
        hold(job.job.state != JobState::Cancelled || !open, || "I4: CANCELLED, and a gate is open".into())?;
        self.judge_table(&job.job)
    }

    /// I4, I5, I7, I8, I10: what is visible.
    fn judge_table(&self, job: &Job) -> Result<(), String> {
        let state = job.state;
        let of_job: Vec<&Snapshot> = self.target.snapshots.iter().filter(|snapshot| snapshot.job.is_some()).collect();
        hold(of_job.len() < 2, || "I5: the job is visible twice".into())?;
        let Some(visible) = of_job.first() else {
            return hold(state != JobState::Succeeded, || "I5: SUCCEEDED, and nothing is visible".into());
        };
        let may_be = matches!(state, JobState::Committing | JobState::Aborting | JobState::Succeeded);
        hold(may_be, || format!("I4: visible as {state:?}"))?;
        let mut rows: Vec<u64> = Vec::new();
        for file in &visible.added {
            rows.extend(self.lists.get(&file.location).ok_or("I6: a visible file is gone")?);
        }
        rows.sort_unstable();
        let pinned = job.pins.as_ref().and_then(|pins| pins[0].snapshot_id).unwrap_or_default();
        let all = rows_of_snapshot(pinned as usize);
        hold(rows == all, || format!("I7, I8: {rows:?} are visible of {all:?}"))?;
        let counted = job.counts.as_ref().map_or(rows.len() as u64, |counts| counts.rows);
        hold(counted == rows.len() as u64, || format!("I10: {counted} rows are counted of {}", rows.len()))
    }

    /// Judges a step from an earlier state.
    pub fn judge_step(&self, before: &Self) -> Result<(), String> {
        let (from, to) = (before.job_state(), self.job_state());
        hold(from == to || from.may_become(to), || format!("I3: from {from:?} to {to:?}"))?;
        for (at, item) in before.tables.parts.iter().filter(|(_, item)| item.part.state == PartState::Done) {
            let now = self.tables.parts.get(at).map(|item| &item.part);
            let same = now.is_some_and(|part| part.state == PartState::Done && part.output == item.part.output);
            hold(same, || format!("I1: part {} was done already", at.part))?;
        }
        for (at, rows) in &before.lists {
            hold(self.lists.get(at).is_none_or(|now| now == rows), || format!("I6: {at} was overwritten"))?;
        }
        hold(before.plan.is_none() || before.plan == self.plan, || "I6: the plan was overwritten".into())?;
        let ids = |state: &Self| state.target.snapshots.iter().map(|snapshot| snapshot.id).collect::<Vec<_>>();
        hold(ids(self).starts_with(&ids(before)), || "I6: a snapshot is gone".into())?;
        let done = |state: &Self| state.tables.shards.values().map(|shard| shard.done).sum::<u32>();
        let shards = || before.tables.shards.values();
        let closed = shards().count() > 0 && shards().all(|shard| shard.gate == Gate::Closed);
        hold(!closed || done(self) == done(before), || "I4: a part was done behind closed gates".into())
    }
}

/// A job without what no step looks at: states are copied all the time.
fn plain_job() -> Job {
    let mut job = fixtures::job(&fixtures::tenant(), 1);
    (job.echo, job.resolved.projection, job.resolved.filter) = Default::default();
    job.resolved.sources.clear();
    job
}

pub fn hold(condition: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(what()) }
}

/// The plans that may be made: of either snapshot of the source, by either of two releases that cut it differently.
static PLANS: LazyLock<[[Plan; 2]; 2]> =
    LazyLock::new(|| [0, 1].map(|snapshot| [1, 2].map(|each| plan(snapshot, each))));

/// A plan of a snapshot with so many files in each part.
fn plan(snapshot: usize, each: usize) -> Plan {
    let files: Vec<_> = (0..FILES).map(|n| file(snapshot, n)).collect();
    let parts = files.chunks(each).map(|files| PlannedPart { files: files.to_vec(), ..PlannedPart::default() });
    Plan { parts: parts.collect(), ..fixtures::plan(&fixtures::job(&fixtures::tenant(), 1), 0) }
}

fn file(snapshot: usize, n: usize) -> DataFile {
    DataFile {
        source: 0,
        location: format!("s3://sources/{}.parquet", snapshot * FILES + n),
        bytes: 100,
        rows: FILE_ROWS,
        bucket: None,
        range: None,
        split_offsets: vec![4],
        deletes: Vec::new(),
    }
}

fn rows_of_snapshot(snapshot: usize) -> Vec<u64> {
    (0..FILES).flat_map(|n| crate::rows::of_file(&file(snapshot, n))).collect()
}

/// The file that an output list names.
pub fn output(list: &str, rows: u64, job: &Job) -> OutputFile {
    OutputFile {
        location: list.to_owned(),
        batch_id: job.resolved.batches[0].clone(),
        bytes: rows,
        rows,
        profile_id_bounds: None,
        split_offsets: Vec::new(),
    }
}

/// What an attempt names its list: no two the same.
pub fn list_key(part: u32, attempt: u32, owner: &str) -> String {
    match Guard::UniqueKeys.stands() {
        true => format!("part-{part}-{attempt}-{owner}"),
        false => format!("part-{part}"),
    }
}

/// What tells states apart: all that a guard or an invariant reads.
impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        for record in self.tables.jobs.values() {
            hash_job(&record.job, hasher);
        }
        for shard in self.tables.shards.values() {
            ((shard.gate == Gate::Open), shard.total, shard.done, shard.counts.rows).hash(hasher);
        }
        for (at, item) in &self.tables.parts {
            let part = &item.part;
            (at.part, part.state as u8, part.attempt, &part.owner, &part.output).hash(hasher);
        }
        hash_table(&self.target, hasher);
        (self.source, self.plan, &self.lists, &self.processes, &self.left, self.begun).hash(hasher);
    }
}

pub fn hash_job(job: &Job, hasher: &mut impl Hasher) {
    let counted = job.counts.as_ref().map(|counts| counts.rows);
    let pinned = job.pins.as_ref().map(|pins| pins[0].snapshot_id);
    (job.state, job.version, pinned, job.work.is_some(), counted).hash(hasher);
}

fn hash_table(table: &MemoryTable, hasher: &mut impl Hasher) {
    (table.version, table.refuses.is_some()).hash(hasher);
    for snapshot in &table.snapshots {
        (snapshot.id, snapshot.job, snapshot.abandoned, snapshot.added.len()).hash(hasher);
    }
}

/// A record or table that a process has read and goes on from.
#[derive(Clone)]
pub struct Read<T>(pub Arc<T>);

impl<T> fmt::Debug for Read<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("_")
    }
}

impl Hash for Read<Job> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hash_job(&self.0, hasher);
    }
}

impl Hash for Read<MemoryTable> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hash_table(&self.0, hasher);
    }
}
