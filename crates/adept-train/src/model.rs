//! What the training loop and evaluation ask of a backbone, whatever its family: a loss to train on, answers to score.

pub mod causal;
mod seq2seq;

use adept_core::Intervention;
use adept_data::Batch;
use adept_models::causal::CausalCache;
use adept_models::generate::Prefix;
use adept_models::{Backbone, CodeGen, Llama, Model};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::TrainError;
use crate::answering::{self, Answer, Answering, Asked};

/// A backbone that a task can be trained on and scored with.
pub trait TaskModel<B: Backend>: Backbone<B> {
    /// Mean cross-entropy `[1]` of a batch over its labels that count. `dropout` is the backbone's own.
    fn loss(&self, adapter: &dyn Intervention<B>, batch: &Batch, dropout: f64, device: &B::Device) -> Tensor<B, 1>;

    /// What every row of an adapter begins with, read once for all batches.
    type Prefix;

    /// Reads it.
    fn prefix(&self, adapter: &dyn Intervention<B>) -> Self::Prefix;

    /// The answer to each row of a batch, in the batch's order; not differentiated.
    ///
    /// # Errors
    /// As [`Answering`].
    fn answers(
        &self,
        method: &impl Answering<B>,
        prefix: &Self::Prefix,
        asked: &Asked<'_, B>,
    ) -> Result<Vec<Answer>, TrainError>;
}

/// What is done alike with a model of every family.
macro_rules! each {
    ($self:expr, $model:ident => $work:expr) => {
        match $self {
            Self::T5($model) => $work,
            Self::CodeGen($model) => $work,
            Self::Llama($model) => $work,
        }
    };
}

impl<B: Backend> TaskModel<B> for Model<B> {
    fn loss(&self, adapter: &dyn Intervention<B>, batch: &Batch, dropout: f64, device: &B::Device) -> Tensor<B, 1> {
        each!(self, model => model.loss(adapter, batch, dropout, device))
    }

    /// None of a T5, which reads a soft prompt with each row.
    type Prefix = Option<Prefix<CausalCache<B>>>;

    fn prefix(&self, adapter: &dyn Intervention<B>) -> Self::Prefix {
        match self {
            Self::T5(_) => None,
            Self::CodeGen(model) => Some(model.prefix(adapter)),
            Self::Llama(model) => Some(model.prefix(adapter)),
        }
    }

    fn answers(
        &self,
        method: &impl Answering<B>,
        prefix: &Self::Prefix,
        asked: &Asked<'_, B>,
    ) -> Result<Vec<Answer>, TrainError> {
        let read = || {
            prefix
                .as_ref()
                .expect("`prefix` reads one of every decoder-only backbone")
        };
        match self {
            Self::T5(model) => model.answers(method, &(), asked),
            Self::CodeGen(model) => model.answers(method, read(), asked),
            Self::Llama(model) => model.answers(method, read(), asked),
        }
    }
}

/// What all decoders do alike.
macro_rules! decoders {
    ($($model:ident),*) => {$(
        impl<B: Backend> TaskModel<B> for $model<B> {
            fn loss(&self, adapter: &dyn Intervention<B>, batch: &Batch, dropout: f64, device: &B::Device) -> Tensor<B, 1> {
                causal::loss(self, adapter, batch, dropout, device)
            }

            type Prefix = Prefix<CausalCache<B>>;

            fn prefix(&self, adapter: &dyn Intervention<B>) -> Self::Prefix {
                answering::prefix(self, adapter)
            }

            fn answers(
                &self,
                method: &impl Answering<B>,
                prefix: &Self::Prefix,
                asked: &Asked<'_, B>,
            ) -> Result<Vec<Answer>, TrainError> {
                method.causal(self, prefix, asked)
            }
        }
    )*};
}

decoders!(CodeGen, Llama);
