//! What a method's file says of it: descriptions, and the trait that its configuration implements.

use std::collections::BTreeMap;
use std::fmt;

use burn::tensor::TensorData;
use burn::tensor::backend::Backend;
use serde_json::{Map, Value};

use super::{MethodSettings, Setting};
use crate::file::Fields;
use crate::init::{FanIn, PromptInit};
use crate::site::ModelSites;
use crate::{CoreError, Intervention};

/// A tensor's name and shape.
pub type Shape = (String, Vec<usize>);

/// A parameter group: which parameters it holds, and how they are trained unless a configuration says otherwise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ParameterGroup {
    /// Name in configurations and records.
    pub name: &'static str,
    /// First part of the parameters' paths in the method's module.
    pub prefix: &'static str,
    /// Highest learning rate, where the group has settings of its own (`optimizer.NAME`); none for groups that presets
    /// give values to.
    pub defaults: Option<GroupDefaults>,
}

/// How a parameter group is trained by default.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GroupDefaults {
    /// Highest learning rate.
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
    /// A table of input embeddings ([`crate::fold()`]); what else there is stays beside the model.
    Table,
    /// Nothing, for this reason.
    No(&'static str),
}

/// What a method is, whatever its sizes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MethodInfo {
    /// Its name in tables.
    pub title: &'static str,
    /// What is trained, in a line.
    pub summary: &'static str,
    /// `peft_type` of its files.
    pub peft_type: &'static str,
    /// Parameter groups, in the order of records.
    pub groups: &'static [ParameterGroup],
    /// What it can be merged into.
    pub merge: Merge,
    /// Where it comes from.
    pub citation: &'static str,
}

/// How a new adapter starts.
#[derive(Debug, Clone)]
pub struct AdapterInit<B: Backend> {
    /// Values of a soft prompt, for the methods that have one.
    pub prompt: PromptInit<B>,
    /// Range of an offset's first matrix.
    pub fan_in: FanIn,
    /// Decides every random value.
    pub seed: u64,
}

/// The configuration of a method, and all that follows from it.
pub(crate) trait MethodConfig: fmt::Debug + Clone + PartialEq + Sized {
    /// The trained tensors.
    type Module<B: Backend>: Intervention<B>;

    /// What the method is.
    const INFO: MethodInfo;

    /// Keys of the section that a run's configuration has for this method alone (`adapter.NAME`).
    const SETTINGS: &'static [Setting];

    /// The configuration that a run's settings ask for.
    ///
    /// # Errors
    /// Settings that describe no adapter of this method.
    fn from_settings(settings: &MethodSettings<'_>) -> Result<Self, CoreError>;

    /// Checks that every field makes sense.
    ///
    /// # Errors
    /// [`CoreError::InvalidConfig`] names the first field that does not.
    fn validate(&self) -> Result<(), CoreError>;

    /// The tensors of an adapter of that model as files hold them.
    ///
    /// # Errors
    /// A model that has no place for the method.
    fn tensor_shapes(&self, sites: &ModelSites) -> Result<Vec<Shape>, CoreError>;

    /// How many values an adapter of that model trains.
    ///
    /// # Errors
    /// As [`MethodConfig::tensor_shapes`].
    fn trainable_parameters(&self, sites: &ModelSites) -> Result<usize, CoreError> {
        let shapes = self.tensor_shapes(sites)?;
        Ok(shapes.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum())
    }

    /// The tensors that a file must hold which holds `found`.
    fn file_shapes(&self, found: &[Shape]) -> Vec<Shape>;

    /// An adapter before its first step, which changes nothing but for a soft prompt.
    ///
    /// # Errors
    /// A start that does not fit, and as [`MethodConfig::tensor_shapes`].
    fn start<B: Backend>(
        &self,
        sites: &ModelSites,
        start: AdapterInit<B>,
        device: &B::Device,
    ) -> Result<Self::Module<B>, CoreError>;

    /// An adapter of tensors as [`MethodConfig::file_shapes`] names them.
    ///
    /// # Errors
    /// [`CoreError::AdapterMismatch`] where a tensor is missing, left over or of another shape than the model needs.
    fn with_tensors<B: Backend>(
        &self,
        sites: &ModelSites,
        tensors: BTreeMap<String, TensorData>,
        device: &B::Device,
    ) -> Result<Self::Module<B>, CoreError>;

    /// The tensors of an adapter as f32 in the order of files. Reads them from the device.
    fn tensors<B: Backend>(module: &Self::Module<B>) -> Vec<(String, TensorData)>;

    /// Checks that an adapter computes with this configuration's constants.
    ///
    /// # Errors
    /// [`CoreError::InvalidConfig`] names the constant that differs.
    fn check_constants<B: Backend>(&self, module: &Self::Module<B>) -> Result<(), CoreError>;

    /// Keys of `adapter_config.json` as PEFT has them.
    fn peft_keys<B: Backend>(&self, module: &Self::Module<B>) -> Map<String, Value>;

    /// Keys of the section `adept` of that file.
    fn own_keys(&self) -> Map<String, Value>;

    /// Reads both.
    ///
    /// # Errors
    /// Fields that are missing or make no sense.
    fn from_keys(top: &mut Fields<'_>, own: &mut Fields<'_>) -> Result<Self, CoreError>;

    /// Sizes and constants for people to read, each with its name.
    fn facts(&self) -> Vec<(&'static str, String)>;

    /// Width of the embeddings that the adapter is for, where it names one.
    fn d_model(&self) -> Option<usize> {
        None
    }

    /// Virtual tokens in front of every input.
    fn virtual_tokens(&self) -> usize {
        0
    }

    /// Rank or bottleneck.
    fn rank(&self) -> usize {
        0
    }

    /// Longest source that the adapter was made for, where its file says one.
    fn max_source_length(&self) -> Option<usize> {
        None
    }
}
