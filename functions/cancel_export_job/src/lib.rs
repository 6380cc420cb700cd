//! `DELETE /export/jobs/{id}`: cancels a job that runs (X1), removes the record of one that has ended.

// The futures of the AWS SDK are nested deeper than the default allows for.
#![recursion_limit = "256"]

mod wiring;

pub use wiring::{SETTINGS, run};

use domain::id::JobId;
use domain::job::CancelVerdict;
use domain::message::{Message, Task};
use domain::ports::Clock;
use domain::ports::jobs::{MoveJobs, StoreError, Swap};
use domain::ports::queue::SendMessages;
use domain::problem::{Code, Problem};
use domain::tenant::Tenant;
use edge::failure;
use edge::http::{Headers, Reply, Request};
use edge::telemetry::log_chain;
use serde_json::json;

/// Times that a job may move away under the request before it is told to come again.
const MOST_TRIES: usize = 8;

/// What became of the job.
enum Outcome {
    /// It will be cancelled, or its record is gone.
    Taken,
    /// There is none.
    Unknown,
    /// It is committing, or about to end as failed: what it does next is decided already.
    TooLate,
    /// It moved at every try.
    Restless,
}

/// Cancels or deletes the job of the path, if it is the caller's.
pub async fn handle<J, Q>(jobs: &J, queue: &Q, clock: &impl Clock, request: Request) -> Result<Reply, Problem>
where
    J: MoveJobs,
    Q: SendMessages,
{
    let id = request.job_id()?;
    match cancel(jobs, queue, clock, &request.caller.tenant, id).await.map_err(failure::of_store)? {
        Outcome::Taken => Ok(reply(&request.headers)),
        Outcome::Unknown => Err(Problem::job_not_found(&request.id)),
        Outcome::TooLate => {
            let title = format!("The export job {id} can no longer be cancelled.");
            let detail = "It is about to end. Wait for its end; DELETE then removes its record.";
            Err(Problem::new(Code::TooLateToCancel, title, detail))
        }
        Outcome::Restless => Err(Problem::unavailable()),
    }
}

/// Judges the job as it stands, writes, and judges anew as often as somebody else was faster.
async fn cancel<J: MoveJobs, Q: SendMessages>(
    jobs: &J,
    queue: &Q,
    clock: &impl Clock,
    tenant: &Tenant,
    id: JobId,
) -> Result<Outcome, StoreError> {
    let mut deleting = false;
    for _ in 0..MOST_TRIES {
        let Some(record) = jobs.job(tenant, id).await? else {
            // Gone between our delete and this look: by our own write, whose answer was lost, or by another's like it.
            return Ok(if deleting { Outcome::Taken } else { Outcome::Unknown });
        };
        match record.job.cancel(clock.now()) {
            CancelVerdict::Cancel(next) => {
                if jobs.swap(&next).await? == Swap::Done {
                    notify(queue, tenant, id).await;
                    return Ok(Outcome::Taken);
                }
            }
            CancelVerdict::Already => return Ok(Outcome::Taken),
            CancelVerdict::Delete => {
                deleting = true;
                if jobs.delete(&record.job).await? == Swap::Done {
                    return Ok(Outcome::Taken);
                }
            }
            CancelVerdict::TooLate => return Ok(Outcome::TooLate),
        }
    }
    Ok(Outcome::Restless)
}

/// X1's own message. Best effort: the job is due in a minute, and the sweeper repeats it.
async fn notify<Q: SendMessages>(queue: &Q, tenant: &Tenant, id: JobId) {
    if let Err(error) = queue.send(&[Message::new(tenant, id, Task::Commit)]).await {
        log_chain("the cancelled job's message was not sent; the sweeper will", &error);
    }
}

/// The published message, or nothing where the client prefers that (RFC 7240).
fn reply(headers: &Headers) -> Reply {
    if headers.get("prefer").is_some_and(asks_for_minimal) {
        let reply = Reply { status: 204, headers: Vec::new(), body: None };
        return reply.with("Preference-Applied", "return=minimal");
    }
    Reply::ok(json!({ "status": true, "message": "Export job has been marked for cancelling" }))
}

/// Whether the first `return` preference is `minimal`; RFC 7240 lets the first one count.
fn asks_for_minimal(prefer: &str) -> bool {
    let preferences = prefer.split(',').filter_map(|p| p.split(';').next()?.split_once('='));
    let mut returns = preferences.filter(|(name, _)| name.trim().eq_ignore_ascii_case("return"));
    returns.next().is_some_and(|(_, value)| value.trim().trim_matches('"').eq_ignore_ascii_case("minimal"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
