//! Normalisation over the channels of a slot.

use adept_kernels::{layer_norm, rms_norm};
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::places::NormPlace;

/// Layer norm with mean, weight and bias.
#[derive(Module, Debug)]
pub struct LayerNorm<B: Backend> {
    /// `[d]`.
    pub weight: Param<Tensor<B, 1>>,
    /// `[d]`, in every model so far.
    pub bias: Option<Param<Tensor<B, 1>>>,
}

impl<B: Backend> LayerNorm<B> {
    /// `[b, n, d]` to the same shape.
    pub fn forward(&self, x: Tensor<B, 3>, epsilon: f64) -> Tensor<B, 3> {
        let bias = match &self.bias {
            Some(bias) => bias.val(),
            None => self.weight.val().zeros_like(),
        };
        layer_norm(x, self.weight.val(), bias, epsilon)
    }

    pub(crate) fn place(&mut self) -> NormPlace<'_, B> {
        NormPlace {
            weight: &mut self.weight,
            bias: &mut self.bias,
        }
    }
}

/// Root-mean-square norm, without mean and bias. T5 calls it layer norm.
#[derive(Module, Debug)]
pub struct RmsNorm<B: Backend> {
    /// `[d]`.
    pub weight: Param<Tensor<B, 1>>,
    /// `[d]`, if a method adds one.
    pub bias: Option<Param<Tensor<B, 1>>>,
}

impl<B: Backend> RmsNorm<B> {
    /// A norm with this weight `[d]`.
    pub fn new(weight: Param<Tensor<B, 1>>) -> Self {
        Self { weight, bias: None }
    }

    /// `[b, n, d]` to the same shape.
    pub fn forward(&self, x: Tensor<B, 3>, epsilon: f64) -> Tensor<B, 3> {
        let normed = rms_norm(x, self.weight.val(), epsilon);
        match &self.bias {
            Some(bias) => normed + bias.val().unsqueeze(),
            None => normed,
        }
    }

    pub(crate) fn place(&mut self) -> NormPlace<'_, B> {
        NormPlace {
            weight: &mut self.weight,
            bias: &mut self.bias,
        }
    }
}
