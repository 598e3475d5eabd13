//! P-tuning: `[encoder(X); E]`, virtual tokens that an encoder makes of a trained embedding `X` (Liu et al., 2021,
//! section 3), all in front of the input as in PEFT.
//!
//! Files are PEFT's `P_TUNING`, which stores the encoder's result, and beside it the trained tensors, named and shaped
//! as in the state of PEFT's `PromptEncoder`.

use std::collections::BTreeMap;

use burn::tensor::TensorData;
use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::prompt::{self, MOST_HIDDEN, PromptAdapter, object};
use super::{
    AdapterInit, GroupDefaults, Merge, MethodConfig, MethodInfo, MethodSettings, ParameterGroup, PromptSizes, Setting,
    SettingKind, Shape,
};
use crate::file::Fields;
use crate::network::{NetworkKind, NetworkSizes};
use crate::{CoreError, Method, ModelSites};

/// How the encoder and its embedding are trained.
pub(super) const DEFAULTS: GroupDefaults = GroupDefaults {
    learning_rate: 1e-3,
    weight_decay: 0.0,
    warmup_steps: 500,
};

const ENCODER: Setting = Setting {
    key: "encoder",
    kind: SettingKind::Choice(&["mlp", "lstm"]),
    default: "\"mlp\"",
    meaning: "What makes the virtual tokens of the embedding, which starts at standard normal values whatever \
              `adapter.init` says: three linear maps with ReLU between (`mlp`), or a bidirectional LSTM of two layers \
              and two linear maps (`lstm`).",
};
const HIDDEN: Setting = Setting {
    key: "hidden",
    kind: SettingKind::Integer {
        min: 0,
        max: MOST_HIDDEN as i64,
    },
    default: "0",
    meaning: "Hidden width h of the encoder, of the LSTM in each direction. 0: the model's width.",
};

/// What makes the virtual tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoder {
    /// `d → h → h → d` with ReLU between.
    Mlp,
    /// A bidirectional LSTM of two layers, then `2h → 2h → d` with ReLU between.
    Lstm,
}

impl Encoder {
    /// PEFT's word for it.
    pub(super) fn peft_name(self) -> &'static str {
        match self {
            Self::Mlp => "MLP",
            Self::Lstm => "LSTM",
        }
    }
}

/// Sizes of the embedding and of the encoder.
#[derive(Debug, Clone, PartialEq)]
pub struct PTuningConfig {
    /// Width `d` of the model's token embeddings.
    pub d_model: usize,
    /// Virtual tokens `m`.
    pub virtual_tokens: usize,
    /// The encoder.
    pub encoder: Encoder,
    /// Hidden width `h` of the encoder.
    pub hidden: usize,
    /// Longest source in training; informational.
    pub max_source_length: usize,
}

impl PTuningConfig {
    /// `virtual_tokens` virtual tokens from an encoder of hidden width `hidden`.
    pub fn new(d_model: usize, virtual_tokens: usize, encoder: Encoder, hidden: usize) -> Self {
        Self {
            d_model,
            virtual_tokens,
            encoder,
            hidden,
            max_source_length: prompt::DEFAULT_LENGTH,
        }
    }

    pub(super) fn network(&self) -> NetworkSizes {
        NetworkSizes {
            kind: match self.encoder {
                Encoder::Mlp => NetworkKind::Mlp,
                Encoder::Lstm => NetworkKind::Lstm,
            },
            d_model: self.d_model,
            hidden: self.hidden,
        }
    }
}

impl MethodConfig for PTuningConfig {
    type Module<B: Backend> = PromptAdapter<B>;

    const INFO: MethodInfo = MethodInfo {
        title: "P-tuning",
        summary: "an embedding and the encoder that makes a soft prompt of it, `[encoder(X); E]`",
        peft_type: "P_TUNING",
        has_prompt: true,
        groups: &[ParameterGroup {
            name: "p_tuning",
            prefix: "",
            defaults: Some(DEFAULTS),
        }],
        merge: Merge::No("it makes a soft prompt, which is part of the input, not of the weights"),
        inference: "m more positions",
        citation: "Liu et al., GPT Understands, Too, arXiv 2103.10385, 2021",
    };

    const SETTINGS: &'static [Setting] = &[ENCODER, HIDDEN];

    fn from_settings(settings: &MethodSettings<'_>) -> Result<Self, CoreError> {
        let d_model = settings.sites.d_model;
        Ok(Self {
            d_model,
            virtual_tokens: settings.virtual_tokens,
            encoder: settings.own(Method::PTuning, &ENCODER)?,
            hidden: match settings.own(Method::PTuning, &HIDDEN)? {
                0 => d_model,
                hidden => hidden,
            },
            max_source_length: settings.max_source_length,
        })
    }

    fn validate(&self) -> Result<(), CoreError> {
        prompt::validate_network(
            Method::PTuning,
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
        object(json!({
            "encoder_dropout": 0.0,
            "encoder_hidden_size": self.hidden,
            "encoder_num_layers": 2,
            "encoder_reparameterization_type": self.encoder.peft_name(),
            "num_attention_heads": null,
            "num_layers": null,
            "num_transformer_submodules": 1,
            "num_virtual_tokens": self.virtual_tokens,
            "token_dim": self.d_model,
        }))
    }

    fn own_keys(&self) -> Map<String, Value> {
        object(json!({
            "max_source_length": self.max_source_length,
            "method": Method::PTuning.name(),
        }))
    }

    fn from_keys(top: &mut Fields<'_>, own: &mut Fields<'_>) -> Result<Self, CoreError> {
        let (virtual_tokens, d_model) = prompt::sizes(top)?;
        let encoder = top.take("encoder_reparameterization_type", "MLP or LSTM", |value| {
            let known = [Encoder::Mlp, Encoder::Lstm].into_iter();
            known
                .clone()
                .find(|encoder| value.as_str() == Some(encoder.peft_name()))
        })?;
        top.take("encoder_dropout", "0", |value| {
            (value.as_f64() == Some(0.0)).then_some(())
        })?;
        top.take("encoder_num_layers", "2", |value| {
            (value.as_u64() == Some(2)).then_some(())
        })?;
        Ok(Self {
            d_model,
            virtual_tokens,
            encoder: encoder.unwrap_or(Encoder::Mlp),
            hidden: top.required_count("encoder_hidden_size")?,
            max_source_length: own.count("max_source_length")?.unwrap_or(prompt::DEFAULT_LENGTH),
        })
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        vec![
            ("width d", self.d_model.to_string()),
            ("virtual tokens m", self.virtual_tokens.to_string()),
            ("encoder", self.encoder.peft_name().to_owned()),
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
}
