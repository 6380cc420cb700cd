#![allow(clippy::unwrap_used)]

use super::*;
use domain::job::Work;
use domain::ports::jobs::{CollectJobs, CreateJobs, PlanParts, ReadJobs};
use testkit::{ManualClock, MemoryJobs, MemoryQueue, fixtures};

const SETTINGS: Settings = Settings { max_attempts: 5, collect_grace_seconds: 3_600 };

struct World {
    jobs: MemoryJobs,
    queue: MemoryQueue,
    clock: ManualClock,
    job: Job,
}

impl World {
    /// A job that was just created, and nothing else.
    async fn new() -> Self {
        let job = fixtures::job(&fixtures::tenant(), 1);
        let world = Self {
            jobs: MemoryJobs::default(),
            queue: MemoryQueue::default(),
            clock: ManualClock::at(fixtures::NOW),
            job,
        };
        world.jobs.create(&world.job, None, fixtures::NOW).await.unwrap();
        world
    }

    /// The job under way with one part, whose message was lost.
    async fn with_a_part() -> (Self, PartRef) {
        let world = Self::new().await;
        let due = world.clock.now().plus_seconds(120);
        world.jobs.create_shards(&world.job, &[1]).await.unwrap();
        world.jobs.create_parts(&world.job, 1, &[10], due).await.unwrap();
        let work = Work { run_id: "r".into(), shards: 1, parts: 1, weight: 10 };
        world.jobs.swap(&world.job.start(work, world.clock.now()).unwrap()).await.unwrap();
        let part = PartRef { tenant: world.job.tenant.clone(), job: world.job.id, shard: 0, part: 0 };
        (world, part)
    }

    async fn sweep(&self) -> Vec<Task> {
        handle(&self.jobs, &self.queue, &self.clock, &SETTINGS).await.unwrap();
        self.queue.take().into_iter().map(|message| message.task).collect()
    }

    async fn state(&self) -> State {
        self.jobs.job(&self.job.tenant, self.job.id).await.unwrap().unwrap().job.state
    }
}

#[tokio::test]
async fn a_job_whose_message_was_lost_is_planned_and_not_again_at_once() {
    let world = World::new().await;
    assert_eq!(world.sweep().await, [Task::Plan]);
    assert_eq!(world.sweep().await, []);
    world.clock.advance_seconds(59);
    assert_eq!(world.sweep().await, []);
    world.clock.advance_seconds(2);
    assert_eq!(world.sweep().await, [Task::Plan]);
    world.clock.advance_seconds(61);
    assert_eq!(world.sweep().await, [], "it waits longer each time");
}

#[tokio::test]
async fn a_job_that_cannot_be_planned_is_given_up_and_brought_to_its_end() {
    let world = World::new().await;
    let mut sent = Vec::new();
    for _ in 0..8 {
        sent.extend(world.sweep().await);
        world.clock.advance_seconds(3_600);
    }
    assert_eq!(sent[..6], [const { Task::Plan }; 6]);
    assert_eq!(sent[6..], [const { Task::Commit }; 2]);
    assert_eq!(world.state().await, State::Failing);
}

#[tokio::test]
async fn a_job_in_any_other_state_is_brought_to_its_end() {
    let (world, _) = World::with_a_part().await;
    world.clock.advance_seconds(61);
    assert_eq!(world.sweep().await, [Task::Commit]);
}

#[tokio::test]
async fn an_unclaimed_part_is_sent_again_after_doubling_waits() {
    let (world, _) = World::with_a_part().await;
    let mut minutes = Vec::new();
    for minute in 1..=70 {
        world.clock.advance_seconds(60);
        if world.sweep().await.contains(&Task::Part { part: 0 }) {
            minutes.push(minute);
        }
    }
    assert_eq!(minutes, [2, 4, 8, 16, 32, 62]);
}

#[tokio::test]
async fn a_part_of_a_cancelled_job_is_not_sent_and_of_an_ended_one_never_looked_at_again() {
    let (world, _) = World::with_a_part().await;
    let record = world.jobs.job(&world.job.tenant, world.job.id).await.unwrap().unwrap();
    let domain::job::CancelVerdict::Cancel(cancelling) = record.job.cancel(world.clock.now()) else {
        unreachable!("a job under way can be cancelled")
    };
    world.jobs.swap(&cancelling).await.unwrap();
    world.clock.advance_seconds(300);
    assert_eq!(world.sweep().await, [Task::Commit]);
    world.jobs.swap(&ended(&world).await).await.unwrap();
    world.clock.advance_seconds(3_000);
    assert_eq!(world.sweep().await, []);
    let due = world.jobs.due(world.clock.now(), 10).await.unwrap();
    assert_eq!(due, [], "what it left is not due before its grace period is over");
}

#[tokio::test]
async fn what_a_job_left_is_collected_after_the_grace_period_until_nothing_is_left() {
    let (world, _) = World::with_a_part().await;
    let record = world.jobs.job(&world.job.tenant, world.job.id).await.unwrap().unwrap();
    let failing = record.job.fail(Vec::new(), world.clock.now()).unwrap();
    world.jobs.swap(&failing).await.unwrap();
    world.jobs.swap(&failing.end_fail(world.clock.now()).unwrap()).await.unwrap();
    assert_eq!(world.sweep().await, []);
    world.clock.advance_seconds(3_601);
    assert_eq!(world.sweep().await, [Task::Collect]);
    assert_eq!(world.sweep().await, [], "it is given time");
    world.clock.advance_seconds(1_801);
    assert_eq!(world.sweep().await, [Task::Collect], "its message was lost");
    world.jobs.forget(&world.job.tenant, world.job.id, 1).await.unwrap();
    world.clock.advance_seconds(100_000);
    assert_eq!(world.sweep().await, []);
}

async fn ended(world: &World) -> Job {
    let record = world.jobs.job(&world.job.tenant, world.job.id).await.unwrap().unwrap();
    record.job.end_cancel(world.clock.now()).unwrap()
}

#[tokio::test]
async fn a_claimed_part_is_left_alone_until_its_lease_ends() {
    let (world, part) = World::with_a_part().await;
    let lease = world.clock.now().plus_seconds(600);
    world.jobs.claim(&part, "owner", world.clock.now(), lease).await.unwrap();
    world.clock.advance_seconds(599);
    assert!(!world.sweep().await.contains(&Task::Part { part: 0 }));
    world.clock.advance_seconds(2);
    assert!(world.sweep().await.contains(&Task::Part { part: 0 }));
}
