//! Objects: create-if-absent, ranges, lists, uploads.

use super::{ObjectStore, Suite};
use bytes::Bytes;
use domain::ports::objects::{Location, ObjectError, UploadObject};

pub(super) async fn run<S: ObjectStore>(suite: &mut Suite, store: &S, below: &Location) {
    suite.case(a_created_object_is_read_back::<S>, store, below.join("created/")).await;
    suite.case(what_is_not_there_is_not_found::<S>, store, below.join("missing/")).await;
    suite.case(a_range_is_exactly_its_bytes::<S>, store, below.join("range/")).await;
    suite.case(an_object_is_never_overwritten::<S>, store, below.join("occupied/")).await;
    suite.case(the_same_bytes_again_are_ours::<S>, store, below.join("again/")).await;
    suite.case(of_racing_creates_one_body_stands::<S>, store, below.join("race/")).await;
    suite.case(a_list_holds_what_starts_with_the_prefix_by_key::<S>, store, below.join("list/")).await;
    suite.case(a_list_may_be_longer_than_one_answer::<S>, store, below.join("long/")).await;
    suite.case(a_deleted_object_is_gone_and_its_key_free::<S>, store, below.join("delete/")).await;
    suite.case(a_small_upload_is_invisible_until_complete::<S>, store, below.join("small/")).await;
    suite.case(a_large_upload_is_invisible_until_complete::<S>, store, below.join("large/")).await;
    suite.case(an_upload_of_nothing_is_an_empty_object::<S>, store, below.join("empty/")).await;
    suite.case(an_aborted_or_dropped_upload_leaves_nothing::<S>, store, below.join("abort/")).await;
    suite.case(an_upload_to_a_taken_key_leaves_what_is_there::<S>, store, below.join("taken/")).await;
    suite.case(of_racing_uploads_one_stands_whole::<S>, store, below.join("uploads/")).await;
    suite.case(uploads_that_were_left_behind_are_freed::<S>, store, below.join("left/")).await;
}

/// Bytes that differ from place to place.
fn pattern(len: usize, seed: u64) -> Bytes {
    let mut x = seed | 1;
    let mut out = Vec::with_capacity(len + 8);
    while out.len() < len {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        out.extend_from_slice(&x.to_be_bytes());
    }
    out.truncate(len);
    out.into()
}

fn is_not_found<T>(answer: &Result<T, ObjectError>) -> bool {
    matches!(answer, Err(ObjectError::NotFound(_)))
}

fn is_occupied<T>(answer: &Result<T, ObjectError>) -> bool {
    matches!(answer, Err(ObjectError::Occupied(_)))
}

async fn a_created_object_is_read_back<S: ObjectStore>(store: S, below: Location) {
    let body = pattern(100_000, 1);
    for name in ["plain", "with space/ä+%25=1.json", "batchId=0a/part-00001-1-ab-000.parquet"] {
        let at = below.join(name);
        store.create(&at, body.clone()).await.unwrap();
        assert_eq!(store.size(&at).await.unwrap(), 100_000, "{name}");
        assert_eq!(store.read(&at).await.unwrap(), body, "{name}");
    }
    let empty = below.join("empty");
    store.create(&empty, Bytes::new()).await.unwrap();
    assert_eq!((store.size(&empty).await.unwrap(), store.read(&empty).await.unwrap()), (0, Bytes::new()));
}

async fn what_is_not_there_is_not_found<S: ObjectStore>(store: S, below: Location) {
    let at = below.join("nothing");
    assert!(is_not_found(&store.size(&at).await));
    assert!(is_not_found(&store.read(&at).await));
    assert!(is_not_found(&store.read_range(&at, 0..1).await));
    assert_eq!(store.list(&below).await.unwrap(), []);
}

async fn a_range_is_exactly_its_bytes<S: ObjectStore>(store: S, below: Location) {
    let (at, body) = (below.join("object"), pattern(10_000, 2));
    store.create(&at, body.clone()).await.unwrap();
    for range in [0..1, 0..10_000, 9_999..10_000, 17..4_711] {
        let expected = body.slice(range.start as usize..range.end as usize);
        assert_eq!(store.read_range(&at, range).await.unwrap(), expected);
    }
    for nothing in [0..0, 10_000..10_000] {
        assert_eq!(store.read_range(&at, nothing).await.unwrap(), Bytes::new());
    }
}

async fn an_object_is_never_overwritten<S: ObjectStore>(store: S, below: Location) {
    let (at, first) = (below.join("object"), pattern(1_000, 3));
    store.create(&at, first.clone()).await.unwrap();
    for other in [pattern(1_000, 4), first.slice(..999), Bytes::new()] {
        assert!(is_occupied(&store.create(&at, other).await));
    }
    assert_eq!(store.read(&at).await.unwrap(), first);
}

async fn the_same_bytes_again_are_ours<S: ObjectStore>(store: S, below: Location) {
    for (name, body) in [("object", pattern(1_000, 5)), ("empty", Bytes::new())] {
        for _ in 0..2 {
            store.create(&below.join(name), body.clone()).await.unwrap();
        }
    }
}

async fn of_racing_creates_one_body_stands<S: ObjectStore>(store: S, below: Location) {
    let at = below.join("object");
    let racers = (0..6).map(|n| {
        let (store, at, body) = (store.clone(), at.clone(), pattern(5_000, n * 2));
        tokio::spawn(async move { (store.create(&at, body.clone()).await, body) })
    });
    let racers: Vec<_> = racers.collect();
    let mut winners = Vec::new();
    for racer in racers {
        match racer.await.unwrap() {
            (Ok(()), body) => winners.push(body),
            (answer, _) => assert!(is_occupied(&answer), "{answer:?}"),
        }
    }
    assert_eq!(winners, [store.read(&at).await.unwrap()]);
}

async fn a_list_holds_what_starts_with_the_prefix_by_key<S: ObjectStore>(store: S, below: Location) {
    for (size, name) in ["b/2", "a/1", "b/10", "bb", "c/d/e"].into_iter().enumerate() {
        store.create(&below.join(name), pattern(size, 6)).await.unwrap();
    }
    let sizes = [("a/1", 1), ("b/10", 2), ("b/2", 0), ("bb", 3), ("c/d/e", 4)];
    let all: Vec<_> = sizes.into_iter().map(|(name, size)| (below.join(name), size)).collect();
    assert_eq!(store.list(&below).await.unwrap(), all);
    assert_eq!(store.list(&below.join("b")).await.unwrap(), all[1..4], "a prefix need not be a folder");
    assert_eq!(store.list(&below.join("b/")).await.unwrap(), all[1..3]);
    assert_eq!(store.list(&below.join("x")).await.unwrap(), []);
}

async fn a_list_may_be_longer_than_one_answer<S: ObjectStore>(store: S, below: Location) {
    let names: Vec<String> = (0..1_010).map(|n| format!("{n:05}")).collect();
    for some in names.chunks(32) {
        let puts: Vec<_> = some.iter().map(|name| (store.clone(), below.join(name))).collect();
        let puts = puts
            .into_iter()
            .map(|(store, at)| tokio::spawn(async move { store.create(&at, Bytes::from_static(b"x")).await.unwrap() }));
        let puts: Vec<_> = puts.collect();
        for put in puts {
            put.await.unwrap();
        }
    }
    let listed: Vec<_> = store.list(&below).await.unwrap().into_iter().map(|(at, _)| at).collect();
    assert_eq!(listed, names.iter().map(|name| below.join(name)).collect::<Vec<_>>());
}

async fn a_deleted_object_is_gone_and_its_key_free<S: ObjectStore>(store: S, below: Location) {
    let at = below.join("object");
    store.delete(&at).await.unwrap();
    store.create(&at, pattern(10, 7)).await.unwrap();
    store.delete(&at).await.unwrap();
    store.delete(&at).await.unwrap();
    assert!(is_not_found(&store.read(&at).await));
    store.create(&at, pattern(10, 8)).await.unwrap();
}

/// Writes a body piece by piece, looks that nothing is seen of it, completes it and reads it back.
async fn upload<S: ObjectStore>(store: &S, below: &Location, body: Bytes, piece: usize) {
    let at = below.join("object");
    let mut upload = store.begin(&at).await.unwrap();
    for start in (0..body.len()).step_by(piece) {
        upload.write(body.slice(start..body.len().min(start + piece))).await.unwrap();
    }
    assert!(is_not_found(&store.size(&at).await), "visible before it was complete");
    assert_eq!(store.list(below).await.unwrap(), []);
    upload.complete().await.unwrap();
    assert_eq!(store.list(below).await.unwrap(), [(at.clone(), body.len() as u64)]);
    assert!(store.read(&at).await.unwrap() == body, "other bytes came back");
}

async fn a_small_upload_is_invisible_until_complete<S: ObjectStore>(store: S, below: Location) {
    upload(&store, &below, pattern(10_000, 9), 999).await;
}

async fn a_large_upload_is_invisible_until_complete<S: ObjectStore>(store: S, below: Location) {
    upload(&store, &below.join("odd/"), pattern(37_000_001, 10), 700_001).await;
    upload(&store, &below.join("one/"), pattern(33_554_432, 11), 40_000_000).await;
}

async fn an_upload_of_nothing_is_an_empty_object<S: ObjectStore>(store: S, below: Location) {
    upload(&store, &below, Bytes::new(), 1).await;
}

async fn an_aborted_or_dropped_upload_leaves_nothing<S: ObjectStore>(store: S, below: Location) {
    for len in [10, 20_000_000] {
        for abort in [true, false] {
            let mut upload = store.begin(&below.join("object")).await.unwrap();
            upload.write(pattern(len, 12)).await.unwrap();
            if abort {
                upload.abort().await.unwrap();
            }
        }
    }
    assert_eq!(store.list(&below).await.unwrap(), []);
    store.create(&below.join("object"), pattern(10, 13)).await.unwrap();
}

async fn an_upload_to_a_taken_key_leaves_what_is_there<S: ObjectStore>(store: S, below: Location) {
    for len in [10, 20_000_000] {
        let (at, first) = (below.join(&format!("object-{len}")), pattern(1_000, 14));
        let mut upload = store.begin(&at).await.unwrap();
        upload.write(pattern(len, 15)).await.unwrap();
        store.create(&at, first.clone()).await.unwrap();
        assert!(is_occupied(&upload.complete().await));
        assert_eq!(store.read(&at).await.unwrap(), first);
    }
}

async fn of_racing_uploads_one_stands_whole<S: ObjectStore>(store: S, below: Location) {
    for len in [5_000, 17_000_000] {
        let at = below.join(&format!("object-{len}"));
        let racers = (0..3).map(|n| {
            let (store, at, body) = (store.clone(), at.clone(), pattern(len, 20 + n * 2));
            tokio::spawn(async move {
                let mut upload = store.begin(&at).await.unwrap();
                upload.write(body.clone()).await.unwrap();
                (upload.complete().await, body)
            })
        });
        let racers: Vec<_> = racers.collect();
        let mut winners = Vec::new();
        for racer in racers {
            match racer.await.unwrap() {
                (Ok(()), body) => winners.push(body),
                (answer, _) => assert!(is_occupied(&answer), "{answer:?}"),
            }
        }
        assert!(winners == [store.read(&at).await.unwrap()], "one winner, and its bytes");
    }
}

async fn uploads_that_were_left_behind_are_freed<S: ObjectStore>(store: S, below: Location) {
    let (left, theirs, other) = (below.join("a/object"), below.join("a/theirs"), below.join("b/object"));
    let mut of_left = store.begin(&left).await.unwrap();
    let mut of_theirs = store.begin(&theirs).await.unwrap();
    let mut of_other = store.begin(&other).await.unwrap();
    // More than fits in one request, so that there is an upload.
    let body = pattern(20_000_000, 16);
    of_left.write(body.clone()).await.unwrap();
    of_theirs.write(body.clone()).await.unwrap();
    of_other.write(body.clone()).await.unwrap();
    for _ in 0..2 {
        store.abort_uploads(&below.join("a/"), |at| at.key.ends_with("/object")).await.unwrap();
    }
    assert!(of_left.complete().await.is_err(), "it was freed");
    assert!(is_not_found(&store.size(&left).await));
    for (upload, at) in [(of_theirs, theirs), (of_other, other)] {
        upload.complete().await.unwrap();
        assert!(store.read(&at).await.unwrap() == body);
    }
}
