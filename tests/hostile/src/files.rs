//! Files: Parquet as another writer left it, and the plan that a worker reads.

use crate::sample;
use bytes::Bytes;
use domain::plan::{DataFile, DeleteFile, DeleteKind, OutputList, Plan, PlannedPart};
use domain::ports::objects::{Location, ReadObjects, WriteObjects};
use engine::{EngineError, PartTask, Settings, Step, export_part};
use futures::executor::block_on;
use serde_json::{Value, json};
use std::sync::LazyLock;
use testkit::MemoryObjects;

/// A file that nothing is wrong with, and the plans by role: made once, as files are judged by the hundred thousand.
static WHOLE: LazyLock<Bytes> = LazyLock::new(|| sample::files().swap_remove(0).1);
static PLANS: LazyLock<[Plan; 6]> = LazyLock::new(|| Role::ALL.map(plan_of));

/// What a file is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A data file of a table whose rows are profiles; what may be copied is copied.
    Copied,
    /// The same, of which some rows and fields are exported.
    Chosen,
    /// A data file whose rows are merged.
    Merged,
    /// The same, of which some rows are exported, in a batch for each segment.
    Batched,
    /// A delete file that names positions.
    Positions,
    /// A delete file that compares `profileId`.
    Equality,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Copied, Self::Chosen, Self::Merged, Self::Batched, Self::Positions, Self::Equality];
}

/// A file is exported or refused as what it is, in every role; a refusal leaves nothing behind.
pub fn data_file(bytes: &[u8]) {
    Role::ALL.into_iter().for_each(|role| judge(bytes, role));
}

/// The same in one role.
pub fn judge(bytes: &[u8], role: Role) {
    let store = MemoryObjects::default();
    match export(&store, Bytes::copy_from_slice(bytes), role) {
        Ok(list) => {
            for file in &list.files {
                let size = block_on(store.size(&Location::parse(&file.location).unwrap())).unwrap();
                assert_eq!(size, file.bytes);
            }
            assert_eq!(list.files.iter().map(|file| file.rows).sum::<u64>(), list.counts.rows);
        }
        Err(EngineError::Input { location, meaning, .. }) => {
            assert!(location.starts_with("s3://lake/") && !meaning.is_empty());
            is_clean(&store);
        }
        Err(EngineError::Unsupported(_)) => is_clean(&store),
        Err(other) => panic!("{role:?}: a damaged file is told as {other:?}"),
    }
}

fn is_clean(store: &MemoryObjects) {
    let left = block_on(store.list(&Location::new("lake", "exports/"))).unwrap();
    assert_eq!((left, store.open_uploads()), (Vec::new(), 0));
}

fn export(store: &MemoryObjects, body: Bytes, role: Role) -> Result<OutputList, EngineError> {
    let at = |name: &str| Location::new("lake", format!("profiles/{name}"));
    let is_delete = matches!(role, Role::Positions | Role::Equality);
    let (read, bytes) = (at("read.parquet"), body.len() as u64);
    block_on(store.create(&read, body)).unwrap();
    let data = match is_delete {
        true => {
            let whole = WHOLE.clone();
            let size = whole.len() as u64;
            block_on(store.create(&at("whole.parquet"), whole)).unwrap();
            data_at(&at("whole.parquet"), size)
        }
        false => data_at(&read, bytes),
    };
    let kind = match role {
        Role::Equality => DeleteKind::Equality { field_ids: vec![1] },
        _ => DeleteKind::Position,
    };
    let deletes = is_delete.then(|| DeleteFile { location: read.to_string(), bytes, kind });
    let data = DataFile { deletes: deletes.iter().map(|_| 0).collect(), ..data };
    let part = PlannedPart { files: vec![data], deletes: deletes.into_iter().collect(), ..PlannedPart::default() };
    let settings = Settings { row_batch: 2, copied_bytes: 0, ..Settings::default() };
    let task = PartTask { plan: &PLANS[role as usize], part: &part, settings };
    let file_at = |batch: &_, n| Location::new("lake", format!("exports/{batch}-{n}.parquet"));
    block_on(export_part(store, &task, file_at, |_| Step::Continue))
}

fn data_at(at: &Location, bytes: u64) -> DataFile {
    serde_json::from_value(json!({ "location": at.to_string(), "bytes": bytes, "rows": 5, "bucket": null })).unwrap()
}

/// A plan that reads the sample's profiles.
fn plan_of(role: Role) -> Plan {
    let segments = json!([
        { "segmentId": "s1", "namespace": "ups", "matches": ["realized", "existing"] },
        { "segmentId": "s2", "namespace": "ups", "matches": ["exited"] },
    ]);
    let some = json!({ "segments": segments, "window": { "start": 0, "end": null }, "updatedAfter": 0 });
    let all = json!({ "segments": [], "window": { "start": null, "end": null } });
    let (is_chosen, is_merged) = match role {
        Role::Copied | Role::Positions | Role::Equality => (false, false),
        Role::Chosen => (true, false),
        Role::Merged => (false, true),
        Role::Batched => (true, true),
    };
    let table = |name: &str| json!({ "database": "d", "table": name });
    let pin = json!({ "datasetId": "profiles", "table": table("profiles"), "tableUuid": "p", "snapshotId": 1 });
    let batches: Vec<_> = (0..if role == Role::Batched { 2 } else { 1 }).map(|n| format!("{n:032x}")).collect();
    let paths: &[&[&str]] = if is_chosen { &[&["profileId"], &["tags"], &["identityMap", "*", "id"]] } else { &[] };
    let plan: Value = json!({
        "version": 1, "tenant": { "organization": "A@AdobeOrg", "sandbox": "prod" }, "jobId": 1,
        "sources": [{ "kind": "profile", "pin": pin, "schema": sample::source_schema(),
            "columns": {}, "uniqueProfiles": !is_merged }],
        "target": { "datasetId": "exports", "table": table("exports"), "tableUuid": "e",
            "schema": sample::target_schema(), "specId": 0, "dataPrefix": "s3://lake/exports/" },
        "mergePolicy": domain::registry::MergePolicy::built_in(), "projection": paths,
        "filter": if is_chosen { some } else { all }, "events": null, "batches": batches,
        "segmentPerBatch": role == Role::Batched, "parts": [],
    });
    serde_json::from_value(plan).unwrap()
}

/// A plan is refused, or tells its parts and their halves; those of a part weigh no more than it does.
pub fn plan(bytes: &[u8]) {
    const SHARDS: u32 = 3;
    // No planner writes a greater file.
    const MOST_BYTES: u64 = 1 << 46;
    let Ok(plan) = serde_json::from_slice::<Plan>(bytes) else { return };
    if plan.parts.iter().flat_map(|part| &part.files).any(|file| file.bytes > MOST_BYTES) {
        return;
    }
    for number in 0..plan.parts.len() as u32 {
        let part = plan.part(number, SHARDS).unwrap();
        assert!(part.weight() > 0);
        let halves = plan.halves(number, SHARDS).into_iter().flatten().map(|half| plan.part(half, SHARDS).unwrap());
        for half in halves {
            assert!(half.weight() <= part.weight());
        }
    }
}
