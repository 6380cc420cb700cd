//! What becomes of the calls of a seed: lost requests, lost answers, indexes that lag.

use crate::dice::Dice;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use testkit::{Fault, Weather};

/// The weather of one seed.
pub struct Storm {
    dice: Dice,
    /// Lost calls in a thousand.
    losses: usize,
    calm: AtomicBool,
    calls: AtomicU64,
    /// The same by their names.
    by_name: Mutex<BTreeMap<String, u64>>,
    /// Faults that strike the call of that number, counted from 1, however calm it is.
    ordered: Mutex<BTreeMap<u64, Fault>>,
}

impl Storm {
    pub fn new(dice: Dice, losses: usize) -> Self {
        Self {
            dice,
            losses,
            calm: AtomicBool::new(false),
            calls: AtomicU64::new(0),
            by_name: Mutex::default(),
            ordered: Mutex::default(),
        }
    }

    /// From now on nothing is lost any more.
    pub fn calm_down(&self) {
        self.calm.store(true, Ordering::Relaxed);
    }

    /// The call of that number, counted from 1, is struck.
    pub fn strike_at(&self, call: u64, fault: Fault) {
        self.ordered.lock().unwrap().insert(call, fault);
    }

    /// Calls so far.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// How often each port method was called so far.
    pub fn calls_by_name(&self) -> BTreeMap<String, u64> {
        self.by_name.lock().unwrap().clone()
    }
}

impl Weather for Storm {
    fn strike(&self, name: &str) -> Option<Fault> {
        *self.by_name.lock().unwrap().entry(name.to_owned()).or_default() += 1;
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(fault) = self.ordered.lock().unwrap().remove(&call) {
            return Some(fault);
        }
        if self.calm.load(Ordering::Relaxed) || !self.dice.chance(self.losses) {
            return None;
        }
        Some(if self.dice.chance(500) { Fault::BeforeEffect } else { Fault::AfterEffect })
    }

    fn lags(&self) -> bool {
        !self.calm.load(Ordering::Relaxed) && self.dice.chance(200)
    }
}
