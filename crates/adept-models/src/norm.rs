//! Root-mean-square norm over the channels of a slot.

use adept_kernels::rms_norm;
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::places::NormPlace;

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
