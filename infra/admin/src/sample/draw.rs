//! Seeded draws. Own arithmetic (SplitMix64), because the sample has to stay the same over releases of any library.

/// A stream of draws.
#[derive(Clone, Debug)]
pub struct Draw(u64);

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Draw {
    /// The stream of one thing: the seed, what is drawn, and its number.
    pub fn of(seed: u64, what: u64, number: u64) -> Self {
        let mut draw = Self(seed ^ what.wrapping_mul(0xff51_afd7_ed55_8ccd));
        draw.0 = draw.bits() ^ number.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        draw.bits();
        draw
    }

    /// 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`, which is not 0.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(n)) >> 64) as u64
    }

    /// Whether it comes out, `percent` times in a hundred.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// `count` different numbers below `n`, in a random order; all of them if there are fewer.
    pub fn sample(&mut self, count: usize, n: u32) -> Vec<u32> {
        let mut all: Vec<u32> = (0..n).collect();
        let count = count.min(all.len());
        for i in 0..count {
            let j = i + self.below((all.len() - i) as u64) as usize;
            all.swap(i, j);
        }
        all.truncate(count);
        all
    }
}
