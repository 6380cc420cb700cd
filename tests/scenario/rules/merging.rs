//! How fragments become one row.

use super::*;

fn merge(columns: Value, latest: Value, earlier: Value, expected: Value) {
    let row = |time: Value, fields: Value| with(json!({"profileId": "p", "ingestTime": time}), fields);
    let store = store(json!({"a": profiles(columns, json!([[row(day(1), earlier), row(day(2), latest)]]))}));
    exports(&store, &request(json!({})), json!([row(day(2), expected)]));
}

#[test]
fn every_leaf_is_settled_by_itself_through_structs() {
    merge(
        json!({"person": {"name": {"first": "string", "last": "string"}, "age": "int"}}),
        json!({"person": {"name": {"first": "Ann"}}}),
        json!({"person": {"name": {"first": "Eve", "last": "Roe"}, "age": 7}}),
        json!({"person": {"name": {"first": "Ann", "last": "Roe"}, "age": 7}}),
    );
}

#[test]
fn a_struct_is_there_if_any_fragment_has_it() {
    merge(
        json!({"s": {"x": "string"}, "t": {"u": {"x": "string"}}}),
        json!({"s": null, "t": {"u": null}}),
        json!({"s": {"x": null}, "t": {"u": {}}}),
        json!({"s": {}, "t": {"u": {}}}),
    );
}

#[test]
fn lists_and_maps_are_replaced_whole_even_by_empty_ones() {
    merge(
        json!({"l": ["string"], "e": ["string"], "n": ["string"], "m": {"*": "string"}, "o": [{"x": "int", "y": "int"}]}),
        json!({"l": ["new", null], "e": [], "n": null, "m": {"k": null}, "o": [{"x": 1}]}),
        json!({"l": ["a", "b"], "e": ["a"], "n": ["kept"], "m": {"k": "v", "j": "w"}, "o": [{"y": 2}, {"y": 3}]}),
        json!({"l": ["new", null], "e": [], "n": ["kept"], "m": {"k": null}, "o": [{"x": 1}]}),
    );
}

#[test]
fn every_type_is_merged_as_it_is() {
    merge(
        json!({"b": "boolean", "i": "int", "l": "long", "f": "float", "d": "double", "day": "date", "t": "timestamptz",
            "price": "decimal(9, 2)"}),
        json!({"b": false, "l": 5, "d": 0.5, "t": day(4)}),
        json!({"b": true, "i": -1, "l": 6, "f": 1.5, "d": 0.25, "day": "2018-02-28", "t": day(5), "price": "12.30"}),
        json!({"b": false, "i": -1, "l": 5, "f": 1.5, "d": 0.5, "day": "2018-02-28", "t": day(4), "price": "12.30"}),
    );
}

#[test]
fn a_fragment_alone_is_exported_as_it_stands() {
    let row = json!({
        "profileId": "p", "ingestTime": day(1), "l": [null, "x"], "s": {},
        "identityMap": {"A": [{"id": "1"}, null, {"id": "1"}], "B": null, "C": [null]},
        "segmentMembership": {"ups": {"s": null}, "x": null},
    });
    let store = store(json!({"a": profiles(json!({"l": ["string"], "s": {"x": "int"}}), json!([[row]]))}));
    shows(&store, &request(json!({})), json!({"batches": [[row]], "byNamespace": {"A": 1}}));
}

#[test]
fn equal_fragments_are_one_profile() {
    let row = json!({"profileId": "p", "ingestTime": day(1), "x": "1"});
    let store = store(json!({"a": profiles(json!({"x": "string"}), json!([[row, row], [row]]))}));
    exports(&store, &request(json!({})), json!([row]));
}
