//! ADePT: `[P; E + relu(E·W_down + b1)·W_up + b2]`, an offset per token (paper, equations 3 and 4). A network may make P
//! (`prompt_source.rs`).

use std::collections::BTreeMap;

use burn::tensor::TensorData;
use burn::tensor::backend::Backend;
use serde_json::{Map, Value, json};

use super::prompt::{self, Given, OFFSET_GROUP, PROMPT_GROUP, PromptAdapter, object, refuse};
use super::prompt_source::{self, P_TUNING_GROUP, PromptSource, RESIDUAL_GROUP};
use super::{
    AdapterInit, Merge, MethodConfig, MethodInfo, MethodSettings, ParameterGroup, PromptSizes, Setting, Shape,
};
use crate::file::Fields;
use crate::network::NetworkSizes;
use crate::{AdaptiveOffset, CoreError, Method, ModelSites, Offset, budget};

/// Sizes of the prompt and of the network shared by all tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct AdeptConfig {
    /// Width `d` of the model's token embeddings.
    pub d_model: usize,
    /// Virtual tokens `m`; may be 0 (paper, Table 14).
    pub virtual_tokens: usize,
    /// Bottleneck `r` of the network.
    pub rank: usize,
    /// Longest source in training; informational.
    pub max_source_length: usize,
    /// Dropout on the bottleneck before its ReLU, active on autodiff backends only. The paper has none; one version of
    /// the published script uses 0.1.
    pub dropout: f64,
    /// What makes the virtual tokens.
    pub source: PromptSource,
}

impl AdeptConfig {
    /// ADePT as in the paper, without dropout.
    pub fn new(d_model: usize, virtual_tokens: usize, rank: usize) -> Self {
        Self {
            d_model,
            virtual_tokens,
            rank,
            max_source_length: prompt::DEFAULT_LENGTH,
            dropout: 0.0,
            source: PromptSource::Plain,
        }
    }

    /// The same with virtual tokens from another source.
    #[must_use]
    pub fn with_source(self, source: PromptSource) -> Self {
        Self { source, ..self }
    }

    fn network(&self) -> Option<NetworkSizes> {
        self.source.network(self.d_model, self.virtual_tokens)
    }
}

impl MethodConfig for AdeptConfig {
    type Module<B: Backend> = PromptAdapter<B>;

    const INFO: MethodInfo = MethodInfo {
        title: "ADePT",
        summary: "a shorter prompt and an offset by token, `[P; E + f(E)]`",
        peft_type: "PROMPT_TUNING_LORAX",
        has_prompt: true,
        groups: &[PROMPT_GROUP, OFFSET_GROUP, RESIDUAL_GROUP, P_TUNING_GROUP],
        merge: Merge::Table,
        inference: "m more positions, a small network for each token; with a folded table m more positions alone",
        citation: "Tang et al., ADePT: Adaptive Decomposed Prompt Tuning for Parameter-Efficient Fine-tuning, ICLR 2025",
    };

    const SETTINGS: &'static [Setting] = prompt_source::SETTINGS;

    fn from_settings(settings: &MethodSettings<'_>) -> Result<Self, CoreError> {
        let (d_model, m) = (settings.sites.d_model, settings.virtual_tokens);
        let rank = settings.rank_or(Method::Adept, |values| budget::adept_bottleneck(d_model, values, m))?;
        Ok(Self {
            max_source_length: settings.max_source_length,
            dropout: settings.bottleneck_dropout,
            source: PromptSource::from_settings(settings)?,
            ..Self::new(d_model, m, rank)
        })
    }

    fn validate(&self) -> Result<(), CoreError> {
        let length = self.max_source_length;
        prompt::validate(
            Method::Adept,
            self.d_model,
            self.virtual_tokens,
            Some(self.rank),
            length,
        )?;
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(refuse(Method::Adept, "dropout", "at least 0 and below 1", self.dropout));
        }
        self.source.validate(self.d_model, self.virtual_tokens)
    }

    fn groups(&self) -> Vec<ParameterGroup> {
        match self.source {
            PromptSource::Plain => vec![PROMPT_GROUP, OFFSET_GROUP],
            PromptSource::Residual { .. } => vec![PROMPT_GROUP, OFFSET_GROUP, RESIDUAL_GROUP],
            PromptSource::PTuning { .. } => vec![OFFSET_GROUP, P_TUNING_GROUP],
        }
    }

    fn tensor_shapes(&self, _: &ModelSites) -> Result<Vec<Shape>, CoreError> {
        Ok(self.file_shapes(&[]))
    }

    fn file_shapes(&self, _: &[Shape]) -> Vec<Shape> {
        let (d, r) = (self.d_model, self.rank);
        let offset = [
            ("lora_embedding_A", vec![d, r]),
            ("lora_embedding_a", vec![r]),
            ("lora_embedding_B", vec![r, d]),
            ("lora_embedding_b", vec![d]),
        ];
        match self.network() {
            None => prompt::shapes(self.virtual_tokens, d, offset),
            Some(sizes) => {
                let mut shapes = prompt::network_shapes(self.virtual_tokens, sizes);
                shapes.extend(prompt::shapes(0, d, offset));
                shapes
            }
        }
    }

    fn derived_shapes(&self) -> Vec<Shape> {
        match self.source {
            PromptSource::Plain => Vec::new(),
            _ => prompt::derived_shapes(self.virtual_tokens, self.d_model),
        }
    }

    fn start<B: Backend>(
        &self,
        _: &ModelSites,
        start: AdapterInit<B>,
        device: &B::Device,
    ) -> Result<PromptAdapter<B>, CoreError> {
        let offset = AdaptiveOffset::new(self, start.fan_in, start.seed, device);
        let offset = Some(Offset::Adaptive(offset));
        match self.network() {
            None => PromptAdapter::start(self.virtual_tokens, self.d_model, offset, start, device),
            Some(sizes) => Ok(PromptAdapter {
                offset,
                ..PromptAdapter::start_network(self.virtual_tokens, sizes, start, device)?
            }),
        }
    }

    fn with_tensors<B: Backend>(
        &self,
        _: &ModelSites,
        tensors: BTreeMap<String, TensorData>,
        device: &B::Device,
    ) -> Result<PromptAdapter<B>, CoreError> {
        let shapes = self.file_shapes(&[]);
        let mut given = Given::new(tensors, &shapes)?;
        let offset = AdaptiveOffset::from_tensors(
            given.take("lora_embedding_A", device),
            given.take("lora_embedding_a", device),
            given.take("lora_embedding_B", device),
            given.take("lora_embedding_b", device),
            self.dropout,
        );
        Ok(PromptAdapter {
            offset: Some(Offset::Adaptive(offset)),
            ..given.prompt_of(self.network(), device)
        })
    }

    fn tensors<B: Backend>(module: &PromptAdapter<B>) -> Vec<(String, TensorData)> {
        module.tensors()
    }

    fn derived<B: Backend>(module: &PromptAdapter<B>) -> Vec<(String, TensorData)> {
        module.derived()
    }

    fn check_constants<B: Backend>(&self, module: &PromptAdapter<B>) -> Result<(), CoreError> {
        match &module.offset {
            Some(Offset::Adaptive(offset)) if offset.dropout != self.dropout => Err(refuse(
                Method::Adept,
                "dropout",
                "the value the adapter computes with",
                format!("{} (the adapter's is {})", self.dropout, offset.dropout),
            )),
            _ => Ok(()),
        }
    }

    fn peft_keys<B: Backend>(&self, _: &PromptAdapter<B>) -> Map<String, Value> {
        let mut keys = prompt::peft_keys(self.virtual_tokens, self.d_model);
        keys.extend(object(json!({ "max_length": self.max_source_length, "r": self.rank })));
        keys
    }

    fn own_keys(&self) -> Map<String, Value> {
        let mut keys = prompt::own_keys(self.max_source_length, 1.0, self.dropout);
        self.source.put_keys(&mut keys);
        keys
    }

    fn from_keys(top: &mut Fields<'_>, own: &mut Fields<'_>) -> Result<Self, CoreError> {
        let (virtual_tokens, d_model) = prompt::sizes(top)?;
        let rank = top.required_count("r")?;
        let length = top.count("max_length")?;
        own.number("scale")?;
        let length = own.count("max_source_length")?.or(length);
        Ok(Self {
            max_source_length: length.unwrap_or(prompt::DEFAULT_LENGTH),
            dropout: own.number("dropout")?.unwrap_or(0.0),
            source: PromptSource::from_keys(own)?,
            ..Self::new(d_model, virtual_tokens, rank)
        })
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = vec![
            ("width d", self.d_model.to_string()),
            ("virtual tokens m", self.virtual_tokens.to_string()),
            ("bottleneck r", self.rank.to_string()),
            ("dropout", self.dropout.to_string()),
            ("max source length", self.max_source_length.to_string()),
        ];
        facts.extend(self.source.facts());
        facts
    }

    fn prompt_sizes(&self) -> Option<PromptSizes> {
        Some(PromptSizes {
            d_model: Some(self.d_model),
            virtual_tokens: self.virtual_tokens,
            max_source_length: self.max_source_length,
        })
    }

    fn starts_from_rows(&self) -> bool {
        // P-tuning's encoder reads an embedding that is no token of the model.
        !matches!(self.source, PromptSource::PTuning { .. })
    }

    fn rank(&self) -> usize {
        self.rank
    }
}
