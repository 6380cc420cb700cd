//! Time and randomness in the test's hands.

use crate::faults::lock;
use domain::instant::Millis;
use domain::ports::{Clock, Random};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

/// A clock that stands still until it is moved. Clones show the same time.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// A clock that stands at `now`.
    pub fn at(now: Millis) -> Self {
        Self(Arc::new(AtomicI64::new(now.0)))
    }

    /// Puts the clock to `now`, which may lie in the past: clocks of two machines do that.
    pub fn set(&self, now: Millis) {
        self.0.store(now.0, Ordering::SeqCst);
    }

    /// Moves the clock on.
    pub fn advance_seconds(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1_000, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Millis {
        Millis(self.0.load(Ordering::SeqCst))
    }
}

/// Randomness that repeats itself from the same seed. Clones draw from one sequence.
#[derive(Clone, Debug)]
pub struct SeededRandom(Arc<Mutex<StdRng>>);

impl SeededRandom {
    /// The sequence of that seed.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }
}

impl Random for SeededRandom {
    fn bits(&self) -> u128 {
        let mut random = lock(&self.0);
        u128::from(random.next_u64()) << 64 | u128::from(random.next_u64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_of_a_clock_show_one_time() {
        let clock = ManualClock::at(Millis(1_000));
        let other = clock.clone();
        clock.advance_seconds(2);
        assert_eq!(other.now(), Millis(3_000));
        other.set(Millis(5));
        assert_eq!(clock.now(), Millis(5));
    }

    #[test]
    fn a_seed_repeats_its_sequence_and_clones_share_it() {
        let (a, b) = (SeededRandom::new(7), SeededRandom::new(7));
        let shared = a.clone();
        let drawn = [a.bits(), shared.bits(), a.bits()];
        assert_eq!(drawn, [b.bits(), b.bits(), b.bits()]);
        assert_ne!(drawn[0], drawn[1]);
        assert_ne!(SeededRandom::new(8).bits(), drawn[0]);
    }
}
