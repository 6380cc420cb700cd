//! Shards and parts: planning, claiming, finishing, closing.

use super::{JobStore, Suite, fresh_tenant, later};
use crate::fixtures;
use domain::id::JobId;
use domain::job::{Job, Work};
use domain::plan::Counts;
use domain::ports::jobs::{Claim, Gate, Part, PartDone, PartRef, PartState, Shard, Swap};
use domain::tenant::Tenant;

pub(super) async fn run<S: JobStore>(suite: &mut Suite, store: &S) {
    suite.case(shards_are_made_once_and_open::<S>, store, fresh_tenant()).await;
    suite.case(as_many_shards_as_a_job_may_have_are_made::<S>, store, fresh_tenant()).await;
    suite.case(a_job_that_is_not_new_gets_no_shards::<S>, store, fresh_tenant()).await;
    suite.case(parts_are_made_by_weight_in_order::<S>, store, fresh_tenant()).await;
    suite.case(parts_that_are_there_are_left_as_they_are::<S>, store, fresh_tenant()).await;
    suite.case(racing_planners_make_every_part_once::<S>, store, fresh_tenant()).await;
    suite.case(a_claim_holds_until_its_lease_ends::<S>, store, fresh_tenant()).await;
    suite.case(the_owners_claim_again_is_its_own::<S>, store, fresh_tenant()).await;
    suite.case(of_racing_claims_exactly_one_is_mine::<S>, store, fresh_tenant()).await;
    suite.case(a_part_that_is_gated_done_or_unknown_is_not_claimed::<S>, store, fresh_tenant()).await;
    suite.case(a_renewed_lease_keeps_others_out::<S>, store, fresh_tenant()).await;
    suite.case(only_the_present_claim_is_renewed::<S>, store, fresh_tenant()).await;
    suite.case(a_closed_gate_stops_the_next_renewal::<S>, store, fresh_tenant()).await;
    suite.case(finishing_counts_a_part_once::<S>, store, fresh_tenant()).await;
    suite.case(counters_of_a_shards_parts_add_up::<S>, store, fresh_tenant()).await;
    suite.case(an_attempt_that_lost_its_claim_does_not_finish::<S>, store, fresh_tenant()).await;
    suite.case(a_done_part_stays_as_its_winner_left_it::<S>, store, fresh_tenant()).await;
    suite.case(a_claim_finishes_with_one_output_only::<S>, store, fresh_tenant()).await;
    suite.case(behind_a_closed_gate_nothing_finishes::<S>, store, fresh_tenant()).await;
    suite.case(closing_makes_no_shards_and_repeats::<S>, store, fresh_tenant()).await;
    suite.case(after_closing_the_totals_stand::<S>, store, fresh_tenant()).await;
    suite.case(racing_finishes_lose_no_count::<S>, store, fresh_tenant()).await;
}

/// A planned job with its shards and parts, due one minute from now.
pub(super) async fn planned<S: JobStore>(store: &S, tenant: &Tenant, shards: u32, weights: &[u64]) -> Job {
    let job = fixtures::job(tenant, 1);
    store.create(&job, None, later(0)).await.unwrap();
    let totals = Work::shard_totals(weights.len() as u32, shards);
    assert_eq!(store.create_shards(&job, &totals).await.unwrap(), Swap::Done);
    store.create_parts(&job, shards, weights, later(60)).await.unwrap();
    job
}

pub(super) fn at(job: &Job, shards: u32, part: u32) -> PartRef {
    PartRef { tenant: job.tenant.clone(), job: job.id, shard: Work::shard_of(part, shards), part }
}

/// A part of weight 5, finished.
pub(super) fn done(attempt: u32, owner: &str, rows: u64) -> PartDone {
    let output = format!("out/{owner}-{attempt}.json");
    PartDone { attempt, owner: owner.into(), weight: 5, output, counts: fixtures::counts(rows) }
}

pub(super) async fn claim<S: JobStore>(store: &S, part: &PartRef, owner: &str, from: i64, until: i64) -> Option<Part> {
    match store.claim(part, owner, later(from), later(until)).await.unwrap() {
        Claim::Mine(part) => Some(part),
        Claim::NotNow => None,
    }
}

pub(super) fn open(total: u32) -> Shard {
    Shard { gate: Gate::Open, total, done: 0, weight_done: 0, counts: Counts::default() }
}

async fn shards_are_made_once_and_open<S: JobStore>(store: S, tenant: Tenant) {
    let job = fixtures::job(&tenant, 1);
    store.create(&job, None, later(0)).await.unwrap();
    assert_eq!(store.shards(&tenant, job.id, 2).await.unwrap(), []);
    assert_eq!(store.create_shards(&job, &[3, 2]).await.unwrap(), Swap::Done);
    assert_eq!(store.shards(&tenant, job.id, 2).await.unwrap(), [open(3), open(2)]);
    store.create_parts(&job, 2, &[1; 5], later(60)).await.unwrap();
    claim(&store, &at(&job, 2, 0), "a", 0, 60).await.unwrap();
    store.finish(&at(&job, 2, 0), &done(1, "a", 1)).await.unwrap();
    assert_eq!(store.create_shards(&job, &[3, 2]).await.unwrap(), Swap::Done, "a second planner of a NEW job");
    assert_eq!(store.shards(&tenant, job.id, 2).await.unwrap()[0].done, 1, "the shard was made anew");
    assert_eq!(store.shards(&fresh_tenant(), job.id, 2).await.unwrap(), []);
}

async fn as_many_shards_as_a_job_may_have_are_made<S: JobStore>(store: S, tenant: Tenant) {
    let job = fixtures::job(&tenant, 1);
    store.create(&job, None, later(0)).await.unwrap();
    let totals: Vec<u32> = (16..80).collect();
    assert_eq!(store.create_shards(&job, &totals).await.unwrap(), Swap::Done);
    let shards = store.shards(&tenant, job.id, 64).await.unwrap();
    assert_eq!(shards.iter().map(|s| s.total).collect::<Vec<_>>(), totals, "in order of number");
}

async fn a_job_that_is_not_new_gets_no_shards<S: JobStore>(store: S, tenant: Tenant) {
    let job = fixtures::job(&tenant, 1);
    assert_eq!(store.create_shards(&job, &[1]).await.unwrap(), Swap::Moved, "an unknown job");
    store.create(&job, None, later(0)).await.unwrap();
    store.swap(&job.fail(Vec::new(), later(1)).unwrap()).await.unwrap();
    assert_eq!(store.create_shards(&job, &[1]).await.unwrap(), Swap::Moved);
    assert_eq!(store.shards(&tenant, job.id, 1).await.unwrap(), []);

    let started = fixtures::job(&tenant, 2);
    store.create(&started, None, later(0)).await.unwrap();
    store.create_shards(&started, &[1]).await.unwrap();
    store.swap(&started.start(fixtures::work(1), later(1)).unwrap()).await.unwrap();
    assert_eq!(store.create_shards(&started, &[1]).await.unwrap(), Swap::Moved, "shards there, but no longer NEW");
}

async fn parts_are_made_by_weight_in_order<S: JobStore>(store: S, tenant: Tenant) {
    let weights: Vec<u64> = (0..250).map(|n| 1_000 + n).collect();
    let job = planned(&store, &tenant, 15, &weights).await;
    let parts = store.parts(&tenant, job.id, 15).await.unwrap();
    assert_eq!(parts.iter().map(|p| p.weight).collect::<Vec<_>>(), weights);
    for (n, part) in (0..).zip(&parts) {
        let fresh = (part.number, part.state, part.attempt, &part.owner, &part.output);
        assert_eq!(fresh, (n, PartState::Pending, 0, &None, &None));
    }
    assert_eq!(store.part(&at(&job, 15, 249)).await.unwrap().as_ref(), parts.last());
    assert_eq!(store.part(&at(&job, 15, 250)).await.unwrap(), None);
    assert_eq!(store.parts(&fresh_tenant(), job.id, 15).await.unwrap(), []);
}

async fn parts_that_are_there_are_left_as_they_are<S: JobStore>(store: S, tenant: Tenant) {
    let job = planned(&store, &tenant, 1, &[5; 3]).await;
    let claimed = claim(&store, &at(&job, 1, 1), "a", 0, 60).await.unwrap();
    claim(&store, &at(&job, 1, 2), "a", 0, 60).await.unwrap();
    store.finish(&at(&job, 1, 2), &done(1, "a", 1)).await.unwrap();
    store.create_parts(&job, 1, &[5; 130], later(60)).await.unwrap();
    let parts = store.parts(&tenant, job.id, 1).await.unwrap();
    assert_eq!(parts.len(), 130, "those that were missing are made");
    assert_eq!(parts[1], claimed);
    assert_eq!((parts[2].state, parts[2].output.as_deref()), (PartState::Done, Some("out/a-1.json")));
}

async fn racing_planners_make_every_part_once<S: JobStore>(store: S, tenant: Tenant) {
    let job = planned(&store, &tenant, 7, &[]).await;
    let planners = (0..4).map(|_| {
        let (store, job) = (store.clone(), job.clone());
        tokio::spawn(async move { store.create_parts(&job, 7, &[5; 120], later(60)).await.unwrap() })
    });
    let planners: Vec<_> = planners.collect();
    for planner in planners {
        planner.await.unwrap();
    }
    let numbers: Vec<u32> = store.parts(&tenant, job.id, 7).await.unwrap().iter().map(|p| p.number).collect();
    assert_eq!(numbers, (0..120).collect::<Vec<_>>());
}

async fn a_claim_holds_until_its_lease_ends<S: JobStore>(store: S, tenant: Tenant) {
    let job = planned(&store, &tenant, 1, &[5]).await;
    let part = at(&job, 1, 0);
    let mine = claim(&store, &part, "a", 0, 60).await.unwrap();
    assert_eq!((mine.attempt, mine.owner.as_deref(), mine.lease_until), (1, Some("a"), later(60)));
    assert_eq!(store.part(&part).await.unwrap().as_ref(), Some(&mine));
    assert_eq!(claim(&store, &part, "b", 59, 120).await, None);
    let next = claim(&store, &part, "b", 61, 120).await.unwrap();
    assert_eq!((next.attempt, next.owner.as_deref(), next.weight), (2, Some("b"), 5));
    assert_eq!(claim(&store, &part, "a", 62, 120).await, None);
}

async fn the_owners_claim_again_is_its_own<S: JobStore>(store: S, tenant: Tenant) {
    let job = planned(&store, &tenant, 1, &[5]).await;
    let first = claim(&store, &at(&job, 1, 0), "a", 0, 60).await;
    assert!(first.is_some());
    assert_eq!(claim(&store, &at(&job, 1, 0), "a", 1, 61).await, first, "neither attempt nor lease have changed");
}

async fn of_racing_claims_exactly_one_is_mine<S: JobStore>(store: S, tenant: Tenant) {
    let job = planned(&store, &tenant, 1, &[5]).await;
    for round in 1..=5_u32 {
        let racers = (0..8).map(|n| {
            let (store, part) = (store.clone(), at(&job, 1, 0));
            let from = i64::from(round) * 100;
            tokio::spawn(async move { claim(&store, &part, &format!("r{round}-{n}"), from, from + 50).await })
        });
        let racers: Vec<_> = racers.collect();
        let mut mine = Vec::new();
        for racer in racers {
            mine.extend(racer.await.unwrap());
        }
        assert_eq!(mine.len(), 1);
        assert_eq!(mine[0].attempt, round);
    }
}

async fn a_part_that_is_gated_done_or_unknown_is_not_claimed<S: JobStore>(store: S, tenant: Tenant) {
    let job = planned(&store, &tenant, 1, &[5, 5]).await;
    assert_eq!(claim(&store, &at(&job, 1, 9), "a", 0, 60).await, None, "unknown");
    claim(&store, &at(&job, 1, 0), "a", 0, 60).await.unwrap();
    store.finish(&at(&job, 1, 0), &done(1, "a", 1)).await.unwrap();
    assert_eq!(claim(&store, &at(&job, 1, 0), "a", 1, 60).await, None, "done");
    assert_eq!(claim(&store, &at(&job, 1, 0), "b", 100, 160).await, None, "done, its lease over");
    store.close_gates(&tenant, job.id, 1).await.unwrap();
    assert_eq!(claim(&store, &at(&job, 1, 1), "a", 0, 60).await, None, "gated");
    assert_eq!(store.part(&at(&job, 1, 1)).await.unwrap().unwrap().attempt, 0);
}

async fn a_renewed_lease_keeps_others_out<S: JobStore>(store: S, tenant: Tenant) {
    let job = planned(&store, &tenant, 1, &[5]).await;
    let part = at(&job, 1, 0);
    claim(&store, &part, "a", 0, 60).await.unwrap();
    assert_eq!(store.renew(&part, "a", 1, later(120)).await.unwrap(), Swap::Done);
    assert_eq!(claim(&store, &part, "b", 61, 200).await, None);
    assert_eq!(store.part(&part).await.unwrap().unwrap().lease_until, later(120));
    assert_eq!(claim(&store, &part, "b", 121, 200).await.unwrap().attempt, 2);
}

async fn only_the_present_claim_is_renewed<S: JobStore>(store: S, tenant: Tenant) {
    let job = planned(&store, &tenant, 1, &[5]).await;
    let part = at(&job, 1, 0);
    assert_eq!(store.renew(&part, "a", 0, later(60)).await.unwrap(), Swap::Moved, "never claimed");
    claim(&store, &part, "a", 0, 60).await.unwrap();
    assert_eq!(store.renew(&part, "b", 1, later(120)).await.unwrap(), Swap::Moved, "another owner");
    claim(&store, &part, "a", 61, 120).await.unwrap();
    assert_eq!(store.renew(&part, "a", 1, later(200)).await.unwrap(), Swap::Moved, "an older attempt");
    assert_eq!(store.part(&part).await.unwrap().unwrap().lease_until, later(120));
    store.finish(&part, &done(2, "a", 1)).await.unwrap();
    assert_eq!(store.renew(&part, "a", 2, later(200)).await.unwrap(), Swap::Moved, "done");
}

async fn a_closed_gate_stops_the_next_renewal<S: JobStore>(store: S, tenant: Tenant) {
    let job = planned(&store, &tenant, 1, &[5]).await;
    claim(&store, &at(&job, 1, 0), "a", 0, 60).await.unwrap();
    store.close_gates(&tenant, job.id, 1).await.unwrap();
    assert_eq!(store.renew(&at(&job, 1, 0), "a", 1, later(120)).await.unwrap(), Swap::Moved);
}

async fn finishing_counts_a_part_once<S: JobStore>(store: S, tenant: Tenant) {
    let job = planned(&store, &tenant, 1, &[5, 5]).await;
    let part = at(&job, 1, 1);
    claim(&store, &part, "a", 0, 60).await.unwrap();
    for _ in 0..3 {
        // The second and third time: the answer of the first was lost.
        assert_eq!(store.finish(&part, &done(1, "a", 10)).await.unwrap(), Swap::Done);
    }
    let stored = store.part(&part).await.unwrap().unwrap();
    assert_eq!((stored.state, stored.output.as_deref()), (PartState::Done, Some("out/a-1.json")));
    let expected = Shard { done: 1, weight_done: 5, counts: fixtures::counts(10), ..open(2) };
    assert_eq!(store.shards(&tenant, job.id, 1).await.unwrap(), [expected]);
}

async fn counters_of_a_shards_parts_add_up<S: JobStore>(store: S, tenant: Tenant) {
    let job = planned(&store, &tenant, 1, &[6, 7, 8]).await;
    let counts = |rows, namespaces: &[(&str, u64)]| Counts {
        rows,
        bytes: rows * 10,
        by_namespace: namespaces.iter().map(|(n, c)| ((*n).to_owned(), *c)).collect(),
        too_many_identities: 1,
        empty_profiles: 2,
    };
    let parts =
        [counts(1, &[("email", 1)]), counts(2, &[("email", 2), ("CRM id #1", 1)]), counts(4, &[("phone.é", 3)])];
    for (n, counts) in (0..).zip(&parts) {
        claim(&store, &at(&job, 1, n), "a", 0, 60).await.unwrap();
        let done = PartDone { weight: u64::from(n) + 6, counts: counts.clone(), ..done(1, "a", 0) };
        assert_eq!(store.finish(&at(&job, 1, n), &done).await.unwrap(), Swap::Done);
    }
    let mut sum = counts(7, &[("email", 3), ("CRM id #1", 1), ("phone.é", 3)]);
    (sum.too_many_identities, sum.empty_profiles) = (3, 6);
    let expected = Shard { done: 3, weight_done: 21, counts: sum, ..open(3) };
    assert_eq!(store.shards(&tenant, job.id, 1).await.unwrap(), [expected]);
}

async fn an_attempt_that_lost_its_claim_does_not_finish<S: JobStore>(store: S, tenant: Tenant) {
    let job = planned(&store, &tenant, 1, &[5]).await;
    let part = at(&job, 1, 0);
    assert_eq!(store.finish(&part, &done(0, "a", 1)).await.unwrap(), Swap::Moved, "never claimed");
    claim(&store, &part, "a", 0, 60).await.unwrap();
    assert_eq!(store.finish(&part, &done(1, "b", 1)).await.unwrap(), Swap::Moved, "another's claim");
    claim(&store, &part, "b", 61, 120).await.unwrap();
    assert_eq!(store.finish(&part, &done(1, "a", 1)).await.unwrap(), Swap::Moved, "a sleeper's claim");
    assert_eq!(store.finish(&part, &done(1, "b", 1)).await.unwrap(), Swap::Moved, "an older attempt");
    assert_eq!(store.shards(&tenant, job.id, 1).await.unwrap(), [open(1)]);
    assert_eq!(store.finish(&part, &done(2, "b", 1)).await.unwrap(), Swap::Done);
    assert_eq!(store.finish(&at(&job, 1, 9), &done(1, "a", 1)).await.unwrap(), Swap::Moved, "an unknown part");
}

async fn a_done_part_stays_as_its_winner_left_it<S: JobStore>(store: S, tenant: Tenant) {
    let job = planned(&store, &tenant, 1, &[5]).await;
    let part = at(&job, 1, 0);
    claim(&store, &part, "a", 0, 60).await.unwrap();
    claim(&store, &part, "b", 61, 120).await.unwrap();
    store.finish(&part, &done(2, "b", 3)).await.unwrap();
    assert_eq!(store.finish(&part, &done(1, "a", 4)).await.unwrap(), Swap::Moved);
    assert_eq!(store.part(&part).await.unwrap().unwrap().output.as_deref(), Some("out/b-2.json"));
    let shard = store.shards(&tenant, job.id, 1).await.unwrap().remove(0);
    assert_eq!((shard.done, shard.counts.rows), (1, 3), "I1, I2");
}

async fn a_claim_finishes_with_one_output_only<S: JobStore>(store: S, tenant: Tenant) {
    let job = planned(&store, &tenant, 1, &[5]).await;
    let part = at(&job, 1, 0);
    claim(&store, &part, "a", 0, 60).await.unwrap();
    store.finish(&part, &done(1, "a", 3)).await.unwrap();
    let other = PartDone { output: "out/other.json".into(), ..done(1, "a", 3) };
    assert_eq!(store.finish(&part, &other).await.unwrap(), Swap::Moved);
}

async fn behind_a_closed_gate_nothing_finishes<S: JobStore>(store: S, tenant: Tenant) {
    let job = planned(&store, &tenant, 1, &[5]).await;
    let part = at(&job, 1, 0);
    claim(&store, &part, "a", 0, 60).await.unwrap();
    store.close_gates(&tenant, job.id, 1).await.unwrap();
    assert_eq!(store.finish(&part, &done(1, "a", 1)).await.unwrap(), Swap::Moved);
    assert_eq!(store.part(&part).await.unwrap().unwrap().state, PartState::Pending);
    assert_eq!(store.shards(&tenant, job.id, 1).await.unwrap(), [Shard { gate: Gate::Closed, ..open(1) }]);
}

async fn closing_makes_no_shards_and_repeats<S: JobStore>(store: S, tenant: Tenant) {
    let unplanned: JobId = fixtures::job_id(9);
    store.close_gates(&tenant, unplanned, 64).await.unwrap();
    assert_eq!(store.shards(&tenant, unplanned, 64).await.unwrap(), []);
    let job = planned(&store, &tenant, 3, &[5; 6]).await;
    for _ in 0..2 {
        store.close_gates(&tenant, job.id, 3).await.unwrap();
        let shards = store.shards(&tenant, job.id, 3).await.unwrap();
        assert_eq!(shards, vec![Shard { gate: Gate::Closed, ..open(2) }; 3]);
    }
}

async fn after_closing_the_totals_stand<S: JobStore>(store: S, tenant: Tenant) {
    let job = planned(&store, &tenant, 2, &[5; 16]).await;
    for n in 0..16 {
        claim(&store, &at(&job, 2, n), "a", 0, 60).await.unwrap();
    }
    let workers = (0..16).map(|n| {
        let (store, part) = (store.clone(), at(&job, 2, n));
        tokio::spawn(async move { store.finish(&part, &done(1, "a", 1)).await.unwrap() })
    });
    let workers: Vec<_> = workers.collect();
    store.close_gates(&tenant, job.id, 2).await.unwrap();
    let closed = store.shards(&tenant, job.id, 2).await.unwrap();
    let mut finished = 0;
    for worker in workers {
        finished += u32::from(worker.await.unwrap() == Swap::Done);
    }
    assert_eq!(store.shards(&tenant, job.id, 2).await.unwrap(), closed, "I4: a part was committed after the closing");
    assert_eq!(closed.iter().map(|s| s.done).sum::<u32>(), finished, "I2");
}

async fn racing_finishes_lose_no_count<S: JobStore>(store: S, tenant: Tenant) {
    let job = planned(&store, &tenant, 1, &[5; 12]).await;
    let workers = (0..12).map(|n| {
        let (store, part) = (store.clone(), at(&job, 1, n));
        tokio::spawn(async move {
            claim(&store, &part, "a", 0, 60).await.unwrap();
            store.finish(&part, &done(1, "a", 10)).await.unwrap()
        })
    });
    let workers: Vec<_> = workers.collect();
    for worker in workers {
        assert_eq!(worker.await.unwrap(), Swap::Done, "contention on the shard is not a lost race");
    }
    let shard = store.shards(&tenant, job.id, 1).await.unwrap().remove(0);
    let done_parts = store.parts(&tenant, job.id, 1).await.unwrap();
    assert_eq!(shard.done as usize, done_parts.iter().filter(|p| p.state == PartState::Done).count(), "I2");
    assert_eq!((shard.done, shard.counts.rows, shard.weight_done), (12, 120, 60));
}
