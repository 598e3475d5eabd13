//! A linear map that a method may change. Its weight is stored contiguously as `[in, out]`, the transpose of Hugging
//! Face's, so that `x.matmul(w)` reads it along its rows.

use adept_core::LinearChange;
use adept_kernels::{Map, Precision, Prepared, sublayer};
use burn::module::{Module, Param, ParamId};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// A linear map with an optional change.
#[derive(Module, Debug)]
pub struct Linear<B: Backend> {
    /// `[in, out]`. Once it is prepared for a precision, it may hold no more than its shape: [`Linear::weight`] gives
    /// the values.
    pub weight: Param<Tensor<B, 2>>,
    /// `[out]`, if the map has a bias.
    pub bias: Option<Param<Tensor<B, 1>>>,
    /// A method's change; not part of the model's parameters.
    pub change: Option<LinearChange<B>>,
    /// What a precision has made of the weight, if anything.
    #[module(skip)]
    pub(crate) prepared: Option<Prepared>,
}

impl<B: Backend> Linear<B> {
    /// An unchanged map with `weight` `[in, out]` and `bias` `[out]`.
    pub fn new(weight: Param<Tensor<B, 2>>, bias: Option<Param<Tensor<B, 1>>>) -> Self {
        Self {
            weight,
            bias,
            change: None,
            prepared: None,
        }
    }

    /// Prepares the weight, which is frozen from now on, for products in a precision.
    pub(crate) fn prepare(&mut self, precision: Precision) {
        let (prepared, kept) = Prepared::new(self.weight(), precision);
        self.weight = Param::initialized(ParamId::new(), kept);
        self.prepared = prepared;
    }

    /// The weight `[in, out]`, rounded if it was prepared for a lower precision.
    pub fn weight(&self) -> Tensor<B, 2> {
        self.kept().weight()
    }

    /// The weight as it is kept.
    pub(crate) fn kept(&self) -> Map<B> {
        Map {
            kept: self.weight.val(),
            prepared: self.prepared.clone(),
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
        let y = sublayer::linear_prepared(x, self.weight.val(), self.prepared.as_ref());
        match &self.bias {
            Some(bias) => y + bias.val().unsqueeze(),
            None => y,
        }
    }

    /// `[n, in]` to `[n, out]` for maps that methods never change, such as an output head.
    pub fn forward_rows(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let y = sublayer::linear_rows_prepared(x, self.weight.val(), self.prepared.as_ref());
        match &self.bias {
            Some(bias) => y + bias.val().unsqueeze(),
            None => y,
        }
    }

    /// Whether a method changes it.
    pub fn is_changed(&self) -> bool {
        self.change.is_some()
    }

    /// Whether a precision has made something of its weight, which is frozen since.
    pub(crate) fn is_prepared(&self) -> bool {
        self.prepared.is_some()
    }

    /// Whether it is no more than its weight as a tensor: what fused sublayers compute.
    pub(crate) fn is_plain(&self) -> bool {
        self.change.is_none() && !self.is_prepared()
    }

    /// Replaces the weights by the result of [`LinearChange::merged`] (or [`LinearChange::unmerged`]).
    pub(crate) fn merge(&mut self, change: &LinearChange<B>, direction: MergeDirection) {
        let (weight, bias) = (self.weight(), self.bias.as_ref().map(Param::val));
        let (weight, bias) = match direction {
            MergeDirection::In => change.merged(weight, bias),
            MergeDirection::Out => change.unmerged(weight, bias),
        };
        self.weight = Param::from_tensor(weight).set_require_grad(false);
        if let Some(prepared) = self.prepared.take() {
            self.prepare(prepared.precision());
        }
        self.bias = bias.map(|bias| Param::from_tensor(bias).set_require_grad(false));
    }
}

/// Whether an adapter is merged or unmerged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeDirection {
    /// Into the weights.
    In,
    /// Out of weights that it was merged into before.
    Out,
}
