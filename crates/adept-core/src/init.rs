//! Initialisation of adapters (protocol.md, "Initialisation"; paper, appendix on settings).
//!
//! Every random value is drawn on the host from ChaCha12 and only then moved to a device: the same seed gives the same
//! adapter on every backend and machine. Each tensor draws from its own stream, so that a longer prompt does not change
//! the offset's initial values.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::CoreError;

/// Which dimension bounds the uniform initialisation of ADePT's `W_down` and of DePT's `A`.
///
/// Both are stored as `[inputs, r]`. PyTorch's `kaiming_uniform_(a = sqrt 5)` interprets a matrix as
/// `[outputs, inputs]` and therefore takes `r` as the fan-in: with r = 19 the range is 6 times wider than a fan-in of
/// 768 would give. The published adapters were trained from that initialisation, which is why it is the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FanIn {
    /// Uniform in `±1/sqrt(r)`, as the published code does.
    #[default]
    Reference,
    /// Uniform in `±1/sqrt(inputs)`: d for `W_down [d, r]`, max_len for `A [max_len, r]`.
    Standard,
}

impl FanIn {
    /// Both rules.
    pub const ALL: [Self; 2] = [Self::Reference, Self::Standard];

    /// Bound of the uniform initialisation of a matrix of shape `[inputs, r]`.
    pub fn bound(self, shape: [usize; 2]) -> f64 {
        let fan_in = match self {
            FanIn::Reference => shape[1],
            FanIn::Standard => shape[0],
        };
        1.0 / (fan_in as f64).sqrt()
    }
}

/// Initial values of the soft prompt.
#[derive(Debug, Clone)]
pub enum PromptInit<B: Backend> {
    /// Embedding rows `[k, d]`, repeated and cut to m: the rows of a text's tokens (the reference), or of tokens drawn
    /// with [`sample_vocabulary`] (the paper).
    Rows(Tensor<B, 2>),
    /// Normally distributed values with mean 0.
    Random {
        /// Standard deviation; the reference's is 1.
        std: f64,
    },
}

impl<B: Backend> PromptInit<B> {
    /// The initial values, `[m, d]`, detached from any graph.
    pub(crate) fn values(self, m: usize, d: usize, seed: u64, device: &B::Device) -> Result<Tensor<B, 2>, CoreError> {
        match self {
            PromptInit::Rows(rows) => {
                let [k, width] = rows.dims();
                if k == 0 || width != d {
                    return Err(CoreError::PromptRows {
                        expected: d,
                        found: [k, width],
                    });
                }
                let rows = rows.detach().to_device(device);
                let repeated = Tensor::cat(vec![rows; m.div_ceil(k)], 0);
                Ok(repeated.slice([0..m, 0..d]))
            }
            PromptInit::Random { std } => {
                if !(std.is_finite() && std >= 0.0) {
                    return Err(CoreError::PromptDeviation { found: std });
                }
                let mut rng = stream(seed, Stream::Prompt);
                let values = normal(&mut rng, m * d, std);
                Ok(Tensor::from_data(TensorData::new(values, [m, d]), device))
            }
        }
    }
}

/// Draws `m` of the candidate ids (in the paper, the most frequent tokens) without replacement. With fewer candidates
/// than `m`, all of them are drawn before any repeats. Without candidates the result is empty.
pub fn sample_vocabulary(candidates: &[u32], m: usize, seed: u64) -> Vec<u32> {
    let mut rng = stream(seed, Stream::Vocabulary);
    let mut drawn = Vec::new();
    if candidates.is_empty() {
        return drawn;
    }
    while drawn.len() < m {
        let mut pool = candidates.to_vec();
        let round = pool.len().min(m - drawn.len());
        // The first `round` steps of a Fisher-Yates shuffle.
        for i in 0..round {
            let j = i + below(&mut rng, (pool.len() - i) as u64) as usize;
            pool.swap(i, j);
        }
        drawn.extend_from_slice(&pool[..round]);
    }
    drawn
}

/// Initial values of `W_down` or `A`, `[inputs, r]`.
pub(crate) fn uniform_matrix(shape: [usize; 2], fan_in: FanIn, seed: u64) -> TensorData {
    let values = uniform(shape[0] * shape[1], fan_in.bound(shape), stream(seed, Stream::Offset));
    TensorData::new(values, shape)
}

/// Uniform initial values within `±bound` for a matrix at the model's linear map number `place`.
pub(crate) fn site_matrix(shape: [usize; 2], bound: f64, seed: u64, place: usize) -> TensorData {
    TensorData::new(site_values(shape[0] * shape[1], bound, seed, place), shape)
}

/// Uniform initial values within `±bound` for the tensor number `place` of an adapter with many.
pub(crate) fn site_values(count: usize, bound: f64, seed: u64, place: usize) -> Vec<f32> {
    let mut rng = ChaCha12Rng::seed_from_u64(seed);
    rng.set_stream(FIRST_PLACE + place as u64);
    uniform(count, bound, rng)
}

/// Normal initial values with mean 0 for the tensor number `place` of an adapter with many.
pub(crate) fn site_normal(count: usize, deviation: f64, seed: u64, place: usize) -> Vec<f32> {
    let mut rng = ChaCha12Rng::seed_from_u64(seed);
    rng.set_stream(FIRST_PLACE + place as u64);
    normal(&mut rng, count, deviation)
}

fn uniform(count: usize, bound: f64, mut rng: ChaCha12Rng) -> Vec<f32> {
    (0..count)
        .map(|_| (bound * (2.0 * unit(&mut rng) - 1.0)) as f32)
        .collect()
}

/// The stream of an adapter's first linear map or tensor; those of [`Stream`] come before it.
const FIRST_PLACE: u64 = 1 << 16;

/// Random number streams by purpose; the number determines the result for a seed and must never change.
enum Stream {
    Prompt = 0,
    Offset = 1,
    Vocabulary = 2,
}

fn stream(seed: u64, stream: Stream) -> ChaCha12Rng {
    let mut rng = ChaCha12Rng::seed_from_u64(seed);
    rng.set_stream(stream as u64);
    rng
}

/// Uniform in [0, 1), 53 bits.
fn unit(rng: &mut impl RngCore) -> f64 {
    (rng.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

/// Uniform in 0..limit, without bias: draws from the incomplete last interval are rejected.
fn below(rng: &mut impl RngCore, limit: u64) -> u64 {
    let whole = u64::MAX - u64::MAX % limit;
    loop {
        let drawn = rng.next_u64();
        if drawn < whole {
            return drawn % limit;
        }
    }
}

/// Normal values by the Box-Muller transform; libm's functions give the same bits on every machine.
fn normal(rng: &mut impl RngCore, count: usize, std: f64) -> Vec<f32> {
    let mut values = Vec::with_capacity(count + 1);
    while values.len() < count {
        // 1 - u lies in (0, 1], where the logarithm is finite.
        let radius = std * libm::sqrt(-2.0 * libm::log(1.0 - unit(rng)));
        let angle = 2.0 * std::f64::consts::PI * unit(rng);
        values.push((radius * libm::cos(angle)) as f32);
        values.push((radius * libm::sin(angle)) as f32);
    }
    values.truncate(count);
    values
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use burn_flex::Flex;

    fn moments(values: &[f32]) -> (f64, f64) {
        let n = values.len() as f64;
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        let variance = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n;
        (mean, variance)
    }

    #[test]
    fn uniform_start_fills_its_bounds() {
        for (fan_in, bound) in [(FanIn::Reference, 0.25), (FanIn::Standard, 0.05)] {
            let data = uniform_matrix([400, 16], fan_in, 3);
            let values = data.to_vec::<f32>().unwrap();
            let largest = values.iter().fold(0f32, |largest, v| largest.max(v.abs()));
            assert!(
                f64::from(largest) <= bound && f64::from(largest) > 0.99 * bound,
                "{fan_in:?}: {largest}"
            );
            let (mean, variance) = moments(&values);
            // Five standard errors of 6,400 draws; the variance of a uniform value is bound²/3.
            assert!(
                mean.abs() < 5.0 * bound / (3.0f64 * 6400.0).sqrt(),
                "{fan_in:?}: mean {mean}"
            );
            assert!(
                (variance * 3.0 / (bound * bound) - 1.0).abs() < 0.06,
                "{fan_in:?}: variance {variance}"
            );
        }
    }

    #[test]
    fn random_prompt_has_the_deviation_asked_for() {
        let init = PromptInit::<Flex>::Random { std: 2.0 };
        let values = init.values(100, 64, 5, &Default::default()).unwrap().into_data();
        let (mean, variance) = moments(&values.to_vec::<f32>().unwrap());
        assert!(mean.abs() < 5.0 * 2.0 / 80.0, "mean {mean}");
        assert!((variance / 4.0 - 1.0).abs() < 0.09, "variance {variance}");
    }

    #[test]
    fn streams_are_pinned() {
        // The first values for seed 0: a change of generator or algorithm must not go unnoticed, since earlier runs
        // would no longer be reproducible.
        let uniform = uniform_matrix([2, 1], FanIn::Reference, 0).to_vec::<f32>().unwrap();
        let normals = normal(&mut stream(0, Stream::Prompt), 2, 1.0);
        let ids = sample_vocabulary(&[10, 20, 30, 40, 50], 3, 0);
        assert_eq!(uniform, [0.31790608, -0.21431081]);
        assert_eq!(normals, [0.23804648, -1.6032046]);
        assert_eq!(ids, [40, 10, 20]);
    }

    #[test]
    fn rows_are_repeated_and_cut() {
        let device = Default::default();
        let rows = Tensor::<Flex, 2>::from_data([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], &device);
        let check = |m: usize, expected: Vec<f32>| {
            let prompt = PromptInit::Rows(rows.clone()).values(m, 2, 0, &device).unwrap();
            assert_eq!(prompt.into_data().to_vec::<f32>().unwrap(), expected);
        };
        check(2, vec![1.0, 2.0, 3.0, 4.0]);
        check(5, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn unusable_prompt_starts_are_refused() {
        let device = Default::default();
        let rows = PromptInit::Rows(Tensor::<Flex, 2>::zeros([3, 5], &device));
        let error = rows.values(2, 4, 0, &device).unwrap_err();
        assert!(
            matches!(
                error,
                CoreError::PromptRows {
                    expected: 4,
                    found: [3, 5]
                }
            ),
            "{error}"
        );
        let error = PromptInit::<Flex>::Random { std: f64::NAN }
            .values(2, 4, 0, &device)
            .unwrap_err();
        assert!(matches!(error, CoreError::PromptDeviation { .. }), "{error}");
    }

    #[test]
    fn vocabulary_is_drawn_without_replacement() {
        let candidates: Vec<u32> = (100..150).collect();
        let mut all = sample_vocabulary(&candidates, 50, 9);
        assert_ne!(all, candidates, "shuffled");
        all.sort_unstable();
        assert_eq!(all, candidates);

        let some = sample_vocabulary(&candidates, 120, 9);
        assert_eq!(some.len(), 120);
        for id in &candidates {
            let times = some.iter().filter(|&drawn| drawn == id).count();
            assert!((2..=3).contains(&times), "{id} was drawn {times} times in 120 of 50");
        }
        assert_ne!(some, sample_vocabulary(&candidates, 120, 10));
        assert!(sample_vocabulary(&[], 3, 0).is_empty());
    }
}
