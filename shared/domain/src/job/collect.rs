//! G: what is left of a job that has ended.

use super::Job;
use crate::instant::Millis;

/// Grace periods from a job's end to the last look: 24 h where the period is an hour.
const LAST_LOOK: i64 = 24;

/// A job that has ended and may have left objects, shards and parts behind; outlives its record.
#[derive(Clone, Debug, PartialEq)]
pub struct Collect {
    /// The job as it ended.
    pub job: Job,
    /// How often it was cleaned up after.
    pub looks: u32,
}

impl Collect {
    /// When to look next: the grace period after the end, and once more much later, for uploads that came late. Waiting
    /// spares work; what is deleted could be deleted at once.
    pub fn ripe(&self, grace_seconds: u32) -> Millis {
        let periods = if self.is_last() { LAST_LOOK } else { 1 };
        self.job.update_time.plus_seconds(i64::from(grace_seconds) * periods)
    }

    /// Whether the next look is the last one.
    pub fn is_last(&self) -> bool {
        self.looks > 0
    }
}
