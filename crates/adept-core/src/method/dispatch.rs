//! What holds of an adapter of any method: each question is handed on to the method's own configuration or module.

use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Int, Tensor};
use serde_json::{Map, Value};

use super::config::{MethodConfig, PromptSizes};
use super::{Adapter, AdapterConfig, AdeptConfig, DeptConfig, ParameterGroup, PromptAdapter, PtConfig, Shape};
use crate::site::{LinearSite, ModelSites, NormSite, SublayerSite};
use crate::{
    AdaptedInput, Beside, Bottleneck, CoreError, Intervention, LinearChange, NormChange, Prefix, SideNetwork,
    SourceNetworks,
};

impl AdapterConfig {
    /// Prompt tuning with `virtual_tokens` virtual tokens.
    pub fn pt(d_model: usize, virtual_tokens: usize) -> Self {
        PtConfig::new(d_model, virtual_tokens).into()
    }

    /// DePT with the paper's plain product (scale 1).
    pub fn dept(d_model: usize, virtual_tokens: usize, rank: usize, max_source_length: usize) -> Self {
        DeptConfig::new(d_model, virtual_tokens, rank, max_source_length).into()
    }

    /// ADePT as in the paper, without dropout.
    pub fn adept(d_model: usize, virtual_tokens: usize, rank: usize) -> Self {
        AdeptConfig::new(d_model, virtual_tokens, rank).into()
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`CoreError::InvalidConfig`] for the first invalid field.
    pub fn validate(&self) -> Result<(), CoreError> {
        each_config!(self, config => config.validate())
    }

    /// Checks the configuration, and that its width is that of the model's embeddings.
    pub(super) fn check_sites(&self, sites: &ModelSites) -> Result<(), CoreError> {
        self.validate()?;
        match self.d_model() {
            Some(expected) if expected != sites.d_model => Err(CoreError::WrongWidth {
                expected,
                found: sites.d_model,
            }),
            _ => Ok(()),
        }
    }

    /// Its parameter groups, in the order used in records; a parameter belongs to the first that contains its path.
    pub fn groups(&self) -> Vec<ParameterGroup> {
        each_config!(self, config => config.groups())
    }

    /// Names and shapes of an adapter's tensors for that model, in file order.
    ///
    /// # Errors
    /// The model has no linear map for the method, or its width is not the configuration's.
    pub fn tensor_shapes(&self, sites: &ModelSites) -> Result<Vec<Shape>, CoreError> {
        self.check_sites(sites)?;
        each_config!(self, config => config.tensor_shapes(sites))
    }

    /// Number of trainable values of an adapter for that model.
    ///
    /// ```
    /// # use adept_core::{AdapterConfig, ModelSites};
    /// // The paper's ADePT for T5-base, and a prompt of 100 tokens beside it.
    /// let sites = ModelSites::embeddings(768);
    /// assert_eq!(AdapterConfig::adept(768, 60, 19).trainable_parameters(&sites)?, 76_051);
    /// assert_eq!(AdapterConfig::pt(768, 100).trainable_parameters(&sites)?, 76_800);
    /// # Ok::<(), adept_core::CoreError>(())
    /// ```
    ///
    /// # Errors
    /// As [`AdapterConfig::tensor_shapes`].
    pub fn trainable_parameters(&self, sites: &ModelSites) -> Result<usize, CoreError> {
        self.check_sites(sites)?;
        each_config!(self, config => config.trainable_parameters(sites))
    }

    /// Number of values in an adapter's file: those that are trained, and those computed of them for other programs.
    ///
    /// # Errors
    /// As [`AdapterConfig::tensor_shapes`].
    pub fn stored_values(&self, sites: &ModelSites) -> Result<usize, CoreError> {
        let shapes = self.tensor_shapes(sites)?;
        let derived = self.derived_shapes();
        let all = shapes.iter().chain(&derived);
        Ok(all.map(|(_, shape)| shape.iter().product::<usize>()).sum())
    }

    /// The tensors required in a file that contains `found`.
    pub(crate) fn file_shapes(&self, found: &[Shape]) -> Vec<Shape> {
        each_config!(self, config => config.file_shapes(found))
    }

    /// Tensors that a file may contain beside them, which are not read.
    pub(crate) fn derived_shapes(&self) -> Vec<Shape> {
        each_config!(self, config => config.derived_shapes())
    }

    /// `peft_type` of its adapter files.
    pub fn peft_type(&self) -> &'static str {
        each_config!(self, config => config.peft_type())
    }

    pub(crate) fn own_keys(&self) -> Map<String, Value> {
        each_config!(self, config => config.own_keys())
    }

    /// Human-readable sizes and constants, as (name, value).
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        each_config!(self, config => config.facts())
    }

    pub(super) fn prompt_sizes(&self) -> Option<PromptSizes> {
        each_config!(self, config => config.prompt_sizes())
    }

    /// Width of the model's embeddings, if the configuration has it.
    pub fn d_model(&self) -> Option<usize> {
        self.prompt_sizes().and_then(|sizes| sizes.d_model)
    }

    /// Virtual tokens prepended to every input.
    pub fn virtual_tokens(&self) -> usize {
        self.prompt_sizes().map_or(0, |sizes| sizes.virtual_tokens)
    }

    /// Whether a given prompt ([`crate::PromptInit::Rows`]) is what the adapter starts from. Not so for methods without
    /// a prompt, nor for P-tuning, whose encoder reads an embedding that is no token of the model.
    pub fn starts_from_rows(&self) -> bool {
        each_config!(self, config => config.starts_from_rows())
    }

    /// Training examples whose squared gradients ([`crate::ReadWeights::squared_gradients`]) decide what the adapter
    /// starts from; 0 if it needs none.
    pub fn judging_examples(&self) -> usize {
        each_config!(self, config => config.judging_examples())
    }

    /// Rank or bottleneck; 0 if the method has none.
    pub fn rank(&self) -> usize {
        each_config!(self, config => config.rank())
    }

    /// Number of tasks that the adapter has parameters for: above 1, one of them is to be chosen before the adapter is
    /// used ([`Intervention::of_task`]).
    pub fn tasks(&self) -> usize {
        each_config!(self, config => config.tasks())
    }

    /// Number of prompts of other tasks that the adapter keeps ([`super::AdapterInit::sources`]).
    pub fn sources(&self) -> usize {
        each_config!(self, config => config.sources())
    }

    /// Checks that an adapter computes with this configuration's constants.
    ///
    /// # Errors
    /// [`CoreError::InvalidConfig`] for the constant that differs, [`CoreError::OtherMethod`].
    pub fn check_constants<B: Backend>(&self, adapter: &Adapter<B>) -> Result<(), CoreError> {
        self.describe(adapter).map(drop)
    }

    /// Longest source the adapter was made for, if recorded.
    pub fn max_source_length(&self) -> Option<usize> {
        self.prompt_sizes().map(|sizes| sizes.max_source_length)
    }
}

impl<B: Backend> Adapter<B> {
    /// The soft prompt and the offset, for prompt methods.
    pub fn as_prompt(&self) -> Option<&PromptAdapter<B>> {
        match self {
            Self::Pt(adapter)
            | Self::Dept(adapter)
            | Self::Adept(adapter)
            | Self::Residual(adapter)
            | Self::PTuning(adapter) => Some(adapter),
            _ => None,
        }
    }

    /// The same adapter for inference: virtual tokens that a network makes are computed once instead of in every pass.
    /// The result lacks the network, so it is not to be saved.
    #[must_use]
    pub fn folded(self) -> Self {
        match self {
            Self::Adept(adapter) => Self::Adept(adapter.folded()),
            Self::Residual(adapter) => Self::Residual(adapter.folded()),
            Self::PTuning(adapter) => Self::PTuning(adapter.folded()),
            Self::Prefix(adapter) => Self::Prefix(adapter.folded()),
            other => other,
        }
    }
}

impl<B: Backend> Intervention<B> for Adapter<B> {
    fn offset(&self, embeddings: Tensor<B, 3>, first_position: usize) -> Tensor<B, 3> {
        each_module!(self, module => module.offset(embeddings, first_position))
    }

    fn offset_at(&self, embeddings: Tensor<B, 3>, positions: Tensor<B, 2, Int>) -> Tensor<B, 3> {
        each_module!(self, module => module.offset_at(embeddings, positions))
    }

    fn prompt(&self) -> Option<Tensor<B, 2>> {
        each_module!(self, module => module.prompt())
    }

    fn linear(&self, site: LinearSite) -> Option<LinearChange<B>> {
        each_module!(self, module => module.linear(site))
    }

    fn norm(&self, site: NormSite) -> Option<NormChange<B>> {
        each_module!(self, module => module.norm(site))
    }

    fn after(&self, site: SublayerSite) -> Option<Bottleneck<B>> {
        each_module!(self, module => module.after(site))
    }

    fn beside(&self, site: SublayerSite) -> Option<Beside<B>> {
        each_module!(self, module => module.beside(site))
    }

    fn of_source(&self) -> Option<SourceNetworks<B>> {
        each_module!(self, module => module.of_source())
    }

    fn prefix(&self, site: SublayerSite) -> Option<Prefix<B>> {
        each_module!(self, module => module.prefix(site))
    }

    fn embedding(&self) -> Option<Tensor<B, 2>> {
        each_module!(self, module => module.embedding())
    }

    fn head_bias(&self) -> Option<Tensor<B, 1>> {
        each_module!(self, module => module.head_bias())
    }

    fn side(&self) -> Option<SideNetwork<B>> {
        each_module!(self, module => module.side())
    }

    fn changes_model(&self) -> bool {
        each_module!(self, module => module.changes_model())
    }

    fn check_width(&self, seq: usize) -> Result<(), CoreError> {
        each_module!(self, module => module.check_width(seq))
    }

    fn virtual_tokens(&self) -> usize {
        each_module!(self, module => module.virtual_tokens())
    }

    fn of_task(&self, task: usize) -> Option<Box<dyn Intervention<B>>> {
        each_module!(self, module => module.of_task(task))
    }

    fn forward(&self, embeddings: Tensor<B, 3>, mask: Tensor<B, 2, Bool>) -> AdaptedInput<B> {
        each_module!(self, module => module.forward(embeddings, mask))
    }

    fn forward_at(
        &self,
        embeddings: Tensor<B, 3>,
        mask: Tensor<B, 2, Bool>,
        positions: Tensor<B, 2, Int>,
    ) -> AdaptedInput<B> {
        each_module!(self, module => module.forward_at(embeddings, mask, positions))
    }
}
