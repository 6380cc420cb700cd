//! P1–P4: pin the inputs, settle the plan, make shards and parts, start, fan out.

use crate::{Halt, Ports, stored_plan};
use domain::id::uuid_v4;
use domain::job::{Job, Work};
use domain::message::{Message, Task};
use domain::plan::{
    MAX_PLANNED_FILES, PLAN_VERSION, Pin, Plan, PlannedSource, PlannedTarget, TableName, compose_parts,
};
use domain::ports::jobs::{MoveJobs, PlanParts, ReadJobs, Swap};
use domain::ports::lake::{ReadTables, TableState};
use domain::ports::queue::SendMessages;
use domain::ports::registry::{Entry, ReadRegistry, WriteRegistry};
use domain::ports::{Clock, Random};
use domain::problem::Code;
use domain::registry::{Dataset, Registry, TableCopy};
use domain::state::State;
use domain::validation::{source_fitness, target_fitness, unknown_path};

/// How long a part may lie unclaimed before the sweeper sends its message again, in seconds.
const FIRST_PATIENCE_SECONDS: i64 = 120;

/// Plans a NEW job; for any other there is nothing to plan.
pub async fn plan<P: Ports>(ports: &P, job: &Job) -> Result<(), Halt> {
    if job.state != State::New {
        return Ok(());
    }
    let settled = match stored_plan::read(ports, job).await? {
        Some(plan) => plan,
        None => match compute(ports, job).await? {
            Some(plan) => stored_plan::settle(ports, job, plan).await?,
            None => return Ok(()),
        },
    };
    let weights: Vec<u64> = settled.parts.iter().map(|p| p.weight()).collect();
    let parts = weights.len() as u32;
    let shards = Work::shards_for(parts);
    if ports.jobs().create_shards(job, &Work::shard_totals(parts, shards)).await? == Swap::Moved {
        tracing::info!("the job moved on while it was planned");
        return Ok(());
    }
    let due = ports.clock().now().plus_seconds(FIRST_PATIENCE_SECONDS);
    ports.jobs().create_parts(job, shards, &weights, due).await?;
    let run_id = uuid_v4(ports.random().bits());
    let work = Work { run_id, shards, parts, weight: weights.iter().sum() };
    if start(ports, job, work).await? { fan_out(ports, job, parts).await } else { Ok(()) }
}

/// P1 and the computing half of P2. `None` = the job moved on meanwhile.
async fn compute<P: Ports>(ports: &P, job: &Job) -> Result<Option<Plan>, Halt> {
    let registry = ports.registry().registry(&job.tenant).await?;
    let source = dataset(&registry, &job.resolved.source)?;
    let target = dataset(&registry, &job.resolved.target)?;
    let read = look(ports, job, source, &job.resolved.source_table).await?;
    let written = look(ports, job, target, &job.resolved.target_table).await?;
    judge(job, source, &read.copy, &written.copy)?;
    let Some(pin) = pin(ports, job, source, &read).await? else { return Ok(None) };
    if pin.table_uuid != read.copy.table_uuid {
        return Err(Halt::permanent(Code::DatasetUnfit, "The profile dataset's table was dropped and created again."));
    }
    let files = ports.lake().files(&pin, &source.columns.profile_id).await?;
    if files.len() > MAX_PLANNED_FILES {
        let what = format!("The profile dataset has {} files; at most {MAX_PLANNED_FILES} are planned.", files.len());
        return Err(Halt::permanent(Code::LimitExceeded, format!("{what} Compact the table.")));
    }
    let data_prefix = format!("{}/data/", written.location.trim_end_matches('/'));
    Ok(Some(Plan {
        version: PLAN_VERSION,
        tenant: job.tenant.clone(),
        job_id: job.id,
        source: PlannedSource {
            pin,
            schema: read.copy.schema,
            columns: source.columns.clone(),
            unique_profiles: source.unique_profiles,
        },
        target: PlannedTarget {
            dataset_id: target.id.clone(),
            table: target.table.clone(),
            table_uuid: written.copy.table_uuid,
            schema: written.copy.schema,
            spec_id: written.copy.batch_spec_id.unwrap_or_default(),
            data_prefix,
        },
        projection: job.resolved.projection.clone(),
        filter: job.resolved.filter.clone(),
        batches: job.resolved.batches.clone(),
        parts: compose_parts(files, source.unique_profiles, ports.settings().part_target_bytes),
    }))
}

fn dataset<'r>(registry: &'r Registry, id: &str) -> Result<&'r Dataset, Halt> {
    let gone = || Halt::permanent(Code::UnknownReference, format!("The dataset {id} is no longer registered."));
    registry.dataset(id).ok_or_else(gone)
}

/// Looks at a dataset's table and refreshes the registry's copy of it.
async fn look<P: Ports>(ports: &P, job: &Job, dataset: &Dataset, resolved: &TableName) -> Result<TableState, Halt> {
    if dataset.table != *resolved {
        let what = format!("The dataset {} was registered with another table after the job was created.", dataset.id);
        return Err(Halt::permanent(Code::DatasetUnfit, what));
    }
    let state = ports.lake().look(&dataset.table, &dataset.columns.profile_id).await?;
    if dataset.copy.as_ref() != Some(&state.copy) {
        let fresh = Dataset { copy: Some(state.copy.clone()), ..dataset.clone() };
        ports.registry().put_entry(&job.tenant, &Entry::Dataset(fresh)).await?;
    }
    Ok(state)
}

/// What POST judged on the registry's copies, judged again on the tables themselves.
fn judge(job: &Job, source: &Dataset, read: &TableCopy, written: &TableCopy) -> Result<(), Halt> {
    let unfit = |what| Halt::permanent(Code::DatasetUnfit, what);
    source_fitness(source, Some(read)).map_err(unfit)?;
    target_fitness(Some(written)).map_err(unfit)?;
    match unknown_path(&job.resolved.projection, &source.columns, read) {
        None => Ok(()),
        Some(path) => {
            Err(Halt::permanent(Code::UnknownPath, format!("The profile schema has no path {path} any more.")))
        }
    }
}

/// P1. An earlier pin stands; `None` = the job moved on.
async fn pin<P: Ports>(ports: &P, job: &Job, source: &Dataset, read: &TableState) -> Result<Option<Pin>, Halt> {
    let pin = Pin {
        dataset_id: source.id.clone(),
        table: source.table.clone(),
        table_uuid: read.copy.table_uuid.clone(),
        snapshot_id: read.snapshot_id,
    };
    let mut job = job.clone();
    loop {
        if let Some(pins) = &job.pins {
            return Ok(pins.first().cloned());
        }
        let Ok(next) = job.pin(vec![pin.clone()], ports.clock().now()) else { return Ok(None) };
        match ports.jobs().swap(&next).await? {
            Swap::Done => return Ok(Some(pin)),
            Swap::Moved => match ports.jobs().job(&job.tenant, job.id).await? {
                Some(record) => job = record.job,
                None => return Ok(None),
            },
        }
    }
}

/// P3: NEW → PROCESSING; whether the job is being processed now, by this call or another's.
async fn start<P: Ports>(ports: &P, job: &Job, work: Work) -> Result<bool, Halt> {
    loop {
        let Some(record) = ports.jobs().job(&job.tenant, job.id).await? else { return Ok(false) };
        let Ok(next) = record.job.start(work.clone(), ports.clock().now()) else {
            return Ok(record.job.state == State::Processing);
        };
        if ports.jobs().swap(&next).await? == Swap::Done {
            return Ok(true);
        }
    }
}

/// P4. A job without parts goes straight to its commit.
async fn fan_out<P: Ports>(ports: &P, job: &Job, parts: u32) -> Result<(), Halt> {
    let message = |task| Message::new(&job.tenant, job.id, task);
    let messages: Vec<_> = match parts {
        0 => vec![message(Task::Commit)],
        n => (0..n).map(|part| message(Task::Part { part })).collect(),
    };
    Ok(ports.queue().send(&messages).await?)
}
