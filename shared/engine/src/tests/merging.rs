//! What is looked at to find the rows that are one profile's.

use super::layouts::{Layout, laid_out, pages_of_two, retold};
use super::table::*;
use crate::{EngineError, Settings, Step};
use bytes::Bytes;
use domain::plan::Slice;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::PageIndexPolicy;
use serde_json::{Value, json};
use testkit::MemoryObjects;

/// A row of a profile, and whether it mentions the segment; without an id where that is empty.
fn row((id, mentions): &(&str, bool)) -> Value {
    let mut row =
        if *mentions { member(id, "ups", "s1", "realized", NOON) } else { json!({ "profileId": id, "score": 7 }) };
    row["profileId"] = if id.is_empty() { Value::Null } else { (*id).into() };
    row
}

/// A file of such rows on pages of two.
fn file_of(rows: &[(&str, bool)]) -> Bytes {
    laid_out(&plain(&rows.iter().map(row).collect::<Vec<_>>()), pages_of_two())
}

/// The file with its nth page of profile ids damaged.
fn with_damaged_ids(file: &Bytes, page: usize) -> Bytes {
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
    let footer = ArrowReaderMetadata::load(file, options).unwrap();
    let pages = &footer.metadata().offset_index().unwrap()[0][0].page_locations;
    let (start, length) = (pages[page].offset as usize, pages[page].compressed_page_size as usize);
    let mut file = file.to_vec();
    file[start..start + length].fill(0xff);
    file.into()
}

/// Merged members of the segment by id, and the score that only a row has which does not mention it.
async fn members(files: &[Bytes]) -> Result<Vec<(String, Option<i64>)>, EngineError> {
    let store = MemoryObjects::default();
    let mut inputs = Vec::new();
    for (at, body) in files.iter().enumerate() {
        inputs.push(put(&store, &format!("{at}"), body.clone()).await);
    }
    let filter = Job::segment("ups", "s1", &[]).filter;
    let job = Job { unique_profiles: false, filter, ..Job::fields("profileId,score") };
    let outputs = job.export(&store, inputs, |_| Step::Continue).await?;
    let rows = exported(&store, &outputs).await.iter().flat_map(json_rows).collect::<Vec<_>>();
    let member = |row: &Value| (row["profileId"].as_str().unwrap().to_owned(), row["score"].as_i64());
    let mut members: Vec<_> = rows.iter().map(member).collect();
    members.sort();
    Ok(members)
}

#[tokio::test]
async fn of_ids_beyond_the_mentioned_ones_nothing_is_unpacked() {
    let rows = [("a", false), ("b", false), ("c", false), ("d", true), ("d", false), ("e", false), ("f", false)];
    let file = file_of(&rows);
    let found = [("d".to_owned(), Some(7))];
    assert_eq!(members(std::slice::from_ref(&file)).await.unwrap(), found);
    for (page, is_read) in [(0, false), (1, true), (2, true), (3, false)] {
        let damaged = with_damaged_ids(&file, page);
        match members(&[damaged]).await {
            Ok(members) => assert!(!is_read && members == found, "page {page}"),
            Err(error) => assert!(is_read, "page {page}: {error}"),
        }
    }
}

#[tokio::test]
async fn a_page_is_looked_at_that_begins_or_ends_with_a_mentioned_id_whatever_its_file() {
    for others in [[("a", false), ("c", false)], [("d", false), ("x", false)], [("a", false), ("x", false)]] {
        let mine = file_of(&[("c", true), ("d", true), ("k", false), ("l", false)]);
        let found = members(&[mine, file_of(&others)]).await.unwrap();
        let score = |id: &str| others.iter().any(|(other, _)| *other == id).then_some(7);
        assert_eq!(found, ["c", "d"].map(|id| (id.to_owned(), score(id))));
    }
}

#[tokio::test]
async fn a_row_without_an_id_is_found_beyond_them_too() {
    let file = file_of(&[("a", true), ("b", false), ("x", false), ("", false)]);
    assert!(matches!(members(&[file]).await, Err(EngineError::Input { .. })));
}

#[tokio::test]
async fn bounds_of_pages_that_cannot_be_read_are_done_without() {
    let rows = [("d", true), ("e", false), ("d", false), ("f", false)];
    for end in [1, 2, 3] {
        let file = retold(&file_of(&rows), |_, chunk| {
            chunk.set_column_index_offset(Some(4)).set_column_index_length(Some(end))
        });
        assert_eq!(members(&[file]).await.unwrap(), [("d".to_owned(), Some(7))]);
    }
}

/// The ids of everybody, in the order in which they are exported, where the first pass may hold next to nothing.
async fn everybody(job: Job, rows: &[Value]) -> Vec<String> {
    let settings = Settings { index_bytes: 1, ..job.settings };
    let job = Job { unique_profiles: false, settings, projection: Job::fields("profileId").projection, ..job };
    let store = MemoryObjects::default();
    let layout = Layout { group_rows: 20, ..pages_of_two() };
    let file = put(&store, "a", laid_out(&plain(rows), layout)).await;
    let (rows, _) = job.files(&store, vec![file]).await;
    rows.iter().map(|row| row["profileId"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn where_ids_ascend_and_none_stands_twice_everybody_is_exported_in_one_go() {
    let all: Vec<String> = (0..50).map(|n| format!("p{n:02}")).collect();
    let rows = |ids: &[String]| ids.iter().map(|id| json!({ "profileId": id })).collect::<Vec<_>>();
    assert_eq!(everybody(Job::default(), &rows(&all)).await, all);
    let mut of_slices = Vec::new();
    for remainder in [0, 1] {
        let slice = Some(Slice { buckets: 1, modulus: 2, remainder });
        let sliced = everybody(Job { slice, ..Job::default() }, &rows(&all)).await;
        assert!((10..40).contains(&sliced.len()), "{sliced:?}");
        of_slices.extend(sliced);
    }
    of_slices.sort();
    assert_eq!(of_slices, all);
    // Twice on a page, on two pages, and in two row groups; and not in order.
    for (at, id) in [(1, "p00"), (2, "p01"), (20, "p19"), (49, "p48"), (49, "a")] {
        let mut ids = all.clone();
        ids[at] = id.to_owned();
        let exported = everybody(Job::default(), &rows(&ids)).await;
        assert!(!exported.is_sorted(), "what outgrows its memory is exported in shares");
        ids.sort();
        ids.dedup();
        let mut sorted = exported;
        sorted.sort();
        assert_eq!(sorted, ids);
    }
}
