//! F4: a commit that was refused for good never comes about, and G: what a table has of a job.

use super::*;
use domain::ports::lake::{Abandoned, AppendOnce, Appended};
use domain::ports::objects::Location;
use std::collections::BTreeSet;

#[tokio::test]
async fn abandoning_defeats_a_committer_that_has_looked_already() {
    let lake = with_exports().await;
    let commit = commit(7, &[1], &look(&lake, &exports()).await);
    let meanwhile = || async {
        assert_eq!(lake.abandon(&again(&commit)).await.unwrap(), Abandoned::Never);
        true
    };
    assert_eq!(lake.append(&commit, meanwhile).await.unwrap(), Appended::Conflict);
    assert_eq!(lake.append(&again(&commit), || async { false }).await.unwrap(), Appended::Withdrawn);
    assert_eq!(live_files(&lake, &exports()).await, Vec::<String>::new());
    let table = lake.catalog().load_table(&crate::catalog::ident(&exports())).await.unwrap();
    let summary = &table.metadata().current_snapshot().unwrap().summary().additional_properties;
    assert_eq!(summary["export.abandoned-job-id"], "7");
    assert!(!summary.contains_key("export.job-id"));
}

#[tokio::test]
async fn abandoning_again_moves_nothing_more() {
    let lake = with_exports().await;
    let commit = commit(7, &[1], &look(&lake, &exports()).await);
    for _ in 0..3 {
        assert_eq!(lake.abandon(&again(&commit)).await.unwrap(), Abandoned::Never);
    }
    assert_eq!(snapshots(&lake, &exports()).await, 1);
}

#[tokio::test]
async fn a_commit_that_had_gone_through_is_found_instead() {
    let lake = with_exports().await;
    let commit = commit(7, &[1], &look(&lake, &exports()).await);
    lake.append(&commit, || async { true }).await.unwrap();
    assert_eq!(lake.abandon(&again(&commit)).await.unwrap(), Abandoned::Visible);
    assert_eq!(snapshots(&lake, &exports()).await, 1);
}

#[tokio::test]
async fn a_table_that_takes_no_commit_can_be_abandoned() {
    let lake = with_exports().await;
    let mut commit = commit(7, &[1], &look(&lake, &exports()).await);
    commit.target.spec_id = 99;
    assert!(refusal(lake.append(&commit, || async { true }).await).contains("no partition spec"));
    assert_eq!(lake.abandon(&again(&commit)).await.unwrap(), Abandoned::Never);
    commit.target.table_uuid = uuid::Uuid::new_v4().to_string();
    assert!(matches!(lake.abandon(&again(&commit)).await, Err(LakeError::OtherTable(_))));
}

#[tokio::test]
async fn a_table_tells_what_it_has_of_a_job() {
    let lake = with_exports().await;
    let state = look(&lake, &exports()).await;
    let (ours, theirs) = (commit(7, &[1, 2], &state), commit(8, &[3], &state));
    let nothing = lake.named(&ours, &[]).await.unwrap();
    assert_eq!((nothing.committed, nothing.files, nothing.moved), (false, BTreeSet::new(), Vec::new()));
    for commit in [&ours, &theirs] {
        lake.append(commit, || async { true }).await.unwrap();
    }
    let files = ours.files.iter().map(|file| file.location.clone()).collect();
    let named = lake.named(&ours, &[]).await.unwrap();
    assert_eq!((named.committed, named.files), (true, files));
    expire(&lake, &exports()).await;
    assert!(lake.named(&ours, &[]).await.unwrap().committed, "by its files, once its snapshot is expired");
}

#[tokio::test]
async fn overtaken_commits_are_told_from_the_one_that_moved_the_table() {
    let lake = with_exports().await;
    let state = look(&lake, &exports()).await;
    let (early, theirs) = (commit(7, &[1], &state), commit(8, &[2], &state));
    overtake(&lake, &early, &theirs).await;
    let late = again(&early);
    assert_eq!(lake.append(&late, || async { true }).await.unwrap(), Appended::Visible);

    let tried = [early.commit_uuid.clone(), late.commit_uuid.clone()];
    let named = lake.named(&late, &tried).await.unwrap();
    assert_eq!(named.overtaken(&tried, true), [early.commit_uuid.as_str()]);
    let of = |uuid: &str| files_named(&lake, &named.metadata_folder, uuid);
    assert_eq!(of(&early.commit_uuid), of(&late.commit_uuid), "manifest, list of manifests, metadata");
    assert_eq!(of(&early.commit_uuid).len(), 3);

    lake.append(&commit(9, &[3], &state), || async { true }).await.unwrap();
    expire(&lake, &exports()).await;
    let named = lake.named(&late, &tried).await.unwrap();
    assert_eq!(
        (named.committed, named.overtaken(&tried, true)),
        (true, Vec::new()),
        "without its snapshot any of them may be it"
    );
}

#[tokio::test]
async fn an_abandoned_jobs_commits_are_overtaken_and_what_abandoned_them_stays() {
    let lake = with_exports().await;
    let early = commit(7, &[1], &look(&lake, &exports()).await);
    let late = again(&early);
    let meanwhile = || async {
        assert_eq!(lake.abandon(&late).await.unwrap(), Abandoned::Never);
        true
    };
    assert_eq!(lake.append(&early, meanwhile).await.unwrap(), Appended::Conflict);
    let tried = [early.commit_uuid.clone(), late.commit_uuid.clone()];
    let named = lake.named(&late, &tried).await.unwrap();
    assert_eq!((named.committed, named.overtaken(&tried, false)), (false, vec![early.commit_uuid.as_str()]));
}

/// The kinds of a commit's files: what their names end with, in order.
fn files_named(lake: &TestLake, folder: &str, uuid: &str) -> Vec<String> {
    let folder = Location::parse(folder).unwrap();
    let names = lake.objects.inspect(|objects| {
        let within = objects.keys().filter(|at| at.bucket == folder.bucket && at.key.starts_with(&folder.key));
        within.map(|at| at.key.clone()).collect::<Vec<_>>()
    });
    let mut kinds: Vec<_> =
        names.iter().filter_map(|name| name.split_once(uuid)).map(|(_, end)| end.to_owned()).collect();
    kinds.sort();
    kinds
}
