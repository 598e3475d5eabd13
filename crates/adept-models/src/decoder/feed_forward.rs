//! The feed-forward layer of a block.

use std::f64::consts::FRAC_1_SQRT_2;

use adept_kernels::{gated_gelu, gated_silu, gelu_tanh};
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::silu;
use burn::tensor::backend::Backend;

use super::config::Activation;
use crate::linear::Linear;
use crate::places::Attached;

/// Two maps into a gated layer.
#[derive(Module, Debug)]
pub struct Gated<B: Backend> {
    /// The activated projection, `[d, f]`.
    pub gate: Linear<B>,
    /// `[d, f]`.
    pub up: Linear<B>,
}

/// Maps into a feed-forward layer.
#[derive(Module, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "a few hundred bytes a block are not worth a box"
)]
pub enum Inner<B: Backend> {
    /// One map whose output is activated, `[d, f]`.
    Plain(Linear<B>),
    /// A gate and what passes through it.
    Gated(Gated<B>),
    /// The same in one map, `[d, 2·f]`: the gate first.
    GatedFused(Linear<B>),
}

/// The feed-forward layer of a block.
#[derive(Module, Debug)]
pub struct FeedForward<B: Backend> {
    /// The maps into it.
    pub inner: Inner<B>,
    /// `[f, d]`.
    pub down: Linear<B>,
    /// What a method attaches.
    pub attached: Attached<B>,
}

impl<B: Backend> FeedForward<B> {
    /// `[b, n, d]` to the same shape.
    pub(super) fn forward(&self, x: Tensor<B, 3>, activation: Activation) -> Tensor<B, 3> {
        let inner = match &self.inner {
            Inner::Plain(up) => activation.plain(up.forward(x)),
            Inner::Gated(maps) => activation.gated(maps.gate.forward(x.clone()), maps.up.forward(x)),
            Inner::GatedFused(map) => {
                let both = map.forward(x);
                let width = both.dims()[2] / 2;
                activation.gated(both.clone().narrow(2, 0, width), both.narrow(2, width, width))
            }
        };
        self.attached.after(self.down.forward(inner))
    }
}

/// `x·Φ(x)` by the error function. Not burn's own: its gradient is that of the tanh form on some backends.
fn gelu<B: Backend>(x: Tensor<B, 3>) -> Tensor<B, 3> {
    let below = x
        .clone()
        .mul_scalar(FRAC_1_SQRT_2)
        .erf()
        .add_scalar(1.0)
        .mul_scalar(0.5);
    x * below
}

impl Activation {
    fn plain<B: Backend>(self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        match self {
            Self::Silu => silu(x),
            Self::Gelu => gelu(x),
            Self::GeluTanh => gelu_tanh(x),
        }
    }

    fn gated<B: Backend>(self, gate: Tensor<B, 3>, up: Tensor<B, 3>) -> Tensor<B, 3> {
        match self {
            Self::Silu => gated_silu(gate, up),
            Self::Gelu => gelu(gate) * up,
            Self::GeluTanh => gated_gelu(gate, up),
        }
    }
}
