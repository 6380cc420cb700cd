//! What the first pass holds, and what is done where that is too much.
#![allow(clippy::unwrap_used)]

use super::index::Index;
use super::kept::Kept;
use super::merge::Candidates;
use super::order::Order;
use super::share::Share;
use super::unite::unite_identities;
use super::{Halt, Work};
use crate::deletes::Deletes;
use crate::identities;
use crate::input::InputFile;
use crate::layout::Layout;
use crate::membership::Wanted;
use crate::part::{Part, Tally};
use crate::source::Source;
use crate::tests::table::*;
use crate::{EngineError, PartTask, Progress, Settings, Step};
use arrow_array::cast::AsArray;
use arrow_json::ReaderBuilder;
use domain::plan::{Counts, DataFile, DeleteFile, DeleteKind, PlannedPart, Slice};
use domain::registry::IdentityGraph;
use domain::schema::Schema;
use serde_json::{Value, json};
use std::sync::Arc;
use testkit::MemoryObjects;

fn merging(settings: Settings) -> Job {
    Job { unique_profiles: false, settings, ..Job::fields("profileId,score") }
}

fn rows(count: usize) -> Vec<Value> {
    let row = |n| {
        json!({ "profileId": format!("p{n:06}"), "score": 1, "ingestTime": "2018-01-01T00:00:00Z",
        "identityMap": { "ECID": [{ "id": format!("i{}", n % 7) }] } })
    };
    (0..count).map(row).collect()
}

async fn file(store: &MemoryObjects, name: &str, rows: &[Value]) -> DataFile {
    put(store, name, parquet(&batch(&arrow_schema(&source_schema()), rows), 10_000)).await
}

/// An equality delete file of these profile ids.
async fn deleting(store: &MemoryObjects, ids: &[Value]) -> DeleteFile {
    let fields = source_schema().fields.into_iter().take(1).collect();
    let ids: Vec<_> = ids.iter().map(|row| json!({ "profileId": row["profileId"] })).collect();
    let body = parquet(&batch(&arrow_schema(&Schema { schema_id: 0, fields }), &ids), 10_000);
    let DataFile { location, bytes, .. } = put(store, "deletes", body).await;
    DeleteFile { location, bytes, kind: DeleteKind::Equality { field_ids: vec![1] } }
}

/// What the first pass of a job knows of the rows of some files, of which one share is meant.
async fn index(job: &Job, store: &MemoryObjects, files: Vec<DataFile>, share: Share) -> Result<Index, Halt> {
    let plan = job.plan();
    let planned = PlannedPart { files, deletes: job.deletes.clone(), slice: job.slice, ..PlannedPart::default() };
    let task = PartTask { plan: &plan, part: &planned, settings: job.settings };
    let sources: Vec<_> = plan.sources.iter().map(|source| Source::new(source).unwrap()).collect();
    let layout = Layout::new(&plan, &sources, true).unwrap();
    let wanted = Wanted::new(&plan.filter);
    let deletes = Deletes::read(store, &planned, &sources, job.settings).await.unwrap();
    let (task, sources, layout, deletes) = (&task, &sources[..], &layout, &deletes);
    let part = Part { objects: store, task, sources, layout, wanted: wanted.as_ref(), deletes };
    let mut inputs = Vec::new();
    for file in &planned.files {
        inputs.push(InputFile::open(store, file, None).await.unwrap());
    }
    let order = Order::of(&part, &inputs, &mut Tally::new(1, |_| Step::Continue)).await?;
    let work = Work { part: &part, inputs: &inputs, order, share };
    Index::read(&work, &mut Kept::default(), &mut Tally::new(1, |_| Step::Continue)).await
}

#[tokio::test]
async fn the_rows_take_16_bytes_each_and_a_quarter_of_room() {
    let store = MemoryObjects::default();
    let files = vec![file(&store, "a", &rows(20_000)).await, file(&store, "b", &rows(5_000)).await];
    let job = merging(Settings::default());
    let index = index(&job, &store, files, Share::WHOLE).await.ok().unwrap();
    assert_eq!((index.profiles, index.rows.profile.len()), (20_000, 25_000));
    assert!((25_000 * 16..25_000 * 20 + 4_096).contains(&index.rows.bytes()), "{}", index.rows.bytes());
}

#[tokio::test]
async fn rows_that_are_not_meant_take_nothing() {
    let store = MemoryObjects::default();
    let all = rows(20_000);
    let mut files = vec![file(&store, "a", &all).await];
    let slice = Some(Slice { buckets: 1, modulus: 64, remainder: 3 });
    let sliced = Job { slice, ..merging(Settings::default()) };
    let share = (0..6).fold(Share::WHOLE, |share, _| share.halves()[0]);
    files[0].deletes = vec![0];
    let buried = Job { deletes: vec![deleting(&store, &all[300..]).await], ..merging(Settings::default()) };
    for (what, job, share) in [
        ("a slice", &sliced, Share::WHOLE),
        ("a share", &merging(Settings::default()), share),
        ("what is left by deletes", &buried, Share::WHOLE),
    ] {
        let index = index(job, &store, files.clone(), share).await.ok().unwrap();
        let count = index.rows.profile.len() as u64;
        assert!((200..450).contains(&count), "{what} is {count} rows");
        assert!(index.rows.bytes() < count * 20 + 4_096, "{what} takes {} bytes", index.rows.bytes());
        assert!(index.rows.position.is_sorted() && index.rows.position.len() == index.profiles);
    }
}

#[tokio::test]
async fn the_first_pass_gives_up_when_it_holds_more_than_it_may() {
    let ascending = rows(20_000);
    let descending: Vec<Value> = ascending.iter().rev().cloned().collect();
    // 16 to 20 bytes for a row; unless ids ascend, 21 to 33 for a profile.
    for (order, per_row, fits) in
        [(&descending, 36, false), (&descending, 54, true), (&ascending, 15, false), (&ascending, 21, true)]
    {
        let store = MemoryObjects::default();
        let files = vec![file(&store, "a", order).await];
        let job = merging(Settings { index_bytes: 20_000 * per_row, ..Settings::default() });
        let outcome = index(&job, &store, files.clone(), Share::WHOLE).await;
        assert_eq!(outcome.is_ok(), fits, "{per_row} bytes a row");
        let half = index(&job, &store, files.clone(), Share::WHOLE.halves()[0]).await;
        assert!(half.is_ok());
    }
}

/// So many rows, of which every hundredth mentions a wanted segment, and one before it and one behind are of its profile.
fn mentioning(count: usize) -> Vec<Value> {
    let mut all = rows(count);
    for (n, row) in all.iter_mut().enumerate() {
        let of = if n % 100 == 49 || n % 100 == 51 { n / 100 * 100 + 50 } else { n };
        row["profileId"] = json!(format!("p{of:06}"));
        let segment = if n % 100 == 50 { "s1" } else { "other" };
        row["segmentMembership"] = json!({ "ups": { segment: { "status": "realized" } } });
    }
    all
}

#[tokio::test]
async fn rows_of_profiles_that_mention_nothing_wanted_take_nothing() {
    let ascending = mentioning(20_000);
    let descending: Vec<Value> = ascending.iter().rev().cloned().collect();
    // Unless ids ascend, 28 to 35 bytes for a row until all are read.
    for (order, per_row, fits) in
        [(&descending, 27, false), (&descending, 40, true), (&ascending, 0, false), (&ascending, 3, true)]
    {
        let store = MemoryObjects::default();
        let files = vec![file(&store, "a", order).await];
        let settings = Settings { index_bytes: 20_000 * per_row, ..Settings::default() };
        let job = Job { unique_profiles: false, settings, ..Job::segment("ups", "s1", &[]) };
        let outcome = index(&job, &store, files, Share::WHOLE).await.ok();
        assert_eq!(outcome.is_some(), fits, "{per_row} bytes a row");
        let Some(index) = outcome else { continue };
        assert_eq!((index.profiles, index.rows.position.len()), (200, 600));
        let of_first = |row: u32| row % 100;
        assert!(index.rows.position.iter().all(|row| (48..=51).contains(&of_first(*row))));
        assert!(index.rows.bytes() < 600 * 20 + 4_096, "{} bytes", index.rows.bytes());
    }
}

#[tokio::test]
async fn where_most_rows_mention_what_is_wanted_their_hashes_are_not_held() {
    let mut all = rows(20_000);
    all.reverse();
    all.iter_mut().for_each(|row| row["segmentMembership"] = json!({ "ups": { "s1": { "status": "realized" } } }));
    let pairs: Vec<Value> = all.iter().flat_map(|row| [row.clone(), row.clone()]).collect();
    let store = MemoryObjects::default();
    let files = vec![file(&store, "a", &pairs).await];
    // 16 to 20 bytes for a row and 21 to 33 for a profile of two; held hashes would make it 38 and more.
    let settings = Settings { index_bytes: 40_000 * 37, ..Settings::default() };
    let job = Job { unique_profiles: false, settings, ..Job::segment("ups", "s1", &[]) };
    let index = index(&job, &store, files, Share::WHOLE).await.ok().unwrap();
    assert_eq!((index.profiles, index.rows.position.len()), (20_000, 40_000));
}

#[tokio::test]
async fn rows_of_one_profile_are_merged_wherever_they_stand() {
    let ascending = mentioning(1_000);
    let mut last_first = ascending.clone();
    last_first.rotate_right(1);
    let mut far_apart = ascending.clone();
    far_apart.swap(49, 999);
    let (early, late) = ascending.split_at(350);
    let both: Vec<Value> = [late, early].concat();
    for order in [&ascending, &last_first, &far_apart, &both] {
        let store = MemoryObjects::default();
        let files = vec![file(&store, "a", order).await];
        let job = Job { unique_profiles: false, ..Job::segment("ups", "s1", &[]) };
        let (exported, _) = job.files(&store, files).await;
        let ids: std::collections::BTreeSet<String> = exported.iter().map(|row| row["profileId"].to_string()).collect();
        assert_eq!((exported.len(), ids.len()), (10, 10));
        let store = MemoryObjects::default();
        let files = vec![file(&store, "b", early).await, file(&store, "c", late).await];
        assert_eq!(job.files(&store, files).await.0.len(), 10);
    }
}

#[tokio::test]
async fn identities_that_stand_apart_count_as_well() {
    let store = MemoryObjects::default();
    let mut all = rows(20_000);
    for (n, row) in all.iter_mut().enumerate() {
        row["profileId"] = json!(format!("p{}", n % 4));
        row["identityMap"]["ECID"][0]["id"] = json!(format!("i{n}"));
    }
    let files = vec![file(&store, "a", &all).await];
    let settings = Settings { index_bytes: 20_000 * 30, ..Settings::default() };
    for (identity_graph, fits) in [(IdentityGraph::Pdg, true), (IdentityGraph::None, false)] {
        let job = Job { identity_graph, ..merging(settings) };
        assert_eq!(index(&job, &store, files.clone(), Share::WHOLE).await.is_ok(), fits, "{identity_graph:?}");
    }
}

#[tokio::test]
async fn a_part_in_many_shares_has_the_same_rows_in_the_same_order_each_time() {
    let mut all = rows(200);
    all.extend(rows(100));
    let mut seen = Vec::new();
    for index_bytes in [1, 1, Settings::default().index_bytes] {
        let store = MemoryObjects::default();
        let files = vec![file(&store, "a", &all).await];
        let (rows, _) = merging(Settings { index_bytes, ..Settings::default() }).files(&store, files).await;
        seen.push(rows);
    }
    assert_eq!(seen[0], seen[1]);
    assert_ne!(seen[0], seen[2]);
    seen[0].sort_by_key(Value::to_string);
    seen[2].sort_by_key(Value::to_string);
    assert_eq!(seen[0], seen[2]);
}

#[tokio::test]
async fn progress_through_shares_never_falls_and_reaches_the_whole() {
    let store = MemoryObjects::default();
    let files = vec![file(&store, "a", &rows(300)).await, file(&store, "b", &rows(10)).await];
    let weight = files.iter().map(|f| f.weight()).sum();
    let mut seen = Vec::new();
    let job = merging(Settings { index_bytes: 2_000, ..Settings::default() });
    let step = |progress| {
        seen.push(progress);
        Step::Continue
    };
    job.export(&store, files, step).await.unwrap();
    assert!(seen.windows(2).all(|w| w[0].weight <= w[1].weight && w[0].rows <= w[1].rows));
    assert!(seen.iter().map(|p| p.weight).collect::<std::collections::BTreeSet<_>>().len() > 10);
    assert_eq!(seen.last(), Some(&Progress { weight, rows: 300 }));
}

#[tokio::test]
async fn one_profile_is_held_whatever_it_takes() {
    let store = MemoryObjects::default();
    let mut all = rows(500);
    all.iter_mut().for_each(|row| row["profileId"] = json!("the only one"));
    let files = vec![file(&store, "a", &all).await];
    let mut reports = 0;
    let count = |_| {
        reports += 1;
        Step::Continue
    };
    let job = merging(Settings { index_bytes: 1, ..Settings::default() });
    assert_eq!(job.export(&store, files, count).await.unwrap().counts.rows, 1);
    assert!(reports < 20, "{reports} reports");
}

#[tokio::test]
async fn too_many_deleted_values_are_refused_with_the_rewrite_to_run() {
    let store = MemoryObjects::default();
    let all = rows(50);
    let file = DataFile { deletes: vec![0], ..file(&store, "a", &all).await };
    let mut job = merging(Settings { delete_keys: 40, ..Settings::default() });
    job.deletes = vec![deleting(&store, &all[..40]).await];
    assert_eq!(job.export(&store, vec![file.clone()], |_| Step::Continue).await.unwrap().counts.rows, 10);
    job.settings.delete_keys = 39;
    let error = job.export(&store, vec![file], |_| Step::Continue).await.unwrap_err();
    let EngineError::Unsupported(sentence) = error else { panic!("{error:?}") };
    for part in ["dataset p ", "39 rows", "sample.p", "rewrite_data_files", "OPTIMIZE"] {
        assert!(sentence.contains(part), "{sentence} lacks {part}");
    }
}

#[test]
fn a_namespace_that_a_map_alone_holds_twice_stays_so_and_is_counted_once() {
    let mut decoder = ReaderBuilder::new(Arc::new(arrow_schema(&source_schema()))).build_decoder().unwrap();
    let row = r#"{ "profileId": "a", "identityMap": { "A": [{ "id": "1" }], "A": [{ "id": "2" }] } }"#;
    decoder.decode(row.as_bytes()).unwrap();
    let maps = decoder.flush().unwrap().unwrap().column_by_name("identityMap").unwrap().clone();
    for (times, entries) in [(1, 2), (2, 1)] {
        let mut candidates = Candidates::default();
        candidates.push(vec![(0, 0); times]);
        let united = unite_identities(std::slice::from_ref(&maps), &candidates).unwrap();
        let mut counts = Counts::default();
        let kept = identities::judge(united.as_map(), |_| 1, &mut counts).unwrap();
        assert_eq!((united.as_map().value_length(0), kept.true_count()), (entries, 1));
        assert_eq!(counts.by_namespace, [("A".to_owned(), 1)].into());
    }
}

#[tokio::test]
async fn what_is_kept_is_counted_with_its_dictionary() {
    let store = MemoryObjects::default();
    let all = rows(1_000);
    let input = InputFile::open(&store, &file(&store, "a", &all).await, None).await.unwrap();
    let mut ids = input.chunks(0, &[0]).await.unwrap().pop().unwrap();
    ids.keep_pages();
    while ids.next(|_| true).unwrap().is_some() {}
    assert!(ids.dictionary.is_some());
    // Of each its text, the length before it, where it stands, and the place in the dictionary.
    let least = all.len() * ("p000000".len() + 4 + 8 + 4);
    assert!(ids.kept_bytes() >= least);
    assert!(ids.rewound().unwrap().kept_bytes() >= least);
}
