//! A soft prompt together with the whole embedding matrix, `[P; E + ΔE]` (paper, table 10): what an offset per token is
//! compared with. A tied output head changes with the matrix.
//!
//! Files hold `prompt_embeddings` `[m, d]` and `base_model.model.EMBEDDING.weight` `[vocab, d]`, the difference ΔE to the
//! model's own matrix.

use std::collections::BTreeMap;

use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use serde_json::{Map, Value, json};

use super::prompt::{self, Given, PROMPT, PROMPT_GROUP, object};
use super::weights::{PREFIX, module};
use super::{
    AdapterInit, GroupDefaults, Merge, MethodConfig, MethodInfo, MethodSettings, ParameterGroup, PromptSizes, Setting,
    Shape,
};
use crate::file::Fields;
use crate::site::{ModelSites, TokenMatrix};
use crate::{CoreError, Intervention, Method, SoftPrompt};

const WEIGHT: &str = "weight";

/// Size of the soft prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptEmbeddingConfig {
    /// Width `d` of the model's token embeddings.
    pub d_model: usize,
    /// Virtual tokens `m`.
    pub virtual_tokens: usize,
    /// Longest source in training; informational.
    pub max_source_length: usize,
}

impl PromptEmbeddingConfig {
    /// A prompt of `virtual_tokens` virtual tokens beside the embedding matrix.
    pub fn new(d_model: usize, virtual_tokens: usize) -> Self {
        Self {
            d_model,
            virtual_tokens,
            max_source_length: prompt::DEFAULT_LENGTH,
        }
    }

    fn shapes(&self, matrix: &TokenMatrix) -> Vec<Shape> {
        vec![
            (PROMPT.to_owned(), vec![self.virtual_tokens, self.d_model]),
            (name(matrix), vec![matrix.rows, self.d_model]),
        ]
    }
}

/// The matrix's name in files.
fn name(matrix: &TokenMatrix) -> String {
    format!("{PREFIX}{}.{WEIGHT}", matrix.name)
}

fn matrix(sites: &ModelSites) -> Result<&TokenMatrix, CoreError> {
    sites.embedding.as_ref().ok_or(CoreError::NoSite {
        method: Method::PromptEmbedding,
        needed: "an embedding matrix",
    })
}

/// The soft prompt and the change of the embedding matrix.
#[derive(Module, Debug)]
pub struct PromptEmbedding<B: Backend> {
    /// The virtual tokens.
    pub prompt: SoftPrompt<B>,
    /// ΔE, `[vocab, d]`.
    pub embedding: Param<Tensor<B, 2>>,
    #[module(skip)]
    name: String,
}

impl<B: Backend> Intervention<B> for PromptEmbedding<B> {
    fn prompt(&self) -> Option<Tensor<B, 2>> {
        Some(self.prompt.weight.val())
    }

    fn embedding(&self) -> Option<Tensor<B, 2>> {
        Some(self.embedding.val())
    }

    fn changes_model(&self) -> bool {
        true
    }

    fn virtual_tokens(&self) -> usize {
        self.prompt.virtual_tokens()
    }
}

impl MethodConfig for PromptEmbeddingConfig {
    type Module<B: Backend> = PromptEmbedding<B>;

    const INFO: MethodInfo = MethodInfo {
        title: "PT + embedding",
        summary: "a soft prompt and the embedding matrix, `[P; E + ΔE]`",
        peft_type: "PROMPT_EMBEDDING",
        has_prompt: true,
        groups: &[
            PROMPT_GROUP,
            ParameterGroup {
                name: "embedding",
                prefix: "embedding",
                defaults: Some(GroupDefaults {
                    learning_rate: 1e-4,
                    weight_decay: 1e-5,
                    warmup_steps: 500,
                }),
            },
        ],
        merge: Merge::No("a soft prompt is part of the input, not of the weights"),
        inference: "m more positions, and an embedding matrix for each task",
        citation: "Tang, Hu and Liu, ADePT: Adaptive Decomposed Prompt Tuning for Parameter-Efficient Fine-tuning, ICLR \
                   2025 (table 10)",
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
            Method::PromptEmbedding,
            self.d_model,
            self.virtual_tokens,
            None,
            self.max_source_length,
        )
    }

    fn tensor_shapes(&self, sites: &ModelSites) -> Result<Vec<Shape>, CoreError> {
        Ok(self.shapes(matrix(sites)?))
    }

    fn file_shapes(&self, found: &[Shape]) -> Vec<Shape> {
        let d = self.d_model;
        let matrix = found.iter().find(|(name, _)| module(name, WEIGHT).is_some());
        let matrix = match matrix {
            Some((name, shape)) => (name.clone(), vec![shape.first().copied().unwrap_or(0), d]),
            None => (format!("{PREFIX}*.{WEIGHT}"), vec![0, d]),
        };
        vec![(PROMPT.to_owned(), vec![self.virtual_tokens, d]), matrix]
    }

    fn start<B: Backend>(
        &self,
        sites: &ModelSites,
        start: AdapterInit<B>,
        device: &B::Device,
    ) -> Result<PromptEmbedding<B>, CoreError> {
        let matrix = matrix(sites)?;
        let (m, d) = (self.virtual_tokens, self.d_model);
        Ok(PromptEmbedding {
            prompt: SoftPrompt::new(start.prompt.values(m, d, start.seed, device)?),
            embedding: Param::from_tensor(Tensor::zeros([matrix.rows, d], device)),
            name: name(matrix),
        })
    }

    fn with_tensors<B: Backend>(
        &self,
        sites: &ModelSites,
        tensors: BTreeMap<String, TensorData>,
        device: &B::Device,
    ) -> Result<PromptEmbedding<B>, CoreError> {
        let matrix = matrix(sites)?;
        let mut given = Given::new(tensors, &self.shapes(matrix))?;
        let name = name(matrix);
        Ok(PromptEmbedding {
            prompt: SoftPrompt::new(given.take(PROMPT, device)),
            embedding: Param::from_tensor(given.take(&name, device)),
            name,
        })
    }

    fn tensors<B: Backend>(module: &PromptEmbedding<B>) -> Vec<(String, TensorData)> {
        vec![
            (PROMPT.to_owned(), module.prompt.weight.val().into_data()),
            (module.name.clone(), module.embedding.val().into_data()),
        ]
    }

    fn check_constants<B: Backend>(&self, _: &PromptEmbedding<B>) -> Result<(), CoreError> {
        Ok(())
    }

    fn peft_keys<B: Backend>(&self, _: &PromptEmbedding<B>) -> Map<String, Value> {
        prompt::peft_keys(self.virtual_tokens, self.d_model)
    }

    fn own_keys(&self) -> Map<String, Value> {
        object(json!({ "max_source_length": self.max_source_length }))
    }

    fn from_keys(top: &mut Fields<'_>, own: &mut Fields<'_>) -> Result<Self, CoreError> {
        let (virtual_tokens, d_model) = prompt::sizes(top)?;
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
