//! W5: parts in halves.

use super::parts::{at, claim, done, open, planned};
use super::{JobStore, Suite, fresh_tenant, later};
use domain::job::Job;
use domain::ports::jobs::{Claim, Due, Gate, PartDone, PartRef, PartSplit, PartState, Shard, Swap};
use domain::tenant::Tenant;

pub(super) async fn run<S: JobStore>(suite: &mut Suite, store: &S) {
    suite.case(a_split_part_goes_on_as_its_halves::<S>, store, fresh_tenant()).await;
    suite.case(a_split_again_splits_nothing_more::<S>, store, fresh_tenant()).await;
    suite.case(only_the_claims_holder_splits::<S>, store, fresh_tenant()).await;
    suite.case(behind_a_closed_gate_nothing_is_split::<S>, store, fresh_tenant()).await;
    suite.case(a_split_part_is_never_done_or_due::<S>, store, fresh_tenant()).await;
}

fn split(attempt: u32, owner: &str) -> PartSplit {
    PartSplit { attempt, owner: owner.into(), halves: [(2, 3), (4, 2)], due: later(100) }
}

fn half(part: &PartRef, number: u32) -> PartRef {
    PartRef { part: number, ..part.clone() }
}

async fn claimed<S: JobStore>(store: &S, tenant: &Tenant) -> (Job, PartRef) {
    let job = planned(store, tenant, 1, &[5, 5]).await;
    let part = at(&job, 1, 0);
    claim(store, &part, "a", 0, 60).await.unwrap();
    (job, part)
}

async fn a_split_part_goes_on_as_its_halves<S: JobStore>(store: S, tenant: Tenant) {
    let (job, part) = claimed(&store, &tenant).await;
    assert_eq!(store.split(&part, &split(1, "a")).await.unwrap(), Swap::Done);
    let parts = store.parts(&tenant, job.id, 1).await.unwrap();
    let shown: Vec<_> = parts.iter().map(|p| (p.number, p.state, p.attempt, p.weight)).collect();
    let pending = PartState::Pending;
    assert_eq!(shown, [(0, PartState::Split, 1, 5), (1, pending, 0, 5), (2, pending, 0, 3), (4, pending, 0, 2)]);
    assert_eq!(store.shards(&tenant, job.id, 1).await.unwrap(), [open(3)]);
    for number in [1, 2, 4] {
        claim(&store, &half(&part, number), "b", 0, 60).await.unwrap();
        let done = PartDone { weight: parts.iter().find(|p| p.number == number).unwrap().weight, ..done(1, "b", 10) };
        assert_eq!(store.finish(&half(&part, number), &done).await.unwrap(), Swap::Done);
    }
    let shard = store.shards(&tenant, job.id, 1).await.unwrap().remove(0);
    assert_eq!((shard.done, shard.total, shard.weight_done, shard.counts.rows), (3, 3, 10, 30));
}

async fn a_split_again_splits_nothing_more<S: JobStore>(store: S, tenant: Tenant) {
    let (job, part) = claimed(&store, &tenant).await;
    for _ in 0..3 {
        // The second and third time: the answer of the first was lost.
        assert_eq!(store.split(&part, &split(1, "a")).await.unwrap(), Swap::Done);
    }
    assert_eq!(store.shards(&tenant, job.id, 1).await.unwrap(), [open(3)]);
    claim(&store, &half(&part, 2), "b", 0, 60).await.unwrap();
    assert_eq!(store.split(&part, &split(1, "a")).await.unwrap(), Swap::Done);
    assert_eq!(store.part(&half(&part, 2)).await.unwrap().unwrap().attempt, 1, "the half was made anew");
}

async fn only_the_claims_holder_splits<S: JobStore>(store: S, tenant: Tenant) {
    let (job, part) = claimed(&store, &tenant).await;
    assert_eq!(store.split(&part, &split(1, "b")).await.unwrap(), Swap::Moved, "another's claim");
    claim(&store, &part, "b", 61, 120).await.unwrap();
    assert_eq!(store.split(&part, &split(1, "a")).await.unwrap(), Swap::Moved, "an older attempt");
    store.finish(&part, &done(2, "b", 1)).await.unwrap();
    assert_eq!(store.split(&part, &split(2, "b")).await.unwrap(), Swap::Moved, "done");
    assert_eq!(store.split(&at(&job, 1, 9), &split(1, "a")).await.unwrap(), Swap::Moved, "an unknown part");
    assert_eq!(store.parts(&tenant, job.id, 1).await.unwrap().len(), 2);
    assert_eq!(store.shards(&tenant, job.id, 1).await.unwrap()[0].total, 2);
}

async fn behind_a_closed_gate_nothing_is_split<S: JobStore>(store: S, tenant: Tenant) {
    let (job, part) = claimed(&store, &tenant).await;
    store.close_gates(&tenant, job.id, 1).await.unwrap();
    assert_eq!(store.split(&part, &split(1, "a")).await.unwrap(), Swap::Moved);
    assert_eq!(store.parts(&tenant, job.id, 1).await.unwrap().len(), 2);
    assert_eq!(store.shards(&tenant, job.id, 1).await.unwrap(), [Shard { gate: Gate::Closed, ..open(2) }]);
}

async fn a_split_part_is_never_done_or_due<S: JobStore>(store: S, tenant: Tenant) {
    let (job, part) = claimed(&store, &tenant).await;
    store.split(&part, &split(1, "a")).await.unwrap();
    assert_eq!(store.finish(&part, &done(1, "a", 1)).await.unwrap(), Swap::Moved);
    assert_eq!(store.claim(&part, "b", later(70), later(99)).await.unwrap(), Claim::NotNow);
    assert_eq!(store.renew(&part, "a", 1, later(99)).await.unwrap(), Swap::Moved);
    store.postpone_part(&part, Some(later(1))).await.unwrap();
    let ours = |due: &Due| matches!(due, Due::Part(at) if at.tenant == tenant);
    let mut due = store.due(later(1_000), 100_000).await.unwrap();
    due.retain(ours);
    due.sort();
    assert_eq!(due, [1, 2, 4].map(|n| Due::Part(at(&job, 1, n))));
}
