//! The union of identity maps.

use super::*;

fn united(latest: Value, earlier: Value, expected: Value) {
    let row = |time: Value, map: Value| json!({"profileId": "p", "ingestTime": time, "identityMap": map});
    let mut merged = row(day(2), expected);
    if merged["identityMap"].is_null() {
        merged.as_object_mut().unwrap().remove("identityMap");
    }
    let store = store(json!({"a": profiles(json!({}), json!([[row(day(1), earlier), row(day(2), latest)]]))}));
    exports(&store, &request(json!({})), json!([merged]));
}

#[test]
fn namespaces_of_all_fragments_are_there_and_those_that_differ_in_case_are_different() {
    united(
        json!({"ECID": [{"id": "1"}]}),
        json!({"ecid": [{"id": "1"}], "Email": [{"id": "m"}]}),
        json!({"ECID": [{"id": "1"}], "ecid": [{"id": "1"}], "Email": [{"id": "m"}]}),
    );
}

#[test]
fn an_id_stands_once_as_the_best_ranked_fragment_has_it_whole() {
    united(
        json!({"A": [{"id": "2", "primary": true}, {"id": "1"}]}),
        json!({"A": [{"id": "1", "authenticatedState": "loggedIn"}, {"id": "3"}, {"id": "2"}, {"id": "3", "primary": true}]}),
        json!({"A": [{"id": "2", "primary": true}, {"id": "1"}, {"id": "3"}]}),
    );
}

#[test]
fn ids_are_compared_with_regard_to_case() {
    united(json!({"A": [{"id": "x"}]}), json!({"A": [{"id": "X"}]}), json!({"A": [{"id": "x"}, {"id": "X"}]}));
}

#[test]
fn identities_without_an_id_are_one_identity() {
    united(
        json!({"A": [{"primary": true}, {"id": "1"}, {"authenticatedState": "x"}]}),
        json!({"A": [{"primary": false}]}),
        json!({"A": [{"primary": true}, {"id": "1"}]}),
    );
}

#[test]
fn nulls_are_left_out_of_lists_and_namespaces_stay_even_if_nothing_is_in_them() {
    united(
        json!({"A": [null], "B": [], "C": null, "D": null, "E": [null]}),
        json!({"A": [{"id": "1"}, null], "B": null, "C": [{"id": "1"}], "D": null}),
        json!({"A": [{"id": "1"}], "B": [], "C": [{"id": "1"}], "D": null, "E": []}),
    );
}

#[test]
fn maps_that_are_null_in_all_fragments_are_null_and_an_empty_one_is_not() {
    united(json!(null), json!(null), json!(null));
    united(json!(null), json!({}), json!({}));
}

#[test]
fn repetitions_within_one_fragment_go_once_there_are_several_fragments() {
    united(json!(null), json!({"A": [{"id": "1"}, {"id": "1", "primary": true}]}), json!({"A": [{"id": "1"}]}));
}

#[test]
fn profiles_are_counted_in_every_namespace_in_which_they_have_an_identity() {
    let row = |id: &str, map: Value| json!({"profileId": id, "ingestTime": day(1), "identityMap": map});
    let store = store(json!({"a": profiles(json!({}), json!([[
        row("p", json!({"A": [{"id": "1"}, {"id": "2"}], "B": []})),
        row("q", json!({"A": [{"id": "1"}], "a": [{"id": "1"}], "B": null})),
        row("r", json!({"B": [null]})),
        row("s", json!(null)),
        row("t", json!({"A": [null], "C": [{"id": "1"}]})),
        row("t", json!({"A": [null], "B": [{"id": "1"}]})),
    ]]))}));
    let expected = json!({"byNamespace": {"A": 2, "a": 1, "B": 1, "C": 1}, "rows": 5});
    shows(&store, &request(json!({})), expected.clone());
    // Also where the map is not exported.
    shows(&store, &request(json!({"fields": "profileId"})), expected);
}

#[test]
fn identities_may_have_fields_of_one_dataset_alone() {
    let mut b = profiles(
        json!({}),
        json!([[
            {"profileId": "p", "ingestTime": day(2), "identityMap": {"A": [{"id": "1", "xid": "x"}]}},
        ]]),
    );
    b["columns"]["identityMap"] = json!({"*": [{"xid": "string", "id": "string"}]});
    let a = profiles(
        json!({}),
        json!([[
            {"profileId": "p", "ingestTime": day(1), "identityMap": {"A": [{"id": "1", "primary": true}, {"id": "2", "primary": true}]}},
        ]]),
    );
    let expected = json!([{"profileId": "p", "ingestTime": day(2),
        "identityMap": {"A": [{"id": "1", "xid": "x"}, {"id": "2", "primary": true}]}}]);
    exports(&store(json!({"a": a, "b": b})), &request(json!({})), expected);
}
