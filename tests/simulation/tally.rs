//! What seeds come to.

/// What a seed has come to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub succeeded: usize,
    pub cancelled: usize,
    pub failed: usize,
    pub splits: usize,
    pub abandoned: usize,
    pub killed: usize,
    pub dead_letters: usize,
    /// POSTs that were refused since too many jobs were running.
    pub refused: usize,
    /// Parts begun of which earlier jobs knew that nothing in them is to be merged.
    pub known: usize,
    pub steps: usize,
}

impl Tally {
    pub fn add(&mut self, other: &Self) {
        self.succeeded += other.succeeded;
        self.cancelled += other.cancelled;
        self.failed += other.failed;
        self.splits += other.splits;
        self.abandoned += other.abandoned;
        self.killed += other.killed;
        self.dead_letters += other.dead_letters;
        self.refused += other.refused;
        self.known += other.known;
        self.steps += other.steps;
    }
}
