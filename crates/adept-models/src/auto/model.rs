//! A backbone of either kind.

use std::path::Path;

use adept_core::{ModelSites, SideNetwork, SourceNetworks};
use adept_kernels::Precision;
use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};

use super::{AnyBackbone, Family, ModelConfig, Pretrained, Visitor};
use crate::decoder::Decoder;
use crate::error::ModelError;
use crate::places::Places;
use crate::stored::{Loaded, StoredType};
use crate::t5::T5;
use crate::traits::{Backbone, CausalBackbone, Seq2SeqBackbone};

/// A backbone of any family, chosen by its `config.json`.
#[derive(Module, Debug)]
pub enum Model<B: Backend> {
    /// T5: encoder-decoder.
    T5(T5<B>),
    /// A decoder-only model.
    Decoder(Decoder<B>),
}

/// The same expression for either kind.
macro_rules! each {
    ($self:expr, $model:ident => $value:expr) => {
        match $self {
            Model::T5($model) => $value,
            Model::Decoder($model) => $value,
        }
    };
}

impl<B: Backend> Model<B> {
    /// Loads a checkpoint in Hugging Face's format; no parameter requires gradients.
    ///
    /// ```no_run
    /// use adept_models::{Backbone, Family, Loaded, Model};
    /// use burn_flex::Flex;
    ///
    /// let Loaded { model, fingerprint } = Model::<Flex>::load("Llama-3.2-1B".as_ref(), &Default::default())?;
    /// assert_eq!(model.family(), Family::Llama);
    /// println!("{} tokens, {} channels, weights {fingerprint}", model.vocab_size(), model.d_model());
    /// # Ok::<(), adept_models::ModelError>(())
    /// ```
    ///
    /// # Errors
    /// Unreadable files, tensors that do not fit, and unknown families.
    pub fn load(path: &Path, device: &B::Device) -> Result<Loaded<Self>, ModelError> {
        Self::load_for(path, device, None)
    }

    /// A frozen model: like [`load`](Self::load), with the maps of the blocks prepared for products in a precision, one
    /// at a time. On the flex backend a model in bfloat16 is never whole in memory in float32, nor is one in float32
    /// whose checkpoint is in bfloat16 or half precision; its numbers stay the same.
    ///
    /// # Errors
    /// As in [`load`](Self::load).
    pub fn load_in(path: &Path, device: &B::Device, precision: Precision) -> Result<Loaded<Self>, ModelError> {
        Self::load_for(path, device, Some(precision))
    }

    fn load_for(path: &Path, device: &B::Device, frozen: Option<Precision>) -> Result<Loaded<Self>, ModelError> {
        Ok(match Family::of(path)?.is_causal() {
            false => {
                let Loaded { model, fingerprint } = Pretrained::<B>::load(path, device, frozen)?;
                Loaded {
                    model: Self::T5(model),
                    fingerprint,
                }
            }
            true => {
                let Loaded { model, fingerprint } = Pretrained::<B>::load(path, device, frozen)?;
                Loaded {
                    model: Self::Decoder(model),
                    fingerprint,
                }
            }
        })
    }

    /// Saves the model as a checkpoint of f32 values.
    ///
    /// # Errors
    /// Files that cannot be written.
    pub fn save_pretrained(&self, path: &Path) -> Result<(), ModelError> {
        each!(self, model => Pretrained::<B>::save(model, path, StoredType::F32))
    }

    /// The family of the model.
    pub fn family(&self) -> Family {
        match self {
            Self::T5(_) => Family::T5,
            Self::Decoder(model) => model.config().family,
        }
    }

    /// The model's configuration.
    pub fn config(&self) -> &dyn ModelConfig {
        match self {
            Self::T5(model) => Pretrained::<B>::config(model),
            Self::Decoder(model) => Pretrained::<B>::config(model),
        }
    }

    /// The dropout rate in its configuration.
    pub fn dropout_rate(&self) -> f64 {
        self.config().dropout_rate()
    }

    /// The padding token.
    pub fn pad_id(&self) -> u32 {
        each!(self, model => model.pad_id())
    }

    /// The end tokens, from `generation_config.json` and `config.json`.
    pub fn eos_ids(&self) -> &[u32] {
        self.config().eos_token_ids()
    }
}

impl<B: Backend> AnyBackbone<B> for Model<B> {
    fn by_kind<V: Visitor<B>>(&self, visitor: V) -> V::Output {
        match self {
            Self::T5(model) => visitor.seq2seq(model),
            Self::Decoder(model) => visitor.causal(model),
        }
    }
}

impl<B: Backend> AnyBackbone<B> for T5<B> {
    fn by_kind<V: Visitor<B>>(&self, visitor: V) -> V::Output {
        visitor.seq2seq(self)
    }
}

impl<B: Backend> AnyBackbone<B> for Decoder<B> {
    fn by_kind<V: Visitor<B>>(&self, visitor: V) -> V::Output {
        visitor.causal(self)
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
        self.config().sites()
    }

    fn places(&mut self) -> Places<'_, B> {
        each!(self, model => model.places())
    }

    fn attach_side(&mut self, side: &SideNetwork<B>) {
        each!(self, model => model.attach_side(side));
    }

    fn attach_networks(&mut self, networks: SourceNetworks<B>) {
        each!(self, model => model.attach_networks(networks));
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
