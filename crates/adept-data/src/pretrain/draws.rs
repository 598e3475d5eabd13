//! Random draws as a pure function of (seed, purpose, index): a generator keyed by all three, so that no draw depends
//! on earlier ones.

use crate::mt19937::Mt19937;

/// Separates the streams of independent draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Purpose {
    /// Noise of a training window.
    TrainMask = 1,
    /// Noise of a held-out window.
    HeldOutMask = 2,
    /// Order of the windows in an epoch.
    Windows = 3,
    /// Tasks in a group of batches.
    Tasks = 4,
    /// Order of a task's rows in an epoch.
    Rows = 5,
    /// Which paragraphs the tokenizer is trained on.
    Sample = 6,
    /// Draws outside this module.
    Other = 7,
}

/// A keyed random generator.
pub struct Draws(Mt19937);

impl std::fmt::Debug for Draws {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Draws")
    }
}

impl Draws {
    /// Keyed by (seed, index).
    pub fn new(seed: u64, index: u64) -> Self {
        Self::of(Purpose::Other, seed, index)
    }

    /// Keyed by (seed, purpose, index).
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

    /// A uniform integer below `bound`.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        self.0.below(bound)
    }

    /// A uniform number in [0, 1) with 53 random bits.
    pub(super) fn unit(&mut self) -> f64 {
        let (high, low) = (self.0.next_u32() >> 5, self.0.next_u32() >> 6);
        (f64::from(high) * 67_108_864.0 + f64::from(low)) / 9_007_199_254_740_992.0
    }

    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        self.0.shuffle(items);
    }
}
