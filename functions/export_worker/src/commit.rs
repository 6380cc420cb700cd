//! F1–F3: close the work, append the job's one snapshot, reveal it.

use crate::halt::refused;
use crate::{Halt, Ports, abandon, end, step, stored_plan};
use domain::guard::Guard;
use domain::id::uuid_v4;
use domain::invariant;
use domain::job::Job;
use domain::plan::{Counts, OutputFile, OutputList, Plan};
use domain::ports::jobs::{EndJobs, Gate, MoveJobs, PartState, ReadJobs, Shard, Swap};
use domain::ports::lake::{AppendOnce, Appended, Commit, LakeError};
use domain::ports::objects::{Location, ObjectError, ReadObjects};
use domain::ports::{Clock, Random};
use domain::problem::Code;
use domain::state::State;
use futures::{StreamExt, TryStreamExt, stream};

/// Attempts at the swap before the message is given back to the queue.
pub const SWAPS_PER_MESSAGE: usize = 10;
/// What the UUID of every commit of ours and of every change of columns begins with, and so all their files have in their
/// names: by it the worker's role may delete them, and no other file of a table's metadata.
pub const COMMITS_BEGIN_WITH: u32 = 0x5e65_ec70;
/// What a job's error says where its table takes no commit.
const REFUSED: &str = "the export cannot be committed";
/// Output lists that are read at a time.
const LISTS_AT_A_TIME: usize = 16;

/// Brings a job to its end as far as it can be brought now: commits it, or finishes its cancelling, failing or abandoning.
pub async fn advance<P: Ports>(ports: &P, job: &Job) -> Result<(), Halt> {
    let mut job = job.clone();
    loop {
        let next = match job.state {
            State::Processing if is_complete(ports, &job).await? => match job.begin_commit(ports.clock().now()) {
                Ok(next) => next,
                Err(_) => return Ok(()),
            },
            State::Committing => return commit(ports, job).await,
            State::Cancelling | State::Failing => return end::close(ports, &job).await,
            State::Aborting => return abandon::settle(ports, &job).await,
            State::New | State::Processing => return Ok(()),
            State::Succeeded | State::Failed | State::Cancelled => return Ok(()),
        };
        job = match ports.jobs().swap(&next).await? {
            Swap::Done => next,
            Swap::Moved => match ports.jobs().job(&job.tenant, job.id).await? {
                Some(record) => record.job,
                None => return Ok(()),
            },
        };
    }
}

/// Whether every part of every shard is DONE (F1's guard).
async fn is_complete<P: Ports>(ports: &P, job: &Job) -> Result<bool, Halt> {
    let Some(work) = &job.work else { return Ok(false) };
    let shards = ports.jobs().shards(&job.tenant, job.id, work.shards).await?;
    invariant::plausible(&shards).map_err(Halt::broken)?;
    let open = shards.iter().all(|s| s.gate == Gate::Open);
    Ok(Guard::Complete.allows(open && all_done(&shards, work.shards)))
}

/// Whether all parts of all shards are DONE.
pub fn all_done(shards: &[Shard], number: u32) -> bool {
    shards.len() == number as usize && shards.iter().all(|s| s.done == s.total)
}

/// F2 and F3.
async fn commit<P: Ports>(ports: &P, mut job: Job) -> Result<(), Halt> {
    let plan = stored_plan::read(ports, &job).await?;
    let Some(plan) = plan else {
        return Err(Halt::Later("the plan of a committing job cannot be found".into()));
    };
    let (files, counts) = match agreed(ports, &job).await {
        Ok(lists) => sum(lists),
        Err(Halt::Permanent(error)) => return abandon::begin(ports, &job, error).await,
        Err(later) => return Err(later),
    };
    for _ in 0..SWAPS_PER_MESSAGE {
        let commit_uuid = fresh_uuid(ports);
        let Ok(next) = job.attempt_commit(commit_uuid.clone(), ports.clock().now()) else { return Ok(()) };
        if ports.jobs().swap(&next).await? == Swap::Moved {
            let Some(record) = ports.jobs().job(&job.tenant, job.id).await? else { return Ok(()) };
            job = record.job;
            continue;
        }
        job = next;
        let attempt = of(&plan, files.clone(), commit_uuid);
        match ports.lake().append(&attempt, || still_committing(ports, &job)).await {
            Ok(Appended::Visible) => return reveal(ports, &job, counts).await,
            Ok(Appended::Withdrawn) => return Ok(()),
            Ok(Appended::Conflict) => tracing::info!("another commit came first; looking again"),
            Err(error @ (LakeError::NoTable(_) | LakeError::OtherTable(_))) => {
                let error = refused(REFUSED, &error);
                step::take(ports, &job, |job, now| job.fail_commit(vec![error.clone()], now)).await?;
                return Ok(());
            }
            Err(error @ LakeError::Unsupported(_)) => {
                return abandon::begin(ports, &job, refused(REFUSED, &error)).await;
            }
            // Any other refusal is not final: the commit point is passed, and only a look can tell how it went.
            Err(error) => return Err(Halt::Later(Box::new(error))),
        }
    }
    Err(Halt::restless())
}

/// The UUID of one more attempt.
pub fn fresh_uuid<P: Ports>(ports: &P) -> String {
    uuid_v4(u128::from(COMMITS_BEGIN_WITH) << 96 | ports.random().bits() >> 32)
}

/// What a job commits by its plan.
pub fn of(plan: &Plan, files: Vec<OutputFile>, commit_uuid: String) -> Commit {
    let (batches, target) = (plan.batches.clone(), plan.target.clone());
    Commit { job_id: plan.job_id, batches, target, files, commit_uuid }
}

async fn still_committing<P: Ports>(ports: &P, job: &Job) -> bool {
    let record = ports.jobs().job(&job.tenant, job.id).await;
    matches!(record, Ok(Some(record)) if record.job.state == State::Committing)
}

/// The parts' output lists, where they agree with what the shards have counted. Those are read first: what has been
/// collected since is missing, and no disagreement.
async fn agreed<P: Ports>(ports: &P, job: &Job) -> Result<Vec<OutputList>, Halt> {
    let shards = ports.jobs().shards(&job.tenant, job.id, job.shards()).await?;
    if shards.len() < job.shards() as usize {
        return Err(Halt::Later("a committing job has lost a shard".into()));
    }
    let lists = outputs(ports, job).await?;
    invariant::agree(&shards, &lists).map_err(Halt::broken)?;
    Ok(lists)
}

/// The output lists of all parts, in order of part. One that is gone or cannot be read is a permanent refusal.
pub async fn outputs<P: Ports>(ports: &P, job: &Job) -> Result<Vec<OutputList>, Halt> {
    let missing = || Halt::Later("a committing job has a part that is not done".into());
    let mut parts = ports.jobs().parts(&job.tenant, job.id, job.shards()).await?;
    parts.retain(|part| part.state != PartState::Split);
    let planned = job.work.as_ref().map_or(0, |w| w.parts as usize);
    if parts.len() < planned || parts.iter().any(|p| p.state != PartState::Done) {
        return Err(missing());
    }
    let vanished = || Halt::permanent(Code::Internal, "A part's list of files has vanished or cannot be read.");
    stream::iter(parts)
        .map(|part| async move {
            let at = part.output.as_deref().and_then(Location::parse).ok_or_else(missing)?;
            let body = ports.objects().read(&at).await.map_err(|error| match error {
                ObjectError::NotFound(_) => vanished(),
                other => Halt::Later(Box::new(other)),
            })?;
            serde_json::from_slice(&body).map_err(|cause| {
                tracing::error!(%cause, "an output list cannot be read");
                vanished()
            })
        })
        .buffered(LISTS_AT_A_TIME)
        .try_collect()
        .await
}

/// All files of all lists, and the sum of what was counted.
pub fn sum(lists: Vec<OutputList>) -> (Vec<OutputFile>, Counts) {
    let mut counts = Counts::default();
    let mut files = Vec::new();
    for list in lists {
        counts.add(&list.counts);
        files.extend(list.files);
    }
    (files, counts)
}

/// F3: → SUCCEEDED. Whoever else got there first has written the same.
pub async fn reveal<P: Ports>(ports: &P, job: &Job, counts: Counts) -> Result<(), Halt> {
    if step::take(ports, job, |job, now| job.succeed(counts.clone(), now)).await?.is_some() {
        tracing::info!(rows = counts.rows, bytes = counts.bytes, "the export is visible");
    }
    Ok(())
}
