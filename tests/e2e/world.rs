//! A local stack of one test's own, with the sample in it.

use admin::api::{Api, ApiError, Caller};
use admin::sample::{self, Sample};
use admin::stack::Place;
use admin::token::{LocalKey, local_key};
use admin::{jobs, readback, registry};
use aws::S3Objects;
use domain::ports::Clock;
use domain::ports::lake::ReadTables;
use domain::ports::registry::WriteRegistry;
use domain::registry::Client;
use edge::clock::SystemClock;
use local::{Options, Stack};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

pub const TEMPLATE: &str = include_str!("../../infra/template.yaml");
const API_KEY: &str = "segment-export-local";
pub const ORGANIZATION: &str = "1BD6382559DF0C130A49422D@AdobeOrg";
/// After how long a message that a killed worker had comes back.
const VISIBILITY: Duration = Duration::from_secs(3);
/// A token's hour, in milliseconds.
const HOUR: i64 = 3_600_000;

pub struct World {
    folder: TempDir,
    sample: Sample,
    key: LocalKey,
    stack: Stack,
    place: admin::stack::Stack,
}

impl World {
    /// A fresh stack with that many sample profiles.
    pub async fn start(profiles: u32) -> Self {
        Self::start_on(TEMPLATE, Some(VISIBILITY), profiles).await
    }

    /// The same with other settings of worker and sweeper.
    pub async fn start_with(profiles: u32, settings: &[(&str, &str)]) -> Self {
        Self::found(TEMPLATE, Some(VISIBILITY), profiles, settings).await
    }

    /// A fresh stack of another template, with its queues' visibility as the template has it unless one is given.
    pub async fn start_on(template: &str, visibility: Option<Duration>, profiles: u32) -> Self {
        Self::found(template, visibility, profiles, &[]).await
    }

    async fn found(template: &str, visibility: Option<Duration>, profiles: u32, settings: &[(&str, &str)]) -> Self {
        let sample = Sample { profiles, ..Sample::default() };
        let folder = tempfile::tempdir().unwrap();
        let mut world = Self::open(template, visibility, folder, sample, settings).await;
        let (store, tables) = (world.place.registry().await.unwrap(), world.place.tables().await.unwrap());
        let file = registry::RegistryFile::read(sample::REGISTRY).unwrap();
        let plan = registry::plan(&file, &store, &tables, &world.place.warehouse().unwrap()).await.unwrap();
        plan.carry_out(&store, &tables).await.unwrap();
        if profiles > 0 {
            let dataset = world.place.dataset(&sample::profile_dataset().unwrap()).await.unwrap();
            let objects = world.place.objects().await;
            sample::load(&sample, &dataset, false, &tables, &objects).await.unwrap();
        }
        world
    }

    async fn open(
        template: &str,
        visibility: Option<Duration>,
        folder: TempDir,
        sample: Sample,
        settings: &[(&str, &str)],
    ) -> Self {
        let key = local_key(&folder.path().join("auth")).unwrap();
        let mut options = Options::new(folder.path(), template);
        options.parameters.insert("Auth".into(), "jwks".into());
        options.parameters.insert("AuthJwks".into(), key.jwks_json.clone());
        options.function_command = Some(vec![env!("CARGO_BIN_EXE_function").into()]);
        options.max_concurrency = 2;
        // Short, so that what a killed process leaves is picked up at once.
        options.schedule_every = Some(Duration::from_millis(500));
        options.visibility_timeout = visibility;
        for operation in ["export_worker", "sweeper"] {
            let settings = settings.iter().chain(&[("LEASE_SECONDS", "1")]);
            let settings = settings.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            options.environment.insert(operation.into(), settings.collect());
        }
        let stack = Stack::start(options).await.unwrap();
        let token = key.token(API_KEY, SystemClock.now(), HOUR).unwrap();
        let caller = json!({"token": token, "apiKey": API_KEY, "organization": ORGANIZATION, "sandbox": "prod"});
        stack.describe(caller.as_object().unwrap().clone()).unwrap();
        let place = find(folder.path());
        Self { folder, sample, key, stack, place }
    }

    /// The same state under a new process tree.
    pub async fn restart(self) -> Self {
        self.stack.stop().await;
        Self::open(TEMPLATE, Some(VISIBILITY), self.folder, self.sample, &[]).await
    }

    pub async fn stop(self) {
        self.stack.stop().await;
    }

    pub fn api(&self) -> Api {
        self.place.api().unwrap()
    }

    /// The API under AEP's own base path.
    pub fn aep_api(&self) -> Api {
        let (organization, sandbox) = (ORGANIZATION.to_owned(), "prod".to_owned());
        let caller = Caller { token: self.token(), api_key: API_KEY.to_owned(), organization, sandbox };
        Api::new(&format!("{}/data/core/ups", self.stack.url()), &caller)
    }

    /// A bearer token as clients send it.
    fn token(&self) -> String {
        self.key.token(API_KEY, SystemClock.now(), HOUR).unwrap()
    }

    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// Another client, registered now, who calls for the first tenant that it is granted.
    pub async fn caller(&mut self, client: &Client) -> Caller {
        self.place.registry().await.unwrap().put_client(client).await.unwrap();
        Caller {
            token: self.key.token(&client.api_key, SystemClock.now(), HOUR).unwrap(),
            api_key: client.api_key.clone(),
            organization: client.grants[0].organization.clone(),
            sandbox: client.grants[0].sandboxes[0].clone(),
        }
    }

    /// The objects of all buckets.
    pub async fn objects(&mut self) -> S3Objects {
        self.place.objects().await
    }

    pub fn segments(&self) -> Vec<String> {
        sample::sample_segments().unwrap()
    }

    /// All jobs, the oldest first, so many a page.
    pub async fn jobs(&self, limit: usize) -> Result<Vec<Value>, ApiError> {
        let (mut jobs, mut next) = (Vec::new(), String::new());
        loop {
            let page = self.api().list(&format!("limit={limit}&offset={next}")).await?;
            jobs.extend(page["records"].as_array().unwrap().iter().cloned());
            if page["link"]["next"] == "" {
                jobs.reverse();
                return Ok(jobs);
            }
            page["page"]["pageOffset"].as_str().unwrap().clone_into(&mut next);
        }
    }

    /// Submits an export of one segment's profile ids.
    pub async fn submit(&self, segment: &str) -> Value {
        self.api().create(&Self::request(segment)).await.unwrap()
    }

    /// The request for one segment's profile ids.
    pub fn request(segment: &str) -> Value {
        json!({
            "fields": "profileId",
            "schema": {"name": "_xdm.context.profile"},
            "filter": {"segments": [{"segmentId": segment}]},
            "destination": {"datasetId": sample::export_dataset().unwrap()},
        })
    }

    /// Follows a job to its end.
    pub async fn watch(&self, job: &Value, mut look: impl FnMut(&Self, &Value)) -> Value {
        let id = job["id"].as_u64().unwrap();
        jobs::watch(&self.api(), id, Duration::from_millis(50), |job| look(self, job)).await.unwrap()
    }

    /// Kills a function's processes; gives their number.
    pub fn kill(&self, operation: &str) -> usize {
        let pids = self.stack.function(operation).unwrap().pids();
        pids.iter().for_each(|pid| {
            std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
        });
        pids.len()
    }

    /// Kills one of a function's processes; whether there was any.
    pub fn kill_one(&self, operation: &str, which: usize) -> bool {
        let pids = self.stack.function(operation).unwrap().pids();
        let Some(pid) = (!pids.is_empty()).then(|| pids[which % pids.len()]) else { return false };
        std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success()
    }

    /// The name of the queue that work goes over.
    pub fn work_queue(&self) -> String {
        let queues = &self.stack.template().queues;
        queues.iter().find(|queue| queue.attributes.contains_key("RedrivePolicy")).unwrap().name.clone()
    }

    /// The name of its dead-letter queue.
    pub fn dead_letters(&self) -> String {
        let queues = &self.stack.template().queues;
        queues.iter().find(|queue| !queue.attributes.contains_key("RedrivePolicy")).unwrap().name.clone()
    }

    /// A queue's attributes, as SQS names them.
    pub async fn queue(&self, name: &str) -> BTreeMap<String, String> {
        self.stack.emulators().sqs.queues().attributes(name).await.unwrap()
    }

    /// All items of the table, as DynamoDB's JSON.
    pub fn items(&self) -> Vec<Value> {
        let mut scan = json!({ "TableName": self.stack.template().tables[0].name });
        let mut found = Vec::new();
        loop {
            let page = serde_json::from_value(scan.clone()).unwrap();
            let page = self.stack.emulators().dynamodb.database().scan(page).unwrap();
            let page = serde_json::to_value(page).unwrap();
            found.extend(page["Items"].as_array().cloned().into_iter().flatten());
            match page.get("LastEvaluatedKey") {
                Some(last) => scan["ExclusiveStartKey"] = last.clone(),
                None => return found,
            }
        }
    }

    /// The most memory that a living process of a function has had, in bytes.
    pub fn peak_memory(&self, operation: &str) -> u64 {
        let pids = self.stack.function(operation).unwrap().pids();
        let peak = |pid: &u32| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let kilobytes: u64 =
                status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok())?;
            Some(kilobytes * 1_024)
        };
        pids.iter().filter_map(peak).max().unwrap_or(0)
    }

    /// Where the stack keeps its state.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The profile ids that stand in the dataset under a job's batch, as often as they stand there, in order.
    pub async fn exported_ids(&mut self, job: &Value) -> Vec<String> {
        let table = self.place.dataset(&sample::export_dataset().unwrap()).await.unwrap().table;
        let (tables, objects) = (self.place.tables().await.unwrap(), self.place.objects().await);
        let batch = job["destination"]["batchId"].as_str().unwrap();
        let back = readback::batch(&tables, &objects, &table, batch, usize::MAX).await.unwrap();
        let mut ids: Vec<_> = back.sample.into_iter().flatten().collect();
        ids.sort_unstable();
        ids
    }

    /// The locations of the dataset's live files.
    pub async fn exported_files(&mut self) -> Vec<String> {
        let table = self.place.dataset(&sample::export_dataset().unwrap()).await.unwrap().table;
        let tables = self.place.tables().await.unwrap();
        let pin = tables.look(&table, "profileId").await.unwrap().pin("", &table);
        tables.files(&pin, "profileId").await.unwrap().data.into_iter().map(|file| file.location).collect()
    }

    /// How many members the segment of that rank has, as the sample was drawn.
    pub fn current_members(&self, rank: usize) -> usize {
        sample::current_members(self.sample.profiles, rank)
    }
}

fn find(folder: &Path) -> admin::stack::Stack {
    let stack = Some(folder.join("stack.json"));
    admin::stack::Stack::find(Place { stack, ..Place::default() }).unwrap()
}
