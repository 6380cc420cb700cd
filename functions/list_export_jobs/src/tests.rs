//! The route as clients see it, from the gateway's event to its reply.

use super::*;
use domain::job::Job;
use domain::ports::jobs::{CreateJobs, JobPage, MoveJobs, StoreError};
use domain::state::ShownStatus;
use edge::http::{Operation, respond};
use std::sync::{Arc, Mutex};
use testkit::{Fault, MemoryJobs, SeededRandom, fixtures};

const EVENT: &str = include_str!("../../../infra/events/list_export_jobs.json");

/// The tenant of the sample event.
fn tenant() -> Tenant {
    Tenant::new("1BD6382559DF0C130A49422D@AdobeOrg", "prod").unwrap()
}

async fn list<J: ListJobs>(jobs: &J, query: &str) -> Value {
    let mut event: Value = serde_json::from_str(EVENT).unwrap();
    event["rawQueryString"] = json!(query);
    let mut reply = respond(Operation::List, event, &SeededRandom::new(1), &|request| handle(jobs, request)).await;
    assert!(reply.to_string().len() < 6 * 1024 * 1024, "Lambda takes no larger reply");
    reply["body"] = serde_json::from_str(reply["body"].as_str().unwrap()).unwrap();
    reply
}

/// Jobs 1 to `n`, every third of them CANCELLING, beside one of another tenant.
async fn stored(n: u64) -> MemoryJobs {
    let jobs = MemoryJobs::default();
    jobs.create(&fixtures::job(&fixtures::tenant(), 1), None, fixtures::NOW).await.unwrap();
    for n in 1..=n {
        let job = fixtures::job(&tenant(), n);
        jobs.create(&job, None, fixtures::NOW).await.unwrap();
        if n % 3 == 0 {
            jobs.swap(&cancelled(&job)).await.unwrap();
        }
    }
    jobs
}

fn cancelled(job: &Job) -> Job {
    match job.cancel(fixtures::NOW) {
        domain::job::CancelVerdict::Cancel(next) => *next,
        other => panic!("{other:?}"),
    }
}

/// The numbers of the jobs on a page.
fn numbers(reply: &Value) -> Vec<u64> {
    let ids = reply["body"]["records"].as_array().unwrap().iter().map(|record| record["id"].as_u64().unwrap());
    ids.map(|id| id & 0xfff).collect()
}

/// The pages from a query on, each found by the link of the one before.
async fn walk<J: ListJobs>(jobs: &J, query: &str) -> Vec<Vec<u64>> {
    let mut pages = Vec::new();
    let mut query = query.to_owned();
    loop {
        let reply = list(jobs, &query).await;
        assert_eq!(reply["statusCode"], 200);
        let body = &reply["body"];
        assert_eq!(body["page"]["pageSize"], body["records"].as_array().unwrap().len());
        pages.push(numbers(&reply));
        match body["link"]["next"].as_str().unwrap() {
            "" => return pages,
            next => query = next.strip_prefix("/export/jobs/?").unwrap().to_owned(),
        }
    }
}

#[tokio::test]
async fn a_page_in_the_middle() {
    let jobs = stored(5).await;
    let offset = cursor::of(fixtures::job_id(4));
    insta::assert_json_snapshot!(list(&jobs, &format!("limit=2&offset={offset}")).await);
}

#[tokio::test]
async fn no_jobs_are_an_empty_page() {
    insta::assert_json_snapshot!(list(&MemoryJobs::default(), "").await);
}

#[tokio::test]
async fn links_lead_through_all_pages_newest_first() {
    let jobs = stored(5).await;
    assert_eq!(walk(&jobs, "limit=2").await, [vec![5, 4], vec![3, 2], vec![1]]);
    assert_eq!(walk(&jobs, "limit=5").await, [[5, 4, 3, 2, 1]]);
    assert_eq!(walk(&jobs, "").await, [[5, 4, 3, 2, 1]]);
}

#[tokio::test]
async fn links_stay_inside_the_status() {
    let jobs = stored(9).await;
    assert_eq!(walk(&jobs, "limit=2&status=CANCELLING").await, [vec![9, 6], vec![3]]);
    assert_eq!(walk(&jobs, "status=NEW&limit=4").await, [vec![8, 7, 5, 4], vec![2, 1]]);
    let reply = list(&jobs, "limit=1&status=NEW").await;
    let next = format!("/export/jobs/?limit=1&offset={}&status=NEW", cursor::of(fixtures::job_id(8)));
    assert_eq!(reply["body"]["link"]["next"], *next);
}

#[tokio::test]
async fn every_status_is_taken_by_its_exact_name() {
    let jobs = stored(3).await;
    for status in ShownStatus::ALL {
        assert_eq!(list(&jobs, &format!("status={}", status.as_str())).await["statusCode"], 200);
    }
}

#[tokio::test]
async fn a_limit_is_any_whole_number_from_1_and_a_thousand_at_most() {
    let jobs = stored(1_002).await;
    let size = async |query: &str| list(&jobs, query).await["body"]["page"]["pageSize"].as_u64().unwrap();
    assert_eq!(size("").await, 100);
    assert_eq!(size("limit=1").await, 1);
    assert_eq!(size("limit=007").await, 7);
    assert_eq!(size("limit=1000").await, 1_000);
    assert_eq!(size("limit=1001").await, 1_000);
    assert_eq!(size("limit=99999999999999999999999").await, 1_000);
    assert_eq!(size("limit=1&limit=3").await, 3);
    let reply = list(&jobs, "limit=5000").await;
    assert!(reply["body"]["link"]["next"].as_str().unwrap().starts_with("/export/jobs/?limit=1000&offset="));
}

#[tokio::test]
async fn an_offset_need_not_exist_and_an_empty_one_is_the_first_page() {
    let jobs = stored(3).await;
    for query in ["offset=", "offset=0", "offset", "unknown=1&&property=status"] {
        assert_eq!(numbers(&list(&jobs, query).await), [3, 2, 1], "{query}");
    }
    assert_eq!(numbers(&list(&jobs, "offset=1538573416687_722").await), [0; 0]);
    let third = fixtures::job(&tenant(), 3);
    let ended = cancelled(&third).end_cancel(fixtures::NOW).unwrap();
    jobs.swap(&ended).await.unwrap();
    jobs.delete(&ended).await.unwrap();
    let offset = cursor::of(third.id);
    assert_eq!(numbers(&list(&jobs, &format!("offset={offset}")).await), [2, 1]);
}

#[tokio::test]
async fn every_parameter_that_cannot_be_understood_is_named() {
    let jobs = MemoryJobs::default();
    for query in
        ["limit=0", "limit=-1", "limit=1.5", "limit=", "limit", "limit=ten", "limit=+1", "limit=00", "limit=1&limit=0"]
    {
        assert_eq!(list(&jobs, query).await["statusCode"], 400, "{query}");
    }
    for query in
        ["offset=1", "offset=a_b", "offset=1_", "offset=-1", "offset=1_2_3", "status=", "status=new", "status=ALL"]
    {
        assert_eq!(list(&jobs, query).await["statusCode"], 400, "{query}");
    }
    insta::assert_json_snapshot!(list(&jobs, "limit=0&offset=x&status=COMMITTING").await);
}

/// A job whose record is large and full of quotes, which take two bytes each in Lambda's reply.
fn large(n: u64, bytes: usize, filling: &str) -> Job {
    let mut job = fixtures::job(&tenant(), n);
    job.echo.body["filter"]["note"] = json!(filling.repeat(bytes / filling.len()));
    job
}

#[tokio::test]
async fn a_page_ends_at_four_mebibytes_and_the_links_lead_on() {
    for filling in ["a", "\\", "\"", "ä"] {
        let jobs = MemoryJobs::default();
        for n in 1..=30 {
            jobs.create(&large(n, 300_000, filling), None, fixtures::NOW).await.unwrap();
        }
        let pages = walk(&jobs, "limit=1000").await;
        assert!(pages.len() >= 3, "{filling}: {} pages", pages.len());
        assert_eq!(pages.concat(), (1..=30).rev().collect::<Vec<_>>(), "{filling}");
    }
}

#[tokio::test]
async fn one_record_is_a_page_however_large() {
    let jobs = MemoryJobs::default();
    jobs.create(&large(1, 4_500_000, "a"), None, fixtures::NOW).await.unwrap();
    assert_eq!(walk(&jobs, "").await, [[1]]);
}

/// A store that notes what it was asked for.
#[derive(Clone)]
struct Noting(MemoryJobs, Arc<Mutex<Vec<(Tenant, usize)>>>);

impl ListJobs for Noting {
    async fn page(&self, tenant: &Tenant, page: &PageRequest) -> Result<JobPage, StoreError> {
        self.1.lock().unwrap().push((tenant.clone(), page.limit));
        self.0.page(tenant, page).await
    }
}

#[tokio::test]
async fn a_page_reads_what_it_holds_and_only_the_callers_jobs() {
    let asked = Arc::default();
    let jobs = Noting(stored(250).await, Arc::clone(&asked));
    list(&jobs, "limit=210").await;
    list(&jobs, "limit=3").await;
    let wanted = [100, 100, 10, 3].map(|limit| (tenant(), limit));
    assert_eq!(*asked.lock().unwrap(), wanted);
}

#[tokio::test]
async fn a_store_out_of_reach_is_a_503() {
    let jobs = stored(1).await;
    jobs.fail_next("page", Fault::BeforeEffect);
    assert_eq!(list(&jobs, "").await["statusCode"], 503);
}
