//! The rules one by one, each with rows and with what must come of them, both written by hand.

mod batches;
mod damage;
mod deletes;
mod distinct;
mod empty;
mod events;
mod evolution;
mod fields;
mod filtering;
mod foreign;
mod grouping;
mod halves;
mod identities;
mod limits;
mod memberships;
mod merging;
mod page;
mod rank;
mod refusals;
mod union;

use crate::oracle::{self, Outcome};
use crate::store::Store;
use crate::world::World;
use serde_json::{Map, Value, json};

/// Midnight of a day of January 2018.
pub fn day(n: u32) -> Value {
    json!(format!("2018-01-{n:02}T00:00:00.000000Z"))
}

/// A store of these datasets in two buckets, with a policy of every kind: `pdg` and `none` by time, `ordered` and
/// `none-ordered` by the datasets `b` and `a` in this order.
pub fn store(datasets: Value) -> Store {
    let time = json!({"type": "timestampOrdered"});
    let order = json!({"type": "dataSetPrecedence", "order": ["b", "a"]});
    let policy = |id: &str, graph: &str, merge: &Value| json!({"id": id, "version": 1, "identityGraph": graph, "attributeMerge": merge});
    Store::read(json!({
        "buckets": 2,
        "datasets": datasets,
        "policies": [policy("pdg", "pdg", &time), policy("none", "none", &time), policy("ordered", "pdg", &order),
            policy("none-ordered", "none", &order)],
    }))
}

/// A profile dataset with our columns and more, of these files of rows, each committed by itself.
pub fn profiles(more: Value, files: Value) -> Value {
    let ours = json!({
        "profileId": "string",
        "ingestTime": "timestamptz",
        "identityMap": {"*": [{"id": "string", "authenticatedState": "string", "primary": "boolean"}]},
        "segmentMembership": {"*": {"*": {"lastQualificationTime": "timestamptz", "status": "string"}}},
    });
    dataset("profile", ours, more, files)
}

/// An event dataset with our columns and more, of these files of rows.
pub fn events(more: Value, files: Value) -> Value {
    let ours = json!({
        "profileId": "string",
        "ingestTime": "timestamptz",
        "identityMap": {"*": [{"id": "string", "authenticatedState": "string", "primary": "boolean"}]},
        "timestamp": "timestamptz",
        "eventType": "string",
    });
    dataset("event", ours, more, files)
}

fn dataset(kind: &str, ours: Value, more: Value, files: Value) -> Value {
    let columns = with(ours, more);
    let files = files.as_array().unwrap().iter().enumerate();
    let commits = files.map(|(n, rows)| json!({"append": [{"file": format!("f{n}"), "rows": rows}]}));
    json!({"kind": kind, "columns": columns, "commits": commits.collect::<Value>()})
}

/// An object with more fields, or other ones.
pub fn with(mut object: Value, more: Value) -> Value {
    object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    object
}

/// An export of everything under the policy `pdg`, with these properties more.
pub fn request(more: Value) -> Value {
    with(
        json!({
            "destination": {"datasetId": "exports"},
            "schema": {"name": "_xdm.context.profile"},
            "mergePolicy": {"id": "pdg"},
        }),
        more,
    )
}

/// The export's one batch holds exactly these rows.
pub fn exports(store: &Store, request: &Value, rows: Value) {
    shows(store, request, json!({"batches": [rows]}));
}

/// The export shows this: `batches`, `rows`, `byNamespace`, `tooManyIdentities`, `emptyProfiles`; in all else the engine
/// and the oracle agree.
pub fn shows(store: &Store, request: &Value, expected: Value) {
    let by_rules = oracle::export(store, request);
    let all = shown(&by_rules);
    for (name, expected) in expected.as_object().unwrap() {
        assert_eq!(all[name], sorted(expected), "the oracle is wrong about {name}");
    }
    agrees(store, std::slice::from_ref(request), &[by_rules]);
}

/// The engine agrees with the oracle on these requests, one after the other.
pub fn agrees(store: &Store, requests: &[Value], by_rules: &[Outcome]) {
    if std::env::var_os("SCENARIO_ORACLE_ONLY").is_some() {
        return;
    }
    in_world(store, async |world| {
        for (request, by_rules) in requests.iter().zip(by_rules) {
            let exported = world.export(request).await;
            assert_eq!(
                format!("{:#}", shown(&exported)),
                format!("{:#}", shown(by_rules)),
                "by the engine, by the rules"
            );
        }
    });
}

/// Runs a test on a store's sandbox.
pub fn in_world(store: &Store, test: impl AsyncFnOnce(&World)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { test(&World::new(store).await).await });
}

/// An outcome as tests write it.
pub fn shown(outcome: &Outcome) -> Value {
    sorted(&json!({
        "batches": outcome.batches,
        "rows": outcome.rows,
        "byNamespace": outcome.by_namespace,
        "tooManyIdentities": outcome.too_many_identities,
        "emptyProfiles": outcome.empty_profiles,
    }))
}

/// The same with every object's fields by name, and the rows of batches in their order.
fn sorted(value: &Value) -> Value {
    fn by_name(value: &Value) -> Value {
        match value {
            Value::Object(object) => {
                let mut fields: Vec<_> = object.iter().map(|(k, v)| (k.clone(), by_name(v))).collect();
                fields.sort_by(|a, b| a.0.cmp(&b.0));
                Value::Object(fields.into_iter().collect::<Map<_, _>>())
            }
            Value::Array(items) => items.iter().map(by_name).collect(),
            other => other.clone(),
        }
    }
    let mut value = by_name(value);
    let batches = if value.is_array() { Some(&mut value) } else { value.get_mut("batches") };
    for batch in batches.and_then(Value::as_array_mut).into_iter().flatten() {
        if let Value::Array(rows) = batch {
            oracle::sort(rows);
        }
    }
    value
}
