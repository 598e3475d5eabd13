//! Random draws that are a pure function of (seed, purpose, index): one generator for each, keyed by all three, so that
//! no draw depends on what was drawn before it.

use crate::mt19937::Mt19937;

/// What a generator is for. Generators of different purposes have nothing to do with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Purpose {
    /// Noise of a training window.
    TrainMask = 1,
    /// Noise of a held-out window.
    HeldOutMask = 2,
    /// Order of an epoch's windows.
    Windows = 3,
    /// Tasks of a group of batches.
    Tasks = 4,
    /// Order of a task's rows in an epoch.
    Rows = 5,
    /// Which paragraphs a tokenizer is trained on.
    Sample = 6,
    /// Outside this module.
    Other = 7,
}

/// A generator of random numbers.
pub struct Draws(Mt19937);

impl std::fmt::Debug for Draws {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Draws")
    }
}

impl Draws {
    /// The generator of (seed, index).
    pub fn new(seed: u64, index: u64) -> Self {
        Self::of(Purpose::Other, seed, index)
    }

    /// The generator of (seed, purpose, index).
    pub(super) fn of(purpose: Purpose, seed: u64, index: u64) -> Self {
        let words = |value: u64| [value as u32, (value >> 32) as u32];
        let ([seed_low, seed_high], [index_low, index_high]) = (words(seed), words(index));
        Self(Mt19937::from_key(&[
            seed_low,
            seed_high,
            purpose as u32,
            index_low,
            index_high,
        ]))
    }

    /// 32 random bits.
    pub(super) fn word(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// An integer below `bound`, each as likely as the others.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        self.0.below(bound)
    }

    /// A number in [0, 1) of 53 random bits.
    pub(super) fn unit(&mut self) -> f64 {
        let (high, low) = (self.0.next_u32() >> 5, self.0.next_u32() >> 6);
        (f64::from(high) * 67_108_864.0 + f64::from(low)) / 9_007_199_254_740_992.0
    }

    /// A random order of `items`.
    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        self.0.shuffle(items);
    }
}
