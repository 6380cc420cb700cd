//! Limits, at their boundary.

use super::*;

fn map(namespace: &str, ids: std::ops::Range<usize>) -> Value {
    json!({namespace: ids.map(|n| json!({"id": n.to_string()})).collect::<Value>()})
}

fn row(id: &str, time: Value, map: Value) -> Value {
    json!({"profileId": id, "ingestTime": time, "identityMap": map})
}

fn kept(rows: Value, expected: &[&str], left_out: u64) {
    let store = store(json!({"a": profiles(json!({}), json!([rows]))}));
    let ids: Value = expected.iter().map(|id| json!({"profileId": id})).collect();
    let expected = json!({"batches": [ids], "tooManyIdentities": left_out, "rows": expected.len()});
    shows(&store, &request(json!({"fields": "profileId"})), expected);
}

#[test]
fn fifty_identities_over_all_namespaces_are_exported_and_fifty_one_are_not() {
    let two = |more: usize| with(map("A", 0..25), map("B", 0..25 + more));
    kept(json!([row("fifty", day(1), two(0)), row("more", day(1), two(1))]), &["fifty"], 1);
}

#[test]
fn identities_of_all_fragments_count_once_each() {
    let rows = json!([
        row("same", day(1), map("A", 0..40)),
        row("same", day(2), map("A", 10..50)),
        row("more", day(1), map("A", 0..40)),
        row("more", day(2), map("A", 10..51)),
    ]);
    kept(rows, &["same"], 1);
}

#[test]
fn a_fragment_alone_is_judged_as_it_stands_with_repetitions_and_without_nulls() {
    let repeated: Value = (0..51).map(|_| json!({"id": "1"})).collect();
    let nulls: Value = (0..60).map(|n| if n < 50 { json!({"id": n.to_string()}) } else { json!(null) }).collect();
    let rows = json!([
        row("repeated", day(1), json!({"A": repeated})),
        row("nulls", day(1), json!({"A": nulls})),
        row("merged", day(1), json!({"A": repeated})),
        row("merged", day(2), json!(null)),
    ]);
    kept(rows, &["nulls", "merged"], 1);
}

#[test]
fn nulls_are_no_identities_of_a_fragment_beside_events_either() {
    let identities = |count: usize| -> Value {
        (0..60).map(|n| if n < count { json!({"id": n.to_string()}) } else { json!(null) }).collect()
    };
    let rows = [("fifty", 50), ("more", 51)].map(|(id, n)| row(id, day(1), json!({"A": identities(n), "B": [null]})));
    let store = store(json!({"a": profiles(json!({}), json!([rows])), "e": events(json!({}), json!([]))}));
    let asked = request(json!({"fields": "profileId", "additionalFields": {"eventList": {}}}));
    let batch = [json!({"profileId": "fifty", "timeSeriesEvents": []})];
    shows(&store, &asked, json!({"batches": [batch], "tooManyIdentities": 1, "byNamespace": {"A": 1}}));
}

#[test]
fn only_what_would_have_been_exported_is_counted_as_left_out_and_once_for_all_batches() {
    let member = |id: &str, status: &str| {
        let membership = json!({"status": status, "lastQualificationTime": day(1)});
        with(
            row(id, day(5), map("A", 0..51)),
            json!({"segmentMembership": {"ups": {"s": membership, "t": membership}}}),
        )
    };
    let (merged, out) = (member("merged", "realized"), member("out", "exited"));
    let store = store(json!({"a": profiles(json!({}), json!([[member("in", "realized"), merged, merged, out]]))}));
    let segments = json!([{"segmentId": "s"}, {"segmentId": "t"}]);
    let per_batch = json!({"datasetId": "exports", "segmentPerBatch": true});
    let asked = request(json!({"filter": {"segments": segments}, "destination": per_batch}));
    shows(&store, &asked, json!({"batches": [[], []], "rows": 0, "tooManyIdentities": 2}));
    let late = json!({"segments": segments, "fromIngestTimestamp": day(5)});
    shows(&store, &request(json!({"filter": late})), json!({"rows": 0, "tooManyIdentities": 0}));
}

#[test]
fn a_profile_that_is_left_out_takes_no_other_into_its_batches() {
    let member = |id: &str, count: usize, segment: &str| {
        let memberships = json!({"segmentMembership": {"ups": {segment: {"status": "realized"}}}});
        with(row(id, day(1), map("A", 0..count)), memberships)
    };
    let rows = json!([[member("many", 51, "s"), member("few", 1, "t"), member("fifty", 50, "s")]]);
    let destination = json!({"datasetId": "exports", "segmentPerBatch": true});
    let segments = json!({"segments": [{"segmentId": "s"}, {"segmentId": "t"}]});
    let asked = request(json!({"fields": "profileId", "filter": segments, "destination": destination}));
    let batches = json!([[{"profileId": "fifty"}], [{"profileId": "few"}]]);
    for unique in [false, true] {
        let dataset = with(profiles(json!({}), rows.clone()), json!({"unique": unique}));
        shows(&store(json!({"a": dataset})), &asked, json!({"batches": batches, "tooManyIdentities": 1}));
    }
}

#[test]
fn five_hundred_segments_are_judged_in_one_job_with_a_batch_each() {
    let member = |id: &str, segments: &[usize]| {
        let of_segment = |n: &usize| (format!("s{n}"), json!({"status": "realized"}));
        let memberships: Map<_, _> = segments.iter().map(of_segment).collect();
        json!({"profileId": id, "segmentMembership": {"ups": memberships}})
    };
    let (p, q, r) = (member("p", &[0, 499]), member("q", &[499]), member("r", &[500]));
    let store = store(json!({"a": profiles(json!({}), json!([[p, q, r]]))}));
    let segments: Value = (0..500).map(|n| json!({"segmentId": format!("s{n}")})).collect();
    let destination = json!({"datasetId": "exports", "segmentPerBatch": true});
    let mut batches = vec![json!([]); 500];
    (batches[0], batches[499]) = (json!([p]), json!([p, q]));
    let asked = request(json!({"filter": {"segments": segments}, "destination": destination}));
    shows(&store, &asked, json!({"batches": batches, "rows": 3}));
    exports(&store, &request(json!({"filter": {"segments": segments}})), json!([p, q]));
}
