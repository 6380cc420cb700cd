//! Export tables that grow with their datasets.

use super::*;
use crate::glue::GlueError;
use crate::twin::Fault;
use domain::job::Widening;
use domain::ports::lake::{AppendOnce, Appended, WidenTables, Widened};
use domain::ports::objects::Location;
use iceberg::spec::Schema as Stored;

const NESTED: &str = r#"{"type":"struct","schema-id":0,"identifier-field-ids":[],"fields":[
    {"id":1,"name":"profileId","required":false,"type":"string","doc":"whose"},
    {"id":2,"name":"person","required":false,"type":{"type":"struct","fields":[
        {"id":3,"name":"name","required":false,"type":{"type":"struct","fields":[
            {"id":4,"name":"first","required":false,"type":"string","doc":"given"}]}}]}},
    {"id":5,"name":"orders","required":false,"type":{"type":"list","element-id":6,"element-required":false,
        "element":{"type":"struct","fields":[{"id":7,"name":"price","required":false,"type":"decimal(38, 2)"}]}}},
    {"id":8,"name":"devices","required":false,"type":{"type":"map","key-id":9,"key":"string","value-id":10,
        "value-required":false,"value":{"type":"struct","fields":[
            {"id":11,"name":"seen","required":false,"type":"timestamptz"}]}}},
    {"id":13,"name":"visits","required":false,"type":{"type":"map","key-id":14,"key":{"type":"struct","fields":[
        {"id":15,"name":"city","required":true,"type":"string"}]},"value-id":16,"value-required":false,"value":"long"}},
    {"id":12,"name":"batchId","required":true,"type":"string"}]}"#;

/// An export table of these columns with one committed batch, and how it stands.
async fn with_nested() -> (TestLake, TableState) {
    let lake = with_exports().await;
    let stored: Stored = serde_json::from_str(NESTED).unwrap();
    let fresh = lake.catalog();
    lake.glue.drop_table(&exports());
    let creation = iceberg::TableCreation::builder()
        .name("exports".into())
        .location("s3://lake/nested".into())
        .partition_spec(
            iceberg::spec::UnboundPartitionSpec::builder()
                .add_partition_field(12, "batchId", iceberg::spec::Transform::Identity)
                .unwrap()
                .build(),
        )
        .schema(stored)
        .build();
    fresh.create_table(crate::catalog::ident(&exports()).namespace(), creation).await.unwrap();
    let state = look(&lake, &exports()).await;
    lake.append(&commit(1, &[1], &state), || async { true }).await.unwrap();
    let state = look(&lake, &exports()).await;
    (lake, state)
}

/// An attempt at widening the table, and what it told.
async fn attempt(lake: &TestLake, state: &TableState, wanted: &str) -> (Result<Widened, LakeError>, Option<Widening>) {
    let mut told = None;
    let (slot, uuid) = (&mut told, uuid::Uuid::new_v4().to_string());
    let tell = |widening| async move {
        *slot = Some(widening);
        true
    };
    let widened = lake.widen(&exports(), &state.copy.table_uuid, &wanted_columns(wanted), &uuid, tell).await;
    let is_named_by_it = told.as_ref().is_none_or(|widening| widening.metadata_file.contains(&uuid));
    assert!(is_named_by_it, "{told:?}");
    (widened, told)
}

/// One that nobody comes between.
async fn widen(lake: &TestLake, state: &TableState, wanted: &str) -> Result<TableState, LakeError> {
    match attempt(lake, state, wanted).await.0? {
        Widened::Stands(state) => Ok(state),
        other => panic!("{other:?}"),
    }
}

/// Whether an attempt's file is there.
fn is_written(lake: &TestLake, widening: &Widening) -> bool {
    let at = Location::parse(&widening.metadata_file).unwrap();
    lake.objects.inspect(|objects| objects.contains_key(&at))
}

/// Columns in short: `{"a": "long", "b": ["string"], "c": {"*": "date"}, "d": {"e": "string"}}`.
fn wanted_columns(short: &str) -> Schema {
    use domain::schema::{Field, Kind, Nested};
    fn fields(of: &serde_json::Value) -> Vec<Field> {
        let field =
            |(name, below): (&String, &_)| Field { id: 1, name: name.clone(), required: false, kind: kind(below) };
        of.as_object().unwrap().iter().map(field).collect()
    }
    fn kind(of: &serde_json::Value) -> Kind {
        match of {
            serde_json::Value::String(name) => Kind::Primitive(name.clone()),
            serde_json::Value::Array(element) => Kind::list_of(kind(&element[0])),
            map if map.get("*").is_some() => {
                let key = map.get("key").map_or(Kind::Primitive("string".into()), kind);
                Kind::map_of(key, kind(&map["*"]))
            }
            of => Kind::Nested(Nested::Struct { fields: fields(of) }),
        }
    }
    Schema { schema_id: 0, fields: fields(&serde_json::from_str(short).unwrap()) }
}

/// Every field of a stored schema by its full name: id, type, whether it is required, doc.
async fn stored_fields(lake: &TestLake) -> Vec<(String, i32, String)> {
    let judged = lake.judge(&exports()).await.unwrap();
    let schema = judged.table().metadata().current_schema().clone();
    let mut all: Vec<_> = schema.field_id_to_fields().iter().collect();
    all.sort_by_key(|(id, _)| **id);
    let shown = |f: &iceberg::spec::NestedField| {
        let kind = f.field_type.as_primitive_type().map(ToString::to_string).unwrap_or_default();
        format!("{kind} {} {:?}", f.required, f.doc)
    };
    all.iter().map(|(id, f)| (schema.name_by_field_id(**id).unwrap().to_owned(), **id, shown(f))).collect()
}

#[tokio::test]
async fn nothing_is_written_where_nothing_is_lacking() {
    let (lake, state) = with_nested().await;
    let written = lake.glue.versions();
    for wanted in [
        "{}",
        r#"{"batchId": "string", "profileId": "string"}"#,
        r#"{"visits": {"key": {"city": "string"}, "*": "long"}}"#,
        r#"{"orders": [{"price": "decimal(38,2)"}], "devices": {"*": {"seen": "timestamptz"}}}"#,
    ] {
        assert_eq!(widen(&lake, &state, wanted).await.unwrap(), state, "{wanted}");
    }
    assert_eq!(lake.glue.versions(), written);
}

#[tokio::test]
async fn what_is_lacking_is_added_at_any_depth_and_what_stands_stays() {
    let (lake, state) = with_nested().await;
    let before = stored_fields(&lake).await;
    let wanted = r#"{
        "score": "double",
        "person": {"birthDate": "date", "name": {"last": "string"}},
        "orders": [{"items": [{"sku": "string"}]}],
        "devices": {"*": {"tags": {"*": "long"}}}
    }"#;
    let after = widen(&lake, &state, wanted).await.unwrap();
    assert_eq!(after, look(&lake, &exports()).await);
    assert_eq!((after.snapshot_id, after.copy.batch_spec_id), (state.snapshot_id, state.copy.batch_spec_id));
    let top: Vec<_> = after.copy.schema.fields.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(top, ["profileId", "person", "orders", "devices", "visits", "batchId", "score"]);

    let stored = stored_fields(&lake).await;
    let (kept, added) = stored.split_at(before.len());
    assert_eq!(kept, before);
    assert!(added.iter().all(|(_, id, _)| *id > 16));
    let mut added: Vec<_> = added.iter().map(|(name, _, shown)| (name.as_str(), shown.as_str())).collect();
    added.sort();
    assert_eq!(
        added,
        [
            ("devices.value.tags", " false None"),
            ("devices.value.tags.key", "string true None"),
            ("devices.value.tags.value", "long false None"),
            ("orders.element.items", " false None"),
            ("orders.element.items.element", " false None"),
            ("orders.element.items.element.sku", "string false None"),
            ("person.birthDate", "date false None"),
            ("person.name.last", "string false None"),
            ("score", "double false None"),
        ]
    );
    // A job that was planned before still commits, and so does one that was planned since.
    for (job, state) in [(2, &state), (3, &after)] {
        let appended = lake.append(&commit(job, &[u128::from(job)], state), || async { true }).await;
        assert_eq!(appended.unwrap(), Appended::Visible);
    }
    assert_eq!(live_files(&lake, &exports()).await.len(), 3);
}

#[tokio::test]
async fn a_field_that_stands_with_another_type_is_refused_by_its_path_and_both_types() {
    let (lake, state) = with_nested().await;
    let written = lake.glue.versions();
    for (wanted, told) in [
        (r#"{"profileId": "long"}"#, "profileId as long, and has it as string"),
        (r#"{"person": ["string"]}"#, "person as a list, and has it as a struct"),
        (r#"{"person": {"name": "string"}}"#, "person.name as string, and has it as a struct"),
        (
            r#"{"orders": [{"price": "decimal(38, 3)"}]}"#,
            "orders[].price as decimal(38, 3), and has it as decimal(38, 2)",
        ),
        (r#"{"devices": {"*": {"seen": "date"}}}"#, "devices.*.seen as date, and has it as timestamptz"),
        (r#"{"devices": {"key": "long", "*": {}}}"#, "as long, and has it as string"),
        (
            r#"{"visits": {"key": {"city": "string", "zip": "string"}, "*": "long"}}"#,
            "visits, its key, with further fields",
        ),
        (r#"{"new": "string", "ProfileId": "string"}"#, "ProfileId, and profileId, which catalogs take for the same"),
        (r#"{"new": "varchar"}"#, "the type varchar"),
    ] {
        let sentence = refusal(widen(&lake, &state, wanted).await);
        assert!(sentence.contains(told), "{wanted}: {sentence}");
    }
    assert_eq!(lake.glue.versions(), written);
}

#[tokio::test]
async fn two_that_widen_at_once_both_get_their_fields_and_no_id_twice() {
    let (lake, state) = with_nested().await;
    let theirs = Lake::new(lake.glue.fork(), lake.objects.clone());
    widen(&theirs, &state, r#"{"score": "double", "theirs": "string"}"#).await.unwrap();
    let moved = theirs.glue.table(&exports()).await.unwrap().input;
    lake.glue.overtake_next_update(&exports(), moved);
    let (ours, _) = attempt(&lake, &state, r#"{"score": "double"}"#).await;
    assert_eq!(ours.unwrap(), Widened::Conflict);
    let after = widen(&lake, &state, r#"{"ours": "date", "score": "double"}"#).await.unwrap();
    let fields: Vec<_> = after.copy.schema.fields[6..].iter().map(|f| (f.name.as_str(), f.id)).collect();
    assert_eq!(fields, [("score", 17), ("theirs", 18), ("ours", 19)]);
    assert_eq!(after, look(&lake, &exports()).await);
}

#[tokio::test]
async fn what_cannot_be_told_is_not_written() {
    let (lake, state) = with_nested().await;
    let written = (lake.glue.versions(), lake.objects.inspect(|objects| objects.len()));
    let (columns, uuid) = (wanted_columns(r#"{"score": "double"}"#), uuid::Uuid::new_v4().to_string());
    let widened = lake.widen(&exports(), &state.copy.table_uuid, &columns, &uuid, |_| async { false }).await;
    assert_eq!(widened.unwrap(), Widened::Withdrawn);
    assert_eq!((lake.glue.versions(), lake.objects.inspect(|objects| objects.len())), written);
}

#[tokio::test]
async fn a_commit_between_look_and_swap_is_not_lost() {
    let (lake, state) = with_nested().await;
    let theirs = Lake::new(lake.glue.fork(), lake.objects.clone());
    theirs.append(&commit(2, &[2], &state), || async { true }).await.unwrap();
    lake.glue.overtake_next_update(&exports(), theirs.glue.table(&exports()).await.unwrap().input);
    let (ours, _) = attempt(&lake, &state, r#"{"score": "double"}"#).await;
    assert_eq!(ours.unwrap(), Widened::Conflict);
    let after = widen(&lake, &state, r#"{"score": "double"}"#).await.unwrap();
    assert_ne!(after.snapshot_id, state.snapshot_id);
    assert_eq!(live_files(&lake, &exports()).await.len(), 2);
}

#[tokio::test]
async fn a_lost_request_or_answer_is_settled_by_looking() {
    for fault in [Fault::BeforeEffect, Fault::AfterEffect] {
        let (lake, state) = with_nested().await;
        let written = lake.glue.versions();
        lake.glue.fail_next_update(fault);
        let unclear = widen(&lake, &state, r#"{"score": "double"}"#).await;
        assert!(matches!(unclear, Err(LakeError::Unavailable(_))), "{fault:?}: {unclear:?}");
        let after = widen(&lake, &state, r#"{"score": "double"}"#).await.unwrap();
        assert_eq!(after.copy.schema.fields.iter().filter(|f| f.name == "score").count(), 1, "{fault:?}");
        assert_eq!(lake.glue.versions(), written + 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_table_that_was_replaced_is_not_widened_nor_moved_for_attempts_at_the_one_before() {
    let (lake, state) = with_nested().await;
    let widened = lake.widen(&exports(), "other", &wanted_columns("{}"), "", |_| async { true }).await;
    assert!(matches!(widened, Err(LakeError::OtherTable(_))), "{widened:?}");
    let other = Widening { table_uuid: "other".into(), metadata_file: "s3://lake/other.metadata.json".into() };
    let written = lake.glue.versions();
    assert_eq!(lake.overtake(&exports(), &[other]).await.unwrap(), Vec::<String>::new());
    assert_eq!((lake.glue.versions(), look(&lake, &exports()).await), (written, state));
}

#[tokio::test]
async fn an_attempt_that_moved_the_table_is_found_there_also_when_it_was_moved_since() {
    let (lake, state) = with_nested().await;
    let (widened, told) = attempt(&lake, &state, r#"{"score": "double"}"#).await;
    let ours = [told.unwrap()];
    assert!(matches!(widened, Ok(Widened::Stands(_))), "{widened:?}");
    let written = lake.glue.versions();
    assert_eq!(lake.overtake(&exports(), &ours).await.unwrap(), Vec::<String>::new(), "it is the current one");
    widen(&lake, &state, r#"{"other": "date"}"#).await.unwrap();
    lake.append(&commit(2, &[2], &state), || async { true }).await.unwrap();
    assert_eq!(lake.overtake(&exports(), &ours).await.unwrap(), Vec::<String>::new(), "it is an earlier one");
    assert_eq!((is_written(&lake, &ours[0]), lake.glue.versions()), (true, written + 2));
}

#[tokio::test]
async fn an_attempt_that_did_not_move_the_table_never_will() {
    for fault in [Fault::BeforeEffect, Fault::Overtaken] {
        let (lake, state) = with_nested().await;
        let entry = lake.glue.table(&exports()).await.unwrap();
        lake.glue.fail_next_update(fault);
        let (widened, told) = attempt(&lake, &state, r#"{"score": "double"}"#).await;
        assert!(!matches!(widened, Ok(Widened::Stands(_))), "{fault:?}: {widened:?}");
        let (_, kept) = attempt(&lake, &state, r#"{"other": "date"}"#).await;
        let ours = [told.unwrap(), kept.unwrap()];
        let after = look(&lake, &exports()).await;
        if fault == Fault::Overtaken {
            // And once more, while it is made certain.
            lake.glue.fail_next_update(Fault::Overtaken);
        }
        let moved = lake.glue.table(&exports()).await.unwrap();
        assert_eq!(lake.overtake(&exports(), &ours).await.unwrap(), [ours[0].metadata_file.clone()], "{fault:?}");
        assert!(ours.iter().all(|widening| is_written(&lake, widening)), "{fault:?}");
        assert_eq!(look(&lake, &exports()).await, after, "{fault:?}");
        // A sleeper's swap, whatever it had looked at.
        for entry in [entry, moved] {
            let late = lake.glue.update_table("lake", &entry.input, entry.version_id.as_deref().unwrap()).await;
            assert!(matches!(late, Err(GlueError::VersionMismatch)), "{fault:?}: {late:?}");
        }
    }
}
