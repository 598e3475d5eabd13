//! Random numbers of the bootstrap: a stream that is a function of its seed, and binomial counts.

/// SplitMix64 (Steele, Lea and Flood 2014): a counter, mixed.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A stream for each list of texts: FNV-1a of their bytes, which tells the lists apart.
    pub fn of(texts: &[&str]) -> Self {
        let bytes = texts.iter().flat_map(|text| text.bytes().chain([0xff]));
        Self(bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        }))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    /// A whole number below `end`. Its bias, `end` out of 2^64, is below anything that could be seen.
    pub fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }

    /// A number from 0 to 1, without 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// The number of successes among `n` trials of probability `p`: by inversion where few are expected, else by
    /// Hörmann's transformed rejection (1993, algorithm BTRS).
    pub fn binomial(&mut self, n: u32, p: f64) -> u32 {
        if n == 0 || p <= 0.0 {
            return 0;
        }
        if p >= 1.0 {
            return n;
        }
        if p > 0.5 {
            return n - self.binomial(n, 1.0 - p);
        }
        if f64::from(n) * p < 10.0 {
            self.by_inversion(n, p)
        } else {
            self.by_rejection(n, p)
        }
    }

    /// Adds up the probabilities of 0, 1, 2, .. until a uniform number is reached.
    fn by_inversion(&mut self, n: u32, p: f64) -> u32 {
        let odds = p / (1.0 - p);
        let mut left = self.unit();
        let mut probability = (f64::from(n) * (-p).ln_1p()).exp();
        let mut count = 0;
        while left > probability && count < n {
            left -= probability;
            probability *= odds * f64::from(n - count) / f64::from(count + 1);
            count += 1;
        }
        count
    }

    /// Needs n·p ≥ 10 and p ≤ 1/2. Names are those of the paper.
    fn by_rejection(&mut self, n: u32, p: f64) -> u32 {
        let n = f64::from(n);
        let spq = (n * p * (1.0 - p)).sqrt();
        let b = 1.15 + 2.53 * spq;
        let a = -0.0873 + 0.0248 * b + 0.01 * p;
        let c = n * p + 0.5;
        let v_r = 0.92 - 4.2 / b;
        let alpha = (2.83 + 5.1 / b) * spq;
        let odds = p / (1.0 - p);
        let m = ((n + 1.0) * p).floor();
        loop {
            let u = self.unit() - 0.5;
            let v = self.unit();
            let us = 0.5 - u.abs();
            let k = ((2.0 * a / us + b) * u + c).floor();
            if us >= 0.07 && v <= v_r {
                return k as u32;
            }
            if !(0.0..=n).contains(&k) {
                continue;
            }
            let v = (v * alpha / (a / (us * us) + b)).ln();
            let bound = (m + 0.5) * ((m + 1.0) / (odds * (n - m + 1.0))).ln()
                + (n + 1.0) * ((n - m + 1.0) / (n - k + 1.0)).ln()
                + (k + 0.5) * (odds * (n - k + 1.0) / (k + 1.0)).ln()
                + stirling(m)
                + stirling(n - m)
                - stirling(k)
                - stirling(n - k);
            if v <= bound {
                return k as u32;
            }
        }
    }
}

/// What Stirling's formula for ln k! lacks.
fn stirling(k: f64) -> f64 {
    const SMALL: [f64; 10] = [
        0.081_061_466_795_327_8,
        0.041_340_695_955_409_5,
        0.027_677_925_684_998_3,
        0.020_790_672_103_765_2,
        0.016_644_691_189_821_2,
        0.013_876_128_823_070_9,
        0.011_896_709_945_891_8,
        0.010_411_265_261_972_2,
        0.009_255_462_182_712_7,
        0.008_330_563_433_362_9,
    ];
    if let Some(value) = SMALL.get(k as usize) {
        return *value;
    }
    let square = (k + 1.0) * (k + 1.0);
    (1.0 / 12.0 - (1.0 / 360.0 - 1.0 / 1260.0 / square) / square) / (k + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts of 200,000 draws against the exact probabilities, by Pearson's chi-square over outcomes of at least 20
    /// expected draws. The statistic has mean k and deviation sqrt(2k); six deviations are exceeded by chance once in
    /// some million draws, and the stream is fixed.
    #[track_caller]
    fn check(n: u32, p: f64) {
        let draws = 200_000;
        let mut random = Random::of(&["binomial"]);
        let mut counts = vec![0_u32; n as usize + 1];
        for _ in 0..draws {
            counts[random.binomial(n, p) as usize] += 1;
        }
        let log_factorial = |k: u32| (1..=k).map(|factor| f64::from(factor).ln()).sum::<f64>();
        let (mut statistic, mut bins, mut rest) = (0.0, 0, (0.0, 0.0));
        for (k, count) in (0..=n).zip(counts) {
            let log = log_factorial(n) - log_factorial(k) - log_factorial(n - k)
                + f64::from(k) * p.ln()
                + f64::from(n - k) * (1.0 - p).ln();
            let expected = f64::from(draws) * log.exp();
            if expected >= 20.0 {
                statistic += (f64::from(count) - expected).powi(2) / expected;
                bins += 1;
            } else {
                rest = (rest.0 + expected, rest.1 + f64::from(count));
            }
        }
        assert!(bins > 2, "{bins}");
        let bound = f64::from(bins) + 6.0 * (2.0 * f64::from(bins)).sqrt();
        assert!(
            statistic < bound,
            "n = {n}, p = {p}: {statistic:.1} over {bins} outcomes"
        );
        assert!(
            (rest.1 - rest.0).abs() <= 6.0 * rest.0.sqrt() + 6.0,
            "n = {n}, p = {p}: {rest:?}"
        );
    }

    #[test]
    fn binomial_counts_follow_their_distribution() {
        for (n, p) in [
            (5, 0.3),
            (277, 0.02),
            (40, 0.25),
            (277, 0.4),
            (277, 0.93),
            (1000, 0.5),
            (3000, 0.0041),
        ] {
            check(n, p);
        }
        let mut random = Random::of(&[]);
        assert_eq!(
            [(0, 0.5), (9, 0.0), (9, 1.0), (9, -0.1)].map(|(n, p)| random.binomial(n, p)),
            [0, 0, 9, 0]
        );
    }

    #[test]
    fn lists_of_texts_have_streams_of_their_own() {
        let first = |texts: &[&str]| Random::of(texts).next();
        assert_eq!(first(&["a", "b"]), first(&["a", "b"]));
        assert_ne!(first(&["a", "b"]), first(&["ab"]));
        assert_ne!(first(&["a", "b"]), first(&["b", "a"]));
    }
}
