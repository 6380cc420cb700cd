#![allow(clippy::unwrap_used)]

mod backlog;

use super::*;
use domain::job::{Progress, Work};
use domain::plan::Counts;
use domain::ports::jobs::{Claim, CollectJobs, CreateJobs, EndJobs, PartDone, PartSplit, PlanParts, ReadJobs};
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
        let world = Self::with_parts(1).await;
        let part = world.part(0);
        (world, part)
    }

    /// The job under way with so many parts, whose messages were lost.
    async fn with_parts(parts: u32) -> Self {
        let world = Self::new().await;
        begin(&world.jobs, &world.job, parts, world.clock.now()).await;
        fan_out(&world.jobs, &world.job, world.clock.now()).await;
        world
    }

    fn part(&self, part: u32) -> PartRef {
        PartRef { tenant: self.job.tenant.clone(), job: self.job.id, shard: 0, part }
    }

    /// Something of the job is done now.
    async fn moves(&self) {
        let progress = Progress { told: Some(self.clock.now()), ..Progress::default() };
        self.jobs.report(&self.job.tenant, self.job.id, progress).await.unwrap();
    }

    async fn sweep(&self) -> Vec<Task> {
        handle(&self.jobs, &self.queue, &self.clock, &SETTINGS).await.unwrap();
        self.queue.take().into_iter().map(|message| message.task).collect()
    }

    async fn state(&self) -> State {
        self.jobs.job(&self.job.tenant, self.job.id).await.unwrap().unwrap().job.state
    }
}

/// P2 and P3: a job of so many parts in one shard.
async fn begin(jobs: &MemoryJobs, job: &Job, parts: u32, now: Millis) {
    jobs.create_shards(job, &[parts]).await.unwrap();
    jobs.create_parts(job, 1, &vec![10; parts as usize], now.plus_seconds(120)).await.unwrap();
    let work = Work { run_id: "r".into(), shards: 1, parts, weight: 10 * u64::from(parts), fanned_out: false };
    jobs.swap(&job.start(work, now).unwrap()).await.unwrap();
}

/// P4's end: all messages of the job's parts were sent.
async fn fan_out(jobs: &MemoryJobs, job: &Job, now: Millis) {
    let record = jobs.job(&job.tenant, job.id).await.unwrap().unwrap();
    jobs.swap(&record.job.fan_out(now).unwrap()).await.unwrap();
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
async fn a_job_whose_planner_did_not_send_all_messages_is_fanned_out_at_the_next_sweep() {
    let world = World::new().await;
    begin(&world.jobs, &world.job, 3, world.clock.now()).await;
    world.clock.advance_seconds(61);
    assert_eq!(world.sweep().await, [Task::Plan]);
    fan_out(&world.jobs, &world.job, world.clock.now()).await;
    world.clock.advance_seconds(61);
    assert_eq!(world.sweep().await.last(), Some(&Task::Commit));
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

/// The parts whose messages are sent again, by the minute.
async fn sent_again(world: &World, minutes: i64) -> Vec<(i64, u32)> {
    let mut sent = Vec::new();
    for minute in 1..=minutes {
        world.clock.advance_seconds(60);
        sent.extend(world.sweep().await.into_iter().filter_map(|task| match task {
            Task::Part { part } => Some((minute, part)),
            _ => None,
        }));
    }
    sent
}

#[tokio::test]
async fn of_a_job_that_never_moved_the_first_part_goes_ahead_until_it_is_very_late() {
    let world = World::with_parts(3).await;
    assert_eq!(sent_again(&world, 20).await, [(2, 0), (4, 0), (8, 0), (16, 0)]);
    assert_eq!(sent_again(&world, 12).await, [(12, 0), (12, 1), (12, 2)]);
}

#[tokio::test]
async fn parts_of_a_job_that_moves_are_left_alone_until_it_stands_still() {
    let world = World::with_parts(3).await;
    for _ in 0..10 {
        world.clock.advance_seconds(60);
        world.moves().await;
        assert!(!world.sweep().await.iter().any(|task| matches!(task, Task::Part { .. })));
    }
    let sent = sent_again(&world, 12).await;
    assert_eq!(sent, [(10, 0), (10, 1), (10, 2)], "nothing moved for half of its age");
}

#[tokio::test]
async fn the_halves_of_a_part_are_sent_again_though_the_job_moves() {
    let world = World::with_parts(1).await;
    let now = world.clock.now();
    world.jobs.claim(&world.part(0), "owner", now, now.plus_seconds(60)).await.unwrap();
    let due = now.plus_seconds(120);
    let split = PartSplit { attempt: 1, owner: "owner".into(), halves: [(1, 5), (2, 5)], due };
    world.jobs.split(&world.part(0), &split).await.unwrap();
    world.moves().await;
    assert_eq!(sent_again(&world, 3).await, [(2, 1), (2, 2)]);
}
