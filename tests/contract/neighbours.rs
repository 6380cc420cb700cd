//! A message that names a neighbour's job does what one does that names a job that never was: the same calls in the
//! same order. Nothing that is stored changes.

use bytes::Bytes;
use domain::id::{BatchId, JobId};
use domain::message::{Message, Task};
use domain::plan::{Counts, DataFile, OutputFile, OutputList, PLAN_VERSION, Plan, PlannedPart, part_file};
use domain::ports::jobs::CreateJobs;
use domain::ports::lake::TableState;
use domain::ports::objects::{Location, WriteObjects};
use domain::ports::{Clock, Random};
use domain::registry::Dataset;
use domain::tenant::Tenant;
use engine::{EngineError, Progress, Step};
use export_worker::{ExportParts, Ports, Settings};
use std::sync::Arc;
use testkit::{
    Calls, ManualClock, MemoryJobs, MemoryLake, MemoryObjects, MemoryQueue, MemoryRegistry, SeededRandom, fixtures,
};

/// How long what a job left behind is left alone, in seconds.
const GRACE: u32 = 600;
/// Every kind of message.
const TASKS: [Task; 5] = [Task::Plan, Task::Part { part: 0 }, Task::Part { part: 1 }, Task::Commit, Task::Collect];

/// How far the owner's job has come.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    /// Just created.
    New,
    /// One of its parts is done, the others are not.
    Processing,
    /// All parts are done; the commit is due.
    Exported,
    /// It has succeeded, and what it left behind is due to be collected.
    Ended,
}

/// A worker over twins that note what they are asked. Two sandboxes have the same things registered.
struct Worker {
    calls: Arc<Calls>,
    jobs: MemoryJobs,
    lake: MemoryLake,
    objects: MemoryObjects,
    engine: OneFile,
    queue: MemoryQueue,
    registry: MemoryRegistry,
    clock: ManualClock,
    random: SeededRandom,
    settings: Settings,
}

/// An engine whose every part is a file of one row for each batch.
struct OneFile(MemoryObjects);

impl ExportParts for OneFile {
    async fn export(
        &self,
        plan: &Plan,
        _: &PlannedPart,
        file_at: impl Fn(&BatchId, usize) -> Location + Send + Sync,
        _: impl FnMut(Progress) -> Step + Send,
    ) -> Result<OutputList, EngineError> {
        let (mut files, mut counts) = (Vec::new(), Counts::default());
        for batch in &plan.batches {
            let at = file_at(batch, 0);
            self.0.create(&at, Bytes::from_static(b"row")).await?;
            counts.add(&Counts { rows: 1, bytes: 3, ..Counts::default() });
            files.push(OutputFile {
                location: at.to_string(),
                batch_id: batch.clone(),
                bytes: 3,
                rows: 1,
                profile_id_bounds: None,
                split_offsets: Vec::new(),
            });
        }
        Ok(OutputList { version: PLAN_VERSION, files, counts, distinct: false })
    }
}

impl Ports for Worker {
    type Jobs = MemoryJobs;
    type Lake = MemoryLake;
    type Objects = MemoryObjects;
    type Engine = OneFile;
    type Queue = MemoryQueue;
    type Registry = MemoryRegistry;

    fn jobs(&self) -> &MemoryJobs {
        &self.jobs
    }
    fn lake(&self) -> &MemoryLake {
        &self.lake
    }
    fn objects(&self) -> &MemoryObjects {
        &self.objects
    }
    fn engine(&self) -> &OneFile {
        &self.engine
    }
    fn queue(&self) -> &MemoryQueue {
        &self.queue
    }
    fn registry(&self) -> &MemoryRegistry {
        &self.registry
    }
    fn clock(&self) -> &impl Clock {
        &self.clock
    }
    fn random(&self) -> &impl Random {
        &self.random
    }
    fn settings(&self) -> &Settings {
        &self.settings
    }
}

impl Worker {
    /// A worker without jobs, over tables of three files.
    fn idle() -> Self {
        let calls = Arc::new(Calls::default());
        let objects = MemoryObjects::under(calls.clone());
        let lake = MemoryLake::under(calls.clone(), objects.clone());
        for Dataset { id, table, copy, .. } in fixtures::registry().datasets {
            let location = format!("s3://lake/{}{id}", fixtures::tenant().object_prefix());
            lake.put(&table, TableState { copy: copy.unwrap(), snapshot_id: None, location });
        }
        let file = |n: u32| DataFile {
            source: 0,
            location: format!("s3://lake/profiles/data/{n}.parquet"),
            bytes: 100,
            rows: 10,
            bucket: None,
            range: None,
            split_offsets: Vec::new(),
            deletes: Vec::new(),
        };
        lake.commit(&fixtures::profile_dataset().table, (0..3).map(file).collect());
        let registry = MemoryRegistry::with(&fixtures::tenant(), fixtures::registry());
        let registered = |all: MemoryRegistry, tenant: Tenant| all.and(&tenant, fixtures::registry());
        Self {
            jobs: MemoryJobs::under(calls.clone()),
            lake,
            engine: OneFile(objects.clone()),
            objects,
            queue: MemoryQueue::under(calls.clone()),
            registry: neighbours().into_iter().fold(registry, registered).under(calls.clone()),
            clock: ManualClock::at(fixtures::NOW),
            random: SeededRandom::new(1),
            settings: Settings {
                state_bucket: "state".into(),
                lease_seconds: 30,
                max_attempts: 5,
                part_target_bytes: 100,
                split_after_seconds: 900,
                collect_grace_seconds: GRACE,
            },
            calls,
        }
    }

    /// A worker that has brought the sample sandbox's first job so far.
    async fn at(stage: Stage) -> Self {
        let (worker, owner) = (Self::idle(), fixtures::tenant());
        let job = fixtures::job(&owner, 1);
        worker.jobs.create(&job, None, fixtures::NOW).await.unwrap();
        if stage == Stage::New {
            return worker;
        }
        let (_, _, parts) = worker.deliver(&owner, job.id, Task::Plan).await;
        assert_eq!(parts.len(), 3, "a message for each part");
        let worked = if stage == Stage::Processing { 1 } else { parts.len() };
        for part in &parts[..worked] {
            worker.deliver(&owner, job.id, part.task.clone()).await;
        }
        if stage == Stage::Ended {
            worker.deliver(&owner, job.id, Task::Commit).await;
            assert_eq!(worker.jobs.collectable().len(), 1, "it has ended");
            // What an attempt left that lost its part: a file, and an upload that nobody ends.
            let data = Location::new("lake", format!("{}exports/data/", owner.object_prefix()));
            let lost = |n| data.join(&part_file(0, 9, "0a1b2c3d", &job.resolved.batches[0], n));
            worker.objects.create(&lost(0), Bytes::from_static(b"lost")).await.unwrap();
            worker.objects.begin(&lost(1)).await.unwrap();
            worker.clock.advance_seconds(i64::from(GRACE) + 1);
        }
        worker
    }

    /// What the handler makes of a message: whether it is content, what it calls, and what it sends.
    async fn deliver(&self, tenant: &Tenant, id: JobId, task: Task) -> (bool, Vec<String>, Vec<Message>) {
        self.calls.take();
        let handled = export_worker::handle(self, &Message::new(tenant, id, task)).await;
        (handled.is_ok(), self.calls.take(), self.queue.take())
    }

    /// All that is stored: records, shards, parts, what is to be collected, objects, uploads, tables, the registry.
    fn stored(&self) -> String {
        let jobs = self.jobs.inspect(|tables| format!("{tables:?}"));
        let objects = self.objects.inspect(|objects| format!("{objects:?}"));
        let lake = self.lake.inspect(|tables| format!("{tables:?}"));
        format!("{jobs}\n{objects}\n{}\n{lake}\n{:?}", self.objects.open_uploads(), self.registry)
    }
}

/// Who has no part in the job: another organization, another sandbox, and the owner's names the other way round.
fn neighbours() -> [Tenant; 3] {
    let names = [("OTHER@AdobeOrg", "prod"), ("EXAMPLE@AdobeOrg", "dev"), ("prod", "EXAMPLE@AdobeOrg")];
    names.map(|(organization, sandbox)| Tenant::new(organization, sandbox).unwrap())
}

#[tokio::test]
async fn a_message_with_a_neighbours_job_does_what_one_with_a_job_that_never_was_does() {
    let (job, never) = (fixtures::job_id(1), fixtures::job_id(2));
    for stage in [Stage::New, Stage::Processing, Stage::Exported, Stage::Ended] {
        let worker = Worker::at(stage).await;
        let before = worker.stored();
        for tenant in neighbours() {
            for task in TASKS {
                let expected = worker.deliver(&tenant, never, task.clone()).await;
                let (content, calls, sent) = &expected;
                assert!(*content && !calls.is_empty() && sent.is_empty(), "{task:?}: {expected:?}");
                let told = worker.deliver(&tenant, job, task.clone()).await;
                assert_eq!(told, expected, "{stage:?}, {tenant}, {task:?}");
                assert!(worker.stored() == before, "{stage:?}, {tenant}, {task:?}: something has changed");
            }
        }
    }
}

#[tokio::test]
async fn the_same_message_of_the_jobs_own_tenant_is_noticed() {
    for (stage, task) in [
        (Stage::New, Task::Plan),
        (Stage::Processing, Task::Part { part: 1 }),
        (Stage::Exported, Task::Commit),
        (Stage::Ended, Task::Collect),
    ] {
        let (worker, owner) = (Worker::at(stage).await, fixtures::tenant());
        let before = worker.stored();
        let never = worker.deliver(&owner, fixtures::job_id(2), task.clone()).await;
        assert!(worker.stored() == before, "{task:?}: a job that never was has changed something");
        assert_ne!(worker.deliver(&owner, fixtures::job_id(1), task.clone()).await, never, "{task:?}");
        assert!(worker.stored() != before, "{task:?}: nothing has changed");
    }
}
