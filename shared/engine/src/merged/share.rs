//! Shares of a part's profiles, for what does not fit the memory in one.

use super::hash::halving_hash;

/// A part is halved so often at most.
const MOST_HALVINGS: u32 = 16;

/// Some of a part's profiles: those whose hash starts with certain bits. The hash has nothing to do with the one that
/// spreads profiles over buckets and slices, so that halves are halves whatever was cut before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    halvings: u32,
    /// The first bits, as many as there were halvings.
    bits: u32,
}

impl Share {
    /// All of them.
    pub(super) const WHOLE: Self = Self { halvings: 0, bits: 0 };

    /// Its halves; the one that is done first stands last.
    pub(super) fn halves(self) -> [Self; 2] {
        [1, 0].map(|bit| Self { halvings: self.halvings + 1, bits: self.bits << 1 | bit })
    }

    /// Whether it is halved no more.
    pub(super) fn is_least(self) -> bool {
        self.halvings == MOST_HALVINGS
    }

    /// Whether it is a part's profiles in all.
    pub(super) fn is_whole(self) -> bool {
        self.halvings == 0
    }

    /// How many of its size there are.
    pub(super) fn count(self) -> u64 {
        1 << self.halvings
    }

    /// Whether a profile belongs to it.
    pub(super) fn holds(self, id: &[u8]) -> bool {
        self.is_whole() || halving_hash(id) >> (u32::BITS - self.halvings) == self.bits
    }

    /// The thousandths of the part that are done when so many of the share are, and all shares before it.
    pub(super) fn thousandths(self, done: u64) -> u64 {
        (u64::from(self.bits) * 1_000 + done) >> self.halvings
    }
}

#[cfg(test)]
mod tests {
    use super::super::hash::iceberg_hash;
    use super::*;

    /// The shares of so many halvings.
    fn shares(halvings: u32) -> Vec<Share> {
        let halves = |shares: Vec<Share>, _| shares.into_iter().flat_map(Share::halves).collect();
        (0..halvings).fold(vec![Share::WHOLE], halves)
    }

    #[test]
    fn every_profile_lies_in_one_share_and_shares_are_alike() {
        for halvings in [0, 1, 3, 6] {
            let shares = shares(halvings);
            let mut counts = vec![0; shares.len()];
            for id in (0..6_400).map(|n| format!("p{n}")) {
                let holding: Vec<_> = (0..shares.len()).filter(|at| shares[*at].holds(id.as_bytes())).collect();
                assert_eq!(holding.len(), 1);
                counts[holding[0]] += 1;
            }
            let mean = 6_400 / counts.len();
            assert!(counts.iter().all(|count| (mean / 2..=mean * 2).contains(count)), "{counts:?}");
        }
    }

    #[test]
    fn a_slice_of_a_bucket_is_halved_like_anything_else() {
        // One slice of 1,024, by either end of Iceberg's hash.
        for shift in [0, 21] {
            let of_slice =
                (0..400_000).map(|n| format!("p{n}")).filter(|id| iceberg_hash(id.as_bytes()) >> shift & 1_023 == 7);
            let ids: Vec<_> = of_slice.collect();
            let half = ids.iter().filter(|id| Share::WHOLE.halves()[0].holds(id.as_bytes())).count();
            assert!((ids.len() * 2 / 5..=ids.len() * 3 / 5).contains(&half), "{half} of {}", ids.len());
        }
    }

    #[test]
    fn shares_one_after_the_other_make_the_whole() {
        let (mut left, mut told) = (vec![Share::WHOLE], vec![0]);
        while let Some(share) = left.pop() {
            match share.halvings < 3 || share.halvings < 5 && share.bits & 1 == 1 {
                true => left.extend(share.halves()),
                false => told.extend([0, 500, 1_000].map(|done| share.thousandths(done))),
            }
        }
        assert!(told.is_sorted(), "{told:?}");
        assert_eq!(told.last(), Some(&1_000));
    }
}
