//! W1–W4: claim a part, export it, hand in its output list.

use crate::{Halt, Ports, stored_plan};
use bytes::Bytes;
use domain::id::{BatchId, uuid_v4};
use domain::job::{Job, Progress, Work};
use domain::message::{Message, Task};
use domain::plan::{OutputList, Plan, part_file};
use domain::ports::jobs::{Claim, EndJobs, MoveJobs, Part, PartDone, PartRef, Shard, Swap, WorkParts};
use domain::ports::objects::{Location, WriteObjects};
use domain::ports::queue::SendMessages;
use domain::ports::{Clock, Random};
use domain::problem::Code;
use domain::state::State;
use engine::{EngineError, PartTask, Step};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Exports one part of a job, unless it is done, gated or in other hands.
pub async fn export<P: Ports>(ports: &P, job: &Job, number: u32) -> Result<(), Halt> {
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
    if claimed.attempt > ports.settings().max_attempts {
        let what = format!("Part {number} was tried {} times and never finished.", ports.settings().max_attempts);
        return Err(Halt::permanent(Code::Internal, what));
    }
    let plan = stored_plan::read(ports, job).await?;
    let plan = plan.ok_or_else(|| Halt::permanent(Code::Internal, "The job's plan has vanished."))?;
    let list = match work_on(ports, &plan, &part, &claimed, &owner).await? {
        Some(list) => list,
        None => return Ok(()),
    };
    hand_in(ports, job, work, &part, &claimed, owner, list).await
}

/// W2 and W3: exports while the lease is kept alive. `None` = the part is no longer this worker's.
async fn work_on<P: Ports>(
    ports: &P,
    plan: &Plan,
    part: &PartRef,
    claimed: &Part,
    owner: &str,
) -> Result<Option<OutputList>, Halt> {
    let broken = || Halt::permanent(Code::Internal, "The job's plan does not fit its parts.");
    let planned = plan.parts.get(part.part as usize).ok_or_else(broken)?;
    let prefix = Location::parse(&plan.target.data_prefix).ok_or_else(broken)?;
    let file_at = |batch: &BatchId, n: usize| prefix.join(&part_file(part.part, claimed.attempt, owner, batch, n));
    let task = PartTask { plan, part: planned, settings: ports.settings().engine };
    let lost = AtomicBool::new(false);
    let export = engine::export_part(ports.objects(), &task, file_at, |_| match lost.load(Ordering::Relaxed) {
        true => Step::Stop,
        false => Step::Continue,
    });
    let alive = keep_alive(ports, part, claimed, owner, &lost);
    tokio::pin!(export, alive);
    let outcome = tokio::select! {
        outcome = &mut export => outcome,
        () = &mut alive => export.await,
    };
    match outcome {
        Ok(list) => Ok(Some(list)),
        Err(EngineError::Stopped) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// W3: renews the lease thrice in its time; returns, with `lost` raised, once the part is no longer ours. An answer that
/// does not come is no reason to stop: the commit's own guard decides.
async fn keep_alive<P: Ports>(ports: &P, part: &PartRef, claimed: &Part, owner: &str, lost: &AtomicBool) {
    let seconds = ports.settings().lease_seconds;
    loop {
        tokio::time::sleep(Duration::from_millis(u64::from(seconds) * 1_000 / 3)).await;
        let until = ports.clock().now().plus_seconds(seconds.into());
        match ports.jobs().renew(part, owner, claimed.attempt, until).await {
            Ok(Swap::Done) => {}
            Ok(Swap::Moved) => break,
            Err(error) => tracing::warn!(%error, "the lease could not be renewed"),
        }
    }
    lost.store(true, Ordering::Relaxed);
}

/// W4: the output list as an object, then the part DONE. A part that went to another attempt leaves no files behind.
async fn hand_in<P: Ports>(
    ports: &P,
    job: &Job,
    work: &Work,
    part: &PartRef,
    claimed: &Part,
    owner: String,
    list: OutputList,
) -> Result<(), Halt> {
    let name = format!("outputs/part-{:05}-{}-{owner}.json", part.part, claimed.attempt);
    let at = stored_plan::folder(ports, job).join(&name);
    let body = serde_json::to_vec(&list).map_err(|e| Halt::Later(Box::new(e)))?;
    ports.objects().create(&at, Bytes::from(body)).await?;
    let done = PartDone {
        attempt: claimed.attempt,
        owner,
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
    let progress = progress_of(&shards);
    ports.jobs().report(&job.tenant, job.id, progress).await?;
    if progress.parts_done == work.parts {
        ports.queue().send(&[Message::new(&job.tenant, job.id, Task::Commit)]).await?;
    }
    Ok(())
}

/// A job's progress, added up from its shards.
fn progress_of(shards: &[Shard]) -> Progress {
    shards.iter().fold(Progress::default(), |sum, shard| Progress {
        parts_done: sum.parts_done + shard.done,
        weight_done: sum.weight_done + shard.weight_done,
        rows: sum.rows + shard.counts.rows,
        bytes: sum.bytes + shard.counts.bytes,
    })
}
