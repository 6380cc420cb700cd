//! The union of memberships.

use super::*;

fn united(latest: Value, earlier: Value, expected: Value) {
    let row = |time: Value, map: Value| json!({"profileId": "p", "ingestTime": time, "segmentMembership": map});
    let mut merged = row(day(9), expected);
    if merged["segmentMembership"].is_null() {
        merged.as_object_mut().unwrap().remove("segmentMembership");
    }
    let store = store(json!({"a": profiles(json!({}), json!([[row(day(8), earlier), row(day(9), latest)]]))}));
    exports(&store, &request(json!({})), json!([merged]));
}

fn at(time: Value, status: &str) -> Value {
    json!({"lastQualificationTime": time, "status": status})
}

#[test]
fn of_each_segment_the_later_membership_is_taken_whole() {
    united(
        json!({"ups": {"s": at(day(1), "realized"), "t": {"lastQualificationTime": day(2)}}}),
        json!({"ups": {"s": at(day(2), "exited"), "t": at(day(1), "realized"), "u": at(day(1), "existing")}}),
        json!({"ups": {"s": at(day(2), "exited"), "t": {"lastQualificationTime": day(2)}, "u": at(day(1), "existing")}}),
    );
}

#[test]
fn a_membership_without_a_time_is_the_earliest_and_ties_go_by_rank() {
    united(
        json!({"ups": {"s": {"status": "realized"}, "t": at(day(1), "realized"), "u": {"status": "realized"}}}),
        json!({"ups": {"s": at(day(1), "exited"), "t": at(day(1), "exited"), "u": {"status": "exited"}}}),
        json!({"ups": {"s": at(day(1), "exited"), "t": at(day(1), "realized"), "u": {"status": "realized"}}}),
    );
}

#[test]
fn a_membership_that_is_null_loses_to_any_other_and_stays_alone() {
    united(
        json!({"ups": {"s": null, "t": null}}),
        json!({"ups": {"s": {}, "t": null}}),
        json!({"ups": {"s": {}, "t": null}}),
    );
}

#[test]
fn namespaces_and_segments_that_differ_in_case_are_different() {
    united(
        json!({"ups": {"s": at(day(1), "realized")}}),
        json!({"UPS": {"s": at(day(2), "exited")}, "ups": {"S": at(day(3), "exited")}}),
        json!({"ups": {"s": at(day(1), "realized"), "S": at(day(3), "exited")}, "UPS": {"s": at(day(2), "exited")}}),
    );
}

#[test]
fn null_maps_count_only_where_all_are_null() {
    united(
        json!({"a": null, "b": null, "c": {}}),
        json!({"a": {}, "b": null, "c": null, "d": {"s": at(day(1), "realized")}}),
        json!({"a": {}, "b": null, "c": {}, "d": {"s": at(day(1), "realized")}}),
    );
    united(json!(null), json!({}), json!({}));
    united(json!(null), json!(null), json!(null));
}

#[test]
fn the_filter_judges_the_united_memberships() {
    let row =
        |id: &str, time, m: Value| json!({"profileId": id, "ingestTime": time, "segmentMembership": {"ups": {"s": m}}});
    let store = store(json!({"a": profiles(json!({}), json!([[
        row("left", day(9), at(day(1), "realized")),
        row("left", day(1), at(day(2), "exited")),
        row("came", day(9), at(day(1), "exited")),
        row("came", day(1), at(day(2), "realized")),
    ]]))}));
    let expected = json!([row("came", day(9), at(day(2), "realized"))]);
    exports(&store, &request(json!({"filter": {"segments": [{"segmentId": "s"}]}})), expected);
}

#[test]
fn the_filter_unites_as_the_export_does_where_times_tie_or_are_missing() {
    let row =
        |id: &str, time, m: Value| json!({"profileId": id, "ingestTime": time, "segmentMembership": {"ups": {"s": m}}});
    let timeless = |status: &str| json!({"status": status});
    let store = store(json!({"a": profiles(json!({}), json!([[
        row("tie came", day(1), at(day(1), "exited")),
        row("tie came", day(9), at(day(1), "realized")),
        row("tie left", day(1), at(day(1), "realized")),
        row("tie left", day(9), at(day(1), "exited")),
        row("tie left first", day(9), at(day(1), "exited")),
        row("tie left first", day(1), at(day(1), "realized")),
        row("timed", day(1), at(day(1), "realized")),
        row("timed", day(9), timeless("exited")),
        row("statusless", day(1), at(day(1), "realized")),
        row("statusless", day(9), json!({"lastQualificationTime": day(2)})),
        row("there", day(1), timeless("realized")),
        row("there", day(9), json!(null)),
    ]]))}));
    let asked = request(json!({"fields": "profileId", "filter": {"segments": [{"segmentId": "s"}]}}));
    let expected = ["tie came", "timed", "there"].iter().map(|id| json!({"profileId": id})).collect();
    exports(&store, &asked, expected);
}

#[test]
fn the_filter_judges_each_segment_and_each_spelling_of_its_namespace_by_itself() {
    let row = |id: &str, time, map: Value| json!({"profileId": id, "ingestTime": time, "segmentMembership": map});
    let store = store(json!({"a": profiles(json!({}), json!([[
        row("segments", day(1), json!({"ups": {"s": at(day(1), "realized")}})),
        row("segments", day(2), json!({"ups": {"t": at(day(2), "exited")}})),
        row("spellings", day(1), json!({"UPS": {"s": at(day(1), "realized")}})),
        row("spellings", day(2), json!({"ups": {"s": at(day(2), "exited")}})),
    ]]))}));
    let segments = json!([{"segmentId": "s"}, {"segmentId": "t"}]);
    let asked = request(json!({"fields": "profileId", "filter": {"segments": segments}}));
    exports(&store, &asked, json!([{"profileId": "segments"}, {"profileId": "spellings"}]));
}

#[test]
fn a_united_membership_without_a_time_lies_in_no_window() {
    let row = |time| json!({"profileId": "p", "ingestTime": time, "segmentMembership": {"ups": {"s": {"status": "realized"}}}});
    let store = store(json!({"a": profiles(json!({}), json!([[row(day(1)), row(day(2))]]))}));
    let asked = |window: Value| {
        request(json!({"filter": {"segments": [{"segmentId": "s"}], "segmentQualificationTime": window}}))
    };
    exports(&store, &asked(json!({})), json!([row(day(2))]));
    exports(&store, &asked(json!({"endTime": day(9)})), json!([]));
    exports(&store, &asked(json!({"startTime": day(1)})), json!([]));
}

#[test]
fn under_precedence_the_filter_unites_by_the_order_of_datasets() {
    let rows = |time, status: &str| {
        let map = json!({"ups": {"s": at(day(1), status)}});
        json!([[{"profileId": "p", "ingestTime": time, "segmentMembership": map}]])
    };
    let store = store(json!({
        "a": profiles(json!({}), rows(day(9), "realized")),
        "b": profiles(json!({}), rows(day(2), "exited")),
    }));
    let asked = |policy: &str| {
        let filter = json!({"segments": [{"segmentId": "s"}]});
        request(json!({"fields": "profileId", "mergePolicy": {"id": policy}, "filter": filter}))
    };
    exports(&store, &asked("ordered"), json!([]));
    exports(&store, &asked("pdg"), json!([{"profileId": "p"}]));
}
