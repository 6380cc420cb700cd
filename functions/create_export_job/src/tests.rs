//! The route as clients see it, from the gateway's event to its reply.

mod datasets;
mod keys;
mod load;
mod rules;

use super::*;
use domain::ports::jobs::MoveJobs;
use domain::registry::Registry;
use domain::state::State;
use domain::tenant::Tenant;
use edge::http::{Operation, respond};
use serde_json::{Value, json};
use testkit::{Fault, ManualClock, MemoryJobs, MemoryQueue, MemoryRegistry, SeededRandom, fixtures};

const EVENT: &str = include_str!("../../../infra/events/create_export_job.json");

/// The tenant of the sample event.
fn tenant() -> Tenant {
    Tenant::new("1BD6382559DF0C130A49422D@AdobeOrg", "prod").unwrap()
}

/// The smallest sound request.
fn smallest() -> Value {
    json!({ "destination": { "datasetId": "exports" }, "schema": { "name": "_xdm.context.profile" } })
}

/// A stack in memory, with the sample registry.
struct World {
    jobs: MemoryJobs,
    registry: MemoryRegistry,
    queue: MemoryQueue,
    clock: ManualClock,
    random: SeededRandom,
    settings: Settings,
}

impl World {
    fn new() -> Self {
        Self::with(fixtures::registry())
    }

    fn with(registry: Registry) -> Self {
        Self {
            jobs: MemoryJobs::default(),
            registry: MemoryRegistry::with(&tenant(), registry),
            queue: MemoryQueue::default(),
            clock: ManualClock::at(fixtures::NOW),
            random: SeededRandom::new(1),
            settings: Settings { max_running_jobs: 1_000 },
        }
    }

    async fn post(&self, body: &Value) -> Value {
        self.send(&body.to_string(), &[]).await
    }

    /// A POST of that text with further headers.
    async fn send(&self, body: &str, headers: &[(&str, &str)]) -> Value {
        let mut event: Value = serde_json::from_str(EVENT).unwrap();
        event["body"] = json!(body);
        for (name, value) in headers {
            event["headers"][*name] = json!(value);
        }
        let World { jobs, registry, queue, clock, random, settings } = self;
        let handler = |request| handle(jobs, registry, queue, clock, random, settings, request);
        let mut reply = respond(Operation::Create, event, &self.random, &handler).await;
        reply["body"] = serde_json::from_str(reply["body"].as_str().unwrap()).unwrap();
        reply
    }

    /// The record behind a reply.
    async fn record(&self, reply: &Value) -> Option<JobRecord> {
        self.jobs.job(&tenant(), id_of(reply)).await.unwrap()
    }
}

fn status(reply: &Value) -> u64 {
    reply["statusCode"].as_u64().unwrap()
}

fn id_of(reply: &Value) -> JobId {
    JobId::parse(&reply["body"]["id"].to_string()).unwrap()
}

#[tokio::test]
async fn the_smallest_request_makes_a_job() {
    let world = World::new();
    insta::assert_json_snapshot!(world.post(&smallest()).await);
}

#[tokio::test]
async fn a_job_shows_again_what_was_sent_and_resolves_its_policy() {
    let world = World::new();
    let body = json!({
        "fields": " identityMap, person.name ",
        "schema": { "name": "_xdm.context.profile", "note": 1 },
        "unknown": { "is": "ignored" },
        "mergePolicy": { "id": "by-time" },
        "filter": {
            "segments": [
                { "segmentId": "gold" },
                { "segmentId": "silver", "segmentNs": "UPS", "status": ["existing", "exited"] },
            ],
            "segmentQualificationTime": { "startTime": "2018-01-01T00:00:00+02:00" },
            "emptyProfiles": false,
        },
        "destination": { "dataSetId": " exports ", "segmentPerBatch": false },
        "evaluationInfo": { "segmentation": false },
        "additionalFields": {},
    });
    let headers = [("x-profile-instance-id", "mine"), ("x-request-id", "request-7")];
    insta::assert_json_snapshot!(world.send(&body.to_string(), &headers).await);
}

#[tokio::test]
async fn a_job_with_a_batch_for_each_segment_shows_them_in_the_order_of_the_request() {
    let mut body = smallest();
    body["destination"]["segmentPerBatch"] = json!(true);
    body["filter"]["segments"] = json!([
        { "segmentId": "silver", "segmentNs": "Mine", "status": ["exited", "existing"] },
        { "segmentId": "gold" },
        { "segmentId": "gold", "status": [] },
    ]);
    let reply = World::new().post(&body).await;
    insta::assert_json_snapshot!(reply["body"]["destination"]);
}

#[tokio::test]
async fn batches_of_another_job_are_not_shown_again() {
    let (mut one, mut each) = (smallest(), smallest());
    each["destination"]["segmentPerBatch"] = json!(true);
    each["filter"]["segments"] = json!([{ "segmentId": "gold" }]);
    for body in [&mut one, &mut each] {
        body["destination"]["batchId"] = json!("another");
        body["destination"]["batches"] = json!([{ "batchId": "another" }]);
    }
    let world = World::new();
    let shown = world.post(&one).await["body"]["destination"].clone();
    assert!(shown["batchId"] != "another" && shown.get("batches").is_none(), "{shown}");
    let shown = world.post(&each).await["body"]["destination"].clone();
    assert!(shown.get("batchId").is_none() && shown["batches"][0]["segmentId"] == "gold", "{shown}");
}

#[tokio::test]
async fn a_property_that_is_null_is_not_shown_again() {
    let mut body = smallest();
    let names = ["fields", "filter", "additionalFields", "evaluationInfo"];
    names.iter().for_each(|name| body[*name] = Value::Null);
    let reply = World::new().post(&body).await;
    assert_eq!(status(&reply), 200);
    for name in names {
        assert_eq!(reply["body"].get(name), None, "{name}");
    }
}

#[tokio::test]
async fn a_job_is_stored_as_shown_due_at_once_and_sent_on_its_way() {
    let world = World::new();
    let reply = world.post(&smallest()).await;
    let record = world.record(&reply).await.unwrap();
    assert_eq!(render(&record), reply["body"]);
    assert_eq!((record.job.state, record.job.due), (State::New, Some(fixtures::NOW)));
    assert_eq!(reply["headers"]["X-Location"], format!("/export/jobs/{}", record.job.id));
    assert_eq!(reply["body"]["creationTime"], fixtures::NOW.0);
    assert_eq!(world.queue.take(), [Message::new(&tenant(), record.job.id, Task::Plan)]);
}

#[tokio::test]
async fn the_tenant_is_the_callers_whatever_the_body_says() {
    let world = World::new();
    let mut body = smallest();
    body["imsOrgId"] = json!("OTHER@AdobeOrg");
    body["sandbox"] = json!("dev");
    let reply = world.send(&body.to_string(), &[("x-gw-ims-org-id", "OTHER@AdobeOrg")]).await;
    assert_eq!(reply["body"]["imsOrgId"], tenant().organization());
    assert!(world.record(&reply).await.is_some());
}

#[tokio::test]
async fn what_another_tenant_registered_is_not_registered() {
    let world = World { registry: MemoryRegistry::with(&fixtures::tenant(), fixtures::registry()), ..World::new() };
    assert_eq!(status(&world.post(&smallest()).await), 400);
}

#[tokio::test]
async fn a_message_that_is_not_sent_is_left_to_the_sweeper() {
    let world = World::new();
    world.queue.fail_next("send", Fault::BeforeEffect);
    let reply = world.post(&smallest()).await;
    assert_eq!(status(&reply), 200);
    assert!(world.record(&reply).await.is_some_and(|record| record.job.due.is_some()));
}

#[tokio::test]
async fn a_taken_id_is_drawn_again() {
    let taken = id_of(&World::new().post(&smallest()).await);
    let world = World::new();
    let other = Job { id: taken, ..fixtures::job(&tenant(), 1) };
    world.jobs.create(&other, None, fixtures::NOW).await.unwrap();
    let reply = world.post(&smallest()).await;
    assert_eq!(status(&reply), 200);
    assert_ne!(id_of(&reply), taken, "the same draws meet another request's job");
    assert_eq!(id_of(&reply).creation_time(), taken.creation_time());
}

/// Draws the same bits every time.
struct SameBits;

impl Random for SameBits {
    fn bits(&self) -> u128 {
        7
    }
}

#[tokio::test]
async fn a_millisecond_without_a_free_id_is_a_503_and_not_another_requests_job() {
    let world = World::new();
    let taken = Job { id: JobId::new(fixtures::NOW, 7), ..fixtures::job(&tenant(), 1) };
    world.jobs.create(&taken, None, fixtures::NOW).await.unwrap();
    let World { jobs, registry, queue, clock, settings, .. } = &world;
    let handler = |request| handle(jobs, registry, queue, clock, &SameBits, settings, request);
    let mut event: Value = serde_json::from_str(EVENT).unwrap();
    event["body"] = json!(smallest().to_string());
    let reply = respond(Operation::Create, event, &SameBits, &handler).await;
    assert_eq!(status(&reply), 503);
    assert_eq!(world.queue.take(), []);
}

#[tokio::test]
async fn stores_out_of_reach_are_a_503() {
    let world = World::new();
    world.registry.fail_next("registry", Fault::BeforeEffect);
    assert_eq!(status(&world.post(&smallest()).await), 503);
    world.jobs.fail_next("create", Fault::BeforeEffect);
    insta::assert_json_snapshot!(world.post(&smallest()).await);
}

#[tokio::test]
async fn a_body_that_is_no_json_is_told_by_its_position() {
    let world = World::new();
    insta::assert_json_snapshot!(world.send("{\n  \"schema\": {,}\n}", &[]).await);
    for body in ["", "{", "nul", "{}{}", "{'a': 1}", &"[".repeat(10_000), "\u{feff}{}", "{\"a\": 1e999}"] {
        let reply = world.send(body, &[]).await;
        assert_eq!(reply["body"]["errors"]["400"][0]["code"], "UPAPI-113010-400", "{body}");
    }
}

#[tokio::test]
async fn a_header_that_cannot_be_understood_is_named() {
    let world = World::new();
    let body = smallest().to_string();
    let headers = [("idempotency-key", "two words"), ("x-profile-instance-id", "ünknown")];
    insta::assert_json_snapshot!(world.send(&body, &headers).await);
    let (longest, too_long) = ("i".repeat(128), "i".repeat(129));
    assert_eq!(status(&world.send(&body, &[("x-profile-instance-id", &longest)]).await), 200);
    assert_eq!(status(&world.send(&body, &[("x-profile-instance-id", &too_long)]).await), 400);
    assert_eq!(world.send(&body, &[("x-profile-instance-id", "")]).await["body"]["profileInstanceId"], "ups");
}

#[tokio::test]
async fn a_job_that_the_store_could_not_hold_is_refused() {
    let world = World::new();
    let mut body = smallest();
    body["additionalFields"] = json!({ "note": "x".repeat(200_000) });
    assert_eq!(status(&world.post(&body).await), 200);
    // Control characters take six bytes each, in the body and in the record.
    body["additionalFields"] = json!({ "note": "\u{1}".repeat(42_000) });
    assert_eq!(status(&world.post(&body).await), 200);
    let paths: Vec<_> = (0..1_000).map(|n| format!("segmentMembership.{n:0>220}")).collect();
    body["additionalFields"] = json!({});
    body["fields"] = json!(paths.join(","));
    let reply = world.post(&body).await;
    assert_eq!(reply["body"]["errors"]["400"][0]["code"], "UPAPI-113018-400");
}
