//! Residual prompt tuning: `[P + LN(W2·relu(W1·P + b1) + b2); E]` (Razdaibiedina et al., 2023, section 3), with one
//! network for all virtual tokens.
//!
//! Files are PEFT's `PROMPT_TUNING` with the resulting virtual tokens, and beside them the trained tensors.

use std::collections::BTreeMap;

use burn::tensor::TensorData;
use burn::tensor::backend::Backend;
use serde_json::{Map, Value, json};

use super::prompt::{self, MOST_HIDDEN, PROMPT_GROUP, PromptAdapter, object};
use super::{
    AdapterInit, GroupDefaults, Merge, MethodConfig, MethodInfo, MethodSettings, ParameterGroup, PromptSizes, Setting,
    SettingKind, Shape,
};
use crate::file::Fields;
use crate::network::{NetworkKind, NetworkSizes};
use crate::{CoreError, Method, ModelSites};

/// Hidden width of the published network.
pub(super) const DEFAULT_HIDDEN: usize = 800;
/// How the network is trained.
pub(super) const NETWORK_DEFAULTS: GroupDefaults = GroupDefaults {
    learning_rate: 0.3,
    weight_decay: 1e-5,
    warmup_steps: 500,
};

const HIDDEN: Setting = Setting {
    key: "hidden",
    kind: SettingKind::Integer {
        min: 1,
        max: MOST_HIDDEN as i64,
    },
    default: "800",
    meaning: "Hidden width h of the network.",
};

/// Sizes of the prompt and of the network.
#[derive(Debug, Clone, PartialEq)]
pub struct ResidualConfig {
    /// Width `d` of the model's token embeddings.
    pub d_model: usize,
    /// Virtual tokens `m`.
    pub virtual_tokens: usize,
    /// Hidden width `h` of the network.
    pub hidden: usize,
    /// Longest source in training; informational.
    pub max_source_length: usize,
}

impl ResidualConfig {
    /// `virtual_tokens` virtual tokens and a network of hidden width `hidden`.
    pub fn new(d_model: usize, virtual_tokens: usize, hidden: usize) -> Self {
        Self {
            d_model,
            virtual_tokens,
            hidden,
            max_source_length: prompt::DEFAULT_LENGTH,
        }
    }

    pub(super) fn network(&self) -> NetworkSizes {
        NetworkSizes {
            kind: NetworkKind::Residual,
            d_model: self.d_model,
            hidden: self.hidden,
        }
    }
}

impl MethodConfig for ResidualConfig {
    type Module<B: Backend> = PromptAdapter<B>;

    const INFO: MethodInfo = MethodInfo {
        title: "Residual PT",
        summary: "a soft prompt and a network added to it, `[P + LN(MLP(P)); E]`",
        peft_type: "PROMPT_TUNING",
        has_prompt: true,
        groups: &[
            PROMPT_GROUP,
            ParameterGroup {
                name: "residual",
                prefix: "network",
                defaults: Some(NETWORK_DEFAULTS),
            },
        ],
        merge: Merge::No("it makes a soft prompt, which is part of the input, not of the weights"),
        inference: "m more positions",
        citation: "Razdaibiedina et al., Residual Prompt Tuning: Improving Prompt Tuning with Residual \
                   Reparameterization, Findings of ACL 2023",
    };

    const SETTINGS: &'static [Setting] = &[HIDDEN];

    fn from_settings(settings: &MethodSettings<'_>) -> Result<Self, CoreError> {
        Ok(Self {
            d_model: settings.sites.d_model,
            virtual_tokens: settings.virtual_tokens,
            hidden: settings.own(Method::Residual, &HIDDEN)?,
            max_source_length: settings.max_source_length,
        })
    }

    fn validate(&self) -> Result<(), CoreError> {
        prompt::validate_network(
            Method::Residual,
            self.virtual_tokens,
            self.network(),
            self.max_source_length,
        )
    }

    fn tensor_shapes(&self, _: &ModelSites) -> Result<Vec<Shape>, CoreError> {
        Ok(self.file_shapes(&[]))
    }

    fn file_shapes(&self, _: &[Shape]) -> Vec<Shape> {
        prompt::network_shapes(self.virtual_tokens, self.network())
    }

    fn derived_shapes(&self) -> Vec<Shape> {
        prompt::derived_shapes(self.virtual_tokens, self.d_model)
    }

    fn start<B: Backend>(
        &self,
        _: &ModelSites,
        start: AdapterInit<B>,
        device: &B::Device,
    ) -> Result<PromptAdapter<B>, CoreError> {
        PromptAdapter::start_network(self.virtual_tokens, self.network(), start, device)
    }

    fn with_tensors<B: Backend>(
        &self,
        _: &ModelSites,
        tensors: BTreeMap<String, TensorData>,
        device: &B::Device,
    ) -> Result<PromptAdapter<B>, CoreError> {
        PromptAdapter::of_network(self.virtual_tokens, self.network(), tensors, device)
    }

    fn tensors<B: Backend>(module: &PromptAdapter<B>) -> Vec<(String, TensorData)> {
        module.tensors()
    }

    fn derived<B: Backend>(module: &PromptAdapter<B>) -> Vec<(String, TensorData)> {
        module.derived()
    }

    fn check_constants<B: Backend>(&self, _: &PromptAdapter<B>) -> Result<(), CoreError> {
        Ok(())
    }

    fn peft_keys<B: Backend>(&self, _: &PromptAdapter<B>) -> Map<String, Value> {
        prompt::peft_keys(self.virtual_tokens, self.d_model)
    }

    fn own_keys(&self) -> Map<String, Value> {
        object(json!({
            "hidden": self.hidden,
            "max_source_length": self.max_source_length,
            "method": Method::Residual.name(),
        }))
    }

    fn from_keys(top: &mut Fields<'_>, own: &mut Fields<'_>) -> Result<Self, CoreError> {
        let (virtual_tokens, d_model) = prompt::sizes(top)?;
        Ok(Self {
            d_model,
            virtual_tokens,
            hidden: own.required_count("hidden")?,
            max_source_length: own.count("max_source_length")?.unwrap_or(prompt::DEFAULT_LENGTH),
        })
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        vec![
            ("width d", self.d_model.to_string()),
            ("virtual tokens m", self.virtual_tokens.to_string()),
            ("hidden width h", self.hidden.to_string()),
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
