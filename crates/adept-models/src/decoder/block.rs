//! A block: attention and feed-forward layer with their norms and residual connections.

use adept_kernels::{RotaryAngles, dropout};
use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};

use super::attention::Attention;
use super::config::{DecoderConfig, Residual};
use super::feed_forward::FeedForward;
use super::norm::Norm;
use super::rope::Rope;
use crate::causal::{Choice, Reading};

/// One block.
#[derive(Module, Debug)]
pub struct Block<B: Backend> {
    /// The norm before the attention; of parallel sublayers that share one, before both.
    pub before_attention: Norm<B>,
    /// Self-attention.
    pub attention: Attention<B>,
    /// The norm of the attention's output.
    pub after_attention: Option<Norm<B>>,
    /// The norm before the feed-forward layer, unless it shares the attention's.
    pub before_feed_forward: Option<Norm<B>>,
    /// Feed-forward layer.
    pub feed_forward: FeedForward<B>,
    /// The norm of the feed-forward layer's output.
    pub after_feed_forward: Option<Norm<B>>,
}

/// Rotary angles of a pass.
#[derive(Debug, Clone)]
pub(super) struct Angles<B: Backend> {
    every: Option<RotaryAngles<B>>,
    /// Of the blocks with a window, if they are others.
    windowed: Option<RotaryAngles<B>>,
}

impl<B: Backend> Angles<B> {
    /// Angles of positions `[b, n]` in a batch of a length.
    pub fn new(config: &DecoderConfig, positions: &Tensor<B, 2, Int>, length: usize, reading: &Reading<'_, B>) -> Self {
        let of = |rope: &Rope| reading.angles(rope.rotary(length).angles(positions.clone()));
        Self {
            every: config.rope.as_ref().map(of),
            windowed: config.window_rope.as_ref().map(of),
        }
    }

    /// Those of a block; `None` if it rotates nothing.
    pub fn of_block(&self, config: &DecoderConfig, block: usize) -> Option<&RotaryAngles<B>> {
        if !config.rotated.contains(block) {
            return None;
        }
        match &self.windowed {
            Some(windowed) if config.windowed.contains(block) => Some(windowed),
            _ => self.every.as_ref(),
        }
    }
}

impl<B: Backend> Block<B> {
    /// Block `block` of the model, or the one beside it, which the cache has under `number`; `config` has its widths.
    /// What leaves it are all slots or `only` some.
    pub(super) fn forward(
        &self,
        places: [usize; 2],
        x: Tensor<B, 3>,
        config: &DecoderConfig,
        angles: &Angles<B>,
        reading: &mut Reading<'_, B>,
        only: Option<&Choice<B>>,
    ) -> Tensor<B, 3> {
        let chosen = |x: Tensor<B, 3>| match only {
            Some(only) => only.of(x),
            None => x,
        };
        let epsilon = config.norm_epsilon;
        let rate = if config.drops_layers { reading.dropout() } else { 0.0 };
        let leaving = |y: Tensor<B, 3>, norm: &Option<Norm<B>>| {
            let y = match norm {
                Some(norm) => norm.forward(y, epsilon),
                None => y,
            };
            dropout(y, rate)
        };
        let normed = self.before_attention.forward(x.clone(), epsilon);
        let attended = self
            .attention
            .forward(places, normed.clone(), config, angles, reading, only);
        let x = chosen(x);
        let attended = leaving(attended, &self.after_attention);
        let (x, beside) = match config.residual {
            Residual::Sequential => (x + attended, None),
            Residual::Parallel | Residual::ParallelShared => (x, Some(attended)),
        };
        let normed = match &self.before_feed_forward {
            Some(norm) => norm.forward(x.clone(), epsilon),
            None => chosen(normed),
        };
        let x = self.feed_forward.attached.with_beside(x, normed.clone());
        let activated = self.feed_forward.forward(normed, config.activation);
        let activated = leaving(activated, &self.after_feed_forward);
        match beside {
            Some(attended) => x + attended + activated,
            None => x + activated,
        }
    }
}
