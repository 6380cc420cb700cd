//! X2, X3 and E1: a job that must not become visible ends, once no part of it can be committed any more.

use crate::{Halt, Ports, step};
use domain::guard::Guard;
use domain::job::{Job, JobError};
use domain::ports::jobs::{EndJobs, Gate};
use domain::state::State;

/// E1: NEW or PROCESSING → FAILING, and on to FAILED. A job that went another way meanwhile goes on there.
pub async fn fail<P: Ports>(ports: &P, job: &Job, error: JobError) -> Result<(), Halt> {
    tracing::error!(code = error.code, reason = error.msg, "the job fails");
    match step::take(ports, job, |job, now| job.fail(vec![error.clone()], now)).await? {
        Some(failing) => close(ports, &failing).await,
        None => Ok(()),
    }
}

/// X2, then X3 or the end of E1.
pub async fn close<P: Ports>(ports: &P, job: &Job) -> Result<(), Halt> {
    let shards = job.shards();
    if Guard::AllGatesClosed.stands() {
        ports.jobs().close_gates(&job.tenant, job.id, shards).await?;
        let gates = ports.jobs().shards(&job.tenant, job.id, shards).await?;
        if gates.iter().any(|s| s.gate != Gate::Closed) {
            return Err(Halt::Later("a gate is still open".into()));
        }
    }
    let end = |job: &Job, now| match job.state {
        State::Cancelling => job.end_cancel(now),
        _ => job.end_fail(now),
    };
    step::take(ports, job, end).await?;
    Ok(())
}
