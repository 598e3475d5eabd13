//! Random starts by Hugging Face's scheme (`T5PreTrainedModel._init_weights`).
//!
//! Normal draws, standard deviation a role: embedding and head 1, queries `(d·c)^-0.5`, keys, values, `wi` and the
//! relative table `d^-0.5`, attention output `(h·c)^-0.5`, `wo` `d_ff^-0.5`; norms are ones. (`d` d_model, `c` channels of
//! a head, `h` heads; all times `initializer_factor`.)
//!
//! Draws come from the host: ChaCha keyed by the seed, one stream a tensor by the hash of its name, logarithms and
//! cosines in software. A seed gives the same model on every machine and backend, whatever order tensors are made in.

use burn::tensor::backend::Backend;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::config::T5Config;
use super::model::T5;
use super::weights::{self, Role};
use crate::error::ModelError;

impl<B: Backend> T5<B> {
    /// A model with random weights; nothing requires a gradient.
    ///
    /// # Panics
    /// Where the configuration is refused by [`T5Config::validate`]; [`T5::try_random`] returns the reason instead.
    pub fn random(config: &T5Config, seed: u64, device: &B::Device) -> Self {
        Self::try_random(config, seed, device).unwrap_or_else(|error| panic!("{error}"))
    }

    /// As [`T5::random`], with the reason where the configuration is refused.
    pub fn try_random(config: &T5Config, seed: u64, device: &B::Device) -> Result<Self, ModelError> {
        let mut source = |name: &str, shape: &[usize], role: Role| Ok(draw(config, seed, name, shape, role));
        weights::build(config, device, &mut source)
    }
}

fn draw(config: &T5Config, seed: u64, name: &str, shape: &[usize], role: Role) -> Vec<f32> {
    let (d, inner) = (config.d_model as f64, config.inner() as f64);
    let count = shape.iter().product();
    let deviation = match role {
        Role::Norm => return vec![config.initializer_factor as f32; count],
        Role::Embedding | Role::Head => 1.0,
        Role::Query => (d * config.d_kv as f64).powf(-0.5),
        Role::KeyValue | Role::FeedForwardIn | Role::RelativeBias => d.powf(-0.5),
        Role::AttentionOutput => inner.powf(-0.5),
        Role::FeedForwardOut => (config.d_ff as f64).powf(-0.5),
    };
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(fnv1a(name));
    normals(&mut rng, count, config.initializer_factor * deviation)
}

/// `count` draws of N(0, deviation²) by Box and Muller's transform.
fn normals(rng: &mut ChaCha8Rng, count: usize, deviation: f64) -> Vec<f32> {
    // 24 bits a draw, moved by half a step so that the logarithm never sees zero.
    let mut uniform = || (f64::from(rng.next_u32() >> 8) + 0.5) / f64::from(1u32 << 24);
    let mut out = Vec::with_capacity(count + 1);
    while out.len() < count {
        let radius = deviation * (-2.0 * libm::log(uniform())).sqrt();
        let (sine, cosine) = libm::sincos(std::f64::consts::TAU * uniform());
        out.push((radius * cosine) as f32);
        out.push((radius * sine) as f32);
    }
    out.truncate(count);
    out
}

/// Fowler, Noll and Vo's hash: small, fixed by its definition.
fn fnv1a(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_the_deviation_of_their_role() {
        let config = T5Config {
            vocab_size: 500,
            d_model: 64,
            d_kv: 16,
            d_ff: 128,
            num_heads: 3,
            ..T5Config::t5_small()
        };
        for (role, shape, expected) in [
            (Role::Embedding, [500, 64], 1.0),
            (Role::Query, [48, 64], 1.0 / 32.0),
            (Role::KeyValue, [48, 64], 0.125),
            (Role::AttentionOutput, [64, 48], 48f64.powf(-0.5)),
            (Role::FeedForwardIn, [128, 64], 0.125),
            (Role::FeedForwardOut, [64, 128], 128f64.powf(-0.5)),
        ] {
            let values = draw(&config, 7, "a", &shape, role);
            let count = values.len() as f64;
            let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
            let deviation = (values.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / count).sqrt();
            // A sample's deviation scatters by 1/sqrt(2n) of itself: four times that.
            let tolerance = expected * 4.0 / (2.0 * count).sqrt();
            assert!(
                (deviation - expected).abs() < tolerance,
                "{role:?}: {deviation} for {expected}"
            );
            assert!(mean.abs() < 4.0 * expected / count.sqrt(), "{role:?}: mean {mean}");
        }
        assert_eq!(draw(&config, 7, "n", &[3], Role::Norm), [1.0; 3]);
    }

    #[test]
    fn streams_differ_by_seed_and_name_and_nothing_else() {
        let config = T5Config::t5_small();
        let values = |seed, name| draw(&config, seed, name, &[2, 3], Role::Embedding);
        assert_eq!(values(1, "a"), values(1, "a"));
        assert_ne!(values(1, "a"), values(2, "a"));
        assert_ne!(values(1, "a"), values(1, "b"));
        // Fixed once: a change here changes every "random backbone" of a recorded run.
        assert_eq!(
            values(1, "a")[..2].iter().map(|x| x.to_bits()).collect::<Vec<_>>(),
            [3_223_798_333, 3_213_384_121]
        );
    }
}
