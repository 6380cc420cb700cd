//! Sample data: one sandbox with a profile dataset and an export dataset, and jobs in it.
#![allow(clippy::unwrap_used)]

use domain::fields::Projection;
use domain::filter::{ProfileFilter, SegmentEntry};
use domain::id::{BatchId, ID_EPOCH_MS, JobId};
use domain::instant::Millis;
use domain::job::{Echo, Job, Resolved, ResolvedDataset, Work};
use domain::plan::{Counts, DataFile, PLAN_VERSION, Pin, Plan, PlannedPart, PlannedSource, PlannedTarget, TableName};
use domain::registry::{
    AttributeMerge, Client, ColumnNames, Dataset, DatasetKind, Grant, IdentityGraph, MergePolicy, Registry, Segment,
    TableCopy,
};
use domain::schema::Schema;
use domain::tenant::Tenant;
use serde_json::{Value, json};

/// Where a test's clock may well stand: some months after the job ids' epoch.
pub const NOW: Millis = Millis(ID_EPOCH_MS + 10_000_000_000);

/// The sample sandbox.
pub fn tenant() -> Tenant {
    Tenant::new("EXAMPLE@AdobeOrg", "prod").unwrap()
}

/// The id of the sample sandbox's `n`th job: a greater `n` is a younger job.
pub fn job_id(n: u64) -> JobId {
    JobId::new(Millis(NOW.0 + n as i64), n)
}

/// The `n`th job of a sandbox: NEW, of one segment, due at [`NOW`].
pub fn job(tenant: &Tenant, n: u64) -> Job {
    let body = json!({
        "fields": "profileId,person.name",
        "filter": { "segments": [{ "segmentId": "gold", "segmentNs": "ups", "status": ["realized"] }] },
        "destination": { "datasetId": "exports", "segmentPerBatch": false },
        "schema": { "name": "_xdm.context.profile" },
    });
    let Value::Object(body) = body else { unreachable!("it is an object") };
    let echo = Echo { body, request_id: format!("request-{n}"), profile_instance_id: "ups".into() };
    let batch = BatchId::new(u128::from(n) << 64 | 0xba7c4);
    Job::new(tenant.clone(), job_id(n), format!("nonce-{n}"), echo, resolved(batch), NOW)
}

/// What the sample job's references stand for.
pub fn resolved(batch: BatchId) -> Resolved {
    Resolved {
        sources: vec![ResolvedDataset { id: "profiles".into(), kind: DatasetKind::Profile, table: table("profiles") }],
        target: ResolvedDataset { id: "exports".into(), kind: DatasetKind::Export, table: table("exports") },
        merge_policy: policy("by-time", 1),
        projection: Projection::parse("profileId,person.name"),
        filter: ProfileFilter { segments: vec![SegmentEntry::new("gold", "ups", &[])], ..Default::default() },
        events: None,
        batches: vec![batch],
        segment_per_batch: false,
    }
}

/// A job of the sample kind that was planned into this many parts and is PROCESSING. Parts weigh 100 each.
pub fn processing(tenant: &Tenant, n: u64, parts: u32) -> Job {
    let pinned = job(tenant, n).pin(vec![pin()], NOW).unwrap();
    pinned.start(work(parts), NOW).unwrap()
}

/// The shape of a plan of this many parts of weight 100.
pub fn work(parts: u32) -> Work {
    let run_id = "6f1e2a30-0000-4000-8000-000000000001".into();
    Work { run_id, shards: Work::shards_for(parts), parts, weight: u64::from(parts) * 100, fanned_out: true }
}

/// The source table at its pinned snapshot.
pub fn pin() -> Pin {
    Pin {
        dataset_id: "profiles".into(),
        table: table("profiles"),
        table_uuid: "11111111-0000-4000-8000-000000000001".into(),
        snapshot_id: Some(4_711),
        schema_id: Some(0),
    }
}

/// A job's plan: this many parts of one file each, 100 bytes a file.
pub fn plan(job: &Job, parts: u32) -> Plan {
    let file = |n: u32| DataFile {
        source: 0,
        location: format!("s3://lake/profiles/data/{n:05}.parquet"),
        bytes: 100,
        rows: 10,
        bucket: Some(n),
        range: None,
        split_offsets: Vec::new(),
        deletes: Vec::new(),
    };
    Plan {
        version: PLAN_VERSION,
        tenant: job.tenant.clone(),
        job_id: job.id,
        sources: vec![PlannedSource {
            kind: DatasetKind::Profile,
            pin: pin(),
            schema: profile_schema(),
            former: Vec::new(),
            name_mapping: None,
            columns: ColumnNames::default(),
            unique_profiles: true,
        }],
        target: PlannedTarget {
            dataset_id: "exports".into(),
            table: table("exports"),
            table_uuid: "22222222-0000-4000-8000-000000000002".into(),
            schema: export_schema(),
            spec_id: 0,
            data_prefix: format!("s3://lake/{}exports/data/{}/", job.tenant.object_prefix(), job.id),
        },
        merge_policy: job.resolved.merge_policy.clone(),
        projection: job.resolved.projection.clone(),
        filter: job.resolved.filter.clone(),
        events: job.resolved.events.clone(),
        batches: job.resolved.batches.clone(),
        segment_per_batch: job.resolved.segment_per_batch,
        parts: (0..parts).map(|n| PlannedPart { files: vec![file(n)], ..PlannedPart::default() }).collect(),
    }
}

/// Counters of some exported rows: 10 bytes and one e-mail address a row, and one profile with too many identities.
pub fn counts(rows: u64) -> Counts {
    Counts {
        rows,
        bytes: rows * 10,
        by_namespace: [("email".to_owned(), rows)].into(),
        too_many_identities: 1,
        empty_profiles: 0,
    }
}

/// What the sample sandbox has registered.
pub fn registry() -> Registry {
    Registry {
        datasets: vec![profile_dataset(), export_dataset()],
        policies: vec![policy("by-time", 1)],
        segments: vec![Segment {
            id: "gold".into(),
            ns: "ups".into(),
            name: "Gold members".into(),
            merge_policy_id: Some("by-time".into()),
            pql: None,
        }],
        strict_namespaces: Vec::new(),
    }
}

/// What a sandbox has registered that merges: its profiles are in 16 buckets, and so are events of theirs.
pub fn registry_with_events() -> Registry {
    let mut registry = registry();
    registry.datasets.push(event_dataset());
    for dataset in registry.datasets.iter_mut().filter(|d| d.kind != DatasetKind::Export) {
        dataset.unique_profiles = false;
        dataset.copy.as_mut().unwrap().buckets = Some(16);
    }
    registry
}

/// An event dataset.
pub fn event_dataset() -> Dataset {
    dataset("events", DatasetKind::Event, "33333333-0000-4000-8000-000000000003".into(), event_schema(), None)
}

/// A profile dataset without buckets, whose owner promises unique profiles.
pub fn profile_dataset() -> Dataset {
    dataset("profiles", DatasetKind::Profile, pin().table_uuid, profile_schema(), None)
}

/// An export dataset.
pub fn export_dataset() -> Dataset {
    let uuid = "22222222-0000-4000-8000-000000000002".to_owned();
    dataset("exports", DatasetKind::Export, uuid, export_schema(), Some(0))
}

/// A client that may do everything in one sandbox.
pub fn client(tenant: &Tenant, api_key: &str) -> Client {
    let grant = Grant {
        organization: tenant.organization().into(),
        sandboxes: vec![tenant.sandbox().into()],
        permissions: vec!["export-audience-for-segment".into()],
    };
    Client { api_key: api_key.into(), grants: vec![grant] }
}

/// A version of a default merge policy: by time, over all datasets of the graph.
pub fn policy(id: &str, version: u32) -> MergePolicy {
    MergePolicy {
        id: id.into(),
        version,
        identity_graph: IdentityGraph::Pdg,
        attribute_merge: AttributeMerge::TimestampOrdered,
        default: true,
    }
}

/// The profile table's schema: the columns that the product needs, a name and a score.
pub fn profile_schema() -> Schema {
    schema(profile_fields())
}

/// The event table's schema.
pub fn event_schema() -> Schema {
    schema(json!([
        {"id": 1, "name": "profileId", "required": true, "type": "string"},
        {"id": 2, "name": "timestamp", "required": true, "type": "timestamptz"},
        {"id": 3, "name": "ingestTime", "required": true, "type": "timestamptz"},
        {"id": 4, "name": "eventType", "required": false, "type": "string"},
    ]))
}

/// The export table's schema: the profile's fields, all optional, and `batchId`.
pub fn export_schema() -> Schema {
    let mut fields = profile_fields();
    for field in fields.as_array_mut().unwrap() {
        field["required"] = json!(false);
    }
    fields.as_array_mut().unwrap().push(json!({"id": 90, "name": "batchId", "required": true, "type": "string"}));
    schema(fields)
}

fn schema(fields: Value) -> Schema {
    serde_json::from_value(json!({ "schema-id": 0, "fields": fields })).unwrap()
}

fn profile_fields() -> Value {
    let identity = json!({"type": "struct", "fields": [
        {"id": 11, "name": "id", "required": false, "type": "string"},
        {"id": 12, "name": "authenticatedState", "required": false, "type": "string"},
        {"id": 13, "name": "primary", "required": false, "type": "boolean"},
    ]});
    let membership = json!({"type": "struct", "fields": [
        {"id": 24, "name": "lastQualificationTime", "required": false, "type": "timestamptz"},
        {"id": 25, "name": "status", "required": false, "type": "string"},
    ]});
    json!([
        {"id": 1, "name": "profileId", "required": true, "type": "string"},
        {"id": 2, "name": "identityMap", "required": false, "type": {
            "type": "map", "key-id": 8, "key": "string", "value-id": 9, "value-required": false,
            "value": {"type": "list", "element-id": 10, "element-required": false, "element": identity}}},
        {"id": 3, "name": "segmentMembership", "required": false, "type": {
            "type": "map", "key-id": 20, "key": "string", "value-id": 21, "value-required": false,
            "value": {"type": "map", "key-id": 22, "key": "string", "value-id": 23, "value-required": false,
                "value": membership}}},
        {"id": 4, "name": "ingestTime", "required": true, "type": "timestamptz"},
        {"id": 5, "name": "person", "required": false, "type": {
            "type": "struct", "fields": [{"id": 30, "name": "name", "required": false, "type": "string"}]}},
        {"id": 6, "name": "score", "required": false, "type": "double"},
    ])
}

fn table(name: &str) -> TableName {
    TableName { database: "sample".into(), table: name.into() }
}

fn dataset(id: &str, kind: DatasetKind, table_uuid: String, schema: Schema, batch_spec_id: Option<i32>) -> Dataset {
    Dataset {
        id: id.into(),
        kind,
        name: format!("Sample {id}"),
        table: table(id),
        columns: ColumnNames::default(),
        unique_profiles: kind == DatasetKind::Profile,
        copy: Some(TableCopy {
            table_uuid,
            format_version: 2,
            schema,
            buckets: None,
            delete_kinds: Vec::new(),
            foreign_formats: Vec::new(),
            name_mapping_flaw: None,
            batch_spec_id,
        }),
    }
}
