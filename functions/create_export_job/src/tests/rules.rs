//! The rules of "Create: the request", one case each.

use super::*;
use domain::registry::DatasetKind;
use domain::schema::Field;

/// The smallest request with the value at a JSON pointer replaced, or removed by null.
pub(super) fn with(pointer: &str, value: Value) -> Value {
    let mut body = smallest();
    let mut at = &mut body;
    let steps: Vec<_> = pointer.split('/').collect();
    for step in &steps[..steps.len() - 1] {
        at = at.as_object_mut().unwrap().entry(*step).or_insert_with(|| json!({}));
    }
    at[steps[steps.len() - 1]] = value;
    body
}

/// Status, and `code path` of every violation, in order.
pub(super) fn verdict(reply: &Value) -> (u64, Vec<String>) {
    let errors = reply["body"]["errors"].as_object().into_iter().flatten();
    let violations = errors.flat_map(|(_, list)| list.as_array().unwrap());
    let brief = violations.map(|violation| {
        let code = violation["code"].as_str().unwrap();
        let (path, _) = violation["message"].as_str().unwrap().split_once(": ").unwrap();
        format!("{} {path}", &code[6..12])
    });
    (status(reply), brief.collect())
}

/// Posts each body to the world; expects exactly these violations, and no job unless there are none.
pub(super) async fn expect(world: &World, cases: Vec<(&str, Value, &[&str])>) {
    for (rule, body, wanted) in cases {
        world.queue.take();
        let reply = world.post(&body).await;
        let (status, found) = verdict(&reply);
        assert_eq!(found, wanted, "{rule}: {reply:#}");
        assert_eq!(status, if wanted.is_empty() { 200 } else { 400 }, "{rule}");
        assert_eq!(world.queue.take().len(), usize::from(wanted.is_empty()), "{rule}");
    }
}

#[tokio::test]
async fn destination_and_schema_are_required() {
    let both: &[&str] = &["113011 destination.datasetId", "113011 schema.name"];
    let cases: Vec<(&str, Value, &[&str])> = vec![
        ("an empty request", json!({}), both),
        ("nulls are absent", json!({"destination": null, "schema": {"name": null}}), both),
        ("no object", json!([]), &["113012 $"]),
        ("a text", json!("{}"), &["113012 $"]),
        ("the id is required", with("destination/datasetId", json!(null)), &["113011 destination.datasetId"]),
        ("a blank id is none", with("destination/datasetId", json!(" ")), &["113011 destination.datasetId"]),
        ("the id is a string", with("destination/datasetId", json!(7)), &["113012 destination.datasetId"]),
        (
            "a destination is an object",
            with("destination", json!("exports")),
            &["113012 destination", "113011 destination.datasetId"],
        ),
        ("the older spelling", json!({"destination": {"dataSetId": "exports"}, "schema": smallest()["schema"]}), &[]),
        ("the newer one goes before it", with("destination/dataSetId", json!("nowhere")), &[]),
        (
            "a path that was sent",
            json!({"destination": {"dataSetId": "nowhere"}, "schema": smallest()["schema"]}),
            &["113014 destination.dataSetId"],
        ),
        ("an unknown dataset", with("destination/datasetId", json!("nowhere")), &["113014 destination.datasetId"]),
        ("a profile dataset", with("destination/datasetId", json!("profiles")), &["113014 destination.datasetId"]),
        ("the only schema", with("schema/name", json!("_xdm.context.other")), &["113013 schema.name"]),
        ("its name is a string", with("schema/name", json!(1)), &["113012 schema.name"]),
        ("unknown properties are ignored", with("anything", json!([1])), &[]),
        (
            "segmentPerBatch is a flag",
            with("destination/segmentPerBatch", json!("true")),
            &["113012 destination.segmentPerBatch"],
        ),
        (
            "segmentPerBatch needs segments",
            with("destination/segmentPerBatch", json!(true)),
            &["113013 destination.segmentPerBatch"],
        ),
        (
            "segments of no use are segments",
            json!({"destination": {"datasetId": "exports", "segmentPerBatch": true}, "schema": smallest()["schema"],
                "filter": {"segments": [{"segmentId": 1}]}}),
            &["113012 filter.segments[0].segmentId"],
        ),
    ];
    expect(&World::new(), cases).await;
}

#[tokio::test]
async fn fields_are_paths_of_the_profile_schema() {
    let cases: Vec<(&str, Value, &[&str])> = vec![
        ("blank is all", with("fields", json!("  ")), &[]),
        ("blank entries are dropped", with("fields", json!(" ,person.name,, ")), &[]),
        ("steps are trimmed", with("fields", json!("person . name")), &[]),
        ("a parent path", with("fields", json!("person")), &[]),
        ("through a list", with("fields", json!("identityMap.ECID.id")), &[]),
        ("the older spelling", with("fields", json!("identities,identities.id")), &[]),
        ("a text", with("fields", json!(["person"])), &["113012 fields"]),
        ("unknown paths, each", with("fields", json!("person.age,score,pets")), &["113015 fields", "113015 fields"]),
        ("below a leaf", with("fields", json!("score.value")), &["113015 fields"]),
        ("an empty step", with("fields", json!("person..name")), &["113015 fields"]),
    ];
    expect(&World::new(), cases).await;
}

#[tokio::test]
async fn an_unknown_path_is_named() {
    for (path, named) in [("pets.name", "pets.name"), ("identities.x", "identityMap.*.x (or identities.x)")] {
        let reply = World::new().post(&with("fields", json!(format!("person.name,{path}")))).await;
        let told = format!("fields: the profile schema has no path {named}.");
        assert_eq!(reply["body"]["errors"]["400"][0]["message"], told);
    }
}

#[tokio::test]
async fn segments_name_a_segment_a_namespace_and_statuses() {
    let segment = |value: Value| with("filter/segments", json!([{"segmentId": "gold"}, value]));
    let cases: Vec<(&str, Value, &[&str])> = vec![
        ("none is all profiles", with("filter/segments", json!([])), &[]),
        ("an unregistered segment", segment(json!({"segmentId": "nobody-knows", "segmentNs": "mine"})), &[]),
        ("all statuses", segment(json!({"segmentId": "s", "status": ["realized", "existing", "exited"]})), &[]),
        ("no status is realized", segment(json!({"segmentId": "s", "status": []})), &[]),
        ("an array", with("filter/segments", json!({"segmentId": "gold"})), &["113012 filter.segments"]),
        ("of objects", segment(json!("gold")), &["113012 filter.segments[1]"]),
        ("the id is required", segment(json!({"segmentNs": "ups"})), &["113011 filter.segments[1].segmentId"]),
        ("a blank id is none", segment(json!({"segmentId": " "})), &["113011 filter.segments[1].segmentId"]),
        ("the id is a string", segment(json!({"segmentId": 1})), &["113012 filter.segments[1].segmentId"]),
        (
            "the namespace is a string",
            segment(json!({"segmentId": "s", "segmentNs": 1})),
            &["113012 filter.segments[1].segmentNs"],
        ),
        (
            "statuses are an array",
            segment(json!({"segmentId": "s", "status": "realized"})),
            &["113012 filter.segments[1].status"],
        ),
        (
            "of known values",
            segment(json!({"segmentId": "s", "status": ["realized", "Exited", 1]})),
            &["113013 filter.segments[1].status[1]", "113013 filter.segments[1].status[2]"],
        ),
        ("a filter is an object", with("filter", json!([])), &["113012 filter"]),
    ];
    expect(&World::new(), cases).await;
}

#[tokio::test]
async fn a_strict_namespace_takes_registered_segments_only() {
    let registry = Registry { strict_namespaces: vec!["UPS".into()], ..fixtures::registry() };
    let segments = |id: &str, ns: Option<&str>| with("filter/segments", json!([{"segmentId": id, "segmentNs": ns}]));
    let cases: Vec<(&str, Value, &[&str])> = vec![
        ("registered", segments("gold", None), &[]),
        ("registered, in any case", segments("gold", Some("Ups")), &[]),
        ("unregistered", segments("silver", None), &["113014 filter.segments[0].segmentId"]),
        ("unregistered elsewhere", segments("silver", Some("mine")), &[]),
        ("a blank one is ups", segments("silver", Some("")), &["113014 filter.segments[0].segmentId"]),
        (
            "behind one of no use",
            with("filter/segments", json!([{"segmentNs": "ups"}, {"segmentId": "silver"}])),
            &["113011 filter.segments[0].segmentId", "113014 filter.segments[1].segmentId"],
        ),
    ];
    expect(&World::with(registry), cases).await;
}

#[tokio::test]
async fn times_are_rfc_3339_and_windows_do_not_run_backwards() {
    let window =
        |start: Value, end: Value| with("filter/segmentQualificationTime", json!({"startTime": start, "endTime": end}));
    let at = "2018-01-01T00:00:00Z";
    let cases: Vec<(&str, Value, &[&str])> = vec![
        ("open", window(json!(null), json!(null)), &[]),
        ("half open", window(json!(null), json!(at)), &[]),
        ("one instant", window(json!(at), json!("2018-01-01T02:00:00.000+02:00")), &[]),
        (
            "backwards",
            window(json!("2018-01-01T00:00:00.001Z"), json!(at)),
            &["113017 filter.segmentQualificationTime"],
        ),
        (
            "backwards by less than a microsecond",
            window(json!("2018-01-01T00:00:00.0000009Z"), json!(at)),
            &["113017 filter.segmentQualificationTime"],
        ),
        (
            "backwards by its offset",
            window(json!(at), json!("2018-01-01T01:00:00+02:00")),
            &["113017 filter.segmentQualificationTime"],
        ),
        (
            "a date is no instant",
            window(json!("2018-01-01"), json!("yesterday")),
            &["113013 filter.segmentQualificationTime.startTime", "113013 filter.segmentQualificationTime.endTime"],
        ),
        (
            "a number is no text",
            window(json!(1_514_764_800_000_i64), json!(at)),
            &["113012 filter.segmentQualificationTime.startTime"],
        ),
        (
            "without an offset",
            with("filter/fromIngestTimestamp", json!("2018-01-01T00:00:00")),
            &["113013 filter.fromIngestTimestamp"],
        ),
        (
            "a day that is none",
            with("filter/fromIngestTimestamp", json!("2018-02-30T00:00:00Z")),
            &["113013 filter.fromIngestTimestamp"],
        ),
        (
            "of events, from",
            with("additionalFields/eventList/filter/fromIngestTimestamp", json!("x")),
            &["113013 additionalFields.eventList.filter.fromIngestTimestamp"],
        ),
        (
            "of events, to",
            with("additionalFields/eventList/filter/toIngestTimestamp", json!(1)),
            &["113012 additionalFields.eventList.filter.toIngestTimestamp"],
        ),
        (
            "of events, backwards",
            with(
                "additionalFields/eventList/filter",
                json!({"fromIngestTimestamp": at, "toIngestTimestamp": "2017-12-31T23:00:00Z"}),
            ),
            &["113017 additionalFields.eventList.filter"],
        ),
    ];
    expect(&World::with(fixtures::registry_with_events()), cases).await;
}

#[tokio::test]
async fn flags_are_true_or_false_and_the_rest_has_its_types() {
    let cases: Vec<(&str, Value, &[&str])> = vec![
        ("false is the default", with("filter/emptyProfiles", json!(false)), &[]),
        ("a text is no flag", with("filter/emptyProfiles", json!("false")), &["113012 filter.emptyProfiles"]),
        ("segmentation", with("evaluationInfo/segmentation", json!(0)), &["113012 evaluationInfo.segmentation"]),
        ("evaluationInfo", with("evaluationInfo", json!(true)), &["113012 evaluationInfo"]),
        ("additionalFields", with("additionalFields", json!("a")), &["113012 additionalFields"]),
        ("eventList", with("additionalFields/eventList", json!([])), &["113012 additionalFields.eventList"]),
        (
            "its fields",
            with("additionalFields/eventList/fields", json!([])),
            &["113012 additionalFields.eventList.fields"],
        ),
        (
            "its filter",
            with("additionalFields/eventList/filter", json!(1)),
            &["113012 additionalFields.eventList.filter"],
        ),
    ];
    expect(&World::with(fixtures::registry_with_events()), cases).await;
}

#[tokio::test]
async fn every_problem_is_listed_at_once() {
    let body = json!({
        "fields": "pets",
        "mergePolicy": { "id": "theirs" },
        "filter": {
            "segments": [{ "segmentNs": "ups" }, { "segmentId": "s", "status": ["gone"] }],
            "segmentQualificationTime": { "startTime": "2019-01-01T00:00:00Z", "endTime": "2018-01-01T00:00:00Z" },
            "fromIngestTimestamp": "then",
        },
        "destination": { "datasetId": "nowhere", "segmentPerBatch": 1 },
        "schema": {},
    });
    insta::assert_json_snapshot!(World::new().post(&body).await);
}

#[tokio::test]
async fn a_request_of_nothing_but_problems_has_an_answer_that_can_be_sent() {
    let statuses = vec![1; 100_000];
    let reply = World::new().post(&with("filter/segments", json!([{"segmentId": "s", "status": statuses}]))).await;
    assert_eq!((status(&reply), reply["body"]["errors"]["400"].as_array().unwrap().len()), (400, 2_000));
    assert_eq!(reply["body"]["title"], "The request is not valid: 100000 problems.");
}

#[tokio::test]
async fn what_is_not_built_yet_is_an_honest_501() {
    let reply = World::new().post(&with("evaluationInfo/segmentation", json!(true))).await;
    assert_eq!(verdict(&reply), (501, vec!["113050 evaluationInfo.segmentation".into()]));
}

/// A profile dataset that has, beside its own, a map so deep that any path of up to 40 steps below `deep` exists.
fn deep() -> Registry {
    let mut kind = json!("string");
    for level in 0..40 {
        kind = json!({"type": "map", "key-id": 1_000 + level, "key": "string", "value-id": 2_000 + level,
            "value-required": false, "value": kind});
    }
    let field = json!({"id": 999, "name": "deep", "required": false, "type": kind});
    let field: Field = serde_json::from_value(field).unwrap();
    let mut registry = fixtures::registry();
    for dataset in registry.datasets.iter_mut().filter(|d| d.kind == DatasetKind::Profile) {
        dataset.copy.as_mut().unwrap().schema.fields.push(field.clone());
    }
    registry
}

#[tokio::test]
async fn limits_are_exact() {
    let segments = |n: usize| {
        let entries: Vec<_> = (0..n).map(|i| json!({"segmentId": format!("s{i}")})).collect();
        with("filter/segments", json!(entries))
    };
    let paths = |n: usize| {
        let paths: Vec<_> = (0..n).map(|i| format!("deep.{i}")).collect();
        with("fields", json!(paths.join(",")))
    };
    let chars = |n: usize| with("fields", json!(format!("deep.{}", "ä".repeat(n - 5))));
    let depth = |n: usize| with("fields", json!(format!("deep{}", ".x".repeat(n - 1))));
    let levels = |n: usize| with("anything", (1..n).fold(json!(1), |below, _| json!([below])));
    let cases: Vec<(&str, Value, &[&str])> = vec![
        ("500 segments", segments(500), &[]),
        ("501 segments", segments(501), &["113018 filter.segments"]),
        ("1,000 paths", paths(1_000), &[]),
        ("1,001 paths", paths(1_001), &["113018 fields"]),
        ("512 characters", chars(512), &[]),
        ("513 characters", chars(513), &["113018 fields"]),
        ("32 steps", depth(32), &[]),
        ("33 steps", depth(33), &["113018 fields"]),
        ("64 levels", levels(64), &[]),
        ("65 levels", levels(65), &["113018 $"]),
    ];
    expect(&World::with(deep()), cases).await;
}

#[tokio::test]
async fn a_body_of_256_kib_is_judged_and_a_byte_more_is_not() {
    let world = World::new();
    let padded = |bytes: usize| {
        let body = smallest().to_string();
        format!("{body}{}", " ".repeat(bytes - body.len()))
    };
    assert_eq!(status(&world.send(&padded(256 * 1024), &[]).await), 200);
    assert_eq!(status(&world.send(&padded(256 * 1024 + 1), &[]).await), 413);
}

#[tokio::test]
async fn a_body_full_of_paths_is_one_problem() {
    let paths: Vec<_> = (0..43_000).map(|n| format!("{n:05}")).collect();
    let reply = World::new().post(&with("fields", json!(paths.join(",")))).await;
    assert_eq!(verdict(&reply), (400, vec!["113018 fields".into()]));
}
