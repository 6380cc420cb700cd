//! Ids that the product draws.

use crate::instant::Millis;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Milliseconds from 1970 to 2026-01-01T00:00:00Z, where the job ids' clock starts.
pub const ID_EPOCH_MS: i64 = 1_767_225_600_000;
const RANDOM_BITS: u32 = 12;
const ID_BITS: u32 = 53;

/// A job's id: 41 bits of milliseconds since [`ID_EPOCH_MS`], then 12 bits of randomness. A JSON number that a double
/// holds exactly, growing with creation time from millisecond to millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(u64);

impl JobId {
    /// The id of a job created at `now`, with the low 12 bits of `random`. Times outside the 41 bits are clamped.
    pub fn new(now: Millis, random: u64) -> Self {
        let since = (now.0 - ID_EPOCH_MS).clamp(0, (1 << (ID_BITS - RANDOM_BITS)) - 1) as u64;
        Self(since << RANDOM_BITS | random & ((1 << RANDOM_BITS) - 1))
    }

    /// The id in its decimal form, as it stands in paths; `None` for anything that is no id.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = !text.is_empty() && text.len() <= 16 && text.bytes().all(|b| b.is_ascii_digit());
        let value: u64 = plain.then(|| text.parse().ok()).flatten()?;
        (value < 1 << ID_BITS && (text == "0" || !text.starts_with('0'))).then_some(Self(value))
    }

    /// When the job was created.
    pub fn creation_time(self) -> Millis {
        Millis(ID_EPOCH_MS + (self.0 >> RANDOM_BITS) as i64)
    }

    /// The bare number.
    pub fn value(self) -> u64 {
        self.0
    }

    /// The id as a sort key: zero-padded to 16 digits, so that text order is number order.
    pub fn padded(self) -> String {
        format!("{:016}", self.0)
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A batch's id: 32 lowercase hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BatchId(String);

impl BatchId {
    /// The id made of 128 random bits.
    pub fn new(random: u128) -> Self {
        Self(format!("{random:032x}"))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A random UUID (version 4) of 128 random bits, in its usual form.
pub fn uuid_v4(random: u128) -> String {
    let bits = random & !(0xf << 76) | 0x4 << 76;
    let hex = format!("{:032x}", bits & !(0x3 << 62) | 0x2 << 62);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_holds_its_creation_time_and_fits_a_double() {
        let now = Millis(ID_EPOCH_MS + 28_000_000_000);
        let id = JobId::new(now, u64::MAX);
        assert_eq!(id.creation_time(), now);
        assert!(JobId::new(Millis(i64::MAX), u64::MAX).value() < 1 << 53);
        assert!(JobId::new(Millis(now.0 + 1), 0) > id);
    }

    #[test]
    fn only_canonical_decimals_below_two_to_the_53_are_ids() {
        assert_eq!(JobId::parse("115549798400123").map(JobId::value), Some(115_549_798_400_123));
        for bad in ["", "abc", "-1", "+1", "01", "1.0", "9007199254740992", "99999999999999999999", " 1"] {
            assert_eq!(JobId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn uuids_carry_version_and_variant() {
        assert_eq!(uuid_v4(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid_v4(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
