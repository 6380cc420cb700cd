//! What stands in the table behind the ports.

use crate::stores::Stores;
use domain::job::Job;
use domain::ports::jobs::{
    CreateJobs, IdempotencyKey, ListJobs, MoveJobs, PageRequest, PartDone, PartRef, PlanParts, Swap, WorkParts,
};
use domain::ports::registry::{Entry, WriteRegistry};
use domain::state::ShownStatus;
use serde_json::{Value, json};
use testkit::fixtures::{self, NOW};

/// The items whose sort key starts so.
fn items_of(stores: &Stores, sort_key: &str) -> Vec<Value> {
    let of_kind = |item: &Value| item["SK"]["S"].as_str().unwrap().starts_with(sort_key);
    stores.items().into_iter().filter(of_kind).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_key_begins_with_the_tenant_but_a_clients() {
    let (stores, tenant) = (Stores::start().await, fixtures::tenant());
    let (jobs, registry) = (stores.jobs(), stores.registry());
    let job = fixtures::job(&tenant, 1);
    let key = IdempotencyKey { key: "k".into(), body_hash: "h".into(), expires: NOW.plus_seconds(60) };
    jobs.create(&job, Some(&key), NOW).await.unwrap();
    jobs.create_shards(&job, &[1]).await.unwrap();
    jobs.create_parts(&job, 1, &[5], NOW).await.unwrap();
    let failing = job.fail(Vec::new(), NOW).unwrap();
    jobs.swap(&failing).await.unwrap();
    jobs.swap(&failing.end_fail(NOW).unwrap()).await.unwrap();
    registry.put_entry(&tenant, &Entry::Dataset(fixtures::profile_dataset().into())).await.unwrap();
    registry.put_client(&fixtures::client(&tenant, "key")).await.unwrap();

    let keys = stores.items().into_iter().map(|item| item["PK"]["S"].as_str().unwrap().to_owned());
    let (tenants, others): (Vec<_>, Vec<_>) = keys.partition(|pk| pk.starts_with("EXAMPLE@AdobeOrg#prod"));
    assert_eq!(others, ["CLIENT#key"], "I11");
    assert_eq!(tenants.len(), 6, "job, key, collect, shard, part, dataset: {tenants:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_step_writes_what_is_to_be_collected() {
    let (stores, tenant) = (Stores::start().await, fixtures::tenant());
    let jobs = stores.jobs();
    let job = fixtures::job(&tenant, 1);
    jobs.create(&job, None, NOW).await.unwrap();
    let failing = job.fail(Vec::new(), NOW).unwrap();
    jobs.swap(&failing).await.unwrap();
    let collects = || stores.items().into_iter().filter(|i| i["PK"]["S"] == format!("{tenant}#COLLECT")).collect();
    let before: Vec<Value> = collects();
    assert_eq!(before, Vec::<Value>::new());
    let failed = failing.end_fail(NOW).unwrap();
    let stale = Job { version: failed.version + 3, ..failed.clone() };
    assert_eq!(jobs.swap(&stale).await.unwrap(), Swap::Moved);
    assert_eq!(collects(), Vec::<Value>::new(), "both or neither");
    jobs.swap(&failed).await.unwrap();
    jobs.delete(&failed).await.unwrap();
    let collects: Vec<Value> = collects();
    assert_eq!(collects.len(), 1);
    assert_eq!(collects[0]["SK"]["S"], job.id.padded());
    assert_eq!(serde_json::from_str::<Job>(collects[0]["doc"]["S"].as_str().unwrap()).unwrap(), failed);
    assert_eq!(collects[0]["nextActionAt"]["N"], failed.update_time.0.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_the_status_index_shows_too_long_is_dropped_and_the_page_fills_on() {
    let (stores, tenant) = (Stores::start().await, fixtures::tenant());
    let jobs = stores.jobs();
    for n in 1..=5 {
        jobs.create(&fixtures::job(&tenant, n), None, NOW).await.unwrap();
    }
    // The records of 5 and 3 have moved on; the index does not know yet.
    for n in [5, 3] {
        let job = fixtures::job(&tenant, n);
        let mut item = items_of(&stores, &format!("JOB#{}", job.id.padded())).remove(0);
        let moved = job.fail(Vec::new(), NOW).unwrap();
        item["doc"] = json!({ "S": serde_json::to_string(&moved).unwrap() });
        stores.put(&item);
    }
    let request = |after, limit| PageRequest { status: Some(ShownStatus::New), after, limit };
    let page = jobs.page(&tenant, &request(None, 2)).await.unwrap();
    let ids: Vec<_> = page.records.iter().map(|r| r.job.id).collect();
    assert_eq!((ids, page.more), (vec![fixtures::job_id(4), fixtures::job_id(2)], true));
    let page = jobs.page(&tenant, &request(Some(fixtures::job_id(2)), 1)).await.unwrap();
    assert_eq!((page.records[0].job.id, page.more), (fixtures::job_id(1), false));
}

#[tokio::test(flavor = "multi_thread")]
async fn finished_work_leaves_the_due_index_and_keys_are_cleaned_by_time() {
    let (stores, tenant) = (Stores::start().await, fixtures::tenant());
    let jobs = stores.jobs();
    let job = fixtures::job(&tenant, 1);
    let key = IdempotencyKey { key: "k".into(), body_hash: "h".into(), expires: NOW };
    jobs.create(&job, Some(&key), NOW).await.unwrap();
    jobs.create_shards(&job, &[1]).await.unwrap();
    jobs.create_parts(&job, 1, &[5], NOW).await.unwrap();
    let part = PartRef { tenant: tenant.clone(), job: job.id, shard: 0, part: 0 };
    jobs.claim(&part, "a", NOW, NOW.plus_seconds(9)).await.unwrap();
    let done = PartDone { attempt: 1, owner: "a".into(), weight: 5, output: "o".into(), counts: fixtures::counts(2) };
    jobs.finish(&part, &done).await.unwrap();

    let part = items_of(&stores, "PART#").remove(0);
    assert_eq!((&part["duePartition"], &part["nextActionAt"]), (&Value::Null, &Value::Null));
    assert_eq!((&part["SK"]["S"], &part["state"]["S"]), (&json!("PART#000000"), &json!("DONE")));
    let shard = items_of(&stores, "SHARD").remove(0);
    assert_eq!((&shard["done"]["N"], &shard["ns#email"]["N"]), (&json!("1"), &json!("2")));
    assert_eq!(shard["PK"]["S"], format!("{tenant}#{}#0", job.id));
    let idempotency = items_of(&stores, "k").remove(0);
    assert_eq!(idempotency["expiresAt"]["N"], (NOW.0 / 1_000 + 1).to_string(), "in seconds, not before it expires");
}
