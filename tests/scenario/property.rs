//! The engine equals the oracle on generated stores and requests.

use crate::generate::{Case, REQUESTS, merged, unique};
use crate::oracle;
use crate::reduce::reduced;
use crate::rules::shown;
use crate::world::World;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::runtime::{Builder, Runtime};

/// Parts of whose files something was known.
static KNOWN: AtomicUsize = AtomicUsize::new(0);

/// Generated exports, where `SCENARIO_CASES` says nothing.
const CASES: u32 = 2_000;

#[test]
fn the_engine_equals_the_oracle_on_merged_datasets() {
    let count = holds(merged(), 3);
    assert!(count < 300 || KNOWN.load(Ordering::Relaxed) > 0, "nothing was ever known");
}

#[test]
fn the_engine_equals_the_oracle_on_a_dataset_of_unique_profiles() {
    holds(unique(), 1);
}

/// Judges as many generated cases as make this many quarters of all exports; their number.
fn holds(cases: impl Strategy<Value = Case>, quarters: u32) -> u32 {
    if std::env::var_os("SCENARIO_ORACLE_ONLY").is_some() {
        return 0;
    }
    let all = std::env::var("SCENARIO_CASES").map_or(CASES, |n| n.parse().unwrap());
    // A case has that many requests at most, and half of them on average.
    let count = (all * quarters / 4 * 2 / (REQUESTS as u32 + 1)).max(1);
    let config = Config { cases: count, failure_persistence: None, max_shrink_iters: 0, ..Config::default() };
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let outcome = TestRunner::new(config).run(&cases, |case| judge(&runtime, &case).map_err(TestCaseError::fail));
    match outcome {
        Ok(()) => count,
        Err(TestError::Fail(why, case)) => {
            let case = reduced(case, |case| judge(&runtime, case).err());
            let why = judge(&runtime, &case).err().unwrap_or_else(|| why.to_string());
            panic!("{why}\nfor a regression test: {case:?}");
        }
        Err(abort) => panic!("{abort}"),
    }
}

/// Runs a case; the first difference, or the panic that broke it off.
pub fn judge(runtime: &Runtime, case: &Case) -> Result<(), String> {
    let run = || runtime.block_on(compare(case));
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().cloned();
        Err(said.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default())
    })
}

async fn compare(case: &Case) -> Result<(), String> {
    let world = World::new(&case.store).await;
    compare_all(&world, case).await?;
    if world.marks().await.is_empty() {
        return Ok(());
    }
    // What was seen of the files is known now.
    compare_all(&world, case).await?;
    KNOWN.fetch_add(world.known_parts().await, Ordering::Relaxed);
    Ok(())
}

async fn compare_all(world: &World, case: &Case) -> Result<(), String> {
    for request in &case.requests {
        let (by_engine, by_rules) = (world.export(request).await, oracle::export(&case.store, request));
        if by_engine != by_rules {
            let (by_engine, by_rules) = (shown(&by_engine), shown(&by_rules));
            return Err(format!("of {request}\nthe engine makes {by_engine}\nthe rules make  {by_rules}"));
        }
    }
    Ok(())
}
