//! Random choices from a fixed stream: ChaCha12, keyed by the seed and by what is drawn, so that a task's rows do not
//! depend on how many draws another task made.

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// A stream of choices.
#[derive(Debug)]
pub struct Dice(ChaCha12Rng);

impl Dice {
    /// The stream of a purpose, for example `cola/train`.
    pub fn new(seed: u64, purpose: &str) -> Self {
        let mut key = [0u8; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        // FNV-1a: the purposes are a handful of fixed names, so any hash that tells them apart will do.
        let hash = purpose.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        key[8..16].copy_from_slice(&hash.to_le_bytes());
        Self(ChaCha12Rng::from_seed(key))
    }

    /// A number below `count`, which is at least 1.
    pub fn below(&mut self, count: usize) -> usize {
        // The bias of the multiplication is below count / 2^32.
        ((u64::from(self.0.next_u32()) * count as u64) >> 32) as usize
    }

    /// True in `percent` of 100 cases.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of several, which are not none.
    pub fn choose<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// A copy of one of several, which are not none.
    pub fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// One of the words in a list: `a, b, c d`.
    pub fn word(&mut self, list: &'static str) -> &'static str {
        let count = list.split(", ").count();
        list.split(", ").nth(self.below(count)).unwrap_or(list)
    }

    /// One of several by weight: the index.
    pub fn weighted(&mut self, weights: &[usize]) -> usize {
        let mut left = self.below(weights.iter().sum());
        for (index, &weight) in weights.iter().enumerate() {
            if left < weight {
                return index;
            }
            left -= weight;
        }
        weights.len() - 1
    }

    /// Puts values in random order.
    pub fn shuffle<T>(&mut self, all: &mut [T]) {
        for last in (1..all.len()).rev() {
            all.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Dice;

    #[test]
    fn a_stream_belongs_to_seed_and_purpose() {
        let draw = |seed, purpose| {
            let mut dice = Dice::new(seed, purpose);
            (0..8).map(|_| dice.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1, "a"), draw(1, "a"));
        assert_ne!(draw(1, "a"), draw(2, "a"));
        assert_ne!(draw(1, "a"), draw(1, "b"));
    }

    #[test]
    fn weights_are_kept() {
        let mut dice = Dice::new(7, "weights");
        let mut counts = [0; 3];
        for _ in 0..10_000 {
            counts[dice.weighted(&[1, 0, 3])] += 1;
        }
        assert_eq!(counts[1], 0);
        assert!((2_300..2_700).contains(&counts[0]), "{counts:?}");
    }
}
