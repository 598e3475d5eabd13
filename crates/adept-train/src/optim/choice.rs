//! An optimiser chosen at run time.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};

use super::{Adafactor, AdamW, OptimizerState, ReadTensor};
use crate::gradient::GradientSet;

/// AdamW or Adafactor.
#[derive(Debug, Clone)]
pub enum Optimizer<B: Backend> {
    /// By Loshchilov and Hutter.
    AdamW(AdamW<B>),
    /// By Shazeer and Stern.
    Adafactor(Adafactor<B>),
}

impl<B: Backend> Optimizer<B> {
    /// Steps every parameter that has a gradient and a group; `rates` has one learning rate per group.
    pub fn step<AB, M>(&mut self, module: M, gradients: GradientSet<B>, rates: &[f64]) -> M
    where
        AB: AutodiffBackend<InnerBackend = B>,
        M: Module<AB>,
    {
        match self {
            Self::AdamW(optimizer) => optimizer.step::<AB, M>(module, gradients, rates),
            Self::Adafactor(optimizer) => optimizer.step::<AB, M>(module, gradients, rates),
        }
    }
}

impl<B: Backend> OptimizerState<B> for Optimizer<B> {
    fn tensors(&self) -> Vec<(String, Tensor<B, 1>)> {
        match self {
            Self::AdamW(optimizer) => optimizer.tensors(),
            Self::Adafactor(optimizer) => optimizer.tensors(),
        }
    }

    fn steps(&self) -> BTreeMap<String, u64> {
        match self {
            Self::AdamW(optimizer) => optimizer.steps(),
            Self::Adafactor(optimizer) => optimizer.steps(),
        }
    }

    fn put_back<E>(
        &mut self,
        steps: &BTreeMap<String, u64>,
        read: &mut ReadTensor<'_, B, E>,
        missing: &dyn Fn(String) -> E,
    ) -> Result<(), E> {
        match self {
            Self::AdamW(optimizer) => optimizer.put_back(steps, read, missing),
            Self::Adafactor(optimizer) => optimizer.put_back(steps, read, missing),
        }
    }
}
