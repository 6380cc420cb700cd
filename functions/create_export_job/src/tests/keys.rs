//! Idempotency keys.

use super::*;
use domain::ports::jobs::IdempotencyKey;
use std::sync::Arc;
use testkit::{Calls, Weather};

async fn keyed(world: &World, key: &str, body: &Value) -> Value {
    world.send(&body.to_string(), &[("idempotency-key", key)]).await
}

fn code(reply: &Value) -> &str {
    reply["body"]["type"].as_str().and_then(|text| text.rsplit('/').next()).unwrap()
}

#[tokio::test]
async fn the_same_key_and_body_give_the_first_job_again() {
    let world = World::new();
    let first = keyed(&world, "k", &smallest()).await;
    world.queue.take();
    world.clock.advance_seconds(24 * 60 * 60 - 1);
    let again = keyed(&world, "k", &smallest()).await;
    assert_eq!(again, first);
    assert_eq!(world.queue.take(), [], "the first request has sent it on its way");
}

#[tokio::test]
async fn a_repetition_shows_the_job_as_it_stands() {
    let world = World::new();
    let first = keyed(&world, "k", &smallest()).await;
    let job = world.record(&first).await.unwrap().job;
    world.jobs.swap(&job.fail(Vec::new(), fixtures::NOW).unwrap()).await.unwrap();
    let again = keyed(&world, "k", &smallest()).await;
    assert_eq!((status(&again), &again["body"]["status"]), (200, &json!("PROCESSING")));
    assert_eq!(again["headers"]["X-Location"], first["headers"]["X-Location"]);
}

#[tokio::test]
async fn the_same_key_with_another_body_is_a_422() {
    let world = World::new();
    keyed(&world, "k", &smallest()).await;
    let mut other = smallest();
    other["fields"] = json!("");
    let reply = keyed(&world, "k", &other).await;
    insta::assert_json_snapshot!(reply);
    let spaced = world.send(&format!("{} ", smallest()), &[("idempotency-key", "k")]).await;
    assert_eq!(code(&spaced), "UPAPI-113030-422", "a body is compared byte by byte");
}

#[tokio::test]
async fn other_keys_and_no_keys_make_other_jobs() {
    let world = World::new();
    let ids = [
        id_of(&keyed(&world, "k", &smallest()).await),
        id_of(&keyed(&world, "K", &smallest()).await),
        id_of(&world.post(&smallest()).await),
        id_of(&world.post(&smallest()).await),
    ];
    assert!((1..ids.len()).all(|i| !ids[..i].contains(&ids[i])));
}

#[tokio::test]
async fn a_key_is_forgotten_after_a_day() {
    let world = World::new();
    let first = keyed(&world, "k", &smallest()).await;
    world.clock.advance_seconds(24 * 60 * 60 + 1);
    let mut other = smallest();
    other["fields"] = json!("");
    let second = keyed(&world, "k", &other).await;
    assert_eq!(status(&second), 200);
    assert_ne!(id_of(&first), id_of(&second));
}

/// Weather in which reading the registry takes a day.
struct Slow(ManualClock);

impl Weather for Slow {
    fn strike(&self, call: &str) -> Option<Fault> {
        if call == "registry" {
            self.0.advance_seconds(24 * 60 * 60 + 1);
        }
        None
    }

    fn lags(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn regression_a_keys_day_begins_when_its_job_is_made() {
    let mut world = World::new();
    world.registry = world.registry.under(Arc::new(Slow(world.clock.clone())));
    let first = keyed(&world, "k", &smallest()).await;
    assert_eq!(id_of(&keyed(&world, "k", &smallest()).await), id_of(&first));
}

#[tokio::test]
async fn the_key_of_a_deleted_job_says_so() {
    let world = World::new();
    let first = keyed(&world, "k", &smallest()).await;
    let failing = world.record(&first).await.unwrap().job.fail(Vec::new(), fixtures::NOW).unwrap();
    let failed = failing.end_fail(fixtures::NOW).unwrap();
    for job in [&failing, &failed] {
        world.jobs.swap(job).await.unwrap();
    }
    world.jobs.delete(&failed).await.unwrap();
    insta::assert_json_snapshot!(keyed(&world, "k", &smallest()).await);
}

#[tokio::test]
async fn a_lost_answer_is_repeated_with_the_same_key() {
    let world = World::new();
    world.jobs.fail_next("create", Fault::AfterEffect);
    assert_eq!(status(&keyed(&world, "k", &smallest()).await), 503);
    let again = keyed(&world, "k", &smallest()).await;
    assert_eq!(status(&again), 200);
    assert_eq!(id_of(&again), id_of(&keyed(&world, "k", &smallest()).await));
}

#[tokio::test]
async fn a_refused_request_leaves_its_key_free() {
    let world = World::new();
    assert_eq!(status(&keyed(&world, "k", &json!({})).await), 400);
    assert_eq!(status(&keyed(&world, "k", &smallest()).await), 200);
}

#[tokio::test]
async fn a_key_has_1_to_255_visible_characters() {
    let world = World::new();
    let (longest, too_long) = ("k".repeat(255), "k".repeat(256));
    for sound in ["k", "8e03978e-40d5-43dd-bc93-6894a57f9324", "\"quoted\"", "!~", &longest] {
        assert_eq!(status(&keyed(&world, sound, &smallest()).await), 200, "{sound}");
    }
    for unsound in ["", " ", "a b", "ä", "a\u{7f}", "a\tb", &too_long] {
        assert_eq!(code(&keyed(&world, unsound, &smallest()).await), "UPAPI-113021-400", "{unsound}");
    }
}

#[tokio::test]
async fn a_repetition_gives_the_first_job_even_where_the_registry_has_come_to_refuse_it() {
    let mut world = World::new();
    let first = keyed(&world, "k", &smallest()).await;
    world.registry = MemoryRegistry::with(&tenant(), Registry::default());
    assert_eq!(keyed(&world, "k", &smallest()).await, first);
    assert_eq!(status(&keyed(&world, "new", &smallest()).await), 400);
}

/// What a keyed request is answered and what it calls for that, in a store in which a tenant has used the key, or nobody.
async fn used_by(tenant: Option<Tenant>) -> (Value, Vec<String>) {
    let calls = Arc::new(Calls::default());
    let jobs = MemoryJobs::under(calls.clone());
    if let Some(tenant) = tenant {
        let (key, body_hash) = ("k".to_owned(), "another body".to_owned());
        let used = IdempotencyKey { key, body_hash, expires: fixtures::NOW.plus_seconds(60) };
        jobs.create(&fixtures::job(&tenant, 1), Some(&used), fixtures::NOW).await.unwrap();
    }
    calls.take();
    let world = World { jobs, ..World::new() };
    (keyed(&world, "k", &smallest()).await, calls.take())
}

#[tokio::test]
async fn a_key_that_a_neighbour_uses_costs_what_a_fresh_one_costs() {
    let fresh = used_by(None).await;
    assert_eq!(used_by(Some(fixtures::tenant())).await, fresh);
    assert_ne!(used_by(Some(tenant())).await, fresh, "one's own is noticed");
}
