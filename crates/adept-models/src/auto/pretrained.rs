//! What a family implements to be selected by name.

use std::fmt::Debug;
use std::path::Path;

use adept_core::ModelSites;
use adept_kernels::Precision;
use burn::tensor::backend::Backend;

use crate::error::ModelError;
use crate::stored::{Loaded, StoredType};
use crate::traits::Backbone;

/// A parsed and validated `config.json`.
pub trait ModelConfig: Debug {
    /// Width and linear maps: what a method needs to know of the model.
    fn sites(&self) -> ModelSites;

    /// Number of parameters.
    fn parameters(&self) -> usize;

    /// Dropout rate in training, unless a run sets its own.
    fn dropout_rate(&self) -> f64;

    /// The end tokens, from `generation_config.json` and `config.json`.
    fn eos_token_ids(&self) -> &[u32];

    /// Sizes and variants that distinguish models of the family, as (label, value).
    fn summary(&self) -> Vec<(&'static str, String)>;
}

/// A backbone stored in a Hugging Face folder. Its module also has a function `open(dir)`, which returns the
/// configuration and the checkpoint without loading it.
pub trait Pretrained<B: Backend>: Backbone<B> {
    /// The type of its `config.json`.
    type Config: ModelConfig;

    /// The model's configuration.
    fn config(&self) -> &Self::Config;

    /// Loads `config.json` and the weights of a folder; no parameter requires gradients. What stays frozen is loaded
    /// for a precision: the maps of its blocks are made ready for its products, one at a time.
    ///
    /// # Errors
    /// Unreadable files, and tensors that are missing, unexpected or of the wrong shape.
    fn load(dir: &Path, device: &B::Device, frozen: Option<Precision>) -> Result<Loaded<Self>, ModelError>;

    /// Writes `config.json` and `model.safetensors` in Hugging Face's layout, atomically.
    ///
    /// # Errors
    /// Files that cannot be written.
    fn save(&self, dir: &Path, element: StoredType) -> Result<(), ModelError>;
}

/// Implements [`Pretrained`] for a backbone by `open` and `build` of the module that calls it, and its method that
/// saves.
macro_rules! pretrained {
    ($model:ident, $config:ty, $save:ident) => {
        impl<B: burn::tensor::backend::Backend> $crate::auto::Pretrained<B> for $model<B> {
            type Config = $config;

            fn config(&self) -> &$config {
                $model::config(self)
            }

            fn load(
                dir: &std::path::Path,
                device: &B::Device,
                frozen: Option<adept_kernels::Precision>,
            ) -> Result<$crate::stored::Loaded<Self>, $crate::ModelError> {
                let (config, checkpoint) = open(dir)?;
                $crate::source::loaded(&checkpoint, |source| build(&config, (device, frozen), source))
            }

            fn save(
                &self,
                dir: &std::path::Path,
                element: $crate::stored::StoredType,
            ) -> Result<(), $crate::ModelError> {
                self.$save(dir, element)
            }
        }
    };
}
pub(crate) use pretrained;
