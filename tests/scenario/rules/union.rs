//! Datasets with different columns.

use super::*;

#[test]
fn numbers_are_as_wide_as_they_get_and_columns_that_a_source_lacks_are_null() {
    let store = store(json!({
        "a": profiles(json!({"n": "int", "f": "float", "d": "decimal(5, 2)", "l": ["int"], "m": {"*": "float"}, "a": "string"}), json!([[
            {"profileId": "p", "ingestTime": day(1), "n": -7, "f": 0.5, "d": "-1.25", "l": [1, null], "m": {"k": 0.25}, "a": "a"},
            {"profileId": "q", "ingestTime": day(1), "n": 2147483647, "f": 1.5},
        ]])),
        "b": profiles(json!({"n": "long", "f": "double", "d": "decimal(20, 2)", "l": ["long"], "m": {"*": "double"}, "b": "date"}), json!([[
            {"profileId": "p", "ingestTime": day(2), "b": "2018-01-31"},
            {"profileId": "r", "ingestTime": day(1), "n": 9007199254740993i64, "f": 0.1, "d": "123456789012345678.90", "l": [3]},
        ]])),
    }));
    let expected = json!([
        {"profileId": "p", "ingestTime": day(2), "n": -7, "f": 0.5, "d": "-1.25", "l": [1, null], "m": {"k": 0.25}, "a": "a",
            "b": "2018-01-31"},
        {"profileId": "q", "ingestTime": day(1), "n": 2147483647, "f": 1.5},
        {"profileId": "r", "ingestTime": day(1), "n": 9007199254740993i64, "f": 0.1, "d": "123456789012345678.90", "l": [3]},
    ]);
    exports(&store, &request(json!({})), expected);
}

#[test]
fn structs_are_united_by_name_at_any_depth() {
    let store = store(json!({
        "a": profiles(json!({"s": {"t": {"x": "string"}}, "o": [{"x": "string"}]}), json!([[
            {"profileId": "p", "ingestTime": day(1), "s": {"t": {"x": "1"}}, "o": [{"x": "1"}]},
        ]])),
        "b": profiles(json!({"o": [{"y": "string"}], "s": {"t": {"y": "string", "x": "string"}, "z": "int"}}), json!([[
            {"profileId": "p", "ingestTime": day(2), "s": {"t": {"y": "2"}, "z": 3}},
            {"profileId": "q", "ingestTime": day(2), "o": [{"y": "2"}]},
        ]])),
    }));
    let expected = json!([
        {"profileId": "p", "ingestTime": day(2), "s": {"t": {"x": "1", "y": "2"}, "z": 3}, "o": [{"x": "1"}]},
        {"profileId": "q", "ingestTime": day(2), "o": [{"y": "2"}]},
    ]);
    exports(&store, &request(json!({})), expected);
}

#[test]
fn tables_may_call_our_columns_otherwise() {
    let mut a = profiles(
        json!({}),
        json!([[
            {"customer": "p", "updated": day(1), "ids": {"A": [{"id": "1"}]}, "segments": {"ups": {"s": {"status": "realized"}}},
                "profileId": 7, "x": "1"},
        ]]),
    );
    a["columns"] = json!({
        "customer": "string", "updated": "timestamptz", "profileId": "int", "x": "string",
        "ids": {"*": [{"id": "string"}]}, "segments": {"*": {"*": {"status": "string"}}},
    });
    a["names"] = json!({"profileId": "customer", "ingestTime": "updated", "identityMap": "ids", "segmentMembership": "segments"});
    let b = profiles(json!({"y": "string"}), json!([[{"profileId": "p", "ingestTime": day(2), "y": "2"}]]));
    let expected = json!([{"profileId": "p", "ingestTime": day(2), "identityMap": {"A": [{"id": "1"}]},
        "segmentMembership": {"ups": {"s": {"status": "realized"}}}, "x": "1", "y": "2"}]);
    exports(&store(json!({"a": a, "b": b})), &request(json!({"filter": {"segments": [{"segmentId": "s"}]}})), expected);
}

#[test]
fn a_dataset_without_identities_and_memberships_takes_part() {
    let mut a = profiles(json!({}), json!([[{"profileId": "p", "ingestTime": day(1), "x": "1"}]]));
    a["columns"] = json!({"profileId": "string", "x": "string", "ingestTime": "timestamptz"});
    let b =
        profiles(json!({}), json!([[{"profileId": "p", "ingestTime": day(2), "identityMap": {"A": [{"id": "1"}]}}]]));
    let one = json!([{"profileId": "p", "ingestTime": day(2), "x": "1", "identityMap": {"A": [{"id": "1"}]}}]);
    exports(&store(json!({"a": a, "b": b})), &request(json!({})), one);
    let two = json!([
        {"profileId": "p", "ingestTime": day(1), "x": "1"},
        {"profileId": "p", "ingestTime": day(2), "identityMap": {"A": [{"id": "1"}]}},
    ]);
    exports(&store(json!({"a": a, "b": b})), &request(json!({"mergePolicy": {"id": "none"}})), two);
}

#[test]
fn columns_of_event_datasets_are_not_those_of_profiles() {
    let store = store(json!({
        "a": profiles(json!({"n": "int"}), json!([[{"profileId": "p", "ingestTime": day(1), "n": 1}]])),
        "e": events(json!({"n": "string"}), json!([[{"profileId": "p", "timestamp": day(1), "n": "one"}]])),
    }));
    let asked = request(json!({"fields": "n", "additionalFields": {"eventList": {"fields": "n"}}}));
    exports(&store, &asked, json!([{"n": 1, "timeSeriesEvents": [{"n": "one"}]}]));
}
