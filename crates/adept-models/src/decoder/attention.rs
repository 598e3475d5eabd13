//! Self-attention of a block.

use adept_kernels::{RotaryAngles, rotary};
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::block::Angles;
use super::config::DecoderConfig;
use super::norm::Norm;
use crate::causal::{Choice, Reading, attend};
use crate::linear::Linear;
use crate::places::Attached;

/// Three projections.
#[derive(Module, Debug)]
pub struct Apart<B: Backend> {
    /// Queries, `[d, h·c]`.
    pub query: Linear<B>,
    /// Keys, `[d, g·c]`.
    pub key: Linear<B>,
    /// Values, `[d, g·c]`.
    pub value: Linear<B>,
}

/// Projections of queries, keys and values.
#[derive(Module, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "a few hundred bytes a block are not worth a box"
)]
pub enum Projections<B: Backend> {
    /// Three maps.
    Apart(Apart<B>),
    /// One map `[d, (h + 2·g)·c]`: queries, keys, values of all heads, whatever their order in files.
    Fused(Linear<B>),
}

/// Self-attention of a block.
#[derive(Module, Debug)]
pub struct Attention<B: Backend> {
    /// Queries, keys and values.
    pub projections: Projections<B>,
    /// The norm of each head's queries, `[c]`.
    pub query_norm: Option<Norm<B>>,
    /// The norm of each head's keys, `[c]`.
    pub key_norm: Option<Norm<B>>,
    /// `[h·c, d]`.
    pub output: Linear<B>,
    /// What a method attaches.
    pub attached: Attached<B>,
}

impl<B: Backend> Projections<B> {
    /// Queries `[b, n, h·c]`, keys and values `[b, n, g·c]`.
    fn forward(&self, x: Tensor<B, 3>, config: &DecoderConfig) -> [Tensor<B, 3>; 3] {
        match self {
            Self::Apart(maps) => [
                maps.query.forward(x.clone()),
                maps.key.forward(x.clone()),
                maps.value.forward(x),
            ],
            Self::Fused(map) => {
                let [wide, narrow] = config.widths();
                let all = map.forward(x);
                let part = |first: usize, width: usize| all.clone().narrow(2, first, width);
                [part(0, wide), part(wide, narrow), part(wide + narrow, narrow)]
            }
        }
    }
}

impl<B: Backend> Attention<B> {
    /// The attention of block `block`, whose keys and values the cache has under `number`, of all slots or `only` some.
    pub(super) fn forward(
        &self,
        [number, block]: [usize; 2],
        x: Tensor<B, 3>,
        config: &DecoderConfig,
        angles: &Angles<B>,
        reading: &mut Reading<'_, B>,
        only: Option<&Choice<B>>,
    ) -> Tensor<B, 3> {
        let [query, key, value] = self.projections.forward(x, config);
        let epsilon = config.norm_epsilon;
        let normed = |x: Tensor<B, 3>, norm: &Option<Norm<B>>| match norm {
            Some(norm) => norm.forward_heads(x, epsilon),
            None => x,
        };
        let angles: Option<&RotaryAngles<B>> = angles.of_block(config, block);
        let turned = |x: Tensor<B, 3>, heads: usize| match angles {
            Some(angles) => rotary(x, heads, angles, config.pairs),
            None => x,
        };
        let query = turned(normed(query, &self.query_norm), config.heads);
        let key = turned(normed(key, &self.key_norm), config.key_heads);
        let context = attend(
            number,
            [query, key, value],
            config.scoring(block),
            &self.attached,
            reading,
        );
        let context = match only {
            Some(only) => only.of(context),
            None => context,
        };
        self.attached.after(self.output.forward(context))
    }
}
