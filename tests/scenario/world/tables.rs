//! Tables: source tables made and filled, the export table.

use super::changes::{self, Changes};
use super::{EXPORTS, TestLake, files, names, table};
use crate::store::{Commit, Dataset, Fields, File, bucket_of};
use crate::types::Type;
use bytes::Bytes;
use domain::ports::lake::ReadTables;
use domain::ports::objects::{Location, WriteObjects};
use domain::registry::{ColumnNames, Dataset as Registered, DatasetKind};
use domain::schema::{Field, Kind, Nested, Schema};
use domain::union::{Input, export_schema};
use lake::NewDataFile;
use lake::twin::MemoryGlue;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use testkit::MemoryObjects;

/// Makes and fills the table of a dataset; the dataset as it is registered.
pub async fn source(
    lake: &TestLake,
    glue: &MemoryGlue,
    objects: &MemoryObjects,
    id: &str,
    dataset: &Dataset,
    buckets: Option<u32>,
) -> Registered {
    let columns: ColumnNames = serde_json::from_value(json!(dataset.names)).unwrap();
    let mut schema = Schema { schema_id: 0, fields: fields(&dataset.columns) };
    schema.number();
    let location = format!("s3://lake/{id}");
    lake.create_profile_table(&table(id), &location, &schema, buckets, dataset.profile_id_after(0)).await.unwrap();
    let last_id = changes::last_id(&schema);
    let (bare, schemas, placed) = (dataset.bare, Vec::new(), HashMap::new());
    let mut made = Table { lake, objects, id, schemas, last_id, buckets, bare, placed };
    for (n, commit) in dataset.commits.iter().enumerate() {
        made.commit(n, commit, dataset.profile_id_after(n + 1)).await;
    }
    if bare {
        names::set(glue, objects, id, &made.schemas).await;
    }
    let state = lake.look(&table(id), &columns.profile_id).await.unwrap();
    Registered {
        id: id.into(),
        kind: serde_json::from_value(json!(dataset.kind)).unwrap(),
        name: id.into(),
        table: table(id),
        columns,
        unique_profiles: dataset.unique,
        copy: Some(state.copy),
    }
}

/// Commits more to a table that is there, as its commit of that number.
pub async fn add(
    lake: &TestLake,
    objects: &MemoryObjects,
    id: &str,
    buckets: Option<u32>,
    (number, commit): (usize, &Commit),
) {
    let last_id = changes::last_id(&lake.look(&table(id), "profileId").await.unwrap().copy.schema);
    let (schemas, placed) = (Vec::new(), HashMap::new());
    let mut there = Table { lake, objects, id, schemas, last_id, buckets, bare: false, placed };
    there.commit(number, commit, "profileId").await;
}

/// Makes the export dataset of these sources.
pub async fn target(lake: &TestLake, sources: &[Registered]) -> Registered {
    let inputs = |kind| {
        let of_kind = sources.iter().filter(move |d| d.kind == kind);
        of_kind.map(|d| Input { id: &d.id, columns: &d.columns, schema: &d.copy.as_ref().unwrap().schema })
    };
    let (profiles, events): (Vec<_>, Vec<_>) =
        (inputs(DatasetKind::Profile).collect(), inputs(DatasetKind::Event).collect());
    let mut conflicts = Vec::new();
    let schema = export_schema(&profiles, &events, &mut conflicts);
    assert_eq!(conflicts, []);
    lake.create_export_table(&table(EXPORTS), "s3://lake/exports", &schema).await.unwrap();
    let state = lake.look(&table(EXPORTS), "profileId").await.unwrap();
    Registered {
        id: EXPORTS.into(),
        kind: DatasetKind::Export,
        name: EXPORTS.into(),
        table: table(EXPORTS),
        columns: ColumnNames::default(),
        unique_profiles: false,
        copy: Some(state.copy),
    }
}

/// A source table that is being filled.
struct Table<'w> {
    lake: &'w TestLake,
    objects: &'w MemoryObjects,
    id: &'w str,
    /// The columns as they have been; none = not looked at yet.
    schemas: Vec<Schema>,
    /// The greatest field id that was ever given.
    last_id: i32,
    buckets: Option<u32>,
    bare: bool,
    /// Where each row of the store went: bucket, location and position.
    placed: HashMap<(String, usize), (Option<u32>, String, usize)>,
}

impl Table<'_> {
    /// The `number`th commit. `profile_id` is what the table calls that column after it.
    async fn commit(&mut self, number: usize, commit: &Commit, profile_id: &str) {
        if self.schemas.is_empty() {
            self.schemas.push(self.lake.look(&table(self.id), profile_id).await.unwrap().copy.schema);
        }
        let mut schema = self.schemas.last().unwrap().clone();
        for change in &commit.columns {
            schema = changes::changed(schema, change, &mut self.last_id);
            self.lake.evolve(&table(self.id), &schema).await.unwrap();
            self.schemas.push(schema.clone());
        }
        let mut data = Vec::new();
        for file in &commit.append {
            data.extend(self.put(file, &schema, profile_id).await);
        }
        let prefix = format!("s3://lake/{}/deletes/{number}", self.id);
        let mut deletes = Changes::new(self.lake, self.objects, prefix, self.bare);
        for (file, row) in &commit.positions {
            deletes.position(self.placed[&(file.clone(), *row)].clone());
        }
        for equal in &commit.equal {
            let buckets: Vec<_> = match (equal.bucket, self.buckets) {
                (Some(bucket), _) => vec![Some(bucket)],
                (None, Some(n)) => (0..n).map(Some).collect(),
                (None, None) => vec![None],
            };
            deletes.equal(&schema, equal, &buckets);
        }
        deletes.commit(&table(self.id), data).await;
    }

    /// Writes a file of the store, one for each bucket.
    async fn put(&mut self, file: &File, schema: &Schema, profile_id: &str) -> Vec<NewDataFile> {
        let mut parts: BTreeMap<Option<u32>, Vec<Fields>> = BTreeMap::new();
        for (at, row) in file.rows.iter().enumerate() {
            let bucket = bucket_of(self.buckets, row.get(profile_id).unwrap_or(&Value::Null));
            let rows = parts.entry(bucket).or_default();
            let location = location(self.id, &file.file, bucket);
            self.placed.insert((file.file.clone(), at), (bucket, location, rows.len()));
            rows.push(row.clone());
        }
        let mut written = Vec::new();
        for (bucket, rows) in parts {
            let (body, split_offsets) = files::write(schema, &rows, file.group, self.bare);
            let location = location(self.id, &file.file, bucket);
            let new =
                NewDataFile { location, bytes: body.len() as u64, rows: rows.len() as u64, bucket, split_offsets };
            put(self.objects, &new.location, body).await;
            written.push(new);
        }
        written
    }
}

/// Puts an object where none is.
pub async fn put(objects: &MemoryObjects, location: &str, body: Bytes) {
    objects.create(&Location::parse(location).unwrap(), body).await.unwrap();
}

fn location(dataset: &str, file: &str, bucket: Option<u32>) -> String {
    let bucket = bucket.map_or_else(String::new, |bucket| format!("-{bucket:05}"));
    format!("s3://lake/{dataset}/data/{file}{bucket}.parquet")
}

/// Columns in Iceberg's form, all of them optional and not numbered.
pub fn fields(columns: &Fields) -> Vec<Field> {
    let field = |(name, short): (&String, &Value)| Field {
        id: 0,
        name: name.clone(),
        required: false,
        kind: kind(&Type::read(short)),
    };
    columns.iter().map(field).collect()
}

/// A type in Iceberg's form.
pub fn kind(short: &Type) -> Kind {
    match short {
        Type::Plain(name) => Kind::Primitive(name.clone()),
        Type::List(of) => Kind::list_of(kind(of)),
        Type::Map(of) => Kind::map_of(Kind::Primitive("string".into()), kind(of)),
        Type::Struct(below) => {
            let field =
                |(name, t): &(String, Type)| Field { id: 0, name: name.clone(), required: false, kind: kind(t) };
            Kind::Nested(Nested::Struct { fields: below.iter().map(field).collect() })
        }
    }
}
