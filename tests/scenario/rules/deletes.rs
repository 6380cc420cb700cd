//! Deleted rows are gone before anything else.

use super::*;

fn row(id: &str, time: Value, x: &str) -> Value {
    json!({"profileId": id, "ingestTime": time, "x": x})
}

/// A dataset with these commits.
fn history(commits: Value) -> Value {
    with(profiles(json!({"x": "string", "n": "int"}), json!([])), json!({"commits": commits}))
}

fn left(commits: Value, expected: Value) {
    exports(&store(json!({"a": history(commits)})), &request(json!({})), expected);
}

fn append(file: &str, rows: Value) -> Value {
    json!([{"file": file, "rows": rows}])
}

#[test]
fn a_position_delete_takes_one_row_of_one_file() {
    let rows = json!([row("p", day(1), "0"), row("q", day(1), "1"), row("r", day(1), "2")]);
    left(
        json!([{"append": append("f0", rows.clone())}, {"append": append("f1", rows)}, {"positions": [["f0", 1], ["f1", 0], ["f1", 1]]}]),
        json!([row("p", day(1), "0"), row("r", day(1), "2")]),
    );
}

#[test]
fn a_position_delete_takes_rows_of_its_own_commit() {
    left(
        json!([{"append": append("f0", json!([row("p", day(1), "0"), row("p", day(2), "1")])), "positions": [["f0", 1]]}]),
        json!([row("p", day(1), "0")]),
    );
}

#[test]
fn positions_count_over_all_row_groups() {
    let rows: Vec<_> = (0..9).map(|n| row("p", day(n + 1), &n.to_string())).collect();
    let file = json!([{"file": "f0", "group": 2, "rows": rows}]);
    left(json!([{"append": file}, {"positions": [["f0", 8], ["f0", 7], ["f0", 0]]}]), json!([row("p", day(7), "6")]));
}

#[test]
fn an_equality_delete_takes_all_equal_rows_of_earlier_commits_and_none_of_its_own() {
    left(
        json!([
            {"append": append("f0", json!([row("p", day(1), "old"), row("q", day(1), "kept")]))},
            {"append": append("f1", json!([row("p", day(2), "older")]))},
            {"append": append("f2", json!([row("p", day(3), "new")])), "equal": [{"on": ["profileId"], "rows": [{"profileId": "p"}]}]},
        ]),
        json!([row("p", day(3), "new"), row("q", day(1), "kept")]),
    );
}

#[test]
fn null_equals_null_in_an_equality_delete_and_all_its_columns_count() {
    left(
        json!([
            {"append": append("f0", json!([
                {"profileId": "p", "ingestTime": day(1)}, {"profileId": "q", "ingestTime": day(1), "x": "x"},
                {"profileId": "r", "ingestTime": day(1), "n": 1}, {"profileId": "s", "ingestTime": day(1), "n": 1, "x": "x"},
            ]))},
            {"equal": [{"on": ["x", "n"], "rows": [{"x": null, "n": null}, {"x": "x", "n": 1}]}]},
        ]),
        json!([{"profileId": "q", "ingestTime": day(1), "x": "x"}, {"profileId": "r", "ingestTime": day(1), "n": 1}]),
    );
}

#[test]
fn an_equality_delete_knows_which_of_its_columns_holds_what() {
    let row = |id: &str, fields: Value| with(json!({"profileId": id, "ingestTime": day(1)}), fields);
    let (q, s) = (row("q", json!({"y": "v"})), row("s", json!({"m": 0})));
    let t = row("t", json!({"x": "a\u{1}b", "y": "c"}));
    let (p, r) = (row("p", json!({"x": "v"})), row("r", json!({"n": 0})));
    let rows = json!([p, q, r, s, t, row("u", json!({"x": "a", "y": "b\u{1}c"}))]);
    let texts = json!({"on": ["x", "y"], "rows": [{"x": "v", "y": null}, {"x": "a", "y": "b\u{1}c"}]});
    let numbers = json!({"on": ["n", "m"], "rows": [{"n": 0, "m": null}]});
    let commits = json!([{"append": append("f0", rows)}, {"equal": [texts, numbers]}]);
    let columns = json!({"x": "string", "y": "string", "n": "int", "m": "int"});
    let dataset = with(profiles(columns, json!([])), json!({"commits": commits}));
    exports(&store(json!({"a": dataset})), &request(json!({})), json!([q, s, t]));
}

#[test]
fn an_equality_delete_holds_in_its_own_partition_alone() {
    let ids = ["p0", "p1", "p2", "p3", "p4", "p5"];
    let bucket = |id: &&str| lake::bucket_of(2, id);
    let rows: Vec<_> = ids.iter().map(|id| row(id, day(1), "x")).collect();
    let kept: Vec<_> = ids.iter().filter(|id| bucket(id) == 1).map(|id| row(id, day(1), "x")).collect();
    assert!(!kept.is_empty() && kept.len() < ids.len());
    let deleted = json!([{"on": ["x"], "rows": [{"x": "x"}], "bucket": 0}]);
    left(json!([{"append": append("f0", json!(rows))}, {"equal": deleted}]), json!(kept));
}

#[test]
fn a_deleted_fragment_does_not_win_and_a_deleted_profile_is_gone() {
    let store = store(json!({
        "a": history(json!([
            {"append": append("f0", json!([row("p", day(1), "old"), row("p", day(9), "deleted"), row("q", day(1), "deleted")]))},
            {"positions": [["f0", 1]], "equal": [{"on": ["profileId"], "rows": [{"profileId": "q"}]}]},
        ])),
        "b": history(json!([{"append": append("f0", json!([row("p", day(2), "new")]))}])),
    }));
    exports(&store, &request(json!({})), json!([row("p", day(2), "new")]));
}

#[test]
fn deleted_events_are_gone_too() {
    let event = |n: u32| json!({"profileId": "p", "timestamp": day(n), "eventType": n.to_string()});
    let mut e = events(json!({}), json!([[event(1), event(2), event(3)]]));
    let deletes = json!({"positions": [["f0", 0]], "equal": [{"on": ["timestamp"], "rows": [{"timestamp": day(3)}]}]});
    e["commits"].as_array_mut().unwrap().push(deletes);
    let store = store(json!({"a": profiles(json!({}), json!([[{"profileId": "p"}]])), "e": e}));
    let expected = json!([{"profileId": "p", "timeSeriesEvents": [{"eventType": "2"}]}]);
    exports(&store, &request(json!({"additionalFields": {"eventList": {"fields": "eventType"}}})), expected);
}

#[test]
fn deletes_hold_in_a_dataset_of_unique_profiles_that_is_cut_into_parts() {
    let rows: Vec<_> = (0..20).map(|n| row(&format!("p{n}"), day(1), "x")).collect();
    let file = json!([{"file": "f0", "group": 3, "rows": rows}]);
    let deletes = json!({"positions": [["f0", 0], ["f0", 19], ["f0", 10]], "equal": [{"on": ["profileId"], "rows": [{"profileId": "p5"}]}]});
    let mut store = store(json!({"a": history(json!([{"append": file}, deletes]))}));
    (store.buckets, store.part_bytes, store.datasets.get_mut("a").unwrap().unique) = (None, Some(1), true);
    let kept = (1..19).filter(|n| ![5, 10].contains(n)).map(|n| row(&format!("p{n}"), day(1), "x"));
    exports(&store, &request(json!({})), kept.collect());
}
