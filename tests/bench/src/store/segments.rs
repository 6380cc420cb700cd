//! The audiences of the store and how many are in each.

use domain::id::uuid_v4;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// How many audiences there are.
pub const SEGMENTS: usize = 200;
/// Held by 30 % of the profiles.
pub const WIDE: usize = 0;
/// Held by 0.5 % of them.
pub const NARROW: usize = 1;
/// Held by [`RARE_MEMBERS`] of them.
pub const RARE: usize = 2;
/// How many profiles are in the rarest audience.
pub const RARE_MEMBERS: usize = 20;

/// The ids of the audiences.
pub fn ids(seed: u64) -> Vec<String> {
    let mut random = StdRng::seed_from_u64(seed ^ 0x5e65);
    (0..SEGMENTS).map(|_| uuid_v4(random.random())).collect()
}

/// Twenty audiences of usual sizes: from 3 % of the profiles down to less than 1 %.
pub fn usual() -> impl Iterator<Item = usize> {
    (0..20).map(|n| 40 + 8 * n)
}

/// For each audience, below which of 65,536 equally likely draws a profile is in it. The rarest is not left to chance.
pub fn thresholds() -> [u16; SEGMENTS] {
    std::array::from_fn(|segment| match segment {
        WIDE => (0.3 * 65_536.0) as u16,
        NARROW => (0.005 * 65_536.0) as u16,
        RARE => 0,
        other => (0.98 * 65_536.0 * (other as f64).powf(-0.9)) as u16,
    })
}
