//! What the training loop and evaluation ask of a backbone, whatever its family: a loss to train on, answers to score.

pub mod causal;
mod seq2seq;

use adept_core::Intervention;
use adept_data::Batch;
use adept_models::{Backbone, CodeGen, Llama, Model};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::TrainError;
use crate::evaluate::{Decode, Predictor};

/// A backbone that a task can be trained on and scored with.
pub trait TaskModel<B: Backend>: Backbone<B> {
    /// Mean cross-entropy `[1]` of a batch over its labels that count. `dropout` is the backbone's own.
    fn loss(&self, adapter: &dyn Intervention<B>, batch: &Batch, dropout: f64, device: &B::Device) -> Tensor<B, 1>;

    /// The answer to each row of a batch, in the batch's order; not differentiated.
    ///
    /// # Errors
    /// Ids that cannot be decoded, and a way of answering that the family has not.
    fn answers(
        &self,
        adapter: &dyn Intervention<B>,
        batch: &Batch,
        predictor: &Predictor,
        decode: &Decode<'_>,
        device: &B::Device,
    ) -> Result<Vec<String>, TrainError>;
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

    fn answers(
        &self,
        adapter: &dyn Intervention<B>,
        batch: &Batch,
        predictor: &Predictor,
        decode: &Decode<'_>,
        device: &B::Device,
    ) -> Result<Vec<String>, TrainError> {
        each!(self, model => model.answers(adapter, batch, predictor, decode, device))
    }
}

/// What all decoders do alike.
macro_rules! decoders {
    ($($model:ident),*) => {$(
        impl<B: Backend> TaskModel<B> for $model<B> {
            fn loss(&self, adapter: &dyn Intervention<B>, batch: &Batch, dropout: f64, device: &B::Device) -> Tensor<B, 1> {
                causal::loss(self, adapter, batch, dropout, device)
            }

            fn answers(
                &self,
                _: &dyn Intervention<B>,
                _: &Batch,
                _: &Predictor,
                _: &Decode<'_>,
                _: &B::Device,
            ) -> Result<Vec<String>, TrainError> {
                Err(TrainError::NoProgram)
            }
        }
    )*};
}

decoders!(CodeGen, Llama);
