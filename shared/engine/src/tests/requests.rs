//! How often the engine asks the store: the figures of docs/performance/scale.md.

use super::table::*;
use crate::{Settings, Step};
use serde_json::Value;
use std::sync::Arc;
use testkit::{Calls, MemoryObjects};

/// Reads of a job over a file of so many row groups, of each of whose rows it exports one or none.
async fn reads(job: &Job, groups: usize, of_row: usize) -> usize {
    let calls = Arc::new(Calls::default());
    let store = MemoryObjects::under(calls.clone());
    let row = |n: usize| member(&format!("p{n:02}"), "ups", "s1", "realized", "2018-01-01T00:00:00Z");
    let rows: Vec<Value> = (0..groups * 5).map(row).collect();
    let file = put(&store, "a", parquet(&batch(&arrow_schema(&source_schema()), &rows), 5)).await;
    let outputs = job.export(&store, vec![file], |_| Step::Continue).await.unwrap();
    assert_eq!(outputs.counts.rows as usize, groups * 5 * of_row);
    calls.take().iter().filter(|call| ["size", "read_range", "read"].contains(&call.as_str())).count()
}

#[tokio::test]
async fn a_part_asks_for_footers_and_for_each_row_group_as_often_as_is_told_and_no_more() {
    let settings = Settings { copied_bytes: i64::MAX, ..Settings::default() };
    let everybody = Job { settings, ..Job::fields("") };
    let members = Job { projection: Default::default(), settings, ..Job::segment("ups", "s1", &[]) };
    let in_time = members.clone().within(Some("2018-01-01T00:00:00Z"), None);
    let merging = |job: &Job| Job { unique_profiles: false, ..job.clone() };
    let nobody = Job { settings, ..Job::segment("ups", "s2", &[]) };
    let mut told = Vec::new();
    for (job, of_row) in [
        (&everybody, 1),
        (&members, 1),
        (&in_time, 1),
        (&merging(&everybody), 1),
        (&merging(&in_time), 1),
        (&merging(&nobody), 0),
    ] {
        let (one, many) = (reads(job, 1, of_row).await, reads(job, 11, of_row).await);
        let of_group = (many - one) / 10;
        told.push((of_group, one - of_group));
    }
    assert_eq!(told, [(3, 1), (4, 1), (5, 1), (4, 1), (7, 1), (1, 1)]);
}
