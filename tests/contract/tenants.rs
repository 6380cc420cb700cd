//! What a route does about a neighbour's job is what it does about one that never was: the same calls in the same order, and
//! so nothing to be told from how long an answer takes.

use domain::cursor;
use domain::job::Job;
use domain::ports::jobs::{CreateJobs, MoveJobs};
use domain::tenant::Tenant;
use edge::http::{Operation, respond};
use serde_json::{Value, json};
use std::sync::Arc;
use testkit::{Calls, ManualClock, MemoryJobs, MemoryQueue, SeededRandom, fixtures};

const GET: &str = include_str!("../../infra/events/get_export_job.json");
const DELETE: &str = include_str!("../../infra/events/cancel_export_job.json");
const LIST: &str = include_str!("../../infra/events/list_export_jobs.json");

/// Who asks: the tenant of the sample events.
fn asker() -> Tenant {
    Tenant::new("1BD6382559DF0C130A49422D@AdobeOrg", "prod").unwrap()
}

/// A job by its tenant, as it is created and as it has ended.
fn jobs(of: &Tenant) -> [Job; 2] {
    let processing = fixtures::processing(of, 1, 4);
    let failing = processing.fail(Vec::new(), fixtures::NOW).unwrap();
    [fixtures::job(of, 1), failing.end_fail(fixtures::NOW).unwrap()]
}

/// What a route answers and what it calls for it, in a store that holds a job or none.
async fn asked(operation: Operation, query: &str, held: Option<&Job>) -> (Value, Vec<String>) {
    let calls = Arc::new(Calls::default());
    let (store, queue) = (MemoryJobs::under(calls.clone()), MemoryQueue::under(calls.clone()));
    if let Some(job) = held {
        store.create(&fixtures::job(&job.tenant, 1), None, fixtures::NOW).await.unwrap();
        for version in 2..=job.version {
            store.swap(&Job { version, ..job.clone() }).await.unwrap();
        }
    }
    calls.take();
    let sample = match operation {
        Operation::Get => GET,
        Operation::Cancel => DELETE,
        Operation::List | Operation::Create => LIST,
    };
    let mut event: Value = serde_json::from_str(sample).unwrap();
    if sample != LIST {
        event["rawPath"] = json!(format!("/export/jobs/{}", fixtures::job_id(1)));
    }
    event["rawQueryString"] = json!(query);
    let (random, clock) = (SeededRandom::new(1), ManualClock::at(fixtures::NOW));
    let answer = match operation {
        Operation::Get => respond(operation, event, &random, &|it| get_export_job::handle(&store, it)).await,
        Operation::Cancel => {
            respond(operation, event, &random, &|it| cancel_export_job::handle(&store, &queue, &clock, it)).await
        }
        _ => respond(operation, event, &random, &|it| list_export_jobs::handle(&store, it)).await,
    };
    (answer, calls.take())
}

#[tokio::test]
async fn a_neighbours_job_costs_what_one_that_never_was_costs() {
    let before = format!("offset={}", cursor::of(fixtures::job_id(2)));
    let at = format!("offset={}", cursor::of(fixtures::job_id(1)));
    for (operation, query) in [
        (Operation::Get, ""),
        (Operation::Cancel, ""),
        (Operation::List, ""),
        (Operation::List, "status=NEW"),
        (Operation::List, "status=FAILED"),
        (Operation::List, &before),
        (Operation::List, &at),
    ] {
        let never = asked(operation, query, None).await;
        assert!(!never.1.is_empty(), "{operation:?}");
        for job in jobs(&fixtures::tenant()) {
            let neighbours = asked(operation, query, Some(&job)).await;
            assert_eq!(neighbours, never, "{operation:?} {query}: {:?}", job.state);
        }
    }
}

#[tokio::test]
async fn ones_own_job_is_noticed() {
    for operation in [Operation::Get, Operation::Cancel, Operation::List] {
        let never = asked(operation, "", None).await;
        for job in jobs(&asker()) {
            assert_ne!(asked(operation, "", Some(&job)).await, never, "{operation:?}: {:?}", job.state);
        }
    }
}
