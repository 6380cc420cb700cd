//! The columns of the store's tables: Iceberg's schema and, for the files, Arrow's with its field ids.

use arrow_schema::{DataType, Field as ArrowField, FieldRef, Fields, Schema as ArrowSchema, TimeUnit};
use domain::schema::{Field, Kind, Nested, Schema};
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;

/// The profile table: what a person is and does, as AEP's profile snapshots have it, and so many attributes besides.
pub fn profiles(attributes: usize) -> Schema {
    let mut columns = json!({
        "profileId": "string",
        "identityMap": identities(),
        "segmentMembership": { "*": { "*": { "lastQualificationTime": "timestamptz", "status": "string" } } },
        "ingestTime": "timestamptz",
        "person": { "name": { "firstName": "string", "lastName": "string" }, "birthDate": "date", "gender": "string" },
        "personalEmail": { "address": "string" },
        "mobilePhone": { "number": "string" },
        "homeAddress": { "city": "string", "country": "string", "postalCode": "string" },
        "loyalty": { "tier": "string", "points": "long", "joined": "timestamptz" },
        "consents": { "marketing": "boolean", "sharing": "boolean" },
        "score": "double",
        "preferredLanguage": "string",
        "householdSize": "int",
        "interests": ["string"],
        "storeId": "string",
    });
    for (n, name) in self::attributes(attributes).into_iter().enumerate() {
        columns[name] = ["string", "long", "double"][n % 3].into();
    }
    schema(&columns)
}

/// The names of so many attributes, which are text, whole numbers and fractions by turns.
pub fn attributes(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("attribute{n:03}")).collect()
}

/// The CRM's table: some columns that the profile table has too, and some of its own.
pub fn crm() -> Schema {
    schema(&json!({
        "profileId": "string",
        "identityMap": identities(),
        "ingestTime": "timestamptz",
        "person": { "name": { "firstName": "string", "lastName": "string" } },
        "personalEmail": { "address": "string" },
        "loyalty": { "tier": "string", "points": "long" },
        "account": { "manager": "string", "region": "string", "openInvoices": "int" },
    }))
}

/// The event table.
pub fn events() -> Schema {
    schema(&json!({
        "profileId": "string",
        "identityMap": identities(),
        "timestamp": "timestamptz",
        "ingestTime": "timestamptz",
        "eventType": "string",
        "commerce": { "order": { "priceTotal": "double", "currencyCode": "string" } },
        "productListItems": [{ "sku": "string", "name": "string" }],
    }))
}

fn identities() -> Value {
    json!({ "*": [{ "id": "string", "authenticatedState": "string", "primary": "boolean" }] })
}

/// Columns in short: an object is a struct, `[type]` a list, `{"*": type}` a map from strings.
fn schema(columns: &Value) -> Schema {
    let mut schema = Schema { schema_id: 0, fields: fields(columns) };
    schema.number();
    schema
}

fn fields(columns: &Value) -> Vec<Field> {
    let columns = columns.as_object().into_iter().flatten();
    let required = |name: &str| ["profileId", "ingestTime", "timestamp"].contains(&name);
    columns
        .map(|(name, short)| Field { id: 0, name: name.clone(), required: required(name), kind: kind(short) })
        .collect()
}

fn kind(short: &Value) -> Kind {
    match short {
        Value::Array(element) => Kind::list_of(kind(&element[0])),
        Value::Object(map) if map.contains_key("*") => Kind::map_of(kind(&json!("string")), kind(&map["*"])),
        Value::Object(_) => Kind::Nested(Nested::Struct { fields: fields(short) }),
        name => Kind::Primitive(name.as_str().unwrap_or_default().to_owned()),
    }
}

/// The schema of a table's files.
pub fn arrow(schema: &Schema) -> ArrowSchema {
    ArrowSchema::new(schema.fields.iter().map(column).collect::<Vec<_>>())
}

fn column(field: &Field) -> FieldRef {
    named(&field.name, field.id, data_type(&field.kind), !field.required)
}

fn named(name: &str, id: i32, data_type: DataType, nullable: bool) -> FieldRef {
    let metadata = HashMap::from([(PARQUET_FIELD_ID_META_KEY.to_owned(), id.to_string())]);
    Arc::new(ArrowField::new(name, data_type, nullable).with_metadata(metadata))
}

fn data_type(kind: &Kind) -> DataType {
    match kind {
        Kind::Primitive(name) => match name.as_str() {
            "boolean" => DataType::Boolean,
            "int" => DataType::Int32,
            "long" => DataType::Int64,
            "double" => DataType::Float64,
            "date" => DataType::Date32,
            "timestamptz" => DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
            _ => DataType::Utf8,
        },
        Kind::Nested(Nested::Struct { fields }) => DataType::Struct(fields.iter().map(column).collect()),
        Kind::Nested(Nested::List { element_id, element, .. }) => {
            DataType::List(named("element", *element_id, data_type(element), true))
        }
        Kind::Nested(Nested::Map { key_id, key, value_id, value, .. }) => {
            let key = named("key", *key_id, data_type(key), false);
            let value = named("value", *value_id, data_type(value), true);
            let pair = DataType::Struct(Fields::from(vec![key, value]));
            DataType::Map(Arc::new(ArrowField::new("key_value", pair, false)), false)
        }
    }
}
