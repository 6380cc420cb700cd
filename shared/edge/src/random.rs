//! The machine's randomness.

use domain::ports::Random;

/// Random bits from a generator that the operating system seeds, one for each thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsRandom;

impl Random for OsRandom {
    fn bits(&self) -> u128 {
        rand::random()
    }
}
