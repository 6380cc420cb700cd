//! F4: a commit that was refused for good never comes about, and G: what a table has of a job.

use super::*;
use domain::ports::lake::{Abandoned, AppendOnce, Appended, Named};

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
    assert_eq!(lake.named(&ours).await.unwrap(), Named::default());
    for commit in [&ours, &theirs] {
        lake.append(commit, || async { true }).await.unwrap();
    }
    let files = ours.files.iter().map(|file| file.location.clone()).collect();
    assert_eq!(lake.named(&ours).await.unwrap(), Named { committed: true, files });
    expire(&lake, &exports()).await;
    assert!(lake.named(&ours).await.unwrap().committed, "by its files, once its snapshot is expired");
}
