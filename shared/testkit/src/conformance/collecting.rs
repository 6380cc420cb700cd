//! G: what is left of jobs that have ended.

use super::parts::{at, claim, done, planned};
use super::{JobStore, Suite, fresh_tenant, later};
use crate::fixtures;
use domain::instant::Millis;
use domain::job::{Collect, Job};
use domain::ports::jobs::Due;
use domain::tenant::Tenant;

pub(super) async fn run<S: JobStore>(suite: &mut Suite, store: &S) {
    suite.case(what_a_job_leaves_stands_from_its_end_on::<S>, store, fresh_tenant()).await;
    suite.case(what_is_left_outlives_the_jobs_record::<S>, store, fresh_tenant()).await;
    suite.case(what_is_left_is_due_when_it_says_so::<S>, store, fresh_tenant()).await;
    suite.case(looks_are_never_taken_back::<S>, store, fresh_tenant()).await;
    suite.case(a_forgotten_job_leaves_nothing_and_its_neighbour_all::<S>, store, fresh_tenant()).await;
}

/// Brings a job to its end; as it is then.
async fn ended<S: JobStore>(store: &S, job: &Job) -> Job {
    let failing = job.fail(Vec::new(), later(1)).unwrap();
    store.swap(&failing).await.unwrap();
    let failed = failing.end_fail(later(2)).unwrap();
    store.swap(&failed).await.unwrap();
    failed
}

async fn due<S: JobStore>(store: &S, tenant: &Tenant, now: Millis) -> Vec<Due> {
    let mut all = store.due(now, 100_000).await.unwrap();
    all.retain(|due| matches!(due, Due::Collect(t, _) if t == tenant));
    all
}

async fn what_a_job_leaves_stands_from_its_end_on<S: JobStore>(store: S, tenant: Tenant) {
    let job = planned(&store, &tenant, 1, &[5]).await;
    assert_eq!(store.remains(&tenant, job.id).await.unwrap(), None);
    let failed = ended(&store, &job).await;
    let left = Collect { job: failed, looks: 0 };
    assert_eq!(store.remains(&tenant, job.id).await.unwrap(), Some(left));
    assert_eq!(store.remains(&fresh_tenant(), job.id).await.unwrap(), None);
}

async fn what_is_left_outlives_the_jobs_record<S: JobStore>(store: S, tenant: Tenant) {
    let job = planned(&store, &tenant, 1, &[5]).await;
    let failed = ended(&store, &job).await;
    store.delete(&failed).await.unwrap();
    assert_eq!(store.remains(&tenant, job.id).await.unwrap().map(|left| left.job), Some(failed));
    assert_eq!(store.shards(&tenant, job.id, 1).await.unwrap().len(), 1);
}

async fn what_is_left_is_due_when_it_says_so<S: JobStore>(store: S, tenant: Tenant) {
    let job = planned(&store, &tenant, 1, &[5]).await;
    ended(&store, &job).await;
    let found = [Due::Collect(tenant.clone(), job.id)];
    assert_eq!(due(&store, &tenant, later(3)).await, found, "at once");
    store.postpone_collect(&tenant, job.id, 0, later(50)).await.unwrap();
    assert_eq!(due(&store, &tenant, later(49)).await, []);
    assert_eq!(due(&store, &tenant, later(51)).await, found);
}

async fn looks_are_never_taken_back<S: JobStore>(store: S, tenant: Tenant) {
    let job = planned(&store, &tenant, 1, &[5]).await;
    ended(&store, &job).await;
    store.postpone_collect(&tenant, job.id, 1, later(50)).await.unwrap();
    store.postpone_collect(&tenant, job.id, 0, later(90)).await.unwrap();
    assert_eq!(store.remains(&tenant, job.id).await.unwrap().unwrap().looks, 1);
    assert_eq!(due(&store, &tenant, later(51)).await.len(), 1);
    store.postpone_collect(&tenant, fixtures::job_id(9), 0, later(1)).await.unwrap();
    assert_eq!(store.remains(&tenant, fixtures::job_id(9)).await.unwrap(), None, "nothing is made of nothing");
}

async fn a_forgotten_job_leaves_nothing_and_its_neighbour_all<S: JobStore>(store: S, tenant: Tenant) {
    let job = planned(&store, &tenant, 3, &[5; 30]).await;
    let neighbour = fixtures::job(&tenant, 2);
    store.create(&neighbour, None, later(0)).await.unwrap();
    store.create_shards(&neighbour, &[1]).await.unwrap();
    store.create_parts(&neighbour, 1, &[5], later(60)).await.unwrap();
    claim(&store, &at(&job, 3, 0), "a", 0, 60).await.unwrap();
    store.finish(&at(&job, 3, 0), &done(1, "a", 1)).await.unwrap();
    let failed = ended(&store, &job).await;
    for _ in 0..2 {
        store.forget(&tenant, job.id, 3).await.unwrap();
    }
    assert_eq!(store.remains(&tenant, job.id).await.unwrap(), None);
    assert_eq!(store.shards(&tenant, job.id, 3).await.unwrap(), []);
    assert_eq!(store.parts(&tenant, job.id, 3).await.unwrap(), []);
    assert_eq!(store.job(&tenant, job.id).await.unwrap().map(|r| r.job), Some(failed), "the record is the client's");
    assert_eq!(store.parts(&tenant, neighbour.id, 1).await.unwrap().len(), 1);
    let all = store.due(later(1_000_000), 100_000).await.unwrap();
    assert!(!all.iter().any(|due| matches!(due, Due::Part(at) if at.job == job.id && at.tenant == tenant)));
    assert_eq!(due(&store, &tenant, later(1_000_000)).await, []);
}
