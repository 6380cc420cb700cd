//! All that a seed decides.

use domain::ports::Random;
use testkit::SeededRandom;

/// Dice that fall the same way for the same seed. Clones share the sequence.
#[derive(Clone, Debug)]
pub struct Dice(SeededRandom);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(SeededRandom::new(seed))
    }

    /// A number below `n`, which is at least 1.
    pub fn below(&self, n: usize) -> usize {
        (self.0.bits() % n as u128) as usize
    }

    /// A number from `least` to `most`.
    pub fn from(&self, least: usize, most: usize) -> usize {
        least + self.below(most - least + 1)
    }

    /// True so many times in a thousand.
    pub fn chance(&self, thousandths: usize) -> bool {
        self.below(1_000) < thousandths
    }

    /// One of several, or `None` of none.
    pub fn one_of<'a, T>(&self, things: &'a [T]) -> Option<&'a T> {
        if things.is_empty() { None } else { things.get(self.below(things.len())) }
    }

    /// Randomness for ids and nonces.
    pub fn random(&self) -> &SeededRandom {
        &self.0
    }
}
