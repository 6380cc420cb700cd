//! F4: a commit that was refused for good is undone for certain: no committer that still sleeps can bring it about later.

use crate::{Halt, Ports, commit, step, stored_plan};
use domain::job::{Job, JobError};
use domain::ports::jobs::EndJobs;
use domain::ports::lake::{Abandoned, AppendOnce, LakeError};

/// COMMITTING → ABORTING, and on to the end.
pub async fn begin<P: Ports>(ports: &P, job: &Job, error: JobError) -> Result<(), Halt> {
    tracing::error!(code = error.code, reason = error.msg, "the commit is abandoned");
    match step::take(ports, job, |job, now| job.abandon(vec![error.clone()], now)).await? {
        Some(aborting) => settle(ports, &aborting).await,
        None => Ok(()),
    }
}

/// ABORTING → FAILED, or SUCCEEDED where the commit had gone through after all. From here on nobody who looks at the table
/// still finds the job COMMITTING; the snapshot that moves the table defeats who looked before.
pub async fn settle<P: Ports>(ports: &P, job: &Job) -> Result<(), Halt> {
    let plan = stored_plan::read(ports, job).await?;
    let Some(plan) = plan else {
        return Err(Halt::Later("the plan of a job whose commit is abandoned cannot be found".into()));
    };
    for _ in 0..commit::SWAPS_PER_MESSAGE {
        let commit_uuid = commit::fresh_uuid(ports);
        let record = step::take(ports, job, |job, now| job.attempt_abandon(commit_uuid.clone(), now)).await?;
        if record.is_none() {
            return Ok(());
        }
        let attempt = commit::of(&plan, Vec::new(), commit_uuid);
        match ports.lake().abandon(&attempt).await {
            Ok(Abandoned::Visible) => return succeed(ports, job).await,
            Ok(Abandoned::Never) | Err(LakeError::NoTable(_) | LakeError::OtherTable(_)) => {
                return fail(ports, job).await;
            }
            Ok(Abandoned::Conflict) => tracing::info!("another commit came first; looking again"),
            // Only a look can tell how the commit went: the job stays until there can be one.
            Err(error) => return Err(Halt::Later(Box::new(error))),
        }
    }
    Err(Halt::restless())
}

/// What the shards have counted is what the snapshot holds (I10); the output lists may be what is missing.
async fn succeed<P: Ports>(ports: &P, job: &Job) -> Result<(), Halt> {
    let shards = ports.jobs().shards(&job.tenant, job.id, job.shards()).await?;
    let counts = shards.iter().fold(Default::default(), |mut sum: domain::plan::Counts, shard| {
        sum.add(&shard.counts);
        sum
    });
    commit::reveal(ports, job, counts).await
}

async fn fail<P: Ports>(ports: &P, job: &Job) -> Result<(), Halt> {
    step::take(ports, job, |job, now| job.fail_commit(job.errors.clone(), now)).await?;
    Ok(())
}
