//! Which delete files apply to which data files.

use super::*;
use domain::plan::{DeleteFile, DeleteKind};
use iceberg::metadata_columns::RESERVED_FIELD_ID_DELETE_FILE_PATH;
use iceberg::spec::DataContentType::{Data, EqualityDeletes, PositionDeletes};
use iceberg::spec::{DataFileBuilder, DataFileFormat, Datum, Literal, PrimitiveType, Transform, UnboundPartitionSpec};
use std::collections::HashMap;

const PATH: &str = "s3://lake/profiles/data/";

/// Each live data file with the delete files that apply to it, by name.
async fn applied(lake: &TestLake) -> Vec<(String, Vec<String>)> {
    let state = look(lake, &profiles()).await;
    let files = lake.files(&pin(&profiles(), &state), "profileId").await.unwrap();
    let name = |location: &str| location.strip_prefix(PATH).unwrap().to_owned();
    let deletes = |at: &[usize]| {
        let mut names: Vec<_> = at.iter().map(|at| name(&files.deletes[*at].location)).collect();
        names.sort();
        names
    };
    let mut applied: Vec<_> = files.data.iter().map(|f| (name(&f.location), deletes(&f.deletes))).collect();
    applied.sort();
    applied
}

fn expected(files: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
    files.iter().map(|(file, deletes)| ((*file).into(), deletes.iter().map(|d| (*d).into()).collect())).collect()
}

async fn commit_one(lake: &TestLake, spec_id: i32, file: &DataFileBuilder) {
    commit_files(lake, &profiles(), spec_id, vec![file.build().unwrap()]).await;
}

async fn refused(lake: &TestLake) -> String {
    let state = look(lake, &profiles()).await;
    refusal(lake.files(&pin(&profiles(), &state), "profileId").await)
}

/// Makes that the default spec, its fields over columns by id.
async fn respec(lake: &TestLake, fields: &[(i32, &str, Transform)]) {
    let mut spec = UnboundPartitionSpec::builder();
    for (column, name, transform) in fields {
        spec = spec.add_partition_field(*column, *name, *transform).unwrap();
    }
    change(lake, &profiles(), |b| b.add_default_partition_spec(spec.build())).await;
}

fn data(name: &str, bucket: u32) -> NewDataFile {
    NewDataFile { location: format!("{PATH}{name}"), ..new_file(name, Some(bucket)) }
}

fn positions(name: &str, bucket: Option<u32>) -> NewDeleteFile {
    NewDeleteFile { location: format!("{PATH}{name}"), bytes: 40, rows: 2, bucket, kind: DeleteKind::Position }
}

fn values(name: &str, bucket: Option<u32>) -> NewDeleteFile {
    NewDeleteFile { kind: DeleteKind::Equality { field_ids: vec![1] }, ..positions(name, bucket) }
}

#[tokio::test]
async fn positions_reach_files_of_their_own_snapshot_and_values_only_earlier_ones() {
    let lake = with_profiles().await;
    lake.append_changes(&profiles(), vec![data("a", 0)], vec![]).await.unwrap();
    let deletes = vec![positions("p", Some(0)), values("e", Some(0))];
    lake.append_changes(&profiles(), vec![data("b", 0)], deletes).await.unwrap();
    lake.append_changes(&profiles(), vec![data("c", 0)], vec![]).await.unwrap();
    assert_eq!(applied(&lake).await, expected(&[("a", &["e", "p"]), ("b", &["p"]), ("c", &[])]));
}

#[tokio::test]
async fn the_sequence_number_that_counts_is_that_of_the_file_not_of_its_manifest() {
    let lake = with_profiles().await;
    commit_foreign(&lake, &profiles(), 0, true, |writer| {
        let mut writer = writer.build_v2_data();
        writer.add_file(bucket_file("new", Data).build().unwrap(), -1).unwrap();
        writer
    })
    .await;
    lake.append_changes(&profiles(), vec![], vec![values("e", Some(0)), positions("p", Some(0))]).await.unwrap();
    // A rewritten manifest: of the third snapshot, with files of the first and of the third.
    commit_foreign(&lake, &profiles(), 0, true, |writer| {
        let mut writer = writer.build_v2_data();
        writer.add_existing_file(bucket_file("old", Data).build().unwrap(), 77, 1, Some(1)).unwrap();
        writer.add_existing_file(bucket_file("later", Data).build().unwrap(), 79, 3, Some(3)).unwrap();
        writer
    })
    .await;
    assert_eq!(applied(&lake).await, expected(&[("later", &[]), ("new", &["e", "p"]), ("old", &["e", "p"])]));
}

#[tokio::test]
async fn deletes_stay_in_their_partition() {
    let lake = with_profiles().await;
    lake.append_files(&profiles(), vec![data("a", 0), data("b", 1)]).await.unwrap();
    let deletes = vec![positions("p", Some(0)), values("e", Some(1))];
    lake.append_changes(&profiles(), vec![], deletes).await.unwrap();
    assert_eq!(applied(&lake).await, expected(&[("a", &["p"]), ("b", &["e"])]));
}

#[tokio::test]
async fn deletes_stay_in_their_spec_though_the_values_are_equal() {
    let lake = with_profiles().await;
    lake.append_files(&profiles(), vec![data("a", 0)]).await.unwrap();
    respec(&lake, &[(9, "batchId_bucket", Transform::Bucket(4))]).await;
    let deletes = vec![positions("p", Some(0)), values("e", Some(0))];
    lake.append_changes(&profiles(), vec![], deletes).await.unwrap();
    assert_eq!(applied(&lake).await, expected(&[("a", &[])]));
}

#[tokio::test]
async fn values_of_an_unpartitioned_spec_reach_every_partition_and_positions_do_not() {
    let lake = with_profiles().await;
    lake.append_files(&profiles(), vec![data("a", 0), data("b", 1)]).await.unwrap();
    respec(&lake, &[]).await;
    let same = NewDataFile { bucket: None, ..data("c", 0) };
    lake.append_changes(&profiles(), vec![same], vec![positions("p", None), values("e", None)]).await.unwrap();
    assert_eq!(applied(&lake).await, expected(&[("a", &["e"]), ("b", &["e"]), ("c", &["p"])]));
}

#[tokio::test]
async fn positions_that_name_one_data_file_reach_it_alone() {
    let lake = with_profiles().await;
    lake.append_files(&profiles(), vec![data("a", 0), data("b", 0), data("c", 0)]).await.unwrap();
    let bounds =
        |name: &str| HashMap::from([(RESERVED_FIELD_ID_DELETE_FILE_PATH, Datum::string(format!("{PATH}{name}")))]);
    let named = |name: &str, of: &str| {
        bucket_file(name, PositionDeletes).referenced_data_file(Some(format!("{PATH}{of}"))).build().unwrap()
    };
    let bounded = |name: &str, least: &str, greatest: &str| {
        let mut file = bucket_file(name, PositionDeletes);
        file.lower_bounds(bounds(least)).upper_bounds(bounds(greatest)).build().unwrap()
    };
    let deletes = vec![named("of a", "a"), bounded("of b", "b", "b"), bounded("all", "a", "b")];
    commit_foreign(&lake, &profiles(), 0, true, |writer| {
        let mut writer = writer.build_v2_deletes();
        for file in deletes {
            // As if they were of the snapshot that added the data files.
            writer.add_file(file, 1).unwrap();
        }
        writer
    })
    .await;
    lake.append_files(&profiles(), vec![data("a", 0), data("d", 0)]).await.unwrap();
    let reached = [("a", &[][..]), ("a", &["all", "of a"]), ("b", &["all", "of b"]), ("c", &["all"]), ("d", &[])];
    assert_eq!(applied(&lake).await, expected(&reached));
}

#[tokio::test]
async fn deletes_that_apply_to_nothing_are_left_out_and_nothing_is_asked_of_them() {
    let lake = with_profiles().await;
    lake.append_changes(&profiles(), vec![], vec![values("early", Some(0))]).await.unwrap();
    lake.append_files(&profiles(), vec![data("a", 0), data("b", 0)]).await.unwrap();
    let elsewhere =
        foreign_file("orc", PositionDeletes, &[Some(Literal::int(3))]).file_format(DataFileFormat::Orc).clone();
    commit_one(&lake, 0, &elsewhere).await;
    lake.append_changes(&profiles(), vec![], vec![values("e", Some(0))]).await.unwrap();
    let state = look(&lake, &profiles()).await;
    let files = lake.files(&pin(&profiles(), &state), "profileId").await.unwrap();
    let kind = DeleteKind::Equality { field_ids: vec![1] };
    assert_eq!(files.deletes, [DeleteFile { location: format!("{PATH}e"), bytes: 40, kind }]);
    assert!(files.data.iter().all(|f| f.deletes == [0]));
    assert_eq!(state.copy.delete_kinds, ["equality", "position (ORC)"]);
}

#[tokio::test]
async fn deletes_that_are_not_parquet_are_seen_and_refused_by_kind() {
    for (content, format, kind) in [
        (PositionDeletes, DataFileFormat::Orc, "position (ORC)"),
        (EqualityDeletes, DataFileFormat::Avro, "equality (AVRO)"),
        (PositionDeletes, DataFileFormat::Puffin, "deletion vector"),
    ] {
        let lake = with_profiles().await;
        lake.append_files(&profiles(), vec![data("a", 0)]).await.unwrap();
        commit_one(&lake, 0, bucket_file("deletes", content).file_format(format)).await;
        assert_eq!(look(&lake, &profiles()).await.copy.delete_kinds, [kind]);
        let sentence = refused(&lake).await;
        for part in ["lake.profiles", "file deletes", kind, "OPTIMIZE", "rewrite_data_files"] {
            assert!(sentence.contains(part), "{part}: {sentence}");
        }
    }
}

#[tokio::test]
async fn values_are_compared_in_plain_columns_of_the_tables_schemas_only() {
    let lake = lake();
    let json = COLUMNS.replace(
        r#"{"id":9,"#,
        r#"{"id":20,"name":"person","required":false,"type":{"type":"struct","fields":[
            {"id":21,"name":"tags","required":false,"type":{"type":"list","element-id":22,"element-required":false,
                "element":"string"}},
            {"id":23,"name":"email","required":false,"type":"string"}]}},{"id":9,"#,
    );
    let columns = serde_json::from_str(&json).unwrap();
    lake.create_profile_table(&profiles(), "s3://lake/profiles", &columns, Some(4), "profileId").await.unwrap();
    lake.append_files(&profiles(), vec![data("a", 0)]).await.unwrap();
    let schema = lake.judge(&profiles()).await.unwrap().table().metadata().current_schema().clone();
    let id = |name: &str| schema.field_id_by_name(name).unwrap();
    let ids_refused = [
        None,
        Some(vec![]),
        Some(vec![1, 99]),
        Some(vec![id("person")]),
        Some(vec![id("person.tags.element")]),
        Some(vec![id("segmentMembership.key")]),
        Some(vec![id("segmentMembership.value.value.status")]),
    ];
    let before = lake.glue.table(&profiles()).await.unwrap();
    for ids in ids_refused {
        commit_one(&lake, 0, bucket_file("deletes", EqualityDeletes).equality_ids(ids.clone())).await;
        let sentence = refused(&lake).await;
        assert!(
            sentence.contains("file deletes") && !sentence.contains("s3://") && sentence.contains("field id"),
            "{ids:?}: {sentence}"
        );
        lake.glue.put(&profiles(), before.clone());
    }
    commit_one(&lake, 0, bucket_file("e", EqualityDeletes).equality_ids(Some(vec![id("person.email"), 1]))).await;
    assert_eq!(applied(&lake).await, expected(&[("a", &["e"])]));
}

#[tokio::test]
async fn further_partition_fields_beside_the_bucket_are_fine() {
    let lake = lake();
    let columns = COLUMNS
        .replace(r#"{"id":9,"#, r#"{"id":20,"name":"timestamp","required":false,"type":"timestamptz"},{"id":9,"#);
    let columns = serde_json::from_str(&columns).unwrap();
    lake.create_profile_table(&profiles(), "s3://lake/profiles", &columns, Some(4), "profileId").await.unwrap();
    let schema = lake.judge(&profiles()).await.unwrap().table().metadata().current_schema().clone();
    let timestamp = schema.field_id_by_name("timestamp").unwrap();
    respec(&lake, &[(timestamp, "timestamp_day", Transform::Day), (1, "profileId_bucket", Transform::Bucket(4))]).await;
    let on = |day, bucket| [Some(Literal::date(day)), Some(Literal::int(bucket))];
    let files = [("a", 20_000, 3), ("b", 20_001, 3), ("c", 20_000, 2)];
    let files = files.map(|(name, day, bucket)| foreign_file(name, Data, &on(day, bucket)).build().unwrap());
    commit_files(&lake, &profiles(), 1, files.into()).await;
    commit_one(&lake, 1, &foreign_file("p", PositionDeletes, &on(20_000, 3))).await;

    let state = look(&lake, &profiles()).await;
    assert_eq!(state.copy.buckets, Some(4));
    let files = lake.files(&pin(&profiles(), &state), "profileId").await.unwrap();
    assert_eq!(files.data.iter().map(|f| f.bucket).collect::<Vec<_>>(), [Some(3), Some(3), Some(2)]);
    assert_eq!(applied(&lake).await, expected(&[("a", &["p"]), ("b", &[]), ("c", &[])]));
}

#[tokio::test]
async fn a_partition_is_the_same_after_its_column_was_promoted() {
    let lake = lake();
    let columns = COLUMNS.replace(r#"{"id":9,"#, r#"{"id":20,"name":"region","required":false,"type":"int"},{"id":9,"#);
    let columns = serde_json::from_str(&columns).unwrap();
    lake.create_profile_table(&profiles(), "s3://lake/profiles", &columns, None, "profileId").await.unwrap();
    let mut columns = look(&lake, &profiles()).await.copy.schema;
    let region = columns.fields.iter_mut().find(|f| f.name == "region").unwrap();
    respec(&lake, &[(region.id, "region", Transform::Identity)]).await;
    commit_one(&lake, 1, &foreign_file("a", Data, &[Some(Literal::int(7))])).await;
    region.kind = domain::schema::Kind::Primitive(PrimitiveType::Long.to_string());
    lake.evolve(&profiles(), &columns).await.unwrap();
    commit_one(&lake, 1, &foreign_file("p", PositionDeletes, &[Some(Literal::long(7))])).await;
    commit_one(&lake, 1, &foreign_file("q", PositionDeletes, &[Some(Literal::long(8))])).await;
    assert_eq!(applied(&lake).await, expected(&[("a", &["p"])]));
}
