//! The token embeddings of a model, which a tied head reads, too.

use adept_kernels::{Map, Precision, Prepared};
use burn::module::{Module, Param, ParamId};
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};

/// A table of token embeddings.
#[derive(Module, Debug)]
pub struct Embedding<B: Backend> {
    /// `[vocab, d_model]`, as in the checkpoint. Once the model is prepared to stay frozen, it may hold no more than
    /// its shape: [`Embedding::weight`] gives the values.
    pub weight: Param<Tensor<B, 2>>,
    /// What preparing has made of the table, if anything.
    #[module(skip)]
    prepared: Option<Prepared>,
}

impl<B: Backend> Embedding<B> {
    /// A table `[vocab, d_model]`.
    pub fn new(weight: Param<Tensor<B, 2>>) -> Self {
        Self { weight, prepared: None }
    }

    /// Prepares the table, which is frozen from now on. In every precision its numbers stay as they are.
    pub(crate) fn prepare(&mut self) {
        let (prepared, kept) = Prepared::new(self.weight(), Precision::F32);
        self.weight = Param::initialized(ParamId::new(), kept);
        self.prepared = prepared;
    }

    /// Whether preparing has made something of it.
    pub(crate) fn is_prepared(&self) -> bool {
        self.prepared.is_some()
    }

    /// The table `[vocab, d_model]`.
    pub fn weight(&self) -> Tensor<B, 2> {
        self.kept().weight()
    }

    /// The table as it is kept.
    pub(crate) fn kept(&self) -> Map<B> {
        Map {
            kept: self.weight.val(),
            prepared: self.prepared.clone(),
        }
    }

    /// The rows of token ids `[b, n]`: `[b, n, d_model]`.
    pub(crate) fn look_up(&self, ids: Tensor<B, 2, Int>) -> Tensor<B, 3> {
        adept_kernels::embedding(self.kept(), ids)
    }

    /// Adds a method's change `[vocab, d_model]`.
    pub(crate) fn add(&mut self, change: Tensor<B, 2>) {
        self.weight = Param::initialized(ParamId::new(), self.weight() + change);
        self.prepared = None;
    }
}
