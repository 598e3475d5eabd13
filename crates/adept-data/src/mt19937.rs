//! The Mersenne Twister MT19937 (Matsumoto and Nishimura 1998), which PyTorch's CPU generator, and hence the
//! reference's splits, are based on. It also orders our batches: it is portable, and its stream is fixed by definition
//! rather than by a library's version.

/// Words of state.
const N: usize = 624;
/// Offset of the word mixed in by the recurrence.
const M: usize = 397;

/// A generator of 32-bit words.
pub struct Mt19937 {
    state: [u32; N],
    next: usize,
}

impl Mt19937 {
    /// `init_genrand`: as `torch.manual_seed` with the low 32 bits of its seed.
    pub fn new(seed: u32) -> Self {
        let mut state = [seed; N];
        for i in 1..N {
            let previous = state[i - 1];
            state[i] = 1_812_433_253_u32
                .wrapping_mul(previous ^ (previous >> 30))
                .wrapping_add(i as u32);
        }
        Self { state, next: N }
    }

    /// `init_by_array`: seeds from several words, here (seed, epoch), so that the streams of neighbouring seeds and
    /// epochs are unrelated.
    pub fn from_key(key: &[u32]) -> Self {
        let mut generator = Self::new(19_650_218);
        let state = &mut generator.state;
        let (mut i, mut j) = (1, 0);
        for _ in 0..N.max(key.len()) {
            let previous = state[i - 1];
            state[i] = (state[i] ^ (previous ^ (previous >> 30)).wrapping_mul(1_664_525))
                .wrapping_add(key[j])
                .wrapping_add(j as u32);
            i += 1;
            j = (j + 1) % key.len();
            if i == N {
                state[0] = state[N - 1];
                i = 1;
            }
        }
        for _ in 0..N - 1 {
            let previous = state[i - 1];
            state[i] = (state[i] ^ (previous ^ (previous >> 30)).wrapping_mul(1_566_083_941)).wrapping_sub(i as u32);
            i += 1;
            if i == N {
                state[0] = state[N - 1];
                i = 1;
            }
        }
        state[0] = 0x8000_0000;
        generator
    }

    /// The next 32-bit word.
    pub fn next_u32(&mut self) -> u32 {
        if self.next == N {
            self.refill();
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    /// An unbiased index below `bound`: the high word of `word · bound`, redrawn if the low word falls into the uneven
    /// remainder (Lemire 2019).
    pub fn below(&mut self, bound: u32) -> u32 {
        let rest = bound.wrapping_neg() % bound;
        loop {
            let product = u64::from(self.next_u32()) * u64::from(bound);
            if product as u32 >= rest {
                return (product >> 32) as u32;
            }
        }
    }

    /// Fisher–Yates shuffle, from the back.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            // Datasets have far fewer than 2^32 rows; a longer list would be shuffled over its first 2^32 places only.
            let bound = u32::try_from(last + 1).unwrap_or(u32::MAX);
            items.swap(last, self.below(bound) as usize);
        }
    }

    fn refill(&mut self) {
        for i in 0..N {
            let word = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % N] & 0x7fff_ffff);
            let twist = if word & 1 == 0 { 0 } else { 0x9908_b0df };
            self.state[i] = self.state[(i + M) % N] ^ (word >> 1) ^ twist;
        }
        self.next = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::Mt19937;

    /// The first words of the authors' `mt19937ar.out` (init_by_array) and of `init_genrand(5489)`, C++'s default.
    #[test]
    fn words_are_those_of_the_definition() {
        let mut keyed = Mt19937::from_key(&[0x123, 0x234, 0x345, 0x456]);
        let words: Vec<u32> = (0..5).map(|_| keyed.next_u32()).collect();
        assert_eq!(
            words,
            [1_067_595_299, 955_945_823, 477_289_528, 4_107_218_783, 4_228_976_476]
        );

        // C++ requires the 10,000th word of a default-seeded mt19937 to be this one.
        let mut plain = Mt19937::new(5489);
        assert_eq!((0..10_000).map(|_| plain.next_u32()).last(), Some(4_123_659_995));
    }

    #[test]
    fn shuffles_reach_every_order() {
        let mut seen = std::collections::BTreeSet::new();
        let mut generator = Mt19937::new(1);
        for _ in 0..500 {
            let mut items = [0, 1, 2, 3];
            generator.shuffle(&mut items);
            seen.insert(items);
        }
        assert_eq!(seen.len(), 24);
    }
}
