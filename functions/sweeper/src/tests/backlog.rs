//! Thousands of parts that wait for workers: the sweeper must neither flood the queue nor forget what was lost.

use super::*;
use std::collections::VecDeque;

/// Parts that wait.
const PARTS: usize = 5_000;
/// Parts that are done in a tick: fifty workers, ten seconds a part.
const DONE_A_TICK: usize = 50;
const TICK_SECONDS: i64 = 10;
const TICKS_A_SWEEP: i64 = 6;

/// Jobs whose parts' messages wait in the queue, in order.
struct Backlog {
    jobs: MemoryJobs,
    queue: MemoryQueue,
    clock: ManualClock,
    waiting: VecDeque<PartRef>,
    done: usize,
    /// Messages of parts that the sweeper has sent.
    sent_again: usize,
}

impl Backlog {
    /// So many jobs that share [`PARTS`]; of each `lost` messages one never reached the queue.
    async fn of(jobs: usize, lost: usize) -> Self {
        let clock = ManualClock::at(fixtures::NOW);
        let store = MemoryJobs::default();
        let mut waiting = VecDeque::new();
        let parts = (PARTS / jobs) as u32;
        for n in 1..=jobs as u64 {
            let job = fixtures::job(&fixtures::tenant(), n);
            store.create(&job, None, clock.now()).await.unwrap();
            begin(&store, &job, parts, clock.now()).await;
            fan_out(&store, &job, clock.now()).await;
            let part = |part| PartRef { tenant: job.tenant.clone(), job: job.id, shard: 0, part };
            waiting.extend((0..parts).filter(|n| !(*n as usize + 1).is_multiple_of(lost)).map(part));
        }
        Self { jobs: store, queue: MemoryQueue::default(), clock, waiting, done: 0, sent_again: 0 }
    }

    /// Workers and sweeper for as long as it takes.
    async fn drain(&mut self) {
        for tick in 0.. {
            assert!(tick < 2_000, "{} of {PARTS} parts are done, and no more come", self.done);
            if self.done == PARTS {
                return;
            }
            self.work().await;
            self.clock.advance_seconds(TICK_SECONDS);
            if tick % TICKS_A_SWEEP == 0 {
                handle(&self.jobs, &self.queue, &self.clock, &SETTINGS).await.unwrap();
                for Message { tenant, job_id: job, task } in self.queue.take() {
                    if let Task::Part { part } = task {
                        self.sent_again += 1;
                        self.waiting.push_back(PartRef { tenant, job, shard: 0, part });
                    }
                }
            }
        }
    }

    /// Fifty parts; a message whose part is done takes no time.
    async fn work(&mut self) {
        let now = self.clock.now();
        let mut worked = 0;
        while worked < DONE_A_TICK {
            let Some(part) = self.waiting.pop_front() else { return };
            let Claim::Mine(claimed) = self.jobs.claim(&part, "worker", now, now.plus_seconds(60)).await.unwrap()
            else {
                continue;
            };
            let done = PartDone {
                attempt: claimed.attempt,
                owner: "worker".into(),
                weight: claimed.weight,
                output: String::new(),
                counts: Counts::default(),
            };
            assert_eq!(self.jobs.finish(&part, &done).await.unwrap(), Swap::Done);
            let shards = self.jobs.shards(&part.tenant, part.job, 1).await.unwrap();
            let progress = Progress { parts_done: shards[0].done, told: Some(now), ..Progress::default() };
            self.jobs.report(&part.tenant, part.job, progress).await.unwrap();
            self.done += 1;
            worked += 1;
        }
    }
}

#[tokio::test]
async fn a_backlog_causes_at_most_a_fifth_of_duplicate_messages() {
    for jobs in [1, 50, 500] {
        let mut backlog = Backlog::of(jobs, usize::MAX).await;
        backlog.drain().await;
        assert!(backlog.sent_again * 5 <= PARTS, "{jobs} jobs: {} messages were sent again", backlog.sent_again);
    }
}

#[tokio::test]
async fn what_was_lost_of_a_backlog_is_sent_again_and_little_else() {
    for jobs in [1, 50] {
        let mut backlog = Backlog::of(jobs, 50).await;
        backlog.drain().await;
        let sent = backlog.sent_again;
        assert!((PARTS / 50..=PARTS / 5).contains(&sent), "{jobs} jobs: {sent} messages were sent again");
    }
}

#[tokio::test]
async fn a_job_of_which_no_message_reached_the_queue_is_done_all_the_same() {
    let mut backlog = Backlog::of(1, 1).await;
    backlog.drain().await;
    assert!(backlog.sent_again <= PARTS + 10, "{} messages", backlog.sent_again);
    let age = (backlog.clock.now().0 - fixtures::NOW.0) / 60_000;
    assert!(age < 30, "it took {age} minutes, of which its work takes 17");
}
