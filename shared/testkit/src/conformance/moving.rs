//! A job's steps: swaps by version, deletion, progress.

use super::{JobStore, Suite, fresh_tenant, later};
use crate::fixtures;
use domain::job::{CancelVerdict, Job, Progress};
use domain::ports::jobs::Swap;
use domain::state::State;
use domain::tenant::Tenant;

pub(super) async fn run<S: JobStore>(suite: &mut Suite, store: &S) {
    suite.case(a_swap_writes_the_next_version::<S>, store, fresh_tenant()).await;
    suite.case(a_stale_swap_writes_nothing::<S>, store, fresh_tenant()).await;
    suite.case(of_racing_swaps_exactly_one_is_done::<S>, store, fresh_tenant()).await;
    suite.case(a_finalizer_and_a_cancel_have_one_winner::<S>, store, fresh_tenant()).await;
    suite.case(a_job_walks_to_its_end::<S>, store, fresh_tenant()).await;
    suite.case(a_stale_terminal_swap_writes_nothing::<S>, store, fresh_tenant()).await;
    suite.case(a_deleted_job_is_not_brought_back::<S>, store, fresh_tenant()).await;
    suite.case(only_the_version_that_was_read_is_deleted::<S>, store, fresh_tenant()).await;
    suite.case(progress_only_grows::<S>, store, fresh_tenant()).await;
    suite.case(weight_that_was_seen_only_grows_and_stands_apart::<S>, store, fresh_tenant()).await;
    suite.case(steps_and_progress_leave_one_another_alone::<S>, store, fresh_tenant()).await;
    suite.case(progress_of_an_unknown_job_creates_nothing::<S>, store, fresh_tenant()).await;
}

async fn created<S: JobStore>(store: &S, tenant: &Tenant) -> Job {
    let job = fixtures::job(tenant, 1);
    store.create(&job, None, later(0)).await.unwrap();
    job
}

async fn stored<S: JobStore>(store: &S, job: &Job) -> Option<Job> {
    store.job(&job.tenant, job.id).await.unwrap().map(|r| r.job)
}

fn cancelled(job: &Job) -> Job {
    let CancelVerdict::Cancel(next) = job.cancel(later(1)) else { panic!("{:?}", job.state) };
    *next
}

async fn a_swap_writes_the_next_version<S: JobStore>(store: S, tenant: Tenant) {
    let job = created(&store, &tenant).await;
    let next = job.pin(vec![fixtures::pin()], later(1)).unwrap();
    assert_eq!(store.swap(&next).await.unwrap(), Swap::Done);
    assert_eq!(stored(&store, &job).await, Some(next));
}

async fn a_stale_swap_writes_nothing<S: JobStore>(store: S, tenant: Tenant) {
    let job = created(&store, &tenant).await;
    let first = cancelled(&job);
    store.swap(&first).await.unwrap();
    let second = job.pin(vec![fixtures::pin()], later(2)).unwrap();
    assert_eq!(store.swap(&second).await.unwrap(), Swap::Moved);
    let ahead = Job { version: 7, ..second };
    assert_eq!(store.swap(&ahead).await.unwrap(), Swap::Moved);
    assert_eq!(stored(&store, &job).await, Some(first));
}

async fn of_racing_swaps_exactly_one_is_done<S: JobStore>(store: S, tenant: Tenant) {
    let job = created(&store, &tenant).await;
    let racers = (0..8).map(|n| {
        let store = store.clone();
        let next = Job { resent: n, ..job.postpone(later(1)).unwrap() };
        tokio::spawn(async move { (store.swap(&next).await.unwrap(), next) })
    });
    let racers: Vec<_> = racers.collect();
    let mut winners = Vec::new();
    for racer in racers {
        if let (Swap::Done, next) = racer.await.unwrap() {
            winners.push(next);
        }
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(stored(&store, &job).await, winners.pop());
}

async fn a_finalizer_and_a_cancel_have_one_winner<S: JobStore>(store: S, tenant: Tenant) {
    for n in 1..=10 {
        let new = fixtures::job(&tenant, n);
        store.create(&new, None, later(0)).await.unwrap();
        let job = new.start(fixtures::work(1), later(1)).unwrap();
        store.swap(&job).await.unwrap();
        let (commit, cancel) = (job.begin_commit(later(2)).unwrap(), cancelled(&job));
        let (committing, cancelling) = (store.clone(), store.clone());
        let (commit, cancel) = tokio::join!(
            tokio::spawn(async move { committing.swap(&commit).await.unwrap() }),
            tokio::spawn(async move { cancelling.swap(&cancel).await.unwrap() }),
        );
        let expected = match (commit.unwrap(), cancel.unwrap()) {
            (Swap::Done, Swap::Moved) => State::Committing,
            (Swap::Moved, Swap::Done) => State::Cancelling,
            other => panic!("I3: {other:?}"),
        };
        assert_eq!(stored(&store, &job).await.map(|j| j.state), Some(expected));
    }
}

async fn a_job_walks_to_its_end<S: JobStore>(store: S, tenant: Tenant) {
    let mut job = created(&store, &tenant).await;
    let steps: [fn(&Job) -> Job; 5] = [
        |j| j.pin(vec![fixtures::pin()], later(1)).unwrap(),
        |j| j.start(fixtures::work(3), later(2)).unwrap(),
        |j| j.begin_commit(later(3)).unwrap(),
        |j| j.attempt_commit("uuid".into(), later(4)).unwrap(),
        |j| j.succeed(fixtures::counts(5), later(5)).unwrap(),
    ];
    for step in steps {
        job = step(&job);
        assert_eq!(store.swap(&job).await.unwrap(), Swap::Done, "{:?}", job.state);
        assert_eq!(stored(&store, &job).await.as_ref(), Some(&job));
    }
}

async fn a_stale_terminal_swap_writes_nothing<S: JobStore>(store: S, tenant: Tenant) {
    let job = created(&store, &tenant).await;
    let failing = job.fail(Vec::new(), later(1)).unwrap();
    store.swap(&failing).await.unwrap();
    let failed = failing.end_fail(later(2)).unwrap();
    let postponed = failing.postpone(later(2)).unwrap();
    store.swap(&postponed).await.unwrap();
    assert_eq!(store.swap(&failed).await.unwrap(), Swap::Moved);
    assert_eq!(stored(&store, &job).await, Some(postponed));
}

async fn a_deleted_job_is_not_brought_back<S: JobStore>(store: S, tenant: Tenant) {
    let job = created(&store, &tenant).await;
    assert_eq!(store.delete(&job).await.unwrap(), Swap::Done);
    assert_eq!(store.swap(&cancelled(&job)).await.unwrap(), Swap::Moved);
    let ended = job.fail(Vec::new(), later(1)).unwrap().end_fail(later(1)).unwrap();
    assert_eq!(store.swap(&Job { version: 2, ..ended }).await.unwrap(), Swap::Moved, "by a terminal step");
    store.report(&tenant, job.id, Progress { parts_done: 1, ..Progress::default() }).await.unwrap();
    assert_eq!(stored(&store, &job).await, None);
}

async fn only_the_version_that_was_read_is_deleted<S: JobStore>(store: S, tenant: Tenant) {
    let job = created(&store, &tenant).await;
    let next = cancelled(&job);
    store.swap(&next).await.unwrap();
    assert_eq!(store.delete(&job).await.unwrap(), Swap::Moved);
    assert_eq!(stored(&store, &job).await.as_ref(), Some(&next));
    assert_eq!(store.delete(&next).await.unwrap(), Swap::Done);
    assert_eq!(stored(&store, &job).await, None);
    assert_eq!(store.delete(&next).await.unwrap(), Swap::Moved);
}

async fn progress_only_grows<S: JobStore>(store: S, tenant: Tenant) {
    let job = created(&store, &tenant).await;
    let at = |parts_done, weight_done, rows, bytes| Progress {
        parts: 4 + parts_done,
        parts_done,
        weight_done,
        weight_seen: 0,
        rows,
        bytes,
        told: Some(later(rows as i64)),
    };
    let reports = [
        (at(1, 100, 10, 50), at(1, 100, 10, 50)),
        (at(0, 90, 9, 40), at(1, 100, 10, 50)),
        (at(2, 200, 9, 60), at(1, 100, 10, 50)),
        (at(1, 100, 12, 55), at(1, 100, 12, 55)),
        (at(3, 300, 30, 70), at(3, 300, 30, 70)),
    ];
    for (reported, expected) in reports {
        store.report(&tenant, job.id, reported).await.unwrap();
        assert_eq!(store.job(&tenant, job.id).await.unwrap().unwrap().progress, expected, "after {reported:?}");
    }
}

async fn weight_that_was_seen_only_grows_and_stands_apart<S: JobStore>(store: S, tenant: Tenant) {
    let job = created(&store, &tenant).await;
    let done = Progress { parts_done: 1, weight_done: 100, rows: 10, bytes: 50, ..Progress::default() };
    for (seen, expected) in [(70, 70), (60, 70), (0, 70), (150, 150)] {
        store.report_seen(&tenant, job.id, seen).await.unwrap();
        store.report(&tenant, job.id, done).await.unwrap();
        let stored = store.job(&tenant, job.id).await.unwrap().unwrap();
        assert_eq!(stored.progress, Progress { weight_seen: expected, ..done }, "after {seen}");
        assert_eq!(stored.job, job, "the record is as it was");
    }
    let later = Progress { parts_done: 2, weight_done: 120, ..done };
    store.report(&tenant, job.id, later).await.unwrap();
    let stored = store.job(&tenant, job.id).await.unwrap().unwrap().progress;
    assert_eq!(stored, Progress { weight_seen: 150, ..later }, "less than was seen is told all the same");
}

async fn steps_and_progress_leave_one_another_alone<S: JobStore>(store: S, tenant: Tenant) {
    let job = created(&store, &tenant).await;
    let progress = Progress { parts_done: 1, weight_done: 100, rows: 10, bytes: 50, ..Progress::default() };
    store.report(&tenant, job.id, progress).await.unwrap();
    let failing = job.fail(Vec::new(), later(1)).unwrap();
    assert_eq!(store.swap(&failing).await.unwrap(), Swap::Done, "progress must not change the version");
    let failed = failing.end_fail(later(2)).unwrap();
    assert_eq!(store.swap(&failed).await.unwrap(), Swap::Done);
    let record = store.job(&tenant, job.id).await.unwrap().unwrap();
    assert_eq!((record.job, record.progress), (failed, progress));
}

async fn progress_of_an_unknown_job_creates_nothing<S: JobStore>(store: S, tenant: Tenant) {
    let progress = Progress { parts_done: 1, ..Progress::default() };
    store.report(&tenant, fixtures::job_id(1), progress).await.unwrap();
    store.report_seen(&tenant, fixtures::job_id(1), 1).await.unwrap();
    assert_eq!(store.job(&tenant, fixtures::job_id(1)).await.unwrap(), None);
}
