//! Rows that go into the export as they are stored, or as whole row groups.

use super::layouts::{Layout, laid_out, retold};
use super::table::*;
use crate::{EngineError, PartTask, Step, export_part};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_schema::{DataType, TimeUnit};
use bytes::Bytes;
use domain::filter::SegmentEntry;
use domain::id::BatchId;
use domain::instant::Micros;
use domain::plan::{Plan, PlannedPart};
use domain::ports::objects::{Location, ReadObjects};
use domain::schema::Schema;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::statistics::Statistics;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use testkit::MemoryObjects;

fn members() -> Vec<Value> {
    (0..20).map(|n| member(&format!("p{n:02}"), "ups", "s1", "realized", "2018-01-01T00:00:00Z")).collect()
}

fn compressed(compression: Compression) -> Bytes {
    let layout = Layout {
        group_rows: 7,
        page_rows: 2,
        dictionary: None,
        second_version: false,
        compression,
        encoding: None,
        offset_index: true,
    };
    laid_out(&batch(&arrow_schema(&source_schema()), &members()), layout)
}

/// What is wrong with a file, by the only meaning that its export tells.
async fn refusal(job: &Job, body: Bytes) -> String {
    let store = MemoryObjects::default();
    let file = put(&store, "a", body).await;
    match job.export(&store, vec![file], |_| Step::Continue).await {
        Err(EngineError::Input { meaning, .. }) => meaning,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_row_group_that_goes_to_several_batches_is_in_each_of_them() {
    let store = MemoryObjects::default();
    let file = put(&store, "a", compressed(Compression::ZSTD(Default::default()))).await;
    let mut job = Job::segment("ups", "s1", &[]);
    job.filter.segments.push(SegmentEntry::new("s1", "UPS", &[]));
    job.settings.copied_bytes = 0;
    let batches = vec![BatchId::new(1), BatchId::new(2)];
    let plan = Plan { segment_per_batch: true, batches: batches.clone(), ..job.plan() };
    let part = PlannedPart { files: vec![file], ..PlannedPart::default() };
    let task = PartTask { plan: &plan, part: &part, settings: job.settings };
    let file_at = |batch: &BatchId, n: usize| Location::new("lake", format!("export/{batch}-{n}.parquet"));
    let outputs = export_part(&store, &task, file_at, |_| Step::Continue).await.unwrap();
    let files: Vec<_> = outputs.files.iter().map(|file| (file.batch_id.clone(), file.rows)).collect();
    assert_eq!(files, batches.into_iter().map(|batch| (batch, 20)).collect::<Vec<_>>());
    assert_eq!(outputs.counts.rows, 40);
}

#[tokio::test]
async fn whatever_a_files_compression_the_exports_is_zstd() {
    for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::ZSTD(Default::default())] {
        let store = MemoryObjects::default();
        let file = put(&store, "a", compressed(compression)).await;
        let mut job = Job::fields("profileId");
        job.settings.copied_bytes = 0;
        let outputs = job.export(&store, vec![file], |_| Step::Continue).await.unwrap();
        let body = store.read(&Location::parse(&outputs.files[0].location).unwrap()).await.unwrap();
        let footer = SerializedFileReader::new(body).unwrap();
        let chunks = footer.metadata().row_groups().iter().flat_map(|group| group.columns());
        assert!(chunks.into_iter().all(|chunk| matches!(chunk.compression(), Compression::ZSTD(_))), "{compression}");
    }
}

#[tokio::test]
async fn a_null_where_the_table_requires_a_value_is_an_error_in_whatever_unit() {
    let mut job = Job::fields("profileId,ingestTime");
    job.source.fields.iter_mut().filter(|f| f.name == "ingestTime").for_each(|f| f.required = true);
    let rows = [json!({ "profileId": "a", "ingestTime": "2018-01-01T00:00:00Z" }), json!({ "profileId": "b" })];
    let rows = batch(&arrow_schema(&source_schema()), &rows);
    for unit in [TimeUnit::Microsecond, TimeUnit::Millisecond] {
        let body = parquet(&times_as(&rows, &DataType::Timestamp(unit, Some("UTC".into()))), 10);
        let refused = refusal(&job, body).await;
        assert!(["its data is damaged", "its values do not fit the table's schema"].contains(&&*refused), "{refused}");
    }
}

#[tokio::test]
async fn a_missing_id_is_an_error_where_no_statistics_tell_it() {
    let rows = [json!({ "profileId": "a" }), json!({ "score": 1 })];
    let rows = batch(&arrow_schema(&source_schema()), &rows);
    let properties = WriterProperties::builder().set_statistics_enabled(EnabledStatistics::None).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties)).unwrap();
    writer.write(&rows).unwrap();
    let refused = refusal(&Job::fields("profileId"), writer.into_inner().unwrap().into()).await;
    assert_eq!(refused, "a row has no profile id");
}

#[tokio::test]
async fn a_text_that_is_none_is_an_error() {
    let message = "message m { optional binary profileId (UTF8) = 1;
        optional group personalEmail = 20 { optional binary label (UTF8) = 22; } }";
    let mut writer =
        SerializedFileWriter::new(Vec::new(), Arc::new(parse_message_type(message).unwrap()), Default::default())
            .unwrap();
    let mut group = writer.next_row_group().unwrap();
    for (text, def) in [(&b"a"[..], 1), (&b"\xff"[..], 2)] {
        let mut column = group.next_column().unwrap().unwrap();
        let ColumnWriter::ByteArrayColumnWriter(texts) = column.untyped() else { unreachable!() };
        texts.write_batch(&[ByteArray::from(text.to_vec())], Some(&[def]), None).unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    let job = Job::fields("profileId,personalEmail.label");
    assert_eq!(refusal(&job, writer.into_inner().unwrap().into()).await, "its data is damaged");
}

#[tokio::test]
async fn values_go_on_plain_where_a_dictionary_is_full() {
    let fields =
        source_schema().fields.into_iter().filter(|f| ["profileId", "ingestTime", "score"].contains(&&*f.name));
    let schema = Arc::new(arrow_schema(&Schema { schema_id: 0, fields: fields.collect() }));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec!["p"; 300_000])),
        Arc::new(TimestampMicrosecondArray::from_iter_values((0..300_000).map(|n| n % 2)).with_timezone("+00:00")),
        Arc::new(Int32Array::from_iter_values(-150_000..150_000)),
    ];
    let store = MemoryObjects::default();
    // Half of a row group is exported, and the dictionary has no room for half of all.
    let file = put(&store, "a", parquet(&RecordBatch::try_new(schema, columns).unwrap(), 150_000)).await;
    let mut job = Job::fields("score");
    job.filter.updated_after = Some(Micros(0));
    job.settings.row_batch = 8_192;
    let outputs = job.export(&store, vec![file], |_| Step::Continue).await.unwrap();
    let batches = exported(&store, &outputs).await;
    let scores = batches.iter().flat_map(|b| b.column_by_name("score").unwrap().as_primitive::<Int64Type>().values());
    assert!(scores.copied().eq((-150_000..150_000).filter(|n| n % 2 != 0)));
}

#[tokio::test]
async fn bounds_that_older_writers_compared_by_other_rules_are_not_believed() {
    for deprecated in [true, false] {
        // What a writer that takes bytes for signed ones tells of other rows than these.
        let bounds = Some((ByteArray::from("x"), ByteArray::from("y")));
        let body = retold(&compressed(Compression::ZSTD(Default::default())), |column, told| match column.name() {
            "profileId" => {
                let (least, greatest) = bounds.clone().unzip();
                told.set_statistics(Statistics::byte_array(least, greatest, None, Some(0), deprecated))
            }
            _ => told,
        });
        let store = MemoryObjects::default();
        let file = put(&store, "a", body).await;
        let mut job = Job::fields("profileId");
        job.settings.copied_bytes = 0;
        let outputs = job.export(&store, vec![file], |_| Step::Continue).await.unwrap();
        let told = outputs.files[0].profile_id_bounds.clone().unwrap();
        let expected = if deprecated { ["p00", "p19"] } else { ["x", "y"] };
        assert_eq!([told.0, told.1], expected);
    }
}

#[tokio::test]
async fn a_value_may_be_missing_unless_every_dataset_requires_it() {
    let job = Job::fields("profileId,ingestTime");
    let mut plan = job.plan();
    let mut strict = plan.sources[0].clone();
    strict.schema.fields.iter_mut().filter(|f| f.name == "ingestTime").for_each(|f| f.required = true);
    plan.sources.push(strict);
    let store = MemoryObjects::default();
    let rows = batch(&arrow_schema(&source_schema()), &[json!({ "profileId": "a" })]);
    let file = put(&store, "a", parquet(&rows, 10)).await;
    let part = PlannedPart { files: vec![file], ..PlannedPart::default() };
    let task = PartTask { plan: &plan, part: &part, settings: job.settings };
    let file_at = |batch: &BatchId, n: usize| Location::new("lake", format!("export/{batch}-{n}.parquet"));
    let outputs = export_part(&store, &task, file_at, |_| Step::Continue).await.unwrap();
    let rows = exported(&store, &outputs).await.iter().flat_map(json_rows).collect::<Vec<_>>();
    assert_eq!(rows, [json!({ "batchId": BatchId::new(0xba7c).as_str(), "profileId": "a" })]);
}

#[tokio::test]
async fn what_was_read_to_judge_goes_along_though_not_every_page_was() {
    // The file tells the rows of its pages, so that some are passed over: times are read of the one profile that has several
    // rows, and no status of its first row, which is no member's.
    let other = |id| member(id, "ups", "s2", "realized", "2017-01-01T00:00:00Z");
    let mut rows = vec![other("p19"), other("q")];
    rows.extend(members());
    rows.push(member("p19", "ups", "s1", "realized", "2017-01-01T00:00:00Z"));
    let layout = Layout {
        group_rows: 100,
        page_rows: 2,
        dictionary: None,
        second_version: false,
        compression: Compression::UNCOMPRESSED,
        encoding: None,
        offset_index: true,
    };
    let body = laid_out(&batch(&arrow_schema(&source_schema()), &rows), layout);
    let store = MemoryObjects::default();
    let file = put(&store, "a", body).await;
    let job = Job { projection: Default::default(), unique_profiles: false, ..Job::segment("ups", "s1", &[]) };
    let exported = job.files(&store, vec![file]).await.0;
    let ids: BTreeSet<_> = exported.iter().map(|row| row["profileId"].to_string()).collect();
    assert_eq!((exported.len(), ids.len()), (20, 20));
    for row in &exported {
        let memberships = &row["segmentMembership"]["ups"];
        let first = &exported[0]["segmentMembership"]["ups"]["s1"];
        assert!(!memberships["s1"]["lastQualificationTime"].is_null() && memberships["s1"] == *first, "{row:#}");
        assert_eq!(memberships["s2"]["status"] == "realized", row["profileId"] == "p19", "{row:#}");
    }
}
