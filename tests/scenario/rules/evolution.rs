//! Tables whose columns changed after files were written.

use super::*;

fn changed(columns: Value, commits: Value, expected: Value) {
    let dataset = with(profiles(columns, json!([])), json!({"commits": commits}));
    exports(&store(json!({"a": dataset})), &request(json!({})), expected);
}

fn append(file: &str, row: Value) -> Value {
    let row = with(json!({"profileId": file, "ingestTime": day(1)}), row);
    json!([{"file": file, "rows": [row]}])
}

fn row(id: &str, fields: Value) -> Value {
    with(json!({"profileId": id, "ingestTime": day(1)}), fields)
}

#[test]
fn a_column_that_an_older_file_lacks_is_null_in_its_rows() {
    changed(
        json!({}),
        json!([
            {"append": append("old", json!({}))},
            {"columns": [{"add": {"x": "string", "s": {"y": "int"}, "l": ["string"]}}],
                "append": append("new", json!({"x": "1", "s": {"y": 2}, "l": ["z"]}))},
        ]),
        json!([row("old", json!({})), row("new", json!({"x": "1", "s": {"y": 2}, "l": ["z"]}))]),
    );
}

#[test]
fn a_promoted_column_is_read_from_files_of_the_narrower_type() {
    changed(
        json!({"n": "int", "f": "float", "d": "decimal(5, 2)"}),
        json!([
            {"append": append("old", json!({"n": -1, "f": 0.5, "d": "1.25"}))},
            {"columns": [{"promote": ["n", "long"]}, {"promote": ["f", "double"]}, {"promote": ["d", "decimal(9, 2)"]}],
                "append": append("new", json!({"n": 9007199254740993i64, "f": 0.1, "d": "1234567.25"}))},
        ]),
        json!([
            row("old", json!({"n": -1, "f": 0.5, "d": "1.25"})),
            row("new", json!({"n": 9007199254740993i64, "f": 0.1, "d": "1234567.25"})),
        ]),
    );
}

#[test]
fn a_renamed_column_is_read_by_its_id() {
    changed(
        json!({"x": "string", "y": "string"}),
        json!([
            {"append": append("old", json!({"x": "x", "y": "y"}))},
            {"columns": [{"rename": ["x", "z"]}, {"rename": ["y", "x"]}], "append": append("new", json!({"z": "z", "x": "x"}))},
        ]),
        json!([row("old", json!({"z": "x", "x": "y"})), row("new", json!({"z": "z", "x": "x"}))]),
    );
}

#[test]
fn a_dropped_column_is_gone_and_one_added_under_its_name_is_another() {
    changed(
        json!({"x": "string", "y": "string"}),
        json!([
            {"append": append("old", json!({"x": "x", "y": "y"}))},
            {"columns": [{"drop": "x"}, {"drop": "y"}, {"add": {"x": "string"}}], "append": append("new", json!({"x": "new"}))},
        ]),
        json!([row("old", json!({})), row("new", json!({"x": "new"}))]),
    );
}

#[test]
fn our_own_columns_may_be_newer_than_a_file_and_renamed() {
    let dataset = json!({
        "kind": "profile",
        "columns": {"id": "string", "x": "string"},
        "commits": [
            {"append": [{"file": "f0", "rows": [{"id": "p", "x": "old"}]}]},
            {"columns": [{"rename": ["id", "customer"]}, {"add": {"ingestTime": "timestamptz",
                "identityMap": {"*": [{"id": "string"}]}, "segmentMembership": {"*": {"*": {"status": "string"}}}}}],
                "append": [{"file": "f1", "rows": [{"customer": "p", "ingestTime": day(1), "identityMap": {"A": [{"id": "1"}]},
                    "segmentMembership": {"ups": {"s": {"status": "realized"}}}}]}]},
        ],
        "names": {"profileId": "customer"},
    });
    let expected = json!([{"profileId": "p", "ingestTime": day(1), "x": "old", "identityMap": {"A": [{"id": "1"}]},
        "segmentMembership": {"ups": {"s": {"status": "realized"}}}}]);
    exports(&store(json!({"a": dataset})), &request(json!({})), expected);
}

#[test]
fn an_equality_delete_sees_a_new_column_as_null_in_older_files() {
    changed(
        json!({}),
        json!([
            {"append": append("old", json!({}))},
            {"columns": [{"add": {"x": "string"}}], "append": append("new", json!({"x": "1"}))},
            {"equal": [{"on": ["x"], "rows": [{"x": null}]}]},
        ]),
        json!([row("new", json!({"x": "1"}))]),
    );
}

#[test]
fn an_equality_delete_of_a_narrower_type_holds_after_a_promotion() {
    changed(
        json!({"n": "int"}),
        json!([
            {"append": append("f0", json!({"n": 1}))},
            {"equal": [{"on": ["n"], "rows": [{"n": 1}]}]},
            {"columns": [{"promote": ["n", "long"]}], "append": append("f1", json!({"n": 1}))},
            {"append": append("f2", json!({"n": 2}))},
            {"equal": [{"on": ["n"], "rows": [{"n": 2}]}]},
        ]),
        json!([row("f1", json!({"n": 1}))]),
    );
}

#[test]
fn an_older_export_dataset_gains_what_its_sources_have_and_it_lacks() {
    let person = json!({"name": {"first": "string"}, "tags": ["string"]});
    let fields = json!({"x": 1, "person": {"name": {"first": "Ada"}, "tags": ["t"]}});
    let rows = json!([[row("p", fields.clone())]]);
    let event = json!({"profileId": "p", "timestamp": day(1), "ingestTime": day(1), "web": {"page": "home"}});
    let mut store = store(json!({
        "a": profiles(json!({"x": "int", "person": person}), rows),
        "e": events(json!({"web": {"page": "string"}}), json!([[event]])),
    }));
    store.old_exports = true;
    let all = request(json!({"additionalFields": {"eventList": {"fields": "web"}}}));
    let with_events = with(row("p", fields), json!({"timeSeriesEvents": [{"web": {"page": "home"}}]}));
    exports(&store, &all, json!([with_events]));
}
