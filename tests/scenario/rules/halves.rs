//! What a worker has no time for goes on in halves, down to runs of a row group's rows.

use super::*;

fn row(id: &str, time: u32, segment: &str) -> Value {
    let membership = json!({"status": "realized", "lastQualificationTime": day(time)});
    json!({"profileId": id, "ingestTime": day(time), "identityMap": {"A": [{"id": id}]},
        "segmentMembership": {"ups": {segment: membership}}})
}

/// A dataset of unique profiles, nine in one row group of which two are deleted, that nobody has the time to export.
fn hurried() -> Store {
    let segments = ["s", "t", "s", "s", "t", "s", "t", "s", "s"];
    let rows: Vec<_> = (1..).zip(segments).map(|(n, segment)| row(&format!("p{n}"), n, segment)).collect();
    let equal = json!([{"on": ["profileId"], "rows": [{"profileId": "p8"}]}]);
    let commits = json!([{"append": [{"file": "f0", "rows": rows}]}, {"positions": [["f0", 2]], "equal": equal}]);
    let dataset = with(profiles(json!({}), json!([])), json!({"commits": commits, "unique": true}));
    Store { buckets: None, hurried: true, ..store(json!({"a": dataset})) }
}

#[test]
fn a_row_group_that_takes_too_long_is_exported_run_by_run() {
    let store = hurried();
    let ids = |ids: &[u32]| ids.iter().map(|n| json!({"profileId": format!("p{n}")})).collect::<Value>();
    let everybody = request(json!({"fields": "profileId"}));
    let expected = json!({"batches": [ids(&[1, 2, 4, 5, 6, 7, 9])], "rows": 7, "byNamespace": {"A": 7}});
    shows(&store, &everybody, expected);
    let late = with(everybody.clone(), json!({"filter": {"fromIngestTimestamp": day(5)}}));
    shows(&store, &late, json!({"batches": [ids(&[6, 7, 9])]}));
    let destination = json!({"datasetId": "exports", "segmentPerBatch": true});
    let segments = json!({"segments": [{"segmentId": "s"}, {"segmentId": "t"}]});
    let members = with(everybody.clone(), json!({"filter": segments, "destination": destination}));
    shows(&store, &members, json!({"batches": [ids(&[1, 4, 6, 9]), ids(&[2, 5, 7])]}));
    let window = json!({"startTime": day(2), "endTime": day(6)});
    let in_window = json!({"segments": [{"segmentId": "s"}], "segmentQualificationTime": window});
    shows(&store, &with(everybody, json!({"filter": in_window})), json!({"batches": [ids(&[4, 6])]}));
}

#[test]
fn halving_ends_where_a_half_would_have_no_row() {
    in_world(&hurried(), async |world| {
        world.export(&request(json!({}))).await;
        assert_eq!(world.halved(), 7, "nine rows in eight runs");
    });
}
