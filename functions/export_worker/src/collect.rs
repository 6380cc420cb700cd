//! G: cleans up after a job that has ended. What a table names stays; so does whatever it cannot be told of.

use crate::{Halt, Ports, commit, stored_plan};
use domain::guard::Guard;
use domain::id::JobId;
use domain::job::{Collect, Job};
use domain::plan::{Plan, batch_folder, is_part_file};
use domain::ports::Clock;
use domain::ports::jobs::CollectJobs;
use domain::ports::lake::{AppendOnce, LakeError, Named, WidenTables};
use domain::ports::objects::{CollectObjects, Location, ReadObjects, WriteObjects};
use domain::state::State;
use domain::tenant::Tenant;
use std::collections::BTreeSet;

/// Looks through what the job left: the files that lost, first; on the last look also plan, output lists, shards and parts,
/// by which winners are told from losers.
pub async fn collect<P: Ports>(ports: &P, tenant: &Tenant, id: JobId) -> Result<(), Halt> {
    let Some(left) = ports.jobs().remains(tenant, id).await? else { return Ok(()) };
    let (job, grace) = (&left.job, ports.settings().collect_grace_seconds);
    let has_ended = Guard::CollectAfterEnd.allows(job.state.is_terminal());
    if !has_ended || ports.clock().now() < left.ripe(grace) {
        return Ok(());
    }
    match stored_plan::read(ports, job).await {
        Ok(Some(plan)) => drop_files(ports, job, &plan).await?,
        // Nothing else was written before the plan was.
        Ok(None) => {}
        Err(Halt::Permanent(error)) => tracing::error!(reason = error.msg, "the job's files stay where they are"),
        Err(later) => return Err(later),
    }
    drop_widenings(ports, job).await?;
    if !left.is_last() {
        let next = Collect { looks: left.looks + 1, job: left.job };
        return Ok(ports.jobs().postpone_collect(tenant, id, next.looks, next.ripe(grace)).await?);
    }
    for (at, _) in ports.objects().list(&stored_plan::folder(ports, job)).await? {
        ports.objects().delete(&at).await?;
    }
    Ok(ports.jobs().forget(tenant, id, job.shards()).await?)
}

/// Deletes what attempts at widening the export table wrote that were overtaken.
async fn drop_widenings<P: Ports>(ports: &P, job: &Job) -> Result<(), Halt> {
    if job.widenings.is_empty() {
        return Ok(());
    }
    let overtaken = match ports.lake().overtake(&job.resolved.target.table, &job.widenings).await {
        Ok(files) => files,
        Err(error @ LakeError::Unavailable(_)) => return Err(Halt::Later(Box::new(error))),
        Err(error) => {
            tracing::warn!(reason = %error, "what was written to widen the table stays");
            return Ok(());
        }
    };
    for at in overtaken.iter().filter_map(|file| Location::parse(file)) {
        ports.objects().delete(&at).await?;
    }
    Ok(())
}

/// Deletes the job's files that nothing names, and frees its uploads.
async fn drop_files<P: Ports>(ports: &P, job: &Job, plan: &Plan) -> Result<(), Halt> {
    let kept = match named(ports, job, plan).await? {
        Some(named) => {
            drop_commits(ports, job, &named).await?;
            kept(ports, job, named).await?
        }
        None => None,
    };
    if kept.is_none() {
        tracing::warn!("it cannot be told which of the job's files are visible; all stay");
    }
    drop_parts(ports, plan, kept.as_ref()).await
}

/// Deletes what commits wrote that were overtaken.
async fn drop_commits<P: Ports>(ports: &P, job: &Job, named: &Named) -> Result<(), Halt> {
    let overtaken = named.overtaken(&job.commit_uuids, is_visible(job, named));
    let Some(folder) = Location::parse(&named.metadata_folder).filter(|_| !overtaken.is_empty()) else { return Ok(()) };
    for (at, _) in ports.objects().list(&folder).await? {
        if overtaken.iter().any(|uuid| name(&at).contains(uuid)) {
            ports.objects().delete(&at).await?;
        }
    }
    Ok(())
}

/// Deletes parts' files that are not kept, and frees uploads.
async fn drop_parts<P: Ports>(ports: &P, plan: &Plan, kept: Option<&BTreeSet<String>>) -> Result<(), Halt> {
    let Some(data) = Location::parse(&plan.target.data_prefix) else { return Ok(()) };
    for batch in &plan.batches {
        let folder = data.join(&batch_folder(batch));
        ports.objects().abort_uploads(&folder, is_ours).await?;
        let Some(kept) = kept else { continue };
        for (at, _) in ports.objects().list(&folder).await? {
            if is_ours(&at) && !kept.contains(&at.to_string()) {
                ports.objects().delete(&at).await?;
            }
        }
    }
    Ok(())
}

/// Whether a file in a batch's folder is an attempt's of ours, and no other writer's.
fn is_ours(at: &Location) -> bool {
    is_part_file(name(at))
}

fn name(at: &Location) -> &str {
    at.key.rsplit('/').next().unwrap_or_default()
}

/// Whether the job's rows are or were visible, whatever became of its snapshot since.
fn is_visible(job: &Job, named: &Named) -> bool {
    named.committed || job.state == State::Succeeded
}

/// What the table has of the job. `None` = it cannot be told.
async fn named<P: Ports>(ports: &P, job: &Job, plan: &Plan) -> Result<Option<Named>, Halt> {
    let look = commit::of(plan, Vec::new(), String::new());
    match ports.lake().named(&look, &job.commit_uuids).await {
        Ok(named) => Ok(Some(named)),
        Err(LakeError::NoTable(_) | LakeError::OtherTable(_)) => {
            // A table that took a commit may have another name now and show it still.
            Ok(job.commit_uuids.is_empty().then(Named::default))
        }
        Err(error) => Err(Halt::Later(Box::new(error))),
    }
}

/// The files that stay: what the table names and, of a job that is visible, all that it committed, since older snapshots
/// may name what the current one does not. `None` = it cannot be told.
async fn kept<P: Ports>(ports: &P, job: &Job, named: Named) -> Result<Option<BTreeSet<String>>, Halt> {
    let is_visible = is_visible(job, &named);
    let mut kept = named.files;
    if is_visible {
        match commit::outputs(ports, job).await.map(commit::sum) {
            Ok((files, counts)) if job.counts.as_ref().is_some_and(|c| c.rows == counts.rows) => {
                kept.extend(files.into_iter().map(|file| file.location));
            }
            Ok(_) | Err(Halt::Permanent(_)) => return Ok(None),
            Err(later) => return Err(later),
        }
    }
    Ok(Some(if Guard::KeepWhatIsNamed.stands() { kept } else { BTreeSet::new() }))
}
