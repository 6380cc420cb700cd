//! P1–P4: pin the inputs, settle the plan, make shards and parts, start, fan out.

use crate::commit::{SWAPS_PER_MESSAGE, fresh_uuid};
use crate::{Halt, Ports, distinct, step, stored_plan};
use domain::guard::Guard;
use domain::id::uuid_v4;
use domain::job::{Job, ResolvedDataset, Widening, Work};
use domain::message::{Message, Task};
use domain::plan::{
    MAX_PLANNED_FILES, PLAN_VERSION, Pin, Plan, PlannedSource, PlannedTarget, TableFiles, compose_parts,
};
use domain::ports::jobs::{MoveJobs, PlanParts, ReadJobs, Swap};
use domain::ports::lake::{ReadTables, TableState, WidenTables, Widened};
use domain::ports::queue::SendMessages;
use domain::ports::registry::{Entry, ReadRegistry, WriteRegistry};
use domain::ports::{Clock, Random};
use domain::problem::Code;
use domain::registry::{Dataset, DatasetKind, Registry};
use domain::schema::{Schema, differences};
use domain::state::State;
use domain::union::export_schema_of;
use domain::validation::{MergeNeeds, merge_fitness, source_fitness, target_fitness, unknown_path};

/// How long a part may lie unclaimed before the sweeper sends its message again, in seconds.
pub const FIRST_PATIENCE_SECONDS: i64 = 120;

/// Plans a NEW job, and sends the messages of one whose planner did not come so far; for any other there is nothing to plan.
pub async fn plan<P: Ports>(ports: &P, job: &Job) -> Result<(), Halt> {
    if job.state != State::New {
        return fan_out(ports, job).await;
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
    let work = Work { run_id, shards, parts, weight: weights.iter().sum(), fanned_out: false };
    match start(ports, job, work).await? {
        Some(started) => fan_out(ports, &started).await,
        None => Ok(()),
    }
}

/// P1 and the computing half of P2. `None` = the job moved on meanwhile.
async fn compute<P: Ports>(ports: &P, job: &Job) -> Result<Option<Plan>, Halt> {
    let registry = ports.registry().registry(&job.tenant).await?;
    let (mut datasets, mut states) = (Vec::new(), Vec::new());
    for resolved in &job.resolved.sources {
        let (dataset, state) = look(ports, job, &registry, resolved).await?;
        datasets.push(dataset);
        states.push(state);
    }
    let Some(pins) = pin(ports, job, &datasets, &states).await? else { return Ok(None) };
    let current = || datasets.iter().zip(&states).map(|(d, state)| state.pin(&d.id, &d.table)).collect();
    let pins = if Guard::PinnedSnapshot.stands() { pins } else { current() };
    hold(ports, &mut datasets, states, &pins).await?;
    let needs = judge(job, &datasets)?;
    let Some(target) = widened_target(ports, job, &registry, &datasets).await? else { return Ok(None) };
    let mut tables = files(ports, &datasets, &pins).await?;
    let unbucketed = |table: &TableFiles| table.data.iter().any(|file| file.bucket.is_none());
    if matches!(needs, MergeNeeds::Buckets(_)) && tables.iter().any(unbucketed) {
        let what = "The buckets of a table were given up while the job was planned; create the job again.";
        return Err(Halt::permanent(Code::DatasetUnfit, what));
    }
    let sources = datasets.into_iter().zip(pins).zip(&mut tables).map(|((dataset, pin), table)| PlannedSource {
        kind: dataset.kind,
        pin,
        schema: dataset.copy.map(|copy| copy.schema).unwrap_or_default(),
        former: std::mem::take(&mut table.former),
        name_mapping: table.name_mapping.take(),
        columns: dataset.columns,
        unique_profiles: dataset.unique_profiles,
    });
    let sources: Vec<_> = sources.collect();
    if matches!(needs, MergeNeeds::Buckets(_)) {
        distinct::recall(ports, &job.tenant, &sources, &mut tables).await;
    }
    let resolved = job.resolved.clone();
    Ok(Some(Plan {
        version: PLAN_VERSION,
        tenant: job.tenant.clone(),
        job_id: job.id,
        sources,
        target,
        merge_policy: resolved.merge_policy,
        projection: resolved.projection,
        filter: resolved.filter,
        events: resolved.events,
        batches: resolved.batches,
        segment_per_batch: resolved.segment_per_batch,
        parts: compose_parts(tables, needs, ports.settings().part_target_bytes),
    }))
}

/// A dataset of the job and its table as it stands; refreshes the registry's copy of it.
async fn look<P: Ports>(
    ports: &P,
    job: &Job,
    registry: &Registry,
    resolved: &ResolvedDataset,
) -> Result<(Dataset, TableState), Halt> {
    let ResolvedDataset { id, kind, table } = resolved;
    let Some(dataset) = registry.dataset(id) else {
        return Err(Halt::permanent(Code::UnknownReference, format!("The dataset {id} is no longer registered.")));
    };
    if dataset.table != *table || dataset.kind != *kind {
        let what = format!("The dataset {id} was registered otherwise after the job was created.");
        return Err(Halt::permanent(Code::DatasetUnfit, what));
    }
    let state = ports.lake().look(table, &dataset.columns.profile_id).await.map_err(|e| Halt::of_table(e, id))?;
    Ok((refresh(ports, job, dataset, &state).await?, state))
}

/// The dataset with the table's copy as it stands, which the registry gets too.
async fn refresh<P: Ports>(ports: &P, job: &Job, dataset: &Dataset, state: &TableState) -> Result<Dataset, Halt> {
    let fresh = Dataset { copy: Some(state.copy.clone()), ..dataset.clone() };
    if *dataset != fresh {
        ports.registry().put_entry(&job.tenant, &Entry::Dataset(fresh.clone().into())).await?;
    }
    Ok(fresh)
}

/// What POST judged on the registry's copies, judged again on the tables themselves.
fn judge(job: &Job, datasets: &[Dataset]) -> Result<MergeNeeds, Halt> {
    let unfit = |what| Halt::permanent(Code::DatasetUnfit, what);
    for dataset in datasets {
        source_fitness(dataset, dataset.copy.as_ref()).map_err(unfit)?;
    }
    let by_reference: Vec<_> = datasets.iter().collect();
    let with_times = job.resolved.filter.updated_after.is_some();
    let needs = merge_fitness(&by_reference, with_times).map_err(|(_, what)| unfit(what))?;
    let tables = |kind| {
        let of_kind = datasets.iter().filter(move |d| d.kind == kind);
        of_kind.filter_map(|d| Some((&d.columns, d.copy.as_ref()?))).collect::<Vec<_>>()
    };
    let events = job.resolved.events.iter().map(|events| (&events.projection, DatasetKind::Event));
    for (projection, kind) in [(&job.resolved.projection, DatasetKind::Profile)].into_iter().chain(events) {
        if let Some(path) = unknown_path(projection, &tables(kind)) {
            return Err(Halt::permanent(Code::UnknownPath, format!("The schema has no path {path} any more.")));
        }
    }
    Ok(needs)
}

/// The export dataset, its table widened by whatever the sources have gained. `None` = the job moved on.
async fn widened_target<P: Ports>(
    ports: &P,
    job: &Job,
    registry: &Registry,
    sources: &[Dataset],
) -> Result<Option<PlannedTarget>, Halt> {
    let (dataset, state) = look(ports, job, registry, &job.resolved.target).await?;
    target_fitness(Some(&state.copy)).map_err(|what| Halt::permanent(Code::DatasetUnfit, what))?;
    let mut conflicts = Vec::new();
    let wanted = export_schema_of(&sources.iter().collect::<Vec<_>>(), &mut conflicts);
    if let Some(conflict) = conflicts.first() {
        let what = format!("The dataset {} cannot be exported with the others: {}", conflict.dataset_id, conflict.what);
        return Err(Halt::permanent(Code::DatasetUnfit, what));
    }
    let Some(state) = widened(ports, job, &dataset, state, &wanted).await? else { return Ok(None) };
    refresh(ports, job, &dataset, &state).await?;
    Ok(Some(PlannedTarget {
        dataset_id: dataset.id,
        table: dataset.table,
        table_uuid: state.copy.table_uuid,
        schema: state.copy.schema,
        spec_id: state.copy.batch_spec_id.unwrap_or_default(),
        data_prefix: format!("{}/data/", state.location.trim_end_matches('/')),
    }))
}

/// The table of the export dataset with all that is wanted of it. `None` = the job moved on.
async fn widened<P: Ports>(
    ports: &P,
    job: &Job,
    dataset: &Dataset,
    state: TableState,
    wanted: &Schema,
) -> Result<Option<TableState>, Halt> {
    if differences(wanted, &state.copy.schema).is_empty() {
        return Ok(Some(state));
    }
    for _ in 0..SWAPS_PER_MESSAGE {
        let mut told = Ok(None);
        let slot = &mut told;
        let tell = |widening: Widening| async move {
            let next = step::take(ports, job, |job, now| job.attempt_widening(widening.clone(), now)).await;
            *slot = next.map(|next| next.map(|_| widening));
            matches!(slot, Ok(Some(_)))
        };
        let uuid = fresh_uuid(ports);
        let widened = ports.lake().widen(&dataset.table, &state.copy.table_uuid, wanted, &uuid, tell).await;
        let told = told?;
        match widened.map_err(|e| Halt::of_table(e, &dataset.id))? {
            Widened::Stands(state) => {
                if let Some(widening) = told {
                    step::take(ports, job, |job, now| job.keep_widening(&widening, now)).await?;
                }
                return Ok(Some(state));
            }
            Widened::Withdrawn => return Ok(None),
            Widened::Conflict => tracing::info!("another change of the table came first; looking again"),
        }
    }
    Err(Halt::restless())
}

/// P1. Earlier pins stand; `None` = the job moved on.
async fn pin<P: Ports>(
    ports: &P,
    job: &Job,
    datasets: &[Dataset],
    states: &[TableState],
) -> Result<Option<Vec<Pin>>, Halt> {
    let pins: Vec<_> = datasets.iter().zip(states).map(|(d, state)| state.pin(&d.id, &d.table)).collect();
    let mut job = job.clone();
    loop {
        if let Some(pins) = &job.pins {
            return Ok(Some(pins.clone()));
        }
        let Ok(next) = job.pin(pins.clone(), ports.clock().now()) else { return Ok(None) };
        match ports.jobs().swap(&next).await? {
            Swap::Done => return Ok(Some(pins)),
            Swap::Moved => match ports.jobs().job(&job.tenant, job.id).await? {
                Some(record) => job = record.job,
                None => return Ok(None),
            },
        }
    }
}

/// Holds the datasets to their pins: an earlier attempt's, or another planner's, may name an older schema, which is then
/// what everything is judged and planned by. The registry's copies stay as they are.
async fn hold<P: Ports>(
    ports: &P,
    datasets: &mut [Dataset],
    states: Vec<TableState>,
    pins: &[Pin],
) -> Result<(), Halt> {
    for ((dataset, state), pin) in datasets.iter_mut().zip(states).zip(pins) {
        if pin.table_uuid != state.copy.table_uuid {
            let what = format!("The table of the dataset {} was dropped and created again.", dataset.id);
            return Err(Halt::permanent(Code::DatasetUnfit, what));
        }
        if pin.schema_id.is_some_and(|id| id != state.copy.schema.schema_id) {
            let pinned = ports.lake().look_pinned(pin, &dataset.columns.profile_id).await;
            let pinned = pinned.map_err(|e| Halt::of_table(e, &dataset.id))?;
            dataset.copy = Some(pinned.copy);
        }
    }
    Ok(())
}

/// The files of all sources at their pinned snapshots.
async fn files<P: Ports>(ports: &P, datasets: &[Dataset], pins: &[Pin]) -> Result<Vec<TableFiles>, Halt> {
    let mut tables = Vec::new();
    for (dataset, pin) in datasets.iter().zip(pins) {
        let files = ports.lake().files(pin, &dataset.columns.profile_id).await;
        tables.push(files.map_err(|e| Halt::of_table(e, &dataset.id))?);
    }
    let files: usize = tables.iter().map(|t: &TableFiles| t.data.len() + t.deletes.len()).sum();
    if files > MAX_PLANNED_FILES {
        let what = format!("The export reads {files} files; at most {MAX_PLANNED_FILES} are planned.");
        return Err(Halt::permanent(Code::LimitExceeded, format!("{what} Compact the tables.")));
    }
    Ok(tables)
}

/// P3: NEW → PROCESSING, by this call or another's; the job as it stands then. `None` = its record is gone.
async fn start<P: Ports>(ports: &P, job: &Job, work: Work) -> Result<Option<Job>, Halt> {
    loop {
        let Some(record) = ports.jobs().job(&job.tenant, job.id).await? else { return Ok(None) };
        let Ok(next) = record.job.start(work.clone(), ports.clock().now()) else { return Ok(Some(record.job)) };
        if ports.jobs().swap(&next).await? == Swap::Done {
            return Ok(Some(next));
        }
    }
}

/// P4, unless it is done or the job went another way; told on the record once all is sent, so that whatever stops a planner
/// before that is noticed. A job without parts goes straight to its commit.
async fn fan_out<P: Ports>(ports: &P, job: &Job) -> Result<(), Halt> {
    let Some(work) = job.work_to_fan_out() else { return Ok(()) };
    let message = |task| Message::new(&job.tenant, job.id, task);
    let messages: Vec<_> = match work.parts {
        0 => vec![message(Task::Commit)],
        n => (0..n).map(|part| message(Task::Part { part })).collect(),
    };
    ports.queue().send(&messages).await?;
    step::take(ports, job, Job::fan_out).await.map(drop)
}
