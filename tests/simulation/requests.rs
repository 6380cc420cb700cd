//! What a job costs in requests.

use crate::plain::Plain;
use crate::world::World;
use domain::state::State;
use std::collections::BTreeMap;

/// How often each port method is called for each part of a job that nothing disturbs, beside what the engine reads and
/// writes of data: the figures of docs/performance/scale.md.
const OF_A_PART: [(&str, f64); 7] = [
    ("claim", 1.0),
    ("create", 1.0),
    ("finish", 1.0),
    ("job", 1.0),
    // The plan, and the list of the part's files when the job commits.
    ("read", 2.0),
    ("report", 1.0),
    ("shards", 1.0),
];
/// The port methods that data files are uploaded by.
const OF_DATA: [&str; 3] = ["begin", "write", "complete"];
/// Calls that a job makes whatever its number of parts, at most.
const OF_A_JOB: u64 = 40;

/// The calls from POST to SUCCEEDED of a job of so many parts.
fn calls(parts: usize) -> BTreeMap<String, u64> {
    calls_of(Plain::over(World::calm(parts), &[]))
}

fn calls_of(mut plain: Plain) -> BTreeMap<String, u64> {
    while plain.state() != Some(State::Succeeded) {
        assert!(plain.step().unwrap(), "it stands still");
    }
    plain.world.storm.calls_by_name()
}

#[test]
fn a_job_and_each_of_its_parts_take_the_requests_that_are_told_and_no_more() {
    let (few, many) = (calls(2), calls(42));
    let of_few = |name: &str| few.get(name).copied().unwrap_or_default();
    let each = many.iter().map(|(name, count)| (name.as_str(), (count - of_few(name)) as f64 / 40.0));
    let each = each.filter(|(name, count)| *count > 0.0 && !OF_DATA.contains(name));
    assert_eq!(each.collect::<BTreeMap<_, _>>(), OF_A_PART.into());
    let of_parts = 2 * OF_A_PART.iter().map(|(_, count)| *count as u64).sum::<u64>();
    let of_job = few.iter().filter(|(name, _)| !OF_DATA.contains(&name.as_str())).map(|(_, count)| count).sum::<u64>();
    assert!(of_job - of_parts <= OF_A_JOB, "{few:?}");
}

#[test]
fn what_was_seen_of_files_is_listed_once_and_kept_for_each() {
    let (without, with) = (calls(4), calls_of(Plain::of(World::of_parts(&[0, 4]), 1, &[])));
    let more = with.iter().map(|(name, count)| (name.as_str(), count - without.get(name).copied().unwrap_or_default()));
    assert_eq!(more.filter(|(_, count)| *count > 0).collect::<Vec<_>>(), [("create", 4), ("list", 1)]);
}
