//! A decoder's norms over the channels of a slot or of a head.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::places::NormPlace;

/// The kind of a model's norms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormKind {
    /// Layer norm with mean and bias.
    Layer,
    /// Root-mean-square norm.
    Rms,
    /// Root-mean-square norm whose weight is a difference from 1 (Gemma).
    RmsPlusOne,
}

/// A norm.
#[derive(Module, Debug)]
pub struct Norm<B: Backend> {
    /// `[d]`.
    pub weight: Param<Tensor<B, 1>>,
    /// `[d]`: of a layer norm, or added by a method.
    pub bias: Option<Param<Tensor<B, 1>>>,
    #[module(skip)]
    kind: NormKind,
}

impl<B: Backend> Norm<B> {
    /// A norm with weight `[d]` and bias `[d]`.
    pub fn new(kind: NormKind, weight: Param<Tensor<B, 1>>, bias: Option<Param<Tensor<B, 1>>>) -> Self {
        Self { weight, bias, kind }
    }

    /// `[b, n, d]` to the same shape.
    pub fn forward(&self, x: Tensor<B, 3>, epsilon: f64) -> Tensor<B, 3> {
        let weight = self.weight.val();
        let normed = match self.kind {
            NormKind::Layer => {
                let bias = match &self.bias {
                    Some(bias) => bias.val(),
                    None => weight.zeros_like(),
                };
                return adept_kernels::layer_norm(x, weight, bias, epsilon);
            }
            NormKind::Rms => adept_kernels::rms_norm(x, weight, epsilon),
            NormKind::RmsPlusOne => adept_kernels::rms_norm(x, weight.add_scalar(1.0), epsilon),
        };
        match &self.bias {
            Some(bias) => normed + bias.val().unsqueeze(),
            None => normed,
        }
    }

    /// Every head of `[b, n, h·c]`, `c` being the norm's width.
    pub fn forward_heads(&self, x: Tensor<B, 3>, epsilon: f64) -> Tensor<B, 3> {
        let ([b, n, width], [c]) = (x.dims(), self.weight.dims());
        let heads = x.reshape([b, n * width / c, c]);
        self.forward(heads, epsilon).reshape([b, n, width])
    }

    pub(crate) fn place(&mut self) -> NormPlace<'_, B> {
        NormPlace {
            weight: &mut self.weight,
            bias: &mut self.bias,
        }
    }
}
