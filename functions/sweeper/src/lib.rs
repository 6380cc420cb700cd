//! The sweeper: once a minute it picks up whatever is due and has not moved, and sends it on its way again.

// The futures of the AWS SDK are nested deeper than the default allows for.
#![recursion_limit = "256"]

mod wiring;

pub use wiring::{SETTINGS, run};

use domain::id::JobId;
use domain::instant::Millis;
use domain::job::{Job, JobError, JobRecord};
use domain::message::{Message, Task};
use domain::ports::Clock;
use domain::ports::jobs::{CollectJobs, Due, FindDue, MoveJobs, Part, PartRef, PartState, StoreError, Swap, WorkParts};
use domain::ports::queue::{QueueError, SendMessages};
use domain::problem::Code;
use domain::state::State;
use domain::tenant::Tenant;

/// Things that one sweep picks up at a time.
const SWEEP_SIZE: usize = 500;
/// Sweeps in one run, so that a run ends whatever piles up.
const MOST_SWEEPS: usize = 20;
/// Shortest and longest wait before a part's message is sent again, in seconds.
const PART_WAITS: (i64, i64) = (120, 1_800);

/// How long cleaning up may take before it is sent on its way again, in seconds; at most so many grace periods.
const COLLECT_PATIENCE_SECONDS: i64 = 1_800;
const COLLECT_PATIENCE_GRACES: i64 = 10;

/// What the sweeper is told at start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Tries of planning after which a job fails.
    pub max_attempts: u32,
    /// How long what an ended job left behind is left alone.
    pub collect_grace_seconds: u32,
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Jobs whose step was sent on its way again.
    pub jobs: usize,
    /// Parts whose message was sent again.
    pub parts: usize,
    /// Jobs that were given up after too many tries.
    pub given_up: usize,
    /// Ended jobs that are cleaned up after.
    pub collected: usize,
}

/// Why a run stopped early; the next one goes on.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The job store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

/// Sweeps until nothing is due. Every step is idempotent: two sweepers at once do no harm.
pub async fn handle<J, Q, C>(jobs: &J, queue: &Q, clock: &C, settings: &Settings) -> Result<Swept, SweepError>
where
    J: FindDue + CollectJobs,
    Q: SendMessages,
    C: Clock,
{
    let mut swept = Swept::default();
    for _ in 0..MOST_SWEEPS {
        let due = jobs.due(clock.now(), SWEEP_SIZE).await?;
        for thing in &due {
            match sweep(jobs, queue, clock, settings, thing, &mut swept).await {
                // It would stand in the way of all that is due after it.
                Err(SweepError::Store(error @ StoreError::Damaged(_))) => {
                    tracing::error!(?thing, %error, "what is due cannot be read; somebody must look at it");
                }
                done => done?,
            }
        }
        if due.len() < SWEEP_SIZE {
            break;
        }
    }
    Ok(swept)
}

async fn sweep<J: CollectJobs, Q: SendMessages>(
    jobs: &J,
    queue: &Q,
    clock: &impl Clock,
    settings: &Settings,
    thing: &Due,
    swept: &mut Swept,
) -> Result<(), SweepError> {
    match thing {
        Due::Job(tenant, id) => match jobs.job(tenant, *id).await? {
            Some(record) => sweep_job(jobs, queue, clock, settings.max_attempts, record.job, swept).await,
            None => Ok(()),
        },
        Due::Part(part) => sweep_part(jobs, queue, clock, part, swept).await,
        Due::Collect(tenant, id) => sweep_collect(jobs, queue, clock, settings, (tenant, *id), swept).await,
    }
}

/// What is left of a job that has ended: cleaned up after once it is time.
async fn sweep_collect<J: CollectJobs, Q: SendMessages>(
    jobs: &J,
    queue: &Q,
    clock: &impl Clock,
    settings: &Settings,
    (tenant, id): (&Tenant, JobId),
    swept: &mut Swept,
) -> Result<(), SweepError> {
    let Some(left) = jobs.remains(tenant, id).await? else { return Ok(()) };
    let (now, ripe) = (clock.now(), left.ripe(settings.collect_grace_seconds));
    if now < ripe {
        return Ok(jobs.postpone_collect(tenant, id, left.looks, ripe).await?);
    }
    let graces = i64::from(settings.collect_grace_seconds) * COLLECT_PATIENCE_GRACES;
    jobs.postpone_collect(tenant, id, left.looks, now.plus_seconds(COLLECT_PATIENCE_SECONDS.min(graces))).await?;
    queue.send(&[Message::new(tenant, id, Task::Collect)]).await?;
    swept.collected += 1;
    Ok(())
}

/// A job's next step: its message again, later each time. A job that cannot even be planned is given up.
async fn sweep_job<J: MoveJobs, Q: SendMessages>(
    jobs: &J,
    queue: &Q,
    clock: &impl Clock,
    max_attempts: u32,
    job: Job,
    swept: &mut Swept,
) -> Result<(), SweepError> {
    let now = clock.now();
    if job.due.is_none_or(|due| due > now) {
        return Ok(());
    }
    let given_up = job.state == State::New && job.resent > max_attempts;
    let next = if given_up { job.fail(vec![never_planned(job.resent)], now) } else { job.postpone(now) };
    let Ok(next) = next else { return Ok(()) };
    if jobs.swap(&next).await? == Swap::Moved {
        return Ok(());
    }
    let is_to_plan = next.state == State::New || next.work_to_fan_out().is_some();
    let task = if is_to_plan { Task::Plan } else { Task::Commit };
    queue.send(&[Message::new(&next.tenant, next.id, task)]).await?;
    swept.jobs += 1;
    swept.given_up += usize::from(given_up);
    Ok(())
}

fn never_planned(tries: u32) -> JobError {
    let what = format!("The job could not be planned in {tries} tries");
    let error = JobError::new(Code::Internal, format!("{what}; its input or the services behind it do not answer."));
    error.because([format!("{what}."), "Its input or the services behind it do not answer.".into()])
}

/// A pending part of a job under way: its message again, if that may help. Of a job that has ended: never again.
async fn sweep_part<J: WorkParts, Q: SendMessages>(
    jobs: &J,
    queue: &Q,
    clock: &impl Clock,
    part: &PartRef,
    swept: &mut Swept,
) -> Result<(), SweepError> {
    let record = jobs.job(&part.tenant, part.job).await?;
    let Some(record) = record.filter(|record| !record.job.state.is_terminal()) else {
        return Ok(jobs.postpone_part(part, None).await?);
    };
    let Some(pending) = jobs.part(part).await?.filter(|pending| pending.state == PartState::Pending) else {
        return Ok(());
    };
    let (again, next) = look_at(&record, &pending, clock.now());
    jobs.postpone_part(part, Some(next)).await?;
    if again && record.job.state == State::Processing {
        queue.send(&[Message::new(&part.tenant, part.job, Task::Part { part: part.part })]).await?;
        swept.parts += 1;
    }
    Ok(())
}

/// Whether a part's message is sent again now, and when to look at the part next.
///
/// The message of a part that was begun has been used up. That of any other most likely waits for its turn: sent again it
/// only makes the queue longer. So such a part is left alone while its job moves, until nothing has moved for half of the
/// job's age. Of a job of which nothing was ever done the first part goes ahead alone: if it comes through, the others'
/// messages can be told from lost ones. The waits double with the job's age, up to the longest, after which all is sent.
fn look_at(record: &JobRecord, part: &Part, now: Millis) -> (bool, Millis) {
    let JobRecord { job, progress } = record;
    let age = job.export_times.0.map_or(0, |start| seconds(start, now));
    let next = now.plus_seconds(age.clamp(PART_WAITS.0, PART_WAITS.1));
    // A half, too, is what a worker left of a part that it had begun.
    let begun = part.attempt > 0 || job.work.as_ref().is_some_and(|work| part.number >= work.parts);
    match progress.told {
        _ if begun => (true, next),
        None => (part.number == 0 || age >= PART_WAITS.1, next),
        Some(moved) => {
            let patience = (age / 2).clamp(PART_WAITS.0, PART_WAITS.1);
            let still = seconds(moved, now) >= patience;
            (still, if still { next } else { moved.plus_seconds(patience) })
        }
    }
}

fn seconds(from: Millis, to: Millis) -> i64 {
    (to.0 - from.0) / 1_000
}

#[cfg(test)]
mod tests;
