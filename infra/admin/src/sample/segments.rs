//! Who is in which segment.

use super::Sample;
use super::draw::Draw;
use super::people::{BASE_MICROS, DAY_MICROS};
use serde::Serialize;
use std::collections::BTreeMap;

/// Share of all profiles that the largest segment has, and how fast the others fall: the 50th of 100,000 has 20.
const LARGEST: f64 = 0.4;
const FALL: f64 = 1.943;
/// Segments of an ad platform's namespace, for variety.
const AUDIENCE_MANAGER: [(&str, f64); 3] = [("1044571", 0.05), ("1044572", 0.01), ("2210934", 0.002)];

/// A profile's memberships by namespace and segment id.
pub type Memberships<'s> = BTreeMap<&'static str, BTreeMap<&'s str, Membership>>;

/// A stored membership.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Membership {
    /// When it was last judged, in microseconds.
    pub last_qualification_time: Option<i64>,
    /// `realized`, `existing` or `exited`.
    pub status: &'static str,
}

/// How many profiles are in the segment of that rank (from 0) now: realized, or existing.
pub fn current_members(profiles: u32, rank: usize) -> usize {
    members(profiles, LARGEST * ((rank + 1) as f64).powf(-FALL))
}

fn members(profiles: u32, share: f64) -> usize {
    ((f64::from(profiles) * share).round() as usize).max(1)
}

/// Every profile's memberships. Each segment has exactly its size of current members, and a tenth of that who left.
pub fn draw<'s>(sample: &Sample, segments: &'s [String]) -> Vec<Memberships<'s>> {
    let mut profiles = vec![Memberships::new(); sample.profiles as usize];
    let ups = segments.iter().enumerate().map(|(i, id)| ("ups", id.as_str(), current_members(sample.profiles, i)));
    let aam = AUDIENCE_MANAGER.iter().map(|&(id, share)| ("aam", id, members(sample.profiles, share)));
    for (number, (namespace, id, current)) in ups.chain(aam).enumerate() {
        let mut draw = Draw::of(sample.seed, 2, number as u64);
        for (i, profile) in draw.sample(current + current / 10, sample.profiles).into_iter().enumerate() {
            let status = match i {
                i if i >= current => "exited",
                _ if draw.percent(4) => "existing",
                _ => "realized",
            };
            // A few older memberships were stored without a time.
            let last_qualification_time =
                (!draw.percent(2)).then(|| BASE_MICROS - draw.below(365 * DAY_MICROS as u64) as i64);
            let membership = Membership { last_qualification_time, status };
            profiles[profile as usize].entry(namespace).or_default().insert(id, membership);
        }
    }
    profiles
}
