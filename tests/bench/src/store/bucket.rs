//! Which profiles there are, and which file each is in.

use super::BUCKETS;

/// A profile of the store, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProfileNumber {
    /// The random half of its id; the sort key, as it stands first in it.
    pub random: u64,
    /// The other half.
    pub number: u32,
}

impl ProfileNumber {
    /// The profile of that number.
    pub fn new(seed: u64, number: u32) -> Self {
        let mut z = seed.wrapping_add(u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self { random: z ^ (z >> 31), number }
    }

    /// The profile's id.
    pub fn id(self) -> String {
        format!("{:016x}{:08x}", self.random, self.number)
    }
}

/// The profiles of each bucket, in the order of their ids.
pub fn buckets(seed: u64, profiles: u32) -> Vec<Vec<ProfileNumber>> {
    let mut buckets = vec![Vec::new(); BUCKETS as usize];
    for number in 0..profiles {
        let profile = ProfileNumber::new(seed, number);
        buckets[(iceberg_hash(&profile.id()) % BUCKETS) as usize].push(profile);
    }
    buckets.iter_mut().for_each(|bucket| bucket.sort_unstable());
    buckets
}

/// Iceberg's hash of a string: 32-bit Murmur3 (x86 variant, seed 0) of its bytes, made non-negative.
pub fn iceberg_hash(text: &str) -> u32 {
    let (blocks, tail) = text.as_bytes().as_chunks::<4>();
    let hash = blocks.iter().fold(0u32, |hash, block| {
        (hash ^ scrambled(u32::from_le_bytes(*block))).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64)
    });
    let rest = tail.iter().rev().fold(0, |rest, byte| rest << 8 | u32::from(*byte));
    let hash = hash ^ scrambled(rest) ^ text.len() as u32;
    let hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    let hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    (hash ^ hash >> 16) & i32::MAX as u32
}

fn scrambled(block: u32) -> u32 {
    block.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_icebergs() {
        assert_eq!(iceberg_hash("iceberg"), 1_210_000_089);
        assert_eq!(iceberg_hash("a"), 0x3c25_69b2);
    }

    #[test]
    fn every_profile_is_in_one_bucket_and_buckets_are_sorted_by_id() {
        let buckets = buckets(7, 10_000);
        assert_eq!(buckets.iter().map(Vec::len).sum::<usize>(), 10_000);
        for bucket in buckets {
            assert!(bucket.is_sorted_by(|a, b| a.id() < b.id()));
            assert!((500..750).contains(&bucket.len()), "{}", bucket.len());
        }
    }
}
