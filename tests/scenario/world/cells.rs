//! Values of Arrow arrays as JSON, in the form in which values are compared.

use crate::types::format_micros;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, DecimalType, Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use serde_json::{Map, Value};

/// A row of a batch; columns that are null are absent.
pub fn row(batch: &RecordBatch, at: usize) -> Value {
    let schema = batch.schema();
    let cells = schema.fields().iter().zip(batch.columns()).map(|(f, column)| (f.name().clone(), cell(column, at)));
    Value::Object(cells.filter(|(_, value)| !value.is_null()).collect())
}

fn cell(array: &dyn Array, at: usize) -> Value {
    if array.is_null(at) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Boolean => array.as_boolean().value(at).into(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(at).into(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(at).into(),
        DataType::Float32 => f64::from(array.as_primitive::<Float32Type>().value(at)).into(),
        DataType::Float64 => array.as_primitive::<Float64Type>().value(at).into(),
        DataType::Utf8 => array.as_string::<i32>().value(at).into(),
        DataType::Date32 => {
            let day = i64::from(array.as_primitive::<Date32Type>().value(at));
            format_micros(day * 86_400_000_000)[..10].into()
        }
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => {
            format_micros(array.as_primitive::<TimestampMicrosecondType>().value(at)).into()
        }
        DataType::Decimal128(precision, scale) => {
            Decimal128Type::format_decimal(array.as_primitive::<Decimal128Type>().value(at), *precision, *scale).into()
        }
        DataType::Struct(fields) => {
            let columns = fields.iter().zip(array.as_struct().columns());
            let cells = columns.map(|(f, column)| (f.name().clone(), cell(column, at)));
            Value::Object(cells.filter(|(_, value)| !value.is_null()).collect())
        }
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(at);
            (0..items.len()).map(|item| cell(&items, item)).collect()
        }
        DataType::Map(..) => map(&array.as_map().value(at)),
        other => panic!("{other} is not written by exports"),
    }
}

fn map(entries: &arrow_array::StructArray) -> Value {
    let mut made = Map::new();
    for at in 0..entries.len() {
        let key = cell(entries.column(0), at).as_str().unwrap().to_owned();
        assert!(made.insert(key.clone(), cell(entries.column(1), at)).is_none(), "a map has the key {key} twice");
    }
    Value::Object(made)
}
