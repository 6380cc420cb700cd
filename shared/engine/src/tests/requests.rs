//! How often the engine asks the store: the figures of docs/performance/scale.md.

use super::table::*;
use crate::{Settings, Step};
use serde_json::Value;
use std::sync::Arc;
use testkit::{Calls, MemoryObjects};

/// Reads of a job over a file of so many row groups of five rows, and how many rows it exports.
async fn reads(job: &Job, groups: usize, row: impl Fn(usize) -> Value) -> (usize, usize) {
    let calls = Arc::new(Calls::default());
    let store = MemoryObjects::under(calls.clone());
    let rows: Vec<Value> = (0..groups * 5).map(row).collect();
    let file = put(&store, "a", parquet(&batch(&arrow_schema(&source_schema()), &rows), 5)).await;
    let outputs = job.export(&store, vec![file], |_| Step::Continue).await.unwrap();
    let reads = calls.take().iter().filter(|call| ["size", "read_range", "read"].contains(&call.as_str())).count();
    (reads, outputs.counts.rows as usize)
}

/// How many reads each row group takes, and how many a part takes besides, of which everybody is exported or nobody.
async fn told(job: &Job, of_row: usize, row: impl Fn(usize) -> Value) -> (usize, usize) {
    let [(one, rows_of_one), (many, rows_of_many)] = [reads(job, 1, &row).await, reads(job, 11, &row).await];
    assert_eq!((rows_of_one, rows_of_many), (5 * of_row, 55 * of_row));
    let of_group = (many - one) / 10;
    assert_eq!(one + 10 * of_group, many, "each row group takes as many");
    (of_group, one - of_group)
}

fn row_of(n: usize, segment: &str) -> Value {
    member(&format!("p{n:02}"), "ups", segment, "realized", "2018-01-01T00:00:00Z")
}

fn settings() -> Settings {
    Settings { copied_bytes: i64::MAX, ..Settings::default() }
}

/// The job where it is not promised that each profile is one row.
fn merging(job: &Job) -> Job {
    Job { unique_profiles: false, ..job.clone() }
}

/// The job where an earlier one has seen it.
fn seen(job: &Job) -> Job {
    Job { distinct: true, ..merging(job) }
}

fn everybody() -> Job {
    Job { settings: settings(), ..Job::fields("") }
}

fn members() -> Job {
    Job { projection: Default::default(), settings: settings(), ..Job::segment("ups", "s1", &[]) }
}

#[tokio::test]
async fn a_part_asks_for_footers_and_for_each_row_group_as_often_as_is_told_and_no_more() {
    let in_time = members().within(Some("2018-01-01T00:00:00Z"), None);
    let nobody = Job { settings: settings(), ..Job::segment("ups", "s2", &[]) };
    for (job, of_row, expected) in [
        (&everybody(), 1, (3, 1)),
        (&members(), 1, (4, 1)),
        (&in_time, 1, (5, 1)),
        (&merging(&everybody()), 1, (4, 1)),
        (&merging(&in_time), 1, (7, 1)),
        (&merging(&nobody), 0, (1, 1)),
        (&seen(&everybody()), 1, (3, 1)),
        (&seen(&in_time), 1, (5, 1)),
    ] {
        assert_eq!(told(job, of_row, |n| row_of(n, "s1")).await, expected);
    }
}

#[tokio::test]
async fn ids_that_do_not_ascend_are_asked_for_once_more_up_to_where_that_is_seen() {
    let backwards = |n: usize| row_of(90 - n, "s1");
    assert_eq!(told(&merging(&everybody()), 1, backwards).await, (4, 2));
    // The last row group begins again.
    let late = |n: usize| row_of(if n < 50 { n + 20 } else { n - 50 }, "s1");
    assert_eq!(reads(&merging(&everybody()), 11, late).await, (1 + 11 * 4 + 11, 55));
}

#[tokio::test]
async fn of_row_groups_beyond_those_of_a_rare_audience_no_ids_are_asked_for() {
    let rare = |n: usize| row_of(n, if n == 0 { "s1" } else { "s2" });
    for groups in [5, 11] {
        let (alone, of_promised) = reads(&members(), groups, rare).await;
        assert_eq!(alone, 1 + groups + 3, "the footer, the segments of all, and what else of the first is exported");
        let (merging, of_merged) = reads(&merging(&members()), groups, rare).await;
        assert_eq!((of_promised, of_merged), (1, 1));
        assert_eq!(merging, alone + 1 + 2, "bounds of pages, once, and what merging asks of the first besides");
    }
}
