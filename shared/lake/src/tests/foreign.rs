//! What other engines write.

use super::*;
use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, Literal, MAIN_BRANCH, ManifestListWriter,
    ManifestWriter, ManifestWriterBuilder, Operation, Snapshot, Struct, Summary,
};

/// Commits a manifest of a spec, beside the earlier ones or in their place.
pub(super) async fn commit_foreign(
    lake: &TestLake,
    name: &TableName,
    spec_id: i32,
    beside: bool,
    write: impl FnOnce(ManifestWriterBuilder) -> ManifestWriter,
) {
    let table = lake.catalog().load_table(&crate::catalog::ident(name)).await.unwrap();
    let metadata = table.metadata();
    let id = 77 + metadata.snapshots().count() as i64;
    let uuid = uuid::Uuid::new_v4();
    let path = |name: &str| format!("{}/metadata/{uuid}-{name}.avro", metadata.location());
    let spec = metadata.partition_spec_by_id(spec_id).unwrap().as_ref().clone();
    let output = table.file_io().new_output(path("m0")).unwrap();
    let writer = ManifestWriterBuilder::new(output, Some(id), metadata.current_schema().clone(), spec);
    let manifest = write(writer).write_manifest_file().await.unwrap();

    let (list, sequence) = (path("snap"), metadata.next_sequence_number());
    let output = table.file_io().new_output(&list).unwrap().writer().await.unwrap();
    let mut writer = ManifestListWriter::v2(output, id, metadata.current_snapshot_id(), sequence);
    let earlier = match metadata.current_snapshot().filter(|_| beside) {
        Some(parent) => crate::read::manifests(&table, parent).await.unwrap(),
        None => Vec::new(),
    };
    writer.add_manifests(earlier.into_iter().chain([manifest])).unwrap();
    writer.close().await.unwrap();
    let snapshot = Snapshot::builder()
        .with_snapshot_id(id)
        .with_parent_snapshot_id(metadata.current_snapshot_id())
        .with_sequence_number(sequence)
        .with_timestamp_ms(metadata.last_updated_ms() + 1)
        .with_manifest_list(list)
        .with_summary(Summary { operation: Operation::Overwrite, additional_properties: Default::default() })
        .build();
    change(lake, name, |b| b.set_branch_snapshot(snapshot, MAIN_BRANCH)).await;
}

/// Commits new files of one kind, data or deletes, beside the earlier ones.
pub(super) async fn commit_files(lake: &TestLake, name: &TableName, spec_id: i32, files: Vec<DataFile>) {
    commit_foreign(lake, name, spec_id, true, |writer| {
        let mut writer = match files[0].content_type() {
            DataContentType::Data => writer.build_v2_data(),
            _ => writer.build_v2_deletes(),
        };
        for file in files {
            writer.add_file(file, -1).unwrap();
        }
        writer
    })
    .await;
}

/// A Parquet file in a partition, to be changed before it is built.
pub(super) fn foreign_file(name: &str, content: DataContentType, partition: &[Option<Literal>]) -> DataFileBuilder {
    let mut file = DataFileBuilder::default();
    file.content(content)
        .file_path(format!("s3://lake/profiles/data/{name}"))
        .file_format(DataFileFormat::Parquet)
        .file_size_in_bytes(10)
        .record_count(1)
        .equality_ids((content == DataContentType::EqualityDeletes).then(|| vec![1]))
        .partition(Struct::from_iter(partition.to_vec()));
    file
}

/// A Parquet file in the first bucket.
pub(super) fn bucket_file(name: &str, content: DataContentType) -> DataFileBuilder {
    foreign_file(name, content, &[Some(Literal::int(0))])
}
