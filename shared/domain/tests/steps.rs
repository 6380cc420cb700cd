//! The job's state machine: any steps in any order keep its invariants.

use domain::id::JobId;
use domain::instant::Millis;
use domain::job::{CancelVerdict, Echo, Job, JobRecord, Progress, Resolved, ResolvedDataset, Widening, Work, render};
use domain::plan::{Counts, Pin, TableName};
use domain::registry::{DatasetKind, MergePolicy};
use domain::state::{ShownStatus, State};
use domain::tenant::Tenant;
use proptest::prelude::*;

fn job() -> Job {
    let table = TableName { database: "d".into(), table: "t".into() };
    let resolved = Resolved {
        sources: vec![ResolvedDataset { id: "p".into(), kind: DatasetKind::Profile, table: table.clone() }],
        target: ResolvedDataset { id: "e".into(), kind: DatasetKind::Export, table },
        merge_policy: MergePolicy::built_in(),
        projection: Default::default(),
        filter: Default::default(),
        events: None,
        batches: Vec::new(),
        segment_per_batch: false,
    };
    let now = Millis(1_790_000_000_000);
    let tenant = Tenant::new("A@AdobeOrg", "prod").expect("a sound name");
    Job::new(tenant, JobId::new(now, 1), "n".into(), Echo::default(), resolved, now)
}

fn work() -> Work {
    Work { run_id: "r".into(), shards: 1, parts: 3, weight: 30, fanned_out: false }
}

fn step(job: &Job, kind: u8, now: Millis) -> Option<Job> {
    match kind {
        0 => job.pin(Vec::<Pin>::new(), now).ok(),
        1 => job.start(work(), now).ok(),
        2 => job.begin_commit(now).ok(),
        3 => job.attempt_commit("u".into(), now).ok(),
        4 => job.succeed(Counts::default(), now).ok(),
        5 => job.fail_commit(Vec::new(), now).ok(),
        6 => match job.cancel(now) {
            CancelVerdict::Cancel(next) => Some(*next),
            CancelVerdict::Already | CancelVerdict::Delete | CancelVerdict::TooLate => None,
        },
        7 => job.end_cancel(now).ok(),
        8 => job.fail(Vec::new(), now).ok(),
        9 => job.end_fail(now).ok(),
        10 => job.abandon(Vec::new(), now).ok(),
        11 => job.fan_out(now).ok(),
        12 => job.attempt_abandon("u".into(), now).ok(),
        13 => job.attempt_widening(Widening { table_uuid: "t".into(), metadata_file: "f".into() }, now).ok(),
        14 => job.keep_widening(job.widenings.first()?, now).ok(),
        _ => job.postpone(now).ok(),
    }
}

proptest! {
    #[test]
    fn steps_follow_the_status_table(kinds in prop::collection::vec(0u8..16, 0..80), jitter in prop::collection::vec(-5_000i64..5_000, 80)) {
        let mut job = job();
        let mut cancelled = false;
        for (kind, jitter) in kinds.iter().zip(jitter) {
            let now = Millis(job.update_time.0 + jitter);
            let Some(next) = step(&job, *kind, now) else { continue };
            prop_assert!(next.state == job.state || job.state.may_become(next.state), "I3");
            prop_assert!(!job.state.is_terminal(), "a terminal state never changes");
            prop_assert_eq!(next.version, job.version + 1);
            prop_assert!(next.update_time >= job.update_time);
            prop_assert_eq!(next.due.is_none(), next.state.is_terminal());
            cancelled |= next.state == State::Cancelling;
            prop_assert!(!(cancelled && next.state.shown() == ShownStatus::Succeeded), "I4");
            prop_assert!(next.commit_uuids.len() <= 64 && next.widenings.len() <= 64, "the record stays small");
            prop_assert!(next.commit_uuids.is_empty() || !cancelled, "no commit is tried after a cancel was accepted");
            let shown = render(&JobRecord { job: next.clone(), progress: Progress::default() });
            let total = &shown["metrics"]["totalTime"];
            prop_assert_eq!(total.get("endTimeInMs"), next.state.is_terminal().then(|| &shown["updateTime"]));
            for (name, span) in shown["metrics"].as_object().expect("an object") {
                let at = |end: &str| span.get(end).and_then(|at| at.as_i64());
                let (start, end, took) = (at("startTimeInMs"), at("endTimeInMs"), at("totalTimeInMs"));
                prop_assert_eq!(took, end.zip(start).map(|(end, start)| end - start), "{}", name);
                prop_assert!(took.is_none_or(|took| took >= 0), "{} ends before it starts", name);
            }
            job = next;
        }
    }

    #[test]
    fn percent_is_100_only_when_succeeded(done in 0u64..100, succeeded: bool) {
        let now = Millis(1_790_000_001_000);
        let mut job = job().start(work(), now).expect("NEW starts");
        if succeeded {
            let committing = job.begin_commit(now).expect("PROCESSING commits");
            job = committing.succeed(Counts::default(), now).expect("COMMITTING succeeds");
        }
        let progress = Progress { parts_done: 1, weight_done: done, ..Progress::default() };
        let percent = render(&JobRecord { job, progress })["progress"]["percent"].as_u64();
        prop_assert_eq!(percent == Some(100), succeeded);
    }
}

#[test]
fn shards_hold_all_parts() {
    for parts in [0, 1, 15, 16, 31, 32, 1_000, 1_024, 5_000] {
        let shards = Work::shards_for(parts);
        assert!((1..=64).contains(&shards));
        let totals = Work::shard_totals(parts, shards);
        let mut counted = vec![0; shards as usize];
        (0..parts).for_each(|p| counted[Work::shard_of(p, shards) as usize] += 1);
        assert_eq!(totals, counted, "{parts}");
    }
}
