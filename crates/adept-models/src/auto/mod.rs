//! A backbone of whichever family its folder specifies.
//!
//! [`Family::of`] reads `model_type` from a `config.json`, [`open`] inspects a checkpoint without loading it, and
//! [`Model::load`] builds the model. Where encoder-decoders and decoder-only models differ, a [`Visitor`] decides. A
//! decoder-only family is a file of [`decoder`](crate::decoder) that reads its `config.json`, and a line of the table
//! below.

#![allow(
    clippy::large_enum_variant,
    reason = "there is one backbone in a process: a few hundred bytes are not worth a box"
)]

mod family;
mod model;
mod pretrained;

use std::path::Path;

use burn::tensor::backend::Backend;

use crate::causal::CausalCache;
use crate::checkpoint::Checkpoint;
use crate::decoder::DecoderConfig;
use crate::decoder::family::{codegen, gemma, gpt_neox, gpt2, llama, mistral, phi3, qwen, smollm3};
use crate::error::ModelError;
use crate::files::ConfigFiles;
use crate::traits::{Backbone, CausalBackbone, Seq2SeqBackbone};
use family::families;

pub use model::Model;
pub(crate) use pretrained::pretrained;
pub use pretrained::{ModelConfig, Pretrained};

/// Reads a decoder's architecture from its family's files.
pub(crate) type Reader = fn(&ConfigFiles) -> Result<DecoderConfig, ModelError>;

families! {
    /// T5: encoder-decoder.
    T5: "t5", "T5 v1.0, v1.1, flan-T5", None;
    /// CodeGen.
    CodeGen: "codegen", "CodeGen", Some(codegen::read);
    /// Llama 2, 3, 3.1, 3.2, TinyLlama, SmolLM, SmolLM2.
    Llama: "llama", "Llama", Some(llama::read);
    /// Mistral.
    Mistral: "mistral", "Mistral", Some(mistral::read);
    /// Qwen2, Qwen2.5.
    Qwen2: "qwen2", "Qwen2", Some(qwen::read_2);
    /// Qwen3.
    Qwen3: "qwen3", "Qwen3", Some(qwen::read_3);
    /// SmolLM3.
    SmolLm3: "smollm3", "SmolLM3", Some(smollm3::read);
    /// Phi-3, Phi-3.5, Phi-4.
    Phi3: "phi3", "Phi-3", Some(phi3::read);
    /// Gemma.
    Gemma: "gemma", "Gemma", Some(gemma::read_1);
    /// Gemma 2.
    Gemma2: "gemma2", "Gemma 2", Some(gemma::read_2);
    /// Gemma 3 without its vision encoder.
    Gemma3: "gemma3_text", "Gemma 3", Some(gemma::read_3);
    /// GPT-NeoX, Pythia.
    GptNeoX: "gpt_neox", "GPT-NeoX", Some(gpt_neox::read);
    /// GPT-2.
    Gpt2: "gpt2", "GPT-2", Some(gpt2::read);
}

/// A checkpoint of any family, opened but not loaded.
#[derive(Debug)]
pub struct Opened {
    /// The family of the checkpoint.
    pub family: Family,
    /// Its parsed `config.json`.
    pub config: Box<dyn ModelConfig>,
    /// Its files, without tensors that are not part of the model.
    pub checkpoint: Checkpoint,
}

/// An operation that differs between encoder-decoders and decoder-only models, but not between their families.
pub trait Visitor<B: Backend> {
    /// The result of the operation.
    type Output;

    /// The operation on an encoder-decoder.
    fn seq2seq<M: Seq2SeqBackbone<B> + Pretrained<B>>(self, model: &M) -> Self::Output;

    /// The operation on a decoder-only model.
    fn causal<M: CausalBackbone<B, Cache = CausalCache<B>> + Pretrained<B>>(self, model: &M) -> Self::Output;
}

/// A backbone of known kind: every family's, and [`Model`].
pub trait AnyBackbone<B: Backend>: Backbone<B> {
    /// Calls the visitor's method for this kind of backbone.
    fn by_kind<V: Visitor<B>>(&self, visitor: V) -> V::Output;
}

impl Family {
    /// The family given by a folder's `config.json`; T5 if it has no `model_type`.
    ///
    /// # Errors
    /// An unreadable file or an unknown family.
    pub fn of(path: &Path) -> Result<Self, ModelError> {
        let Some(found) = crate::model_type(path)? else {
            return Ok(Self::T5);
        };
        let known = Self::ALL.iter().find(|family| family.name() == found);
        known.copied().ok_or_else(|| ModelError::Family {
            path: path.to_owned(),
            known: Self::ALL.iter().map(|family| family.name()).collect(),
            nearest: Self::nearest(&found),
            found,
        })
    }

    /// The name that reads most like an unknown one.
    fn nearest(found: &str) -> &'static str {
        let names = Self::ALL.iter().map(|family| family.name());
        let nearest = names.min_by_key(|name| strsim::levenshtein(name, found));
        nearest.expect("there are families")
    }

    /// Whether a side network (LST) can run beside it: its ladder copies no norms of heads or of outputs and no fused
    /// gates.
    #[must_use]
    pub fn runs_side_network(self) -> bool {
        !matches!(self, Self::Qwen3 | Self::Phi3 | Self::Gemma2 | Self::Gemma3)
    }

    /// Whether it is decoder-only: source and target are concatenated into one row.
    #[must_use]
    pub fn is_causal(self) -> bool {
        self.reader().is_some()
    }
}

/// Opens a checkpoint without loading its weights.
///
/// # Errors
/// Unreadable files and unknown families.
pub fn open(path: &Path) -> Result<Opened, ModelError> {
    let family = Family::of(path)?;
    let (config, checkpoint): (Box<dyn ModelConfig>, _) = match family.reader() {
        None => {
            let (config, checkpoint) = crate::t5::open(path)?;
            (Box::new(config), checkpoint)
        }
        Some(_) => {
            let (config, checkpoint) = crate::decoder::open(path)?;
            (Box::new(config), checkpoint)
        }
    };
    Ok(Opened {
        family,
        config,
        checkpoint,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(config: &str) -> Result<Family, ModelError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        Family::of(folder.path())
    }

    #[test]
    fn a_family_goes_by_its_name_and_a_folder_without_one_is_a_t5() {
        for &family in Family::ALL {
            let config = format!(r#"{{"model_type": "{}"}}"#, family.name());
            assert_eq!(of(&config).unwrap(), family);
        }
        assert_eq!(of("{}").unwrap(), Family::T5);
        let error = of(r#"{"model_type": "gptj"}"#).unwrap_err().to_string();
        let expected = ": expected a backbone of model_type t5, codegen, llama, mistral, qwen2, qwen3, smollm3, phi3, \
                        gemma, gemma2, gemma3_text, gpt_neox or gpt2, found `gptj`, which is most like `gpt2`";
        assert!(error.ends_with(expected), "{error}");
    }
}
