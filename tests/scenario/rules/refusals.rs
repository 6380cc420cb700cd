//! What is refused at POST.

use super::*;
use domain::problem::{Code, Problem};

/// The problem that the request meets.
fn refused(store: &Store, request: &Value) -> Problem {
    let mut met = None;
    in_world(store, async |world| met = Some(world.post(request).await.unwrap_err()));
    met.unwrap()
}

/// The request is refused with one violation of that code, in which all of this is said.
fn refuses(store: &Store, request: &Value, code: Code, says: &[&str]) {
    let problem = refused(store, request);
    let [violation] = problem.violations.as_slice() else { panic!("{problem:#?}") };
    assert_eq!(violation.code, code, "{}", violation.message);
    for part in says {
        assert!(violation.message.contains(part), "{part} is not in: {}", violation.message);
    }
}

fn plain() -> Store {
    let row = json!([[{"profileId": "p", "ingestTime": day(1)}]]);
    store(json!({
        "a": profiles(json!({"x": "string"}), row.clone()),
        "b": profiles(json!({}), row),
        "e": events(json!({}), json!([])),
    }))
}

/// The store with one dataset in so many buckets.
fn bucketed(dataset: &str, buckets: Option<u32>) -> Store {
    let mut store = plain();
    for (id, other) in &mut store.datasets {
        other.buckets = if id == dataset { buckets } else { Some(2) };
    }
    store.buckets = None;
    store
}

fn listed() -> Value {
    request(json!({"additionalFields": {"eventList": {}}}))
}

#[test]
fn datasets_without_buckets_cannot_be_merged_and_are_named() {
    refuses(
        &bucketed("b", None),
        &request(json!({})),
        Code::DatasetUnfit,
        &["dataset b", "not bucketed", "bucket(N, profileId)"],
    );
    refuses(&bucketed("e", None), &listed(), Code::DatasetUnfit, &["eventList", "dataset e", "not bucketed"]);
    let empty = request(json!({"filter": {"emptyProfiles": true}}));
    refuses(&bucketed("e", None), &empty, Code::DatasetUnfit, &["emptyProfiles", "dataset e", "not bucketed"]);
    refuses(&bucketed("b", Some(3)), &request(json!({})), Code::DatasetUnfit, &["dataset b", "3 buckets", "2"]);
}

#[test]
fn a_dataset_without_buckets_that_takes_no_part_disturbs_nobody() {
    shows(&bucketed("e", None), &request(json!({})), json!({"rows": 1}));
    let mut store = bucketed("z", None);
    let c = profiles(json!({}), json!([]));
    store.datasets.insert("c".into(), serde_json::from_value(c).unwrap());
    shows(&store, &request(json!({"mergePolicy": {"id": "ordered"}})), json!({"rows": 1}));
    refuses(&store, &request(json!({})), Code::DatasetUnfit, &["dataset c"]);
}

#[test]
fn paths_that_no_profile_dataset_of_the_policy_has_are_named() {
    refuses(&plain(), &request(json!({"fields": "x.y,x"})), Code::UnknownPath, &["fields", "x.y"]);
    refuses(&plain(), &request(json!({"fields": "eventType"})), Code::UnknownPath, &["fields", "eventType"]);
    let mut store = plain();
    store.datasets.insert("c".into(), serde_json::from_value(profiles(json!({"only": "string"}), json!([]))).unwrap());
    shows(&store, &request(json!({"fields": "only"})), json!({"rows": 1}));
    let asked = request(json!({"fields": "only", "mergePolicy": {"id": "ordered"}}));
    refuses(&store, &asked, Code::UnknownPath, &["fields", "only"]);
}

#[test]
fn paths_go_by_our_names_of_columns_and_not_by_a_tables_own() {
    let mut a = profiles(json!({}), json!([[{"customer": "p", "ingestTime": day(1)}]]));
    a["columns"] = json!({"customer": "string", "ingestTime": "timestamptz"});
    a["names"] = json!({"profileId": "customer"});
    let store = store(json!({"a": a}));
    exports(&store, &request(json!({"fields": "profileId"})), json!([{"profileId": "p"}]));
    refuses(&store, &request(json!({"fields": "customer"})), Code::UnknownPath, &["fields", "customer"]);
}

#[test]
fn paths_that_no_event_dataset_has_are_named() {
    let asked = |fields: &str| request(json!({"additionalFields": {"eventList": {"fields": fields}}}));
    refuses(&plain(), &asked("eventType,x"), Code::UnknownPath, &["additionalFields.eventList.fields", "x"]);
    shows(&plain(), &asked("eventType"), json!({"rows": 1}));
}

#[test]
fn events_are_refused_where_there_is_no_event_dataset() {
    let mut store = plain();
    store.datasets.remove("e");
    refuses(&store, &listed(), Code::DatasetUnfit, &["additionalFields.eventList", "no event dataset"]);
    shows(&store, &request(json!({"filter": {"emptyProfiles": true}})), json!({"rows": 1}));
}

#[test]
fn evaluating_segments_is_not_implemented() {
    let problem = refused(&plain(), &request(json!({"evaluationInfo": {"segmentation": true}})));
    assert_eq!((problem.code, problem.code.status()), (Code::NotImplemented, 501));
}

#[test]
fn segments_of_different_policies_need_one_to_be_named() {
    let mut store = plain();
    store.segments = vec![
        json!({"id": "s", "ns": "ups", "mergePolicyId": "pdg"}),
        json!({"id": "t", "ns": "ups", "mergePolicyId": "none"}),
        json!({"id": "u", "ns": "crm", "mergePolicyId": "pdg"}),
    ];
    let segments = |ids: Value| json!({"filter": {"segments": ids}});
    let mut both = request(segments(json!([{"segmentId": "s"}, {"segmentId": "t"}])));
    shows(&store, &both, json!({"rows": 0}));
    both.as_object_mut().unwrap().remove("mergePolicy");
    refuses(&store, &both, Code::MergePolicyConflict, &["mergePolicy.id", "none, pdg"]);
    let mut same = request(segments(json!([{"segmentId": "s"}, {"segmentId": "u", "segmentNs": "CRM"}])));
    same.as_object_mut().unwrap().remove("mergePolicy");
    shows(&store, &same, json!({"rows": 0}));
}

#[test]
fn the_policy_of_the_segment_governs_where_none_is_named() {
    let row = |id: &str| {
        json!({"profileId": "p", "ingestTime": day(1), "identityMap": {"A": [{"id": id}]},
        "segmentMembership": {"ups": {"s": {"status": "realized"}}}})
    };
    let mut store = store(json!({"a": profiles(json!({}), json!([[row("1"), row("2")]]))}));
    let mut asked = request(json!({"filter": {"segments": [{"segmentId": "s"}]}}));
    asked.as_object_mut().unwrap().remove("mergePolicy");
    shows(&store, &asked, json!({"rows": 2}));
    store.segments = vec![json!({"id": "s", "ns": "UPS", "mergePolicyId": "pdg"})];
    shows(&store, &asked, json!({"rows": 1}));
}

#[test]
fn five_hundred_and_one_segments_are_refused() {
    let segments: Value = (0..501).map(|n| json!({"segmentId": n.to_string()})).collect();
    refuses(
        &plain(),
        &request(json!({"filter": {"segments": segments}})),
        Code::LimitExceeded,
        &["filter.segments", "501"],
    );
}

#[test]
fn a_policy_whose_datasets_are_all_missing_has_nothing_to_export() {
    let store = store(json!({"z": profiles(json!({}), json!([]))}));
    refuses(
        &store,
        &request(json!({"mergePolicy": {"id": "ordered"}})),
        Code::DatasetUnfit,
        &["schema.name", "no profile dataset"],
    );
}
