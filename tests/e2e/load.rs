//! Many jobs at once: none is lost, each is exported once, and what that costs is told. `LOAD_JOBS=1000` submits so many;
//! `--nocapture` shows the figures.

use crate::world::World;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// Jobs that `cargo test` submits.
const USUAL_JOBS: usize = 30;
/// How many a second.
const PER_SECOND: f64 = 50.0;
/// Records of a page.
const PAGE: usize = 100;
/// Time between two looks at the list.
const LOOK_EVERY: Duration = Duration::from_millis(200);

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_come_fast_all_end_and_each_stands_in_the_dataset_once() {
    let jobs = number("LOAD_JOBS").map_or(USUAL_JOBS, |jobs| jobs as usize);
    let mut world = World::start(1_000).await;
    let segment = world.segments()[0].clone();
    let began = Instant::now();
    let answers = submit(&world, &World::request(&segment), jobs).await;
    let submitted = began.elapsed();
    let (ended, lists) = ended(&world, jobs).await;
    let took = began.elapsed();

    assert_eq!(ended.len(), jobs);
    let members = world.current_members(0);
    for job in ended.values() {
        assert_eq!(job["status"], "SUCCEEDED", "{job}");
        assert_eq!(job["metrics"]["totalExportedProfileCounter"], members, "{job}");
    }
    // Each of the first, the middle and the last holds what it counts.
    for id in [0, jobs / 2, jobs - 1].map(|at| ended.keys().nth(at).unwrap()) {
        assert_eq!(world.exported_ids(&ended[id]).await.len(), members);
    }

    let lived = |job: &Value| (job["updateTime"].as_i64().unwrap() - job["creationTime"].as_i64().unwrap()) as f64;
    println!("{jobs} jobs submitted in {:.1} s, all ended after {:.1} s", submitted.as_secs_f64(), took.as_secs_f64());
    println!("jobs a minute            {:.0}", jobs as f64 / took.as_secs_f64() * 60.0);
    tell("POST, ms", answers);
    tell("POST to SUCCEEDED, ms", ended.values().map(lived).collect());
    tell("a page of the list, ms", lists);
    for (operation, peak) in ["export_worker", "create_export_job"].map(|name| (name, world.peak_memory(name))) {
        println!("{operation:<24} {} MB at most", peak / 1_000_000);
    }
    let (files, newest) = metadata(world.folder());
    println!("table metadata           {files} files, the newest {:.1} KB", newest as f64 / 1_000.0);
    world.stop().await;
}

/// Submits so many jobs at a steady pace; tells the milliseconds that each answer took.
async fn submit(world: &World, request: &Value, jobs: usize) -> Vec<f64> {
    let mut pace = tokio::time::interval(Duration::from_secs_f64(1.0 / PER_SECOND));
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..jobs {
        pace.tick().await;
        let (api, request) = (world.api(), request.clone());
        calls.spawn(async move {
            let began = Instant::now();
            api.create(&request).await.unwrap();
            began.elapsed().as_secs_f64() * 1_000.0
        });
    }
    calls.join_all().await
}

/// The jobs by id, once all have ended, and the milliseconds that the newest page of their list took meanwhile. It looks as a
/// client would who waits, so that looking costs the same however many jobs there are.
async fn ended(world: &World, jobs: usize) -> (BTreeMap<u64, Value>, Vec<f64>) {
    let mut took = Vec::new();
    let give_up = Instant::now() + Duration::from_secs(60 + 4 * jobs as u64);
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let began = Instant::now();
        let page = world.api().list(&format!("limit={PAGE}")).await.unwrap();
        took.push(began.elapsed().as_secs_f64() * 1_000.0);
        assert_eq!(records(&page).len(), jobs.min(PAGE), "none is lost");
        if !any(world, "NEW").await && !any(world, "PROCESSING").await {
            let listed = world.jobs(PAGE).await.unwrap();
            let listed: BTreeMap<_, _> = listed.into_iter().map(|job| (job["id"].as_u64().unwrap(), job)).collect();
            assert_eq!(listed.len(), jobs, "none is lost");
            if listed.values().all(|job| !["NEW", "PROCESSING"].map(Value::from).contains(&job["status"])) {
                return (listed, took);
            }
        }
        assert!(Instant::now() < give_up, "{jobs} jobs have not ended");
    }
}

/// Whether a job shows that status.
async fn any(world: &World, status: &str) -> bool {
    !records(&world.api().list(&format!("limit=1&status={status}")).await.unwrap()).is_empty()
}

fn records(page: &Value) -> &[Value] {
    page["records"].as_array().unwrap()
}

/// What a variable of the environment says.
pub fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

/// Shows how figures are spread.
pub fn tell(what: &str, mut figures: Vec<f64>) {
    figures.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| figures[((figures.len() - 1) as f64 * share) as usize];
    println!("{what:<24} median {:.0}, 99 of 100 {:.0}, most {:.0}", at(0.5), at(0.99), at(1.0));
}

/// Number of the export table's metadata files, and the bytes of the newest one that tells all.
fn metadata(folder: &Path) -> (usize, u64) {
    let mut open = vec![folder.to_owned()];
    let (mut files, mut largest) = (0, 0);
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let (path, of_export) = (entry.path(), entry.path().to_string_lossy().contains("/exports"));
            if path.is_dir() {
                open.push(path);
            } else if of_export && path.parent().is_some_and(|parent| parent.ends_with("metadata")) {
                files += 1;
                let tells_all = path.to_string_lossy().ends_with(".metadata.json");
                largest = largest.max(if tells_all { entry.metadata().unwrap().len() } else { 0 });
            }
        }
    }
    (files, largest)
}
