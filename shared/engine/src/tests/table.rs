//! Sample tables: rows as JSON, brought into Parquet and back.

use crate::selection::Selection;
use crate::shape::Shape;
use crate::{EngineError, PartTask, Progress, Settings, Step, export_part};
use arrow_array::RecordBatch;
use arrow_cast::cast;
use arrow_json::{ArrayWriter, ReaderBuilder};
use arrow_schema::{DataType, Field as ArrowField, Schema as ArrowSchema, TimeUnit};
use bytes::Bytes;
use domain::fields::Projection;
use domain::filter::{MembershipStatus, ProfileFilter, SegmentEntry, Window};
use domain::id::{BatchId, JobId};
use domain::instant::Micros;
use domain::name_mapping::NameMapping;
use domain::plan::{
    DataFile, DeleteFile, OutputList, PLAN_VERSION, Pin, Plan, PlannedPart, PlannedSource, PlannedTarget, Slice,
    TableName,
};
use domain::ports::objects::{Location, ReadObjects, WriteObjects};
use domain::registry::{ColumnNames, DatasetKind, IdentityGraph, MergePolicy};
use domain::schema::{Field, Kind, Nested, Schema};
use domain::tenant::Tenant;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::properties::WriterProperties;
use serde_json::{Value, json};
use std::sync::Arc;
use testkit::MemoryObjects;

/// When members of sample segments were qualified.
pub const NOON: &str = "2018-01-01T12:00:00Z";

/// A profile dataset with something of everything.
pub fn source_schema() -> Schema {
    serde_json::from_value(json!({ "schema-id": 0, "fields": [
        field(1, "profileId", json!("string")),
        field(2, "ingestTime", json!("timestamptz")),
        field(3, "identityMap", map(4, 5, list(6, structure(&[
            field(7, "id", json!("string")),
            field(8, "authenticatedState", json!("string")),
            field(9, "primary", json!("boolean")),
        ])))),
        field(10, "segmentMembership", map(11, 12, map(13, 14, structure(&[
            field(15, "lastQualificationTime", json!("timestamptz")),
            field(16, "status", json!("string")),
            field(17, "version", json!("int")),
        ])))),
        field(20, "personalEmail", structure(&[
            field(21, "address", json!("string")),
            field(22, "label", json!("string")),
        ])),
        field(23, "score", json!("int")),
        field(24, "orders", list(25, structure(&[
            field(26, "sku", json!("string")),
            field(27, "quantity", json!("int")),
            field(28, "price", json!("decimal(9, 2)")),
        ]))),
        field(29, "ratio", json!("float")),
        field(30, "tags", list(31, json!("string"))),
    ]}))
    .unwrap()
}

fn field(id: i32, name: &str, kind: Value) -> Value {
    json!({ "id": id, "name": name, "required": false, "type": kind })
}

fn structure(fields: &[Value]) -> Value {
    json!({ "type": "struct", "fields": fields })
}

fn list(id: i32, element: Value) -> Value {
    json!({ "type": "list", "element-id": id, "element-required": false, "element": element })
}

fn map(key: i32, id: i32, value: Value) -> Value {
    json!({ "type": "map", "key-id": key, "key": "string", "value-id": id, "value-required": false, "value": value })
}

/// The export dataset of [`source_schema`]: other ids, another order, widened types, `batchId`, and a column from elsewhere.
pub fn target_schema() -> Schema {
    let mut fields: Vec<Field> = source_schema().fields.iter().map(widened).collect();
    fields.reverse();
    for (id, name) in [(1900, "batchId"), (1901, "elsewhere")] {
        let field = Field { id, name: name.into(), required: false, kind: Kind::Primitive("string".into()) };
        fields.insert(2, field);
    }
    Schema { schema_id: 3, fields }
}

fn widened(field: &Field) -> Field {
    Field { id: field.id + 1000, kind: widened_kind(&field.kind), ..field.clone() }
}

fn widened_kind(kind: &Kind) -> Kind {
    match kind.clone() {
        Kind::Primitive(name) => Kind::Primitive(match name.as_str() {
            "int" => "long".into(),
            "float" => "double".into(),
            "decimal(9, 2)" => "decimal(38, 2)".into(),
            _ => name,
        }),
        Kind::Nested(Nested::Struct { fields }) => {
            Kind::Nested(Nested::Struct { fields: fields.iter().map(widened).collect() })
        }
        Kind::Nested(Nested::List { element_id, element_required, element }) => Kind::Nested(Nested::List {
            element_id: element_id + 1000,
            element_required,
            element: Box::new(widened_kind(&element)),
        }),
        Kind::Nested(Nested::Map { key_id, key, value_id, value_required, value }) => Kind::Nested(Nested::Map {
            key_id: key_id + 1000,
            key,
            value_id: value_id + 1000,
            value_required,
            value: Box::new(widened_kind(&value)),
        }),
    }
}

/// The Arrow schema, with field ids, of files that follow a table's schema.
pub fn arrow_schema(schema: &Schema) -> ArrowSchema {
    let whole = Kind::Nested(Nested::Struct { fields: schema.fields.clone() });
    let shape = Shape::new(Some(&whole), &whole, &Selection::Whole).unwrap();
    match shape.data_type() {
        DataType::Struct(fields) => ArrowSchema::new(fields),
        other => panic!("{other}"),
    }
}

/// Rows in Arrow's form.
pub fn batch(schema: &ArrowSchema, rows: &[Value]) -> RecordBatch {
    let mut decoder = ReaderBuilder::new(Arc::new(schema.clone())).with_batch_size(1 << 20).build_decoder().unwrap();
    decoder.serialize(rows).unwrap();
    decoder.flush().unwrap().unwrap_or_else(|| RecordBatch::new_empty(Arc::new(schema.clone())))
}

/// A schema with all its timestamps of another type.
pub fn with_times(schema: &ArrowSchema, to: &DataType) -> ArrowSchema {
    fn change(field: &ArrowField, to: &DataType) -> ArrowField {
        let data_type = match field.data_type() {
            DataType::Struct(fields) => DataType::Struct(fields.iter().map(|f| change(f, to)).collect()),
            DataType::List(element) => DataType::List(Arc::new(change(element, to))),
            DataType::Map(entries, sorted) => DataType::Map(Arc::new(change(entries, to)), *sorted),
            DataType::Timestamp(..) => to.clone(),
            leaf => leaf.clone(),
        };
        field.clone().with_data_type(data_type)
    }
    ArrowSchema::new(schema.fields().iter().map(|f| change(f, to)).collect::<Vec<_>>())
}

/// A batch with all its timestamps of another type.
pub fn times_as(batch: &RecordBatch, to: &DataType) -> RecordBatch {
    let schema = with_times(&batch.schema(), to);
    let columns = batch.columns().iter().zip(schema.fields()).map(|(c, f)| cast(c, f.data_type()).unwrap()).collect();
    RecordBatch::try_new(Arc::new(schema), columns).unwrap()
}

/// Rows as JSON, in which nulls are absent.
pub fn json_rows(batch: &RecordBatch) -> Vec<Value> {
    // Without a time zone database, JSON knows the zone by its offset only.
    let zoned = times_as(batch, &DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())));
    let mut writer = ArrayWriter::new(Vec::new());
    writer.write(&zoned).unwrap();
    writer.finish().unwrap();
    serde_json::from_slice(&writer.into_inner()).unwrap_or_default()
}

/// Rows as they read after a way through Arrow.
pub fn canonical(rows: &[Value]) -> Vec<Value> {
    json_rows(&batch(&arrow_schema(&source_schema()), rows))
}

/// A Parquet file of a batch, in row groups of some rows.
pub fn parquet(batch: &RecordBatch, group_rows: usize) -> Bytes {
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group_rows)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap().into()
}

/// Stores a data file.
pub async fn put(store: &MemoryObjects, name: &str, body: Bytes) -> DataFile {
    let at = Location::new("lake", format!("profiles/{name}"));
    let bytes = body.len() as u64;
    store.create(&at, body).await.unwrap();
    DataFile {
        source: 0,
        location: at.to_string(),
        bytes,
        rows: 0,
        bucket: None,
        range: None,
        split_offsets: vec![],
        deletes: vec![],
    }
}

/// A job over the sample tables.
#[derive(Clone)]
pub struct Job {
    pub source: Schema,
    pub target: Schema,
    pub columns: ColumnNames,
    pub unique_profiles: bool,
    pub projection: Projection,
    pub filter: ProfileFilter,
    pub slice: Option<Slice>,
    pub distinct: bool,
    pub deletes: Vec<DeleteFile>,
    pub former: Vec<Field>,
    pub name_mapping: Option<NameMapping>,
    pub identity_graph: IdentityGraph,
    pub settings: Settings,
}

impl Default for Job {
    fn default() -> Self {
        Self {
            source: source_schema(),
            target: target_schema(),
            columns: ColumnNames::default(),
            unique_profiles: true,
            projection: Projection::default(),
            filter: ProfileFilter::default(),
            slice: None,
            distinct: false,
            deletes: Vec::new(),
            former: Vec::new(),
            name_mapping: None,
            identity_graph: IdentityGraph::Pdg,
            settings: Settings { row_batch: 3, ..Settings::default() },
        }
    }
}

impl Job {
    /// The job as a plan; its parts stand aside.
    pub fn plan(&self) -> Plan {
        let table = |name: &str| TableName { database: "sample".into(), table: name.into() };
        let pin = Pin {
            dataset_id: "p".into(),
            table: table("p"),
            table_uuid: "p".into(),
            snapshot_id: Some(1),
            schema_id: Some(self.source.schema_id),
        };
        let source = PlannedSource {
            kind: DatasetKind::Profile,
            pin,
            schema: self.source.clone(),
            former: self.former.clone(),
            name_mapping: self.name_mapping.clone(),
            columns: self.columns.clone(),
            unique_profiles: self.unique_profiles,
        };
        let target = PlannedTarget {
            dataset_id: "e".into(),
            table: table("e"),
            table_uuid: "e".into(),
            schema: self.target.clone(),
            spec_id: 0,
            data_prefix: "s3://lake/export/".into(),
        };
        Plan {
            version: PLAN_VERSION,
            tenant: Tenant::new("A@AdobeOrg", "prod").unwrap(),
            job_id: JobId::parse("1").unwrap(),
            sources: vec![source],
            target,
            merge_policy: MergePolicy { identity_graph: self.identity_graph, ..MergePolicy::built_in() },
            projection: self.projection.clone(),
            filter: self.filter.clone(),
            events: None,
            batches: vec![BatchId::new(0xba7c)],
            segment_per_batch: false,
            parts: Vec::new(),
        }
    }

    /// A job that exports these fields of everybody.
    pub fn fields(paths: &str) -> Self {
        Self { projection: Projection::parse(paths), ..Self::default() }
    }

    /// A job that exports the ids of a segment's members.
    pub fn segment(namespace: &str, id: &str, statuses: &[MembershipStatus]) -> Self {
        let segments = vec![SegmentEntry::new(id, namespace, statuses)];
        Self { filter: ProfileFilter { segments, ..Default::default() }, ..Self::fields("profileId") }
    }

    /// The same within a window.
    pub fn within(mut self, start: Option<&str>, end: Option<&str>) -> Self {
        let [start, end] = [start, end].map(|at| at.map(|at| Micros::parse_rfc3339(at).unwrap()));
        self.filter.window = Window { start, end };
        self
    }

    /// Exports files, answering each report of progress with `step`.
    pub async fn export(
        &self,
        store: &MemoryObjects,
        files: Vec<DataFile>,
        step: impl FnMut(Progress) -> Step + Send,
    ) -> Result<OutputList, EngineError> {
        let (deletes, slice, distinct) = (self.deletes.clone(), self.slice, self.distinct);
        let part = PlannedPart { files, deletes, slice, distinct, run: None };
        let plan = self.plan();
        let task = PartTask { plan: &plan, part: &part, settings: self.settings };
        let file_at = |_: &BatchId, n| Location::new("lake", format!("export/part-{n:03}.parquet"));
        sendable(export_part(store, &task, file_at, step)).await
    }

    /// Exports rows that stand in one file, and reads the result back without `batchId`.
    pub async fn rows(&self, rows: &[Value]) -> (Vec<Value>, OutputList) {
        let store = MemoryObjects::default();
        let file = put(&store, "a.parquet", parquet(&batch(&arrow_schema(&source_schema()), rows), 4)).await;
        self.files(&store, vec![file]).await
    }

    /// Exports files, and reads the result back without `batchId`.
    pub async fn files(&self, store: &MemoryObjects, files: Vec<DataFile>) -> (Vec<Value>, OutputList) {
        let outputs = self.export(store, files, |_| Step::Continue).await.unwrap();
        let mut rows = Vec::new();
        for batch in exported(store, &outputs).await {
            rows.extend(json_rows(&batch));
        }
        for row in &mut rows {
            let batch_id = row.as_object_mut().unwrap().shift_remove("batchId");
            assert_eq!(batch_id, Some(json!(BatchId::new(0xba7c).as_str())));
        }
        (rows, outputs)
    }

    /// The `profileId`s that come out of rows, in order.
    pub async fn ids(&self, rows: &[Value]) -> Vec<String> {
        let (rows, _) = self.rows(rows).await;
        rows.iter().map(|row| row["profileId"].as_str().unwrap().to_owned()).collect()
    }
}

/// What a part wrote.
pub async fn exported(store: &MemoryObjects, outputs: &OutputList) -> Vec<RecordBatch> {
    let mut batches = Vec::new();
    for file in &outputs.files {
        let body = store.read(&Location::parse(&file.location).unwrap()).await.unwrap();
        assert_eq!(body.len() as u64, file.bytes);
        let reader = ParquetRecordBatchReaderBuilder::try_new(body).unwrap();
        assert_eq!(reader.metadata().file_metadata().num_rows() as u64, file.rows);
        batches.extend(reader.build().unwrap().map(Result::unwrap));
    }
    batches
}

/// A row with one membership.
pub fn member(id: &str, namespace: &str, segment: &str, status: &str, time: &str) -> Value {
    json!({ "profileId": id, "segmentMembership": { namespace: { segment: {
        "status": status, "lastQualificationTime": time, "version": 1 } } } })
}

/// Only compiles for what may move between threads, as a worker's futures must.
fn sendable<T: Send>(future: T) -> T {
    future
}

/// So many profiles in the segment `ups`, `s1`.
pub fn numbered(count: usize) -> Vec<Value> {
    (0..count).map(|i| member(&format!("p{i:05}"), "ups", "s1", "realized", "2018-01-01T00:00:00Z")).collect()
}

/// Rows of the profile dataset.
pub fn plain(rows: &[Value]) -> RecordBatch {
    batch(&arrow_schema(&source_schema()), rows)
}

/// How many objects a store has below a prefix.
pub async fn objects_below(store: &MemoryObjects, prefix: &str) -> usize {
    store.list(&Location::new("lake", prefix)).await.unwrap().len()
}
