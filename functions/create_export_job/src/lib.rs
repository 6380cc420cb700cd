//! `POST /export/jobs`: judges the request, stores the job (C1), and sends it on its way (C2).

// The futures of the AWS SDK are nested deeper than the default allows for.
#![recursion_limit = "256"]

mod headers;
mod wiring;

pub use wiring::{SETTINGS, run};

use domain::id::{BatchId, JobId, uuid_v4};
use domain::job::{Echo, Job, JobRecord, Progress, render};
use domain::message::{Message, Task};
use domain::ports::jobs::{CountJobs, CreateJobs, Created, FirstUse, ReadJobs};
use domain::ports::queue::SendMessages;
use domain::ports::registry::ReadRegistry;
use domain::ports::{Clock, Random};
use domain::problem::{Code, Problem, Violation};
use domain::validation::{self, Accepted};
use edge::failure;
use edge::http::{Reply, Request};
use edge::telemetry::log_chain;
use headers::SentHeaders;

/// Ids that are drawn before the request is told to come again. One millisecond of one tenant has 4,096.
const MOST_DRAWS: usize = 16;
/// Largest job record as JSON, in bytes; an item of the store ends at 400 KiB, and the record still grows.
const MAX_RECORD_BYTES: usize = 350 * 1024;

/// What the route is told at start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Jobs of one sandbox that may run at a time.
    pub max_running_jobs: usize,
}

/// Creates the job that the request asks for, unless too many run already; or gives again the one that its idempotency key
/// made, whatever has become of the registry meanwhile.
pub async fn handle<J, G, Q>(
    jobs: &J,
    registry: &G,
    queue: &Q,
    clock: &impl Clock,
    random: &impl Random,
    settings: &Settings,
    request: Request,
) -> Result<Reply, Problem>
where
    J: CreateJobs + ReadJobs + CountJobs,
    G: ReadRegistry,
    Q: SendMessages,
{
    let sent = SentHeaders::read(&request.headers)?;
    if let Some(key) = &sent.idempotency_key
        && let Some(used) = jobs.first_use(&request.caller.tenant, key, clock.now()).await.map_err(failure::of_store)?
    {
        return Ok(reply(&first(jobs, &request, &used).await?));
    }
    let body = request.json()?;
    let registry = registry.registry(&request.caller.tenant).await.map_err(failure::of_store)?;
    let accepted = validation::judge(&body, &registry, || BatchId::new(random.bits()))?;
    judge_load(jobs, &request, settings.max_running_jobs).await?;
    let (record, fresh) = store(jobs, clock, random, &request, &sent, accepted).await?;
    if fresh {
        send_on_its_way(queue, &record.job).await;
    }
    Ok(reply(&record))
}

fn reply(record: &JobRecord) -> Reply {
    tracing::Span::current().record("job_id", record.job.id.value());
    Reply::ok(render(record)).with("X-Location", format!("/export/jobs/{}", record.job.id))
}

/// Refuses a job beyond the sandbox's share. The count may lag a moment, so that a burst may go beyond it; nothing else is
/// kept, so that nobody is refused for longer than so many jobs run.
async fn judge_load<J: CountJobs>(jobs: &J, request: &Request, most: usize) -> Result<(), Problem> {
    let running = jobs.running(&request.caller.tenant, most).await.map_err(failure::of_store)?;
    if running < most {
        return Ok(());
    }
    let title = format!("{most} export jobs of this sandbox are running; no more may at a time.");
    let detail = "Repeat the request after the time in Retry-After; an Idempotency-Key makes that safe.";
    Err(Problem::new(Code::TooManyRequests, title, detail))
}

/// C1: the job under an id that nobody has, or the key's own job; and whether it is the former.
async fn store<J: CreateJobs + ReadJobs>(
    jobs: &J,
    clock: &impl Clock,
    random: &impl Random,
    request: &Request,
    sent: &SentHeaders,
    accepted: Accepted,
) -> Result<(JobRecord, bool), Problem> {
    let tenant = &request.caller.tenant;
    let nonce = uuid_v4(random.bits());
    let Accepted { echo, resolved } = accepted;
    let profile_instance_id = sent.profile_instance_id.clone();
    let echo = Echo { body: echo, request_id: request.request_id.clone(), profile_instance_id };
    for _ in 0..MOST_DRAWS {
        let now = clock.now();
        let id = JobId::new(now, random.bits() as u64);
        let job = Job::new(tenant.clone(), id, nonce.clone(), echo.clone(), resolved.clone(), now);
        judge_size(&job)?;
        // It holds from now on, however long ago the request came.
        let key = sent.idempotency_key.as_deref().map(|key| headers::key_of(key, &request.body, now));
        match jobs.create(&job, key.as_ref(), now).await.map_err(failure::of_store)? {
            Created::Stored => return Ok((JobRecord { job, progress: Progress::default() }, true)),
            Created::IdTaken => {}
            Created::KeyTaken(used) => return Ok((first(jobs, request, &used).await?, false)),
        }
    }
    tracing::warn!("no free id in {MOST_DRAWS} draws");
    Err(Problem::unavailable())
}

/// The job that an idempotency key made the first time.
async fn first<J: ReadJobs>(jobs: &J, request: &Request, used: &FirstUse) -> Result<JobRecord, Problem> {
    if headers::hash_of(&request.body) != used.body_hash {
        let title = "The Idempotency-Key was used before, with another body.";
        let detail = "Draw a new key for a new request; repeat a request only byte by byte.";
        return Err(Problem::new(Code::KeyReused, title, detail));
    }
    let id = used.job;
    let record = jobs.job(&request.caller.tenant, id).await.map_err(failure::of_store)?;
    record.ok_or_else(|| {
        let title = format!("The Idempotency-Key made the export job {id}, which was deleted.");
        Problem::new(Code::KeyOfDeletedJob, title, "Draw a new key to export again.")
    })
}

/// What the store cannot hold is refused here, before the store would fail on it.
fn judge_size(job: &Job) -> Result<(), Problem> {
    let bytes = serde_json::to_vec(job).map_or(usize::MAX, |text| text.len());
    if bytes <= MAX_RECORD_BYTES {
        return Ok(());
    }
    let what =
        format!("the job would take {bytes} bytes in the store; at most {MAX_RECORD_BYTES} fit. Split the export.");
    Err(Problem::invalid(vec![Violation::at("$", Code::LimitExceeded, what)]))
}

/// C2. Best effort: the job is due already, and the sweeper repeats it.
async fn send_on_its_way<Q: SendMessages>(queue: &Q, job: &Job) {
    if let Err(error) = queue.send(&[Message::new(&job.tenant, job.id, Task::Plan)]).await {
        log_chain("the new job's message was not sent; the sweeper will", &error);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
