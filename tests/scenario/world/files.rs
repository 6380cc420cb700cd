//! Parquet files with Iceberg's field ids: rows of JSON in, rows of JSON out.

use super::cells::row;
use crate::store::Fields;
use arrow_array::{Int64Array, RecordBatch, StringArray};
use arrow_json::ReaderBuilder;
use arrow_schema::{DataType, Field as ArrowField, FieldRef, Fields as ArrowFields, Schema as ArrowSchema, TimeUnit};
use bytes::Bytes;
use domain::schema::{Field, Kind, Nested, Schema};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ArrowWriter, PARQUET_FIELD_ID_META_KEY};
use parquet::file::properties::WriterProperties;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// Iceberg's ids of the columns of position delete files.
const FILE_PATH: i32 = 2_147_483_546;
const POS: i32 = 2_147_483_545;

/// Rows as a file of a table, and where its row groups start. A bare one carries no field ids.
pub fn write(schema: &Schema, rows: &[Fields], group: Option<usize>, bare: bool) -> (Bytes, Vec<u64>) {
    let schema = ArrowSchema::new(arrow_fields(&schema.fields));
    let schema = if bare { ArrowSchema::new(stripped(schema.fields())) } else { schema };
    let mut decoder = ReaderBuilder::new(Arc::new(schema)).with_strict_mode(true).build_decoder().unwrap();
    decoder.serialize(rows).unwrap();
    encode(&decoder.flush().unwrap().unwrap(), group)
}

/// A position delete file of these rows: location and position.
pub fn write_positions(rows: &[(String, usize)], bare: bool) -> Bytes {
    let column = |name: &str, id, kind| field(name, id, true, kind);
    let fields = [column("file_path", FILE_PATH, DataType::Utf8), column("pos", POS, DataType::Int64)];
    let locations = StringArray::from_iter_values(rows.iter().map(|(location, _)| location));
    let positions = Int64Array::from_iter_values(rows.iter().map(|(_, row)| *row as i64));
    let fields = fields.into_iter().collect::<ArrowFields>();
    let schema = ArrowSchema::new(if bare { stripped(&fields) } else { fields });
    encode(&RecordBatch::try_new(Arc::new(schema), vec![Arc::new(locations), Arc::new(positions)]).unwrap(), None).0
}

/// The fields without their ids.
fn stripped(fields: &ArrowFields) -> ArrowFields {
    let field = |field: &FieldRef| {
        let below = |below: &FieldRef| stripped(&[below.clone()].into_iter().collect())[0].clone();
        let data_type = match field.data_type() {
            DataType::Struct(fields) => DataType::Struct(stripped(fields)),
            DataType::List(element) => DataType::List(below(element)),
            DataType::Map(entries, sorted) => DataType::Map(below(entries), *sorted),
            leaf => leaf.clone(),
        };
        Arc::new(ArrowField::new(field.name(), data_type, field.is_nullable()))
    };
    fields.iter().map(field).collect()
}

fn encode(batch: &RecordBatch, group: Option<usize>) -> (Bytes, Vec<u64>) {
    // Files of one row group have pages of two rows, others one page a row group.
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(group.or(Some(1 << 20)))
        .set_data_page_row_count_limit(if group.is_none() { 2 } else { 1 << 20 })
        .set_write_batch_size(1)
        .build();
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), batch.schema(), options).unwrap();
    writer.write(batch).unwrap();
    let metadata = writer.finish().unwrap();
    let offsets = metadata.row_groups().iter().map(|g| g.columns()[0].byte_range().0).collect();
    (std::mem::take(writer.inner_mut()).into(), offsets)
}

/// The rows of a file of a table: every column is the table's by id, name and type.
pub fn read(body: Bytes, schema: &Schema) -> Vec<Value> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(body).unwrap();
    judge(reader.schema().fields(), &schema.fields, "");
    let batches = reader.build().unwrap();
    let rows = |batch: RecordBatch| (0..batch.num_rows()).map(|at| row(&batch, at)).collect::<Vec<_>>();
    batches.flat_map(|batch| rows(batch.unwrap())).collect()
}

/// Holds a file's fields against the table's.
fn judge(fields: &ArrowFields, table: &[Field], path: &str) {
    let mut names: Vec<_> = fields.iter().map(|f| f.name()).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), fields.len(), "the file has a field twice at {path}");
    for found in fields {
        let path = format!("{path}.{}", found.name());
        let own = table.iter().find(|f| f.name == *found.name());
        let own = own.unwrap_or_else(|| panic!("the file has {path}, which the table lacks"));
        judge_field(found, own.id, &own.kind, &path);
    }
}

fn judge_field(found: &FieldRef, id: i32, kind: &Kind, path: &str) {
    assert_eq!(found.metadata().get(PARQUET_FIELD_ID_META_KEY), Some(&id.to_string()), "the field id of {path}");
    match (found.data_type(), kind) {
        (DataType::Struct(fields), Kind::Nested(Nested::Struct { fields: own })) => judge(fields, own, path),
        (DataType::List(element), Kind::Nested(Nested::List { element_id, element: own, .. })) => {
            judge_field(element, *element_id, own, &format!("{path}[]"));
        }
        (DataType::Map(entries, _), Kind::Nested(Nested::Map { key_id, key, value_id, value, .. })) => {
            let DataType::Struct(pair) = entries.data_type() else { panic!("{path} is no map") };
            judge_field(&pair[0], *key_id, key, &format!("{path}.key"));
            judge_field(&pair[1], *value_id, value, &format!("{path}.*"));
        }
        (DataType::Timestamp(unit, Some(_)), Kind::Primitive(name)) => {
            assert_eq!((*unit, name.as_str()), (TimeUnit::Microsecond, "timestamptz"), "the type of {path}");
        }
        (found, Kind::Primitive(name)) => assert_eq!(*found, primitive(name), "the type of {path}"),
        (found, own) => panic!("{path} is {found} and should be {own:?}"),
    }
}

fn arrow_fields(fields: &[Field]) -> ArrowFields {
    fields.iter().map(|f| field(&f.name, f.id, f.required, data_type(&f.kind))).collect()
}

fn field(name: &str, id: i32, required: bool, kind: DataType) -> FieldRef {
    let id = HashMap::from([(PARQUET_FIELD_ID_META_KEY.to_owned(), id.to_string())]);
    Arc::new(ArrowField::new(name, kind, !required).with_metadata(id))
}

fn data_type(kind: &Kind) -> DataType {
    match kind {
        Kind::Primitive(name) => primitive(name),
        Kind::Nested(Nested::Struct { fields }) => DataType::Struct(arrow_fields(fields)),
        Kind::Nested(Nested::List { element_id, element_required, element }) => {
            DataType::List(field("element", *element_id, *element_required, data_type(element)))
        }
        Kind::Nested(Nested::Map { key_id, key, value_id, value_required, value }) => {
            let key = field("key", *key_id, true, data_type(key));
            let value = field("value", *value_id, *value_required, data_type(value));
            let pair = DataType::Struct([key, value].into_iter().collect());
            DataType::Map(Arc::new(ArrowField::new("key_value", pair, false)), false)
        }
    }
}

fn primitive(name: &str) -> DataType {
    match name {
        "boolean" => DataType::Boolean,
        "int" => DataType::Int32,
        "long" => DataType::Int64,
        "float" => DataType::Float32,
        "double" => DataType::Float64,
        "date" => DataType::Date32,
        "timestamptz" => DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
        "string" => DataType::Utf8,
        other => {
            let (precision, scale) = Kind::Primitive(other.to_owned()).decimal().unwrap();
            DataType::Decimal128(precision as u8, scale as i8)
        }
    }
}
