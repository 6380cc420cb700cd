//! Merge policies and datasets: what a request's references stand for, and whether they can serve it.

use super::rules::{expect, with};
use super::*;
use domain::registry::{AttributeMerge, Dataset, IdentityGraph, MergePolicy, Segment};
use domain::schema::{Field, Kind};

/// The sample registry with a second, undefaulted policy, a version more of the first, and segments of each.
fn policies() -> Registry {
    let mut registry = fixtures::registry();
    let mut own = fixtures::policy("own", 3);
    (own.default, own.identity_graph) = (false, IdentityGraph::None);
    let older = MergePolicy { version: 2, ..own.clone() };
    registry.policies.extend([own, older, fixtures::policy("by-time", 2)]);
    let segment = |id: &str, policy: Option<&str>| Segment {
        id: id.into(),
        merge_policy_id: policy.map(str::to_owned),
        ..registry.segments[0].clone()
    };
    let more = [segment("own", Some("own")), segment("plain", None), segment("dangling", Some("gone"))];
    registry.segments.extend(more);
    registry
}

#[tokio::test]
async fn a_named_merge_policy_must_be_registered() {
    let policy = |value: Value| with("mergePolicy", value);
    let cases: Vec<(&str, Value, &[&str])> = vec![
        ("by id", policy(json!({"id": "own"})), &[]),
        ("by version", policy(json!({"id": "by-time", "version": 1})), &[]),
        ("the built-in one", policy(json!({"id": "timestampOrdered-none-mp", "version": 1})), &[]),
        ("none", policy(json!({})), &[]),
        ("an unknown id", policy(json!({"id": "theirs"})), &["113014 mergePolicy.id"]),
        ("an unknown version", policy(json!({"id": "own", "version": 9})), &["113014 mergePolicy.version"]),
        ("a blank id", policy(json!({"id": ""})), &["113013 mergePolicy.id"]),
        ("the id is a string", policy(json!({"id": 1})), &["113012 mergePolicy.id"]),
        ("the version is whole, however it is written", policy(json!({"id": "own", "version": 3.0})), &[]),
        (
            "the version is one that there can be",
            policy(json!({"id": "own", "version": 1e10})),
            &["113012 mergePolicy.version"],
        ),
        ("the version is whole", policy(json!({"id": "own", "version": 1.5})), &["113012 mergePolicy.version"]),
        ("the version is not negative", policy(json!({"id": "own", "version": -1})), &["113012 mergePolicy.version"]),
        ("what is unknown is ignored", policy(json!({"name": "theirs", "id": null})), &[]),
        ("a version without an id", policy(json!({"version": 1})), &["113011 mergePolicy.id"]),
        ("a policy is an object", policy(json!("own")), &["113012 mergePolicy"]),
    ];
    expect(&World::with(policies()), cases).await;
}

#[tokio::test]
async fn an_absent_merge_policy_is_that_of_the_segments_or_the_default() {
    let world = World::with(policies());
    let segments = |ids: &[&str]| {
        let entries: Vec<_> = ids.iter().map(|id| json!({ "segmentId": id })).collect();
        with("filter/segments", json!(entries))
    };
    let cases: [(Value, Value); 7] = [
        (smallest(), json!({"id": "by-time", "version": 2})),
        (segments(&["own"]), json!({"id": "own", "version": 3})),
        (segments(&["own", "own"]), json!({"id": "own", "version": 3})),
        (segments(&["gold", "plain", "unregistered"]), json!({"id": "by-time", "version": 2})),
        (segments(&["unregistered"]), json!({"id": "by-time", "version": 2})),
        (with("mergePolicy", json!({"id": "by-time", "version": 1})), json!({"id": "by-time", "version": 1})),
        (with("mergePolicy", json!({"id": "own"})), json!({"id": "own", "version": 3})),
    ];
    for (body, policy) in cases {
        assert_eq!(world.post(&body).await["body"]["mergePolicy"], policy, "{body}");
    }
    let mixed = segments(&["gold", "own"]);
    let mut named = mixed.clone();
    named["mergePolicy"] = json!({"id": "own"});
    let mut misnamed = mixed.clone();
    misnamed["mergePolicy"] = json!({"id": 1});
    expect(
        &world,
        vec![
            ("several policies", mixed, &["113016 mergePolicy.id"]),
            ("the default one among them", segments(&["unregistered", "own"]), &["113016 mergePolicy.id"]),
            ("several policies, one named", named, &[]),
            ("several policies, one named badly", misnamed, &["113012 mergePolicy.id"]),
            ("a segment's policy is gone", segments(&["dangling"]), &["113014 filter.segments[0].segmentId"]),
        ],
    )
    .await;
}

#[tokio::test]
async fn whatever_version_is_marked_the_latest_one_is_the_default() {
    let mut registry = policies();
    let marked = |policy: &MergePolicy| policy.id == "by-time" && policy.version == 1;
    registry.policies.iter_mut().for_each(|policy| policy.default = marked(policy));
    let world = World::with(registry);
    for body in [smallest(), with("filter/segments", json!([{ "segmentId": "gold" }]))] {
        assert_eq!(world.post(&body).await["body"]["mergePolicy"], json!({"id": "by-time", "version": 2}), "{body}");
    }
}

#[tokio::test]
async fn columns_that_no_table_can_hold_are_told() {
    let retyped = |dataset: &str, column: &str, kind: &str| {
        let mut registry = several();
        let dataset = registry.datasets.iter_mut().find(|d| d.id == dataset).unwrap();
        let fields = &mut dataset.copy.as_mut().unwrap().schema.fields;
        fields.retain(|field| field.name != column);
        fields.push(Field { id: 99, name: column.into(), required: false, kind: Kind::Primitive(kind.into()) });
        World::with(registry)
    };
    let with_events = || with("additionalFields/eventList", json!({}));
    let cases: Vec<(World, Value, &[&str])> = vec![
        (retyped("more", "score", "string"), smallest(), &["113019 schema.name"]),
        (retyped("more", "identityMap", "string"), smallest(), &["113019 schema.name"]),
        (retyped("more", "Score", "double"), smallest(), &["113019 schema.name"]),
        (retyped("more", "hobby", "string"), smallest(), &[]),
        (retyped("exports", "score", "string"), smallest(), &["113019 destination.datasetId"]),
        (retyped("exports", "SCORE", "double"), smallest(), &[]),
        (retyped("events", "timestamp", "string"), smallest(), &[]),
        (retyped("events", "timestamp", "string"), with_events(), &["113019 additionalFields.eventList"]),
    ];
    for (world, body, wanted) in cases {
        expect(&world, vec![("columns", body, wanted)]).await;
    }
}

#[tokio::test]
async fn datasets_that_cannot_serve_are_told_with_their_repair() {
    let unfit = |change: fn(&mut Dataset)| {
        let mut registry = fixtures::registry();
        registry.datasets.iter_mut().for_each(change);
        World::with(registry)
    };
    let (target, source) = ("113019 destination.datasetId", "113019 schema.name");
    let cases: [(fn(&mut Dataset), &[&str]); 8] = [
        (|d| d.copy = None, &[target, source]),
        (|d| d.copy.as_mut().unwrap().format_version = 3, &[target, source]),
        (|d| d.copy.as_mut().unwrap().batch_spec_id = None, &[target]),
        (|d| d.copy.as_mut().unwrap().delete_kinds = vec!["position".into(), "deletion vector".into()], &[source]),
        (|d| d.copy.as_mut().unwrap().foreign_formats.push("orc".into()), &[source]),
        (|d| d.copy.as_mut().unwrap().name_mapping_flaw = Some("it is no list".into()), &[source]),
        (|d| d.unique_profiles = false, &[source]),
        (|d| d.columns.profile_id = "customer_id".into(), &[source]),
    ];
    for (change, wanted) in cases {
        expect(&unfit(change), vec![("unfit", smallest(), wanted)]).await;
    }
    let none = Registry { datasets: vec![fixtures::export_dataset()], ..fixtures::registry() };
    expect(&World::with(none), vec![("no profile dataset", smallest(), &[source])]).await;
}

/// Two profile datasets and an event dataset of 16 buckets.
fn several() -> Registry {
    let mut registry = fixtures::registry_with_events();
    let more = Dataset { id: "more".into(), ..registry.datasets[0].clone() };
    registry.datasets.push(more);
    registry
}

#[tokio::test]
async fn delete_files_by_position_and_by_value_are_read() {
    let mut registry = fixtures::registry();
    for dataset in &mut registry.datasets {
        dataset.copy.as_mut().unwrap().delete_kinds = vec!["equality".into(), "position".into()];
    }
    expect(&World::with(registry), vec![("both kinds", smallest(), &[])]).await;
}

#[tokio::test]
async fn merging_needs_the_same_buckets_in_all_datasets_that_take_part() {
    let source: &[&str] = &["113019 schema.name"];
    let events: &[&str] = &["113019 additionalFields.eventList"];
    let with_events = || with("additionalFields/eventList", json!({}));
    let empty = || with("filter/emptyProfiles", json!(true));
    let change = |id: &'static str, buckets: Option<u32>| {
        let mut registry = several();
        let dataset = registry.datasets.iter_mut().find(|d| d.id == id).unwrap();
        dataset.copy.as_mut().unwrap().buckets = buckets;
        World::with(registry)
    };
    let cases: Vec<(World, Value, &[&str])> = vec![
        (World::with(several()), smallest(), &[]),
        (World::with(several()), with_events(), &[]),
        (change("more", None), smallest(), source),
        (change("more", Some(8)), smallest(), source),
        (change("events", None), smallest(), &[]),
        (change("events", None), with_events(), events),
        (change("events", Some(8)), empty(), &["113019 filter.emptyProfiles"]),
        (World::new(), with_events(), events),
        (World::new(), empty(), &[]),
    ];
    for (world, body, wanted) in cases {
        expect(&world, vec![("buckets", body, wanted)]).await;
    }
}

#[tokio::test]
async fn times_are_needed_for_merging_for_the_order_of_events_and_by_who_asks_for_updates() {
    let late = || with("filter/fromIngestTimestamp", json!("2018-01-01T00:00:00Z"));
    let with_events = || with("additionalFields/eventList", json!({}));
    let renamed = |mut registry: Registry, change: fn(&mut Dataset)| {
        registry.datasets.iter_mut().for_each(change);
        World::with(registry)
    };
    let without_updates: fn(&mut Dataset) = |d| d.columns.ingest_time = "updated".into();
    let without_order: fn(&mut Dataset) = |d| d.columns.timestamp = "happened".into();
    let source: &[&str] = &["113019 schema.name"];
    let events: &[&str] = &["113019 additionalFields.eventList"];
    let cases: Vec<(World, Value, &[&str])> = vec![
        (renamed(fixtures::registry(), without_updates), smallest(), &[]),
        (renamed(fixtures::registry(), without_updates), late(), source),
        (renamed(several(), without_updates), smallest(), source),
        (renamed(several(), without_order), smallest(), &[]),
        (renamed(several(), without_order), with_events(), events),
    ];
    for (world, body, wanted) in cases {
        expect(&world, vec![("times", body, wanted)]).await;
    }
}

#[tokio::test]
async fn who_leaves_a_dataset_out_of_the_precedence_leaves_it_out_of_the_export() {
    let mut registry = several();
    let policy = |id: &str, order: &[&str]| MergePolicy {
        id: id.into(),
        attribute_merge: AttributeMerge::DataSetPrecedence { order: order.iter().map(|o| (*o).to_owned()).collect() },
        default: false,
        ..fixtures::policy("p", 1)
    };
    registry.policies.extend([policy("more-first", &["more", "profiles"]), policy("only-more", &["more"])]);
    registry.policies.push(policy("nobody", &[]));
    let world = World::with(registry);
    for (policy, wanted) in
        [("by-time", &["more", "profiles"][..]), ("more-first", &["more", "profiles"]), ("only-more", &["more"])]
    {
        let reply = world.post(&with("mergePolicy", json!({ "id": policy }))).await;
        let sources = world.record(&reply).await.unwrap().job.resolved.sources;
        assert_eq!(sources.iter().map(|s| s.id.as_str()).collect::<Vec<_>>(), wanted, "{policy}");
    }
    let nobody = with("mergePolicy", json!({"id": "nobody"}));
    expect(&world, vec![("no dataset is left", nobody, &["113019 schema.name"])]).await;
}

#[tokio::test]
async fn paths_of_events_are_those_of_the_event_datasets() {
    let fields = |text: &str| with("additionalFields/eventList/fields", json!(text));
    let both: &[&str] = &["113015 additionalFields.eventList.fields"; 2];
    let cases: Vec<(&str, Value, &[&str])> = vec![
        ("known", fields("eventType, timestamp"), &[]),
        ("blank is all", fields(" "), &[]),
        ("of the profile", fields("score,eventType,person.name"), both),
        ("a window", with("additionalFields/eventList/filter/toIngestTimestamp", json!("2018-01-01T00:00:00Z")), &[]),
    ];
    expect(&World::with(several()), cases).await;
}
