//! The whole stack, with real processes: what a user sees, also when processes are killed.
#![recursion_limit = "256"]
#![allow(clippy::unwrap_used)]

mod isolation;
mod kills;
mod listing;
mod load;
mod paths;
mod secrets;
mod wire;
mod world;

use domain::id::JobId;
use domain::message::{Message, Task};
use domain::tenant::Tenant;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use world::World;

/// Profiles of the sample that these tests export from.
const PROFILES: u32 = 4_000;
/// How long a message may take to be worked off.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn an_export_holds_each_member_once_even_if_workers_are_killed() {
    let mut world = World::start(PROFILES).await;
    let segment = world.segments()[1].clone();
    let job = world.submit(&segment).await;
    let mut kills = 0;
    let job = world
        .watch(&job, |world, look| {
            if kills < 4 && look["status"] == "PROCESSING" {
                kills += world.kill("export_worker");
            }
        })
        .await;
    assert_eq!(job["status"], "SUCCEEDED", "{job}");
    assert!(kills > 0, "no worker was there to be killed");
    let rows = world.exported_ids(&job).await;
    assert_eq!(rows.iter().collect::<BTreeSet<_>>().len(), rows.len(), "I8: each member once");
    assert_eq!(rows.len(), world.current_members(1));
    let undisturbed = world.submit(&segment).await;
    let undisturbed = world.watch(&undisturbed, |_, _| {}).await;
    assert_eq!(rows, world.exported_ids(&undisturbed).await);
    assert_eq!(job["metrics"]["totalExportedProfileCounter"], rows.len());
    assert_eq!(job["progress"]["percent"], 100);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_ends_without_a_visible_row_and_can_then_be_deleted() {
    let mut world = World::start(PROFILES).await;
    let job = world.submit(&world.segments()[0].clone()).await;
    let id = job["id"].as_u64().unwrap();
    let answer = world.api().delete(id).await.unwrap();
    assert_eq!(answer, json!({"status": true, "message": "Export job has been marked for cancelling"}));
    let job = world.watch(&job, |_, _| {}).await;
    assert_eq!(job["status"], "CANCELLED");
    assert_eq!(world.exported_ids(&job).await, Vec::<String>::new());
    world.api().delete(id).await.unwrap();
    let gone = world.api().get(id).await.unwrap_err().to_string();
    assert!(gone.contains(&format!("The export job {id} is not found.")), "{gone}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_that_are_moved_back_do_no_harm() {
    let mut world = World::start(PROFILES).await;
    let tenant = Tenant::new(world::ORGANIZATION, "prod").unwrap();
    let ended = world.watch(&world.submit(&world.segments()[0].clone()).await, |_, _| {}).await;
    let files = world.exported_files().await;
    let id = ended["id"].as_u64().unwrap();
    let (queues, dead) = (world.stack().emulators().sqs.queues(), world.dead_letters());
    for task in [Task::Plan, Task::Part { part: 0 }, Task::Commit] {
        let message = Message::new(&tenant, JobId::parse(&id.to_string()).unwrap(), task);
        queues.send(&dead, &message.to_json()).await.unwrap();
    }
    queues.redrive(&dead).await.unwrap();
    let counts = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"];
    let (work, began) = (world.work_queue(), Instant::now());
    let is_empty = |queue: &BTreeMap<String, String>| counts.iter().all(|count| queue[*count] == "0");
    while !is_empty(&world.queue(&work).await) {
        assert!(began.elapsed() < PATIENCE, "the messages are not taken");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(world.queue(&dead).await[counts[0]], "0");
    assert_eq!(world.api().get(id).await.unwrap(), ended);
    assert_eq!(world.exported_files().await, files);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_finds_its_jobs_and_datasets_again() {
    let mut world = World::start(PROFILES).await;
    let job = world.submit(&world.segments()[2].clone()).await;
    let job = world.watch(&job, |_, _| {}).await;
    let before = world.exported_ids(&job).await;
    let mut world = world.restart().await;
    assert_eq!(world.api().get(job["id"].as_u64().unwrap()).await.unwrap(), job);
    assert_eq!(world.exported_ids(&job).await, before);
    assert!(!before.is_empty());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_template_changes_the_stack() {
    let changes = [
        ("RouteKey: \"POST /export/jobs\"", "RouteKey: \"POST /moved\""),
        ("BatchSize: 1", "BatchSize: 4"),
        ("MaximumConcurrency: !Ref WorkerConcurrency", "MaximumConcurrency: 1"),
        ("VisibilityTimeout: 1080", "VisibilityTimeout: 77"),
    ];
    let copy = changes.iter().fold(world::TEMPLATE.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    });
    for (template, concurrent, visibility) in [(world::TEMPLATE, 2, "1080"), (&copy, 1, "77")] {
        let world = World::start_on(template, None, PROFILES).await;
        let request = World::request(&world.segments()[0]);
        assert_eq!(world.api().create(&request).await.is_ok(), concurrent == 2, "the route");
        let job = world.aep_api().create(&request).await.unwrap();
        let mut most = 0;
        let worker = |world: &World| world.stack().function("export_worker").unwrap().pids().len();
        let job = world.watch(&job, |world, _| most = most.max(worker(world))).await;
        assert_eq!((&job["status"], most), (&json!("SUCCEEDED"), concurrent));
        assert_eq!(world.queue(&world.work_queue()).await["VisibilityTimeout"], visibility);
        world.stop().await;
    }
}
