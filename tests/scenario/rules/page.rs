//! The request of AEP's own page.

use super::*;

#[test]
fn the_sample_request_of_the_page_exports_the_members_of_january() {
    let segment = "52c26d0d-45f2-47a2-ab30-ed06abc981ff";
    let member =
        |status: &str, time: &str| json!({"ups": {segment: {"status": status, "lastQualificationTime": time}}});
    let row = |id: &str, time: Value, memberships: Value| {
        let identities = json!({"ECID": [{"id": format!("e-{id}"), "primary": true}], "Email": [{"id": id}]});
        let email = json!({"address": format!("{id}@example.com"), "label": "home"});
        json!({"profileId": id, "ingestTime": time, "identityMap": identities, "personalEmail": email,
            "segmentMembership": memberships})
    };
    let event = |id: &str, time: Value, kind: &str| {
        json!({"profileId": id, "timestamp": day(2), "ingestTime": time,
        "eventType": kind, "identityMap": {"ECID": [{"id": format!("e-{id}")}]}})
    };
    let columns = json!({"personalEmail": {"address": "string", "label": "string"}});
    let store = store(json!({
        "profiles": profiles(columns, json!([[
            row("in", day(9), member("realized", "2018-01-15T12:00:00Z")),
            row("edge", day(9), member("existing", "2018-02-01T00:00:00Z")),
            row("late", day(9), member("realized", "2018-02-01T00:00:00.000001Z")),
            row("out", day(9), member("exited", "2018-01-15T12:00:00Z")),
            row("stale", day(1), member("realized", "2018-01-15T12:00:00Z")),
        ]])),
        "events": events(json!({}), json!([[
            event("in", day(3), "view"), event("in", day(1), "too early"), event("out", day(3), "view"),
            event("nobody", day(3), "view"),
        ]])),
    }));
    let request = json!({
        "fields": "identities.id,personalEmail.address",
        "mergePolicy": {"id": "timestampOrdered-none-mp", "version": 1},
        "filter": {
            "segments": [{"segmentId": segment, "segmentNs": "ups", "status": ["realized"]}],
            "segmentQualificationTime": {"startTime": "2018-01-01T00:00:00Z", "endTime": "2018-02-01T00:00:00Z"},
            "fromIngestTimestamp": "2018-01-01T00:00:00Z",
            "emptyProfiles": true,
        },
        "additionalFields": {"eventList": {"fields": "eventType", "filter": {"fromIngestTimestamp": "2018-01-01T00:00:00Z"}}},
        "destination": {"datasetId": "exports", "segmentPerBatch": false},
        "schema": {"name": "_xdm.context.profile"},
    });
    let shown = |id: &str, kinds: &[&str]| {
        json!({
            "identityMap": {"ECID": [{"id": format!("e-{id}")}], "Email": [{"id": id}]},
            "personalEmail": {"address": format!("{id}@example.com")},
            "timeSeriesEvents": kinds.iter().map(|k| json!({"eventType": k})).collect::<Value>(),
        })
    };
    let expected = json!({
        "batches": [[shown("in", &["view"]), shown("edge", &[])]],
        "rows": 2,
        "byNamespace": {"ECID": 2, "Email": 2},
        "tooManyIdentities": 0,
        "emptyProfiles": 0,
    });
    shows(&store, &request, expected);
}
