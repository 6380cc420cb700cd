//! Files that were written from outside.

use super::*;
use crate::twin::Fault;
use domain::plan::DeleteKind;

#[tokio::test]
async fn loaded_files_are_appended_once_though_an_answer_is_lost() {
    for fault in [None, Some(Fault::BeforeEffect), Some(Fault::AfterEffect)] {
        let lake = with_profiles().await;
        if let Some(fault) = fault {
            lake.glue.fail_next_update(fault);
        }
        lake.append_files(&profiles(), vec![new_file("a", Some(0)), new_file("b", Some(3))]).await.unwrap();
        assert_eq!(snapshots(&lake, &profiles()).await, 1, "{fault:?}");
        assert_eq!(live_files(&lake, &profiles()).await.len(), 2, "{fault:?}");
    }
}

#[tokio::test]
async fn loaded_files_must_be_partitioned_as_the_table_is() {
    let lake = with_profiles().await;
    for bucket in [None, Some(4)] {
        refusal(lake.append_files(&profiles(), vec![new_file("a", bucket)]).await);
    }
    lake.append_files(&profiles(), Vec::new()).await.unwrap();
    assert_eq!(snapshots(&lake, &profiles()).await, 0);
}

fn new_deletes(name: &str, bucket: Option<u32>, kind: DeleteKind) -> NewDeleteFile {
    NewDeleteFile { location: format!("s3://lake/profiles/data/{name}.parquet"), bytes: 40, rows: 2, bucket, kind }
}

fn by_value() -> DeleteKind {
    DeleteKind::Equality { field_ids: vec![1] }
}

#[tokio::test]
async fn data_and_deletes_become_one_snapshot_whoever_moves_the_table_and_whatever_is_lost() {
    for fault in [None, Some(Fault::BeforeEffect), Some(Fault::AfterEffect), Some(Fault::Overtaken)] {
        let lake = with_profiles().await;
        lake.append_files(&profiles(), vec![new_file("a", Some(0))]).await.unwrap();
        if let Some(fault) = fault {
            lake.glue.fail_next_update(fault);
        }
        let deletes = vec![new_deletes("p", Some(0), DeleteKind::Position), new_deletes("e", Some(0), by_value())];
        lake.append_changes(&profiles(), vec![new_file("b", Some(1))], deletes).await.unwrap();
        assert_eq!(snapshots(&lake, &profiles()).await, 2, "{fault:?}");
        assert_eq!(look(&lake, &profiles()).await.copy.delete_kinds, ["equality", "position"], "{fault:?}");
        assert_eq!(live_files(&lake, &profiles()).await.len(), 2, "{fault:?}");
    }
}

#[tokio::test]
async fn a_summary_tells_what_was_done_and_counts_on() {
    let lake = with_profiles().await;
    lake.append_files(&profiles(), vec![new_file("a", Some(0))]).await.unwrap();
    let deletes = vec![new_deletes("p", Some(0), DeleteKind::Position)];
    lake.append_changes(&profiles(), vec![new_file("b", Some(0))], deletes).await.unwrap();
    lake.append_changes(&profiles(), Vec::new(), vec![new_deletes("e", Some(0), by_value())]).await.unwrap();

    let judged = lake.judge(&profiles()).await.unwrap();
    let mut snapshots: Vec<_> = judged.table().metadata().snapshots().collect();
    snapshots.sort_by_key(|s| s.sequence_number());
    let operations: Vec<_> = snapshots.iter().map(|s| s.summary().operation.as_str()).collect();
    assert_eq!(operations, ["append", "overwrite", "delete"]);
    let counts = ["added-records", "added-position-deletes", "total-data-files", "total-records", "total-delete-files"];
    let counted = |s: &iceberg::spec::SnapshotRef| {
        counts.map(|c| s.summary().additional_properties.get(c).map_or(0, |n| n.parse::<u32>().unwrap()))
    };
    assert_eq!(
        snapshots.into_iter().map(counted).collect::<Vec<_>>(),
        [[5, 0, 1, 5, 0], [5, 2, 2, 10, 1], [0, 0, 2, 10, 2]]
    );
}

#[tokio::test]
async fn loaded_deletes_must_be_partitioned_as_the_table_is() {
    let lake = with_profiles().await;
    for bucket in [None, Some(4)] {
        let deletes = vec![new_deletes("p", bucket, DeleteKind::Position)];
        let sentence = refusal(lake.append_changes(&profiles(), Vec::new(), deletes).await);
        assert!(sentence.contains("p.parquet"), "{sentence}");
    }
    assert_eq!(snapshots(&lake, &profiles()).await, 0);
}

#[tokio::test]
async fn a_table_that_never_rests_is_given_up_unchanged() {
    let lake = with_profiles().await;
    for _ in 0..5 {
        lake.glue.fail_next_update(Fault::Overtaken);
    }
    let given_up = lake.append_files(&profiles(), vec![new_file("a", Some(0))]).await;
    assert!(matches!(given_up, Err(LakeError::Unavailable(_))), "{given_up:?}");
    assert_eq!(snapshots(&lake, &profiles()).await, 0);
    lake.append_files(&profiles(), vec![new_file("a", Some(0))]).await.unwrap();
}
