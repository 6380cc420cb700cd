//! Commits over HTTP: the lake on the local Glue and S3, and what others do between a committer's look and its swap.

use crate::cut::{Cut, Lost};
use crate::stores::Stores;
use aws::S3Objects;
use bytes::Bytes;
use domain::id::{BatchId, JobId, uuid_v4};
use domain::plan::{OutputFile, PlannedTarget, TableName};
use domain::ports::lake::{Abandoned, AppendOnce, Appended, Commit, LakeError, ReadTables, WidenTables};
use domain::ports::objects::{Location, ReadObjects, WriteObjects};
use domain::schema::{Field, Schema};
use futures::future::join_all;
use lake::glue::{GlueApi, GlueError};
use lake::{Glue, Lake};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};

/// Looks after which a committer has lost every race.
const MOST_LOOKS: usize = 50;

/// An export table in a catalog that is reached over HTTP.
struct World {
    stores: Stores,
    glue: Glue,
    lake: Lake<S3Objects>,
}

fn table() -> TableName {
    TableName { database: "lake".into(), table: "exports".into() }
}

fn columns() -> Schema {
    let column = |id: i32, name: &str| json!({ "id": id, "name": name, "required": false, "type": "string" });
    serde_json::from_value(json!({ "fields": [column(1, "profileId"), column(2, "batchId")] })).unwrap()
}

impl World {
    async fn start() -> Self {
        let stores = Stores::start().await;
        let glue = stores.glue(&stores.emulators.glue.url());
        let lake = Lake::new(glue.clone(), stores.clients.objects());
        lake.ensure_database("lake", &format!("s3://{}/lake", stores.bucket)).await.unwrap();
        let world = Self { stores, glue, lake };
        world.create("exports").await;
        world
    }

    async fn create(&self, folder: &str) {
        let location = format!("s3://{}/{folder}", self.stores.bucket);
        self.lake.create_export_table(&table(), &location, &columns()).await.unwrap();
    }

    /// The commit of a job's one file.
    async fn commit(&self, job: u64) -> Commit {
        let state = self.lake.look(&table(), "profileId").await.unwrap();
        let batch_id = BatchId::new(job.into());
        let target = PlannedTarget {
            dataset_id: "exports".into(),
            table: table(),
            table_uuid: state.copy.table_uuid,
            schema: state.copy.schema,
            spec_id: state.copy.batch_spec_id.unwrap(),
            data_prefix: format!("{}/data/", state.location),
        };
        let file = OutputFile {
            location: format!("{}{batch_id}.parquet", target.data_prefix),
            batch_id: batch_id.clone(),
            bytes: 1_000,
            rows: 10,
            profile_id_bounds: Some(("a".into(), "m".into())),
            split_offsets: vec![4],
        };
        let job_id = JobId::parse(&job.to_string()).unwrap();
        again(&Commit { job_id, batches: vec![batch_id], target, files: vec![file], commit_uuid: String::new() })
    }

    /// An attempt that nothing comes between.
    async fn attempt(&self, commit: &Commit) -> Result<Appended, LakeError> {
        self.lake.append(&again(commit), async || true).await
    }

    /// The table's metadata and where it stands.
    async fn metadata(&self) -> (String, Value) {
        let at = self.glue.table(&table()).await.unwrap().metadata_location().unwrap().to_owned();
        let body = self.stores.clients.objects().read(&Location::parse(&at).unwrap()).await.unwrap();
        (at, serde_json::from_slice(&body).unwrap())
    }

    /// Another engine commits what it makes of the table's metadata.
    async fn foreign(&self, change: impl FnOnce(&mut Value)) {
        let entry = self.glue.table(&table()).await.unwrap();
        let (at, mut metadata) = self.metadata().await;
        change(&mut metadata);
        let (folder, _) = at.rsplit_once('/').unwrap();
        let version: u64 = entry.version_id.as_deref().unwrap().parse().unwrap();
        let new = format!("{folder}/{:05}-{}.metadata.json", 90_000 + version, uuid_v4(version.into()));
        let body = Bytes::from(metadata.to_string());
        self.stores.clients.objects().create(&Location::parse(&new).unwrap(), body).await.unwrap();
        let mut input = entry.input;
        input.parameters.insert("metadata_location".into(), new);
        self.glue.update_table("lake", &input, &entry.version_id.unwrap()).await.unwrap();
    }

    /// Its owner drops the table.
    async fn drop_table(&self) {
        let call = json!({ "DatabaseName": "lake", "Name": "exports" });
        crate::cut::post(&self.stores.emulators.glue.url(), "DeleteTable", &call).await;
    }

    /// The jobs that the table's snapshots name, in order.
    async fn jobs(&self) -> Vec<String> {
        let (_, metadata) = self.metadata().await;
        let snapshots = metadata["snapshots"].as_array().cloned().unwrap_or_default();
        let named = snapshots.iter().filter_map(|s| s["summary"]["export.job-id"].as_str());
        let mut jobs: Vec<_> = named.map(str::to_owned).collect();
        jobs.sort();
        jobs
    }

    /// The live files of the current snapshot.
    async fn live(&self) -> Vec<String> {
        let state = self.lake.look(&table(), "profileId").await.unwrap();
        let files = self.lake.files(&state.pin("exports", &table()), "profileId").await.unwrap();
        let mut live: Vec<_> = files.data.into_iter().map(|file| file.location).collect();
        live.sort();
        live
    }
}

/// The same commit as the next attempt makes it.
fn again(commit: &Commit) -> Commit {
    static DRAWN: AtomicU64 = AtomicU64::new(1);
    let random = DRAWN.fetch_add(1, Ordering::Relaxed);
    Commit { commit_uuid: uuid_v4(random.into()), ..commit.clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_commit_to_one_dataset_at_once_all_stand_in_it_once() {
    let world = World::start().await;
    let mut commits = Vec::new();
    for job in 1..=8 {
        commits.push(world.commit(job).await);
    }
    let conflicts = AtomicU64::new(0);
    let committers = commits.iter().map(async |commit| {
        for _ in 0..MOST_LOOKS {
            match world.attempt(commit).await.unwrap() {
                Appended::Visible => return,
                _ => conflicts.fetch_add(1, Ordering::Relaxed),
            };
        }
        panic!("job {} never got through", commit.job_id);
    });
    join_all(committers).await;
    assert!(conflicts.into_inner() > 0, "nobody met anybody");
    assert_eq!(world.jobs().await, ["1", "2", "3", "4", "5", "6", "7", "8"]);
    let mut written: Vec<_> = commits.iter().map(|commit| commit.files[0].location.clone()).collect();
    written.sort();
    assert_eq!(world.live().await, written);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_engines_commit_between_look_and_swap_stays() {
    let world = World::start().await;
    let commit = world.commit(7).await;
    let meanwhile = async || {
        world.foreign(|metadata| metadata["properties"]["owner"] = "somebody".into()).await;
        true
    };
    assert_eq!(world.lake.append(&commit, meanwhile).await.unwrap(), Appended::Conflict);
    assert_eq!(world.jobs().await, Vec::<String>::new());
    assert_eq!(world.attempt(&commit).await.unwrap(), Appended::Visible);
    assert_eq!(
        (world.jobs().await, world.metadata().await.1["properties"]["owner"].clone()),
        (vec!["7".into()], json!("somebody"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_committer_that_sleeps_before_its_swap_is_defeated() {
    let world = World::start().await;
    let commit = world.commit(7).await;
    // By an attempt of the same job that was faster …
    let faster = async || world.attempt(&commit).await.unwrap() == Appended::Visible;
    assert_eq!(world.lake.append(&commit, faster).await.unwrap(), Appended::Conflict);
    assert_eq!((world.jobs().await, world.live().await.len()), (vec!["7".into()], 1));
    // … and by the abandoning of it.
    let commit = world.commit(8).await;
    let abandoned = async || world.lake.abandon(&again(&commit)).await.unwrap() == Abandoned::Never;
    assert_eq!(world.lake.append(&commit, abandoned).await.unwrap(), Appended::Conflict);
    assert_eq!((world.jobs().await, world.live().await.len()), (vec!["7".into()], 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_leaves_an_unknown_outcome_which_the_next_look_settles() {
    for lost in [Lost::Request, Lost::Answer] {
        let world = World::start().await;
        let commit = world.commit(7).await;
        let way = Cut::to(&world.stores.emulators.glue.url()).await;
        let lake = Lake::new(world.stores.glue(&way.url), world.stores.clients.objects());
        way.lose(lost);
        let unclear = lake.append(&commit, async || true).await;
        assert!(matches!(unclear, Err(LakeError::Unavailable(_))), "{lost:?}: {unclear:?}");
        let stands: &[&str] = if lost == Lost::Answer { &["7"] } else { &[] };
        assert_eq!(world.jobs().await, stands, "it is sent once: {lost:?}");
        assert_eq!(lake.append(&again(&commit), async || true).await.unwrap(), Appended::Visible, "{lost:?}");
        assert_eq!((world.jobs().await, world.live().await.len()), (vec!["7".into()], 1), "{lost:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_widening_whose_connection_breaks_stands_or_is_overtaken_for_good() {
    for lost in [Lost::Request, Lost::Answer] {
        let world = World::start().await;
        let entry = world.glue.table(&table()).await.unwrap();
        let table_uuid = world.commit(7).await.target.table_uuid;
        let mut wanted = columns();
        wanted.fields.push(Field { name: "score".into(), ..wanted.fields[0].clone() });
        let way = Cut::to(&world.stores.emulators.glue.url()).await;
        let lake = Lake::new(world.stores.glue(&way.url), world.stores.clients.objects());
        way.lose(lost);
        let mut told = None;
        let slot = &mut told;
        let tell = async |widening| slot.replace(widening).is_none();
        let unclear = lake.widen(&table(), &table_uuid, &wanted, &uuid_v4(7), tell).await;
        assert!(matches!(unclear, Err(LakeError::Unavailable(_))), "{lost:?}: {unclear:?}");
        let widening = told.unwrap();
        let written = world.stores.clients.objects().size(&Location::parse(&widening.metadata_file).unwrap()).await;
        assert!(written.is_ok(), "{lost:?}: {written:?}");
        let lost_files = lake.overtake(&table(), std::slice::from_ref(&widening)).await.unwrap();
        let expected = if lost == Lost::Answer { Vec::new() } else { vec![widening.metadata_file] };
        assert_eq!(lost_files, expected, "{lost:?}");
        let late = world.glue.update_table("lake", &entry.input, &entry.version_id.unwrap()).await;
        assert!(matches!(late, Err(GlueError::VersionMismatch)), "{lost:?}: {late:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_snapshot_was_expired_is_not_committed_again() {
    let world = World::start().await;
    let (first, second) = (world.commit(7).await, world.commit(8).await);
    for commit in [&first, &second] {
        assert_eq!(world.attempt(commit).await.unwrap(), Appended::Visible);
    }
    world
        .foreign(|metadata| {
            let current = metadata["current-snapshot-id"].clone();
            metadata["snapshots"].as_array_mut().unwrap().retain(|s| s["snapshot-id"] == current);
            metadata["snapshot-log"].as_array_mut().unwrap().retain(|s| s["snapshot-id"] == current);
        })
        .await;
    assert_eq!(world.jobs().await, ["8"]);
    assert_eq!(world.attempt(&first).await.unwrap(), Appended::Visible);
    assert_eq!((world.jobs().await, world.live().await.len()), (vec!["8".into()], 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_was_dropped_or_made_anew_is_not_written_to() {
    let world = World::start().await;
    let (first, commit) = (world.commit(7).await, world.commit(8).await);
    assert_eq!(world.attempt(&first).await.unwrap(), Appended::Visible);
    let dropped = async || {
        world.drop_table().await;
        true
    };
    let gone = world.lake.append(&commit, dropped).await;
    assert!(matches!(gone, Err(LakeError::NoTable(_))), "{gone:?}");
    world.create("anew").await;
    let other = world.attempt(&commit).await;
    assert!(matches!(other, Err(LakeError::OtherTable(_))), "{other:?}");
    let abandoned = world.lake.abandon(&commit).await;
    assert!(matches!(abandoned, Err(LakeError::OtherTable(_))), "{abandoned:?}");
    assert_eq!(world.jobs().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_keep_the_spec_they_were_written_for_and_are_refused_once_it_is_gone() {
    let world = World::start().await;
    let (first, second) = (world.commit(7).await, world.commit(8).await);
    let unpartitioned = json!({ "spec-id": 1, "fields": [] });
    world
        .foreign(|metadata| {
            metadata["partition-specs"].as_array_mut().unwrap().push(unpartitioned.clone());
            metadata["default-spec-id"] = json!(1);
        })
        .await;
    assert_eq!(world.attempt(&first).await.unwrap(), Appended::Visible);
    assert_eq!(world.metadata().await.1["default-spec-id"], 1, "its owner's change stays");
    world
        .foreign(|metadata| metadata["partition-specs"] = json!([{ "spec-id": 0, "fields": [] }, unpartitioned]))
        .await;
    let refused = world.attempt(&second).await;
    assert!(matches!(&refused, Err(LakeError::Unsupported(what)) if what.contains("identity(batchId)")), "{refused:?}");
}
