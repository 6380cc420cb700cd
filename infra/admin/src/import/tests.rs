#![allow(clippy::unwrap_used)]

use super::*;
use crate::fakes::MemoryTables;
use crate::registry::types::read_schema;
use crate::sample::Sample;
use crate::yaml::Node;
use arrow_array::cast::AsArray;
use arrow_schema::{DataType, TimeUnit};
use domain::plan::TableName;
use domain::ports::objects::ReadObjects;
use domain::registry::{ColumnNames, DatasetKind};
use domain::schema::Schema;
use lake::bucket_of;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::io::Write;
use testkit::MemoryObjects;

const COLUMNS: &str = r#"
profileId!: string
ingestTime!: timestamptz
age: int
person: {name!: string, tags: [string]}
identityMap: {"*": [{id: string, primary: boolean}]}
price: decimal(9, 2)
born: date
"#;

fn schema(yaml: &str) -> Schema {
    let value = serde_yaml_ng::from_str(yaml).unwrap();
    read_schema(&Node::root(&value), &mut Vec::new()).unwrap()
}

fn dataset() -> Dataset {
    Dataset {
        id: "crm".into(),
        kind: DatasetKind::Profile,
        name: String::new(),
        table: TableName { database: "shop".into(), table: "crm".into() },
        columns: ColumnNames::default(),
        unique_profiles: false,
        copy: None,
    }
}

struct Setting {
    tables: MemoryTables,
    objects: MemoryObjects,
    schema: Schema,
    folder: tempfile::TempDir,
}

impl Setting {
    fn new(columns: &str, buckets: Option<u32>) -> Self {
        Self::of(schema(columns), buckets)
    }

    fn of(schema: Schema, buckets: Option<u32>) -> Self {
        let tables = MemoryTables::default();
        tables.put(&dataset().table, &schema, buckets, None);
        Self { tables, objects: MemoryObjects::default(), schema, folder: tempfile::tempdir().unwrap() }
    }

    async fn import_lines(&self, lines: &str, ingest_time: Option<Micros>) -> Result<Imported, Failure> {
        let path = self.folder.path().join("rows.ndjson");
        std::fs::File::create(&path).unwrap().write_all(lines.as_bytes()).unwrap();
        let batches = read_files(&[path], &self.schema)?;
        self.load(batches, ingest_time).await
    }

    async fn load(&self, batches: Vec<RecordBatch>, ingest_time: Option<Micros>) -> Result<Imported, Failure> {
        load(&dataset(), batches, ingest_time, &self.tables, &self.objects).await
    }

    async fn rows_of(&self, file: &NewDataFile) -> Vec<RecordBatch> {
        let bytes = self.objects.read(&Location::parse(&file.location).unwrap()).await.unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
        reader.map(Result::unwrap).collect()
    }

    async fn all(&self) -> Vec<serde_json::Value> {
        let mut rows = Vec::new();
        for file in self.tables.files_of(&dataset().table) {
            rows.extend(json(&self.rows_of(&file).await));
        }
        rows.sort_by_key(|r| r["profileId"].as_str().unwrap().to_owned());
        rows
    }
}

fn json(batches: &[RecordBatch]) -> Vec<serde_json::Value> {
    let mut text = Vec::new();
    let builder = arrow_json::WriterBuilder::new().with_explicit_nulls(false);
    let mut writer = builder.build::<_, arrow_json::writer::LineDelimited>(&mut text);
    batches.iter().for_each(|b| writer.write(&with_offsets(b)).unwrap());
    writer.finish().unwrap();
    text.split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(|l| serde_json::from_slice(l).unwrap()).collect()
}

/// Parquet says UTC, which the JSON writer knows as an offset only.
fn with_offsets(batch: &RecordBatch) -> RecordBatch {
    let columns = batch.schema_ref().fields().iter().zip(batch.columns()).map(|(field, column)| {
        let offset = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
        match field.data_type() {
            DataType::Timestamp(..) => (field.name().clone(), arrow_cast::cast(column, &offset).unwrap()),
            _ => (field.name().clone(), column.clone()),
        }
    });
    RecordBatch::try_from_iter(columns).unwrap()
}

#[tokio::test]
async fn ndjson_comes_back_from_the_files_as_it_went_in() {
    let setting = Setting::new(COLUMNS, Some(4));
    let lines = concat!(
        r#"{"profileId":"p1","ingestTime":"2026-01-02T03:04:05.000006Z","age":7,"person":{"name":"A","tags":["x","y"]},"price":12.5,"born":"1980-02-03"}"#,
        "\n",
        r#"{"profileId":"p2","ingestTime":"2026-01-02T03:04:05+02:00","identityMap":{"ECID":[{"id":"e1","primary":true},{"id":"e2"}]}}"#,
        "\n",
    );
    let imported = setting.import_lines(lines, None).await.unwrap();
    assert_eq!(imported.rows, 2);
    let expected: Vec<serde_json::Value> = [
        r#"{"profileId":"p1","ingestTime":"2026-01-02T03:04:05.000006Z","age":7,"person":{"name":"A","tags":["x","y"]},"price":12.50,"born":"1980-02-03"}"#,
        r#"{"profileId":"p2","ingestTime":"2026-01-02T01:04:05Z","identityMap":{"ECID":[{"id":"e1","primary":true},{"id":"e2"}]}}"#,
    ]
    .map(|row| serde_json::from_str(row).unwrap())
    .to_vec();
    assert_eq!(setting.all().await, expected);
}

#[tokio::test]
async fn files_are_one_for_each_bucket_sorted_by_profile_with_field_ids_at_every_level() {
    let setting = Setting::of(sample_schema(), Some(16));
    let sample = Sample { profiles: 10_000, ..Sample::default() };
    let imported = setting.load(sample.batches(&setting.schema).unwrap(), None).await.unwrap();
    let files = setting.tables.files_of(&dataset().table);
    assert_eq!((imported.rows, imported.files, files.len()), (10_000, 16, 16));
    assert_eq!(files.iter().map(|f| f.bytes).sum::<u64>(), imported.bytes);
    for file in &files {
        let mut ids = Vec::new();
        for batch in setting.rows_of(file).await {
            ids.extend(batch.column(0).as_string::<i32>().iter().flatten().map(str::to_owned));
        }
        assert_eq!(ids.len() as u64, file.rows);
        assert!(ids.is_sorted());
        assert!(ids.iter().all(|id| Some(bucket_of(16, id)) == file.bucket));
        assert_eq!(file.split_offsets, [4]);
    }
    let bytes = setting.objects.read(&Location::parse(&files[0].location).unwrap()).await.unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
    let root = reader.parquet_schema().root_schema_ptr();
    let mut seen = Vec::new();
    field_ids(&root, &mut seen);
    seen.sort_unstable();
    seen.dedup();
    let mut json = serde_json::to_string(&setting.schema).unwrap();
    json.retain(|c| c != ' ');
    let count: usize =
        ["\"id\":", "element-id\":", "key-id\":", "value-id\":"].iter().map(|k| json.matches(k).count()).sum();
    assert_eq!(seen.len(), count);
    assert!(
        reader
            .metadata()
            .row_group(0)
            .columns()
            .iter()
            .all(|c| matches!(c.compression(), parquet::basic::Compression::ZSTD(_)))
    );
    assert!(reader.metadata().row_group(0).column(0).dictionary_page_offset().is_some());
}

fn field_ids(node: &parquet::schema::types::TypePtr, seen: &mut Vec<i32>) {
    if node.get_basic_info().has_id() {
        seen.push(node.get_basic_info().id());
    }
    if node.is_group() {
        node.get_fields().iter().for_each(|f| field_ids(f, seen));
    }
}

fn sample_schema() -> Schema {
    let file = crate::registry::RegistryFile::read(crate::sample::REGISTRY).unwrap();
    file.sandboxes[0].datasets[0].item.schema.clone().unwrap()
}

#[tokio::test]
async fn parquet_of_other_types_and_order_is_made_to_fit() {
    let setting = Setting::new(COLUMNS, None);
    let other = schema(
        "age: long\nprofileId: string\ningestTime: timestamp\nperson: {tags: [string], name: string}\nprice: decimal(12, 2)",
    );
    let lines =
        r#"{"profileId":"p1","ingestTime":"2026-01-02T03:04:05","age":7,"person":{"name":"A"},"price":"12.50"}"#;
    let mut decoder =
        arrow_json::ReaderBuilder::new(Arc::new(lenient_schema(&other).unwrap())).build_decoder().unwrap();
    decoder.decode(lines.as_bytes()).unwrap();
    let batch = decoder.flush().unwrap().unwrap();
    let path = setting.folder.path().join("rows.parquet");
    let file = std::fs::File::create(&path).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    setting.load(read_files(&[path], &setting.schema).unwrap(), None).await.unwrap();
    let expected =
        r#"{"profileId":"p1","ingestTime":"2026-01-02T03:04:05Z","age":7,"person":{"name":"A"},"price":12.50}"#;
    assert_eq!(setting.all().await, [serde_json::from_str::<serde_json::Value>(expected).unwrap()]);
    assert_eq!(setting.tables.files_of(&dataset().table)[0].bucket, None);
}

#[tokio::test]
async fn an_ingestion_time_stands_in_only_where_it_is_given() {
    let setting = Setting::new("profileId!: string\ningestTime!: timestamptz", Some(2));
    let lines = "{\"profileId\":\"a\",\"ingestTime\":\"2026-01-01T00:00:00Z\"}\n{\"profileId\":\"b\"}\n";
    let error = setting.import_lines(lines, None).await.unwrap_err().to_string();
    assert!(error.starts_with("some rows have no ingestTime; give --ingest-time"), "{error}");
    assert!(setting.tables.files_of(&dataset().table).is_empty());
    setting.import_lines(lines, Micros::parse_rfc3339("2026-03-01T00:00:00Z")).await.unwrap();
    let times: Vec<_> = setting.all().await.iter().map(|r| r["ingestTime"].as_str().unwrap().to_owned()).collect();
    assert_eq!(times, ["2026-01-01T00:00:00Z", "2026-03-01T00:00:00Z"]);
}

#[tokio::test]
async fn what_does_not_fit_is_refused_with_a_sentence_and_leaves_nothing() {
    let time = r#""ingestTime":"2026-01-01T00:00:00Z""#;
    let cases = [
        (format!("{{{time}}}"), "some rows have no profileId, which is required."),
        (
            format!(r#"{{"profileId":"a",{time},"person":{{"tags":[]}}}}"#),
            "some rows have no person.name, which is required.",
        ),
        (format!(r#"{{"profileId":"a",{time},"shoeSize":44}}"#), "shoeSize"),
        (format!(r#"{{"profileId":"a",{time},"age":"old"}}"#), "old"),
        (r#"{"profileId":"a","#.to_owned(), "rows.ndjson: "),
        (String::new(), "there are no rows to import."),
    ];
    for (line, expected) in cases {
        let setting = Setting::new(COLUMNS, Some(2));
        let error = setting.import_lines(&line, None).await.expect_err(&line).to_string();
        assert!(error.contains(expected), "{line}: {error}");
        assert!(setting.tables.files_of(&dataset().table).is_empty());
        assert_eq!(setting.objects.list(&Location::new("lake", "")).await.unwrap(), []);
    }
}

#[tokio::test]
async fn fractions_are_not_cut_to_fit_whole_numbers() {
    let setting = Setting::new("profileId!: string\ningestTime!: timestamptz\nage: int", None);
    let other = schema("profileId: string\ningestTime: timestamptz\nage: double");
    let mut decoder =
        arrow_json::ReaderBuilder::new(Arc::new(lenient_schema(&other).unwrap())).build_decoder().unwrap();
    decoder.decode(br#"{"profileId":"p1","ingestTime":"2026-01-02T03:04:05Z","age":7.9}"#).unwrap();
    let error = setting.load(vec![decoder.flush().unwrap().unwrap()], None).await.unwrap_err().to_string();
    assert_eq!(error, "age is Float64 in the file and cannot be read as the table's Int32.");
}

#[tokio::test]
async fn a_failed_upload_leaves_no_file_behind() {
    let setting = Setting::of(sample_schema(), Some(4));
    let batches = Sample { profiles: 200, ..Sample::default() }.batches(&setting.schema).unwrap();
    setting.objects.fail_next("complete", testkit::Fault::BeforeEffect);
    setting.load(batches, None).await.unwrap_err();
    assert!(setting.tables.files_of(&dataset().table).is_empty());
    assert_eq!(setting.objects.list(&Location::new("lake", "")).await.unwrap(), []);
}
