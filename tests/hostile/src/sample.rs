//! A sandbox of one profile dataset, and small files of it.

use arrow_json::ReaderBuilder;
use arrow_schema::{DataType, FieldRef, Fields, Schema as ArrowSchema};
use bytes::Bytes;
use domain::registry::{Dataset, DatasetKind, Registry, TableCopy};
use domain::schema::{Field, Kind, Schema};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ArrowWriter, parquet_to_arrow_schema};
use parquet::basic::{Compression, Encoding};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::SchemaDescriptor;
use serde_json::{Value, json};
use std::sync::Arc;

/// The dataset's columns as its files have them.
const COLUMNS: &str = "message profile {
    optional binary profileId (STRING) = 1;
    optional int64 ingestTime (TIMESTAMP(MICROS, true)) = 2;
    optional group identityMap (MAP) = 3 {
        repeated group key_value {
            required binary key (STRING) = 4;
            optional group value (LIST) = 5 {
                repeated group list {
                    optional group element = 6 {
                        optional binary id (STRING) = 7;
                        optional boolean primary = 8;
                    }
                }
            }
        }
    }
    optional group segmentMembership (MAP) = 9 {
        repeated group key_value {
            required binary key (STRING) = 10;
            optional group value (MAP) = 11 {
                repeated group key_value {
                    required binary key (STRING) = 12;
                    optional group value = 13 {
                        optional int64 lastQualificationTime (TIMESTAMP(MICROS, true)) = 14;
                        optional binary status (STRING) = 15;
                    }
                }
            }
        }
    }
    optional int32 score = 16;
    optional double ratio = 17;
    optional group tags (LIST) = 18 { repeated group list { optional binary element (STRING) = 19; } }
}";

/// The dataset's schema.
pub fn source_schema() -> Schema {
    let string = || json!("string");
    serde_json::from_value(json!({ "schema-id": 0, "fields": [
        field(1, "profileId", string()),
        field(2, "ingestTime", json!("timestamptz")),
        field(3, "identityMap", map([4, 5], list(6, structure([
            field(7, "id", string()), field(8, "primary", json!("boolean")),
        ])))),
        field(9, "segmentMembership", map([10, 11], map([12, 13], structure([
            field(14, "lastQualificationTime", json!("timestamptz")), field(15, "status", string()),
        ])))),
        field(16, "score", json!("int")),
        field(17, "ratio", json!("double")),
        field(18, "tags", list(19, string())),
    ]}))
    .unwrap()
}

/// The export dataset's schema: the same columns, and `batchId`.
pub fn target_schema() -> Schema {
    let mut schema = source_schema();
    schema.fields.push(column(100, "batchId", "string"));
    schema
}

fn column(id: i32, name: &str, kind: &str) -> Field {
    Field { id, name: name.into(), required: false, kind: Kind::Primitive(kind.into()) }
}

fn field(id: i32, name: &str, kind: Value) -> Value {
    json!({ "id": id, "name": name, "required": false, "type": kind })
}

fn structure(fields: [Value; 2]) -> Value {
    json!({ "type": "struct", "fields": fields })
}

fn list(id: i32, element: Value) -> Value {
    json!({ "type": "list", "element-id": id, "element-required": false, "element": element })
}

fn map([key, id]: [i32; 2], value: Value) -> Value {
    json!({ "type": "map", "key-id": key, "key": "string", "value-id": id, "value-required": false, "value": value })
}

/// What a request is judged against.
pub fn registry() -> Registry {
    let dataset = |id: &str, kind, schema, batch_spec_id| -> Dataset {
        let copy = TableCopy {
            table_uuid: id.into(),
            format_version: 2,
            schema,
            buckets: Some(4),
            delete_kinds: Vec::new(),
            foreign_formats: Vec::new(),
            name_mapping_flaw: None,
            batch_spec_id,
        };
        let registered = json!({ "id": id, "kind": kind, "name": id, "table": { "database": "d", "table": id } });
        Dataset { copy: Some(copy), ..serde_json::from_value(registered).unwrap() }
    };
    let (mut events, mut exports) = (source_schema(), target_schema());
    events.fields.push(column(20, "timestamp", "timestamptz"));
    // An export table keeps whole numbers as long.
    exports.fields.retain(|field| field.name != "score");
    exports.fields.push(column(16, "score", "long"));
    Registry {
        datasets: vec![
            dataset("profiles", DatasetKind::Profile, source_schema(), None),
            dataset("events", DatasetKind::Event, events, None),
            dataset("exports", DatasetKind::Export, exports, Some(0)),
        ],
        ..Registry::default()
    }
}

/// Files of the same rows, each laid out as writers of another kind do it, by name.
pub fn files() -> Vec<(&'static str, Bytes)> {
    let plain = || {
        WriterProperties::builder()
            .set_statistics_enabled(EnabledStatistics::None)
            .set_offset_index_disabled(true)
            .set_write_batch_size(1)
    };
    let dictionary = plain().set_max_row_group_row_count(Some(3));
    let pages = plain()
        .set_dictionary_enabled(false)
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_data_page_row_count_limit(2)
        .set_offset_index_disabled(false)
        .set_compression(Compression::ZSTD(Default::default()));
    let delta = plain()
        .set_dictionary_enabled(false)
        .set_column_encoding("profileId".into(), Encoding::DELTA_BYTE_ARRAY)
        .set_column_encoding("score".into(), Encoding::DELTA_BINARY_PACKED)
        .set_compression(Compression::SNAPPY);
    let statistics = plain()
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_offset_index_disabled(false)
        .set_compression(Compression::ZSTD(Default::default()));
    [("dictionary", dictionary), ("pages", pages), ("delta", delta), ("statistics", statistics)]
        .map(|(name, layout)| (name, file(&rows(), layout.build())))
        .into()
}

fn file(rows: &[Value], layout: WriterProperties) -> Bytes {
    let columns = SchemaDescriptor::new(Arc::new(parse_message_type(COLUMNS).unwrap()));
    let schema = parquet_to_arrow_schema(&columns, None).unwrap();
    let schema = Arc::new(ArrowSchema::new(schema.fields().iter().map(zoned).collect::<Fields>()));
    let mut decoder = ReaderBuilder::new(schema.clone()).build_decoder().unwrap();
    decoder.serialize(rows).unwrap();
    let options =
        ArrowWriterOptions::new().with_properties(layout).with_skip_arrow_metadata(true).with_parquet_schema(columns);
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), schema, options).unwrap();
    writer.write(&decoder.flush().unwrap().unwrap()).unwrap();
    writer.into_inner().unwrap().into()
}

/// The field with its times in a zone that JSON's reader knows.
fn zoned(field: &FieldRef) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(*unit, Some("+00:00".into())),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(zoned).collect()),
        DataType::List(element) => DataType::List(zoned(element)),
        DataType::Map(entries, is_sorted) => DataType::Map(zoned(entries), *is_sorted),
        other => other.clone(),
    };
    Arc::new(field.as_ref().clone().with_data_type(data_type))
}

/// Members and others, with lists and maps of several lengths, and two rows of one profile.
fn rows() -> Vec<Value> {
    let membership = |day: u32, status: &str| json!({ "lastQualificationTime": format!("2026-01-0{day}T00:00:00Z"), "status": status });
    vec![
        json!({ "profileId": "p1", "ingestTime": "2026-01-01T00:00:00Z", "score": 1, "ratio": 0.5, "tags": ["a", "b"],
            "identityMap": { "Email": [{ "id": "a@b", "primary": true }, { "id": "c@d" }], "ECID": [{ "id": "1" }] },
            "segmentMembership": { "ups": { "s1": membership(1, "realized"), "s2": membership(2, "exited") } } }),
        json!({ "profileId": "p2", "ingestTime": "2026-01-02T00:00:00Z", "score": -1, "tags": [],
            "segmentMembership": { "ups": { "s2": membership(3, "existing") }, "aam": { "s1": membership(4, "realized") } } }),
        json!({ "profileId": "p1", "ingestTime": "2026-01-03T00:00:00Z", "ratio": 2.0, "tags": [null, "c"],
            "identityMap": { "Email": [{ "id": "a@b" }] }, "segmentMembership": { "ups": { "s1": membership(5, "realized") } } }),
        json!({ "profileId": "p3", "ingestTime": "2026-01-04T00:00:00Z", "identityMap": { "ECID": [] } }),
        json!({ "profileId": "p4", "score": 7, "segmentMembership": { "ups": { "s1": {} } } }),
    ]
}
