//! What a plan is made of.

use super::*;
use domain::plan::TableFiles;
use iceberg::spec::{DataContentType, DataFileFormat, UnboundPartitionSpec};

#[tokio::test]
async fn an_empty_table_has_no_snapshot_and_no_files() {
    let lake = with_profiles().await;
    let state = look(&lake, &profiles()).await;
    assert_eq!((state.snapshot_id, state.location.as_str()), (None, "s3://lake/profiles"));
    assert_eq!((state.copy.format_version, state.copy.buckets, state.copy.batch_spec_id), (2, Some(4), None));
    assert!(state.copy.delete_kinds.is_empty());
    assert!(live_files(&lake, &profiles()).await.is_empty());
}

#[tokio::test]
async fn a_look_tells_the_nested_schema_with_its_field_ids() {
    let lake = with_exports().await;
    let schema = look(&lake, &exports()).await.copy.schema;
    assert!(schema.has_path("segmentMembership.ups.s1.lastQualificationTime".split('.')));
    let mut ids: Vec<_> = schema.fields.iter().map(|f| f.id).collect();
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[tokio::test]
async fn every_file_of_a_bucketed_table_tells_its_bucket() {
    let lake = with_profiles().await;
    lake.append_files(&profiles(), vec![new_file("a", Some(0)), new_file("b", Some(3))]).await.unwrap();
    lake.append_files(&profiles(), vec![new_file("c", Some(3))]).await.unwrap();
    let state = look(&lake, &profiles()).await;
    let mut files = lake.files(&pin(&profiles(), &state), "profileId").await.unwrap().data;
    files.sort_by(|a, b| a.location.cmp(&b.location));
    assert_eq!(files.iter().map(|f| f.bucket).collect::<Vec<_>>(), [Some(0), Some(3), Some(3)]);
    // Buckets of another column say nothing about profiles.
    assert_eq!(lake.look(&profiles(), "batchId").await.unwrap().copy.buckets, None);
}

#[tokio::test]
async fn a_pin_reads_its_own_snapshot_whatever_is_committed_later() {
    let lake = with_profiles().await;
    lake.append_files(&profiles(), vec![new_file("a", Some(0))]).await.unwrap();
    let pin = pin(&profiles(), &look(&lake, &profiles()).await);
    lake.append_files(&profiles(), vec![new_file("b", Some(1))]).await.unwrap();
    assert_eq!(lake.files(&pin, "profileId").await.unwrap().data.len(), 1);
    assert_eq!(
        lake.files(&Pin { snapshot_id: None, ..pin.clone() }, "profileId").await.unwrap(),
        TableFiles::default()
    );

    expire(&lake, &profiles()).await;
    let gone = lake.files(&pin, "profileId").await;
    assert!(matches!(gone, Err(LakeError::SnapshotGone(_))), "{gone:?}");
    let other = lake.files(&Pin { table_uuid: "other".into(), ..pin }, "profileId").await;
    assert!(matches!(other, Err(LakeError::OtherTable(_))), "{other:?}");
}

#[tokio::test]
async fn a_live_file_of_an_old_spec_is_refused_with_the_rewrite_to_run() {
    let lake = lake();
    lake.create_profile_table(&profiles(), "s3://lake/profiles", &columns(), None, "profileId").await.unwrap();
    lake.append_files(&profiles(), vec![new_file("a", None)]).await.unwrap();
    let bucketed = UnboundPartitionSpec::builder()
        .add_partition_field(1, "profileId_bucket", iceberg::spec::Transform::Bucket(8))
        .unwrap();
    change(&lake, &profiles(), |b| b.add_default_partition_spec(bucketed.build())).await;
    let state = look(&lake, &profiles()).await;
    assert_eq!(state.copy.buckets, Some(8));
    let sentence = refusal(lake.files(&pin(&profiles(), &state), "profileId").await);
    for part in ["a.parquet", "spec 0", "bucket(8, profileId)", "rewrite_data_files", "lake.profiles"] {
        assert!(sentence.contains(part), "{part}: {sentence}");
    }
}

#[tokio::test]
async fn entries_that_are_marked_as_deleted_are_not_read() {
    let lake = with_profiles().await;
    lake.append_files(&profiles(), vec![new_file("a", Some(0))]).await.unwrap();
    let file = |name| bucket_file(name, DataContentType::Data).build().unwrap();
    commit_foreign(&lake, &profiles(), 0, false, |writer| {
        let mut writer = writer.build_v2_data();
        writer.add_delete_file(file("gone"), 1, Some(1)).unwrap();
        writer.add_existing_file(file("kept"), 1, 1, Some(1)).unwrap();
        writer
    })
    .await;
    assert_eq!(live_files(&lake, &profiles()).await, ["s3://lake/profiles/data/kept"]);
}

#[tokio::test]
async fn files_of_another_format_are_refused() {
    let lake = with_profiles().await;
    let orc = bucket_file("orc", DataContentType::Data).file_format(DataFileFormat::Orc).build().unwrap();
    commit_files(&lake, &profiles(), 0, vec![orc]).await;
    assert_eq!(look(&lake, &profiles()).await.copy.foreign_formats, ["orc"], "POST refuses the table already");
    let state = look(&lake, &profiles()).await;
    let sentence = refusal(lake.files(&pin(&profiles(), &state), "profileId").await);
    assert!(sentence.contains("orc") && sentence.contains("only Parquet"), "{sentence}");
}

#[tokio::test]
async fn errors_say_what_is_wrong_with_the_table() {
    let lake = with_profiles().await;
    let missing = lake.look(&exports(), "profileId").await;
    assert!(matches!(missing, Err(LakeError::NoTable(_))), "{missing:?}");

    let mut entry = lake.glue.table(&profiles()).await.unwrap();
    entry.input.parameters.insert("metadata_location".into(), "s3://lake/nothing/here".into());
    lake.glue.put(&profiles(), entry.clone());
    let damaged = lake.look(&profiles(), "profileId").await;
    assert!(matches!(damaged, Err(LakeError::Damaged(..))), "{damaged:?}");

    entry.input.parameters.remove("table_type");
    lake.glue.put(&profiles(), entry);
    assert_eq!(refusal(lake.look(&profiles(), "profileId").await), "lake.profiles is not an Iceberg table");
}
