//! What a family offers to be found by name.

use std::fmt::Debug;
use std::path::Path;

use adept_core::ModelSites;
use burn::tensor::backend::Backend;

use crate::error::ModelError;
use crate::stored::{Loaded, StoredType};
use crate::traits::Backbone;

/// A `config.json`, read and checked.
pub trait ModelConfig: Debug {
    /// Its width and its linear maps: what a method has to know of the model.
    fn sites(&self) -> ModelSites;

    /// The rate of dropout in training; used where a run does not set its own.
    fn dropout_rate(&self) -> f64;

    /// The tokens that end an answer, by `generation_config.json` and `config.json`.
    fn eos_token_ids(&self) -> &[u32];

    /// Sizes and variants that tell one model of the family from another, a label and a value each.
    fn summary(&self) -> Vec<(&'static str, String)>;
}

/// A backbone that Hugging Face's folders hold. Its module also has a function `open(dir)`, which gives the
/// configuration and the checkpoint without loading it.
pub trait Pretrained<B: Backend>: Backbone<B> {
    /// Its `config.json`.
    type Config: ModelConfig;

    /// Its configuration.
    fn config(&self) -> &Self::Config;

    /// Reads `config.json` and the weights of a folder; nothing requires a gradient.
    ///
    /// # Errors
    /// Files that cannot be read, and tensors that are missing, left over or of another shape.
    fn load(dir: &Path, device: &B::Device) -> Result<Loaded<Self>, ModelError>;

    /// Writes `config.json` and `model.safetensors` as Hugging Face lays them out, atomically.
    ///
    /// # Errors
    /// Files that cannot be written.
    fn save(&self, dir: &Path, element: StoredType) -> Result<(), ModelError>;
}

/// [`Pretrained`] by the methods of the same purpose that a backbone has of its own.
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
            ) -> Result<$crate::stored::Loaded<Self>, $crate::ModelError> {
                $model::<B>::load(dir, device)
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
