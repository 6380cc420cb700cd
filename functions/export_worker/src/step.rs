//! Taking a step of the job's state machine, whoever else takes one at the same time.

use crate::{Halt, Ports};
use domain::instant::Millis;
use domain::job::{Job, Refused};
use domain::ports::Clock;
use domain::ports::jobs::{MoveJobs, ReadJobs, Swap};

/// Writes the record that `step` makes of the job; where somebody else wrote first, of the job as it stands then. `None`
/// once the step no longer applies, or the record is gone.
pub async fn take<P: Ports>(
    ports: &P,
    job: &Job,
    step: impl Fn(&Job, Millis) -> Result<Job, Refused>,
) -> Result<Option<Job>, Halt> {
    let mut job = job.clone();
    loop {
        let Ok(next) = step(&job, ports.clock().now()) else { return Ok(None) };
        if ports.jobs().swap(&next).await? == Swap::Done {
            return Ok(Some(next));
        }
        let Some(record) = ports.jobs().job(&job.tenant, job.id).await? else { return Ok(None) };
        job = record.job;
    }
}
