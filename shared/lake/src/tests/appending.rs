//! F2: one snapshot a job, whatever goes wrong.

use super::*;
use crate::twin::Fault;
use domain::ports::lake::{AppendOnce, Appended};
use iceberg::spec::{Transform, UnboundPartitionSpec};
use testkit::Fault as Lost;

#[tokio::test]
async fn a_commit_makes_all_files_of_all_batches_visible_in_one_named_snapshot() {
    let lake = with_exports().await;
    let commit = commit(7, &[1, 2], &look(&lake, &exports()).await);
    assert_eq!(lake.append(&commit, || async { true }).await.unwrap(), Appended::Visible);

    let state = look(&lake, &exports()).await;
    let files = lake.files(&pin(&exports(), &state), "profileId").await.unwrap().data;
    let planned: Vec<_> = files.iter().map(|f| (f.location.as_str(), f.bytes, f.rows, f.bucket)).collect();
    let written: Vec<_> = commit.files.iter().map(|f| (f.location.as_str(), f.bytes, f.rows, None)).collect();
    assert_eq!(planned, written);
    assert_eq!(files[0].split_offsets, [4, 500]);

    let table = lake.catalog().load_table(&crate::catalog::ident(&exports())).await.unwrap();
    let summary = &table.metadata().current_snapshot().unwrap().summary().additional_properties;
    assert_eq!(summary["export.job-id"], "7");
    assert_eq!(summary["export.batch-ids"], format!("{},{}", commit.batches[0], commit.batches[1]));
    assert_eq!(summary["added-records"], "20");
}

#[tokio::test]
async fn bounds_stand_for_profile_and_batch_only() {
    let lake = with_exports().await;
    let commit = commit(7, &[1], &look(&lake, &exports()).await);
    lake.append(&commit, || async { true }).await.unwrap();
    let judged = lake.judge(&exports()).await.unwrap();
    let snapshot = judged.table().metadata().current_snapshot().unwrap();
    let list = crate::read::manifests(judged.table(), snapshot).await.unwrap();
    let manifest = list[0].load_manifest(judged.table().file_io()).await.unwrap();
    let schema = judged.table().metadata().current_schema();
    let bounds = |of: &std::collections::HashMap<i32, iceberg::spec::Datum>| {
        let mut named: Vec<_> =
            of.iter().map(|(id, v)| (schema.name_by_field_id(*id).unwrap().to_owned(), v.to_string())).collect();
        named.sort();
        named
    };
    let batch = format!("\"{}\"", commit.batches[0]);
    let file = manifest.entries()[0].data_file();
    assert_eq!(bounds(file.lower_bounds()), [("batchId".into(), batch.clone()), ("profileId".into(), "\"a\"".into())]);
    assert_eq!(bounds(file.upper_bounds()), [("batchId".into(), batch), ("profileId".into(), "\"m\"".into())]);
}

#[tokio::test]
async fn a_job_that_is_committed_is_found_and_not_committed_again() {
    let lake = with_exports().await;
    let commit = commit(7, &[1], &look(&lake, &exports()).await);
    lake.append(&commit, || async { true }).await.unwrap();
    let found = lake.append(&again(&commit), || async { panic!("a committed job is not asked about") }).await;
    assert_eq!(found.unwrap(), Appended::Visible);
    assert_eq!(snapshots(&lake, &exports()).await, 1);
}

#[tokio::test]
async fn a_committed_job_is_found_by_its_files_once_its_snapshot_is_expired() {
    let lake = with_exports().await;
    let state = look(&lake, &exports()).await;
    let first = commit(7, &[5], &state);
    lake.append(&first, || async { true }).await.unwrap();
    for (job, batch) in [(8, 1), (9, 9)] {
        lake.append(&commit(job, &[batch], &state), || async { true }).await.unwrap();
    }
    expire(&lake, &exports()).await;
    assert_eq!(lake.append(&again(&first), || async { true }).await.unwrap(), Appended::Visible);
    assert_eq!(snapshots(&lake, &exports()).await, 1);
    assert_eq!(live_files(&lake, &exports()).await.len(), 3);
}

#[tokio::test]
async fn a_commit_between_look_and_swap_is_a_conflict_and_the_next_attempt_adds_to_it() {
    let lake = with_exports().await;
    let state = look(&lake, &exports()).await;
    let (ours, theirs) = (commit(7, &[1], &state), commit(8, &[2], &state));
    overtake(&lake, &ours, &theirs).await;
    assert_eq!(live_files(&lake, &exports()).await, [theirs.files[0].location.clone()]);

    assert_eq!(lake.append(&again(&ours), || async { true }).await.unwrap(), Appended::Visible);
    let both = [ours.files[0].location.clone(), theirs.files[0].location.clone()];
    assert_eq!(live_files(&lake, &exports()).await, both);
}

#[tokio::test]
async fn two_attempts_of_one_job_at_once_make_one_snapshot() {
    let lake = with_exports().await;
    let commit = commit(7, &[1], &look(&lake, &exports()).await);
    let other = again(&commit);
    let meanwhile = || async {
        assert_eq!(lake.append(&other, || async { true }).await.unwrap(), Appended::Visible);
        true
    };
    assert_eq!(lake.append(&commit, meanwhile).await.unwrap(), Appended::Conflict);
    assert_eq!(lake.append(&again(&commit), || async { true }).await.unwrap(), Appended::Visible);
    assert_eq!(snapshots(&lake, &exports()).await, 1);
}

#[tokio::test]
async fn a_job_that_is_no_longer_committing_writes_nothing() {
    let lake = with_exports().await;
    let state = look(&lake, &exports()).await;
    let withdrawn = lake.append(&commit(7, &[1], &state), || async { false }).await;
    assert_eq!(withdrawn.unwrap(), Appended::Withdrawn);
    assert_eq!(look(&lake, &exports()).await, state);
}

#[tokio::test]
async fn a_lost_request_or_answer_is_settled_by_the_next_look() {
    for fault in [Fault::BeforeEffect, Fault::AfterEffect] {
        let lake = with_exports().await;
        let commit = commit(7, &[1], &look(&lake, &exports()).await);
        lake.glue.fail_next_update(fault);
        let unclear = lake.append(&commit, || async { true }).await;
        assert!(matches!(unclear, Err(LakeError::Unavailable(_))), "{fault:?}: {unclear:?}");
        assert_eq!(lake.append(&again(&commit), || async { true }).await.unwrap(), Appended::Visible, "{fault:?}");
        assert_eq!(snapshots(&lake, &exports()).await, 1, "{fault:?}");
        assert_eq!(live_files(&lake, &exports()).await.len(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_store_that_does_not_answer_leaves_the_table_as_it_was() {
    let lake = with_exports().await;
    let state = look(&lake, &exports()).await;
    for (call, fault) in [("create", Lost::BeforeEffect), ("create", Lost::AfterEffect), ("read", Lost::BeforeEffect)] {
        lake.objects.fail_next(call, fault);
        let unclear = lake.append(&commit(7, &[1], &state), || async { true }).await;
        assert!(matches!(unclear, Err(LakeError::Unavailable(_))), "{call}: {unclear:?}");
        assert_eq!(look(&lake, &exports()).await, state);
    }
}

#[tokio::test]
async fn an_export_without_members_still_makes_its_snapshot() {
    for earlier in [&[][..], &[3]] {
        let lake = with_exports().await;
        let state = look(&lake, &exports()).await;
        for batch in earlier {
            lake.append(&commit(6, &[*batch], &state), || async { true }).await.unwrap();
        }
        let empty = Commit { files: Vec::new(), ..commit(7, &[1], &state) };
        for attempt in [empty.clone(), again(&empty)] {
            assert_eq!(lake.append(&attempt, || async { true }).await.unwrap(), Appended::Visible);
        }
        assert_eq!(snapshots(&lake, &exports()).await, earlier.len() + 1);
        assert_eq!(live_files(&lake, &exports()).await.len(), earlier.len());
    }
}

#[tokio::test]
async fn files_keep_the_spec_they_were_written_for_when_the_default_one_has_changed() {
    let lake = with_exports().await;
    let commit = commit(7, &[1], &look(&lake, &exports()).await);
    let unpartitioned = UnboundPartitionSpec::builder().build();
    change(&lake, &exports(), |b| b.add_default_partition_spec(unpartitioned)).await;
    let before = look(&lake, &exports()).await;
    assert_eq!(lake.append(&commit, || async { true }).await.unwrap(), Appended::Visible);

    let judged = lake.judge(&exports()).await.unwrap();
    let snapshot = judged.table().metadata().current_snapshot().unwrap();
    let manifests = crate::read::manifests(judged.table(), snapshot).await.unwrap();
    assert_eq!(manifests[0].partition_spec_id, commit.target.spec_id);
    assert_eq!(look(&lake, &exports()).await.copy, before.copy);
    assert!(judged.table().metadata().default_partition_spec().is_unpartitioned());
}

#[tokio::test]
async fn a_table_that_was_replaced_is_not_written_to() {
    let lake = with_exports().await;
    let commit = commit(7, &[1], &look(&lake, &exports()).await);
    lake.glue.drop_table(&exports());
    let gone = lake.append(&commit, || async { true }).await;
    assert!(matches!(gone, Err(LakeError::NoTable(_))), "{gone:?}");

    lake.create_export_table(&exports(), "s3://lake/exports2", &columns()).await.unwrap();
    let other = lake.append(&commit, || async { true }).await;
    assert!(matches!(other, Err(LakeError::OtherTable(_))), "{other:?}");
    assert_eq!(snapshots(&lake, &exports()).await, 0);
}

#[tokio::test]
async fn a_table_without_the_batch_spec_is_refused() {
    let lake = with_exports().await;
    let mut commit = commit(7, &[1], &look(&lake, &exports()).await);
    let two = UnboundPartitionSpec::builder()
        .add_partition_field(3, "batchId", Transform::Identity)
        .unwrap()
        .add_partition_field(1, "bucket", Transform::Bucket(2))
        .unwrap();
    change(&lake, &exports(), |b| b.add_default_partition_spec(two.build())).await;
    commit.target.spec_id = 1;
    let sentence = refusal(lake.append(&commit, || async { true }).await);
    assert!(sentence.contains("identity(batchId)"), "{sentence}");
}

#[tokio::test]
async fn without_a_version_to_swap_by_nothing_is_updated() {
    let lake = with_exports().await;
    let state = look(&lake, &exports()).await;
    let mut entry = lake.glue.table(&exports()).await.unwrap();
    entry.version_id = None;
    lake.glue.put(&exports(), entry);
    let sentence = refusal(lake.append(&commit(7, &[1], &state), || async { true }).await);
    assert!(sentence.contains("VersionId"), "{sentence}");
}
