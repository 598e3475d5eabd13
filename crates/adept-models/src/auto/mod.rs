//! A backbone of whichever family its folder specifies.
//!
//! [`Family::of`] reads `model_type` from a `config.json`, [`open`] inspects a checkpoint without loading it, and
//! [`Model::load`] builds the model. Where encoder-decoders and decoder-only models differ, a [`Visitor`] decides;
//! everything else about a family is in its own module, which implements [`Pretrained`] and [`ModelConfig`] and is
//! listed once, in the table below.

#![allow(
    clippy::large_enum_variant,
    reason = "there is one backbone in a process: a few hundred bytes are not worth a box"
)]

mod family;
mod pretrained;

use std::path::Path;

use adept_core::{ModelSites, SideNetwork, SourceNetworks};
use adept_kernels::Precision;
use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};

use crate::causal::CausalCache;
use crate::checkpoint::Checkpoint;
use crate::error::ModelError;
use crate::places::Places;
use crate::stored::{Loaded, StoredType};
use crate::traits::{Backbone, CausalBackbone, Seq2SeqBackbone};
use family::{families, kind};

pub(crate) use pretrained::pretrained;
pub use pretrained::{ModelConfig, Pretrained};

families! {
    /// T5: encoder-decoder.
    T5: "t5", "T5 v1.0, v1.1, flan-T5", t5, seq2seq;
    /// CodeGen: decoder-only.
    CodeGen: "codegen", "CodeGen", codegen, causal;
    /// Llama: decoder-only.
    Llama: "llama", "Llama", llama, causal;
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

/// Architecture, which determines the layout of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Seq2seq,
    Causal,
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
            found,
        })
    }

    /// Whether it is decoder-only: source and target are concatenated into one row.
    #[must_use]
    pub fn is_causal(self) -> bool {
        self.kind() == Kind::Causal
    }
}

impl<B: Backend> Model<B> {
    /// The end token that training appends, the first of [`eos_ids`](Self::eos_ids).
    pub fn eos_id(&self) -> u32 {
        let first = self.eos_ids().first();
        *first.expect("a configuration without an end token is refused")
    }

    /// Number of positions it was trained for; `None` if unlimited, as with T5's relative distances.
    pub fn max_positions(&self) -> Option<usize> {
        struct Positions;
        impl<B: Backend> Visitor<B> for Positions {
            type Output = Option<usize>;

            fn seq2seq<M: Seq2SeqBackbone<B>>(self, _: &M) -> Option<usize> {
                None
            }

            fn causal<M: CausalBackbone<B>>(self, model: &M) -> Option<usize> {
                Some(model.max_positions())
            }
        }
        self.by_kind(Positions)
    }
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
        let error = of(r#"{"model_type": "gpt2"}"#).unwrap_err().to_string();
        let expected = ": expected a backbone of model_type t5, codegen or llama, found `gpt2`";
        assert!(error.ends_with(expected), "{error}");
    }
}
