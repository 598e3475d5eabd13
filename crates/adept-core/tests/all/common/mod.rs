//! Helpers shared by several test files.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use adept_core::{Adapter, AdapterConfig, AdapterInit, DeptConfig, FanIn, ModelSites, PromptAdapter, PromptInit};
use burn::tensor::TensorData;
use burn::tensor::backend::Backend;
use safetensors::SafeTensors;

/// A file or folder under `tests/fixtures`, created by `tests/generators/published_adapters.py`.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// The f32 tensors of a safetensors file.
pub fn tensors(path: &Path) -> BTreeMap<String, TensorData> {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let read = |(name, view): (&str, safetensors::tensor::TensorView<'_>)| {
        assert_eq!(view.dtype(), safetensors::Dtype::F32, "{name}");
        let values: Vec<f32> = view
            .data()
            .as_chunks()
            .0
            .iter()
            .map(|&bytes| f32::from_le_bytes(bytes))
            .collect();
        (name.to_string(), TensorData::new(values, view.shape()))
    };
    file.iter().map(read).collect()
}

/// Configurations of the prompt methods with the fixtures' sizes.
pub fn configs() -> [AdapterConfig; 3] {
    let dept = DeptConfig {
        scale: 0.5,
        ..DeptConfig::new(6, 3, 2, 5)
    };
    [AdapterConfig::pt(6, 3), dept.into(), AdapterConfig::adept(6, 3, 2)]
}

/// What a prompt method needs to know of its model.
pub fn sites(config: &AdapterConfig) -> ModelSites {
    ModelSites::embeddings(config.d_model().unwrap())
}

/// Initial values used by the tests: a random prompt.
pub fn start<B: Backend>(seed: u64) -> AdapterInit<B> {
    AdapterInit {
        prompt: PromptInit::Random { std: 1.0 },
        fan_in: FanIn::Reference,
        seed,
        weights: None,
        sources: None,
    }
}

/// A newly initialised adapter with a random prompt.
pub fn random<B: Backend>(config: &AdapterConfig, seed: u64) -> Adapter<B> {
    Adapter::new(config, &sites(config), start(seed), &Default::default()).unwrap()
}

pub fn prompt<B: Backend>(adapter: &Adapter<B>) -> &PromptAdapter<B> {
    adapter.as_prompt().unwrap()
}

/// An adapter with random values in every tensor, as if trained.
pub fn trained<B: Backend>(config: &AdapterConfig, seed: u64) -> Adapter<B> {
    let sites = sites(config);
    let fill = |(place, (name, shape)): (usize, (String, Vec<usize>))| {
        let count: usize = shape.iter().product();
        let prompt = AdapterConfig::pt(count, 1);
        let values = random::<B>(&prompt, seed + place as u64).tensors().remove(0).1;
        (name, TensorData::new(values.to_vec::<f32>().unwrap(), shape))
    };
    let shapes = config.tensor_shapes(&sites).unwrap();
    let tensors = shapes.into_iter().enumerate().map(fill).collect();
    Adapter::from_tensors(config, &sites, tensors, &Default::default()).unwrap()
}
