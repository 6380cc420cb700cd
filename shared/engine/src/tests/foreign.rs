//! Files as other writers leave them.

use super::table::*;
use crate::Step;
use arrow_array::{Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field as ArrowField, Schema as ArrowSchema};
use bytes::Bytes;
use domain::instant::Micros;
use domain::name_mapping::NameMapping;
use domain::plan::{DataFile, DeleteFile, DeleteKind};
use domain::schema::{Field, Kind, Schema};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::{ByteArray, Int96};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::{Value, json};
use std::sync::Arc;
use testkit::MemoryObjects;

/// Profiles of an older Spark: times of 96 bits, in a map of maps too.
const OLD_SPARK: &str = "message spark_schema {
    optional binary profileId (UTF8) = 1;
    optional int96 ingestTime = 2;
    optional group segmentMembership (MAP) = 10 {
        repeated group key_value {
            required binary key (UTF8) = 11;
            optional group value (MAP) = 12 {
                repeated group key_value {
                    required binary key (UTF8) = 13;
                    optional group value = 14 {
                        optional int96 lastQualificationTime = 15;
                        optional binary status (UTF8) = 16;
                    }
                }
            }
        }
    }
}";

/// Days of the Julian calendar up to 1970.
const EPOCH: i64 = 2_440_588;

fn int96(days: i64, nanos: u64) -> Int96 {
    let mut time = Int96::new();
    time.set_data(nanos as u32, (nanos >> 32) as u32, (EPOCH + days) as u32);
    time
}

/// A file of [`OLD_SPARK`], a row for each time, its id `p` and the row's number.
fn old_spark(times: &[Int96]) -> Bytes {
    let schema = Arc::new(parse_message_type(OLD_SPARK).unwrap());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Default::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let texts = |text: &str| vec![ByteArray::from(text); times.len()];
    let ids = (0..times.len()).map(|n| ByteArray::from(format!("p{n}").as_str())).collect();
    let mut texts = [ids, texts("ups"), texts("s1"), texts("realized")].into_iter();
    let mut levels = [1, 1, 2, 4, 6, 6].into_iter();
    while let Some(mut column) = group.next_column().unwrap() {
        let levels = vec![levels.next().unwrap(); times.len()];
        let starts = vec![0; times.len()];
        match column.untyped() {
            ColumnWriter::Int96ColumnWriter(w) => w.write_batch(times, Some(&levels), Some(&starts)).unwrap(),
            ColumnWriter::ByteArrayColumnWriter(w) => {
                w.write_batch(&texts.next().unwrap(), Some(&levels), Some(&starts)).unwrap()
            }
            _ => unreachable!(),
        };
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.into_inner().unwrap().into()
}

#[tokio::test]
async fn times_of_96_bits_are_read_in_any_year() {
    let times =
        [int96(-719_162, 0), int96(2_932_896, 86_399_999_999_000), int96(0, 1_000), int96(-1, 86_399_999_999_999)];
    let texts = [
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999Z",
        "1970-01-01T00:00:00.000001Z",
        "1969-12-31T23:59:59.999999Z",
    ];
    let exported = async |job: &Job| {
        let store = MemoryObjects::default();
        let file = put(&store, "a", old_spark(&times)).await;
        job.files(&store, vec![file]).await.0
    };
    for unique_profiles in [true, false] {
        let job =
            Job { unique_profiles, ..Job::fields("ingestTime,profileId,segmentMembership.*.*.lastQualificationTime") };
        let row = |(n, text): (usize, &&str)| {
            json!({ "ingestTime": text, "profileId": format!("p{n}"),
                "segmentMembership": { "ups": { "s1": { "lastQualificationTime": text } } } })
        };
        assert_eq!(exported(&job).await, texts.iter().enumerate().map(row).collect::<Vec<_>>());

        let mut job = Job::segment("ups", "s1", &[]).within(Some("1970-01-01T00:00:00.000001Z"), None);
        job.unique_profiles = unique_profiles;
        assert_eq!(ids(exported(&job).await), ["p1", "p2"]);
        job.filter = Default::default();
        job.filter.updated_after = Micros::parse_rfc3339("9999-01-01T00:00:00Z");
        assert_eq!(ids(exported(&job).await), ["p1"]);
    }
}

fn ids(rows: Vec<Value>) -> Vec<String> {
    rows.iter().map(|row| row["profileId"].as_str().unwrap().to_owned()).collect()
}

fn parquet_of(rows: &[Value]) -> Bytes {
    parquet(&batch(&arrow_schema(&source_schema()), rows), 10)
}

/// A delete file that the data file names.
async fn delete(store: &MemoryObjects, kind: DeleteKind, body: Bytes, of: &mut DataFile) -> DeleteFile {
    let file = put(store, &format!("delete-{}", of.deletes.len()), body).await;
    of.deletes.push(of.deletes.len());
    DeleteFile { location: file.location, bytes: file.bytes, kind }
}

#[tokio::test]
async fn a_deleted_row_needs_no_profile_id() {
    let rows =
        [json!({ "profileId": "a", "score": 1 }), json!({ "score": 2 }), json!({ "profileId": "b", "score": 3 })];
    for unique_profiles in [true, false] {
        for (score, exported) in [(2, Some(["a", "b"])), (3, None)] {
            let store = MemoryObjects::default();
            let mut file = put(&store, "a", parquet_of(&rows)).await;
            let kind = DeleteKind::Equality { field_ids: vec![23] };
            let deletes = vec![delete(&store, kind, parquet_of(&[json!({ "score": score })]), &mut file).await];
            let job = Job { unique_profiles, deletes, ..Job::fields("profileId") };
            match exported {
                Some(exported) => assert_eq!(ids(job.files(&store, vec![file]).await.0), exported),
                None => {
                    let error = job.export(&store, vec![file], |_| Step::Continue).await.unwrap_err();
                    assert!(error.to_string().ends_with("a row has no profile id"), "{error}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_file_without_the_column_of_profile_ids_may_be_deleted_whole() {
    let mut older = source_schema();
    older.fields.retain(|f| f.name == "score");
    let body = parquet(&batch(&arrow_schema(&older), &[json!({ "score": 1 }), json!({ "score": 2 })]), 10);
    for unique_profiles in [true, false] {
        let store = MemoryObjects::default();
        let mut file = put(&store, "a", body.clone()).await;
        let kind = DeleteKind::Equality { field_ids: vec![23] };
        let deleted = parquet_of(&[json!({ "score": 1 }), json!({ "score": 2 })]);
        let deletes = vec![delete(&store, kind, deleted, &mut file).await];
        let job = Job { unique_profiles, deletes, ..Job::fields("profileId") };
        assert!(job.files(&store, vec![file]).await.0.is_empty());
    }
}

/// Elements of lists are called as some writers call them.
fn without_ids(field: &ArrowField) -> ArrowField {
    let data_type = match field.data_type() {
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(|f| without_ids(f)).collect()),
        DataType::List(element) => DataType::List(Arc::new(without_ids(element).with_name("item"))),
        DataType::Map(entries, sorted) => DataType::Map(Arc::new(without_ids(entries)), *sorted),
        leaf => leaf.clone(),
    };
    ArrowField::new(field.name(), data_type, field.is_nullable())
}

/// A file of a table's columns that carries no field ids.
fn bare(schema: &Schema, rows: &[Value]) -> Bytes {
    let fields = arrow_schema(schema).fields().iter().map(|f| without_ids(f)).collect::<Vec<_>>();
    parquet(&batch(&ArrowSchema::new(fields), rows), 10)
}

/// The source's columns with one of them under another name.
fn renamed(from: &str, to: &str) -> Schema {
    let mut schema = source_schema();
    schema.fields.iter_mut().filter(|f| f.name == from).for_each(|f| f.name = to.into());
    schema
}

/// The mapping of these top-level fields as Spark's `add_files` writes it; what is not told is none of the table's.
fn mapping(fields: Value) -> Option<NameMapping> {
    Some(NameMapping::parse(&fields.to_string()).unwrap())
}

fn plain_names() -> Value {
    json!([
        { "field-id": 1, "names": ["profileId"] },
        { "field-id": 10, "names": ["segmentMembership"], "fields": [
            { "field-id": 11, "names": ["key"] },
            { "field-id": 12, "names": ["value"], "fields": [
                { "field-id": 13, "names": ["key"] },
                { "field-id": 14, "names": ["value"], "fields": [
                    { "field-id": 15, "names": ["lastQualificationTime", "time"] },
                    { "field-id": 16, "names": ["status"] },
                ] },
            ] },
        ] },
        { "field-id": 23, "names": ["score", "points"] },
        { "field-id": 24, "names": ["orders"], "fields": [
            { "field-id": 25, "names": ["element"], "fields": [{ "field-id": 26, "names": ["sku", "article"] }] },
        ] },
        { "names": ["ratio"] },
    ])
}

#[tokio::test]
async fn a_file_without_field_ids_is_read_by_the_tables_name_mapping() {
    let store = MemoryObjects::default();
    let mut row = member("a", "ups", "s1", "realized", "2018-01-01T00:00:00Z");
    for (name, value) in [
        ("points", json!(5)),
        ("orders", json!([{ "sku": "x", "quantity": 1 }])),
        ("ratio", json!(0.5)),
        ("tags", json!(["t"])),
    ] {
        row[name] = value;
    }
    let file = put(&store, "a", bare(&renamed("score", "points"), &[row])).await;
    let mut job = Job { name_mapping: mapping(plain_names()), ..Job::segment("ups", "s1", &[]) };
    job.projection = Default::default();
    let time = json!({ "lastQualificationTime": "2018-01-01T00:00:00Z", "status": "realized" });
    let expected = json!({ "orders": [{ "sku": "x" }], "profileId": "a", "score": 5,
        "segmentMembership": { "ups": { "s1": time } } });
    assert_eq!(job.files(&store, vec![file]).await.0, [expected]);
}

#[tokio::test]
async fn a_file_without_field_ids_in_a_table_without_a_mapping_is_refused_by_name() {
    for unique_profiles in [true, false] {
        let store = MemoryObjects::default();
        let file = put(&store, "a", bare(&source_schema(), &[json!({ "profileId": "a" })])).await;
        let job = Job { unique_profiles, ..Job::fields("profileId") };
        let error = job.export(&store, vec![file], |_| Step::Continue).await.unwrap_err();
        let sentence = error.to_string();
        for part in ["s3://lake/profiles/a", "schema.name-mapping.default", "add_files", "rewrite the file"] {
            assert!(sentence.contains(part), "{part}: {sentence}");
        }
    }
}

#[tokio::test]
async fn field_ids_win_over_the_mapping_and_a_column_without_one_beside_them_is_not_read() {
    let store = MemoryObjects::default();
    let whole = arrow_schema(&source_schema());
    let fields = whole.fields().iter().map(|f| if f.name() == "score" { without_ids(f) } else { f.as_ref().clone() });
    let fields = ArrowSchema::new(fields.collect::<Vec<_>>());
    let rows = [json!({ "profileId": "a", "score": 5, "ratio": 0.5 })];
    let file = put(&store, "a", parquet(&batch(&fields, &rows), 10)).await;
    let names = json!([{ "field-id": 23, "names": ["score"] }, { "field-id": 1, "names": ["ratio"] }]);
    let job = Job { name_mapping: mapping(names), ..Job::fields("profileId,score,ratio") };
    assert_eq!(job.files(&store, vec![file]).await.0, [json!({ "profileId": "a", "ratio": 0.5 })]);
}

#[tokio::test]
async fn two_columns_that_are_one_field_are_refused() {
    let store = MemoryObjects::default();
    let mut schema = source_schema();
    schema.fields.push(Field { id: 99, name: "points".into(), required: false, kind: Kind::Primitive("int".into()) });
    let file = put(&store, "a", bare(&schema, &[json!({ "profileId": "a", "score": 5, "points": 6 })])).await;
    let job = Job { name_mapping: mapping(plain_names()), ..Job::fields("score") };
    let error = job.export(&store, vec![file], |_| Step::Continue).await.unwrap_err();
    assert!(error.to_string().contains("score and points are one field"), "{error}");
}

#[tokio::test]
async fn delete_files_without_field_ids_are_read_by_the_mapping_too() {
    let rows = ["a", "b", "c"].map(|id| json!({ "profileId": id, "points": id.len() }));
    for unique_profiles in [true, false] {
        let store = MemoryObjects::default();
        let mut file = put(&store, "a", bare(&renamed("score", "points"), &rows)).await;
        let key = json!({ "id": "b" });
        let key = bare(&Schema { schema_id: 0, fields: renamed("profileId", "id").fields[..1].to_vec() }, &[key]);
        let columns: Vec<(_, arrow_array::ArrayRef)> = vec![
            ("file_path", Arc::new(StringArray::from(vec![file.location.clone()]))),
            ("pos", Arc::new(Int64Array::from(vec![0]))),
        ];
        let positions = parquet(&RecordBatch::try_from_iter(columns).unwrap(), 10);
        let deletes = vec![
            delete(&store, DeleteKind::Equality { field_ids: vec![1] }, key, &mut file).await,
            delete(&store, DeleteKind::Position, positions, &mut file).await,
        ];
        let mut names = plain_names();
        names[0]["names"] = json!(["id", "profileId"]);
        let job = Job { unique_profiles, deletes, name_mapping: mapping(names), ..Job::fields("profileId") };
        assert_eq!(ids(job.files(&store, vec![file.clone()]).await.0), ["c"]);
        let job = Job { name_mapping: None, ..job };
        let error = job.export(&store, vec![file], |_| Step::Continue).await.unwrap_err();
        assert!(error.to_string().contains("delete-0 cannot be exported: it carries no field ids"), "{error}");
    }
}

#[tokio::test]
async fn values_of_a_column_that_was_dropped_still_delete() {
    let mut now = source_schema();
    let dropped = now.fields.iter().position(|f| f.name == "personalEmail").unwrap();
    let former = vec![now.fields.remove(dropped)];
    let rows = [("a", "x"), ("b", "y")];
    let rows = rows.map(|(id, address)| json!({ "profileId": id, "personalEmail": { "address": address } }));
    for unique_profiles in [true, false] {
        let store = MemoryObjects::default();
        let mut file = put(&store, "a", parquet_of(&rows)).await;
        let value = parquet_of(&[json!({ "personalEmail": { "address": "x" } })]);
        let deletes = vec![delete(&store, DeleteKind::Equality { field_ids: vec![21] }, value, &mut file).await];
        let (source, former) = (now.clone(), former.clone());
        let job = Job { unique_profiles, deletes, source, former, ..Job::fields("profileId") };
        assert_eq!(ids(job.files(&store, vec![file]).await.0), ["b"]);
    }
}

#[tokio::test]
async fn a_zero_is_deleted_by_its_sign() {
    let rows = [json!({ "profileId": "a", "ratio": 0.0 }), json!({ "profileId": "b", "ratio": -0.0 })];
    let store = MemoryObjects::default();
    let mut file = put(&store, "a", parquet_of(&rows)).await;
    let value = parquet_of(&[json!({ "ratio": -0.0 })]);
    let deletes = vec![delete(&store, DeleteKind::Equality { field_ids: vec![29] }, value, &mut file).await];
    let job = Job { deletes, ..Job::fields("profileId") };
    assert_eq!(ids(job.files(&store, vec![file]).await.0), ["a"]);
}

#[tokio::test]
async fn a_required_field_of_a_null_struct_is_deleted_as_a_null() {
    let schema = arrow_schema(&source_schema());
    let strict = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Struct(below) => {
            let below = below.iter().map(|f| f.as_ref().clone().with_nullable(false)).collect();
            field.as_ref().clone().with_data_type(DataType::Struct(below))
        }
        _ => field.as_ref().clone(),
    });
    let strict = ArrowSchema::new(strict.collect::<Vec<_>>());
    let rows =
        [json!({ "profileId": "a", "personalEmail": { "address": "", "label": "" } }), json!({ "profileId": "b" })];
    for (deleted, left) in [(json!({ "personalEmail": { "address": "" } }), "b"), (json!({}), "a")] {
        let store = MemoryObjects::default();
        let mut file = put(&store, "a", parquet(&batch(&strict, &rows), 10)).await;
        let kind = DeleteKind::Equality { field_ids: vec![21] };
        let deletes = vec![delete(&store, kind, parquet_of(&[deleted]), &mut file).await];
        let job = Job { deletes, ..Job::fields("profileId") };
        assert_eq!(ids(job.files(&store, vec![file]).await.0), [left]);
    }
}

#[tokio::test]
async fn the_values_of_all_delete_files_of_a_part_count_for_the_limit() {
    let rows = ["a", "b", "c"].map(|id| json!({ "profileId": id }));
    for (delete_keys, fits) in [(2, true), (1, false)] {
        let store = MemoryObjects::default();
        let mut file = put(&store, "a", parquet_of(&rows)).await;
        let mut job = Job::fields("profileId");
        job.settings.delete_keys = delete_keys;
        for row in &rows[..2] {
            let kind = DeleteKind::Equality { field_ids: vec![1] };
            job.deletes.push(delete(&store, kind, parquet_of(std::slice::from_ref(row)), &mut file).await);
        }
        assert_eq!(job.export(&store, vec![file], |_| Step::Continue).await.is_ok(), fits);
    }
}

#[tokio::test]
async fn positions_may_stand_in_any_order_and_a_row_at_one_needs_no_profile_id() {
    let mut rows = ["a", "b", "c", "d", "e", "f", "g"].map(|id| json!({ "profileId": id }));
    rows[0] = json!({});
    for unique_profiles in [true, false] {
        let store = MemoryObjects::default();
        let mut file = put(&store, "a", parquet_of(&rows)).await;
        let columns: Vec<(_, arrow_array::ArrayRef)> = vec![
            ("file_path", Arc::new(StringArray::from(vec![file.location.clone(); 2]))),
            ("pos", Arc::new(Int64Array::from(vec![5, 0]))),
        ];
        let positions = parquet(&RecordBatch::try_from_iter(columns).unwrap(), 10);
        let deletes = vec![delete(&store, DeleteKind::Position, positions, &mut file).await];
        let job = Job { unique_profiles, deletes, ..Job::fields("profileId") };
        assert_eq!(ids(job.files(&store, vec![file]).await.0), ["b", "c", "d", "e", "g"]);
    }
}

#[tokio::test]
async fn field_ids_below_the_top_are_field_ids_too() {
    let store = MemoryObjects::default();
    let whole = arrow_schema(&source_schema());
    let of_top = |field: &ArrowField| ArrowField::new(field.name(), field.data_type().clone(), field.is_nullable());
    let fields = ArrowSchema::new(whole.fields().iter().map(|f| of_top(f)).collect::<Vec<_>>());
    let file = put(&store, "a", parquet(&batch(&fields, &[json!({ "profileId": "a", "score": 5 })]), 10)).await;
    let job = Job { name_mapping: mapping(plain_names()), ..Job::fields("profileId,score") };
    let error = job.export(&store, vec![file], |_| Step::Continue).await.unwrap_err();
    assert!(error.to_string().ends_with("a row has no profile id"), "{error}");
}
