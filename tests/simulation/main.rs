//! The whole protocol under any weather: the real handlers and the real state machine over the twins, with a clock in the
//! test's hands and everything that happens drawn from a seed.
//!
//! `SIMULATION_SEEDS=100000` runs that many, `SIMULATION_SEED=17` runs one and tells what happens in it.
#![allow(clippy::unwrap_used)]
// The handlers' futures are nested deeper than the default allows for.
#![recursion_limit = "256"]

mod checks;
mod counters;
mod dice;
mod inbox;
mod load;
mod machine;
mod model;
// Only debug builds can switch guards off.
#[cfg(debug_assertions)]
mod mutants;
mod plain;
mod requests;
mod rows;
mod run;
mod sweep;
mod tally;
mod tasks;
mod weather;
mod world;

use run::run;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use tally::Tally;

/// Seeds, where `SIMULATION_SEEDS` says nothing.
const SEEDS: u64 = 2_000;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

#[test]
fn no_weather_breaks_a_promise() {
    if let Some(seed) = number("SIMULATION_SEED") {
        let tally = run(seed, true).unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
        println!("{tally:?}");
        return;
    }
    let seeds = number("SIMULATION_SEEDS").unwrap_or(SEEDS);
    let (next, sum, broken) = (AtomicU64::new(0), Mutex::new(Tally::default()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds || !broken.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
                        break;
                    }
                    match run(seed, false) {
                        Ok(tally) => sum.lock().unwrap().add(&tally),
                        Err(why) => broken.lock().unwrap().push((seed, why)),
                    }
                }
            });
        }
    });
    let broken = broken.into_inner().unwrap();
    assert!(broken.is_empty(), "SIMULATION_SEED={} shows it: {}", broken[0].0, broken[0].1);
    let sum = sum.into_inner().unwrap();
    println!("{seeds} seeds: {sum:?}");
    let ends = [sum.succeeded, sum.cancelled, sum.failed, sum.refused];
    let events = [sum.splits, sum.abandoned, sum.killed, sum.dead_letters, sum.known];
    assert!(ends.iter().chain(&events).all(|n| *n > 0), "something never happens: {sum:?}");
    assert!(sum.succeeded > sum.failed, "most jobs should get through: {sum:?}");
}
