//! Which rows are one profile.

use super::*;

fn two_identities() -> Store {
    store(json!({
        "a": profiles(json!({"x": "string", "y": "string"}), json!([[
            {"profileId": "p", "ingestTime": day(1), "x": "x1", "identityMap": {"ECID": [{"id": "e"}]}},
            {"profileId": "p", "ingestTime": day(2), "y": "y2", "identityMap": {"Email": [{"id": "m"}]}},
            {"profileId": "q", "ingestTime": day(3), "x": "x3", "identityMap": {"ECID": [{"id": "e"}]}},
        ]])),
    }))
}

#[test]
fn under_pdg_the_fragments_of_a_profile_id_are_one_profile() {
    let expected = json!([
        {"profileId": "p", "ingestTime": day(2), "x": "x1", "y": "y2",
            "identityMap": {"ECID": [{"id": "e"}], "Email": [{"id": "m"}]}},
        {"profileId": "q", "ingestTime": day(3), "x": "x3", "identityMap": {"ECID": [{"id": "e"}]}},
    ]);
    exports(&two_identities(), &request(json!({})), expected);
}

#[test]
fn under_none_every_identity_of_a_profile_id_stands_alone() {
    let expected = json!([
        {"profileId": "p", "ingestTime": day(1), "x": "x1", "identityMap": {"ECID": [{"id": "e"}]}},
        {"profileId": "p", "ingestTime": day(2), "y": "y2", "identityMap": {"Email": [{"id": "m"}]}},
        {"profileId": "q", "ingestTime": day(3), "x": "x3", "identityMap": {"ECID": [{"id": "e"}]}},
    ]);
    exports(&two_identities(), &request(json!({"mergePolicy": {"id": "none"}})), expected);
}

#[test]
fn without_a_policy_the_built_in_one_lets_every_identity_stand_alone() {
    let mut asked = request(json!({}));
    asked.as_object_mut().unwrap().remove("mergePolicy");
    shows(&two_identities(), &asked, json!({"rows": 3}));
}

#[test]
fn fragments_with_the_same_primary_identity_are_one_profile_under_none() {
    let store = store(json!({
        "a": profiles(json!({"x": "string"}), json!([[
            // The primary one wins over the lesser one.
            {"profileId": "p", "ingestTime": day(1), "x": "old",
                "identityMap": {"A": [{"id": "1"}], "B": [{"id": "2", "primary": true}]}},
            // The least of several primary ones, by namespace and then id.
            {"profileId": "p", "ingestTime": day(2),
                "identityMap": {"B": [{"id": "3", "primary": true}, {"id": "2", "primary": true}]}},
            // Without primary ones the least of all; null ids and null items are none.
            {"profileId": "p", "ingestTime": day(3),
                "identityMap": {"A": [{"primary": true}, null], "B": [{"id": "2", "primary": false}], "C": null}},
        ]])),
    }));
    let expected = json!([{"profileId": "p", "ingestTime": day(3), "x": "old", "identityMap": {
        "A": [{"primary": true}, {"id": "1"}],
        "B": [{"id": "2", "primary": false}, {"id": "3", "primary": true}],
        "C": null,
    }}]);
    exports(&store, &request(json!({"mergePolicy": {"id": "none"}})), expected);
}

#[test]
fn the_least_identity_is_the_primary_one_by_namespace_before_id() {
    let both = json!({"A": [{"id": "9"}], "B": [{"id": "1"}]});
    let store = store(json!({
        "a": profiles(json!({"x": "string"}), json!([[
            {"profileId": "p", "ingestTime": day(1), "x": "old", "identityMap": both},
            {"profileId": "p", "ingestTime": day(2), "identityMap": {"A": [{"id": "9"}]}},
        ]])),
    }));
    let expected = json!([{"profileId": "p", "ingestTime": day(2), "x": "old", "identityMap": both}]);
    exports(&store, &request(json!({"mergePolicy": {"id": "none"}})), expected);
}

#[test]
fn an_identity_under_two_profile_ids_is_two_profiles_under_none() {
    let row = |id: &str, identity: &str| json!({"profileId": id, "ingestTime": day(1), "identityMap": {"A": [{"id": identity}]}});
    let rows = json!([row("p", "1"), row("p", "2"), row("q", "1"), row("q", "2")]);
    let store = store(json!({"a": profiles(json!({}), json!([rows]))}));
    exports(&store, &request(json!({"mergePolicy": {"id": "none"}})), rows);
}

#[test]
fn fragments_without_any_identity_are_one_profile_under_none() {
    let store = store(json!({
        "a": profiles(json!({"x": "string", "y": "string"}), json!([[
            {"profileId": "p", "ingestTime": day(1), "x": "1"},
            {"profileId": "p", "ingestTime": day(2), "y": "2", "identityMap": {"A": []}},
            {"profileId": "p", "ingestTime": day(3), "x": "3", "identityMap": {"A": [{"id": "p"}]}},
        ]])),
    }));
    let expected = json!([
        {"profileId": "p", "ingestTime": day(2), "x": "1", "y": "2", "identityMap": {"A": []}},
        {"profileId": "p", "ingestTime": day(3), "x": "3", "identityMap": {"A": [{"id": "p"}]}},
    ]);
    exports(&store, &request(json!({"mergePolicy": {"id": "none"}})), expected);
}

#[test]
fn fragments_of_a_profile_meet_from_all_datasets_and_files() {
    let store = store(json!({
        "a": profiles(json!({"x": "string"}), json!([
            [{"profileId": "p", "ingestTime": day(1), "x": "a0"}, {"profileId": "q", "ingestTime": day(1), "x": "a0"}],
            [{"profileId": "q", "ingestTime": day(2), "x": "a1"}, {"profileId": "r", "ingestTime": day(1), "x": "a1"}],
        ])),
        "b": profiles(json!({"y": "string"}), json!([[{"profileId": "p", "ingestTime": day(5), "y": "b0"}]])),
        "c": profiles(json!({}), json!([])),
    }));
    let expected = json!([
        {"profileId": "p", "ingestTime": day(5), "x": "a0", "y": "b0"},
        {"profileId": "q", "ingestTime": day(2), "x": "a1"},
        {"profileId": "r", "ingestTime": day(1), "x": "a1"},
    ]);
    exports(&store, &request(json!({})), expected);
}

#[test]
fn a_dataset_of_unique_profiles_needs_no_buckets_and_is_cut_into_parts() {
    let rows: Vec<_> = (0..40).map(|n| json!({"profileId": format!("p{n}"), "ingestTime": day(1), "x": "x"})).collect();
    let mut store = store(json!({"a": profiles(json!({"x": "string"}), json!([rows]))}));
    let dataset = store.datasets.get_mut("a").unwrap();
    (store.buckets, store.part_bytes, dataset.unique) = (None, Some(1), true);
    dataset.commits[0].append[0].group = Some(7);
    exports(&store, &request(json!({})), json!(rows));
}
