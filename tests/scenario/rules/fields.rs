//! Which fields are exported.

use super::*;

fn rich() -> (Store, Value) {
    let row = json!({
        "profileId": "p", "ingestTime": day(1),
        "identityMap": {"ECID": [{"id": "e", "primary": true}, null], "Email": [], "CRM": null},
        "segmentMembership": {"ups": {"s": {"status": "realized", "lastQualificationTime": day(1)}}, "crm": {}},
        "person": {"name": {"first": "Ann", "last": "Roe"}, "age": 7},
        "orders": [{"sku": "1", "price": 2.5}, {"price": 0.5}, null],
        "tags": {"a": "x", "b": null},
        "scores": {"a": {"v": 1, "w": 2}, "b": null},
    });
    let columns = json!({
        "person": {"name": {"first": "string", "last": "string"}, "age": "int"},
        "orders": [{"sku": "string", "price": "double"}],
        "tags": {"*": "string"},
        "scores": {"*": {"v": "int", "w": "int"}},
        "blank": {"x": "string"},
    });
    (store(json!({"a": profiles(columns, json!([[row]]))})), row)
}

fn kept(fields: &str, expected: Value) {
    exports(&rich().0, &request(json!({"fields": fields})), json!([expected]));
}

#[test]
fn blank_or_absent_fields_mean_all() {
    kept(" , ", rich().1);
    exports(&rich().0, &request(json!({})), json!([rich().1]));
}

#[test]
fn named_paths_are_kept_with_what_is_below_them_and_nothing_else() {
    kept("profileId", json!({"profileId": "p"}));
    kept("person", json!({"person": rich().1["person"]}));
    kept(" person.name.last ,, person.age", json!({"person": {"name": {"last": "Roe"}, "age": 7}}));
    kept("person.name,person", json!({"person": rich().1["person"]}));
    kept("ingestTime,tags", json!({"ingestTime": day(1), "tags": {"a": "x", "b": null}}));
}

#[test]
fn paths_go_through_lists_without_a_step() {
    kept("orders.sku", json!({"orders": [{"sku": "1"}, {}, null]}));
}

#[test]
fn paths_go_through_maps_by_key_or_by_every_key() {
    kept("scores.a", json!({"scores": {"a": {"v": 1, "w": 2}}}));
    kept("scores.a.v", json!({"scores": {"a": {"v": 1}}}));
    kept("scores.*.v", json!({"scores": {"a": {"v": 1}, "b": null}}));
    kept("scores.a.w,scores.*.v", json!({"scores": {"a": {"v": 1, "w": 2}, "b": null}}));
    kept("scores.b,scores.c", json!({"scores": {"b": null}}));
    kept("tags.b", json!({"tags": {"b": null}}));
    kept("tags.*", json!({"tags": {"a": "x", "b": null}}));
    kept("segmentMembership.ups.s.status", json!({"segmentMembership": {"ups": {"s": {"status": "realized"}}}}));
    kept(
        "segmentMembership.*.*.status",
        json!({"segmentMembership": {"ups": {"s": {"status": "realized"}}, "crm": {}}}),
    );
}

#[test]
fn a_map_that_has_none_of_the_named_keys_is_empty() {
    kept("tags.z", json!({"tags": {}}));
}

#[test]
fn a_parent_that_is_null_stays_null() {
    kept("blank.x,profileId", json!({"profileId": "p"}));
}

#[test]
fn identities_is_the_older_spelling_of_the_identity_map() {
    kept("identities", json!({"identityMap": rich().1["identityMap"]}));
    kept("identities.id", json!({"identityMap": {"ECID": [{"id": "e"}, null], "Email": [], "CRM": null}}));
    kept("identityMap.ECID.id", json!({"identityMap": {"ECID": [{"id": "e"}, null]}}));
}

#[test]
fn a_path_that_only_one_dataset_has_is_null_in_the_rows_of_others() {
    let store = store(json!({
        "a": profiles(json!({"s": {"x": "string"}}), json!([[{"profileId": "p", "ingestTime": day(1), "s": {"x": "1"}}]])),
        "b": profiles(json!({"s": {"y": "string"}, "z": "int"}), json!([[{"profileId": "q", "ingestTime": day(1), "s": {"y": "2"}, "z": 3}]])),
    }));
    exports(&store, &request(json!({"fields": "s.x,z"})), json!([{"s": {"x": "1"}}, {"s": {}, "z": 3}]));
}

#[test]
fn merging_and_filtering_see_what_is_not_exported() {
    let row = |time: Value, x: Value| {
        json!({"profileId": "p", "ingestTime": time, "x": x,
        "segmentMembership": {"ups": {"s": {"status": "realized"}}}})
    };
    let store = store(
        json!({"a": profiles(json!({"x": "string"}), json!([[row(day(1), json!("old")), row(day(2), json!("new"))]]))}),
    );
    let filter = json!({"segments": [{"segmentId": "s"}], "fromIngestTimestamp": day(1)});
    exports(&store, &request(json!({"fields": "x", "filter": filter})), json!([{"x": "new"}]));
}

#[test]
fn the_later_membership_is_exported_even_if_its_time_is_not() {
    let row = |time: Value, status: &str, qualified: Value| {
        json!({"profileId": "p", "ingestTime": time,
        "segmentMembership": {"ups": {"s": {"status": status, "lastQualificationTime": qualified}}}})
    };
    let rows = json!([[row(day(2), "realized", day(1)), row(day(1), "exited", day(2))]]);
    let store = store(json!({"a": profiles(json!({}), rows)}));
    let expected = json!([{"segmentMembership": {"ups": {"s": {"status": "exited"}}}}]);
    for fields in ["segmentMembership.ups.s.status", "segmentMembership.*.*.status"] {
        exports(&store, &request(json!({"fields": fields})), expected.clone());
    }
}
