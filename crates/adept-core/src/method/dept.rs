//! DePT: `[P; E + s·A·B]`, an offset per position (paper, equation 2).

use std::collections::BTreeMap;

use burn::tensor::TensorData;
use burn::tensor::backend::Backend;
use serde_json::{Map, Value, json};

use super::prompt::{self, Given, OFFSET_GROUP, PROMPT_GROUP, PromptAdapter, object, refuse};
use super::{AdapterInit, Merge, MethodConfig, MethodInfo, MethodSettings, PromptSizes, Setting, Shape};
use crate::file::{Fields, exact};
use crate::{CoreError, Method, ModelSites, Offset, PositionalOffset, budget};

/// Default of `lora_alpha` when reading files, as in the published code.
const DEFAULT_ALPHA: f64 = 8.0;

/// Sizes of the prompt and of the low-rank product.
#[derive(Debug, Clone, PartialEq)]
pub struct DeptConfig {
    /// Width `d` of the model's token embeddings.
    pub d_model: usize,
    /// Virtual tokens `m`; may be 0.
    pub virtual_tokens: usize,
    /// Rank `r` of the product.
    pub rank: usize,
    /// Rows of `A`: the longest input in tokens (padding counted, prompt not).
    pub max_source_length: usize,
    /// The factor `s`: `alpha / sqrt(r)` with alpha 8 in the published code, 1 in the paper's equation.
    pub scale: f64,
}

impl DeptConfig {
    /// The paper's plain product (scale 1).
    pub fn new(d_model: usize, virtual_tokens: usize, rank: usize, max_source_length: usize) -> Self {
        Self {
            d_model,
            virtual_tokens,
            rank,
            max_source_length,
            scale: 1.0,
        }
    }
}

impl MethodConfig for DeptConfig {
    type Module<B: Backend> = PromptAdapter<B>;

    const INFO: MethodInfo = MethodInfo {
        title: "DePT",
        summary: "a shorter prompt and an offset by position, `[P; E + s·A·B]`",
        peft_type: "PROMPT_TUNING_LORA",
        has_prompt: true,
        groups: &[PROMPT_GROUP, OFFSET_GROUP],
        merge: Merge::No("its offsets depend on the position of a token"),
        inference: "m more positions, a sum for each token",
        citation: "Shi and Lipani, DePT: Decomposed Prompt Tuning for Parameter-Efficient Fine-tuning, ICLR 2024",
    };

    const SETTINGS: &'static [Setting] = &[];

    fn from_settings(settings: &MethodSettings<'_>) -> Result<Self, CoreError> {
        let (d_model, m, length) = (
            settings.sites.d_model,
            settings.virtual_tokens,
            settings.max_source_length,
        );
        let rank = settings.rank_or(Method::Dept, |values| budget::dept_rank(d_model, values, m, length))?;
        Ok(Self {
            scale: match settings.dept_alpha > 0.0 {
                true => settings.dept_alpha / (rank as f64).sqrt(),
                false => 1.0,
            },
            ..Self::new(d_model, m, rank, length)
        })
    }

    fn validate(&self) -> Result<(), CoreError> {
        let length = self.max_source_length;
        prompt::validate(Method::Dept, self.d_model, self.virtual_tokens, Some(self.rank), length)?;
        if length == 0 {
            return Err(refuse(Method::Dept, "max_source_length", "at least 1", 0));
        }
        if !self.scale.is_finite() {
            return Err(refuse(Method::Dept, "scale", "a finite number", self.scale));
        }
        Ok(())
    }

    fn tensor_shapes(&self, _: &ModelSites) -> Result<Vec<Shape>, CoreError> {
        Ok(self.file_shapes(&[]))
    }

    fn file_shapes(&self, _: &[Shape]) -> Vec<Shape> {
        let (d, r) = (self.d_model, self.rank);
        let offset = [
            ("lora_embedding_A", vec![self.max_source_length, r]),
            ("lora_embedding_B", vec![r, d]),
        ];
        prompt::shapes(self.virtual_tokens, d, offset)
    }

    fn start<B: Backend>(
        &self,
        _: &ModelSites,
        start: AdapterInit<B>,
        device: &B::Device,
    ) -> Result<PromptAdapter<B>, CoreError> {
        let offset = PositionalOffset::new(self, start.fan_in, start.seed, device);
        let offset = Some(Offset::Positional(offset));
        PromptAdapter::start(self.virtual_tokens, self.d_model, offset, start, device)
    }

    fn with_tensors<B: Backend>(
        &self,
        _: &ModelSites,
        tensors: BTreeMap<String, TensorData>,
        device: &B::Device,
    ) -> Result<PromptAdapter<B>, CoreError> {
        let shapes = self.file_shapes(&[]);
        let mut given = Given::new(tensors, &shapes)?;
        let (a, b) = (
            given.take("lora_embedding_A", device),
            given.take("lora_embedding_B", device),
        );
        Ok(PromptAdapter {
            prompt: given.prompt(device),
            network: None,
            offset: Some(Offset::Positional(PositionalOffset::from_tensors(a, b, self.scale))),
        })
    }

    fn tensors<B: Backend>(module: &PromptAdapter<B>) -> Vec<(String, TensorData)> {
        module.tensors()
    }

    fn check_constants<B: Backend>(&self, module: &PromptAdapter<B>) -> Result<(), CoreError> {
        match &module.offset {
            Some(Offset::Positional(offset)) if offset.scale != self.scale => Err(refuse(
                Method::Dept,
                "scale",
                "the value the adapter computes with",
                format!("{} (the adapter's is {})", self.scale, offset.scale),
            )),
            _ => Ok(()),
        }
    }

    fn peft_keys<B: Backend>(&self, _: &PromptAdapter<B>) -> Map<String, Value> {
        let mut keys = prompt::peft_keys(self.virtual_tokens, self.d_model);
        keys.extend(object(json!({
            "lora_alpha": exact(self.scale * (self.rank as f64).sqrt()),
            "max_length": self.max_source_length,
            "r": self.rank,
        })));
        keys
    }

    fn own_keys(&self) -> Map<String, Value> {
        prompt::own_keys(self.max_source_length, self.scale, 0.0)
    }

    fn from_keys(top: &mut Fields<'_>, own: &mut Fields<'_>) -> Result<Self, CoreError> {
        let (virtual_tokens, d_model) = prompt::sizes(top)?;
        let rank = top.required_count("r")?;
        let max_source_length = top.required_count("max_length")?;
        let root = (rank as f64).sqrt();
        let mut scale = top.number("lora_alpha")?.unwrap_or(DEFAULT_ALPHA) / root;
        if let Some(exact) = own.number("scale")? {
            // The two fields are redundant; if one was edited, neither can be trusted.
            if (exact - scale).abs() > 1e-9 * exact.abs() {
                let expected = format!("{exact} times the square root of r, to agree with adept.scale");
                return Err(top.error("lora_alpha", &expected, &(scale * root).into()));
            }
            scale = exact;
        }
        own.count("max_source_length")?;
        own.number("dropout")?;
        Ok(Self {
            scale,
            ..Self::new(d_model, virtual_tokens, rank, max_source_length)
        })
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        vec![
            ("width d", self.d_model.to_string()),
            ("virtual tokens m", self.virtual_tokens.to_string()),
            ("rank r", self.rank.to_string()),
            ("scale s", self.scale.to_string()),
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

    fn rank(&self) -> usize {
        self.rank
    }
}
