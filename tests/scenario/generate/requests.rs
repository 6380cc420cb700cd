//! Requests, all of them valid.

use super::{fields, one_of, time};
use crate::rules::with;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

/// Paths that both profile tables have, and those of one of them.
const PATHS: [&str; 19] = [
    "profileId",
    "ingestTime",
    "identityMap",
    "identities",
    "identities.id",
    "identityMap.A",
    "identityMap.a.id",
    "identityMap.*.primary",
    "identityMap.B.authenticatedState",
    "segmentMembership",
    "segmentMembership.ups",
    "segmentMembership.UPS.s",
    "segmentMembership.*.t.status",
    "segmentMembership.*.*.status",
    "segmentMembership.ups.*.status",
    "x",
    "n",
    "s",
    "s.y",
];
const PATHS_A: [&str; 6] = ["l", "m", "m.k", "m.*", "s.z", "m.nobody"];
const PATHS_B: [&str; 4] = ["o", "o.q", "o.r", "s.w"];
/// Paths of the event table that is always there.
const EVENT_PATHS: [&str; 9] =
    ["profileId", "ingestTime", "timestamp", "eventType", "web", "web.page", "identityMap.A", "identityMap.*.id", "n"];

/// A request. `ordered_a`: whether dataset `a` takes part in the policies with an order; without `merging` there is only
/// that dataset, and no events.
pub(super) fn request(ordered_a: bool, merging: bool) -> BoxedStrategy<Value> {
    let policies = ["none", "pdg", "pdg", "ordered", "none-ordered", ""];
    let policies = if merging { policies.to_vec() } else { vec!["pdg", "none"] };
    let segments = prop_oneof![1 => Just(Vec::new()), 2 => prop::collection::vec(segment(), 1..4)];
    let list = if merging { maybe(event_list()) } else { Just(Value::Null).boxed() };
    let empty = if merging {
        one_of(&[json!(null), json!(true), json!(true), json!(false)])
    } else {
        Just(Value::Null).boxed()
    };
    (select(policies), segments, any::<bool>(), list, empty, maybe(window()), maybe(time()))
        .prop_flat_map(move |(policy, segments, per_batch, list, empty, window, from)| {
            let per_batch = per_batch && !segments.is_empty();
            let mut request = json!({
                "destination": {"datasetId": "exports", "segmentPerBatch": per_batch},
                "schema": {"name": "_xdm.context.profile"},
            });
            let mut filter = json!({});
            let given = [("segmentQualificationTime", window), ("fromIngestTimestamp", from), ("emptyProfiles", empty)];
            for (name, value) in given.into_iter().filter(|(_, v)| !v.is_null()) {
                filter[name] = value;
            }
            if !segments.is_empty() {
                filter["segments"] = json!(segments);
            }
            if filter != json!({}) {
                request["filter"] = filter;
            }
            if !policy.is_empty() {
                request["mergePolicy"] = json!({"id": policy});
            }
            if !list.is_null() {
                request["additionalFields"] = json!({"eventList": list});
            }
            let takes_a = ordered_a || !policy.contains("ordered");
            paths(takes_a, merging).prop_map(move |fields| match &fields {
                Value::Null => request.clone(),
                named => with(request.clone(), json!({"fields": named})),
            })
        })
        .boxed()
}

/// Null half of the time.
fn maybe(strategy: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    prop_oneof![Just(Value::Null), strategy].boxed()
}

fn paths(takes_a: bool, takes_b: bool) -> BoxedStrategy<Value> {
    let mut paths = PATHS.to_vec();
    paths.extend(if takes_a { &PATHS_A[..] } else { &[] });
    paths.extend(if takes_b { &PATHS_B[..] } else { &[] });
    maybe(some_of(&paths))
}

/// One to three of these, comma-separated.
fn some_of(paths: &[&'static str]) -> BoxedStrategy<Value> {
    subsequence(paths.to_vec(), 1..4).prop_shuffle().prop_map(|paths| json!(paths.join(","))).boxed()
}

fn segment() -> BoxedStrategy<Value> {
    let ids = one_of(&[json!("s"), json!("s"), json!("t"), json!("S")]);
    let namespaces = one_of(&[json!(null), json!("ups"), json!("Ups"), json!("CRM")]);
    let statuses = subsequence(vec!["realized", "existing", "exited"], 0..3).prop_map(|s| json!(s)).boxed();
    fields(vec![("segmentId", ids), ("segmentNs", namespaces), ("status", maybe(statuses))])
}

/// A window of membership.
fn window() -> BoxedStrategy<Value> {
    ends("startTime", "endTime")
}

/// Ends of a window, in their order, each optional.
fn ends(start: &'static str, end: &'static str) -> BoxedStrategy<Value> {
    let ordered = |ends: (Value, Value)| match ends {
        (Value::String(a), Value::String(b)) => {
            // The three times are of one form each: the one with a fraction is the last.
            let later = |text: &str| (text.contains('.'), text.to_owned());
            let (a, b) = if later(&a) > later(&b) { (b, a) } else { (a, b) };
            (json!(a), json!(b))
        }
        other => other,
    };
    let window = (maybe(time()), maybe(time())).prop_map(ordered).prop_map(move |(a, b)| {
        let given = [(start, a), (end, b)].into_iter().filter(|(_, v)| !v.is_null());
        Value::Object(given.map(|(name, v)| (name.to_owned(), v)).collect())
    });
    window.boxed()
}

fn event_list() -> BoxedStrategy<Value> {
    let filter = maybe(ends("fromIngestTimestamp", "toIngestTimestamp"));
    fields(vec![("fields", maybe(some_of(&EVENT_PATHS))), ("filter", filter)])
}
