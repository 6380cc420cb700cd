//! Who is exported.

use super::layouts::{Layout, laid_out};
use super::table::*;
use crate::Step;
use arrow_json::ReaderBuilder;
use domain::filter::MembershipStatus::{Existing, Exited, Realized};
use domain::plan::Slice;
use parquet::basic::Compression;
use serde_json::{Value, json};
use std::sync::Arc;
use testkit::MemoryObjects;

fn statuses() -> Vec<Value> {
    ["realized", "existing", "exited", "Realized", "", "unknown"]
        .map(|status| member(status, "ups", "s1", status, NOON))
        .to_vec()
}

#[tokio::test]
async fn asking_for_realized_also_means_existing_and_nothing_else() {
    assert_eq!(Job::segment("ups", "s1", &[]).ids(&statuses()).await, ["realized", "existing"]);
    assert_eq!(Job::segment("ups", "s1", &[Realized]).ids(&statuses()).await, ["realized", "existing"]);
    assert_eq!(Job::segment("ups", "s1", &[Existing]).ids(&statuses()).await, ["existing"]);
    assert_eq!(Job::segment("ups", "s1", &[Exited]).ids(&statuses()).await, ["exited"]);
    assert_eq!(
        Job::segment("ups", "s1", &[Exited, Realized]).ids(&statuses()).await,
        ["realized", "existing", "exited"]
    );
}

#[tokio::test]
async fn namespaces_ignore_ascii_case_and_segment_ids_do_not() {
    let rows = [
        member("a", "UPS", "s1", "realized", NOON),
        member("b", "ups", "S1", "realized", NOON),
        member("c", "uPs", "s1", "realized", NOON),
        member("d", "ups2", "s1", "realized", NOON),
    ];
    assert_eq!(Job::segment("Ups", "s1", &[]).ids(&rows).await, ["a", "c"]);
}

#[tokio::test]
async fn both_ends_of_the_window_lie_in_it() {
    let at = |id: &str, time: &str| member(id, "ups", "s1", "realized", time);
    let rows = [
        at("before", "2018-01-01T11:59:59.999999Z"),
        at("start", "2018-01-01T12:00:00Z"),
        at("end", "2018-01-01T13:00:00+00:00"),
        at("after", "2018-01-01T13:00:00.000001Z"),
    ];
    let job = || Job::segment("ups", "s1", &[]);
    let (start, end) = (Some(NOON), Some("2018-01-01T14:00:00+01:00"));
    assert_eq!(job().within(start, end).ids(&rows).await, ["start", "end"]);
    assert_eq!(job().within(start, None).ids(&rows).await, ["start", "end", "after"]);
    assert_eq!(job().within(None, end).ids(&rows).await, ["before", "start", "end"]);
    assert_eq!(job().ids(&rows).await.len(), 4);
}

#[tokio::test]
async fn a_membership_without_a_time_lies_in_no_window_but_the_open_one() {
    let rows = [json!({ "profileId": "a", "segmentMembership": { "ups": { "s1": { "status": "realized" } } } })];
    assert_eq!(Job::segment("ups", "s1", &[]).ids(&rows).await, ["a"]);
    assert!(Job::segment("ups", "s1", &[]).within(Some(NOON), None).ids(&rows).await.is_empty());
    assert!(Job::segment("ups", "s1", &[]).within(None, Some(NOON)).ids(&rows).await.is_empty());
}

#[tokio::test]
async fn whoever_has_no_membership_is_no_member() {
    let rows = [
        json!({ "profileId": "null" }),
        json!({ "profileId": "empty", "segmentMembership": {} }),
        json!({ "profileId": "null namespace", "segmentMembership": { "ups": null } }),
        json!({ "profileId": "empty namespace", "segmentMembership": { "ups": {} } }),
        json!({ "profileId": "null entry", "segmentMembership": { "ups": { "s1": null } } }),
        json!({ "profileId": "null status", "segmentMembership": { "ups": { "s1": { "lastQualificationTime": NOON } } } }),
    ];
    assert!(Job::segment("ups", "s1", &[]).ids(&rows).await.is_empty());
    assert_eq!(Job::fields("profileId").ids(&rows).await.len(), 6);
}

#[tokio::test]
async fn status_and_window_are_judged_on_the_same_entry() {
    let rows = [json!({ "profileId": "a", "segmentMembership": {
        "ups": { "s1": { "status": "exited", "lastQualificationTime": NOON },
                 "s2": { "status": "realized", "lastQualificationTime": "2020-01-01T00:00:00Z" } },
        "UPS": { "s1": { "status": "realized", "lastQualificationTime": "2019-01-01T00:00:00Z" } } } })];
    let mut job = Job::segment("ups", "s1", &[]).within(Some(NOON), Some("2018-06-01T00:00:00Z"));
    assert!(job.ids(&rows).await.is_empty());
    job.filter.segments.push(domain::filter::SegmentEntry::new("s1", "ups", &[Exited]));
    assert_eq!(job.ids(&rows).await, ["a"]);
}

#[tokio::test]
async fn a_member_of_several_segments_is_exported_once() {
    let rows = [json!({ "profileId": "a", "segmentMembership": {
        "ups": { "s1": { "status": "realized" }, "s2": { "status": "realized" } },
        "aam": { "s1": { "status": "realized" } } } })];
    let mut job = Job::segment("ups", "s1", &[]);
    for (namespace, id) in [("ups", "s2"), ("aam", "s1"), ("UPS", "s1")] {
        job.filter.segments.push(domain::filter::SegmentEntry::new(id, namespace, &[]));
    }
    assert_eq!(job.ids(&rows).await, ["a"]);
}

#[tokio::test]
async fn a_window_without_segments_holds_nobody_back() {
    let rows = [json!({ "profileId": "a" })];
    assert_eq!(Job::fields("profileId").within(Some(NOON), Some(NOON)).ids(&rows).await, ["a"]);
}

#[tokio::test]
async fn without_a_membership_column_nobody_is_a_member() {
    let rows = [member("a", "ups", "s1", "realized", NOON)];
    let mut job = Job::segment("ups", "s1", &[]);
    job.source.fields.retain(|f| f.name != "segmentMembership");
    assert!(job.ids(&rows).await.is_empty());
    assert_eq!(job.rows(&rows).await.1.files, []);
}

#[tokio::test]
async fn members_are_found_behind_a_dictionary_that_does_not_know_their_segment() {
    let row = |n: usize| {
        let (namespace, segment) = if n < 3 { ("aam", "other") } else { ("ups", "s1") };
        member(&format!("p{n}"), namespace, segment, "realized", NOON)
    };
    let layout = Layout {
        group_rows: 10,
        page_rows: 1,
        dictionary: Some(1),
        second_version: false,
        compression: Compression::UNCOMPRESSED,
        encoding: None,
        offset_index: true,
    };
    let body = laid_out(&batch(&arrow_schema(&source_schema()), &(0..6).map(row).collect::<Vec<_>>()), layout);
    for unique_profiles in [true, false] {
        let store = MemoryObjects::default();
        let file = put(&store, "a", body.clone()).await;
        let job = Job { unique_profiles, ..Job::segment("ups", "s1", &[]) };
        let ids = ["p3", "p4", "p5"].map(|id| json!({ "profileId": id }));
        assert_eq!(job.files(&store, vec![file]).await.0, ids);
    }
}

#[tokio::test]
async fn in_a_file_that_keeps_no_statuses_nobody_is_a_member() {
    let mut older = json!(source_schema());
    let fields = older.pointer_mut("/fields/3/type/value/value/fields").unwrap().as_array_mut().unwrap();
    fields.retain(|field| field["name"] != "status");
    let older = arrow_schema(&serde_json::from_value(older).unwrap());
    let rows = [json!({ "profileId": "a", "segmentMembership": { "ups": { "s1": { "version": 1 } } } })];
    for unique_profiles in [true, false] {
        let store = MemoryObjects::default();
        let file = put(&store, "a", parquet(&batch(&older, &rows), 10)).await;
        let job = Job { unique_profiles, ..Job::segment("ups", "s1", &[]) };
        assert!(job.files(&store, vec![file]).await.0.is_empty());
    }
}

fn with_identities(id: &str, lists: &[(&str, usize)]) -> Value {
    let map: serde_json::Map<_, _> = lists
        .iter()
        .map(|(namespace, count)| {
            ((*namespace).to_owned(), (0..*count).map(|i| json!({ "id": format!("{namespace}{i}") })).collect())
        })
        .collect();
    json!({ "profileId": id, "identityMap": map })
}

#[tokio::test]
async fn a_profile_with_more_than_50_identities_is_left_out_and_counted() {
    let rows = [
        with_identities("fifty", &[("ECID", 25), ("Email", 25)]),
        with_identities("fifty-one", &[("ECID", 25), ("Email", 26)]),
        with_identities("one list", &[("ECID", 51)]),
    ];
    for paths in ["profileId", "profileId,identityMap", "profileId,identityMap.Email.id"] {
        let (exported, outputs) = Job::fields(paths).rows(&rows).await;
        assert_eq!(exported.len(), 1, "{paths}");
        assert_eq!(exported[0]["profileId"], "fifty");
        assert_eq!((outputs.counts.rows, outputs.counts.too_many_identities), (1, 2));
        assert_eq!(outputs.counts.by_namespace, [("ECID".to_owned(), 1), ("Email".to_owned(), 1)].into());
    }
}

#[tokio::test]
async fn only_members_count_as_left_out() {
    let (exported, outputs) = Job::segment("ups", "s1", &[]).rows(&[with_identities("a", &[("ECID", 51)])]).await;
    assert!(exported.is_empty());
    assert_eq!(outputs.counts.too_many_identities, 0);
}

#[tokio::test]
async fn namespaces_count_the_exported_profiles_that_hold_an_identity_in_them() {
    let rows = [
        with_identities("a", &[("ECID", 2), ("Email", 0)]),
        with_identities("b", &[("ECID", 1), ("email", 1)]),
        json!({ "profileId": "c", "identityMap": { "Phone": [null], "ECID": null } }),
        json!({ "profileId": "d" }),
    ];
    let (exported, outputs) = Job::fields("profileId").rows(&rows).await;
    assert_eq!(exported.len(), 4);
    assert_eq!(outputs.counts.by_namespace, [("ECID".to_owned(), 2), ("email".to_owned(), 1)].into());
}

#[tokio::test]
async fn what_a_map_holds_twice_is_judged_each_time_and_counted_once() {
    let row = r#"{ "profileId": "a", "identityMap": { "ECID": [{ "id": "1" }], "ECID": [{ "id": "2" }] },
        "segmentMembership": {
            "ups": { "s1": { "status": "exited", "lastQualificationTime": "2019-01-01T00:00:00Z" } },
            "ups": { "s1": { "status": "realized", "lastQualificationTime": "2018-01-01T00:00:00Z" } } } }"#;
    let mut decoder = ReaderBuilder::new(Arc::new(arrow_schema(&source_schema()))).build_decoder().unwrap();
    decoder.decode(row.as_bytes()).unwrap();
    let body = parquet(&decoder.flush().unwrap().unwrap(), 10);
    for unique_profiles in [true, false] {
        let store = MemoryObjects::default();
        let file = put(&store, "a", body.clone()).await;
        let job = Job { unique_profiles, ..Job::segment("ups", "s1", &[]) };
        let counts = job.export(&store, vec![file], |_| Step::Continue).await.unwrap().counts;
        assert_eq!((counts.rows, counts.by_namespace), (1, [("ECID".to_owned(), 1)].into()));
    }
}

#[tokio::test]
async fn the_slices_of_a_part_export_each_profile_once() {
    let row = |n: u32| member(&format!("p{}", n % 90), "ups", "s1", "realized", NOON);
    let rows: Vec<_> = (0..200).map(row).collect();
    let mut job = Job { unique_profiles: false, ..Job::segment("ups", "s1", &[]) };
    let mut found = Vec::new();
    for remainder in 0..4 {
        job.slice = Some(Slice { buckets: 2, modulus: 4, remainder });
        let ids = job.ids(&rows).await;
        assert!(ids.len() > 5, "{ids:?}");
        found.extend(ids);
    }
    found.sort();
    let mut all: Vec<_> = (0..90).map(|n| format!("p{n}")).collect();
    all.sort();
    assert_eq!(found, all);
}
