//! Files that cannot be read, rows that cannot be exported, and stores that fail.

use super::table::*;
use crate::{EngineError, Step};
use bytes::Bytes;
use domain::ports::objects::{Location, ObjectError, WriteObjects};
use domain::schema::Kind;
use serde_json::json;
use testkit::{Fault, MemoryObjects};

fn meaning(error: EngineError) -> String {
    match error {
        EngineError::Input { meaning, .. } => meaning,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_row_without_a_profile_id_is_an_error_of_its_file() {
    for unique_profiles in [true, false] {
        let store = MemoryObjects::default();
        let file = put(&store, "a", parquet(&plain(&[json!({ "score": 1 })]), 10)).await;
        let job = Job { unique_profiles, ..Job::fields("score") };
        let error = job.export(&store, vec![file], |_| Step::Continue).await.unwrap_err();
        assert_eq!(meaning(error), "a row has no profile id");
    }
}

#[tokio::test]
async fn a_failing_store_is_told_as_such_and_nothing_is_left_behind() {
    for (call, fault) in [
        ("read_range", Fault::BeforeEffect),
        ("begin", Fault::BeforeEffect),
        ("write", Fault::BeforeEffect),
        ("complete", Fault::BeforeEffect),
        ("complete", Fault::AfterEffect),
    ] {
        let store = MemoryObjects::default();
        let file = put(&store, "a", parquet(&plain(&numbered(10)), 5)).await;
        store.fail_next(call, fault);
        let result = Job::fields("profileId").export(&store, vec![file], |_| Step::Continue).await;
        assert!(matches!(result, Err(EngineError::Objects(ObjectError::Unavailable(_)))), "{call}: {result:?}");
        assert_eq!(objects_below(&store, "export/").await, 0, "{call}");
    }
}

#[tokio::test]
async fn damaged_files_are_refused_and_never_panic() {
    let good = parquet(&plain(&numbered(40)), 10);
    let empty = Bytes::new();
    let cut = good.slice(..good.len() / 2);
    let headless = Bytes::from([&[0u8; 4000][..], &good[4000..]].concat());
    for (name, body) in [("empty", empty), ("text", "no parquet".into()), ("cut", cut), ("zeroed", headless)] {
        let store = MemoryObjects::default();
        let file = put(&store, name, body).await;
        let result = Job::segment("ups", "s1", &[]).export(&store, vec![file], |_| Step::Continue).await;
        assert!(matches!(result, Err(EngineError::Input { .. })), "{name}: {result:?}");
        assert_eq!(objects_below(&store, "export/").await, 0);
    }
}

#[tokio::test]
async fn a_file_of_another_nesting_or_type_is_refused_by_name() {
    for (name, kind) in
        [("score", "string"), ("personalEmail", "long"), ("tags", "string"), ("segmentMembership", "string")]
    {
        let store = MemoryObjects::default();
        let mut other = source_schema();
        other.fields.iter_mut().find(|f| f.name == name).unwrap().kind = Kind::Primitive(kind.into());
        let file = put(&store, "a", parquet(&batch(&arrow_schema(&other), &[json!({ "profileId": "a" })]), 10)).await;
        let error = Job::default().export(&store, vec![file], |_| Step::Continue).await.unwrap_err();
        assert!(meaning(error).contains(name), "{name}");
    }
}

#[tokio::test]
async fn a_missing_file_is_the_stores_answer() {
    let store = MemoryObjects::default();
    let file = put(&store, "a", parquet(&plain(&[]), 10)).await;
    store.delete(&Location::new("lake", "profiles/a")).await.unwrap();
    let result = Job::default().export(&store, vec![file], |_| Step::Continue).await;
    assert!(matches!(result, Err(EngineError::Objects(ObjectError::NotFound(_)))));
}

#[tokio::test]
async fn a_missing_id_is_an_error_even_where_the_table_requires_it() {
    let mut job = Job { unique_profiles: true, ..Job::fields("profileId,score") };
    job.source.fields.iter_mut().filter(|f| f.name == "profileId").for_each(|f| f.required = true);
    for copied_bytes in [0, 1 << 20] {
        job.settings.copied_bytes = copied_bytes;
        let store = MemoryObjects::default();
        let rows = plain(&[json!({ "profileId": "a", "score": 1 }), json!({ "score": 2 })]);
        let file = put(&store, "a", parquet(&rows, 10)).await;
        let refused = job.export(&store, vec![file], |_| Step::Continue).await.unwrap_err();
        assert_eq!(meaning(refused), "a row has no profile id");
    }
}
