//! The route as clients see it, from the gateway's event to its reply.

use super::*;
use domain::id::JobId;
use domain::instant::Millis;
use domain::job::{Job, JobError, Progress};
use domain::ports::jobs::{CreateJobs, MoveJobs};
use domain::tenant::Tenant;
use edge::http::{Operation, respond};
use serde_json::{Value, json};
use testkit::{Fault, MemoryJobs, SeededRandom, fixtures};

const EVENT: &str = include_str!("../../../infra/events/get_export_job.json");

/// The tenant of the sample event.
fn tenant() -> Tenant {
    Tenant::new("1BD6382559DF0C130A49422D@AdobeOrg", "prod").unwrap()
}

async fn get(jobs: &MemoryJobs, id: &str) -> Value {
    let mut event: Value = serde_json::from_str(EVENT).unwrap();
    event["rawPath"] = json!(format!("/export/jobs/{id}"));
    let mut reply = respond(Operation::Get, event, &SeededRandom::new(1), &|request| handle(jobs, request)).await;
    if let Some(text) = reply["body"].as_str() {
        reply["body"] = serde_json::from_str(text).unwrap();
    }
    reply
}

/// Stores a job and walks it along.
async fn store(jobs: &MemoryJobs, job: Job, steps: &[fn(&Job) -> Job]) -> JobId {
    jobs.create(&job, None, fixtures::NOW).await.unwrap();
    let mut job = job;
    for step in steps {
        job = step(&job);
        jobs.swap(&job).await.unwrap();
    }
    job.id
}

fn later(seconds: i64) -> Millis {
    fixtures::NOW.plus_seconds(seconds)
}

fn pin(job: &Job) -> Job {
    job.pin(vec![fixtures::pin()], later(1)).unwrap()
}

fn start(job: &Job) -> Job {
    job.start(fixtures::work(4), later(2)).unwrap()
}

fn begin_commit(job: &Job) -> Job {
    job.begin_commit(later(30)).unwrap()
}

fn succeed(job: &Job) -> Job {
    job.succeed(fixtures::counts(20), later(33)).unwrap()
}

fn fail(job: &Job) -> Job {
    let error = JobError {
        code: "UPAPI-113019-400".into(),
        msg: "The export's table is gone.".into(),
        call_stack: vec!["the table sample.exports does not exist".into()],
    };
    job.fail(vec![error], later(5)).unwrap()
}

fn end_fail(job: &Job) -> Job {
    job.end_fail(later(6)).unwrap()
}

fn cancel(job: &Job) -> Job {
    match job.cancel(later(7)) {
        domain::job::CancelVerdict::Cancel(next) => *next,
        other => panic!("{other:?}"),
    }
}

fn end_cancel(job: &Job) -> Job {
    job.end_cancel(later(8)).unwrap()
}

#[tokio::test]
async fn a_new_job_shows_its_creation_and_no_more() {
    let jobs = MemoryJobs::default();
    let id = store(&jobs, fixtures::job(&tenant(), 1), &[pin]).await;
    insta::assert_json_snapshot!(get(&jobs, &id.to_string()).await);
}

#[tokio::test]
async fn a_job_under_way_shows_its_run_and_its_progress() {
    let jobs = MemoryJobs::default();
    let id = store(&jobs, fixtures::job(&tenant(), 1), &[pin, start]).await;
    let progress =
        Progress { parts: 5, parts_done: 1, weight_done: 100, weight_seen: 0, rows: 5, bytes: 50, told: None };
    jobs.report(&tenant(), id, progress).await.unwrap();
    insta::assert_json_snapshot!(get(&jobs, &id.to_string()).await);
}

#[tokio::test]
async fn a_succeeded_job_shows_its_metrics() {
    let jobs = MemoryJobs::default();
    let id = store(&jobs, fixtures::job(&tenant(), 1), &[pin, start, begin_commit, succeed]).await;
    insta::assert_json_snapshot!(get(&jobs, &id.to_string()).await);
}

#[tokio::test]
async fn a_failed_job_shows_its_errors() {
    let jobs = MemoryJobs::default();
    let id = store(&jobs, fixtures::job(&tenant(), 1), &[pin, start, fail, end_fail]).await;
    insta::assert_json_snapshot!(get(&jobs, &id.to_string()).await);
}

#[tokio::test]
async fn inner_states_show_as_processing_and_a_cancel_as_what_it_is() {
    let walks: [(&[fn(&Job) -> Job], &str); 9] = [
        (&[pin], "NEW"),
        (&[fail], "PROCESSING"),
        (&[pin, fail, end_fail], "FAILED"),
        (&[cancel, end_cancel], "CANCELLED"),
        (&[pin, start, begin_commit], "PROCESSING"),
        (&[pin, start, fail], "PROCESSING"),
        (&[pin, start, fail, end_fail], "FAILED"),
        (&[pin, start, cancel], "CANCELLING"),
        (&[pin, start, cancel, end_cancel], "CANCELLED"),
    ];
    for (steps, status) in walks {
        let jobs = MemoryJobs::default();
        let id = store(&jobs, fixtures::job(&tenant(), 1), steps).await;
        let body = &get(&jobs, &id.to_string()).await["body"];
        assert_eq!(body["status"], status);
        assert_eq!(body["computeGatewayJobId"]["exportJob"] == "", status == "NEW");
        assert_eq!(body.get("errors").is_some(), status == "FAILED");
    }
}

#[tokio::test]
async fn whatever_is_not_found_is_the_same_404() {
    let jobs = MemoryJobs::default();
    let others = store(&jobs, fixtures::job(&fixtures::tenant(), 1), &[]).await;
    let sandbox = Tenant::new(tenant().organization(), "dev").unwrap();
    let sandboxed = store(&jobs, fixtures::job(&sandbox, 2), &[]).await;
    let mut replies = Vec::new();
    for id in [others.to_string(), sandboxed.to_string(), "42".into(), "abc".into(), "-1".into(), "01".into()] {
        let mut reply = get(&jobs, &id).await;
        let text = reply["body"].to_string().replace(&format!("job {id} is"), "job 42 is");
        reply["body"] = serde_json::from_str(&text).unwrap();
        replies.push(reply);
    }
    assert!(replies.iter().all(|reply| *reply == replies[0]), "{replies:#?}");
    insta::assert_json_snapshot!(replies[0]);
}

#[tokio::test]
async fn an_id_that_is_no_id_stands_in_the_error_harmlessly() {
    let jobs = MemoryJobs::default();
    let long = "9".repeat(200);
    for id in ["%0d%0aSet-Cookie:x", "%3Cscript%3E", "1%2F2", "%00", "%FF", long.as_str()] {
        let reply = get(&jobs, id).await;
        assert_eq!(reply["statusCode"], 404, "{id}");
        let title = reply["body"]["title"].as_str().unwrap();
        assert!(title.len() < 200 && !title.chars().any(char::is_control), "{title}");
    }
}

#[tokio::test]
async fn a_store_out_of_reach_is_a_503_to_come_again() {
    let jobs = MemoryJobs::default();
    jobs.fail_next("job", Fault::BeforeEffect);
    insta::assert_json_snapshot!(get(&jobs, "42").await);
}
