//! A page of the list costs the same however many jobs there are. `LIST_JOBS=1000000` makes so many; `--nocapture` shows the
//! figures.

use crate::load::{number, tell};
use crate::world::{ORGANIZATION, World};
use aws::{Clients, Endpoints};
use domain::id::JobId;
use domain::instant::Millis;
use domain::ports::jobs::{CreateJobs, ReadJobs};
use domain::tenant::Tenant;
use futures::{StreamExt, stream};
use serde_json::Value;
use std::time::Instant;

/// Jobs that `cargo test` makes.
const USUAL_JOBS: u64 = 1_000;
/// Records of a page, where there are so many.
const PAGE: u64 = 100;
/// How often each page is asked for.
const TIMES: usize = 20;
/// Jobs that are made at a time.
const AT_ONCE: usize = 32;

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_the_list_is_whole_wherever_it_lies_among_many_jobs() {
    let jobs = number("LIST_JOBS").unwrap_or(USUAL_JOBS);
    let world = World::start(100).await;
    let job = world.submit(&world.segments()[0]).await;
    let job = world.watch(&job, |_, _| {}).await;
    assert_eq!(job["status"], "SUCCEEDED", "{job}");
    let newest = job["id"].as_u64().unwrap();
    make_older(&world, newest, jobs - 1).await;

    let page = PAGE.min(jobs);
    for (what, before) in [("newest", 0), ("in the middle", (jobs - page) / 2), ("oldest", jobs - page)] {
        let offset = if before == 0 { String::new() } else { format!("0_{}", newest - before + 1) };
        let expected: Vec<u64> = (newest - before - page + 1..=newest - before).rev().collect();
        for filter in ["", "&status=SUCCEEDED"] {
            let mut took = Vec::new();
            for _ in 0..TIMES {
                let began = Instant::now();
                let answer = world.api().list(&format!("limit={page}&offset={offset}{filter}")).await.unwrap();
                took.push(began.elapsed().as_secs_f64() * 1_000.0);
                let id = |job: &Value| job["id"].as_u64().unwrap();
                assert_eq!(answer["records"].as_array().unwrap().iter().map(id).collect::<Vec<_>>(), expected);
            }
            tell(&format!("{jobs} jobs, {what} {page}{filter}, ms"), took);
        }
    }
    world.stop().await;
}

/// Makes jobs like the newest one, with the ids before its.
async fn make_older(world: &World, newest: u64, count: u64) {
    let (store, tenant) = (jobs_of(world).await, Tenant::new(ORGANIZATION, "prod").unwrap());
    let id = |value: u64| JobId::parse(&value.to_string()).unwrap();
    let first = store.job(&tenant, id(newest)).await.unwrap().unwrap().job;
    let made = stream::iter(1..=count).map(|before| {
        let mut job = first.clone();
        job.id = id(newest - before);
        job.nonce = format!("listed-{before}");
        let store = &store;
        async move { store.create(&job, None, Millis(0)).await.unwrap() }
    });
    made.buffer_unordered(AT_ONCE).for_each(async |_| ()).await;
}

/// The jobs of the stack, past its API.
async fn jobs_of(world: &World) -> aws::DynamoJobs {
    let stack: Value = serde_json::from_slice(&std::fs::read(world.folder().join("stack.json")).unwrap()).unwrap();
    let text = |path: &str| stack.pointer(path).unwrap().as_str().unwrap().to_owned();
    let endpoints = Endpoints {
        dynamodb: text("/endpoints/dynamodb"),
        s3: text("/endpoints/s3"),
        sqs: text("/endpoints/sqs"),
        glue: text("/endpoints/glue"),
        region: text("/region"),
        access_key: text("/accessKeyId"),
        secret_key: text("/secretAccessKey"),
    };
    Clients::at(&endpoints).await.jobs(&text("/tables/Table"))
}
