//! Small stores and requests out of a tiny alphabet, so that profiles, times and identities meet all the time.

mod history;
mod requests;
mod rows;

use crate::store::Store;
use proptest::prelude::*;
use proptest::sample::select;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::fmt;

/// A store and the requests that are made of it, one after the other. Prints as the JSON that a regression test takes.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// The sandbox.
    pub store: Store,
    /// The requests.
    pub requests: Vec<Value>,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", json!(self))
    }
}

/// Requests of one store.
pub const REQUESTS: usize = 4;

/// Two bucketed profile datasets and one or two event datasets.
pub fn merged() -> impl Strategy<Value = Case> {
    let datasets = (
        history::dataset("a", rows::Table::ProfileA),
        history::dataset("b", rows::Table::ProfileB),
        history::dataset("e", rows::Table::EventE),
        prop::option::of(history::dataset("f", rows::Table::EventF)),
    );
    let orders = [json!(["b", "a"]), json!(["a", "b"]), json!(["b"])];
    let index_bytes = select(vec![None, None, Some(1), Some(400)]);
    let shape = (1..4u32, any::<bool>(), select(orders.to_vec()), index_bytes);
    (datasets, shape).prop_flat_map(|((a, b, e, f), (buckets, old_exports, order, index_bytes))| {
        let mut datasets = vec![("a".to_owned(), a), ("b".to_owned(), b), ("e".to_owned(), e)];
        datasets.extend(f.map(|f| ("f".to_owned(), f)));
        let store = Store {
            buckets: Some(buckets),
            datasets: datasets.into_iter().collect(),
            policies: policies(&order),
            old_exports,
            index_bytes,
            ..Store::default()
        };
        let takes_a = order.as_array().unwrap().contains(&json!("a"));
        let requests = prop::collection::vec(requests::request(takes_a, true), 1..=REQUESTS);
        requests.prop_map(move |requests| Case { store: store.clone(), requests })
    })
}

/// One dataset of unique profiles without buckets, cut into parts.
pub fn unique() -> impl Strategy<Value = Case> {
    let requests = prop::collection::vec(requests::request(true, false), 1..=REQUESTS);
    let shape = (select(vec![None, Some(1), Some(2_000)]), any::<bool>());
    (history::dataset("a", rows::Table::ProfileA), requests, shape).prop_map(|(mut a, requests, shape)| {
        a.unique = true;
        let rows = a.commits.iter_mut().flat_map(|c| &mut c.append).flat_map(|f| &mut f.rows);
        let name = a.names.get("profileId").map_or("profileId", String::as_str);
        for (n, row) in rows.enumerate() {
            row[name] = json!(format!("p{n}"));
        }
        let order = json!(["b", "a"]);
        let datasets = [("a".to_owned(), a)].into();
        let (part_bytes, hurried) = shape;
        let store = Store { datasets, policies: policies(&order), part_bytes, hurried, ..Store::default() };
        Case { store, requests }
    })
}

fn policies(order: &Value) -> Vec<Value> {
    let policy = |id: &str, graph: &str, merge: Value| json!({"id": id, "version": 1, "identityGraph": graph, "attributeMerge": merge});
    let ordered = json!({"type": "dataSetPrecedence", "order": order});
    vec![
        policy("pdg", "pdg", json!({"type": "timestampOrdered"})),
        policy("none", "none", json!({"type": "timestampOrdered"})),
        policy("ordered", "pdg", ordered.clone()),
        policy("none-ordered", "none", ordered),
    ]
}

/// One of these.
fn one_of(values: &[Value]) -> BoxedStrategy<Value> {
    select(values.to_vec()).boxed()
}

/// Null now and then.
fn or_null(strategy: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Value> {
    prop_oneof![1 => Just(Value::Null), 2 => strategy].boxed()
}

/// A struct of these fields; those that are null are left out.
fn fields(fields: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let (names, values): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
    let object = move |values: Vec<Value>| {
        let given = names.iter().zip(values).filter(|(_, value)| !value.is_null());
        Value::Object(given.map(|(name, value)| ((*name).to_owned(), value)).collect())
    };
    values.prop_map(object).boxed()
}

/// A map of some of these keys; null entries are kept.
fn map(keys: &[&'static str], value: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    let (keys, count) = (keys.to_vec(), keys.len());
    let entry = prop_oneof![3 => Just(None), 1 => Just(Some(Value::Null)), 3 => value.prop_map(Some)];
    let object = move |entries: Vec<Option<Value>>| {
        let given = keys.iter().zip(entries).filter_map(|(key, value)| Some(((*key).to_owned(), value?)));
        Value::Object(given.collect::<Map<_, _>>())
    };
    vec![entry.boxed(); count].prop_map(object).boxed()
}

/// A time of three days.
fn time() -> BoxedStrategy<Value> {
    let times = ["2018-01-01T00:00:00Z", "2018-01-02T00:00:00Z", "2018-01-02T00:00:00.000001Z"];
    one_of(&times.map(|t| json!(t)))
}
