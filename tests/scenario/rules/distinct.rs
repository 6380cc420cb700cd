//! What one job has seen of a file, that no profile id stands twice in it, later ones need not look for.

use super::*;
use bytes::Bytes;

fn row(n: u32) -> Value {
    let membership = json!({"status": "realized", "lastQualificationTime": day(n)});
    json!({"profileId": format!("p{n}"), "other": "same", "ingestTime": day(n), "x": format!("x{n}"),
        "identityMap": {"A": [{"id": n.to_string()}]}, "segmentMembership": {"ups": {"s": membership}}})
}

fn file(name: &str, rows: impl IntoIterator<Item = Value>) -> Value {
    json!({"append": [{"file": name, "rows": rows.into_iter().collect::<Value>()}]})
}

/// A dataset of these commits, in two buckets.
fn committed(commits: &[Value]) -> Store {
    let more = json!({"other": "string", "x": "string"});
    store(json!({"a": with(profiles(more, json!([])), json!({"commits": commits}))}))
}

/// Twelve profiles in a file of each bucket, their ids ascending.
fn ascending() -> Store {
    committed(&[file("f0", (10..22).map(row))])
}

fn everybody() -> Value {
    request(json!({}))
}

fn members() -> Value {
    request(json!({"filter": {"segments": [{"segmentId": "s"}]}}))
}

/// Which parts of the next job are known to hold no profile twice; that it exports the right rows.
async fn known(world: &World, store: &Store, request: &Value) -> Vec<bool> {
    let job = world.job(request).await;
    let outcome = world.outcome(&job).await;
    assert_eq!(shown(&outcome), shown(&oracle::export(store, request)));
    world.plan(&job).await.parts.iter().map(|part| part.distinct).collect()
}

#[test]
fn what_one_job_has_seen_the_next_one_knows() {
    for first in [everybody(), members()] {
        for next in [everybody(), members(), with(members(), json!({"mergePolicy": {"id": "none"}}))] {
            in_world(&ascending(), async |world| {
                assert_eq!(known(world, &ascending(), &first).await, [false, false]);
                assert_eq!(known(world, &ascending(), &next).await, [true, true]);
            });
        }
    }
}

#[test]
fn a_file_that_is_not_looked_through_or_holds_a_profile_twice_is_not_known() {
    let twice = committed(&[file("f0", (10..22).flat_map(|n| [row(n), row(n)]))]);
    let descending = committed(&[file("f0", (10..22).rev().map(row))]);
    let deleted = committed(&[
        file("f0", (10..22).map(row)),
        json!({"positions": (0..12).map(|n| json!(["f0", n])).collect::<Value>()}),
    ]);
    let nobody = request(json!({"filter": {"segments": [{"segmentId": "t"}]}}));
    for (store, first) in [(twice, everybody()), (descending, everybody()), (deleted, members()), (ascending(), nobody)]
    {
        in_world(&store, async |world| {
            for request in [&first, &everybody()] {
                assert_eq!(known(world, &store, request).await, [false, false], "{store:?}");
            }
        });
    }
}

#[test]
fn deletes_hold_for_files_that_are_known() {
    let commits = [
        file("f0", (10..22).map(row)),
        json!({"positions": [["f0", 3]], "equal": [{"on": ["x"], "rows": [{"x": "x12"}]}]}),
    ];
    in_world(&committed(&commits[..1]), async |world| {
        known(world, &committed(&commits[..1]), &everybody()).await;
        let equal = json!({"equal": commits[1]["equal"]});
        world.commit("a", 1, &equal).await;
        let store = committed(&[commits[0].clone(), equal]);
        assert_eq!(known(world, &store, &members()).await, [true, true]);
    });
    let store = committed(&commits);
    in_world(&store, async |world| {
        known(world, &store, &everybody()).await;
        assert_eq!(known(world, &store, &everybody()).await, [true, true], "ids of rows that are deleted count");
    });
}

#[test]
fn where_another_file_comes_into_the_bucket_profiles_are_merged_again() {
    let older = |n| with(row(n), json!({"ingestTime": day(1), "x": null, "other": "older"}));
    let commits = [file("f0", (10..22).map(row)), file("f1", [older(12)])];
    in_world(&committed(&commits[..1]), async |world| {
        known(world, &committed(&commits[..1]), &everybody()).await;
        world.commit("a", 1, &commits[1]).await;
        // The bucket without a new file is still known.
        let mut known = known(world, &committed(&commits), &everybody()).await;
        known.sort_unstable();
        assert_eq!(known, [false, true]);
    });
}

#[test]
fn events_of_the_bucket_find_their_profiles() {
    let event = |n| json!({"profileId": format!("p{n}"), "timestamp": day(2), "eventType": "bought"});
    let mut store = ascending();
    let events = events(json!({}), json!([(10..22).map(event).collect::<Value>()]));
    store.datasets.insert("e".into(), serde_json::from_value(events).unwrap());
    let with_events = request(json!({"additionalFields": {"eventList": {"fields": "eventType"}}}));
    in_world(&store, async |world| {
        known(world, &store, &everybody()).await;
        assert_eq!(known(world, &store, &with_events).await, [false, false]);
        assert_eq!(known(world, &store, &everybody()).await, [true, true]);
    });
}

#[test]
fn files_of_events_are_none_of_them() {
    let event = |n| json!({"profileId": format!("p{n}"), "timestamp": day(2), "eventType": "bought"});
    let events = events(json!({}), json!([(10..22).map(event).collect::<Value>()]));
    let store = store(json!({"a": profiles(json!({}), json!([])), "e": events}));
    let additional = json!({"eventList": {"fields": "eventType"}});
    let with_events = request(json!({"additionalFields": additional, "filter": {"emptyProfiles": true}}));
    in_world(&store, async |world| {
        assert_eq!(known(world, &store, &with_events).await, [false, false]);
        assert_eq!(world.marks().await, Vec::<String>::new());
    });
}

#[test]
fn what_was_seen_is_kept_by_table_and_goes_with_the_file() {
    in_world(&ascending(), async |world| {
        known(world, &ascending(), &everybody()).await;
        let marks = world.marks().await;
        let (folder, _) = marks[0].rsplit_once('/').unwrap();
        let words: Vec<&str> = folder.split('/').collect();
        // Bucket, organization and sandbox come first, and the table's UUID is any.
        assert_eq!((words[5], &words[7..]), ("tables", &["distinct"][..]), "{folder}");
        assert!(marks.len() == 2 && marks.iter().all(|mark| mark.starts_with(folder)), "{marks:?}");
        world.put(&format!("{folder}/of-a-file-that-is-gone.json"), Bytes::new()).await;
        assert_eq!(known(world, &ascending(), &everybody()).await, [true, true]);
        assert_eq!(world.marks().await, marks);
    });
}

#[test]
fn what_cannot_be_told_is_done_without() {
    in_world(&ascending(), async |world| {
        known(world, &ascending(), &everybody()).await;
        world.fail_next("list");
        assert_eq!(known(world, &ascending(), &everybody()).await, [false, false]);
        assert_eq!(known(world, &ascending(), &everybody()).await, [true, true]);
    });
}
