//! Profiles of events alone.

use super::*;

fn event(id: &str, time: Value, map: Value) -> Value {
    json!({"profileId": id, "timestamp": day(1), "ingestTime": time, "eventType": "view", "identityMap": map})
}

fn known() -> Value {
    profiles(json!({"x": "string"}), json!([[{"profileId": "known", "ingestTime": day(1), "x": "1"}]]))
}

fn with_empty(filter: Value) -> Value {
    request(json!({"filter": with(json!({"emptyProfiles": true}), filter)}))
}

#[test]
fn a_profile_of_events_alone_is_exported_with_its_identities_and_latest_ingestion_if_asked_for() {
    let store = store(json!({
        "a": known(),
        "e": events(json!({}), json!([[
            event("new", day(3), json!({"A": [{"id": "1"}]})),
            event("new", day(4), json!({"A": [{"id": "2"}, null], "B": []})),
            event("known", day(9), json!({"A": [{"id": "3"}]})),
        ]])),
    }));
    let known = json!({"profileId": "known", "ingestTime": day(1), "x": "1"});
    let new =
        json!({"profileId": "new", "ingestTime": day(4), "identityMap": {"A": [{"id": "2"}, {"id": "1"}], "B": []}});
    let expected = json!({"batches": [[known, new]], "emptyProfiles": 0, "byNamespace": {"A": 1}, "rows": 2});
    shows(&store, &with_empty(json!({})), expected);
    // Event datasets take no part: nobody counts.
    shows(&store, &request(json!({})), json!({"batches": [[known]], "emptyProfiles": null}));
}

#[test]
fn identities_of_events_rank_by_ingestion_then_dataset_then_file_then_row() {
    let of = |n: &str| json!({"A": [{"id": n}]});
    let store = store(json!({
        "a": known(),
        "e": events(json!({}), json!([
            [event("new", day(1), of("e0 row 0")), event("new", day(1), of("e0 row 1"))],
            [event("new", json!(null), of("null")), event("new", day(1), of("e1"))],
        ])),
        "f": events(json!({}), json!([[event("new", day(1), of("f")), event("new", day(2), of("late"))]])),
    }));
    let ids = ["late", "e0 row 0", "e0 row 1", "e1", "f", "null"];
    let new = json!({"profileId": "new", "ingestTime": day(2),
        "identityMap": {"A": ids.iter().map(|id| json!({"id": id})).collect::<Value>()}});
    let known = json!({"profileId": "known", "ingestTime": day(1), "x": "1"});
    exports(&store, &with_empty(json!({})), json!([known, new]));
}

#[test]
fn an_empty_profile_matches_no_segment_and_is_not_counted_then() {
    let store = store(json!({"a": known(), "e": events(json!({}), json!([[event("new", day(3), json!(null))]]))}));
    let expected = json!({"batches": [[]], "emptyProfiles": 0});
    shows(&store, &with_empty(json!({"segments": [{"segmentId": "s"}]})), expected.clone());
    let segments = json!({"segments": [{"segmentId": "s"}]});
    let asked = request(json!({"filter": segments, "additionalFields": {"eventList": {}}}));
    shows(&store, &asked, expected);
}

#[test]
fn empty_profiles_that_are_left_out_are_counted_where_events_take_part() {
    let many: Value = (0..51).map(|n| json!({"id": n.to_string()})).collect();
    let store = store(json!({"a": known(), "e": events(json!({}), json!([[
        event("one", day(3), json!(null)), event("one", day(1), json!(null)),
        event("two", day(4), json!({"A": [{"id": "1"}]})),
        event("old", day(2), json!(null)), event("never", json!(null), json!(null)),
        event("many", day(4), json!({"A": many})),
    ]]))}));
    let asked = |empty: bool| {
        request(json!({"additionalFields": {"eventList": {}},
        "filter": {"fromIngestTimestamp": day(2), "emptyProfiles": empty}}))
    };
    shows(&store, &asked(false), json!({"rows": 0, "emptyProfiles": 3, "tooManyIdentities": 0}));
    shows(&store, &asked(true), json!({"rows": 2, "emptyProfiles": 0, "tooManyIdentities": 1}));
}

#[test]
fn all_events_count_for_an_empty_profile_whatever_the_window_of_the_list() {
    let store = store(json!({"a": known(), "e": events(json!({}), json!([[event("new", day(3), json!({"A": []}))]]))}));
    let list = json!({"eventList": {"fields": "eventType", "filter": {"fromIngestTimestamp": day(3)}}});
    let expected = json!([
        {"profileId": "known", "ingestTime": day(1), "x": "1", "timeSeriesEvents": []},
        {"profileId": "new", "ingestTime": day(3), "identityMap": {"A": []}, "timeSeriesEvents": []},
    ]);
    exports(&store, &with(with_empty(json!({})), json!({"additionalFields": list})), expected);
}

#[test]
fn under_none_events_join_by_their_own_identity_and_make_profiles_of_the_rest() {
    let fragment = json!({"profileId": "p", "ingestTime": day(1), "x": "1", "identityMap": {"A": [{"id": "1"}]}});
    let store = store(json!({
        "a": profiles(json!({"x": "string"}), json!([[fragment]])),
        "e": events(json!({}), json!([[
            event("p", day(2), json!({"A": [{"id": "1"}]})),
            event("p", day(3), json!({"A": [{"id": "2"}]})),
            event("p", day(4), json!(null)),
        ]])),
    }));
    let list = json!({"eventList": {"fields": "ingestTime"}});
    let asked = with(with_empty(json!({})), json!({"mergePolicy": {"id": "none"}, "additionalFields": list}));
    let expected = json!([
        with(fragment.clone(), json!({"timeSeriesEvents": [{"ingestTime": day(2)}]})),
        {"profileId": "p", "ingestTime": day(3), "identityMap": {"A": [{"id": "2"}]},
            "timeSeriesEvents": [{"ingestTime": day(3)}]},
        {"profileId": "p", "ingestTime": day(4), "timeSeriesEvents": [{"ingestTime": day(4)}]},
    ]);
    exports(&store, &asked, expected);
}

#[test]
fn empty_profiles_are_projected_like_all_others() {
    let store = store(json!({"a": known(), "e": events(json!({}), json!([[event("new", day(3), json!({"A": []}))]]))}));
    let asked = with(with_empty(json!({})), json!({"fields": "profileId,x"}));
    exports(&store, &asked, json!([{"profileId": "known", "x": "1"}, {"profileId": "new"}]));
}

#[test]
fn events_of_unlisted_profiles_take_part_whatever_the_policy() {
    let store = store(json!({
        "a": known(),
        "c": profiles(json!({}), json!([[{"profileId": "unlisted", "ingestTime": day(1)}]])),
        "e": events(json!({}), json!([[event("unlisted", day(3), json!(null))]])),
    }));
    let asked = with(with_empty(json!({})), json!({"mergePolicy": {"id": "ordered"}}));
    let expected = json!([
        {"profileId": "known", "ingestTime": day(1), "x": "1"},
        {"profileId": "unlisted", "ingestTime": day(3)},
    ]);
    exports(&store, &asked, expected);
}

#[test]
fn without_event_datasets_there_are_no_empty_profiles_and_no_counter() {
    let store = store(json!({"a": known()}));
    shows(&store, &with_empty(json!({})), json!({"rows": 1, "emptyProfiles": null}));
}

#[test]
fn identities_of_events_rank_by_ingestion_under_precedence_too() {
    let of = |n: &str| json!({"A": [{"id": n}]});
    let store = store(json!({
        "a": known(),
        "e": events(json!({}), json!([[event("new", day(1), of("early"))]])),
        "f": events(json!({}), json!([[event("new", day(2), of("late"))]])),
    }));
    let expected = json!([
        {"profileId": "known", "ingestTime": day(1), "x": "1"},
        {"profileId": "new", "ingestTime": day(2), "identityMap": {"A": [{"id": "late"}, {"id": "early"}]}},
    ]);
    exports(&store, &with(with_empty(json!({})), json!({"mergePolicy": {"id": "ordered"}})), expected);
}

#[test]
fn the_identities_of_one_event_alone_stand_as_they_are() {
    let map = json!({"A": [{"id": "1"}, null, {"id": "1"}]});
    let store = store(json!({"a": known(), "e": events(json!({}), json!([[event("new", day(2), map.clone())]]))}));
    let expected = json!([
        {"profileId": "known", "ingestTime": day(1), "x": "1"},
        {"profileId": "new", "ingestTime": day(2), "identityMap": map},
    ]);
    exports(&store, &with_empty(json!({})), expected);
}

#[test]
fn an_empty_profile_has_identities_even_if_no_fragment_could_have_them() {
    let a = json!({"kind": "profile", "columns": {"profileId": "string", "ingestTime": "timestamptz"}});
    let map = json!({"A": [{"id": "1"}]});
    let store = store(json!({"a": a, "e": events(json!({}), json!([[event("new", day(2), map.clone())]]))}));
    let expected = json!([{"profileId": "new", "ingestTime": day(2), "identityMap": map}]);
    shows(&store, &with_empty(json!({})), json!({"batches": [expected], "byNamespace": {"A": 1}}));
}
