//! Random numbers from a seed.

/// A seeded random number generator (SplitMix64; Steele, Lea and Flood 2014). It gives the same numbers in the browser
/// and natively.
#[derive(Debug, Clone)]
pub struct Stream(pub u64);

impl Stream {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in 0..n; 0 if n is 0.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_paper() {
        // The first output of SplitMix64 for the seed 0, as its authors publish it.
        assert_eq!(Stream(0).next(), 0xe220_a839_7b1d_cdaf);
    }
}
