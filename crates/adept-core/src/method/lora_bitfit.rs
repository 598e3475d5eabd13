//! LoRA together with BitFit: what the LoRA rows of T5 in the paper's Table 3 were trained with (the configuration of
//! Sung et al., 2022, from which they are quoted, trains every bias beside the products: 3.8 million values).
//!
//! Files hold the tensors of both. PEFT would ignore the biases, so the type is our own.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use serde_json::{Map, Value};

use super::bitfit::{BitFit, BitFitConfig};
use super::lora::{Lora, LoraConfig};
use super::{
    AdapterInit, GroupDefaults, Merge, MethodConfig, MethodInfo, MethodSettings, ParameterGroup, Setting, Shape,
};
use crate::file::Fields;
use crate::site::{LinearSite, ModelSites, NormSite};
use crate::{CoreError, Intervention, LinearChange, NormChange};

/// The products; there is nothing to configure about the biases.
#[derive(Debug, Clone, PartialEq)]
pub struct LoraBitFitConfig {
    /// The products.
    pub lora: LoraConfig,
}

const BITFIT: BitFitConfig = BitFitConfig {};

/// Products and biases.
#[derive(Module, Debug)]
pub struct LoraBitFit<B: Backend> {
    /// The products.
    pub lora: Lora<B>,
    /// The biases.
    pub bitfit: BitFit<B>,
}

impl<B: Backend> Intervention<B> for LoraBitFit<B> {
    fn linear(&self, site: LinearSite) -> Option<LinearChange<B>> {
        match (self.lora.linear(site), self.bitfit.linear(site)) {
            (Some(product), bias) => Some(LinearChange {
                bias: bias.and_then(|change| change.bias),
                ..product
            }),
            (None, bias) => bias,
        }
    }

    fn norm(&self, site: NormSite) -> Option<NormChange<B>> {
        self.bitfit.norm(site)
    }

    fn head_bias(&self) -> Option<Tensor<B, 1>> {
        self.bitfit.head_bias()
    }

    fn changes_model(&self) -> bool {
        true
    }
}

impl MethodConfig for LoraBitFitConfig {
    type Module<B: Backend> = LoraBitFit<B>;

    const INFO: MethodInfo = MethodInfo {
        title: "LoRA + BitFit",
        summary: "products of low rank beside chosen weights, and biases",
        peft_type: "LORA_BITFIT",
        has_prompt: false,
        groups: &[ParameterGroup {
            name: "lora_bitfit",
            prefix: "",
            defaults: Some(GroupDefaults {
                learning_rate: 3e-4,
                weight_decay: 0.0,
                warmup_steps: 500,
            }),
        }],
        merge: Merge::Weights,
        inference: BitFitConfig::INFO.inference,
        citation: "Sung, Cho and Bansal, LST: Ladder Side-Tuning for Parameter and Memory Efficient Transfer Learning, \
                   NeurIPS 2022 (its LoRA)",
    };

    const SETTINGS: &'static [Setting] = LoraConfig::SETTINGS;

    fn from_settings(settings: &MethodSettings<'_>) -> Result<Self, CoreError> {
        let lora = LoraConfig::from_settings(settings)?;
        Ok(Self { lora })
    }

    fn validate(&self) -> Result<(), CoreError> {
        self.lora.validate()
    }

    fn tensor_shapes(&self, sites: &ModelSites) -> Result<Vec<Shape>, CoreError> {
        Ok([self.lora.tensor_shapes(sites)?, BITFIT.tensor_shapes(sites)?].concat())
    }

    fn file_shapes(&self, found: &[Shape]) -> Vec<Shape> {
        [self.lora.file_shapes(found), BITFIT.file_shapes(found)].concat()
    }

    fn start<B: Backend>(
        &self,
        sites: &ModelSites,
        start: AdapterInit<B>,
        device: &B::Device,
    ) -> Result<LoraBitFit<B>, CoreError> {
        Ok(LoraBitFit {
            lora: self.lora.start(sites, start.clone(), device)?,
            bitfit: BITFIT.start(sites, start, device)?,
        })
    }

    fn with_tensors<B: Backend>(
        &self,
        sites: &ModelSites,
        tensors: BTreeMap<String, TensorData>,
        device: &B::Device,
    ) -> Result<LoraBitFit<B>, CoreError> {
        let biases: Vec<String> = BITFIT.tensor_shapes(sites)?.into_iter().map(|(name, _)| name).collect();
        let (biases, products) = tensors.into_iter().partition(|(name, _)| biases.contains(name));
        Ok(LoraBitFit {
            lora: self.lora.with_tensors(sites, products, device)?,
            bitfit: BITFIT.with_tensors(sites, biases, device)?,
        })
    }

    fn tensors<B: Backend>(module: &LoraBitFit<B>) -> Vec<(String, TensorData)> {
        let products = LoraConfig::tensors(&module.lora);
        products
            .into_iter()
            .chain(BitFitConfig::tensors(&module.bitfit))
            .collect()
    }

    fn check_constants<B: Backend>(&self, module: &LoraBitFit<B>) -> Result<(), CoreError> {
        self.lora.check_constants(&module.lora)
    }

    fn peft_keys<B: Backend>(&self, module: &LoraBitFit<B>) -> Map<String, Value> {
        self.lora.peft_keys(&module.lora)
    }

    fn own_keys(&self) -> Map<String, Value> {
        self.lora.own_keys()
    }

    fn from_keys(top: &mut Fields<'_>, own: &mut Fields<'_>) -> Result<Self, CoreError> {
        let lora = LoraConfig::from_keys(top, own)?;
        Ok(Self { lora })
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        self.lora.facts()
    }

    fn rank(&self) -> usize {
        self.lora.rank
    }
}
