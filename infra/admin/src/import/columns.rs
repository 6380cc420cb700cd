//! A table's columns as Arrow and Parquet know them.

use crate::failure::Failure;
use arrow_schema::{DataType, Field as ArrowField, FieldRef, Fields, Schema as ArrowSchema, TimeUnit};
use domain::schema::{Field, Kind, Nested, Schema};
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;
use std::collections::HashMap;
use std::sync::Arc;

/// The Arrow schema that a table's files have: Iceberg field ids at every level, required fields not nullable.
pub fn table_schema(schema: &Schema) -> Result<ArrowSchema, Failure> {
    Ok(ArrowSchema::new(fields(&schema.fields)?))
}

/// The same with everything nullable, for reading what may have gaps; they are judged later, with a sentence.
pub fn lenient_schema(schema: &Schema) -> Result<ArrowSchema, Failure> {
    Ok(ArrowSchema::new(table_schema(schema)?.fields().iter().map(lenient).collect::<Fields>()))
}

fn lenient(field: &FieldRef) -> FieldRef {
    let kind = match field.data_type() {
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(lenient).collect()),
        DataType::List(element) => DataType::List(lenient(element)),
        DataType::Map(entries, sorted) => {
            let DataType::Struct(pair) = entries.data_type() else { return field.clone() };
            let pair: Fields = [pair[0].clone(), lenient(&pair[1])].into_iter().collect();
            DataType::Map(Arc::new(entries.as_ref().clone().with_data_type(DataType::Struct(pair))), *sorted)
        }
        other => other.clone(),
    };
    Arc::new(field.as_ref().clone().with_data_type(kind).with_nullable(true))
}

fn fields(fields: &[Field]) -> Result<Fields, Failure> {
    fields.iter().map(|f| arrow_field(&f.name, f.id, f.required, &f.kind)).collect()
}

fn arrow_field(name: &str, id: i32, required: bool, kind: &Kind) -> Result<FieldRef, Failure> {
    let id = HashMap::from([(PARQUET_FIELD_ID_META_KEY.to_owned(), id.to_string())]);
    Ok(Arc::new(ArrowField::new(name, arrow_type(name, kind)?, !required).with_metadata(id)))
}

fn arrow_type(name: &str, kind: &Kind) -> Result<DataType, Failure> {
    Ok(match kind {
        Kind::Primitive(primitive) => arrow_primitive(primitive).ok_or_else(|| {
            Failure::say(format!("the column {name} is of type {primitive}, which the import cannot write."))
        })?,
        Kind::Nested(Nested::Struct { fields: below }) => DataType::Struct(fields(below)?),
        Kind::Nested(Nested::List { element_id, element_required, element }) => {
            DataType::List(arrow_field("element", *element_id, *element_required, element)?)
        }
        Kind::Nested(Nested::Map { key_id, key, value_id, value_required, value }) => {
            let key = arrow_field("key", *key_id, true, key)?;
            let value = arrow_field("value", *value_id, *value_required, value)?;
            let pair = DataType::Struct([key, value].into_iter().collect());
            DataType::Map(Arc::new(ArrowField::new("key_value", pair, false)), false)
        }
    })
}

fn arrow_primitive(name: &str) -> Option<DataType> {
    Some(match name {
        "boolean" => DataType::Boolean,
        "int" => DataType::Int32,
        "long" => DataType::Int64,
        "float" => DataType::Float32,
        "double" => DataType::Float64,
        "date" => DataType::Date32,
        "time" => DataType::Time64(TimeUnit::Microsecond),
        "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, None),
        "timestamptz" => DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
        "string" => DataType::Utf8,
        "binary" => DataType::Binary,
        other => {
            let (precision, scale) = domain::schema::Kind::Primitive(other.to_owned()).decimal()?;
            DataType::Decimal128(u8::try_from(precision).ok()?, i8::try_from(scale).ok()?)
        }
    })
}
