//! A linear map, which a method may change. Its weight is kept `[in, out]`, the transpose of Hugging Face's, and
//! contiguous: `x.matmul(w)` then reads it along its rows.

use adept_core::LinearChange;
use adept_kernels::sublayer;
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// A linear map.
#[derive(Module, Debug)]
pub struct Linear<B: Backend> {
    /// `[in, out]`.
    pub weight: Param<Tensor<B, 2>>,
    /// `[out]`, where there is one.
    pub bias: Option<Param<Tensor<B, 1>>>,
    /// What a method changes about it; no parameters of the model's.
    pub change: Option<LinearChange<B>>,
}

impl<B: Backend> Linear<B> {
    /// An unchanged map of `weight` `[in, out]` and `bias` `[out]`.
    pub fn new(weight: Param<Tensor<B, 2>>, bias: Option<Param<Tensor<B, 1>>>) -> Self {
        Self {
            weight,
            bias,
            change: None,
        }
    }

    /// `[b, n, in]` to `[b, n, out]`.
    pub fn forward(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        match &self.change {
            Some(change) => change.apply(x, |x| self.unchanged(x)),
            None => self.unchanged(x),
        }
    }

    fn unchanged(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let y = sublayer::linear(x, self.weight.val());
        match &self.bias {
            Some(bias) => y + bias.val().unsqueeze(),
            None => y,
        }
    }

    /// `[n, in]` to `[n, out]` of a map that nothing changes, such as an output head.
    pub fn forward_rows(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let y = x.matmul(self.weight.val());
        match &self.bias {
            Some(bias) => y + bias.val().unsqueeze(),
            None => y,
        }
    }

    /// Whether a method changes it.
    pub fn is_changed(&self) -> bool {
        self.change.is_some()
    }

    /// Makes the weights those that [`LinearChange::merged`] (or [`LinearChange::unmerged`]) gives for them.
    pub(crate) fn merge(&mut self, change: &LinearChange<B>, direction: MergeDirection) {
        let (weight, bias) = (self.weight.val(), self.bias.as_ref().map(Param::val));
        let (weight, bias) = match direction {
            MergeDirection::In => change.merged(weight, bias),
            MergeDirection::Out => change.unmerged(weight, bias),
        };
        self.weight = Param::from_tensor(weight).set_require_grad(false);
        self.bias = bias.map(|bias| Param::from_tensor(bias).set_require_grad(false));
    }
}

/// Whether an adapter goes into the weights or out of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeDirection {
    /// Into the weights.
    In,
    /// Out of weights that it was merged into.
    Out,
}
