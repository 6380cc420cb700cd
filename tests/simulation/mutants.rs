//! Every guard of the protocol is switched off in turn, and somebody must notice: the simulation with its sleepers or within
//! its default number of seeds; or the conformance suites, where a guard is a promise that others cover for.

use crate::run::run;
use crate::sweep::{sleep_through_a_cancel, sleep_through_an_abandoning};
use crate::{SEEDS, number};
use domain::guard::{Guard, reached, switched_off};
use std::panic::catch_unwind;
use std::sync::Mutex;
use std::thread;
use testkit::{MemoryJobs, conformance};
use tokio::runtime::Builder;

/// Guards whose loss the simulation cannot show: a claim again is one of an adapter's own retries, and where two attempts may
/// commit a part the state of the part still lets one of them win.
const OF_SUITES: [Guard; 2] = [Guard::OwnClaim, Guard::PartHeld];

/// Who noticed, or that nobody did.
fn notice(guard: Guard) -> Result<String, String> {
    switched_off(guard, || {
        let noticed = if OF_SUITES.contains(&guard) { by_suite() } else { by_sleeper().or_else(by_seed) };
        noticed.ok_or_else(|| match reached() {
            true => format!("{guard:?} can be left out, and nobody notices"),
            false => format!("{guard:?} is never reached"),
        })
    })
}

/// What a run comes to; a mutant may run into what no other does.
fn broken<T>(run: impl FnOnce() -> Result<T, String> + std::panic::UnwindSafe) -> Option<String> {
    catch_unwind(run).map_or_else(|_| Some("a panic".into()), Result::err)
}

fn by_seed() -> Option<String> {
    let seeds = number("SIMULATION_SEEDS").unwrap_or(SEEDS);
    (0..seeds).find_map(|seed| Some(format!("seed {seed}: {}", broken(|| run(seed, false))?)))
}

fn by_sleeper() -> Option<String> {
    let committer = || broken(sleep_through_an_abandoning);
    let planner = || broken(sleep_through_a_cancel);
    Some(format!("a sleeper: {}", committer().or_else(planner)?))
}

fn by_suite() -> Option<String> {
    let suites = || {
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(conformance::jobs(MemoryJobs::default()));
        Ok(())
    };
    broken(suites).map(|_| "the conformance suites".into())
}

#[test]
fn every_guard_is_missed() {
    let next = Mutex::new(Guard::ALL.into_iter());
    let survivors: Vec<String> = thread::scope(|scope| {
        let judge = || {
            let mut survivors = Vec::new();
            loop {
                let Some(guard) = next.lock().unwrap().next() else { return survivors };
                match notice(guard) {
                    Ok(by) => println!("{guard:?} is missed by {by}"),
                    Err(why) => survivors.push(why),
                }
            }
        };
        let at_once = thread::available_parallelism().map_or(1, usize::from);
        let threads: Vec<_> = (0..at_once).map(|_| scope.spawn(judge)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(survivors.is_empty(), "{}", survivors.join("\n"));
}
