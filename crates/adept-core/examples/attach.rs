//! Attaches PT and LoRA to a burn model of your own: trains each, saves it, loads it again.
//!
//! `cargo run -p adept-core --example attach`
#![allow(clippy::print_stdout)]

use adept_core::{Adapter, AdapterConfig, AdapterInit, AdapterMetadata, CoreError, Intervention, LoraConfig, file};
use adept_core::{LinearMap, LinearPart, LinearSite, ModelSites, Stack, Unchanged};
use burn::backend::Autodiff;
use burn::module::{AutodiffModule, Module};
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::optim::{AdamWConfig, GradientsParams, Optimizer};
use burn::tensor::{Int, Tensor, backend::Backend};
use burn_flex::Flex;

/// Describes the model's only linear map to adapters.
const OUTPUT: LinearSite = LinearSite::new(Stack::Encoder, 0, LinearPart::Up);

#[derive(Module, Debug)]
struct Scorer<B: Backend> {
    embedding: Embedding<B>,
    output: Linear<B>,
}

impl<B: Backend> Scorer<B> {
    /// Token ids `[batch, seq]` to scores `[batch, 1, 1]`; an adapter changes the embeddings and the linear map.
    fn forward(&self, ids: Tensor<B, 2, Int>, adapter: &dyn Intervention<B>) -> Tensor<B, 3> {
        let mask = Tensor::full(ids.dims(), true, &ids.device());
        let input = adapter.forward(self.embedding.forward(ids), mask);
        adapter.apply_linear(OUTPUT, input.embeddings.mean_dim(1), &|x| self.output.forward(x))
    }
}

fn main() -> Result<(), CoreError> {
    let device = Default::default();
    let embedding = EmbeddingConfig::new(64, 32).init(&device);
    let output = LinearConfig::new(32, 1).init(&device);
    let model = Scorer::<Autodiff<Flex>> { embedding, output }.no_grad();
    let sites = ModelSites::new(32, vec![LinearMap::new(OUTPUT, "output", 32, 1)]);
    // A task that the model was not trained for: every text scores 1.
    let ids = Tensor::arange(0..64, &device).reshape([8, 8]);
    let loss = |by: &dyn Intervention<_>| (model.forward(ids.clone(), by) - 1.0).powi_scalar(2).mean();
    let lora = LoraConfig::new(4, 8.0).with_targets(["output"]);
    for config in [AdapterConfig::pt(32, 4), lora.into()] {
        let mut adapter = Adapter::new(&config, &sites, AdapterInit::random(7), &device)?;
        let mut optimizer = AdamWConfig::new().init();
        for _ in 0..100 {
            let gradients = GradientsParams::from_grads(loss(&adapter).backward(), &adapter);
            adapter = optimizer.step(0.02, adapter, gradients);
        }
        let folder = std::env::temp_dir().join("adept-attach");
        file::save(&folder, &adapter.valid(), &AdapterMetadata::new(config, "scorer"))?;
        let (loaded, _) = file::load(&folder, &sites, &device)?;
        let [before, after] = [loss(&Unchanged), loss(&loaded)].map(Tensor::into_scalar);
        println!("{}: loss {before:.3}, then {after:.3}", loaded.method());
    }
    Ok(())
}
