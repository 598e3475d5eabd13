//! What a method declares about itself: its description, and the trait that its configuration implements.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use serde_json::{Map, Value};

use super::{Adapter, AdapterConfig, MethodSettings, Setting};
use crate::file::Fields;
use crate::init::{FanIn, PromptInit};
use crate::site::ModelSites;
use crate::{CoreError, Intervention, ReadWeights};

/// A tensor's name and shape.
pub type Shape = (String, Vec<usize>);

/// A parameter group: the parameters it contains and their default training settings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ParameterGroup {
    /// Name in configurations and records.
    pub name: &'static str,
    /// First component of the parameters' paths in the method's module.
    pub prefix: &'static str,
    /// Default settings if the group has its own section (`optimizer.NAME`); `None` for groups whose settings come from
    /// presets.
    pub defaults: Option<GroupDefaults>,
}

/// Default training settings of a parameter group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GroupDefaults {
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Steps of linear warm-up.
    pub warmup_steps: usize,
}

/// What a trained adapter can be merged into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merge {
    /// The backbone's weights: the merged model is a plain one.
    Weights,
    /// A table of input embeddings ([`crate::fold()`]); the rest of the adapter stays separate.
    Table,
    /// Nothing, for this reason.
    No(&'static str),
}

/// Description of a method, independent of its sizes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MethodInfo {
    /// Display name.
    pub title: &'static str,
    /// One-line summary of what is trained.
    pub summary: &'static str,
    /// `peft_type` of its adapter files, by default.
    pub peft_type: &'static str,
    /// Whether it prepends virtual tokens.
    pub has_prompt: bool,
    /// Parameter groups, in the order used in records; settings may leave some of them without parameters
    /// ([`crate::AdapterConfig::groups`]).
    pub groups: &'static [ParameterGroup],
    /// What it can be merged into.
    pub merge: Merge,
    /// What remains of it in inference, compared with the backbone alone.
    pub inference: &'static str,
    /// Citation of the paper.
    pub citation: &'static str,
}

/// Initialisation of a new adapter.
#[derive(Debug, Clone)]
pub struct AdapterInit<B: Backend> {
    /// Initial soft prompt, for methods that have one.
    pub prompt: PromptInit<B>,
    /// Which dimension bounds the initial values of an offset's first matrix.
    pub fan_in: FanIn,
    /// Seed of every random value.
    pub seed: u64,
    /// The model's weights, for methods that start from them.
    pub weights: Option<Rc<dyn ReadWeights>>,
    /// Prompts of other tasks, `[n, m, d]`, for methods that keep them.
    pub sources: Option<Tensor<B, 3>>,
}

impl<B: Backend> AdapterInit<B> {
    /// A prompt of standard normal values, and the reference's initialisation of offsets; no weights, no prompts of other
    /// tasks.
    pub fn random(seed: u64) -> Self {
        Self {
            prompt: PromptInit::Random { std: 1.0 },
            fan_in: FanIn::Reference,
            seed,
            weights: None,
            sources: None,
        }
    }
}

/// Sizes of a method with virtual tokens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PromptSizes {
    /// Width of the model's embeddings, if the method depends on it.
    pub d_model: Option<usize>,
    /// Virtual tokens prepended to every input.
    pub virtual_tokens: usize,
    /// Longest source the adapter was made for.
    pub max_source_length: usize,
}

/// The configuration of a method, and everything that follows from it.
pub(crate) trait MethodConfig: fmt::Debug + Clone + PartialEq + Sized {
    /// The trained tensors.
    type Module<B: Backend>: Intervention<B>;

    /// What the method is.
    const INFO: MethodInfo;

    /// Keys of the method's own section (`adapter.NAME`) in a run's configuration.
    const SETTINGS: &'static [Setting];

    /// Tensors of the method's files that are not trained.
    const FROZEN: &'static [&'static str] = &[];

    /// The configuration for a run's settings.
    ///
    /// # Errors
    /// Settings that do not describe a valid adapter of this method.
    fn from_settings(settings: &MethodSettings<'_>) -> Result<Self, CoreError>;

    /// Checks every field.
    ///
    /// # Errors
    /// [`CoreError::InvalidConfig`] for the first invalid field.
    fn validate(&self) -> Result<(), CoreError>;

    /// The groups of [`MethodInfo::groups`] that an adapter of this configuration has parameters for. A parameter belongs
    /// to the first that contains its path.
    fn groups(&self) -> Vec<ParameterGroup> {
        Self::INFO.groups.to_vec()
    }

    /// Names and shapes, as in files, of an adapter's tensors for that model.
    ///
    /// # Errors
    /// The model has no linear map that the method could change.
    fn tensor_shapes(&self, sites: &ModelSites) -> Result<Vec<Shape>, CoreError>;

    /// Number of trainable values of an adapter for that model.
    ///
    /// # Errors
    /// As [`MethodConfig::tensor_shapes`].
    fn trainable_parameters(&self, sites: &ModelSites) -> Result<usize, CoreError> {
        let shapes = self.tensor_shapes(sites)?;
        let trained = shapes.iter().filter(|(name, _)| !Self::FROZEN.contains(&name.as_str()));
        Ok(trained.map(|(_, shape)| shape.iter().product::<usize>()).sum())
    }

    /// The tensors required in a file that contains `found`.
    fn file_shapes(&self, found: &[Shape]) -> Vec<Shape>;

    /// A newly initialised adapter; apart from virtual tokens it changes nothing yet, or little.
    ///
    /// # Errors
    /// Initial values that do not fit, and as [`MethodConfig::tensor_shapes`].
    fn start<B: Backend>(
        &self,
        sites: &ModelSites,
        start: AdapterInit<B>,
        device: &B::Device,
    ) -> Result<Self::Module<B>, CoreError>;

    /// An adapter from tensors named as in [`MethodConfig::file_shapes`].
    ///
    /// # Errors
    /// [`CoreError::AdapterMismatch`] if a tensor is missing, unexpected or of the wrong shape.
    fn with_tensors<B: Backend>(
        &self,
        sites: &ModelSites,
        tensors: BTreeMap<String, TensorData>,
        device: &B::Device,
    ) -> Result<Self::Module<B>, CoreError>;

    /// The adapter's tensors as f32, in file order. Reads them back from the device.
    fn tensors<B: Backend>(module: &Self::Module<B>) -> Vec<(String, TensorData)>;

    /// Tensors computed from the trained ones for programs that know the result alone, such as PEFT: files hold them,
    /// but they are not read back.
    fn derived<B: Backend>(module: &Self::Module<B>) -> Vec<(String, TensorData)> {
        let _ = module;
        Vec::new()
    }

    /// Names and shapes of [`MethodConfig::derived`].
    fn derived_shapes(&self) -> Vec<Shape> {
        Vec::new()
    }

    /// Checks that an adapter's constants are those of this configuration.
    ///
    /// # Errors
    /// [`CoreError::InvalidConfig`] for the constant that differs.
    fn check_constants<B: Backend>(&self, module: &Self::Module<B>) -> Result<(), CoreError>;

    /// Whether the method is for encoder-decoders alone.
    const NEEDS_ENCODER: bool = false;

    /// Whether blocks read tensors that are computed once for several of them: the graph of a block cannot then be
    /// built again on its own.
    const JOINS_BLOCKS: bool = false;

    /// Values of `peft_type` that the method's files may have.
    const PEFT_TYPES: &'static [&'static str] = &[Self::INFO.peft_type];

    /// That of this configuration's files.
    fn peft_type(&self) -> &'static str {
        Self::INFO.peft_type
    }

    /// Keys of `adapter_config.json` defined by PEFT.
    fn peft_keys<B: Backend>(&self, module: &Self::Module<B>) -> Map<String, Value>;

    /// Keys of that file's section `adept`.
    fn own_keys(&self) -> Map<String, Value>;

    /// Parses both sets of keys.
    ///
    /// # Errors
    /// Fields that are missing or invalid.
    fn from_keys(top: &mut Fields<'_>, own: &mut Fields<'_>) -> Result<Self, CoreError>;

    /// Human-readable sizes and constants, as (name, value).
    fn facts(&self) -> Vec<(&'static str, String)>;

    /// Sizes of methods with virtual tokens; `None` for others.
    fn prompt_sizes(&self) -> Option<PromptSizes> {
        None
    }

    /// Whether the values of [`PromptInit::Rows`] are the adapter's first virtual tokens, or what makes them.
    fn starts_from_rows(&self) -> bool {
        false
    }

    /// Training examples whose squared gradients decide what the adapter starts from; 0 if it needs none.
    fn judging_examples(&self) -> usize {
        0
    }

    /// Number of tasks that it has parameters for.
    fn tasks(&self) -> usize {
        1
    }

    /// What one of its tasks uses of a module, as an adapter of its own; `None` if that is all of it.
    ///
    /// # Panics
    /// If there are not that many tasks.
    fn alone<B: Backend>(&self, module: &Self::Module<B>, task: usize) -> Option<(AdapterConfig, Adapter<B>)> {
        let _ = (module, task);
        None
    }

    /// The mean over its tasks, as the start of an adapter of one; `None` if tasks have nothing of their own.
    fn averaged<B: Backend>(&self, module: &Self::Module<B>) -> Option<(AdapterConfig, Adapter<B>)> {
        let _ = module;
        None
    }

    /// Number of prompts of other tasks that it keeps.
    fn sources(&self) -> usize {
        0
    }

    /// Rank or bottleneck.
    fn rank(&self) -> usize {
        0
    }
}
