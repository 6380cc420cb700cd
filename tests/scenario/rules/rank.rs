//! Which fragment wins.

use super::*;

fn one_column(rows: Value) -> Value {
    profiles(json!({"x": "string"}), json!([rows]))
}

#[test]
fn the_latest_fragment_wins_and_one_without_a_time_loses() {
    let store = store(json!({"a": one_column(json!([
        {"profileId": "p", "x": "never"},
        {"profileId": "p", "ingestTime": day(1), "x": "early"},
        {"profileId": "p", "ingestTime": day(2), "x": "late"},
        {"profileId": "p", "ingestTime": day(3)},
        {"profileId": "q", "x": "never"},
        {"profileId": "q", "ingestTime": day(1)},
    ]))}));
    let expected = json!([
        {"profileId": "p", "ingestTime": day(3), "x": "late"},
        {"profileId": "q", "ingestTime": day(1), "x": "never"},
    ]);
    exports(&store, &request(json!({})), expected);
}

#[test]
fn times_are_compared_to_the_microsecond() {
    let store = store(json!({"a": one_column(json!([
        {"profileId": "p", "ingestTime": "2018-01-01T00:00:00.000001Z", "x": "first"},
        {"profileId": "p", "ingestTime": "2018-01-01T00:00:00.000002Z", "x": "second"},
    ]))}));
    let expected = json!([{"profileId": "p", "ingestTime": "2018-01-01T00:00:00.000002Z", "x": "second"}]);
    exports(&store, &request(json!({})), expected);
}

#[test]
fn ties_go_by_dataset_then_file_then_row() {
    let row = |id: &str, x: &str| json!({"profileId": id, "ingestTime": day(1), "x": x});
    let file = |name: &str, rows: Value| json!({"append": [{"file": name, "rows": rows}]});
    let mut datasets = json!({
        "a": one_column(json!([])),
        "b": one_column(json!([row("p", "b"), row("q", "b"), row("r", "b")])),
    });
    // Committed against the order of their names.
    datasets["a"]["commits"] = json!([
        file("f2", json!([row("q", "a2"), row("p", "a2")])),
        file("f1", json!([row("q", "a1 row 0"), row("q", "a1 row 1")])),
    ]);
    let expected = json!([row("p", "a2"), row("q", "a1 row 0"), row("r", "b")]);
    exports(&store(datasets), &request(json!({})), expected);
}

#[test]
fn under_precedence_the_first_dataset_wins_whatever_the_times() {
    let store = store(json!({
        "a": one_column(json!([
            {"profileId": "p", "ingestTime": day(9), "x": "a"},
            {"profileId": "q", "ingestTime": day(1), "x": "a"},
        ])),
        "b": one_column(json!([
            {"profileId": "p", "ingestTime": day(1), "x": "b early"},
            {"profileId": "p", "ingestTime": day(2), "x": "b late"},
            {"profileId": "q", "ingestTime": day(2)},
        ])),
        "c": one_column(json!([
            {"profileId": "p", "ingestTime": day(20), "x": "unlisted"},
            {"profileId": "z", "ingestTime": day(20), "x": "unlisted"},
        ])),
    }));
    let expected = json!([
        {"profileId": "p", "ingestTime": day(9), "x": "b late"},
        {"profileId": "q", "ingestTime": day(2), "x": "a"},
    ]);
    exports(&store, &request(json!({"mergePolicy": {"id": "ordered"}})), expected);
}

#[test]
fn under_none_precedence_rules_within_each_identity() {
    let row = |day, x: &str, id: &str| json!({"profileId": "p", "ingestTime": day, "x": x, "identityMap": {"A": [{"id": id}]}});
    let store = store(json!({
        "a": one_column(json!([row(day(3), "a1", "1"), row(day(4), "a2", "2")])),
        "b": one_column(json!([row(day(1), "b1", "1")])),
    }));
    let expected = json!([row(day(3), "b1", "1"), row(day(4), "a2", "2")]);
    exports(&store, &request(json!({"mergePolicy": {"id": "none-ordered"}})), expected);
}

#[test]
fn an_update_time_that_no_fragment_has_is_null() {
    let store = store(json!({"a": one_column(json!([{"profileId": "p", "x": "1"}, {"profileId": "p"}]))}));
    exports(&store, &request(json!({})), json!([{"profileId": "p", "x": "1"}]));
}
