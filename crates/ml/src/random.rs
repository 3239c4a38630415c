//! Random numbers that are the same on every machine and in every version.
//!
//! The stream is ChaCha8's, which is fixed by its definition. What is made of it is written here, since the general
//! libraries are free to change how they draw from a stream.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};
use sha2::{Digest, Sha256};

/// A stream of random numbers.
pub(crate) struct Random(ChaCha8Rng);

impl Random {
    /// The stream of a seed for one purpose; streams of different purposes have nothing in common.
    pub(crate) fn new(purpose: &str, seed: &[u8; 32]) -> Self {
        let key = Sha256::new().chain_update(seed).chain_update(purpose).finalize();
        Self(ChaCha8Rng::from_seed(key.into()))
    }

    /// Uniform in `0 .. bound`, without bias. `bound` is positive.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        // Lemire's method: the upper word of a product is uniform once the few surplus lower words are refused.
        let surplus = bound.wrapping_neg() % bound;
        loop {
            let product = u64::from(self.0.next_u32()) * u64::from(bound);
            if product & u64::from(u32::MAX) >= u64::from(surplus) {
                return (product >> 32) as u32;
            }
        }
    }

    /// Uniform in (0, 1), in steps of 2^-53.
    pub(crate) fn unit(&mut self) -> f64 {
        const STEP: f64 = 1.0 / (1_u64 << 53) as f64;
        // Shifted by half a step, so that its logarithm is finite. The upper end rounds to 1 at most.
        ((self.0.next_u64() >> 11) as f64 + 0.5) * STEP
    }

    /// Standard normal, by Box and Muller.
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * libm::log(self.unit())).sqrt();
        radius * libm::cos(std::f64::consts::TAU * self.unit())
    }

    /// The first `count` of a random order of `0 .. total`: distinct, and every choice is equally likely.
    pub(crate) fn choose(&mut self, total: u32, count: u32) -> Vec<u32> {
        let mut order: Vec<u32> = (0..total).collect();
        let count = count.min(total);
        for i in 0..count {
            let j = i + self.below(total - i);
            order.swap(i as usize, j as usize);
        }
        order.truncate(count as usize);
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_fixed() {
        let mut random = Random::new("test", &[7; 32]);
        let drawn: Vec<u32> = (0..6).map(|_| random.below(1000)).collect();
        assert_eq!(drawn, GOLDEN);
        assert_ne!(
            Random::new("other", &[7; 32]).choose(1000, 6),
            Random::new("test", &[7; 32]).choose(1000, 6)
        );
    }

    const GOLDEN: [u32; 6] = [281, 16, 327, 31, 80, 748];

    #[test]
    fn below_keeps_its_bound() {
        let mut random = Random::new("test", &[0; 32]);
        for bound in [1, 2, 3, 1000, u32::MAX] {
            assert!((0..1000).all(|_| random.below(bound) < bound));
        }
    }

    #[test]
    fn chosen_numbers_are_distinct() {
        let mut random = Random::new("test", &[0; 32]);
        for (total, count) in [(0, 0), (0, 5), (1, 1), (10, 0), (10, 3), (10, 10), (10, 11)] {
            let mut chosen = random.choose(total, count);
            assert_eq!(chosen.len(), count.min(total) as usize);
            chosen.sort_unstable();
            chosen.dedup();
            assert_eq!(chosen.len(), count.min(total) as usize);
            assert!(chosen.iter().all(|row| *row < total));
        }
    }

    #[test]
    fn normal_has_mean_0_and_variance_1() {
        let mut random = Random::new("test", &[1; 32]);
        let drawn: Vec<f64> = (0..100_000).map(|_| random.normal()).collect();
        let mean = drawn.iter().sum::<f64>() / 1e5;
        let variance = drawn.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 1e5;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
    }
}
