//! What is read and what is written, file by file.

use super::layouts::{Layout, laid_out, pages_of_two};
use super::table::*;
use crate::input::InputFile;
use crate::{EngineError, Progress, Step};
use arrow_array::RecordBatch;
use arrow_schema::{DataType, Schema as ArrowSchema, TimeUnit};
use domain::instant::Micros;
use domain::ports::objects::{Location, WriteObjects};
use domain::schema::{Field, Kind};
use futures::StreamExt;
use parquet::arrow::ArrowWriter;
use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::{Value, json};
use std::sync::Arc;
use testkit::MemoryObjects;

#[tokio::test]
async fn ranges_that_tile_a_file_cover_each_row_once() {
    let store = MemoryObjects::default();
    let body = parquet(&plain(&numbered(50)), 7);
    let footer = SerializedFileReader::new(body.clone()).unwrap();
    let starts: Vec<u64> = footer.metadata().row_groups().iter().map(|g| g.column(0).byte_range().0).collect();
    let whole = put(&store, "a", body).await;
    for cuts in [vec![starts[3]], vec![starts[1], starts[2], starts[7]], vec![5], vec![starts[2] + 1, starts[4] - 1]] {
        let mut ids = Vec::new();
        let edges: Vec<u64> = [vec![0], cuts, vec![whole.bytes]].concat();
        for pair in edges.windows(2) {
            let store = MemoryObjects::default();
            let body = parquet(&plain(&numbered(50)), 7);
            let piece = domain::plan::DataFile { range: Some((pair[0], pair[1])), ..put(&store, "a", body).await };
            let (rows, _) = Job::segment("ups", "s1", &[]).files(&store, vec![piece]).await;
            ids.extend(rows);
        }
        assert_eq!(ids, (0..50).map(|i| json!({ "profileId": format!("p{i:05}") })).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_column_that_a_file_lacks_reads_as_null() {
    let store = MemoryObjects::default();
    let mut older = source_schema();
    older.fields.retain(|f| f.name == "profileId" || f.name == "personalEmail");
    let email = older.fields.iter_mut().find(|f| f.name == "personalEmail").unwrap();
    email.kind = Kind::Nested(domain::schema::Nested::Struct {
        fields: vec![Field { id: 22, name: "label".into(), required: false, kind: Kind::Primitive("string".into()) }],
    });
    let rows = [json!({ "profileId": "a", "personalEmail": { "label": "home" } }), json!({ "profileId": "b" })];
    let file = put(&store, "a", parquet(&batch(&arrow_schema(&older), &rows), 10)).await;
    let job = Job::fields("profileId,score,orders.sku,personalEmail.address,identityMap");
    let (exported, _) = job.files(&store, vec![file.clone()]).await;
    assert_eq!(exported, [json!({ "personalEmail": {}, "profileId": "a" }), json!({ "profileId": "b" })]);
    let (members, _) = Job::segment("ups", "s1", &[]).files(&store, vec![file.clone()]).await;
    assert!(members.is_empty());
    let mut late = Job::fields("profileId");
    late.filter.updated_after = Some(Micros(-1));
    assert!(late.files(&store, vec![file]).await.0.is_empty());
}

#[tokio::test]
async fn a_renamed_column_is_found_by_its_field_id() {
    let store = MemoryObjects::default();
    let mut older = source_schema();
    let score = older.fields.iter_mut().find(|f| f.name == "score").unwrap();
    score.name = "points".into();
    older.fields.push(Field { id: 99, name: "score".into(), required: false, kind: Kind::Primitive("int".into()) });
    let rows = [json!({ "profileId": "a", "points": 5, "score": 9 })];
    let file = put(&store, "a", parquet(&batch(&arrow_schema(&older), &rows), 10)).await;
    let (exported, _) = Job::fields("score").files(&store, vec![file]).await;
    assert_eq!(exported, [json!({ "score": 5 })]);
}

#[tokio::test]
async fn timestamps_of_any_unit_are_compared_and_exported() {
    let start = "2018-01-01T00:00:00Z";
    let rows =
        [member("a", "ups", "s1", "realized", start), member("b", "ups", "s1", "realized", "2017-12-31T23:59:59.999Z")];
    for (unit, zone) in [
        (TimeUnit::Millisecond, Some("UTC")),
        (TimeUnit::Nanosecond, Some("UTC")),
        (TimeUnit::Microsecond, None),
        (TimeUnit::Nanosecond, None),
    ] {
        let store = MemoryObjects::default();
        let rows = times_as(&plain(&rows), &DataType::Timestamp(unit, zone.map(Into::into)));
        let file = put(&store, "a", parquet(&rows, 10)).await;
        let mut job = Job::segment("ups", "s1", &[]).within(Some(start), Some(start));
        job.projection = domain::fields::Projection::parse("segmentMembership.*.*.lastQualificationTime");
        let (exported, _) = job.files(&store, vec![file]).await;
        let time = json!({ "ups": { "s1": { "lastQualificationTime": start } } });
        assert_eq!(exported, [json!({ "segmentMembership": time })], "{unit:?} {zone:?}");
    }
}

#[tokio::test]
async fn rows_of_a_profile_are_merged_unless_the_owner_promises_that_each_is_one() {
    let store = MemoryObjects::default();
    let once = put(&store, "a", parquet(&plain(&numbered(5)), 10)).await;
    let again = put(&store, "b", parquet(&plain(&[json!({ "profileId": "p00003" })]), 10)).await;
    let mut job = Job::default();
    for (unique_profiles, rows) in [(false, 5), (true, 6)] {
        job.unique_profiles = unique_profiles;
        let (exported, outputs) = job.files(&store, vec![once.clone(), again.clone()]).await;
        assert_eq!((exported.len(), outputs.counts.rows), (rows, rows as u64));
        store.delete(&Location::new("lake", "export/part-000.parquet")).await.unwrap();
    }
}

#[tokio::test]
async fn files_without_rows_bring_forth_nothing() {
    let store = MemoryObjects::default();
    let file = put(&store, "a", parquet(&plain(&[]), 10)).await;
    let (_, outputs) = Job::default().files(&store, vec![file]).await;
    assert_eq!((outputs.files.len(), outputs.counts.rows, outputs.version), (0, 0, domain::plan::PLAN_VERSION));
    assert!(Job::default().files(&store, vec![]).await.1.files.is_empty());
}

#[tokio::test]
async fn a_part_that_outgrows_a_file_begins_the_next() {
    let store = MemoryObjects::default();
    // Row groups are moved whole, so that the smallest file holds what one of them has.
    let file = put(&store, "a", parquet(&plain(&numbered(2_000)), 50)).await;
    let mut job = Job::fields("profileId");
    job.settings = crate::Settings { row_batch: 100, row_group_bytes: 600, file_bytes: 2_000, ..job.settings };
    let (rows, outputs) = job.files(&store, vec![file]).await;
    assert_eq!(rows.len(), 2_000);
    assert!(outputs.files.len() > 2);
    let mut last = String::new();
    for (i, file) in outputs.files.iter().enumerate() {
        assert_eq!(file.location, format!("s3://lake/export/part-{i:03}.parquet"));
        let (low, high) = file.profile_id_bounds.clone().unwrap();
        assert!(last < low && low < high);
        last = high;
        assert!(file.split_offsets.len() > 1);
        assert_eq!(file.split_offsets[0], 4);
        assert!(file.split_offsets.windows(2).all(|w| w[0] < w[1]) && file.split_offsets.last() < Some(&file.bytes));
    }
    assert_eq!(outputs.files.iter().map(|f| f.bytes).sum::<u64>(), outputs.counts.bytes);
    assert_eq!(outputs.files.iter().map(|f| f.rows).sum::<u64>(), outputs.counts.rows);
}

#[tokio::test]
async fn large_rows_are_decoded_fewer_at_a_time() {
    let store = MemoryObjects::default();
    let large = |n: usize| json!({ "profileId": "p", "personalEmail": { "label": format!("{n:01000}") } });
    let rows: Vec<_> = (0..200).map(|n| if n < 100 { json!({ "profileId": "p" }) } else { large(n) }).collect();
    let file = put(&store, "a", parquet(&plain(&rows), 100)).await;
    let input = InputFile::open(&store, &file, None).await.unwrap().with_batch_bytes(20_000);
    let all: Vec<usize> = (0..19).collect();
    for (group, most) in [(0, 100), (1, 20)] {
        let batches: Vec<_> = input.stream(group, &all, None, 1_000).unwrap().collect().await;
        let counts: Vec<_> = batches.into_iter().map(|batch| batch.unwrap().num_rows()).collect();
        let largest = *counts.iter().max().unwrap();
        assert_eq!(counts.iter().sum::<usize>(), 100);
        assert!(largest <= most && largest * 2 > most, "{counts:?}");
    }
    let input = input.with_batch_bytes(0);
    assert_eq!(input.stream(1, &all, None, 1_000).unwrap().count().await, 100);
}

#[tokio::test]
async fn progress_never_falls_and_reaches_the_parts_weight() {
    let store = MemoryObjects::default();
    let files = vec![
        put(&store, "a", parquet(&plain(&numbered(20)), 3)).await,
        put(&store, "b", parquet(&plain(&[]), 3)).await,
        put(&store, "c", parquet(&plain(&numbered(5)), 3)).await,
    ];
    let weight = files.iter().map(|f| f.weight()).sum();
    let mut seen = Vec::new();
    let job = Job::segment("ups", "s1", &[]);
    job.export(&store, files, |progress| {
        seen.push(progress);
        Step::Continue
    })
    .await
    .unwrap();
    assert!(seen.windows(2).all(|w| w[0].weight <= w[1].weight && w[0].rows <= w[1].rows));
    assert_eq!(seen.last(), Some(&Progress { weight, rows: 25 }));
}

#[tokio::test]
async fn stopping_leaves_nothing_behind_wherever_it_happens() {
    let mut reports = 0;
    loop {
        let store = MemoryObjects::default();
        let file = put(&store, "a", parquet(&plain(&numbered(300)), 50)).await;
        let mut job = Job::segment("ups", "s1", &[]);
        job.settings = crate::Settings { row_batch: 20, row_group_bytes: 100, file_bytes: 400, ..job.settings };
        let mut left = reports;
        let result = job
            .export(&store, vec![file], |_| {
                left -= 1;
                if left < 0 { Step::Stop } else { Step::Continue }
            })
            .await;
        match result {
            Err(EngineError::Stopped) => {
                assert_eq!(objects_below(&store, "export/").await, 0, "after {reports} reports");
                assert_eq!(store.open_uploads(), 0, "after {reports} reports");
            }
            Ok(outputs) => {
                assert_eq!(outputs.counts.rows, 300);
                assert!(reports > 20 && outputs.files.len() > 1);
                break;
            }
            Err(other) => panic!("{other:?}"),
        }
        reports += 1;
    }
}

#[test]
fn the_sample_files_hold_dictionaries() {
    let mut writer = ArrowWriter::try_new(Vec::new(), Arc::new(arrow_schema(&source_schema())), None).unwrap();
    writer.write(&plain(&numbered(3))).unwrap();
    let footer = writer.close().unwrap();
    assert!(footer.row_group(0).column(0).dictionary_page_offset().is_some());
}

#[tokio::test]
async fn what_every_source_requires_is_required_in_the_files_too() {
    let mut job = Job { unique_profiles: true, ..Job::fields("profileId,score") };
    job.settings.copied_bytes = 0;
    job.source.fields.iter_mut().filter(|f| f.name == "profileId").for_each(|f| f.required = true);
    let rows = plain(&numbered(20));
    let schema = rows.schema();
    let strict = schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(f.name() != "profileId"));
    let strict = Arc::new(ArrowSchema::new(strict.collect::<Vec<_>>()));
    let strict = RecordBatch::try_new(strict, rows.columns().to_vec()).unwrap();
    // A writer may leave a column optional that the table requires.
    for (rows, segment) in [(&strict, false), (&rows, false), (&strict, true), (&rows, true)] {
        let store = MemoryObjects::default();
        let file = put(&store, "a", laid_out(rows, pages_of_two())).await;
        if segment {
            job.filter = Job::segment("ups", "s1", &[]).filter;
        }
        let outputs = job.export(&store, vec![file], |_| Step::Continue).await.unwrap();
        let batches = exported(&store, &outputs).await;
        let schema = batches[0].schema();
        assert!(!schema.field_with_name("profileId").unwrap().is_nullable());
        assert!(schema.field_with_name("score").unwrap().is_nullable());
        let ids: Vec<_> = batches.iter().flat_map(json_rows).map(|row| row["profileId"].clone()).collect();
        assert_eq!(ids, (0..20).map(|i| json!(format!("p{i:05}"))).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn nulls_below_what_a_file_requires_stay_nulls() {
    let rows: Vec<Value> = (0..9)
        .map(|i| match i % 3 {
            0 => json!({ "profileId": format!("p{i}"), "personalEmail": { "address": format!("a{i}"), "label": "x" } }),
            1 => json!({ "profileId": format!("p{i}"), "personalEmail": { "label": "y" } }),
            _ => json!({ "profileId": format!("p{i}"), "personalEmail": { "address": "b" } }),
        })
        .collect();
    let schema = plain(&rows).schema();
    let required = schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(f.name() != "personalEmail"));
    let required = batch(&ArrowSchema::new(required.collect::<Vec<_>>()), &rows);
    for group_rows in [4, 100] {
        let store = MemoryObjects::default();
        let file = put(&store, "a", parquet(&required, group_rows)).await;
        let (exported, _) = Job::fields("profileId,personalEmail").files(&store, vec![file]).await;
        assert_eq!(exported, canonical(&rows));
    }
}

#[tokio::test]
async fn fields_below_what_a_file_requires_are_merged_as_those_below_what_it_does_not() {
    let row = |email: Value| json!({ "profileId": "p", "personalEmail": email });
    let rows = [row(json!({ "label": "y" })), row(json!({ "address": "a", "label": "x" }))];
    let schema = plain(&rows).schema();
    let required = schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(f.name() != "personalEmail"));
    let required = batch(&ArrowSchema::new(required.collect::<Vec<_>>()), &rows);
    let merged = row(json!({ "address": "a", "label": "y" }));
    for (rows, group_rows) in [(plain(&rows), 10), (required.clone(), 10), (required, 1)] {
        let store = MemoryObjects::default();
        let file = put(&store, "a", parquet(&rows, group_rows)).await;
        let job = Job { unique_profiles: false, ..Job::fields("profileId,personalEmail") };
        let (exported, _) = job.files(&store, vec![file]).await;
        assert_eq!(exported, canonical(std::slice::from_ref(&merged)));
    }
}

#[tokio::test]
async fn bounds_are_of_the_exported_ids_in_whatever_order_they_stand() {
    let other = |id: &str| json!({ "profileId": id });
    let mine = |id: &str| member(id, "ups", "s1", "realized", "2018-01-01T00:00:00Z");
    let rows = plain(&[other("z"), mine("m"), other("a"), mine("k"), mine("n"), mine("l"), other("z")]);
    for dictionary in [None, Some(1 << 20)] {
        for (unique_profiles, page_rows) in [(true, 2), (true, 100), (false, 100)] {
            let layout = Layout { dictionary, page_rows, ..pages_of_two() };
            let store = MemoryObjects::default();
            let file = put(&store, "a", laid_out(&rows, layout)).await;
            let job = Job { unique_profiles, ..Job::segment("ups", "s1", &[]) };
            let outputs = job.export(&store, vec![file], |_| Step::Continue).await.unwrap();
            let bounds = outputs.files.iter().map(|file| file.profile_id_bounds.clone().unwrap());
            assert_eq!(bounds.collect::<Vec<_>>(), [("k".to_owned(), "n".to_owned())]);
        }
    }
}
