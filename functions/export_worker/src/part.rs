//! W1–W5: claim a part, export it, hand in its output list, or leave it as two halves.

use crate::plan::FIRST_PATIENCE_SECONDS;
use crate::{ExportParts, Halt, Ports, commit, distinct, stored_plan};
use bytes::Bytes;
use domain::guard::Guard;
use domain::id::{BatchId, uuid_v4};
use domain::instant::Millis;
use domain::job::{Job, JobRecord, Progress, Work};
use domain::message::{Message, Task};
use domain::plan::{OutputList, Plan, PlannedPart, part_file};
use domain::ports::jobs::{Claim, EndJobs, MoveJobs, Part, PartDone, PartRef, PartSplit, Shard, Swap, WorkParts};
use domain::ports::objects::{Location, WriteObjects};
use domain::ports::queue::SendMessages;
use domain::ports::{Clock, Random};
use domain::problem::Code;
use domain::state::State;
use engine::{EngineError, Step};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Between two words of a part at work about its progress.
const SECONDS_BETWEEN_REPORTS: i64 = 2;

/// Exports one part of a job, unless it is done, gated or in other hands.
pub async fn export<P: Ports>(ports: &P, record: &JobRecord, number: u32) -> Result<(), Halt> {
    let job = &record.job;
    let (State::Processing, Some(work)) = (job.state, &job.work) else { return Ok(()) };
    let part =
        PartRef { tenant: job.tenant.clone(), job: job.id, shard: Work::shard_of(number, work.shards), part: number };
    let owner = uuid_v4(ports.random().bits());
    let now = ports.clock().now();
    let lease = now.plus_seconds(ports.settings().lease_seconds.into());
    let claimed = match ports.jobs().claim(&part, &owner, now, lease).await? {
        Claim::Mine(claimed) => claimed,
        Claim::NotNow => return Ok(()),
    };
    let plan = stored_plan::read(ports, job).await?;
    let plan = plan.ok_or_else(|| Halt::permanent(Code::Internal, "The job's plan has vanished."))?;
    let planned = plan.part(number, work.shards);
    let planned = planned.ok_or_else(|| Halt::permanent(Code::Internal, "The job's plan does not fit its parts."))?;
    let most = ports.settings().max_attempts;
    if claimed.attempt > most {
        return Err(Halt::never_finished(number, most, &plan, &planned));
    }
    let seen = Seen { work, before: record.progress.weight_done, here: AtomicU64::new(0) };
    let mine = Mine { part, claimed, owner, halves: plan.halves(number, work.shards), seen };
    match work_on(ports, &plan, &planned, &mine).await? {
        Worked::Out(list) => {
            let is_distinct = list.distinct;
            hand_in(ports, job, work, &mine, list).await?;
            if is_distinct {
                distinct::mark(ports, &plan, &planned).await;
            }
            Ok(())
        }
        Worked::TooLong => leave_halves(ports, &mine).await,
        Worked::Lost => Ok(()),
    }
}

/// A part under this worker's claim.
struct Mine<'a> {
    part: PartRef,
    claimed: Part,
    owner: String,
    halves: Option<[u32; 2]>,
    seen: Seen<'a>,
}

/// How much of a job's work this worker sees done, in planned bytes.
struct Seen<'a> {
    work: &'a Work,
    /// Of other parts, when this one was begun.
    before: u64,
    /// Of this part.
    here: AtomicU64,
}

/// What became of the work.
enum Worked {
    /// All is exported.
    Out(OutputList),
    /// It takes longer than a worker has.
    TooLong,
    /// The part is no longer this worker's.
    Lost,
}

/// W2 and W3: exports while the lease is kept alive, as long as there is time.
async fn work_on<P: Ports>(ports: &P, plan: &Plan, planned: &PlannedPart, mine: &Mine<'_>) -> Result<Worked, Halt> {
    let number = mine.part.part;
    let prefix = Location::parse(&plan.target.data_prefix);
    let prefix = prefix.ok_or_else(|| Halt::permanent(Code::Internal, "The job's plan names no folder."))?;
    let (attempt, owner) = match Guard::UniqueKeys.stands() {
        true => (mine.claimed.attempt, mine.owner.as_str()),
        false => (0, "00000000"),
    };
    let file_at = |batch: &BatchId, n: usize| prefix.join(&part_file(number, attempt, owner, batch, n));
    let time_is_up = ports.clock().now().plus_seconds(ports.settings().split_after_seconds.into());
    let (lost, late) = (AtomicBool::new(false), AtomicBool::new(false));
    let export = ports.engine().export(plan, planned, file_at, |progress| {
        mine.seen.here.store(progress.weight, Ordering::Relaxed);
        let is_late = mine.halves.is_some() && ports.clock().now() >= time_is_up;
        late.fetch_or(is_late, Ordering::Relaxed);
        if is_late || lost.load(Ordering::Relaxed) { Step::Stop } else { Step::Continue }
    });
    let alive = async {
        tokio::select! {
            biased;
            () = keep_alive(ports, mine, &lost) => {}
            () = tell_progress(ports, mine) => {}
        }
    };
    tokio::pin!(export, alive);
    let outcome = tokio::select! {
        biased;
        outcome = &mut export => outcome,
        () = &mut alive => export.await,
    };
    match outcome {
        Ok(list) => Ok(Worked::Out(list)),
        Err(EngineError::Stopped) if late.load(Ordering::Relaxed) => Ok(Worked::TooLong),
        Err(EngineError::Stopped) => Ok(Worked::Lost),
        Err(error) => Err(Halt::of_engine(error, plan, planned)),
    }
}

/// W3: renews the lease thrice in its time; returns, with `lost` raised, once the part is no longer ours or its gate is
/// closed. An answer that does not come is no reason to stop: the commit's own guard decides.
async fn keep_alive<P: Ports>(ports: &P, mine: &Mine<'_>, lost: &AtomicBool) {
    let lease = i64::from(ports.settings().lease_seconds);
    loop {
        let now = ports.clock().now();
        ports.clock().sleep_until(Millis(now.0 + lease * 1_000 / 3)).await;
        let until = ports.clock().now().plus_seconds(lease);
        match ports.jobs().renew(&mine.part, &mine.owner, mine.claimed.attempt, until).await {
            Ok(Swap::Done) => {}
            Ok(Swap::Moved) => break,
            Err(error) => tracing::warn!(%error, "the lease could not be renewed"),
        }
    }
    lost.store(true, Ordering::Relaxed);
}

/// W3: tells how much of the job is seen done, where it shows in the percent, every two seconds at most. Never ends.
async fn tell_progress<P: Ports>(ports: &P, mine: &Mine<'_>) {
    let Mine { part, seen, .. } = mine;
    let mut told = seen.work.percent(seen.before);
    loop {
        ports.clock().sleep_until(ports.clock().now().plus_seconds(SECONDS_BETWEEN_REPORTS)).await;
        let weight = seen.before + seen.here.load(Ordering::Relaxed);
        let percent = seen.work.percent(weight);
        if percent <= told {
            continue;
        }
        match ports.jobs().report_seen(&part.tenant, part.job, weight).await {
            Ok(()) => told = percent,
            Err(error) => tracing::warn!(%error, "the progress could not be told"),
        }
    }
}

/// W5: the halves in place of the part, each with a message of its own.
async fn leave_halves<P: Ports>(ports: &P, mine: &Mine<'_>) -> Result<(), Halt> {
    let Some(halves) = mine.halves else { return Ok(()) };
    let (part, weight) = (&mine.part, mine.claimed.weight);
    let split = PartSplit {
        attempt: mine.claimed.attempt,
        owner: mine.owner.clone(),
        halves: [(halves[0], weight - weight / 2), (halves[1], weight / 2)],
        due: ports.clock().now().plus_seconds(FIRST_PATIENCE_SECONDS),
    };
    if ports.jobs().split(part, &split).await? == Swap::Moved {
        return Ok(());
    }
    tracing::info!(part = part.part, "the part takes too long; it goes on as two halves");
    let message = |part| Message::new(&mine.part.tenant, mine.part.job, Task::Part { part });
    Ok(ports.queue().send(&halves.map(message)).await?)
}

/// W4: the output list as an object, then the part DONE. A part that went to another attempt leaves no files behind.
async fn hand_in<P: Ports>(ports: &P, job: &Job, work: &Work, mine: &Mine<'_>, list: OutputList) -> Result<(), Halt> {
    let Mine { part, claimed, owner, .. } = mine;
    let name = format!("outputs/part-{:05}-{}-{owner}.json", part.part, claimed.attempt);
    let at = stored_plan::folder(ports, job).join(&name);
    let body = serde_json::to_vec(&list).map_err(|e| Halt::Later(Box::new(e)))?;
    ports.objects().create(&at, Bytes::from(body)).await?;
    let done = PartDone {
        attempt: claimed.attempt,
        owner: owner.clone(),
        weight: claimed.weight,
        output: at.to_string(),
        counts: list.counts.clone(),
    };
    if ports.jobs().finish(part, &done).await? == Swap::Moved {
        tracing::info!(part = part.part, "the part went to another attempt, or its gate is closed; dropping its files");
        for file in list.files.iter().filter_map(|f| Location::parse(&f.location)).chain([at]) {
            ports.objects().delete(&file).await?;
        }
        return Ok(());
    }
    let shards = ports.jobs().shards(&job.tenant, job.id, work.shards).await?;
    let progress = Progress { told: Some(ports.clock().now()), ..progress_of(&shards) };
    ports.jobs().report(&job.tenant, job.id, progress).await?;
    if commit::all_done(&shards, work.shards) {
        ports.queue().send(&[Message::new(&job.tenant, job.id, Task::Commit)]).await?;
    }
    Ok(())
}

/// A job's progress, added up from its shards.
fn progress_of(shards: &[Shard]) -> Progress {
    shards.iter().fold(Progress::default(), |sum, shard| Progress {
        parts: sum.parts + shard.total,
        parts_done: sum.parts_done + shard.done,
        weight_done: sum.weight_done + shard.weight_done,
        rows: sum.rows + shard.counts.rows,
        bytes: sum.bytes + shard.counts.bytes,
        ..sum
    })
}
