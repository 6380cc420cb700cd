//! The job object on the wire: one shape for create, get and list.

use super::{Job, JobRecord};
use crate::instant::Millis;
use crate::state::{ShownStatus, State};
use serde_json::{Map, Value, json};

/// Renders a job as clients see it.
pub fn render(record: &JobRecord) -> Value {
    let job = &record.job;
    let status = job.state.shown();
    let mut out = Map::new();
    out.insert("id".into(), json!(job.id.value()));
    out.insert("jobType".into(), json!("BATCH"));
    out.insert("destination".into(), destination(job));
    for (name, value) in &job.echo.body {
        if name != "destination" {
            out.insert(name.clone(), value.clone());
        }
    }
    out.insert("imsOrgId".into(), json!(job.tenant.organization()));
    out.insert("status".into(), json!(status.as_str()));
    let policy = json!({ "id": job.resolved.merge_policy.id, "version": job.resolved.merge_policy.version });
    out.insert("mergePolicy".into(), policy);
    out.insert("profileInstanceId".into(), json!(job.echo.profile_instance_id));
    if job.state == State::Failed {
        let errors = job.errors.iter().map(|e| json!({"code": e.code, "msg": e.msg, "callStack": e.call_stack}));
        out.insert("errors".into(), errors.collect());
    }
    out.insert("metrics".into(), metrics(job));
    // A job that ends before it is planned runs under the UUID that it was created by.
    let run = job.work.as_ref().map_or(&job.nonce, |work| &work.run_id);
    let run = if status == ShownStatus::New { "" } else { run };
    out.insert("computeGatewayJobId".into(), json!({ "exportJob": run }));
    out.insert("progress".into(), progress(record));
    out.insert("creationTime".into(), json!(job.id.creation_time()));
    out.insert("updateTime".into(), json!(job.update_time));
    out.insert("requestId".into(), json!(job.echo.request_id));
    Value::Object(out)
}

/// The destination as it was sent, with the batches that were allocated for it.
fn destination(job: &Job) -> Value {
    let mut out = match job.echo.body.get("destination") {
        Some(Value::Object(sent)) => sent.clone(),
        _ => Map::new(),
    };
    // Those of another job, whose destination was sent again.
    out.remove("batchId");
    out.remove("batches");
    if job.resolved.segment_per_batch {
        let entries = job.resolved.filter.segments.iter().zip(&job.resolved.batches).enumerate();
        let batches = entries.map(|(i, (entry, batch))| {
            let asked = job.echo.body.get("filter").and_then(|f| f["segments"][i].get("status")).cloned();
            let status = asked.filter(|s| s.as_array().is_some_and(|a| !a.is_empty()));
            json!({
                "segmentId": entry.segment_id,
                "segmentNs": entry.namespace,
                "status": status.unwrap_or_else(|| json!(["realized"])),
                "batchId": batch.as_str(),
            })
        });
        out.insert("batches".into(), batches.collect());
    } else if let Some(batch) = job.resolved.batches.first() {
        out.insert("batchId".into(), json!(batch.as_str()));
    }
    Value::Object(out)
}

fn metrics(job: &Job) -> Value {
    let mut out = Map::new();
    let ended = job.state.is_terminal().then_some(job.update_time);
    out.insert("totalTime".into(), span(job.id.creation_time(), ended));
    if let Some(start) = job.export_times.0 {
        out.insert("profileExportTime".into(), span(start, job.export_times.1));
    }
    if let (Some(start), Some(end)) = job.commit_times {
        out.insert("aCPDatasetWriteTime".into(), span(start, Some(end)));
    }
    if let Some(counts) = &job.counts {
        out.insert("totalExportedProfileCounter".into(), json!(counts.rows));
        out.insert("exportedProfileByNamespaceCounter".into(), json!(counts.by_namespace));
        out.insert("tooManyIdentitiesCounter".into(), json!(counts.too_many_identities));
        if job.resolved.reads_events() {
            out.insert("emptyProfilesCounter".into(), json!(counts.empty_profiles));
        }
    }
    Value::Object(out)
}

fn span(start: Millis, end: Option<Millis>) -> Value {
    match end {
        None => json!({ "startTimeInMs": start }),
        Some(end) => json!({ "startTimeInMs": start, "endTimeInMs": end, "totalTimeInMs": (end.0 - start.0).max(0) }),
    }
}

/// `percent` is by planned bytes and is 100 only when the job SUCCEEDED.
fn progress(record: &JobRecord) -> Value {
    let JobRecord { job, progress } = record;
    let weight = progress.weight_done.max(progress.weight_seen);
    let (parts, percent) = job.work.as_ref().map_or((0, 0), |work| (work.parts, work.percent(weight)));
    let percent = if job.state == State::Succeeded { 100 } else { percent };
    let totals = job.counts.as_ref().map_or((progress.rows, progress.bytes), |c| (c.rows, c.bytes));
    let parts = parts.max(progress.parts).max(progress.parts_done);
    let parts_done = if job.state == State::Succeeded { parts } else { progress.parts_done };
    json!({ "percent": percent, "partsTotal": parts, "partsDone": parts_done, "rows": totals.0, "bytes": totals.1 })
}
