//! 128-bit hashes that stand for what was hashed.

use std::hash::{BuildHasher, Hash, RandomState};

/// Makes hashes under keys of its own, so that nobody can choose values that share one: two of a billion values do with
/// odds of 1 in 10^20.
pub(crate) struct Hashes([ahash::RandomState; 2]);

impl Hashes {
    /// Hashes under random keys.
    pub(crate) fn new() -> Self {
        let random = RandomState::new();
        let seed = |n: u32| random.hash_one(n);
        Self([0, 4].map(|n| ahash::RandomState::with_seeds(seed(n), seed(n + 1), seed(n + 2), seed(n + 3))))
    }

    /// The hash of a value.
    pub(crate) fn of(&self, value: &(impl Hash + ?Sized)) -> u128 {
        let [high, low] = &self.0;
        u128::from(high.hash_one(value)) << 64 | u128::from(low.hash_one(value))
    }
}
