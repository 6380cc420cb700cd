//! The route as clients see it, from the gateway's event to its reply.

use super::*;
use domain::instant::Millis;
use domain::job::{Job, JobRecord, Progress};
use domain::ports::jobs::{CreateJobs, ReadJobs};
use domain::state::State;
use edge::http::{Operation, respond};
use serde_json::Value;
use std::sync::{Arc, Mutex};
use testkit::{Fault, ManualClock, MemoryJobs, MemoryQueue, SeededRandom, fixtures};

const EVENT: &str = include_str!("../../../infra/events/cancel_export_job.json");

/// The tenant of the sample event.
fn tenant() -> Tenant {
    Tenant::new("1BD6382559DF0C130A49422D@AdobeOrg", "prod").unwrap()
}

fn now() -> Millis {
    fixtures::NOW.plus_seconds(60)
}

/// A DELETE with that `Prefer` header.
async fn delete<J: MoveJobs>(jobs: &J, queue: &MemoryQueue, id: impl ToString, prefer: Option<&str>) -> Value {
    let mut event: Value = serde_json::from_str(EVENT).unwrap();
    event["rawPath"] = json!(format!("/export/jobs/{}", id.to_string()));
    event["headers"]["prefer"] = json!(prefer.unwrap_or_default());
    let clock = ManualClock::at(now());
    let handler = |request| handle(jobs, queue, &clock, request);
    let mut reply = respond(Operation::Cancel, event, &SeededRandom::new(1), &handler).await;
    if let Some(text) = reply["body"].as_str() {
        reply["body"] = serde_json::from_str(text).unwrap();
    }
    reply
}

/// A stored job in a state that it reached by the status table.
async fn stored(jobs: &MemoryJobs, state: State) -> Job {
    let new = fixtures::job(&tenant(), 1);
    jobs.create(&new, None, fixtures::NOW).await.unwrap();
    let cancelled = |job: Job| match job.cancel(fixtures::NOW) {
        CancelVerdict::Cancel(next) => *next,
        other => panic!("{other:?}"),
    };
    let processing = || fixtures::processing(&tenant(), 1, 4);
    let committing = || processing().begin_commit(fixtures::NOW).unwrap();
    let failing = || processing().fail(Vec::new(), fixtures::NOW).unwrap();
    let job = match state {
        State::New => new,
        State::Processing => processing(),
        State::Committing => committing(),
        State::Aborting => Job { state: State::Aborting, version: 5, ..committing() },
        State::Failing => failing(),
        State::Cancelling => cancelled(processing()),
        State::Succeeded => committing().succeed(fixtures::counts(20), fixtures::NOW).unwrap(),
        State::Failed => failing().end_fail(fixtures::NOW).unwrap(),
        State::Cancelled => cancelled(processing()).end_cancel(fixtures::NOW).unwrap(),
    };
    write_through(jobs, &job).await;
    job
}

/// Writes a later record over the first one, version by version.
async fn write_through(jobs: &MemoryJobs, last: &Job) {
    for version in 2..=last.version {
        let done = jobs.swap(&Job { version, ..last.clone() }).await.unwrap();
        assert_eq!(done, Swap::Done);
    }
}

async fn state(jobs: &MemoryJobs) -> Option<State> {
    jobs.job(&tenant(), fixtures::job_id(1)).await.unwrap().map(|record| record.job.state)
}

#[tokio::test]
async fn what_a_delete_does_in_every_state() {
    let wanted = |state| match state {
        State::New | State::Processing => (200, Some(State::Cancelling), true),
        State::Cancelling => (200, Some(State::Cancelling), false),
        State::Committing | State::Aborting | State::Failing => (409, Some(state), false),
        State::Succeeded | State::Failed | State::Cancelled => (200, None, false),
    };
    for before in State::ALL {
        let (jobs, queue) = (MemoryJobs::default(), MemoryQueue::default());
        let job = stored(&jobs, before).await;
        let (status, after, sent) = wanted(before);
        let reply = delete(&jobs, &queue, job.id, None).await;
        assert_eq!((reply["statusCode"].as_u64(), state(&jobs).await), (Some(status), after), "{before:?}");
        let messages = if sent { vec![Message::new(&tenant(), job.id, Task::Commit)] } else { Vec::new() };
        assert_eq!(queue.take(), messages, "{before:?}");
    }
}

#[tokio::test]
async fn cancelling_answers_with_the_published_message() {
    let (jobs, queue) = (MemoryJobs::default(), MemoryQueue::default());
    let job = stored(&jobs, State::Processing).await;
    let reply = delete(&jobs, &queue, job.id, None).await;
    assert_eq!(delete(&jobs, &queue, job.id, None).await, reply);
    insta::assert_json_snapshot!(reply);
}

#[tokio::test]
async fn who_prefers_a_minimal_answer_gets_none() {
    let (jobs, queue) = (MemoryJobs::default(), MemoryQueue::default());
    let job = stored(&jobs, State::Processing).await;
    insta::assert_json_snapshot!(delete(&jobs, &queue, job.id, Some("return=minimal")).await);
}

#[tokio::test]
async fn only_the_preference_for_minimal_is_one() {
    let (jobs, queue) = (MemoryJobs::default(), MemoryQueue::default());
    let job = stored(&jobs, State::Processing).await;
    let minimal =
        ["return=minimal", "Return = Minimal", "respond-async, return=\"minimal\"; a=b", "wait=1,return=minimal"];
    let other =
        ["", "return=representation", "minimal", "return", "returns=minimal", "return=representation, return=minimal"];
    for (prefer, status) in minimal.map(|p| (p, 204)).into_iter().chain(other.map(|p| (p, 200))) {
        assert_eq!(delete(&jobs, &queue, job.id, Some(prefer)).await["statusCode"], status, "{prefer}");
    }
}

#[tokio::test]
async fn cancelling_a_finished_job_deletes_it() {
    let (jobs, queue) = (MemoryJobs::default(), MemoryQueue::default());
    let job = stored(&jobs, State::Succeeded).await;
    assert_eq!(delete(&jobs, &queue, job.id, Some("return=minimal")).await["statusCode"], 204);
    assert_eq!(delete(&jobs, &queue, job.id, None).await["statusCode"], 404);
    assert_eq!(jobs.collectable().len(), 1);
}

#[tokio::test]
async fn a_job_past_its_commit_point_is_too_late() {
    let (jobs, queue) = (MemoryJobs::default(), MemoryQueue::default());
    let job = stored(&jobs, State::Committing).await;
    insta::assert_json_snapshot!(delete(&jobs, &queue, job.id, None).await);
}

#[tokio::test]
async fn another_tenants_job_is_not_found_and_not_touched() {
    let (jobs, queue) = (MemoryJobs::default(), MemoryQueue::default());
    let other = fixtures::job(&fixtures::tenant(), 1);
    jobs.create(&other, None, fixtures::NOW).await.unwrap();
    for id in [other.id.to_string(), "42".into(), "abc".into()] {
        assert_eq!(delete(&jobs, &queue, id, None).await["statusCode"], 404);
    }
    assert_eq!(jobs.job(&fixtures::tenant(), other.id).await.unwrap().map(|r| r.job), Some(other));
}

#[tokio::test]
async fn a_cancel_whose_message_is_lost_is_a_cancel() {
    let (jobs, queue) = (MemoryJobs::default(), MemoryQueue::default());
    let job = stored(&jobs, State::New).await;
    queue.fail_next("send", Fault::BeforeEffect);
    assert_eq!(delete(&jobs, &queue, job.id, None).await["statusCode"], 200);
    assert_eq!(state(&jobs).await, Some(State::Cancelling));
}

#[tokio::test]
async fn a_cancel_whose_answer_is_lost_is_a_503_and_works_again() {
    let (jobs, queue) = (MemoryJobs::default(), MemoryQueue::default());
    let job = stored(&jobs, State::New).await;
    jobs.fail_next("swap", Fault::AfterEffect);
    assert_eq!(delete(&jobs, &queue, job.id, None).await["statusCode"], 503);
    assert_eq!(delete(&jobs, &queue, job.id, None).await["statusCode"], 200);
}

/// A store in which somebody else moves the job right before each of the first writes.
#[derive(Clone)]
struct Racing {
    jobs: MemoryJobs,
    moves: Arc<Mutex<Vec<Move>>>,
}

type Move = fn(&Job) -> Option<Job>;

impl Racing {
    fn new(jobs: &MemoryJobs, moves: Vec<Move>) -> Self {
        Self { jobs: jobs.clone(), moves: Arc::new(Mutex::new(moves)) }
    }

    async fn race(&self, id: JobId) {
        let Some(step) = self.moves.lock().unwrap().pop() else { return };
        let job = self.jobs.job(&tenant(), id).await.unwrap().unwrap().job;
        match step(&job) {
            Some(next) => self.jobs.swap(&next).await.unwrap(),
            None => self.jobs.delete(&job).await.unwrap(),
        };
    }
}

impl ReadJobs for Racing {
    async fn job(&self, tenant: &Tenant, id: JobId) -> Result<Option<JobRecord>, StoreError> {
        self.jobs.job(tenant, id).await
    }
}

impl MoveJobs for Racing {
    async fn swap(&self, next: &Job) -> Result<Swap, StoreError> {
        self.race(next.id).await;
        self.jobs.swap(next).await
    }

    async fn delete(&self, job: &Job) -> Result<Swap, StoreError> {
        self.race(job.id).await;
        self.jobs.delete(job).await
    }

    async fn report(&self, _: &Tenant, _: JobId, _: Progress) -> Result<(), StoreError> {
        unreachable!("no route reports progress")
    }

    async fn report_seen(&self, _: &Tenant, _: JobId, _: u64) -> Result<(), StoreError> {
        unreachable!("no route reports progress")
    }
}

async fn raced(before: State, moves: Vec<Move>) -> (Value, Option<State>) {
    let (jobs, queue) = (MemoryJobs::default(), MemoryQueue::default());
    let job = stored(&jobs, before).await;
    let reply = delete(&Racing::new(&jobs, moves), &queue, job.id, None).await;
    (reply["statusCode"].clone(), state(&jobs).await)
}

#[tokio::test]
async fn a_cancel_that_loses_the_race_to_the_commit_is_too_late() {
    let commit: Move = |job| Some(job.begin_commit(now()).unwrap());
    assert_eq!(raced(State::Processing, vec![commit]).await, (json!(409), Some(State::Committing)));
}

#[tokio::test]
async fn a_cancel_that_meets_another_step_is_judged_anew() {
    let postpone: Move = |job| Some(job.postpone(now()).unwrap());
    assert_eq!(raced(State::Processing, vec![postpone; 3]).await, (json!(200), Some(State::Cancelling)));
    let pin: Move = |job| Some(job.pin(vec![fixtures::pin()], now()).unwrap());
    assert_eq!(raced(State::New, vec![pin]).await, (json!(200), Some(State::Cancelling)));
}

#[tokio::test]
async fn a_job_that_never_stands_still_is_a_503() {
    let postpone: Move = |job| Some(job.postpone(now()).unwrap());
    assert_eq!(raced(State::Processing, vec![postpone; 100]).await, (json!(503), Some(State::Processing)));
}

#[tokio::test]
async fn a_job_that_another_delete_takes_first_is_gone_as_asked() {
    let gone: Move = |_| None;
    assert_eq!(raced(State::Succeeded, vec![gone]).await, (json!(200), None));
}
