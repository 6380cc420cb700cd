//! Tables with files that others wrote: without field ids, with rows that belong nowhere.

use super::*;

fn row(id: &str, more: Value) -> Value {
    with(json!({"profileId": id, "ingestTime": day(1)}), more)
}

fn append(file: &str, rows: Value) -> Value {
    json!([{"file": file, "rows": rows}])
}

/// A dataset without field ids exports the same as one with them.
fn bare(columns: Value, commits: Value, expected: Value) {
    for bare in [false, true] {
        let dataset = with(profiles(columns.clone(), json!([])), json!({"commits": commits, "bare": bare}));
        exports(&store(json!({"a": dataset})), &request(json!({})), expected.clone());
    }
}

#[test]
fn files_without_field_ids_are_read_by_the_tables_name_mapping() {
    let identities = json!({"identityMap": {"A": [{"id": "1", "primary": true}]},
        "segmentMembership": {"ups": {"s": {"status": "realized", "lastQualificationTime": day(2)}}}});
    let fields = json!({"s": {"a": {"b": 1}}, "l": [{"c": "x"}], "m": {"k": {"d": 0.5}}});
    bare(
        json!({"s": {"a": {"b": "int"}}, "l": [{"c": "string"}], "m": {"*": {"d": "double"}}}),
        json!([{"append": append("f0", json!([row("p", with(fields.clone(), identities.clone()))]))}]),
        json!([row("p", with(fields, identities))]),
    );
}

#[test]
fn a_renamed_column_of_files_without_field_ids_is_read_by_all_its_names() {
    bare(
        json!({"x": "string"}),
        json!([
            {"append": append("f0", json!([row("p", json!({"x": "old"}))]))},
            {"columns": [{"rename": ["x", "z"]}], "append": append("f1", json!([row("q", json!({"z": "new"}))]))},
        ]),
        json!([row("p", json!({"z": "old"})), row("q", json!({"z": "new"}))]),
    );
}

#[test]
fn deletes_hold_in_files_without_field_ids_after_their_columns_were_renamed() {
    let rows = json!([row("p", json!({"x": "a"})), row("q", json!({"x": "b"})), row("r", json!({"x": "c"}))]);
    bare(
        json!({"x": "string"}),
        json!([
            {"append": append("f0", rows.clone())},
            {"equal": [{"on": ["x"], "rows": [{"x": "a"}]}]},
            {"columns": [{"rename": ["x", "z"]}]},
            {"equal": [{"on": ["z"], "rows": [{"z": "b"}]}], "append": append("f1", json!([row("s", json!({"z": "a"}))]))},
            {"append": append("f2", json!([row("t", json!({"z": "a"})), row("u", json!({}))])), "positions": [["f2", 0]]},
        ]),
        json!([row("r", json!({"z": "c"})), row("s", json!({"z": "a"})), row("u", json!({}))]),
    );
}

#[test]
fn an_equality_delete_holds_though_its_column_was_dropped() {
    let rows = json!([row("p", json!({"x": "a"})), row("q", json!({"x": "b"})), row("r", json!({}))]);
    bare(
        json!({"x": "string"}),
        json!([
            {"append": append("f0", rows)},
            {"equal": [{"on": ["x"], "rows": [{"x": "a"}, {"x": null}]}]},
            {"columns": [{"drop": "x"}], "append": append("f1", json!([row("s", json!({}))]))},
        ]),
        json!([row("q", json!({})), row("s", json!({}))]),
    );
}

#[test]
fn a_deleted_row_needs_no_profile_id() {
    let rows = json!([row("p", json!({"x": "a"})), {"x": "b"}, row("q", json!({"x": "c"}))]);
    let columns = json!({"x": "string"});
    let kept = json!([row("p", json!({"x": "a"})), row("q", json!({"x": "c"}))]);
    bare(columns.clone(), json!([{"append": append("f0", rows.clone())}, {"positions": [["f0", 1]]}]), kept.clone());
    let by_value = json!({"equal": [{"on": ["profileId"], "rows": [{"profileId": null}]}]});
    bare(columns, json!([{"append": append("f0", rows)}, by_value]), kept);
}

#[test]
fn a_job_that_is_planned_again_reads_the_columns_of_its_first_attempt() {
    let rows = json!([[row("p", json!({"x": "a", "y": "b"}))]]);
    let store = store(json!({"a": profiles(json!({"x": "string", "y": "string"}), rows)}));
    let changes = json!([{"drop": "y"}, {"rename": ["x", "z"]}, {"add": {"new": "string"}}]);
    let changes: Vec<crate::store::Evolution> = serde_json::from_value(changes).unwrap();
    in_world(&store, async |world| {
        let created = world.post(&request(json!({"fields": "profileId,x,y"}))).await;
        world.crash_when_pinned().await;
        for change in &changes {
            world.change("a", change).await;
        }
        world.work().await;
        let job = world.get(&created.unwrap()["id"]).await;
        assert_eq!(job["status"], "SUCCEEDED", "{job:#}");
        let outcome = world.outcome(&job).await;
        assert_eq!(outcome.batches, [[json!({"profileId": "p", "x": "a", "y": "b"})]]);
        let next = world.export(&request(json!({}))).await;
        assert_eq!(next.batches, [[row("p", json!({"z": "a"}))]]);
    });
}
