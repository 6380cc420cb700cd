//! Times of 96 bits, as older versions of Spark, Hive and Impala wrote them: a Julian day and nanoseconds.

use arrow_schema::{DataType, Field as ArrowField, FieldRef, Fields, Schema as ArrowSchema, TimeUnit};
use parquet::basic::Type;
use parquet::schema::types::SchemaDescriptor;
use std::sync::Arc;

/// The schema of a file, derived from Parquet's own, with its times of 96 bits in microseconds: as nanoseconds, which they
/// are read as otherwise, years before 1678 and after 2261 would wrap around. `None`: it has no such times.
pub(crate) fn in_micros(schema: &ArrowSchema, parquet: &SchemaDescriptor) -> Option<ArrowSchema> {
    let is_int96: Vec<bool> = parquet.columns().iter().map(|c| c.physical_type() == Type::INT96).collect();
    is_int96.contains(&true).then(|| ArrowSchema::new(fields(schema.fields(), &mut is_int96.into_iter())))
}

fn fields(fields: &Fields, is_int96: &mut impl Iterator<Item = bool>) -> Fields {
    fields.iter().map(|f| field(f, is_int96)).collect()
}

/// A field, its leaves in the order in which the file has them.
fn field(field: &ArrowField, is_int96: &mut impl Iterator<Item = bool>) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Struct(below) => DataType::Struct(fields(below, is_int96)),
        DataType::List(below) => DataType::List(self::field(below, is_int96)),
        DataType::Map(below, sorted) => DataType::Map(self::field(below, is_int96), *sorted),
        leaf => match (is_int96.next(), leaf) {
            (Some(true), DataType::Timestamp(TimeUnit::Nanosecond, zone)) => {
                DataType::Timestamp(TimeUnit::Microsecond, zone.clone())
            }
            _ => leaf.clone(),
        },
    };
    Arc::new(field.clone().with_data_type(data_type))
}
