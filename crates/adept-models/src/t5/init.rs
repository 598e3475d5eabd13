//! Random initialisation as in Hugging Face (`T5PreTrainedModel._init_weights`).
//!
//! Normal draws with a standard deviation per role: embedding and head 1, queries `(d·c)^-0.5`, keys, values, `wi` and
//! the relative table `d^-0.5`, attention output `(h·c)^-0.5`, `wo` `d_ff^-0.5`; norms are ones. (`d` d_model, `c`
//! channels per head, `h` heads; all times `initializer_factor`.)
//!
//! [`T5::try_random_matching`] initialises some heads to attend to similar tokens, an idea of Trockman and Kolter
//! (2023, "Mimetic initialization of self-attention layers"): if a head's queries equal its keys, a token's score is
//! highest for tokens like itself. The model can then detect from the first step that two sentences share a word, which
//! a small model may need millions of rows to learn from labels alone.
//!
//! Values are drawn on the host: ChaCha keyed by the seed, one stream per tensor selected by the hash of its name,
//! logarithms and cosines in software. A seed gives the same model on every machine and backend, in whatever order
//! tensors are created.

use adept_kernels::Precision;
use burn::tensor::backend::Backend;

use super::config::T5Config;
use super::model::T5;
use super::weights;
use crate::error::ModelError;
use crate::random::named_normals;
use crate::source::{self, AsStored, Source};
use crate::stored::StoredType;

impl<B: Backend> T5<B> {
    /// A randomly initialised model; no parameter requires gradients.
    ///
    /// # Panics
    /// If [`T5Config::validate`] refuses the configuration; [`T5::try_random`] returns the error instead.
    pub fn random(config: &T5Config, seed: u64, device: &B::Device) -> Self {
        Self::try_random(config, seed, device).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Like [`T5::random`], but returns an error if the configuration is invalid.
    pub fn try_random(config: &T5Config, seed: u64, device: &B::Device) -> Result<Self, ModelError> {
        Self::try_random_matching(config, seed, 0, device)
    }

    /// Like [`T5::try_random`], but in the first `heads` heads of every encoder self-attention and every
    /// cross-attention the queries are the keys times `d_kv^-0.5` (the ratio of their standard deviations), and the
    /// encoder's bias keeps those heads from attending to the token itself.
    ///
    /// # Panics
    /// If the model has fewer heads.
    pub fn try_random_matching(
        config: &T5Config,
        seed: u64,
        heads: usize,
        device: &B::Device,
    ) -> Result<Self, ModelError> {
        config.validate()?;
        assert!(
            heads <= config.num_heads,
            "{heads} matching heads of {}",
            config.num_heads
        );
        let mut source = Draws { config, seed, heads };
        weights::build(config, (device, None), &mut source)
    }

    /// Like [`T5::try_random`], as a checkpoint of an element type holds it and,
    /// if it is to stay frozen, with the maps of its blocks prepared for a
    /// precision, one at a time.
    pub fn random_in(
        config: &T5Config,
        seed: u64,
        device: &B::Device,
        (frozen, stored): (Option<Precision>, StoredType),
    ) -> Result<Self, ModelError> {
        let mut source = AsStored(Draws { config, seed, heads: 0 }, stored);
        weights::build(config, (device, frozen), &mut source)
    }
}

/// The role of a tensor, which determines its initialisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// The shared embedding or the head.
    Embedding,
    Norm,
    Query,
    KeyValue,
    AttentionOutput,
    FeedForwardIn,
    FeedForwardOut,
    RelativeBias,
}

impl Role {
    /// The role of a tensor, by its checkpoint name.
    fn of(name: &str) -> Self {
        match name.trim_end_matches(".weight").rsplit('.').next() {
            Some("layer_norm" | "final_layer_norm") => Self::Norm,
            Some("q") => Self::Query,
            Some("k" | "v") => Self::KeyValue,
            Some("o") => Self::AttentionOutput,
            Some("wi" | "wi_0" | "wi_1") => Self::FeedForwardIn,
            Some("wo") => Self::FeedForwardOut,
            Some("relative_attention_bias") => Self::RelativeBias,
            _ => Self::Embedding,
        }
    }
}

/// Random values with `heads` matching heads.
struct Draws<'a> {
    config: &'a T5Config,
    seed: u64,
    heads: usize,
}

impl Source for Draws<'_> {
    fn values(&mut self, name: &str, shape: &[usize], _: source::Role) -> Result<Vec<f32>, ModelError> {
        let Self { config, seed, heads } = *self;
        let role = Role::of(name);
        let mut values = draw(config, seed, name, shape, role);
        match role {
            Role::Query if name.starts_with("encoder.") || name.contains(".EncDecAttention.") => {
                let keys = draw(config, seed, &name.replace(".q.", ".k."), shape, Role::KeyValue);
                let (matching, factor) = (heads * config.d_kv * shape[1], (config.d_kv as f32).powf(-0.5));
                for (query, key) in values.iter_mut().zip(&keys).take(matching) {
                    *query = key * factor;
                }
            }
            // The first row of the table is distance 0.
            Role::RelativeBias if name.starts_with("encoder.") => {
                values[..heads].iter_mut().for_each(|bias| *bias -= OWN_PLACE);
            }
            _ => {}
        }
        Ok(values)
    }
}

/// Bias of a matching head against the token itself, whose score is about `d_kv^0.5`.
const OWN_PLACE: f32 = 8.0;

fn draw(config: &T5Config, seed: u64, name: &str, shape: &[usize], role: Role) -> Vec<f32> {
    let (d, inner) = (config.d_model as f64, config.inner() as f64);
    let count = shape.iter().product();
    let deviation = match role {
        Role::Norm => return vec![config.initializer_factor as f32; count],
        Role::Embedding => 1.0,
        Role::Query => (d * config.d_kv as f64).powf(-0.5),
        Role::KeyValue | Role::FeedForwardIn | Role::RelativeBias => d.powf(-0.5),
        Role::AttentionOutput => inner.powf(-0.5),
        Role::FeedForwardOut => (config.d_ff as f64).powf(-0.5),
    };
    named_normals(seed, name, count, config.initializer_factor * deviation)
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
            // The standard deviation of a sample has a relative error of 1/sqrt(2n); four times that.
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
    fn names_say_what_a_tensor_is() {
        for (name, role) in [
            ("shared.weight", Role::Embedding),
            ("lm_head.weight", Role::Embedding),
            ("encoder.final_layer_norm.weight", Role::Norm),
            ("decoder.block.1.layer.2.layer_norm.weight", Role::Norm),
            ("decoder.block.1.layer.1.EncDecAttention.q.weight", Role::Query),
            ("encoder.block.0.layer.0.SelfAttention.v.weight", Role::KeyValue),
            ("encoder.block.0.layer.0.SelfAttention.o.weight", Role::AttentionOutput),
            (
                "encoder.block.0.layer.1.DenseReluDense.wi_1.weight",
                Role::FeedForwardIn,
            ),
            ("encoder.block.0.layer.1.DenseReluDense.wo.weight", Role::FeedForwardOut),
            (
                "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
                Role::RelativeBias,
            ),
        ] {
            assert_eq!(Role::of(name), role, "{name}");
        }
    }

    #[test]
    fn streams_differ_by_seed_and_name_and_nothing_else() {
        let config = T5Config::t5_small();
        let values = |seed, name| draw(&config, seed, name, &[2, 3], Role::Embedding);
        assert_eq!(values(1, "a"), values(1, "a"));
        assert_ne!(values(1, "a"), values(2, "a"));
        assert_ne!(values(1, "a"), values(1, "b"));
        // Pinned: a change here changes every "random backbone" of a recorded run.
        assert_eq!(
            values(1, "a")[..2].iter().map(|x| x.to_bits()).collect::<Vec<_>>(),
            [3_223_798_333, 3_213_384_121]
        );
    }

    #[test]
    fn matching_heads_score_a_token_highest_at_its_like() {
        let config = T5Config {
            vocab_size: 10,
            d_model: 24,
            d_kv: 4,
            d_ff: 8,
            num_heads: 3,
            num_layers: 2,
            num_decoder_layers: 2,
            ..T5Config::t5_small()
        };
        let device = Default::default();
        let plain = T5::<burn_flex::Flex>::random(&config, 3, &device);
        let model = T5::<burn_flex::Flex>::try_random_matching(&config, 3, 2, &device).expect("a sound configuration");
        let values = |tensor: burn::tensor::Tensor<burn_flex::Flex, 2>| -> Vec<f32> {
            tensor.into_data().into_vec().expect("float32 values")
        };
        let columns =
            |linear: &crate::linear::Linear<burn_flex::Flex>, range| values(linear.weight.val().slice([0..24, range]));
        let mut matching: Vec<_> = model.encoder.block.iter().map(|block| &block.self_attention).collect();
        matching.extend(
            model
                .decoder
                .block
                .iter()
                .filter_map(|block| block.cross_attention.as_ref()),
        );
        assert_eq!(matching.len(), 4);
        for attention in matching {
            let half = |values: Vec<f32>| values.iter().map(|x| x * 0.5).collect::<Vec<_>>();
            assert_eq!(columns(&attention.q, 0..8), half(columns(&attention.k, 0..8)));
            assert_ne!(columns(&attention.q, 8..12), half(columns(&attention.k, 8..12)));
        }
        let biases = |model: &T5<burn_flex::Flex>| values(model.encoder.relative_attention_bias.val());
        let moved: Vec<f32> = biases(&model).iter().zip(biases(&plain)).map(|(a, b)| a - b).collect();
        assert!(moved[..2].iter().all(|change| (change + 8.0).abs() < 1e-5), "{moved:?}");
        assert!(moved[2..].iter().all(|change| *change == 0.0), "{moved:?}");
        // Everything else is as without matching heads.
        assert_eq!(values(model.shared.weight.val()), values(plain.shared.weight.val()));
        let own = |model: &T5<burn_flex::Flex>| values(model.decoder.block[1].self_attention.q.weight.val());
        assert_eq!(own(&model), own(&plain));
        let third = |model: &T5<burn_flex::Flex>| columns(&model.encoder.block[0].self_attention.q, 8..12);
        assert_eq!(third(&model), third(&plain));
    }
}
