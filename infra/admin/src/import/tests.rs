#![allow(clippy::unwrap_used)]

use super::*;
use crate::fakes::{MemoryTables, json, live_rows, read_parquet};
use crate::registry::types::read_schema;
use crate::sample::Sample;
use crate::yaml::Node;
use arrow_array::cast::AsArray;
use domain::plan::TableName;
use domain::ports::objects::ReadObjects;
use domain::registry::ColumnNames;
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
        self.load(self.try_read(lines)?, ingest_time).await
    }

    fn read(&self, lines: &str) -> Vec<RecordBatch> {
        self.try_read(lines).unwrap()
    }

    fn try_read(&self, lines: &str) -> Result<Vec<RecordBatch>, Failure> {
        let path = self.folder.path().join("rows.ndjson");
        std::fs::File::create(&path).unwrap().write_all(lines.as_bytes()).unwrap();
        read_files(&[path], &self.schema)
    }

    async fn load(&self, batches: Vec<RecordBatch>, ingest_time: Option<Micros>) -> Result<Imported, Failure> {
        load(&dataset(), batches, ingest_time, &self.tables, &self.objects).await
    }

    async fn rows_of(&self, file: &NewDataFile) -> Vec<RecordBatch> {
        read_parquet(&self.objects, &file.location).await
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

#[tokio::test]
async fn events_are_imported_by_bucket_and_need_their_time() {
    let events = Dataset { kind: DatasetKind::Event, ..dataset() };
    let columns = "profileId: string\nidentityMap: {\"*\": [{id: string}]}\ntimestamp: timestamptz\ningestTime: timestamptz\neventType: string";
    let setting = Setting::new(columns, Some(4));
    let lines = [
        r#"{"profileId":"a","timestamp":"2026-01-02T00:00:00Z","eventType":"view"}"#,
        r#"{"profileId":"b","timestamp":"2026-01-03T00:00:00Z","eventType":"buy"}"#,
        r#"{"profileId":"a","timestamp":"2026-01-01T00:00:00Z","eventType":"login"}"#,
    ];
    let batches = setting.read(&lines.join("\n"));
    let time = Micros::parse_rfc3339("2026-03-01T00:00:00Z");
    let imported = load(&events, batches, time, &setting.tables, &setting.objects).await.unwrap();
    assert_eq!((imported.rows, imported.delete_files), (3, 0));
    let buckets: Vec<_> = setting.tables.files_of(&events.table).iter().map(|f| f.bucket).collect();
    assert_eq!(
        buckets.iter().map(|b| b.unwrap()).collect::<BTreeSet<_>>(),
        [bucket_of(4, "a"), bucket_of(4, "b")].into()
    );
    let rows = setting.all().await;
    assert_eq!(rows.iter().map(|r| r["eventType"].as_str().unwrap()).collect::<Vec<_>>(), ["view", "login", "buy"]);
    assert!(rows.iter().all(|r| r["ingestTime"] == "2026-03-01T00:00:00Z"));
    let timeless = setting.read(r#"{"profileId":"a","eventType":"view"}"#);
    let error = load(&events, timeless, time, &setting.tables, &setting.objects).await.unwrap_err();
    assert_eq!(error.to_string(), "some rows have no timestamp, which is required.");
}

#[tokio::test]
async fn replacing_rows_leaves_one_of_each_profile_and_the_others_as_they_were() {
    for buckets in [None, Some(2)] {
        let setting = Setting::new("profileId!: string\ningestTime!: timestamptz\nage: int", buckets);
        let time = Micros::parse_rfc3339("2026-03-01T00:00:00Z");
        let all = |of: &str, age| {
            let line = |id| format!("{{\"profileId\":\"{id}\",\"age\":{age}}}\n");
            of.chars().map(line).collect::<String>()
        };
        setting.import_lines(&all("abcd", 1), time).await.unwrap();
        let rows = setting.read(&all("bcx", 2));
        let replaced = replace(&dataset(), rows, time, &setting.tables, &setting.objects).await.unwrap();
        assert_eq!((replaced.rows, replaced.delete_files > 0), (3, true));
        let mut live = live_rows(&setting.tables, &setting.objects, &dataset().table, "profileId").await;
        live.sort_by_key(|r| r["profileId"].as_str().unwrap().to_owned());
        let ages: Vec<_> =
            live.iter().map(|r| (r["profileId"].as_str().unwrap(), r["age"].as_i64().unwrap())).collect();
        assert_eq!(ages, [("a", 1), ("b", 2), ("c", 2), ("d", 1), ("x", 2)]);
    }
}

#[tokio::test]
async fn rows_deleted_by_position_go_from_every_file_and_their_delete_files_are_sorted() {
    let setting = Setting::new("profileId!: string\ningestTime!: timestamptz", Some(2));
    let time = Micros::parse_rfc3339("2026-03-01T00:00:00Z");
    let lines: String = ('a'..='h').map(|id| format!("{{\"profileId\":\"{id}\"}}\n")).collect();
    setting.import_lines(&lines, time).await.unwrap();
    setting.import_lines(&lines, time).await.unwrap();
    let by_position = ["a", "c", "f", "nobody"].map(str::to_owned).into();
    let changes = Changes { rows: setting.read("{\"profileId\":\"a\"}"), by_position, ..Changes::default() };
    change(&dataset(), changes, time, &setting.tables, &setting.objects).await.unwrap();
    let deletes = setting.tables.deletes_of(&dataset().table);
    assert_eq!(deletes.iter().map(|d| d.rows).sum::<u64>(), 6);
    for delete in &deletes {
        let batch = read_parquet(&setting.objects, &delete.location).await.remove(0);
        let ids: Vec<_> = batch.schema().fields().iter().map(|f| f.metadata()["PARQUET:field_id"].clone()).collect();
        assert_eq!(ids, ["2147483546", "2147483545"]);
        let rows = json(&[batch]);
        let key = |r: &serde_json::Value| (r["file_path"].as_str().unwrap().to_owned(), r["pos"].as_i64().unwrap());
        assert!(rows.iter().map(key).is_sorted());
    }
    let live = live_rows(&setting.tables, &setting.objects, &dataset().table, "profileId").await;
    assert_eq!(live.len(), 16 - 6 + 1);
}

#[tokio::test]
async fn export_datasets_take_no_import_and_events_no_replacing() {
    let setting = Setting::new("profileId!: string\ningestTime!: timestamptz", None);
    let rows = || setting.read(r#"{"profileId":"a","ingestTime":"2026-01-01T00:00:00Z"}"#);
    let export = Dataset { kind: DatasetKind::Export, ..dataset() };
    let error = load(&export, rows(), None, &setting.tables, &setting.objects).await.unwrap_err();
    assert_eq!(error.to_string(), "crm is an export dataset, which only jobs write.");
    let events = Dataset { kind: DatasetKind::Event, ..dataset() };
    let error = replace(&events, rows(), None, &setting.tables, &setting.objects).await.unwrap_err();
    assert_eq!(error.to_string(), "only the rows of a profile dataset can be replaced.");
}
