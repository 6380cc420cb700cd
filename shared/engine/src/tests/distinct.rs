//! What a part tells of its file: that no profile id stands twice in it.

use super::layouts::{laid_out, pages_of_two};
use super::table::*;
use crate::{Settings, Step};
use domain::plan::{DataFile, DeleteFile, DeleteKind, Slice};
use serde_json::{Value, json};
use testkit::MemoryObjects;

/// A row, and whether it mentions the segment.
fn row((id, mentions): (&str, bool)) -> Value {
    if mentions { member(id, "ups", "s1", "realized", NOON) } else { json!({ "profileId": id }) }
}

fn everybody() -> Job {
    Job { unique_profiles: false, ..Job::fields("profileId") }
}

fn members() -> Job {
    Job { unique_profiles: false, ..Job::segment("ups", "s1", &[]) }
}

/// Whether a job tells it of a file of these rows on pages of two; `of_file` says what of it is read, and how.
async fn tells(job: &Job, rows: &[(&str, bool)], of_file: impl FnOnce(DataFile) -> Vec<DataFile>) -> bool {
    let store = MemoryObjects::default();
    let rows: Vec<Value> = rows.iter().copied().map(row).collect();
    let file = put(&store, "a", laid_out(&plain(&rows), pages_of_two())).await;
    job.export(&store, of_file(file), |_| Step::Continue).await.unwrap().distinct
}

const ASCENDING: [(&str, bool); 6] = [("a", true), ("b", false), ("c", false), ("d", true), ("e", true), ("f", false)];

#[tokio::test]
async fn it_is_told_once_each_row_was_seen_to_have_a_greater_id_than_the_one_before() {
    let whole = |file| vec![file];
    for job in [everybody(), members()] {
        assert!(tells(&job, &ASCENDING, whole).await);
        for (at, id) in [(1, "a"), (2, "b"), (5, "a")] {
            let mut rows = ASCENDING;
            rows[at].0 = id;
            assert!(!tells(&job, &rows, whole).await, "{rows:?}");
        }
    }
    let promised = Job { unique_profiles: true, ..everybody() };
    assert!(!tells(&promised, &ASCENDING, whole).await, "nobody looks");
}

#[tokio::test]
async fn it_is_not_told_where_a_row_was_passed_over() {
    let whole = |file| vec![file];
    let mut rare = ASCENDING;
    rare[3..].iter_mut().for_each(|row| row.1 = false);
    assert!(!tells(&members(), &rare, whole).await, "no page but the first");
    let nobody = ASCENDING.map(|(id, _)| (id, false));
    assert!(!tells(&members(), &nobody, whole).await);
    let shares = Settings { index_bytes: 1, ..Settings::default() };
    assert!(!tells(&Job { settings: shares, ..members() }, &ASCENDING, whole).await);
    let slice = |remainder| Some(Slice { buckets: 1, modulus: 2, remainder });
    for job in [everybody(), members()] {
        for remainder in [0, 1] {
            assert!(!tells(&Job { slice: slice(remainder), ..job.clone() }, &ASCENDING, whole).await);
        }
        let of_range = |file: DataFile| vec![DataFile { range: Some((0, file.bytes)), ..file }];
        assert!(!tells(&job, &ASCENDING, of_range).await);
        let twice = |file: DataFile| vec![file.clone(), file];
        assert!(!tells(&job, &ASCENDING, twice).await);
    }
}

#[tokio::test]
async fn rows_that_are_deleted_count_where_their_ids_are_looked_at() {
    for (job, is_told) in [(everybody(), true), (members(), false)] {
        let store = MemoryObjects::default();
        let file = put(&store, "a", laid_out(&plain(&ASCENDING.map(row)), pages_of_two())).await;
        let gone = put(&store, "gone", parquet(&plain(&[json!({ "profileId": "f" })]), 1)).await;
        let field_ids = vec![source_schema().field("profileId").unwrap().id];
        let kind = DeleteKind::Equality { field_ids };
        let deletes = vec![DeleteFile { location: gone.location, bytes: gone.bytes, kind }];
        let file = DataFile { deletes: vec![0], ..file };
        let job = Job { deletes, ..job };
        assert_eq!(job.export(&store, vec![file], |_| Step::Continue).await.unwrap().distinct, is_told);
    }
}

#[tokio::test]
async fn halves_of_what_was_seen_are_told_apart_by_their_ids() {
    let all: Vec<Value> = (0..40).map(|n| row((&format!("p{n:02}"), n % 3 == 0))).collect();
    for (job, count) in [(everybody(), 40), (members(), 14)] {
        let mut ids = Vec::new();
        for remainder in [0, 1] {
            let slice = Some(Slice { buckets: 1, modulus: 2, remainder });
            let half = Job { distinct: true, slice, ..job.clone() }.ids(&all).await;
            assert!(!half.is_empty() && half.len() < count);
            ids.extend(half);
        }
        ids.sort();
        assert!(ids.is_sorted_by(|a, b| a < b), "each profile lies in one half");
        assert_eq!(ids.len(), count);
    }
}
