//! The lake over catalog and store in memory.

#![allow(clippy::unwrap_used)]

mod abandoning;
mod appending;
mod creating;
mod deleting;
mod evolving;
mod foreign;
mod loading;
mod pinning;
mod reading;
mod tables;
mod widening;

use crate::glue::GlueApi;
use crate::twin::MemoryGlue;
use crate::{Lake, NewDataFile, NewDeleteFile, bucket_of};
use domain::id::{BatchId, JobId};
use domain::plan::{OutputFile, Pin, PlannedTarget, TableName};
use domain::ports::lake::{AppendOnce, Appended, Commit, LakeError, ReadTables, TableState};
use domain::schema::Schema;
use foreign::*;
use iceberg::Catalog;
use iceberg::spec::TableMetadataBuilder;
use testkit::MemoryObjects;

type TestLake = Lake<MemoryObjects, MemoryGlue>;

const COLUMNS: &str = r#"{"schema-id":0,"fields":[
    {"id":1,"name":"profileId","required":false,"type":"string"},
    {"id":2,"name":"segmentMembership","required":false,"type":{"type":"map","key-id":3,"key":"string","value-id":4,
        "value-required":false,"value":{"type":"map","key-id":5,"key":"string","value-id":6,"value-required":false,
        "value":{"type":"struct","fields":[
            {"id":7,"name":"lastQualificationTime","required":false,"type":"timestamptz"},
            {"id":8,"name":"status","required":false,"type":"string"}]}}}},
    {"id":9,"name":"batchId","required":true,"type":"string"}]}"#;

fn columns() -> Schema {
    serde_json::from_str(COLUMNS).unwrap()
}

fn exports() -> TableName {
    TableName { database: "lake".into(), table: "exports".into() }
}

fn profiles() -> TableName {
    TableName { database: "lake".into(), table: "profiles".into() }
}

fn lake() -> TestLake {
    Lake::new(MemoryGlue::default(), MemoryObjects::default())
}

/// A lake with an empty export table.
async fn with_exports() -> TestLake {
    let lake = lake();
    lake.create_export_table(&exports(), "s3://lake/exports/", &columns()).await.unwrap();
    lake
}

/// A lake with an empty table of profiles in four buckets.
async fn with_profiles() -> TestLake {
    let lake = lake();
    lake.create_profile_table(&profiles(), "s3://lake/profiles", &columns(), Some(4), "profileId").await.unwrap();
    lake
}

async fn look(lake: &TestLake, table: &TableName) -> TableState {
    lake.look(table, "profileId").await.unwrap()
}

fn pin(table: &TableName, state: &TableState) -> Pin {
    state.pin("d", table)
}

/// The locations of all live files, in order.
async fn live_files(lake: &TestLake, table: &TableName) -> Vec<String> {
    let state = look(lake, table).await;
    let files = lake.files(&pin(table, &state), "profileId").await.unwrap();
    let mut locations: Vec<_> = files.data.into_iter().map(|f| f.location).collect();
    locations.sort();
    locations
}

/// A commit of that job, of one file a batch.
fn commit(job: u64, batches: &[u128], state: &TableState) -> Commit {
    let target = PlannedTarget {
        dataset_id: "exports".into(),
        table: exports(),
        table_uuid: state.copy.table_uuid.clone(),
        schema: state.copy.schema.clone(),
        spec_id: state.copy.batch_spec_id.unwrap(),
        data_prefix: format!("s3://lake/exports/data/{job}/"),
    };
    let batches: Vec<_> = batches.iter().map(|b| BatchId::new(*b)).collect();
    let file = |batch: &BatchId| OutputFile {
        location: format!("{}{batch}.parquet", target.data_prefix),
        batch_id: batch.clone(),
        bytes: 1_000,
        rows: 10,
        profile_id_bounds: Some(("a".into(), "m".into())),
        split_offsets: vec![4, 500],
    };
    let files = batches.iter().map(file).collect();
    let job_id = JobId::parse(&job.to_string()).unwrap();
    Commit { job_id, batches, files, target, commit_uuid: uuid::Uuid::new_v4().to_string() }
}

/// The same commit as the next attempt makes it.
fn again(commit: &Commit) -> Commit {
    Commit { commit_uuid: uuid::Uuid::new_v4().to_string(), ..commit.clone() }
}

/// Lets another job's commit come between look and swap of ours.
async fn overtake(lake: &TestLake, ours: &Commit, theirs: &Commit) {
    let meanwhile = || async {
        lake.append(theirs, || async { true }).await.unwrap();
        true
    };
    assert_eq!(lake.append(ours, meanwhile).await.unwrap(), Appended::Conflict);
}

fn new_file(name: &str, bucket: Option<u32>) -> NewDataFile {
    let location = format!("s3://lake/profiles/data/{name}.parquet");
    NewDataFile { location, bytes: 100, rows: 5, bucket, split_offsets: vec![4] }
}

/// Changes a table's metadata as another engine would.
async fn change(
    lake: &TestLake,
    name: &TableName,
    how: impl FnOnce(TableMetadataBuilder) -> iceberg::Result<TableMetadataBuilder>,
) {
    let judged = lake.judge(name).await.unwrap();
    lake.catalog().change(judged, how).await.unwrap();
}

/// Drops all snapshots but the current one.
async fn expire(lake: &TestLake, name: &TableName) {
    let table = lake.catalog().load_table(&crate::catalog::ident(name)).await.unwrap();
    let current = table.metadata().current_snapshot_id();
    let old: Vec<_> = table.metadata().snapshots().map(|s| s.snapshot_id()).filter(|id| Some(*id) != current).collect();
    change(lake, name, |builder| Ok(builder.remove_snapshots(&old))).await;
}

async fn snapshots(lake: &TestLake, name: &TableName) -> usize {
    let table = lake.catalog().load_table(&crate::catalog::ident(name)).await.unwrap();
    table.metadata().snapshots().count()
}

fn refusal<T: std::fmt::Debug>(result: Result<T, LakeError>) -> String {
    match result {
        Err(LakeError::Unsupported(sentence)) => sentence,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn the_twin_keeps_the_promises_of_the_catalog() {
    crate::conformance::catalog(MemoryGlue::default()).await;
}

#[test]
fn buckets_are_those_of_every_other_writer() {
    // The hash of "iceberg" is given by the Iceberg specification, appendix B.
    assert_eq!(bucket_of(i32::MAX as u32, "iceberg"), 1_210_000_089);
    assert_eq!(bucket_of(16, "iceberg"), 1_210_000_089 % 16);
    assert_eq!(bucket_of(1, "anyone"), 0);
}
