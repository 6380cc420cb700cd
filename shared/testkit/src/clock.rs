//! Time and randomness in the test's hands.

use crate::faults::lock;
use domain::instant::Millis;
use domain::ports::{Clock, Random};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::future::poll_fn;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

/// A clock that stands still until it is moved. Clones show the same time.
#[derive(Clone, Debug)]
pub struct ManualClock {
    now: Arc<AtomicI64>,
    /// How far this clone goes wrong, in milliseconds.
    wrong_by: i64,
    sleepers: Arc<Mutex<Vec<Waker>>>,
}

impl ManualClock {
    /// A clock that stands at `now`.
    pub fn at(now: Millis) -> Self {
        Self { now: Arc::new(AtomicI64::new(now.0)), wrong_by: 0, sleepers: Arc::default() }
    }

    /// The same clock as a machine sees it that is so many seconds ahead.
    pub fn ahead(&self, seconds: i64) -> Self {
        Self { wrong_by: seconds * 1_000, ..self.clone() }
    }

    /// Puts the clock to `now`, which may lie in the past: clocks of two machines do that.
    pub fn set(&self, now: Millis) {
        self.now.store(now.0, Ordering::SeqCst);
        self.wake();
    }

    /// Moves the clock on.
    pub fn advance_seconds(&self, seconds: i64) {
        self.now.fetch_add(seconds * 1_000, Ordering::SeqCst);
        self.wake();
    }

    fn wake(&self) {
        lock(&self.sleepers).drain(..).for_each(Waker::wake);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Millis {
        Millis(self.now.load(Ordering::SeqCst) + self.wrong_by)
    }

    async fn sleep_until(&self, until: Millis) {
        poll_fn(|context| {
            if self.now() >= until {
                return Poll::Ready(());
            }
            lock(&self.sleepers).push(context.waker().clone());
            Poll::Pending
        })
        .await;
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

    #[tokio::test]
    async fn a_sleeper_wakes_when_its_clock_says_so() {
        let clock = ManualClock::at(Millis(1_000));
        let ahead = clock.ahead(2);
        ahead.sleep_until(Millis(3_000)).await;
        let sleeper = clock.clone();
        let sleeper = tokio::spawn(async move { sleeper.sleep_until(Millis(3_000)).await });
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance_seconds(2);
        sleeper.await.expect("it wakes");
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
