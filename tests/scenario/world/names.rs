//! Name mappings of tables whose files carry no field ids, kept as Iceberg keeps them: every name that a column ever had.

use super::table;
use bytes::Bytes;
use domain::name_mapping::NAME_MAPPING;
use domain::ports::objects::{Location, ReadObjects, WriteObjects};
use domain::schema::{Field, Kind, Nested, Schema};
use lake::glue::GlueApi;
use lake::twin::MemoryGlue;
use serde_json::{Value, json};
use testkit::MemoryObjects;

/// Gives a table the mapping of the schemas that it has had, from the oldest to the present one.
pub async fn set(glue: &MemoryGlue, objects: &MemoryObjects, id: &str, schemas: &[Schema]) {
    let mut entry = glue.table(&table(id)).await.unwrap();
    let at = entry.metadata_location().unwrap().to_owned();
    let mut metadata: Value =
        serde_json::from_slice(&objects.read(&Location::parse(&at).unwrap()).await.unwrap()).unwrap();
    let levels: Vec<_> = schemas.iter().map(|schema| schema.fields.as_slice()).collect();
    metadata["properties"][NAME_MAPPING] = fields(&levels).to_string().into();
    let (folder, name) = at.rsplit_once('/').unwrap();
    let (_, name) = name.split_once('-').unwrap();
    let named = format!("{folder}/90000-{name}");
    objects.create(&Location::parse(&named).unwrap(), Bytes::from(metadata.to_string())).await.unwrap();
    entry.input.parameters.insert("metadata_location".into(), named);
    glue.put(&table(id), entry);
}

/// The fields of one level, as it has been.
fn fields(levels: &[&[Field]]) -> Value {
    let all = || levels.iter().copied().flatten();
    let mut ids: Vec<_> = all().map(|field| field.id).collect();
    ids.sort();
    ids.dedup();
    let field = |id: i32| {
        let same: Vec<_> = all().filter(|field| field.id == id).collect();
        // A name that went to another column is that one's.
        let mut names: Vec<_> = same.iter().map(|field| &field.name).collect();
        names.retain(|name| all().filter(|field| field.name == **name).all(|field| field.id <= id));
        names.sort();
        names.dedup();
        let kinds: Vec<_> = same.iter().map(|field| &field.kind).collect();
        json!({"field-id": id, "names": names, "fields": below(&kinds)})
    };
    ids.into_iter().map(field).collect()
}

fn below(kinds: &[&Kind]) -> Value {
    let named = |name: &str, id: i32, kinds: &[&Kind]| json!({"field-id": id, "names": [name], "fields": below(kinds)});
    match kinds.first() {
        None | Some(Kind::Primitive(_)) => json!([]),
        Some(Kind::Nested(Nested::Struct { .. })) => {
            fields(&kinds.iter().map(|kind| struct_fields(kind)).collect::<Vec<_>>())
        }
        Some(Kind::Nested(Nested::List { element_id, .. })) => {
            json!([named("element", *element_id, &kinds.iter().map(|kind| value(kind)).collect::<Vec<_>>())])
        }
        Some(Kind::Nested(Nested::Map { key_id, value_id, .. })) => {
            let values: Vec<_> = kinds.iter().map(|kind| value(kind)).collect();
            json!([named("key", *key_id, &[]), named("value", *value_id, &values)])
        }
    }
}

fn struct_fields(kind: &Kind) -> &[Field] {
    match kind {
        Kind::Nested(Nested::Struct { fields }) => fields,
        other => panic!("{} was a struct before", other.describe()),
    }
}

/// The element of a list, the value of a map.
fn value(kind: &Kind) -> &Kind {
    match kind {
        Kind::Nested(Nested::List { element: value, .. } | Nested::Map { value, .. }) => value,
        other => panic!("{} was a list or map before", other.describe()),
    }
}
