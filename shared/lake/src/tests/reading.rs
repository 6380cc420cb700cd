//! What a plan is made of.

use super::*;
use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, Literal, MAIN_BRANCH, ManifestListWriter,
    ManifestWriter, ManifestWriterBuilder, Operation, Snapshot, SnapshotReference, SnapshotRetention, Struct, Summary,
    UnboundPartitionSpec,
};

/// The snapshot that another engine commits.
const FOREIGN: i64 = 77;

/// Commits a manifest, beside the earlier ones or in their place, as another engine would.
async fn commit_foreign(lake: &TestLake, beside: bool, write: impl FnOnce(ManifestWriterBuilder) -> ManifestWriter) {
    let table = lake.catalog().load_table(&crate::catalog::ident(&profiles())).await.unwrap();
    let metadata = table.metadata();
    let path = |name: &str| format!("{}/metadata/{name}", metadata.location());
    let output = table.file_io().new_output(path("foreign-m0.avro")).unwrap();
    let spec = metadata.default_partition_spec().as_ref().clone();
    let writer = ManifestWriterBuilder::new(output, Some(FOREIGN), metadata.current_schema().clone(), spec);
    let manifest = write(writer).write_manifest_file().await.unwrap();

    let list = path("snap-foreign.avro");
    let output = table.file_io().new_output(&list).unwrap().writer().await.unwrap();
    let parent = metadata.current_snapshot();
    let sequence = metadata.next_sequence_number();
    let mut writer = ManifestListWriter::v2(output, FOREIGN, metadata.current_snapshot_id(), sequence);
    let earlier = match parent.filter(|_| beside) {
        Some(parent) => crate::read::manifests(&table, parent).await.unwrap(),
        None => Vec::new(),
    };
    writer.add_manifests(earlier.into_iter().chain([manifest])).unwrap();
    writer.close().await.unwrap();
    let snapshot = Snapshot::builder()
        .with_snapshot_id(FOREIGN)
        .with_parent_snapshot_id(metadata.current_snapshot_id())
        .with_sequence_number(sequence)
        .with_timestamp_ms(metadata.last_updated_ms() + 1)
        .with_manifest_list(list)
        .with_summary(Summary { operation: Operation::Overwrite, additional_properties: Default::default() })
        .build();
    let main = SnapshotReference::new(FOREIGN, SnapshotRetention::branch(None, None, None));
    evolve(lake, &profiles(), |b| b.add_snapshot(snapshot)?.set_ref(MAIN_BRANCH, main)).await;
}

fn foreign_file(name: &str, content: DataContentType, format: DataFileFormat) -> DataFile {
    DataFileBuilder::default()
        .content(content)
        .file_path(format!("s3://lake/profiles/data/{name}"))
        .file_format(format)
        .file_size_in_bytes(10)
        .record_count(1)
        .equality_ids((content == DataContentType::EqualityDeletes).then(|| vec![1]))
        .partition(Struct::from_iter([Some(Literal::int(0))]))
        .build()
        .unwrap()
}

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
    let mut files = lake.files(&pin(&profiles(), &state), "profileId").await.unwrap();
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
    assert_eq!(lake.files(&pin, "profileId").await.unwrap().len(), 1);
    assert_eq!(lake.files(&Pin { snapshot_id: None, ..pin.clone() }, "profileId").await.unwrap(), []);

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
    evolve(&lake, &profiles(), |b| b.add_default_partition_spec(bucketed.build())).await;
    let state = look(&lake, &profiles()).await;
    assert_eq!(state.copy.buckets, Some(8));
    let sentence = refusal(lake.files(&pin(&profiles(), &state), "profileId").await);
    for part in ["a.parquet", "spec 0", "bucket(8, profileId)", "rewrite_data_files", "lake.profiles"] {
        assert!(sentence.contains(part), "{part}: {sentence}");
    }
}

#[tokio::test]
async fn live_delete_files_are_seen_and_refused_by_kind() {
    for (content, kind) in
        [(DataContentType::PositionDeletes, "position"), (DataContentType::EqualityDeletes, "equality")]
    {
        let lake = with_profiles().await;
        lake.append_files(&profiles(), vec![new_file("a", Some(0))]).await.unwrap();
        commit_foreign(&lake, true, |writer| {
            let mut writer = writer.build_v2_deletes();
            writer.add_file(foreign_file("deletes", content, DataFileFormat::Parquet), 2).unwrap();
            writer
        })
        .await;
        let state = look(&lake, &profiles()).await;
        assert_eq!(state.copy.delete_kinds, [kind]);
        let sentence = refusal(lake.files(&pin(&profiles(), &state), "profileId").await);
        assert!(sentence.contains(&format!("live {kind} delete files")) && sentence.contains("OPTIMIZE"), "{sentence}");
    }
}

#[tokio::test]
async fn entries_that_are_marked_as_deleted_are_not_read() {
    let lake = with_profiles().await;
    lake.append_files(&profiles(), vec![new_file("a", Some(0))]).await.unwrap();
    let file = |name| foreign_file(name, DataContentType::Data, DataFileFormat::Parquet);
    commit_foreign(&lake, false, |writer| {
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
    commit_foreign(&lake, true, |writer| {
        let mut writer = writer.build_v2_data();
        writer.add_file(foreign_file("orc", DataContentType::Data, DataFileFormat::Orc), 1).unwrap();
        writer
    })
    .await;
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
