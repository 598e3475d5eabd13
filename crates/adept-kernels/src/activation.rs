//! Activations of the feed-forward layers.

use burn::tensor::activation::sigmoid;
use burn::tensor::{Tensor, backend::Backend};

/// 2·sqrt(2/π): the tanh form of GELU is `x · sigmoid(2·sqrt(2/π)·(x + 0.044715·x³))`.
const GELU_SCALE: f64 = 1.595_769_121_605_730_7;

/// Rectified linear unit.
pub fn relu<B: Backend, const D: usize>(x: Tensor<B, D>) -> Tensor<B, D> {
    #[cfg(feature = "flex")]
    if let Some(route) = crate::flex::route::<B>() {
        return crate::flex::relu(route, x);
    }
    burn::tensor::activation::relu(x)
}

/// The tanh approximation of GELU (`gelu_new`), in its equivalent but cheaper form with a sigmoid.
pub fn gelu_tanh<B: Backend, const D: usize>(x: Tensor<B, D>) -> Tensor<B, D> {
    #[cfg(feature = "flex")]
    if let Some(route) = crate::flex::route::<B>() {
        return crate::flex::gelu(route, x);
    }
    let inner = (x.clone() * x.clone()).mul_scalar(0.044715).add_scalar(1.0) * x.clone();
    x * sigmoid(inner.mul_scalar(GELU_SCALE))
}

/// `gelu_tanh(gate) · up`, the gated activation of T5 v1.1's feed-forward layer.
pub fn gated_gelu<B: Backend, const D: usize>(gate: Tensor<B, D>, up: Tensor<B, D>) -> Tensor<B, D> {
    assert_eq!(gate.dims(), up.dims(), "gated_gelu: gate and up differ in shape");
    #[cfg(feature = "flex")]
    if let Some(route) = crate::flex::route::<B>() {
        return crate::flex::gated::<crate::flex::Gelu, B, D>(route, gate, up);
    }
    gelu_tanh(gate) * up
}

/// `silu(gate) · up` with `silu(x) = x · sigmoid(x)`, the gated activation of Llama's feed-forward layer.
pub fn gated_silu<B: Backend, const D: usize>(gate: Tensor<B, D>, up: Tensor<B, D>) -> Tensor<B, D> {
    assert_eq!(gate.dims(), up.dims(), "gated_silu: gate and up differ in shape");
    #[cfg(feature = "flex")]
    if let Some(route) = crate::flex::route::<B>() {
        return crate::flex::gated::<crate::flex::Silu, B, D>(route, gate, up);
    }
    gate.clone() * sigmoid(gate) * up
}
