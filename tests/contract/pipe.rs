//! The status events: what the template's pipe makes of the changes of the table's items, by the rules of EventBridge Pipes.

use crate::stores::Stores;
use admin::jobs;
use domain::job::{Job, JobRecord, Progress, render};
use domain::ports::jobs::{CreateJobs, IdempotencyKey, MoveJobs, PlanParts};
use domain::state::State;
use domain::tenant::Tenant;
use serde_json::{Value, json};
use testkit::fixtures::{self, NOW};

/// The pipe between the table's stream and the account's bus.
struct Pipe {
    patterns: Vec<Value>,
    input: String,
}

impl Pipe {
    /// As the template has it.
    fn real() -> Self {
        let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../infra/template.yaml")).unwrap();
        let template: serde_yaml_ng::Value = serde_yaml_ng::from_str(&text).unwrap();
        let pipe = &template["Resources"]["StatusEvents"]["Properties"];
        let filters = pipe["SourceParameters"]["FilterCriteria"]["Filters"].as_sequence().unwrap();
        let patterns = filters.iter().map(|filter| serde_json::from_str(filter["Pattern"].as_str().unwrap()).unwrap());
        let input = pipe["TargetParameters"]["InputTemplate"].as_str().unwrap().to_owned();
        Self { patterns: patterns.collect(), input }
    }

    /// The event of a change, if one of the patterns lets it through.
    fn event(&self, change: &Change) -> Option<Value> {
        let name = if change.old.is_null() { "INSERT" } else { "MODIFY" };
        let record = json!({ "eventName": name, "dynamodb": { "OldImage": change.old, "NewImage": change.new } });
        self.patterns.iter().any(|pattern| passes(pattern, &record)).then(|| self.filled(&record))
    }

    /// The target's input: every path in its place. All of them stand within quotes.
    fn filled(&self, record: &Value) -> Value {
        let mut parts = self.input.split("<$.");
        let mut text = parts.next().unwrap().to_owned();
        for part in parts {
            let (path, rest) = part.split_once('>').unwrap();
            let value = path.split('.').fold(record, |at, step| &at[step]);
            text += value.as_str().unwrap_or_else(|| panic!("nothing stands at {path}"));
            text += rest;
        }
        serde_json::from_str(&text).unwrap()
    }
}

/// Whether a value is as a pattern wants it.
fn passes(pattern: &Value, value: &Value) -> bool {
    match pattern {
        Value::Object(fields) => fields.iter().all(|(name, inner)| passes(inner, &value[name])),
        Value::Array(allowed) => allowed.iter().any(|one| match &one["anything-but"] {
            Value::Array(forbidden) => value.is_string() && !forbidden.contains(value),
            _ => one == value,
        }),
        _ => panic!("a pattern ends in lists: {pattern}"),
    }
}

/// A change of an item, and the event that it should make.
struct Change {
    old: Value,
    new: Value,
    event: Option<Value>,
}

/// What the adapter makes of a job's item at each step that a job may take, and of the items beside it.
async fn changes() -> Vec<Change> {
    let (stores, tenant) = (Stores::start().await, fixtures::tenant());
    let jobs = stores.jobs();
    let mut changes = Vec::new();
    let mut n = 0;
    for from in State::ALL.into_iter().filter(|state| !state.is_terminal()) {
        for to in State::ALL.into_iter().filter(|to| *to == from || from.may_become(*to)) {
            n += 1;
            let job = Job { state: from, ..fixtures::job(&tenant, n) };
            jobs.create(&job, None, NOW).await.unwrap();
            let old = item_of(&stores, &job);
            if from == State::New {
                changes.push(Change { old: Value::Null, new: old.clone(), event: Some(event(&job)) });
            }
            let next = Job { state: to, version: job.version + 1, ..job.clone() };
            jobs.swap(&next).await.unwrap();
            let event = (from.shown() != to.shown()).then(|| event(&next));
            changes.push(Change { old, new: item_of(&stores, &next), event });
        }
    }
    let job = fixtures::job(&tenant, n + 1);
    let key = IdempotencyKey { key: "k".into(), body_hash: "h".into(), expires: NOW.plus_seconds(60) };
    jobs.create(&job, Some(&key), NOW).await.unwrap();
    let old = item_of(&stores, &job);
    jobs.report(&tenant, job.id, Progress { rows: 5, ..Progress::default() }).await.unwrap();
    changes.push(Change { old, new: item_of(&stores, &job), event: None });
    jobs.create_shards(&job, &[1]).await.unwrap();
    jobs.create_parts(&job, 1, &[5], NOW).await.unwrap();
    let beside = stores.items().into_iter().filter(|item| !item["SK"]["S"].as_str().unwrap().starts_with("JOB#"));
    changes.extend(beside.map(|new| Change { old: Value::Null, new, event: None }));
    changes
}

fn item_of(stores: &Stores, job: &Job) -> Value {
    let mut items = stores.items().into_iter();
    items.find(|item| item["SK"]["S"] == format!("JOB#{}", job.id.padded())).unwrap()
}

/// The event of a job's status: as `admin job watch` prints it, with the tenant.
fn event(job: &Job) -> Value {
    let mut event = jobs::event(&render(&record(job)), job.state.shown());
    event["tenant"] = json!(Tenant::to_string(&job.tenant));
    event
}

fn record(job: &Job) -> JobRecord {
    JobRecord { job: job.clone(), progress: Progress::default() }
}

/// How many changes make another event than they should.
fn wrong(pipe: &Pipe, changes: &[Change]) -> usize {
    changes.iter().filter(|change| pipe.event(change) != change.event).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_status_that_a_job_comes_to_is_one_event_and_nothing_else_is_any() {
    let (pipe, changes) = (Pipe::real(), changes().await);
    for change in &changes {
        assert_eq!(pipe.event(change), change.event, "{} → {}", change.old["state"], change.new["state"]);
    }
    assert!(changes.iter().filter(|change| change.event.is_none()).count() > 8, "much else happens");
    for at in 0..pipe.patterns.len() {
        let mut fewer = Pipe::real();
        fewer.patterns.remove(at);
        assert!(wrong(&fewer, &changes) > 0, "nobody misses {}", pipe.patterns[at]);
    }
}
