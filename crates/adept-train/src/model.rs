//! What the training loop and evaluation ask of a backbone, whatever its family: a loss to train on, answers to score.

pub mod causal;
mod seq2seq;

use std::path::Path;

use adept_core::{Fingerprint, Intervention, ModelSites};
use adept_data::Batch;
use adept_models::checkpoint::Checkpoint;
use adept_models::{
    Backbone, CausalBackbone, CodeGen, Linear, Llama, ModelError, Seq2SeqBackbone as _, StoredType, T5, codegen, llama,
    t5,
};
use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};

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

/// A backbone of any family, as its `config.json` says.
#[derive(Module, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is one backbone in a process: a few hundred bytes are not worth a box"
)]
pub enum Model<B: Backend> {
    /// T5.
    T5(T5<B>),
    /// CodeGen.
    CodeGen(CodeGen<B>),
    /// Llama.
    Llama(Llama<B>),
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

/// A family of backbones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// T5: an encoder and a decoder.
    T5,
    /// CodeGen: a decoder alone.
    CodeGen,
    /// Llama: a decoder alone.
    Llama,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 3] = [Self::T5, Self::CodeGen, Self::Llama];

    /// Its name in tables.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::T5 => "T5 v1.0, v1.1, flan-T5",
            Self::CodeGen => "CodeGen",
            Self::Llama => "Llama",
        }
    }

    /// The family that a folder's `config.json` names; one that names none is a T5.
    ///
    /// # Errors
    /// A file that cannot be read, and a family that is not known.
    pub fn of(path: &Path) -> Result<Self, TrainError> {
        match adept_models::model_type(path)?.as_deref() {
            None | Some("t5") => Ok(Self::T5),
            Some("codegen") => Ok(Self::CodeGen),
            Some("llama") => Ok(Self::Llama),
            Some(found) => Err(TrainError::Family {
                path: path.to_owned(),
                found: found.to_owned(),
            }),
        }
    }

    /// Name as `model_type` of a `config.json` has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::T5 => "t5",
            Self::CodeGen => "codegen",
            Self::Llama => "llama",
        }
    }

    /// Whether it is a decoder alone, whose rows hold source and target one behind the other.
    #[must_use]
    pub fn is_causal(self) -> bool {
        self != Self::T5
    }
}

/// A checkpoint of any family that is not loaded.
#[derive(Debug)]
pub struct Opened {
    /// Its family.
    pub family: Family,
    /// What a method has to know of it.
    pub sites: ModelSites,
    /// Its files, without what takes no part in the model.
    pub checkpoint: Checkpoint,
}

/// Opens a checkpoint without loading it.
///
/// # Errors
/// As [`Model::load`].
pub fn open(path: &Path) -> Result<Opened, TrainError> {
    let family = Family::of(path)?;
    let (sites, checkpoint) = match family {
        Family::T5 => t5::open(path).map(|(config, files)| (config.sites(), files))?,
        Family::CodeGen => codegen::open(path).map(|(config, files)| (config.sites(), files))?,
        Family::Llama => llama::open(path).map(|(config, files)| (config.sites(), files))?,
    };
    Ok(Opened {
        family,
        sites,
        checkpoint,
    })
}

impl<B: Backend> Model<B> {
    /// Reads a checkpoint in Hugging Face form.
    ///
    /// # Errors
    /// Files that cannot be read, and a family that is not known.
    pub fn load(path: &Path, device: &B::Device) -> Result<(Self, Fingerprint), TrainError> {
        let loaded: Result<_, ModelError> = match Family::of(path)? {
            Family::T5 => T5::<B>::load(path, device).map(|loaded| (Self::T5(loaded.model), loaded.fingerprint)),
            Family::CodeGen => {
                CodeGen::<B>::load(path, device).map(|loaded| (Self::CodeGen(loaded.model), loaded.fingerprint))
            }
            Family::Llama => {
                Llama::<B>::load(path, device).map(|loaded| (Self::Llama(loaded.model), loaded.fingerprint))
            }
        };
        Ok(loaded?)
    }

    /// Writes it as a checkpoint.
    ///
    /// # Errors
    /// Files that cannot be written.
    pub fn save_pretrained(&self, path: &Path) -> Result<(), TrainError> {
        match self {
            Self::T5(model) => model.save_pretrained(path)?,
            Self::CodeGen(model) => model.save_pretrained(path, StoredType::F32)?,
            Self::Llama(model) => model.save_pretrained(path, StoredType::F32)?,
        }
        Ok(())
    }

    /// Its family.
    pub fn family(&self) -> Family {
        match self {
            Self::T5(_) => Family::T5,
            Self::CodeGen(_) => Family::CodeGen,
            Self::Llama(_) => Family::Llama,
        }
    }

    /// The rate of dropout in its configuration.
    pub fn dropout_rate(&self) -> f64 {
        each!(self, model => model.config().dropout_rate)
    }

    /// The token that fills rows up.
    pub fn pad_id(&self) -> u32 {
        each!(self, model => model.pad_id())
    }

    /// The token that training appends, the first of [`eos_ids`](Self::eos_ids).
    pub fn eos_id(&self) -> u32 {
        let first = self.eos_ids().first();
        *first.expect("a configuration without an end token is refused")
    }

    /// The tokens that end an answer, by `generation_config.json` and `config.json`.
    pub fn eos_ids(&self) -> &[u32] {
        each!(self, model => model.eos_ids())
    }
}

impl<B: Backend> Backbone<B> for Model<B> {
    fn d_model(&self) -> usize {
        each!(self, model => model.d_model())
    }

    fn vocab_size(&self) -> usize {
        each!(self, model => model.vocab_size())
    }

    fn embed(&self, ids: Tensor<B, 2, Int>) -> Tensor<B, 3> {
        each!(self, model => model.embed(ids))
    }

    fn embedding_weight(&self) -> Tensor<B, 2> {
        each!(self, model => model.embedding_weight())
    }

    fn sites(&self) -> ModelSites {
        each!(self, model => model.sites())
    }

    fn linears_mut(&mut self) -> Vec<&mut Linear<B>> {
        each!(self, model => model.linears_mut())
    }
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
