//! Who is a member.

use super::*;

/// Profiles named after what they store of the segment `s`.
fn members() -> Store {
    let row =
        |id: &str, memberships: Value| json!({"profileId": id, "ingestTime": day(5), "segmentMembership": memberships});
    let in_ups = |id: &str, status: &str, time: Value| {
        row(id, json!({"ups": {"s": {"status": status, "lastQualificationTime": time}}}))
    };
    store(json!({"a": profiles(json!({}), json!([[
        in_ups("realized", "realized", day(2)),
        in_ups("existing", "existing", day(3)),
        in_ups("exited", "exited", day(2)),
        in_ups("odd", "Realized", day(2)),
        row("timeless", json!({"UPS": {"s": {"status": "realized"}}})),
        row("elsewhere", json!({"crm": {"s": {"status": "realized"}}, "ups": {"S": {"status": "realized"}}})),
        row("both", json!({"Ups": {"s": {"status": "exited", "lastQualificationTime": day(4)}},
            "uPS": {"s": {"status": "realized", "lastQualificationTime": day(4)}}})),
        row("null", json!({"ups": {"s": null}, "crm": null})),
        row("statusless", json!({"ups": {"s": {"lastQualificationTime": day(2)}}})),
        row("none", json!(null)),
    ]]))}))
}

fn matched(filter: Value, expected: &[&str]) {
    let rows: Value = expected.iter().map(|id| json!({"profileId": id})).collect();
    exports(&members(), &request(json!({"fields": "profileId", "filter": filter})), rows);
}

#[test]
fn without_segments_every_profile_is_exported() {
    let all = ["realized", "existing", "exited", "odd", "timeless", "elsewhere", "both", "null", "statusless", "none"];
    matched(json!({}), &all);
    matched(json!({"segments": []}), &all);
    // A window alone asks for nothing.
    matched(json!({"segmentQualificationTime": {"startTime": day(20)}}), &all);
}

#[test]
fn realized_is_the_default_and_also_means_existing() {
    matched(json!({"segments": [{"segmentId": "s"}]}), &["realized", "existing", "timeless", "both"]);
    matched(json!({"segments": [{"segmentId": "s", "status": []}]}), &["realized", "existing", "timeless", "both"]);
}

#[test]
fn existing_and_exited_mean_only_themselves() {
    matched(json!({"segments": [{"segmentId": "s", "status": ["existing"]}]}), &["existing"]);
    matched(json!({"segments": [{"segmentId": "s", "status": ["exited"]}]}), &["exited", "both"]);
    let both = json!({"segments": [{"segmentId": "s", "status": ["exited", "existing"]}]});
    matched(both, &["existing", "exited", "both"]);
}

#[test]
fn namespaces_compare_without_regard_to_case_and_segments_with_it() {
    matched(json!({"segments": [{"segmentId": "s", "segmentNs": "CRM"}]}), &["elsewhere"]);
    matched(json!({"segments": [{"segmentId": "S"}]}), &["elsewhere"]);
}

#[test]
fn a_profile_of_several_asked_segments_is_exported_once() {
    let segments = json!([{"segmentId": "s", "segmentNs": "crm"}, {"segmentId": "S"}, {"segmentId": "s"}]);
    matched(json!({"segments": segments}), &["realized", "existing", "timeless", "both", "elsewhere"]);
}

#[test]
fn a_window_holds_both_its_ends_and_nothing_without_a_time() {
    let window = |start: Value, end: Value| {
        json!({"segments": [{"segmentId": "s"}],
        "segmentQualificationTime": {"startTime": start, "endTime": end}})
    };
    matched(window(day(2), day(3)), &["realized", "existing"]);
    matched(window(json!("2018-01-02T00:00:00.000001Z"), json!(null)), &["existing", "both"]);
    matched(window(json!(null), json!("2018-01-02T23:59:59.999999Z")), &["realized"]);
    matched(window(json!("2018-01-02T02:00:00+02:00"), json!("2018-01-01T19:00:00-05:00")), &["realized"]);
    // A window without ends is none.
    matched(window(json!(null), json!(null)), &["realized", "existing", "timeless", "both"]);
}

#[test]
fn only_profiles_updated_strictly_after_the_time_are_exported() {
    let row = |id: &str, time: Value| json!({"profileId": id, "ingestTime": time});
    let store = store(json!({"a": profiles(json!({}), json!([[
        row("before", day(1)), row("at", day(2)), row("after", json!("2018-01-02T00:00:00.000001Z")),
        row("never", json!(null)), row("merged", day(1)), row("merged", day(3)),
    ]]))}));
    let expected = json!([row("after", json!("2018-01-02T00:00:00.000001Z")), row("merged", day(3))]);
    exports(&store, &request(json!({"filter": {"fromIngestTimestamp": "2018-01-02T00:00:00Z"}})), expected.clone());
    exports(&store, &request(json!({"filter": {"fromIngestTimestamp": "2018-01-02T03:00:00+03:00"}})), expected);
}

#[test]
fn unique_profiles_too_are_exported_only_if_updated_strictly_after_the_time() {
    let row = |id: &str, time: Value| json!({"profileId": id, "ingestTime": time});
    let after = row("after", json!("2018-01-02T00:00:00.000001Z"));
    let rows = json!([[row("before", day(1)), row("at", day(2)), after, row("never", json!(null))]]);
    let store = store(json!({"a": with(profiles(json!({}), rows), json!({"unique": true}))}));
    exports(&store, &request(json!({"filter": {"fromIngestTimestamp": day(2)}})), json!([after]));
}

#[test]
fn events_do_not_update_a_profile_that_has_a_fragment() {
    let store = store(json!({
        "a": profiles(json!({}), json!([[{"profileId": "p", "ingestTime": day(1)}]])),
        "e": events(json!({}), json!([[{"profileId": "p", "ingestTime": day(9)}]])),
    }));
    let asked = |day| request(json!({"filter": {"fromIngestTimestamp": day, "emptyProfiles": true}}));
    exports(&store, &asked(day(1)), json!([]));
    exports(&store, &asked(json!("2017-12-31T00:00:00Z")), json!([{"profileId": "p", "ingestTime": day(1)}]));
}

#[test]
fn under_precedence_the_update_time_is_the_latest_of_those_that_take_part() {
    let row = |time: Value| json!([[{"profileId": "p", "ingestTime": time}]]);
    let store = store(json!({
        "a": profiles(json!({}), row(day(3))),
        "b": profiles(json!({}), row(day(1))),
        "c": profiles(json!({}), row(day(9))),
    }));
    let asked =
        |time: &str| request(json!({"mergePolicy": {"id": "ordered"}, "filter": {"fromIngestTimestamp": time}}));
    exports(&store, &asked("2018-01-02T00:00:00Z"), json!([{"profileId": "p", "ingestTime": day(3)}]));
    exports(&store, &asked("2018-01-03T00:00:00Z"), json!([]));
}

#[test]
fn the_filter_judges_what_is_not_exported_too() {
    matched(json!({"segments": [{"segmentId": "s"}], "fromIngestTimestamp": day(5)}), &[]);
    let all = ["realized", "existing", "timeless", "both"];
    matched(json!({"segments": [{"segmentId": "s"}], "fromIngestTimestamp": day(4)}), &all);
}
