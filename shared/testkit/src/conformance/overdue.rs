//! The due index.

use super::{JobStore, Suite, fresh_tenant, later};
use crate::fixtures;
use domain::instant::Millis;
use domain::job::Job;
use domain::ports::jobs::{Claim, Due, PartDone, PartRef, Swap};
use domain::tenant::Tenant;

pub(super) async fn run<S: JobStore>(suite: &mut Suite, store: &S) {
    suite.case(a_job_is_due_when_it_says_so::<S>, store, fresh_tenant()).await;
    suite.case(a_job_that_has_ended_or_gone_is_never_due::<S>, store, fresh_tenant()).await;
    suite.case(a_part_is_due_until_it_is_done::<S>, store, fresh_tenant()).await;
    suite.case(a_done_part_is_not_postponed_into_the_index::<S>, store, fresh_tenant()).await;
    suite.case(a_part_that_is_never_due_again_can_still_be_claimed::<S>, store, fresh_tenant()).await;
    suite.case(a_due_part_is_named_with_its_shard::<S>, store, fresh_tenant()).await;
    suite.case(the_most_overdue_come_first_up_to_the_limit::<S>, store, fresh_tenant()).await;
}

/// What of one tenant is due.
async fn due<S: JobStore>(store: &S, tenant: &Tenant, now: Millis) -> Vec<Due> {
    let all = store.due(now, 100_000).await.unwrap();
    all.into_iter()
        .filter(|d| matches!(d, Due::Job(t, _) | Due::Part(PartRef { tenant: t, .. }) if t == tenant))
        .collect()
}

async fn a_job_is_due_when_it_says_so<S: JobStore>(store: S, tenant: Tenant) {
    let job = fixtures::job(&tenant, 1);
    store.create(&job, None, later(0)).await.unwrap();
    assert_eq!(due(&store, &tenant, later(-1)).await, []);
    assert_eq!(due(&store, &tenant, later(1)).await, [Due::Job(tenant.clone(), job.id)]);
    let next = job.postpone(later(1)).unwrap();
    store.swap(&next).await.unwrap();
    assert_eq!(due(&store, &tenant, later(2)).await, []);
    let at = next.due.unwrap();
    assert_eq!(due(&store, &tenant, at.plus_seconds(1)).await, [Due::Job(tenant.clone(), job.id)]);
}

async fn a_job_that_has_ended_or_gone_is_never_due<S: JobStore>(store: S, tenant: Tenant) {
    let (ended, gone) = (fixtures::job(&tenant, 1), fixtures::job(&tenant, 2));
    store.create(&ended, None, later(0)).await.unwrap();
    store.create(&gone, None, later(0)).await.unwrap();
    let failing = ended.fail(Vec::new(), later(1)).unwrap();
    store.swap(&failing).await.unwrap();
    store.swap(&failing.end_fail(later(2)).unwrap()).await.unwrap();
    store.delete(&gone).await.unwrap();
    assert_eq!(due(&store, &tenant, later(1_000_000)).await, []);
}

async fn a_part_is_due_until_it_is_done<S: JobStore>(store: S, tenant: Tenant) {
    let job = fixtures::job(&tenant, 1);
    store.create(&Job { due: None, ..job.clone() }, None, later(0)).await.unwrap();
    store.create_shards(&job, &[1]).await.unwrap();
    store.create_parts(&job, 1, &[100], later(10)).await.unwrap();
    let (part, found) = (part_of(&job), [Due::Part(part_of(&job))]);
    assert_eq!(due(&store, &tenant, later(9)).await, []);
    assert_eq!(due(&store, &tenant, later(11)).await, found);
    store.postpone_part(&part, Some(later(20))).await.unwrap();
    assert_eq!(due(&store, &tenant, later(19)).await, []);
    assert_eq!(due(&store, &tenant, later(21)).await, found);
    store.claim(&part, "a", later(0), later(30)).await.unwrap();
    assert_eq!(due(&store, &tenant, later(29)).await, [], "a claimed part is due at the end of its lease");
    assert_eq!(due(&store, &tenant, later(31)).await, found);
    store.renew(&part, "a", 1, later(40)).await.unwrap();
    assert_eq!(due(&store, &tenant, later(39)).await, []);
    assert_eq!(due(&store, &tenant, later(41)).await, found);
    let done = PartDone { attempt: 1, owner: "a".into(), weight: 100, output: "o".into(), counts: fixtures::counts(1) };
    assert_eq!(store.finish(&part, &done).await.unwrap(), Swap::Done);
    assert_eq!(due(&store, &tenant, later(1_000_000)).await, []);
}

async fn a_done_part_is_not_postponed_into_the_index<S: JobStore>(store: S, tenant: Tenant) {
    let job = fixtures::job(&tenant, 1);
    store.create(&Job { due: None, ..job.clone() }, None, later(0)).await.unwrap();
    store.create_shards(&job, &[1]).await.unwrap();
    store.create_parts(&job, 1, &[100], later(10)).await.unwrap();
    let part = part_of(&job);
    assert!(matches!(store.claim(&part, "a", later(0), later(30)).await.unwrap(), Claim::Mine(_)));
    let done = PartDone { attempt: 1, owner: "a".into(), weight: 100, output: "o".into(), counts: fixtures::counts(1) };
    store.finish(&part, &done).await.unwrap();
    store.postpone_part(&part, Some(later(5))).await.unwrap();
    store.postpone_part(&PartRef { part: 9, ..part }, Some(later(5))).await.unwrap();
    assert_eq!(due(&store, &tenant, later(1_000_000)).await, [], "neither a done part nor one that never was");
}

async fn a_part_that_is_never_due_again_can_still_be_claimed<S: JobStore>(store: S, tenant: Tenant) {
    let job = fixtures::job(&tenant, 1);
    store.create(&Job { due: None, ..job.clone() }, None, later(0)).await.unwrap();
    store.create_shards(&job, &[1]).await.unwrap();
    store.create_parts(&job, 1, &[100], later(10)).await.unwrap();
    store.postpone_part(&part_of(&job), None).await.unwrap();
    assert_eq!(due(&store, &tenant, later(1_000_000)).await, []);
    store.claim(&part_of(&job), "a", later(0), later(30)).await.unwrap();
    assert_eq!(due(&store, &tenant, later(31)).await, [Due::Part(part_of(&job))]);
}

async fn a_due_part_is_named_with_its_shard<S: JobStore>(store: S, tenant: Tenant) {
    let job = fixtures::job(&tenant, 1);
    store.create(&Job { due: None, ..job.clone() }, None, later(0)).await.unwrap();
    store.create_shards(&job, &[2, 2, 1]).await.unwrap();
    store.create_parts(&job, 3, &[100; 5], later(10)).await.unwrap();
    let mut found = due(&store, &tenant, later(11)).await;
    found.sort();
    let mut expected: Vec<Due> =
        (0..5).map(|n| Due::Part(PartRef { tenant: tenant.clone(), job: job.id, shard: n % 3, part: n })).collect();
    expected.sort();
    assert_eq!(found, expected);
}

async fn the_most_overdue_come_first_up_to_the_limit<S: JobStore>(store: S, tenant: Tenant) {
    // Long before all that other cases make due in the same store.
    let ancient = |n: i64| Millis(1_000 + n);
    for n in [5, 2, 9, 1, 7, 3, 8, 4, 6, 10] {
        let job = Job { due: Some(ancient(n)), ..fixtures::job(&tenant, n as u64) };
        store.create(&job, None, later(0)).await.unwrap();
    }
    let expected = |n: u64| (1..=n).map(|n| Due::Job(tenant.clone(), fixtures::job_id(n))).collect::<Vec<_>>();
    assert_eq!(store.due(Millis(2_000), 100).await.unwrap(), expected(10));
    assert_eq!(store.due(Millis(2_000), 4).await.unwrap(), expected(4));
    for n in 1..=10 {
        let job = Job { due: Some(ancient(n)), ..fixtures::job(&tenant, n as u64) };
        store.delete(&job).await.unwrap();
    }
}

fn part_of(job: &Job) -> PartRef {
    PartRef { tenant: job.tenant.clone(), job: job.id, shard: 0, part: 0 }
}
