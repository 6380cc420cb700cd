//! Pages that end within rows, as some writers cut them.

use super::table::*;
use crate::Step;
use bytes::Bytes;
use domain::filter::SegmentEntry;
use domain::plan::Counts;
use domain::ports::objects::{Location, ReadObjects};
use parquet::basic::{Compression, Encoding, Type as PhysicalType};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::{AsBytes, DataType};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::{SerializedFileWriter, SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;
use serde_json::{Value, json};
use testkit::MemoryObjects;

/// The same file with plain pages of so many levels, wherever its rows end.
fn torn(body: &Bytes, levels: usize) -> Bytes {
    let reader = SerializedFileReader::new(body.clone()).unwrap();
    let schema = reader.metadata().file_metadata().schema_descr().root_schema_ptr();
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Default::default()).unwrap();
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group).unwrap();
        let rows = group.metadata().num_rows() as usize;
        let mut to = writer.next_row_group().unwrap();
        for (at, column) in group.metadata().schema_descr_ptr().columns().iter().enumerate() {
            let (column, sizes) = (column.clone(), (rows, levels));
            let (bytes, close) = match group.get_column_reader(at).unwrap() {
                ColumnReader::BoolColumnReader(reader) => chunk(reader, column, sizes),
                ColumnReader::Int32ColumnReader(reader) => chunk(reader, column, sizes),
                ColumnReader::Int64ColumnReader(reader) => chunk(reader, column, sizes),
                ColumnReader::Int96ColumnReader(reader) => chunk(reader, column, sizes),
                ColumnReader::FloatColumnReader(reader) => chunk(reader, column, sizes),
                ColumnReader::DoubleColumnReader(reader) => chunk(reader, column, sizes),
                ColumnReader::ByteArrayColumnReader(reader) => chunk(reader, column, sizes),
                ColumnReader::FixedLenByteArrayColumnReader(reader) => chunk(reader, column, sizes),
            };
            to.append_column(&bytes, close).unwrap();
        }
        to.close().unwrap();
    }
    writer.into_inner().unwrap().into()
}

/// A column of a row group that may be null, in pages of so many levels.
fn chunk<T: DataType>(
    mut reader: ColumnReaderImpl<T>,
    column: ColumnDescPtr,
    (rows, levels): (usize, usize),
) -> (Bytes, ColumnCloseResult) {
    let repeats = column.max_rep_level() > 0;
    let (mut reps, mut defs, mut values) = (Vec::new(), Vec::new(), Vec::new());
    reader.read_records(rows, Some(&mut defs), repeats.then_some(&mut reps), &mut values).unwrap();
    let mut sink = TrackedWrite::new(Vec::new());
    let mut writer = SerializedPageWriter::new(&mut sink);
    let (mut data_offset, mut value) = (None, 0);
    for start in (0..defs.len()).step_by(levels) {
        let here = start..(start + levels).min(defs.len());
        let mut page = Vec::new();
        if repeats {
            page.extend(runs(&reps[here.clone()]));
        }
        page.extend(runs(&defs[here.clone()]));
        let count = defs[here.clone()].iter().filter(|def| **def == column.max_def_level()).count();
        page.extend(plain::<T>(&values[value..value + count]));
        value += count;
        let (bytes, num_values) = (page.len(), here.len() as u32);
        let page = Page::DataPage {
            buf: page.into(),
            num_values,
            encoding: Encoding::PLAIN,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let written = writer.write_page(CompressedPage::new(page, bytes)).unwrap();
        data_offset.get_or_insert(written.offset as i64);
    }
    writer.close().unwrap();
    let bytes: Bytes = sink.into_inner().unwrap().into();
    let metadata = ColumnChunkMetaData::builder(column)
        .set_compression(Compression::UNCOMPRESSED)
        .set_encodings(vec![Encoding::RLE, Encoding::PLAIN])
        .set_total_compressed_size(bytes.len() as i64)
        .set_total_uncompressed_size(bytes.len() as i64)
        .set_num_values(defs.len() as i64)
        .set_data_page_offset(data_offset.unwrap_or_default())
        .build()
        .unwrap();
    let close = ColumnCloseResult {
        bytes_written: bytes.len() as u64,
        rows_written: rows as u64,
        metadata,
        bloom_filter: None,
        column_index: None,
        offset_index: None,
    };
    (bytes, close)
}

/// Levels behind their length, each a run of its own.
fn runs(levels: &[i16]) -> Vec<u8> {
    let length = levels.len() as u32 * 2;
    length.to_le_bytes().into_iter().chain(levels.iter().flat_map(|level| [2, *level as u8])).collect()
}

fn plain<T: DataType>(values: &[T::T]) -> Vec<u8> {
    match T::get_physical_type() {
        PhysicalType::BOOLEAN => {
            let byte = |bits: &[T::T]| bits.iter().rev().fold(0, |byte, bit| byte << 1 | bit.as_bytes()[0]);
            values.chunks(8).map(byte).collect()
        }
        PhysicalType::BYTE_ARRAY => {
            let text = |value: &T::T| [&(value.as_bytes().len() as u32).to_le_bytes(), value.as_bytes()].concat();
            values.iter().flat_map(text).collect()
        }
        _ => values.iter().flat_map(|value| value.as_bytes().to_vec()).collect(),
    }
}

/// Rows of many levels in all their columns, one of them with too many identities.
fn rows() -> Vec<Value> {
    let membership = |n: usize| {
        let status = ["realized", "exited", "existing"][n % 3];
        json!({ "status": status, "lastQualificationTime": format!("2018-01-{:02}T00:00:00Z", n % 28 + 1), "version": n })
    };
    let segments = |from: usize, n: usize| (from..n).map(|s| (format!("s{s}"), membership(s + n))).collect::<Value>();
    let ids = |n: usize| (0..n).map(|id| json!({ "id": format!("i{id}"), "primary": id % 2 == 0 })).collect::<Value>();
    let row = |n: usize| {
        json!({
            "profileId": format!("p{n:02}"), "ingestTime": "2018-01-01T00:00:00Z", "score": n,
            "identityMap": { "A": ids(n % 5), "B": if n == 7 { ids(50) } else { ids(n % 3) }, "C": [null] },
            "segmentMembership": { "aam": segments(0, n % 4), "ups": segments(n % 2, n % 9), "UPS": segments(2, n % 7) },
            "orders": (0..n % 4).map(|q| json!({ "sku": "x", "quantity": q })).collect::<Value>(),
            "tags": (0..n % 3).map(|t| json!(format!("t{t}"))).collect::<Value>(),
        })
    };
    (0..24).map(row).collect()
}

/// What a job exports of a file, and what it counts.
async fn exported_of(job: &Job, body: &Bytes) -> (Vec<Value>, Counts) {
    let store = MemoryObjects::default();
    let file = put(&store, "a", body.clone()).await;
    let outputs = job.export(&store, vec![file], |_| Step::Continue).await.unwrap();
    let rows = exported(&store, &outputs).await.iter().flat_map(json_rows).collect();
    (rows, Counts { bytes: 0, ..outputs.counts })
}

#[tokio::test]
async fn rows_may_go_on_over_any_number_of_pages() {
    let body = parquet(&batch(&arrow_schema(&source_schema()), &rows()), 10);
    for (unique_profiles, fields) in [(true, ""), (false, ""), (true, "profileId"), (false, "profileId,tags")] {
        for segments in [&[][..], &["s1"], &["s1", "s2", "s3", "s4", "s5"]] {
            let mut job = Job { unique_profiles, ..Job::fields(fields) };
            job.filter.segments = segments.iter().map(|id| SegmentEntry::new(id, "ups", &[])).collect();
            let whole = exported_of(&job, &body).await;
            assert!(whole.1.rows > 5);
            for levels in 1..9 {
                let torn = exported_of(&job, &torn(&body, levels)).await;
                assert_eq!(torn, whole, "{levels} levels a page, {fields} of {segments:?}");
            }
            let mut within = job.within(Some("2018-01-03T00:00:00Z"), Some("2018-01-09T00:00:00Z"));
            within.settings.row_batch = 5;
            assert_eq!(exported_of(&within, &torn(&body, 2)).await, exported_of(&within, &body).await);
        }
    }
}

#[tokio::test]
async fn a_page_of_the_export_ends_with_a_row() {
    let rows =
        [json!({ "profileId": "a", "tags": ["t".repeat(1 << 20), "u"] }), json!({ "profileId": "b", "tags": ["v"] })];
    let body = torn(&parquet(&batch(&arrow_schema(&source_schema()), &rows), 10), 1);
    let store = MemoryObjects::default();
    let file = put(&store, "a", body).await;
    let outputs = Job::fields("tags").export(&store, vec![file], |_| Step::Continue).await.unwrap();
    let body = store.read(&Location::parse(&outputs.files[0].location).unwrap()).await.unwrap();
    let reader = SerializedFileReader::new(body).unwrap();
    let group = reader.get_row_group(0).unwrap();
    let tags = group.metadata().columns().iter().position(|c| c.column_path().string().starts_with("tags")).unwrap();
    let mut pages = group.get_column_page_reader(tags).unwrap();
    let mut levels = Vec::new();
    while let Some(page) = pages.get_next_page().unwrap() {
        levels.push(page.num_values());
    }
    // The first row fills a page by its first element.
    assert_eq!(levels, [2, 1]);
}
