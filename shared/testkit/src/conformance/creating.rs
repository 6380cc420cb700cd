//! C1: a job, and its idempotency key where one came.

use super::{JobStore, Suite, fresh_tenant, later};
use crate::fixtures;
use domain::instant::Millis;
use domain::job::{Job, Progress};
use domain::ports::jobs::{Created, FirstUse, IdempotencyKey, Swap};
use domain::request::MAX_BODY_DEPTH;
use domain::tenant::Tenant;
use serde_json::json;

pub(super) async fn run<S: JobStore>(suite: &mut Suite, store: &S) {
    suite.case(a_created_job_is_read_back_as_it_was::<S>, store, fresh_tenant()).await;
    suite.case(no_tenant_sees_a_job_of_another::<S>, store, fresh_tenant()).await;
    suite.case(the_same_nonce_again_is_stored_already::<S>, store, fresh_tenant()).await;
    suite.case(an_id_of_another_job_is_taken_and_stays::<S>, store, fresh_tenant()).await;
    suite.case(a_key_that_came_before_tells_its_job_and_creates_nothing::<S>, store, fresh_tenant()).await;
    suite.case(a_key_tells_its_first_use_until_it_expires::<S>, store, fresh_tenant()).await;
    suite.case(a_key_outlives_its_job::<S>, store, fresh_tenant()).await;
    suite.case(an_expired_key_is_free::<S>, store, fresh_tenant()).await;
    suite.case(a_taken_id_leaves_the_key_free::<S>, store, fresh_tenant()).await;
    suite.case(a_lost_answer_with_a_key_is_stored_already::<S>, store, fresh_tenant()).await;
    suite.case(of_racing_requests_with_one_key_one_creates_its_job::<S>, store, fresh_tenant()).await;
    suite.case(a_job_as_large_as_a_request_may_make_it_is_kept::<S>, store, fresh_tenant()).await;
    suite.case(a_job_as_deep_as_a_request_may_make_it_is_kept::<S>, store, fresh_tenant()).await;
}

fn key(name: &str, body_hash: &str) -> IdempotencyKey {
    IdempotencyKey { key: name.into(), body_hash: body_hash.into(), expires: later(86_400) }
}

async fn a_created_job_is_read_back_as_it_was<S: JobStore>(store: S, tenant: Tenant) {
    let job = fixtures::job(&tenant, 1);
    assert_eq!(store.job(&tenant, job.id).await.unwrap(), None);
    assert_eq!(store.create(&job, None, later(0)).await.unwrap(), Created::Stored);
    let record = store.job(&tenant, job.id).await.unwrap().unwrap();
    assert_eq!((record.job, record.progress), (job, Progress::default()));
}

async fn no_tenant_sees_a_job_of_another<S: JobStore>(store: S, tenant: Tenant) {
    let job = fixtures::job(&tenant, 1);
    store.create(&job, None, later(0)).await.unwrap();
    assert_eq!(store.job(&fresh_tenant(), job.id).await.unwrap(), None);
    let sibling = Tenant::new(tenant.organization(), "dev").unwrap();
    assert_eq!(store.job(&sibling, job.id).await.unwrap(), None);
    let same_id = Job { tenant: sibling.clone(), nonce: "other".into(), ..job };
    assert_eq!(store.create(&same_id, None, later(0)).await.unwrap(), Created::Stored);
}

async fn the_same_nonce_again_is_stored_already<S: JobStore>(store: S, tenant: Tenant) {
    let job = fixtures::job(&tenant, 1);
    store.create(&job, None, later(0)).await.unwrap();
    assert_eq!(store.create(&job, None, later(1)).await.unwrap(), Created::Stored);
    let moved = job.postpone(later(2)).unwrap();
    assert_eq!(store.swap(&moved).await.unwrap(), Swap::Done);
    assert_eq!(store.create(&job, None, later(3)).await.unwrap(), Created::Stored);
    assert_eq!(store.job(&tenant, job.id).await.unwrap().unwrap().job, moved, "the job was put back");
}

async fn an_id_of_another_job_is_taken_and_stays<S: JobStore>(store: S, tenant: Tenant) {
    let job = fixtures::job(&tenant, 1);
    store.create(&job, None, later(0)).await.unwrap();
    let other = Job { nonce: "other".into(), ..job.clone() };
    assert_eq!(store.create(&other, None, later(0)).await.unwrap(), Created::IdTaken);
    assert_eq!(store.create(&other, Some(&key("k", "h")), later(0)).await.unwrap(), Created::IdTaken);
    assert_eq!(store.job(&tenant, job.id).await.unwrap().unwrap().job, job);
}

async fn a_key_that_came_before_tells_its_job_and_creates_nothing<S: JobStore>(store: S, tenant: Tenant) {
    let (first, second) = (fixtures::job(&tenant, 1), fixtures::job(&tenant, 2));
    assert_eq!(store.create(&first, Some(&key("k", "h1")), later(0)).await.unwrap(), Created::Stored);
    let taken = Created::KeyTaken(FirstUse { body_hash: "h1".into(), job: first.id });
    assert_eq!(store.create(&second, Some(&key("k", "h2")), later(1)).await.unwrap(), taken);
    assert_eq!(store.job(&tenant, second.id).await.unwrap(), None, "both or neither");
    let elsewhere = fixtures::job(&fresh_tenant(), 2);
    assert_eq!(store.create(&elsewhere, Some(&key("k", "h2")), later(1)).await.unwrap(), Created::Stored);
}

async fn a_key_tells_its_first_use_until_it_expires<S: JobStore>(store: S, tenant: Tenant) {
    let job = fixtures::job(&tenant, 1);
    assert_eq!(store.first_use(&tenant, "k", later(0)).await.unwrap(), None);
    store.create(&job, Some(&key("k", "h")), later(0)).await.unwrap();
    let expires = key("k", "h").expires;
    let used = Some(FirstUse { body_hash: "h".into(), job: job.id });
    assert_eq!(store.first_use(&tenant, "k", Millis(expires.0 - 1)).await.unwrap(), used);
    assert_eq!(store.first_use(&tenant, "k", expires).await.unwrap(), None);
    assert_eq!(store.first_use(&tenant, "K", later(0)).await.unwrap(), None);
    assert_eq!(store.first_use(&fresh_tenant(), "k", later(0)).await.unwrap(), None);
}

async fn a_key_outlives_its_job<S: JobStore>(store: S, tenant: Tenant) {
    let job = fixtures::job(&tenant, 1);
    store.create(&job, Some(&key("k", "h")), later(0)).await.unwrap();
    assert_eq!(store.delete(&job).await.unwrap(), Swap::Done);
    let again = fixtures::job(&tenant, 2);
    let taken = Created::KeyTaken(FirstUse { body_hash: "h".into(), job: job.id });
    assert_eq!(store.create(&again, Some(&key("k", "h")), later(1)).await.unwrap(), taken);
}

async fn an_expired_key_is_free<S: JobStore>(store: S, tenant: Tenant) {
    let (first, second) = (fixtures::job(&tenant, 1), fixtures::job(&tenant, 2));
    store.create(&first, Some(&key("k", "h1")), later(0)).await.unwrap();
    let renewed = IdempotencyKey { expires: later(200_000), ..key("k", "h2") };
    assert_eq!(store.create(&second, Some(&renewed), later(86_401)).await.unwrap(), Created::Stored);
    let taken = Created::KeyTaken(FirstUse { body_hash: "h2".into(), job: second.id });
    let third = fixtures::job(&tenant, 3);
    assert_eq!(store.create(&third, Some(&key("k", "h2")), later(86_402)).await.unwrap(), taken);
}

async fn a_taken_id_leaves_the_key_free<S: JobStore>(store: S, tenant: Tenant) {
    let job = fixtures::job(&tenant, 1);
    store.create(&job, None, later(0)).await.unwrap();
    let clash = Job { nonce: "other".into(), ..job };
    assert_eq!(store.create(&clash, Some(&key("k", "h")), later(0)).await.unwrap(), Created::IdTaken);
    let redrawn = Job { id: fixtures::job_id(2), ..clash };
    assert_eq!(store.create(&redrawn, Some(&key("k", "h")), later(0)).await.unwrap(), Created::Stored);
}

async fn a_lost_answer_with_a_key_is_stored_already<S: JobStore>(store: S, tenant: Tenant) {
    let job = fixtures::job(&tenant, 1);
    for _ in 0..2 {
        assert_eq!(store.create(&job, Some(&key("k", "h")), later(0)).await.unwrap(), Created::Stored);
    }
}

async fn of_racing_requests_with_one_key_one_creates_its_job<S: JobStore>(store: S, tenant: Tenant) {
    let racers = (1..=8).map(|n| {
        let (store, job) = (store.clone(), fixtures::job(&tenant, n));
        tokio::spawn(async move { (job.id, store.create(&job, Some(&key("k", "h")), later(0)).await.unwrap()) })
    });
    let racers: Vec<_> = racers.collect();
    let (mut winners, mut named) = (Vec::new(), Vec::new());
    for racer in racers {
        match racer.await.unwrap() {
            (id, Created::Stored) => winners.push(id),
            (_, Created::KeyTaken(FirstUse { job, .. })) => named.push(job),
            (_, Created::IdTaken) => panic!("all ids differ"),
        }
    }
    assert_eq!(winners.len(), 1, "I12: same key, one job");
    assert!(named.iter().all(|id| *id == winners[0]));
}

async fn a_job_as_large_as_a_request_may_make_it_is_kept<S: JobStore>(store: S, tenant: Tenant) {
    let mut job = fixtures::job(&tenant, 1);
    job.echo.body.insert("note".into(), "ä".repeat(100_000).into());
    store.create(&job, None, later(0)).await.unwrap();
    assert_eq!(store.job(&tenant, job.id).await.unwrap().unwrap().job, job);
}

async fn a_job_as_deep_as_a_request_may_make_it_is_kept<S: JobStore>(store: S, tenant: Tenant) {
    let mut job = fixtures::job(&tenant, 1);
    let below = (1..MAX_BODY_DEPTH).fold(json!(1), |below, _| json!([below]));
    job.echo.body.insert("additionalFields".into(), below);
    assert_eq!(store.create(&job, None, later(0)).await.unwrap(), Created::Stored);
    assert_eq!(store.job(&tenant, job.id).await.unwrap().unwrap().job, job);
}
