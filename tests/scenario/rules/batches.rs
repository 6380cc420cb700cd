//! A batch for each segment entry.

use super::*;

fn per_batch(segments: Value) -> Value {
    let destination = json!({"datasetId": "exports", "segmentPerBatch": true});
    request(json!({"fields": "profileId", "filter": {"segments": segments}, "destination": destination}))
}

#[test]
fn a_profile_lands_in_the_batch_of_every_entry_that_it_matches_and_is_counted_in_each() {
    let row = |id: &str, s: &str, t: &str| {
        json!({"profileId": id, "ingestTime": day(1),
        "identityMap": {"A": [{"id": id}]},
        "segmentMembership": {"ups": {"s": {"status": s}, "t": {"status": t}}}})
    };
    let store = store(json!({"a": profiles(json!({}), json!([[
        row("p", "realized", "existing"), row("q", "exited", "realized"), row("r", "odd", "odd"),
    ]]))}));
    let (p, q) = (json!({"profileId": "p"}), json!({"profileId": "q"}));
    let segments = json!([
        {"segmentId": "s"},
        {"segmentId": "t", "segmentNs": "UPS"},
        {"segmentId": "s", "status": ["exited"]},
        {"segmentId": "t", "status": ["existing"]},
        {"segmentId": "s"},
        {"segmentId": "nobody"},
    ]);
    let expected = json!({
        "batches": [[p], [p, q], [q], [p], [p], []],
        "rows": 6,
        "byNamespace": {"A": 6},
    });
    shows(&store, &per_batch(segments.clone()), expected);
    let at_once = with(per_batch(segments), json!({"destination": {"datasetId": "exports"}}));
    shows(&store, &at_once, json!({"batches": [[p, q]], "rows": 2, "byNamespace": {"A": 2}}));
}

#[test]
fn a_profile_that_matches_an_entry_under_two_spellings_of_its_namespace_is_in_the_batch_once() {
    let row = json!({"profileId": "p", "ingestTime": day(1),
        "segmentMembership": {"ups": {"s": {"status": "realized"}}, "UPS": {"s": {"status": "existing"}}}});
    for unique in [false, true] {
        let dataset = with(profiles(json!({}), json!([[row]])), json!({"unique": unique}));
        let expected = json!({"batches": [[{"profileId": "p"}], []], "rows": 1});
        let segments = json!([{"segmentId": "s"}, {"segmentId": "nobody"}]);
        shows(&store(json!({"a": dataset})), &per_batch(segments), expected);
    }
}

#[test]
fn a_merged_profile_is_counted_in_each_of_its_batches() {
    let row = |time: Value, segment: &str| {
        json!({"profileId": "p", "ingestTime": time, "identityMap": {"A": [{"id": "1"}]},
            "segmentMembership": {"ups": {segment: {"status": "realized"}}}})
    };
    let store = store(json!({"a": profiles(json!({}), json!([[row(day(1), "s"), row(day(2), "t")]]))}));
    let p = json!({"profileId": "p"});
    let expected = json!({"batches": [[p], [], [p]], "rows": 2, "byNamespace": {"A": 2}});
    shows(&store, &per_batch(json!([{"segmentId": "s"}, {"segmentId": "u"}, {"segmentId": "t"}])), expected);
}

#[test]
fn a_batch_of_no_rows_is_committed_like_any_other() {
    let store = store(json!({"a": profiles(json!({}), json!([]))}));
    shows(&store, &request(json!({})), json!({"batches": [[]], "rows": 0, "byNamespace": {}, "emptyProfiles": null}));
    shows(&store, &per_batch(json!([{"segmentId": "s"}, {"segmentId": "t"}])), json!({"batches": [[], []], "rows": 0}));
}

#[test]
fn jobs_that_follow_one_another_leave_each_others_batches_alone() {
    let row = |id: &str| json!({"profileId": id, "ingestTime": day(1)});
    let store = store(json!({"a": profiles(json!({}), json!([[row("p"), row("q")]]))}));
    let requests = [request(json!({})), request(json!({"fields": "profileId"})), request(json!({}))];
    let by_rules: Vec<_> = requests.iter().map(|r| oracle::export(&store, r)).collect();
    agrees(&store, &requests, &by_rules);
}
