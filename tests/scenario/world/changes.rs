//! Deletes, and changes of columns.

use super::{TestLake, files, tables};
use crate::store::{Equal, Evolution};
use crate::types::Type;
use bytes::Bytes;
use domain::plan::{DeleteKind, TableName};
use domain::schema::{Field, Schema};
use lake::{NewDataFile, NewDeleteFile};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use testkit::MemoryObjects;

/// A delete file that is not written yet: bucket, kind, body and rows.
type Pending = (Option<u32>, DeleteKind, Bytes, u64);

/// The deletes of one commit.
pub struct Changes<'w> {
    lake: &'w TestLake,
    objects: &'w MemoryObjects,
    /// What the names of delete files start with.
    prefix: String,
    /// Whether the files carry no field ids.
    bare: bool,
    positions: BTreeMap<Option<u32>, Vec<(String, usize)>>,
    equal: Vec<Pending>,
}

impl<'w> Changes<'w> {
    /// No deletes yet.
    pub fn new(lake: &'w TestLake, objects: &'w MemoryObjects, prefix: String, bare: bool) -> Self {
        Self { lake, objects, prefix, bare, positions: BTreeMap::new(), equal: Vec::new() }
    }

    /// Deletes a row of a file in a bucket.
    pub fn position(&mut self, (bucket, location, row): (Option<u32>, String, usize)) {
        self.positions.entry(bucket).or_default().push((location, row));
    }

    /// Deletes equal rows in these buckets.
    pub fn equal(&mut self, schema: &Schema, equal: &Equal, buckets: &[Option<u32>]) {
        let columns: Vec<_> = equal.on.iter().map(|name| schema.field(name).unwrap().clone()).collect();
        let field_ids = columns.iter().map(|field| field.id).collect();
        let kind = DeleteKind::Equality { field_ids };
        let (body, _) = files::write(&Schema { schema_id: 0, fields: columns }, &equal.rows, None, self.bare);
        let rows = equal.rows.len() as u64;
        self.equal.extend(buckets.iter().map(|bucket| (*bucket, kind.clone(), body.clone(), rows)));
    }

    /// Commits data and deletes as one snapshot.
    pub async fn commit(self, table: &TableName, data: Vec<NewDataFile>) {
        let positions = self.positions.into_iter().map(|(bucket, mut rows)| {
            rows.sort();
            (bucket, DeleteKind::Position, files::write_positions(&rows, self.bare), rows.len() as u64)
        });
        let mut deletes = Vec::new();
        for (n, (bucket, kind, body, rows)) in positions.chain(self.equal).enumerate() {
            let location = format!("{}-{n}.parquet", self.prefix);
            let bytes = body.len() as u64;
            tables::put(self.objects, &location, body).await;
            deletes.push(NewDeleteFile { location, bytes, rows, bucket, kind });
        }
        self.lake.append_changes(table, data, deletes).await.unwrap();
    }
}

/// The table's columns after a change. New ones get ids that the table never had.
pub fn changed(mut schema: Schema, change: &Evolution, last_id: &mut i32) -> Schema {
    let named = |f: &&mut Field, name: &str| f.name == name;
    match change {
        Evolution::Add(more) => {
            let mut new = Schema { schema_id: 0, fields: tables::fields(more) };
            new.number();
            schema.fields.extend(raised(&new, *last_id).fields);
            *last_id += self::last_id(&new);
        }
        Evolution::Rename(old, new) => {
            schema.fields.iter_mut().filter(|f| named(f, old)).for_each(|f| f.name = new.clone());
        }
        Evolution::Promote(name, t) => {
            let wider = tables::kind(&Type::read(t));
            schema.fields.iter_mut().filter(|f| named(f, name)).for_each(|f| f.kind = wider.clone());
        }
        Evolution::Drop(name) => schema.fields.retain(|f| f.name != *name),
    }
    schema
}

/// The greatest field id of a schema.
pub fn last_id(schema: &Schema) -> i32 {
    let mut last = 0;
    ids(&mut json!(schema), &mut |id| last = last.max(*id));
    last
}

/// The schema with all ids greater by so much.
fn raised(schema: &Schema, by: i32) -> Schema {
    let mut json = json!(schema);
    ids(&mut json, &mut |id| *id += by);
    serde_json::from_value(json).unwrap()
}

/// Visits all field ids of a schema's JSON.
fn ids(json: &mut Value, visit: &mut impl FnMut(&mut i32)) {
    match json {
        Value::Object(object) => {
            for (name, value) in object.iter_mut() {
                if matches!(name.as_str(), "id" | "element-id" | "key-id" | "value-id") {
                    let mut id = value.as_i64().unwrap() as i32;
                    visit(&mut id);
                    *value = json!(id);
                } else {
                    ids(value, visit);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| ids(item, visit)),
        _ => {}
    }
}
