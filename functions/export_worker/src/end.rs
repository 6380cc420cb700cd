//! X2, X3 and E1: a job that must not become visible ends, once no part of it can be committed any more.

use crate::{Halt, Ports};
use domain::job::{Job, JobError};
use domain::ports::Clock;
use domain::ports::jobs::{EndJobs, Gate, MoveJobs, ReadJobs, Swap};
use domain::state::State;

/// Most shards that a job can have: those of a job that was cancelled before it knew its number.
const MOST_SHARDS: u32 = 64;

/// E1: NEW or PROCESSING → FAILING, and on to FAILED. A job that went another way meanwhile goes on there.
pub async fn fail<P: Ports>(ports: &P, job: &Job, error: JobError) -> Result<(), Halt> {
    tracing::error!(code = error.code, reason = error.msg, "the job fails");
    let mut job = job.clone();
    while let Ok(next) = job.fail(vec![error.clone()], ports.clock().now()) {
        if ports.jobs().swap(&next).await? == Swap::Done {
            return close(ports, &next).await;
        }
        match ports.jobs().job(&job.tenant, job.id).await? {
            Some(record) => job = record.job,
            None => break,
        }
    }
    Ok(())
}

/// X2, then X3 or the end of E1.
pub async fn close<P: Ports>(ports: &P, job: &Job) -> Result<(), Halt> {
    let shards = job.work.as_ref().map_or(MOST_SHARDS, |w| w.shards);
    ports.jobs().close_gates(&job.tenant, job.id, shards).await?;
    let gates = ports.jobs().shards(&job.tenant, job.id, shards).await?;
    if gates.iter().any(|s| s.gate != Gate::Closed) {
        return Err(Halt::Later("a gate is still open".into()));
    }
    let mut job = job.clone();
    loop {
        let now = ports.clock().now();
        let ended = match job.state {
            State::Cancelling => job.end_cancel(now),
            _ => job.end_fail(now),
        };
        let Ok(next) = ended else { return Ok(()) };
        if ports.jobs().swap(&next).await? == Swap::Done {
            return Ok(());
        }
        let Some(record) = ports.jobs().job(&job.tenant, job.id).await? else { return Ok(()) };
        job = record.job;
    }
}
