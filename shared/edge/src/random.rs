//! The machine's randomness.

use domain::ports::Random;
use rand::RngCore;

/// Random bits from a generator that the operating system seeds, one for each thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsRandom;

impl Random for OsRandom {
    fn bits(&self) -> u128 {
        let mut random = rand::rng();
        u128::from(random.next_u64()) << 64 | u128::from(random.next_u64())
    }
}
