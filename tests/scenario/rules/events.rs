//! The column `timeSeriesEvents`.

use super::*;

fn known(ids: &[&str]) -> Value {
    let rows: Value = ids.iter().map(|id| json!({"profileId": id, "ingestTime": day(1)})).collect();
    profiles(json!({}), json!([rows]))
}

fn event(id: &str, timestamp: Value, ingest: Value, kind: &str) -> Value {
    json!({"profileId": id, "timestamp": timestamp, "ingestTime": ingest, "eventType": kind})
}

fn listed(list: Value) -> Value {
    request(json!({"fields": "profileId", "additionalFields": {"eventList": list}}))
}

fn types(id: &str, kinds: &[&str]) -> Value {
    json!({"profileId": id, "timeSeriesEvents": kinds.iter().map(|k| json!({"eventType": k})).collect::<Value>()})
}

#[test]
fn events_of_exported_profiles_go_along_whole_in_order_of_time() {
    let store = store(json!({
        "a": known(&["p", "q"]),
        "e": events(json!({"web": {"page": "string"}}), json!([[
            with(event("p", day(3), day(5), "third"), json!({"web": {"page": "x"}})),
            event("p", day(1), day(6), "first"),
            with(event("p", day(2), day(4), "second"), json!({"identityMap": {"A": [null, {"id": "1"}]}})),
            event("other", day(2), day(4), "nobody's"),
        ]])),
    }));
    let expected = json!([
        {"profileId": "p", "timeSeriesEvents": [
            event("p", day(1), day(6), "first"),
            with(event("p", day(2), day(4), "second"), json!({"identityMap": {"A": [null, {"id": "1"}]}})),
            with(event("p", day(3), day(5), "third"), json!({"web": {"page": "x"}})),
        ]},
        {"profileId": "q", "timeSeriesEvents": []},
    ]);
    shows(&store, &listed(json!({})), json!({"batches": [expected], "emptyProfiles": 1}));
    // Without a list the column is null.
    exports(&store, &request(json!({"fields": "profileId"})), json!([{"profileId": "p"}, {"profileId": "q"}]));
}

#[test]
fn ties_of_events_go_by_dataset_then_file_then_row_and_those_without_a_time_come_first() {
    let tie = |kind: &str| event("p", day(2), day(1), kind);
    let store = store(json!({
        "a": known(&["p"]),
        "e": events(json!({}), json!([
            [tie("e0 row 0"), tie("e0 row 1")],
            [tie("e1"), event("p", json!(null), day(9), "timeless"), event("p", day(1), day(1), "early")],
        ])),
        "f": events(json!({}), json!([[tie("f"), event("p", json!(null), day(1), "timeless f")]])),
    }));
    let kinds = ["timeless", "timeless f", "early", "e0 row 0", "e0 row 1", "e1", "f"];
    exports(&store, &listed(json!({"fields": "eventType"})), json!([types("p", &kinds)]));
}

#[test]
fn the_window_is_of_ingestion_and_holds_neither_of_its_ends() {
    let store = store(json!({"a": known(&["p"]), "e": events(json!({}), json!([[
        event("p", day(1), day(1), "1"), event("p", day(2), day(2), "2"), event("p", day(3), day(3), "3"),
        event("p", day(4), json!(null), "never"),
    ]]))}));
    let asked = |filter: Value| listed(json!({"fields": "eventType", "filter": filter}));
    let all = json!([types("p", &["1", "2", "3", "never"])]);
    exports(&store, &asked(json!({})), all.clone());
    exports(&store, &listed(json!({"fields": "eventType"})), all);
    exports(&store, &asked(json!({"fromIngestTimestamp": day(1)})), json!([types("p", &["2", "3"])]));
    exports(&store, &asked(json!({"toIngestTimestamp": day(3)})), json!([types("p", &["1", "2"])]));
    let both = json!({"fromIngestTimestamp": day(1), "toIngestTimestamp": day(3)});
    exports(&store, &asked(both), json!([types("p", &["2"])]));
    let none = json!({"fromIngestTimestamp": day(3), "toIngestTimestamp": day(3)});
    exports(&store, &asked(none), json!([types("p", &[])]));
}

#[test]
fn the_profiles_own_lower_end_holds_for_events_unless_the_list_has_one() {
    let store = store(json!({
        "a": profiles(json!({}), json!([[{"profileId": "p", "ingestTime": day(9)}]])),
        "e": events(json!({}), json!([[
            event("p", day(1), day(1), "1"), event("p", day(2), day(2), "2"), event("p", day(3), day(3), "3"),
            event("p", day(4), json!(null), "never"),
        ]])),
    }));
    let asked = |filter: Value| {
        with(
            listed(json!({"fields": "eventType", "filter": filter})),
            json!({"filter": {"fromIngestTimestamp": day(2)}}),
        )
    };
    exports(&store, &asked(json!({})), json!([types("p", &["3"])]));
    exports(&store, &asked(json!({"toIngestTimestamp": day(3)})), json!([types("p", &[])]));
    exports(&store, &asked(json!({"fromIngestTimestamp": day(1)})), json!([types("p", &["2", "3"])]));
}

#[test]
fn events_are_projected_by_paths_relative_to_the_event() {
    let rows = json!([[with(
        event("p", day(1), day(1), "view"),
        json!({
            "web": {"page": "x", "site": "y"}, "items": [{"sku": "1", "count": 2}, null], "tags": {"a": {"v": 1, "w": 2}},
            "identityMap": {"A": [{"id": "1", "primary": true}]},
        })
    )]]);
    let columns = json!({"web": {"page": "string", "site": "string"}, "items": [{"sku": "string", "count": "int"}],
        "tags": {"*": {"v": "int", "w": "int"}}});
    let store = store(json!({"a": known(&["p"]), "e": events(columns, rows)}));
    let asked = |fields: &str| listed(json!({"fields": fields}));
    let event = |event: Value| json!([{"profileId": "p", "timeSeriesEvents": [event]}]);
    exports(&store, &asked("web.page, eventType"), event(json!({"web": {"page": "x"}, "eventType": "view"})));
    exports(&store, &asked("items.sku"), event(json!({"items": [{"sku": "1"}, null]})));
    exports(&store, &asked("tags.a.v"), event(json!({"tags": {"a": {"v": 1}}})));
    exports(
        &store,
        &asked("tags.*.w,identityMap.*.id"),
        event(json!({"tags": {"a": {"w": 2}}, "identityMap": {"A": [{"id": "1"}]}})),
    );
}

#[test]
fn events_of_several_datasets_have_the_columns_of_all() {
    let store = store(json!({
        "a": known(&["p"]),
        "e": events(json!({"n": "int", "s": {"x": "string"}}), json!([[with(event("p", day(1), day(1), "e"), json!({"n": 1, "s": {"x": "1"}}))]])),
        "f": events(json!({"n": "long", "s": {"y": "string"}}), json!([[with(event("p", day(2), day(1), "f"), json!({"n": 2, "s": {"y": "2"}}))]])),
    }));
    let events = json!([{"n": 1, "s": {"x": "1"}}, {"n": 2, "s": {"y": "2"}}]);
    exports(&store, &listed(json!({"fields": "n,s"})), json!([{"profileId": "p", "timeSeriesEvents": events}]));
    // A path that one of them lacks.
    let events = json!([{"s": {}}, {"s": {"y": "2"}}]);
    exports(&store, &listed(json!({"fields": "s.y"})), json!([{"profileId": "p", "timeSeriesEvents": events}]));
}

#[test]
fn events_do_not_make_members_and_go_into_every_batch_of_their_profile() {
    let row = json!({"profileId": "p", "ingestTime": day(1), "segmentMembership": {"ups": {"s": {"status": "realized"}, "t": {"status": "realized"}}}});
    let store = store(json!({
        "a": profiles(json!({}), json!([[row, {"profileId": "q", "ingestTime": day(1)}]])),
        "e": events(json!({}), json!([[event("p", day(1), day(1), "p"), event("q", day(1), day(1), "q")]])),
    }));
    let asked = with(
        listed(json!({"fields": "eventType"})),
        json!({
            "filter": {"segments": [{"segmentId": "s"}, {"segmentId": "t"}, {"segmentId": "u"}]},
            "destination": {"datasetId": "exports", "segmentPerBatch": true},
        }),
    );
    let p = types("p", &["p"]);
    shows(&store, &asked, json!({"batches": [[p], [p], []], "emptyProfiles": 0}));
}

#[test]
fn events_without_a_matching_identity_stay_away_under_none() {
    let row = |id: &str| json!({"profileId": "p", "ingestTime": day(1), "identityMap": {"A": [{"id": id}]}});
    let of = |id: &str, kind: &str| with(event("p", day(1), day(1), kind), json!({"identityMap": {"A": [{"id": id}]}}));
    let store = store(json!({
        "a": profiles(json!({}), json!([[row("1"), row("2")]])),
        "e": events(json!({}), json!([[of("1", "one"), of("3", "three"), event("p", day(1), day(1), "nobody's")]])),
    }));
    let asked =
        with(listed(json!({"fields": "eventType"})), json!({"fields": "identityMap", "mergePolicy": {"id": "none"}}));
    let expected = json!([
        {"identityMap": {"A": [{"id": "1"}]}, "timeSeriesEvents": [{"eventType": "one"}]},
        {"identityMap": {"A": [{"id": "2"}]}, "timeSeriesEvents": []},
    ]);
    shows(&store, &asked, json!({"batches": [expected], "emptyProfiles": 2}));
}
