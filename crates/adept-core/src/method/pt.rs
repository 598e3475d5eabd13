//! Prompt tuning: `[P; E]` (paper, equation 1).

use std::collections::BTreeMap;

use burn::tensor::TensorData;
use burn::tensor::backend::Backend;
use serde_json::{Map, Value};

use super::prompt::{self, Given, PROMPT_GROUP, PromptAdapter};
use super::{AdapterInit, Merge, MethodConfig, MethodInfo, MethodSettings, PromptSizes, Setting, Shape};
use crate::file::Fields;
use crate::{CoreError, Method, ModelSites};

/// Size of the soft prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct PtConfig {
    /// Width `d` of the model's token embeddings.
    pub d_model: usize,
    /// Virtual tokens `m`.
    pub virtual_tokens: usize,
    /// Longest source in training; informational.
    pub max_source_length: usize,
}

impl PtConfig {
    /// Prompt tuning with `virtual_tokens` virtual tokens.
    pub fn new(d_model: usize, virtual_tokens: usize) -> Self {
        Self {
            d_model,
            virtual_tokens,
            max_source_length: prompt::DEFAULT_LENGTH,
        }
    }
}

impl MethodConfig for PtConfig {
    type Module<B: Backend> = PromptAdapter<B>;

    const INFO: MethodInfo = MethodInfo {
        title: "PT",
        summary: "a soft prompt, `[P; E]`",
        peft_type: "PROMPT_TUNING",
        has_prompt: true,
        groups: &[PROMPT_GROUP],
        merge: Merge::No("a soft prompt is part of the input, not of the weights"),
        inference: "m more positions",
        citation: "Lester et al., The Power of Scale for Parameter-Efficient Prompt Tuning, EMNLP 2021",
    };

    const SETTINGS: &'static [Setting] = &[];

    fn from_settings(settings: &MethodSettings<'_>) -> Result<Self, CoreError> {
        Ok(Self {
            d_model: settings.sites.d_model,
            virtual_tokens: settings.virtual_tokens,
            max_source_length: settings.max_source_length,
        })
    }

    fn validate(&self) -> Result<(), CoreError> {
        prompt::validate(
            Method::Pt,
            self.d_model,
            self.virtual_tokens,
            None,
            self.max_source_length,
        )
    }

    fn tensor_shapes(&self, _: &ModelSites) -> Result<Vec<Shape>, CoreError> {
        Ok(self.file_shapes(&[]))
    }

    fn file_shapes(&self, _: &[Shape]) -> Vec<Shape> {
        prompt::shapes(self.virtual_tokens, self.d_model, [])
    }

    fn start<B: Backend>(
        &self,
        _: &ModelSites,
        start: AdapterInit<B>,
        device: &B::Device,
    ) -> Result<PromptAdapter<B>, CoreError> {
        PromptAdapter::start(self.virtual_tokens, self.d_model, None, start, device)
    }

    fn with_tensors<B: Backend>(
        &self,
        _: &ModelSites,
        tensors: BTreeMap<String, TensorData>,
        device: &B::Device,
    ) -> Result<PromptAdapter<B>, CoreError> {
        let shapes = self.file_shapes(&[]);
        let prompt = Given::new(tensors, &shapes)?.prompt(device);
        Ok(PromptAdapter {
            prompt,
            network: None,
            offset: None,
        })
    }

    fn tensors<B: Backend>(module: &PromptAdapter<B>) -> Vec<(String, TensorData)> {
        module.tensors()
    }

    fn check_constants<B: Backend>(&self, _: &PromptAdapter<B>) -> Result<(), CoreError> {
        Ok(())
    }

    fn peft_keys<B: Backend>(&self, _: &PromptAdapter<B>) -> Map<String, Value> {
        prompt::peft_keys(self.virtual_tokens, self.d_model)
    }

    fn own_keys(&self) -> Map<String, Value> {
        prompt::own_keys(self.max_source_length, 1.0, 0.0)
    }

    fn from_keys(top: &mut Fields<'_>, own: &mut Fields<'_>) -> Result<Self, CoreError> {
        let (virtual_tokens, d_model) = prompt::sizes(top)?;
        own.number("dropout")?;
        own.number("scale")?;
        Ok(Self {
            d_model,
            virtual_tokens,
            max_source_length: own.count("max_source_length")?.unwrap_or(prompt::DEFAULT_LENGTH),
        })
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        vec![
            ("width d", self.d_model.to_string()),
            ("virtual tokens m", self.virtual_tokens.to_string()),
            ("max source length", self.max_source_length.to_string()),
        ]
    }

    fn prompt_sizes(&self) -> Option<PromptSizes> {
        Some(PromptSizes {
            d_model: Some(self.d_model),
            virtual_tokens: self.virtual_tokens,
            max_source_length: self.max_source_length,
        })
    }

    fn starts_from_rows(&self) -> bool {
        true
    }
}
