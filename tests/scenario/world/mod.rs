//! A sandbox that runs: the real handlers over twins of everything outside, and the lake over catalog and objects in
//! memory.

mod cells;
mod changes;
mod damage;
pub mod files;
mod names;
mod ports;
mod tables;

use crate::oracle::{Outcome, sort};
use crate::store::{Evolution, Store};
use domain::id::JobId;
use domain::plan::{Plan, TableName};
use domain::ports::jobs::PartState;
use domain::ports::lake::ReadTables;
use domain::ports::objects::{Location, ReadObjects};
use domain::ports::queue::SendMessages;
use domain::problem::Problem;
use domain::registry::Registry;
use domain::tenant::Tenant;
use edge::http::{Headers, Request};
use edge::verdict::Caller;
use export_worker::{Engine, Halt, Settings};
use lake::Lake;
use lake::twin::MemoryGlue;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use testkit::{Fault, ManualClock, MemoryJobs, MemoryObjects, MemoryQueue, MemoryRegistry, SeededRandom, fixtures};

/// The id of the export dataset.
pub const EXPORTS: &str = "exports";
/// Messages of one job after which it runs in circles.
const MOST_MESSAGES: usize = 10_000;

type TestLake = Lake<MemoryObjects, MemoryGlue>;

/// A running sandbox.
pub struct World {
    jobs: MemoryJobs,
    registry: MemoryRegistry,
    queue: MemoryQueue,
    clock: ManualClock,
    random: SeededRandom,
    objects: MemoryObjects,
    engine: Engine<MemoryObjects>,
    lake: TestLake,
    settings: Settings,
    tenant: Tenant,
}

impl World {
    /// The sandbox of a store, its tables made and filled.
    pub async fn new(store: &Store) -> Self {
        let objects = MemoryObjects::default();
        let glue = MemoryGlue::default();
        let lake = Lake::new(glue.clone(), objects.clone());
        let tenant = fixtures::tenant();
        let mut registry = Registry::default();
        for (id, dataset) in &store.datasets {
            let buckets = store.buckets_of(dataset);
            registry.datasets.push(tables::source(&lake, &glue, &objects, id, dataset, buckets).await);
        }
        let known = if store.old_exports { &[] } else { registry.datasets.as_slice() };
        let target = tables::target(&lake, known).await;
        registry.datasets.push(target);
        registry.policies = store.policies.iter().map(|p| serde_json::from_value(p.clone()).unwrap()).collect();
        registry.segments = store.segments.iter().map(|s| serde_json::from_value(s.clone()).unwrap()).collect();
        Self {
            jobs: MemoryJobs::default(),
            registry: MemoryRegistry::with(&tenant, registry),
            queue: MemoryQueue::default(),
            clock: ManualClock::at(fixtures::NOW),
            random: SeededRandom::new(1),
            engine: Engine { objects: objects.clone(), settings: engine_settings(store) },
            objects,
            lake,
            settings: Settings {
                state_bucket: "state".into(),
                lease_seconds: 60,
                max_attempts: 3,
                part_target_bytes: store.part_bytes.unwrap_or(1 << 30),
                split_after_seconds: if store.hurried { 0 } else { 120 },
                collect_grace_seconds: 3_600,
            },
            tenant,
        }
    }

    /// `POST /export/jobs`.
    pub async fn post(&self, body: &Value) -> Result<Value, Problem> {
        self.clock.advance_seconds(1);
        let request = self.request("", body.to_string().into_bytes());
        let World { jobs, registry, queue, clock, random, .. } = self;
        let limits = create_export_job::Settings { max_running_jobs: 100 };
        let reply = create_export_job::handle(jobs, registry, queue, clock, random, &limits, request).await?;
        assert_eq!(reply.status, 200);
        Ok(reply.body.unwrap())
    }

    /// `GET /export/jobs/{id}`.
    pub async fn get(&self, id: &Value) -> Value {
        let reply = get_export_job::handle(&self.jobs, self.request(&id.to_string(), Vec::new())).await;
        reply.unwrap().body.unwrap()
    }

    /// Lets the worker take messages until there are none.
    pub async fn work(&self) {
        let mut count = 0;
        loop {
            let messages = self.queue.take();
            if messages.is_empty() {
                return;
            }
            for message in &messages {
                count += 1;
                assert!(count < MOST_MESSAGES, "the worker runs in circles: {message:?}");
                let done = export_worker::handle(self, message).await;
                if let Err(halt) = done {
                    panic!("{message:?} came to a halt: {halt:?}");
                }
            }
        }
    }

    /// Lets the worker plan a job that was just posted, and crash once its inputs are pinned.
    pub async fn crash_when_pinned(&self) {
        let messages = self.queue.take();
        assert_eq!(messages.len(), 1);
        self.objects.fail_next("create", Fault::BeforeEffect);
        let crashed = export_worker::handle(self, &messages[0]).await;
        assert!(matches!(crashed, Err(Halt::Later(_))), "{crashed:?}");
        self.queue.send(&messages).await.unwrap();
    }

    /// Changes the columns of a dataset without a snapshot.
    pub async fn change(&self, dataset: &str, change: &Evolution) {
        let schema = self.lake.look(&table(dataset), "profileId").await.unwrap().copy.schema;
        let mut last_id = changes::last_id(&schema) + 100;
        self.lake.evolve(&table(dataset), &changes::changed(schema, change, &mut last_id)).await.unwrap();
    }

    /// Commits more to the table of a dataset in two buckets, as its commit of that number.
    pub async fn commit(&self, dataset: &str, number: usize, commit: &Value) {
        let commit = serde_json::from_value(commit.clone()).unwrap();
        tables::add(&self.lake, &self.objects, dataset, Some(2), (number, &commit)).await;
    }

    /// The next call of that method of the object store fails.
    pub fn fail_next(&self, call: &str) {
        self.objects.fail_next(call, Fault::BeforeEffect);
    }

    /// A job's plan.
    pub async fn plan(&self, job: &Value) -> Plan {
        let id = JobId::parse(&job["id"].to_string()).unwrap();
        let at = self.state(&format!("{}jobs/{}/plan.json", self.tenant.object_prefix(), id.padded()));
        serde_json::from_slice(&self.objects.read(&at).await.unwrap()).unwrap()
    }

    /// How many parts of all jobs were planned knowing that nothing in them is to be merged.
    pub async fn known_parts(&self) -> usize {
        let mut count = 0;
        let jobs = self.state(&format!("{}jobs/", self.tenant.object_prefix()));
        for (at, _) in self.objects.list(&jobs).await.unwrap() {
            if at.key.ends_with("/plan.json") {
                let plan: Plan = serde_json::from_slice(&self.objects.read(&at).await.unwrap()).unwrap();
                count += plan.parts.iter().filter(|part| part.distinct).count();
            }
        }
        count
    }

    /// Where it stands what jobs have seen of tables' files.
    pub async fn marks(&self) -> Vec<String> {
        let tables = self.state(&format!("{}tables/", self.tenant.object_prefix()));
        let listed = self.objects.list(&tables).await.unwrap();
        listed.into_iter().map(|(at, _)| at.to_string()).collect()
    }

    fn state(&self, key: &str) -> Location {
        Location::new(&self.settings.state_bucket, key)
    }

    /// A job from its creation to its end, as it is shown then.
    pub async fn job(&self, body: &Value) -> Value {
        let created = self.post(body).await.unwrap_or_else(|problem| panic!("the request is refused: {problem:#?}"));
        self.work().await;
        self.get(&created["id"]).await
    }

    /// How many parts were left as two halves.
    pub fn halved(&self) -> usize {
        self.jobs.inspect(|tables| tables.parts.values().filter(|item| item.part.state == PartState::Split).count())
    }

    /// What a job exported.
    pub async fn export(&self, body: &Value) -> Outcome {
        let job = self.job(body).await;
        assert_eq!(job["status"], "SUCCEEDED", "{job:#}");
        self.outcome(&job).await
    }

    /// What stands in the export dataset of a job, and its counters.
    pub async fn outcome(&self, job: &Value) -> Outcome {
        let mut batches = Vec::new();
        for batch in batch_ids(job) {
            batches.push(self.batch(&batch).await);
        }
        let metrics = &job["metrics"];
        let counted = metrics["exportedProfileByNamespaceCounter"].as_object().unwrap();
        Outcome {
            batches,
            rows: metrics["totalExportedProfileCounter"].as_u64().unwrap(),
            by_namespace: counted.iter().map(|(k, v)| (k.clone(), v.as_u64().unwrap())).collect::<BTreeMap<_, _>>(),
            too_many_identities: metrics["tooManyIdentitiesCounter"].as_u64().unwrap(),
            empty_profiles: metrics.get("emptyProfilesCounter").map(|n| n.as_u64().unwrap()),
        }
    }

    /// The rows of a batch at the export table's current snapshot.
    async fn batch(&self, batch: &str) -> Vec<Value> {
        let table = table(EXPORTS);
        let state = self.lake.look(&table, "profileId").await.unwrap();
        let pin = state.pin(EXPORTS, &table);
        let files = self.lake.files(&pin, "profileId").await.unwrap();
        let mut rows = Vec::new();
        for file in files.data.iter().filter(|f| f.location.contains(&format!("/batchId={batch}/"))) {
            let body = self.objects.read(&Location::parse(&file.location).unwrap()).await.unwrap();
            assert_eq!(body.len() as u64, file.bytes, "{} has another size in the table", file.location);
            let mut read = files::read(body, &state.copy.schema);
            assert_eq!(read.len() as u64, file.rows, "{} has other rows in the table", file.location);
            for row in &mut read {
                let stands = row.as_object_mut().unwrap().remove("batchId");
                assert_eq!(stands, Some(json!(batch)), "{} has rows of another batch", file.location);
            }
            rows.extend(read);
        }
        sort(&mut rows);
        rows
    }

    fn request(&self, id: &str, body: Vec<u8>) -> Request {
        let client = "test".to_owned();
        Request {
            id: id.into(),
            query: Vec::new(),
            headers: Headers::default(),
            body,
            request_id: "request".into(),
            caller: Caller { tenant: self.tenant.clone(), client, permissions: Vec::new() },
        }
    }
}

/// The engine's own sizes, but for what the store says.
fn engine_settings(store: &Store) -> engine::Settings {
    let settings = engine::Settings::default();
    engine::Settings { index_bytes: store.index_bytes.unwrap_or(settings.index_bytes), ..settings }
}

/// A job's batches in request order.
fn batch_ids(job: &Value) -> Vec<String> {
    let destination = &job["destination"];
    let id = |at: &Value| at["batchId"].as_str().unwrap().to_owned();
    match destination["batches"].as_array() {
        Some(batches) => batches.iter().map(id).collect(),
        None => vec![id(destination)],
    }
}

/// The table behind a dataset.
fn table(dataset: &str) -> TableName {
    TableName { database: "scenario".into(), table: dataset.into() }
}
