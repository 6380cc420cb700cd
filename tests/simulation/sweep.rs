//! Every call of a job fails in every way, and cancels come at every step: the end is the same as if nothing had happened, or
//! as if the job had never been.

use crate::plain::{Plain, Trouble};
use crate::world::{GRACE_SECONDS, World};
use domain::job::render;
use domain::ports::objects::Location;
use domain::state::State;
use std::collections::{BTreeMap, BTreeSet};
use std::thread;

type Rows = BTreeMap<String, Vec<u64>>;
/// A job's way, with what is to happen to it.
type Way = fn(&[(u64, Trouble)]) -> Plain;

/// The job without trouble: its calls, those of its commit, and what it exports.
fn undisturbed(way: Way) -> (u64, std::ops::RangeInclusive<u64>, Rows) {
    let mut plain = way(&[]);
    let mut calls = 0;
    while plain.state() != Some(State::Succeeded) {
        assert!(plain.step().unwrap(), "it stands still");
        calls = plain.world.storm.calls();
    }
    plain.come_to_rest().unwrap();
    let rows = plain.seen.rows();
    assert_eq!(rows.values().map(Vec::len).collect::<Vec<_>>(), [24, 24], "two batches of three parts");
    (calls, plain.commits_from.unwrap()..=calls, rows)
}

/// What of it goes wrong, if anything.
fn trouble(way: Way, troubles: &[(u64, Trouble)], rows: &Rows) -> Result<(), String> {
    let mut plain = way(troubles);
    plain.come_to_rest()?;
    match plain.state() {
        // The request was lost, and no job ever was.
        None if troubles[0].0 < 20 => Ok(()),
        Some(State::Succeeded) if plain.seen.rows().values().eq(rows.values()) => Ok(()),
        state => Err(format!("it ended as {state:?} with {:?}", plain.seen.rows())),
    }
}

fn all_hold(way: Way, cases: Vec<Vec<(u64, Trouble)>>, rows: &Rows) {
    let judge = |cases: &[Vec<(u64, Trouble)>]| {
        let broken = cases.iter().filter_map(|case| Some((case.clone(), trouble(way, case, rows).err()?)));
        broken.collect::<Vec<_>>()
    };
    let at_once = thread::available_parallelism().map_or(1, usize::from);
    let broken: Vec<_> = thread::scope(|scope| {
        let shares: Vec<_> = cases.chunks(cases.len().div_ceil(at_once)).collect();
        let shares: Vec<_> = shares.into_iter().map(|share| scope.spawn(move || judge(share))).collect();
        shares.into_iter().flat_map(|share| share.join().unwrap()).collect()
    });
    let first = broken.first().map(|(case, why)| format!("{case:?}: {why}"));
    assert!(broken.is_empty(), "{} of {} cases: {}", broken.len(), cases.len(), first.unwrap_or_default());
}

#[test]
fn whatever_happens_to_a_call_the_export_is_the_same() {
    let (calls, _, rows) = undisturbed(Plain::new);
    let cases = (1..=calls).flat_map(|call| Trouble::ALL.map(|trouble| vec![(call, trouble)])).collect();
    all_hold(Plain::new, cases, &rows);
}

#[test]
fn whatever_happens_to_a_call_of_a_job_that_leaves_marks_the_export_is_the_same() {
    let marking: Way = |troubles| Plain::of(World::of_parts(&[0, 3]), 1, troubles);
    let mut plain = marking(&[]);
    plain.come_to_rest().unwrap();
    let is_mark = |at: &&Location| at.key.contains("/tables/");
    assert_eq!(plain.world.objects.inspect(|objects| objects.keys().filter(is_mark).count()), 3, "one for each part");
    let (calls, _, rows) = undisturbed(marking);
    let cases = (1..=calls).flat_map(|call| Trouble::ALL.map(|trouble| vec![(call, trouble)])).collect();
    all_hold(marking, cases, &rows);
}

#[test]
fn whatever_happens_to_two_calls_of_a_commit_the_export_is_the_same() {
    let (_, commit, rows) = undisturbed(Plain::new);
    let (first, last) = (*commit.start(), *commit.end());
    let pairs = (first..=last).flat_map(|one| (one + 1..=last).map(move |other| (one, other)));
    let troubles = || Trouble::ALL.into_iter().flat_map(|one| Trouble::ALL.map(move |other| (one, other)));
    let cases = pairs.flat_map(|(at, and)| troubles().map(move |(one, other)| vec![(at, one), (and, other)])).collect();
    all_hold(Plain::new, cases, &rows);
}

#[test]
fn a_job_whose_planner_is_killed_at_any_call_is_done_after_one_sweep() {
    let mut plain = Plain::new(&[]);
    let is_fanned_out = |plain: &Plain| {
        let mut known = plain.seen.jobs.values();
        known.next().is_some_and(|known| known.job.work.as_ref().is_some_and(|work| work.fanned_out))
    };
    while !is_fanned_out(&plain) {
        assert!(plain.step().unwrap(), "it stands still");
    }
    let mut ended = 0;
    for call in 1..=plain.world.storm.calls() {
        for trouble in [Trouble::KilledBefore, Trouble::KilledAfter] {
            let mut plain = Plain::new(&[(call, trouble)]);
            plain.settle().unwrap();
            // A step's patience, and two clocks that are wrong by two minutes. Who was killed holds its message for longer.
            plain.sweep_in(60 + 2 * 120);
            plain.settle().unwrap();
            match plain.state() {
                None if ended == 0 => {}
                Some(State::Succeeded) => ended += 1,
                state => panic!("{trouble:?} at call {call}: {state:?}"),
            }
        }
    }
    assert!(ended > 20, "only {ended}");
}

#[test]
fn regression_uploads_are_freed_though_the_table_is_gone() {
    let (calls, ..) = undisturbed(Plain::new);
    for call in 1..=calls {
        let mut plain = Plain::new(&[(call, Trouble::KilledAfter)]);
        while plain.state() != Some(State::Committing) && plain.step().unwrap() {}
        plain.recreate_table();
        plain.come_to_rest().unwrap_or_else(|why| panic!("killed after call {call}: {why}"));
    }
}

#[test]
fn a_table_that_refuses_the_commit_for_good_fails_the_job_and_shows_nothing_later() {
    let mut plain = Plain::new(&[]);
    while plain.state() != Some(State::Committing) {
        assert!(plain.step().unwrap());
    }
    plain.world.refuse(0, Some("the table takes no commits"));
    plain.settle().unwrap();
    assert_eq!(plain.state(), Some(State::Failed));
    plain.world.refuse(0, None);
    plain.come_to_rest().unwrap();
    assert!(plain.seen.rows().is_empty());
    let known = plain.seen.jobs.values().next().unwrap();
    assert_eq!(known.job.errors[0].msg, "The export cannot be committed: the table takes no commits.");
}

/// A committer falls asleep at every call of its commit; meanwhile the table refuses the job for good, and when the sleeper
/// wakes it takes commits again.
pub fn sleep_through_an_abandoning() -> Result<usize, String> {
    let (_, commit, rows) = undisturbed(Plain::new);
    let mut abandoned = 0;
    for call in commit {
        for trouble in [Trouble::AsleepBefore, Trouble::AsleepAfter] {
            let mut plain = Plain::new(&[(call, trouble)]);
            while !plain.is_asleep() && plain.step()? {}
            plain.world.refuse(0, Some("the table takes no commits"));
            let done = plain.come_to_rest();
            done.map_err(|why| format!("{trouble:?} at call {call}: {why}"))?;
            match plain.state() {
                Some(State::Succeeded) if plain.seen.rows().values().eq(rows.values()) => {}
                Some(State::Failed) if plain.seen.rows().is_empty() => abandoned += 1,
                state => return Err(format!("{trouble:?} at call {call}: {state:?}")),
            }
        }
    }
    Ok(abandoned)
}

#[test]
fn a_committer_that_sleeps_through_an_abandoning_shows_nothing() {
    let abandoned = sleep_through_an_abandoning().unwrap();
    assert!(abandoned > 10, "only {abandoned}");
}

/// A planner falls asleep at every call of its planning, and the job is cancelled. It wakes at every step of the look at what the
/// job has left.
pub fn sleep_through_a_cancel() -> Result<usize, String> {
    let mut widening = 0;
    for call in 1.. {
        for trouble in [Trouble::AsleepBefore, Trouble::AsleepAfter] {
            for steps in 0.. {
                let mut plain = Plain::new(&[(call, trouble)]);
                while !plain.is_asleep() && plain.step()? {}
                match plain.state() {
                    None => break,
                    Some(State::New) => {}
                    Some(_) => return Ok(widening),
                }
                plain.cancel();
                plain.settle()?;
                plain.sweep_in(i64::from(GRACE_SECONDS) + 120);
                let looked = (0..steps).map(|_| plain.step()).collect::<Result<Vec<_>, _>>()?;
                plain.wake();
                plain.come_to_rest().map_err(|why| format!("{trouble:?} at call {call}, {steps} steps: {why}"))?;
                if plain.state() != Some(State::Cancelled) || !plain.seen.rows().is_empty() {
                    return Err(format!("{trouble:?} at call {call}, {steps} steps: {:?}", plain.state()));
                }
                // A planner that has told of no widening leaves nothing to look for.
                let has_told = plain.seen.jobs.values().any(|known| !known.job.widenings.is_empty());
                widening += usize::from(has_told);
                if !has_told || looked.contains(&false) {
                    break;
                }
            }
        }
    }
    Ok(widening)
}

#[test]
fn a_planner_that_sleeps_through_a_cancel_leaves_nothing_and_breaks_no_table() {
    let widening = sleep_through_a_cancel().unwrap();
    assert!(widening > 100, "only {widening}");
}

#[test]
fn a_part_that_takes_too_long_goes_on_as_halves_that_export_the_same() {
    let (.., rows) = undisturbed(Plain::new);
    let mut world = World::plain();
    world.split_after = 0;
    let mut plain = Plain::over(world, &[]);
    plain.come_to_rest().unwrap();
    assert_eq!(plain.state(), Some(State::Succeeded));
    assert!(plain.seen.rows().values().eq(rows.values()));
    assert_eq!(plain.seen.splits, 3 + 3 * 2 * 3, "each part has two row groups of four rows");
}

#[test]
fn a_part_at_work_tells_how_far_it_is() {
    let mut plain = Plain::over(World::calm(1), &[]);
    let mut seen = BTreeSet::new();
    while plain.state() != Some(State::Succeeded) {
        plain.world.clock.advance_seconds(2);
        plain.step().unwrap();
        let records = plain.world.jobs.inspect(|tables| tables.jobs.values().cloned().collect::<Vec<_>>());
        let under_way = records.iter().filter(|record| record.progress.parts_done == 0);
        let shown = under_way.map(|record| render(record)["progress"]["percent"].as_u64().unwrap());
        seen.extend(shown);
    }
    // A part of eight rows in two batches is written in four files.
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [0, 42, 50, 92]);
}

#[test]
fn a_cancel_at_any_step_is_accepted_and_nothing_shows_or_is_too_late_and_all_does() {
    let mut answers = BTreeMap::new();
    for steps in 0.. {
        let mut plain = Plain::new(&[]);
        for _ in 0..steps {
            plain.step().unwrap();
        }
        let before = plain.state();
        if before == Some(State::Succeeded) {
            break;
        }
        plain.cancel();
        // No time goes on: the cancel's own message is enough.
        plain.settle().unwrap();
        match (plain.answer, plain.state()) {
            (None, _) => assert_eq!(before, None, "there is no job yet"),
            (Some(200), Some(State::Cancelled)) => assert!(plain.seen.rows().is_empty()),
            (Some(409), Some(State::Succeeded)) => assert!(!plain.seen.rows().is_empty()),
            other => panic!("after {steps} steps, {before:?}: {other:?}"),
        }
        let (answer, rows) = (plain.answer, plain.seen.rows());
        plain.come_to_rest().unwrap();
        assert_eq!(plain.seen.rows(), rows, "what was answered stays so");
        *answers.entry(answer).or_insert(0) += 1;
    }
    assert!(answers[&Some(200)] > 50 && answers[&Some(409)] > 5, "{answers:?}");
}
