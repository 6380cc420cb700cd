//! Worker, sweeper and routes are killed at random while jobs run: every job ends, each member stands in its dataset once, and
//! nothing is left behind. `KILLS=500` kills so often; `--nocapture` shows the figures.

use crate::load::{number, tell};
use crate::world::World;
use domain::ports::Random;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};
use testkit::SeededRandom;

/// Kills of `cargo test`.
const USUAL_KILLS: usize = 30;
/// Jobs at a time.
const JOBS: usize = 20;
/// Whom a kill strikes; the worker more often, as it does the most.
const STRUCK: [&str; 7] = [
    "export_worker",
    "export_worker",
    "export_worker",
    "sweeper",
    "create_export_job",
    "get_export_job",
    "list_export_jobs",
];
/// Milliseconds between two kills, at most.
const MOST_PAUSE: u64 = 250;
/// How long jobs may take to end, and then the looks at what they left: more than any step's patience.
const PATIENCE: Duration = Duration::from_secs(300);

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_killed_every_job_ends_each_member_stands_once_and_nothing_is_left() {
    let wanted = number("KILLS").map_or(USUAL_KILLS, |kills| kills as usize);
    let settings = [("MAX_ATTEMPTS", "100"), ("COLLECT_GRACE_SECONDS", "1")];
    let mut world = World::start_with(2_000, &settings).await;
    let (random, mut kills, mut recoveries) = (SeededRandom::new(wanted as u64), BTreeMap::new(), Vec::new());
    let calm = round(&world, 0, &random, &mut BTreeMap::new()).await;
    while kills.values().sum::<usize>() < wanted {
        recoveries.push(round(&world, wanted, &random, &mut kills).await);
    }
    let jobs = all(&world).await;
    let members = world.current_members(0);
    let undisturbed = lived(&jobs[..JOBS]);
    for job in &jobs {
        assert_eq!(job["status"], "SUCCEEDED", "{job:#}");
        let ids = world.exported_ids(job).await;
        assert_eq!((ids.len(), ids.iter().collect::<BTreeSet<_>>().len()), (members, members), "{job:#}");
    }
    let letters =
        world.stack().emulators().sqs.queues().receive(&world.dead_letters(), 10, Duration::ZERO).await.unwrap();
    let letters: Vec<_> = letters.iter().map(|letter| &letter.body).collect();
    assert!(letters.is_empty(), "{letters:?}");
    collected(&world).await;
    assert_eq!(left_behind(&mut world, jobs.len()).await, Vec::<String>::new());

    println!("{} jobs, {} kills: {kills:?}", jobs.len(), kills.values().sum::<usize>());
    println!("{JOBS} jobs undisturbed were done after {calm:.1} s");
    tell("undisturbed, POST to SUCCEEDED, ms", undisturbed);
    tell("killed, POST to SUCCEEDED, ms", lived(&jobs[JOBS..]));
    tell("from the last kill to rest, ms", recoveries.into_iter().map(|seconds| seconds * 1_000.0).collect());
    world.stop().await;
}

/// Submits jobs and kills while they run; gives the seconds from the last kill (or the first job) to the end of the last job.
async fn round(world: &World, wanted: usize, random: &SeededRandom, kills: &mut BTreeMap<&'static str, usize>) -> f64 {
    let before = all(world).await.len();
    let request = World::request(&world.segments()[0]);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..JOBS {
        let (api, request) = (world.api(), request.clone());
        // An answer that was lost with its process may have made a job all the same; it is one more.
        calls.spawn(async move { while api.create(&request).await.is_err() {} });
    }
    let (began, mut last) = (Instant::now(), Instant::now());
    loop {
        tokio::time::sleep(Duration::from_millis(random.bits() as u64 % MOST_PAUSE)).await;
        let running = calls.try_join_next().is_some() || !calls.is_empty() || !at_rest(world, before + JOBS).await;
        if !running {
            return last.elapsed().as_secs_f64();
        }
        let operation = STRUCK[random.bits() as usize % STRUCK.len()];
        if kills.values().sum::<usize>() < wanted && world.kill_one(operation, random.bits() as usize) {
            *kills.entry(operation).or_default() += 1;
            last = Instant::now();
        }
        assert!(began.elapsed() < PATIENCE, "jobs have not ended");
    }
}

/// All jobs, the oldest first, asked for until an answer comes.
async fn all(world: &World) -> Vec<Value> {
    loop {
        if let Ok(jobs) = world.jobs(1_000).await {
            return jobs;
        }
    }
}

/// Whether there are at least so many jobs and all have ended.
async fn at_rest(world: &World, jobs: usize) -> bool {
    let listed = all(world).await;
    let runs = |job: &Value| ["NEW", "PROCESSING"].map(Value::from).contains(&job["status"]);
    listed.len() >= jobs && !listed.iter().any(runs)
}

/// Milliseconds from each job's creation to its end.
fn lived(jobs: &[Value]) -> Vec<f64> {
    jobs.iter().map(|job| job["updateTime"].as_f64().unwrap() - job["creationTime"].as_f64().unwrap()).collect()
}

/// Waits for the last look at what each job left.
async fn collected(world: &World) {
    let began = Instant::now();
    while partitions(world).iter().any(|key| key.ends_with("#COLLECT")) {
        assert!(began.elapsed() < PATIENCE, "jobs are not cleaned up after: {:?}", partitions(world));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The partition keys of the table's items.
fn partitions(world: &World) -> Vec<String> {
    world.items().iter().map(|item| item["PK"]["S"].as_str().unwrap().to_owned()).collect()
}

/// What should not be there once everything is cleaned up after: plans, lists, shards, parts, uploads, files of the export
/// dataset that its table does not name, and files of commits and widenings that were overtaken.
async fn left_behind(world: &mut World, jobs: usize) -> Vec<String> {
    let named: BTreeSet<String> = world.exported_files().await.into_iter().collect();
    let is_left = |path: &String| {
        let is_ours = path.contains("/jobs/") || path.contains("/.upload") || path.contains("/batchId=");
        is_ours && !named.iter().any(|location| path.ends_with(location.trim_start_matches("s3:/")))
    };
    let all = files(world.stack().emulators().s3.folder());
    let folder = named.first().and_then(|location| location.trim_start_matches("s3:/").split_once("/data/"));
    let metadata = format!("{}/metadata/", folder.unwrap().0);
    let mut left = overtaken(all.iter().filter_map(|path| path.split_once(&metadata)).map(|(_, name)| name), jobs);
    left.extend(all.iter().filter(|path| is_left(path)).cloned());
    // Shards and parts lie under organization, sandbox, job and shard.
    left.extend(partitions(world).into_iter().filter(|key| key.split('#').count() == 4));
    left
}

/// The kinds of which a table's metadata folder has more or fewer files than one for each job or, of metadata files, one for each
/// of the table's versions.
fn overtaken<'a>(names: impl Iterator<Item = &'a str>, jobs: usize) -> Vec<String> {
    let names: Vec<_> = names.collect();
    let number = |kind: fn(&str) -> bool| names.iter().filter(|name| kind(name)).count();
    let numbered = names.iter().filter_map(|name| name.strip_suffix(".metadata.json")?.split_once('-')?.0.parse().ok());
    let versions = numbered.max().map_or(0, |last: usize| last + 1);
    let kinds = [
        ("lists of manifests", jobs, number(|name| name.starts_with("snap-"))),
        ("manifests", jobs, number(|name| name.ends_with("-m0.avro"))),
        ("metadata files", versions, number(|name| name.ends_with(".metadata.json"))),
    ];
    let wrong = kinds.iter().filter(|(_, due, number)| number != due);
    wrong.map(|(kind, due, number)| format!("{number} {kind} instead of {due}")).collect()
}

fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path.to_str().unwrap().to_owned()] })
        .collect()
}
