//! What the training loop and evaluation ask of a backbone, whatever its family: a loss to train on, answers to score.

mod seq2seq;

use std::path::Path;

use adept_core::{Fingerprint, PromptAdapter};
use adept_data::Batch;
use adept_models::{Backbone, Seq2SeqBackbone as _, T5};
use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};

use crate::TrainError;
use crate::evaluate::{Decode, Predictor};

/// A backbone that a task can be trained on and scored with.
pub trait TaskModel<B: Backend>: Backbone<B> {
    /// Mean cross-entropy `[1]` of a batch over its labels that count. `dropout` is the backbone's own.
    fn loss(&self, adapter: &PromptAdapter<B>, batch: &Batch, dropout: f64, device: &B::Device) -> Tensor<B, 1>;

    /// The answer to each row of a batch, in the batch's order; not differentiated.
    ///
    /// # Errors
    /// Ids that cannot be decoded, and a way of answering that the family has not.
    fn answers(
        &self,
        adapter: &PromptAdapter<B>,
        batch: &Batch,
        predictor: &Predictor,
        decode: &Decode<'_>,
        device: &B::Device,
    ) -> Result<Vec<String>, TrainError>;
}

/// A backbone of any family, as its `config.json` says.
#[derive(Module, Debug)]
pub enum Model<B: Backend> {
    /// T5.
    T5(T5<B>),
}

impl<B: Backend> Model<B> {
    /// Reads a checkpoint in Hugging Face form.
    ///
    /// # Errors
    /// Files that cannot be read, and a family that is not known.
    pub fn load(path: &Path, device: &B::Device) -> Result<(Self, Fingerprint), TrainError> {
        let loaded = T5::<B>::load(path, device)?;
        Ok((Self::T5(loaded.model), loaded.fingerprint))
    }

    /// Writes it as a checkpoint.
    ///
    /// # Errors
    /// Files that cannot be written.
    pub fn save_pretrained(&self, path: &Path) -> Result<(), TrainError> {
        match self {
            Self::T5(model) => Ok(model.save_pretrained(path)?),
        }
    }

    /// The rate of dropout in its configuration.
    pub fn dropout_rate(&self) -> f64 {
        match self {
            Self::T5(model) => model.config().dropout_rate,
        }
    }

    /// The token that fills rows up.
    pub fn pad_id(&self) -> u32 {
        match self {
            Self::T5(model) => model.pad_id(),
        }
    }

    /// The token that ends an answer.
    pub fn eos_id(&self) -> u32 {
        match self {
            Self::T5(model) => model.eos_id(),
        }
    }
}

impl<B: Backend> Backbone<B> for Model<B> {
    fn d_model(&self) -> usize {
        match self {
            Self::T5(model) => model.d_model(),
        }
    }

    fn vocab_size(&self) -> usize {
        match self {
            Self::T5(model) => model.vocab_size(),
        }
    }

    fn embed(&self, ids: Tensor<B, 2, Int>) -> Tensor<B, 3> {
        match self {
            Self::T5(model) => model.embed(ids),
        }
    }

    fn embedding_weight(&self) -> Tensor<B, 2> {
        match self {
            Self::T5(model) => model.embedding_weight(),
        }
    }
}

impl<B: Backend> TaskModel<B> for Model<B> {
    fn loss(&self, adapter: &PromptAdapter<B>, batch: &Batch, dropout: f64, device: &B::Device) -> Tensor<B, 1> {
        match self {
            Self::T5(model) => model.loss(adapter, batch, dropout, device),
        }
    }

    fn answers(
        &self,
        adapter: &PromptAdapter<B>,
        batch: &Batch,
        predictor: &Predictor,
        decode: &Decode<'_>,
        device: &B::Device,
    ) -> Result<Vec<String>, TrainError> {
        match self {
            Self::T5(model) => model.answers(adapter, batch, predictor, decode, device),
        }
    }
}
