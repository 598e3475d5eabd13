//! Attaches ADePT and LoRA to a burn model from outside this workspace: a frozen classifier with random weights, and a
//! task that it was not trained for (does a sequence hold more tokens from the vocabulary's first half?).
//!
//! ```text
//! cargo run -p adept-core --example attach
//! ```
#![allow(clippy::print_stdout)]

use std::error::Error;

use adept_core::{
    Adapter, AdapterConfig, AdapterInit, AdapterMetadata, FanIn, Intervention, LinearMap, LinearPart, LinearSite,
    ModelSites, PromptInit, Stack, Unchanged, file,
};
use burn::backend::Autodiff;
use burn::module::{AutodiffModule, Module};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::optim::{AdamWConfig, GradientsParams, Optimizer};
use burn::tensor::{Bool, Distribution, Int, Tensor, activation::relu, backend::Backend};
use burn_flex::Flex;

const HIDDEN: LinearSite = LinearSite {
    stack: Stack::Encoder,
    block: 0,
    part: LinearPart::Up,
};

/// Embeddings, the mean over attended positions, two layers. Any model that can be run on embeddings works.
#[derive(Module, Debug)]
struct Classifier<B: Backend> {
    embedding: Embedding<B>,
    hidden: Linear<B>,
    head: Linear<B>,
}

impl<B: Backend> Classifier<B> {
    /// `[batch, seq]` ids to `[batch, 2]` logits: the adapter acts on the embeddings and on the hidden layer.
    fn forward(&self, ids: Tensor<B, 2, Int>, adapter: &dyn Intervention<B>) -> Tensor<B, 2> {
        let mask = Tensor::<B, 2, Bool>::full(ids.dims(), true, &ids.device());
        let input = adapter.forward(self.embedding.forward(ids), mask);
        let attended = input.mask.float().unsqueeze_dim::<3>(2);
        let mean = (input.embeddings * attended.clone()).sum_dim(1) / attended.sum_dim(1);
        let hidden = match adapter.linear(HIDDEN) {
            Some(change) => change.apply(mean, |x| self.hidden.forward(x)),
            None => self.hidden.forward(mean),
        };
        self.head.forward(relu(hidden).squeeze_dim::<2>(1))
    }
}

/// Random sequences, `[batch, seq]`, and whether most of their tokens are from the vocabulary's first half.
fn batch<B: Backend>(size: usize, device: &B::Device) -> (Tensor<B, 2, Int>, Tensor<B, 1, Int>) {
    let ids = Tensor::<B, 2, Int>::random([size, 9], Distribution::Uniform(0.0, 64.0), device);
    let first_half = ids.clone().lower_elem(32).int().sum_dim(1).squeeze_dim::<1>(1);
    (ids, first_half.greater_elem(4).int())
}

fn accuracy<B: Backend>(logits: Tensor<B, 2>, labels: Tensor<B, 1, Int>) -> f64 {
    let hits = logits.argmax(1).squeeze_dim::<1>(1).equal(labels).float().mean();
    100.0 * hits.into_data().iter::<f64>().sum::<f64>()
}

fn main() -> Result<(), Box<dyn Error>> {
    let device = Default::default();
    Autodiff::<Flex>::seed(&device, 7);
    let backbone = Classifier::<Autodiff<Flex>> {
        embedding: EmbeddingConfig::new(64, 32).init(&device),
        hidden: LinearConfig::new(32, 64).init(&device),
        head: LinearConfig::new(64, 2).init(&device),
    }
    .no_grad();
    let hidden = LinearMap {
        site: HIDDEN,
        name: "hidden".into(),
        input: 32,
        output: 64,
        fused: None,
    };
    let sites = ModelSites {
        d_model: 32,
        linears: vec![hidden],
    };
    let mut lora = adept_core::LoraConfig::new(4, 8.0);
    lora.target_modules = adept_core::TargetModules::Names(vec!["hidden".into()]);
    for config in [AdapterConfig::adept(32, 4, 4), lora.into()] {
        let start = AdapterInit {
            prompt: PromptInit::Random { std: 1.0 },
            fan_in: FanIn::Reference,
            seed: 7,
        };
        let mut adapter = Adapter::new(&config, &sites, start, &device)?;
        let mut optimizer = AdamWConfig::new().with_weight_decay(0.0).init();
        for _ in 0..300 {
            let (ids, labels) = batch(64, &device);
            let loss = CrossEntropyLossConfig::new()
                .init(&device)
                .forward(backbone.forward(ids, &adapter), labels);
            let gradients = GradientsParams::from_grads(loss.backward(), &adapter);
            adapter = optimizer.step(0.02, adapter, gradients);
        }
        // No gradients from here on: `valid` returns model and adapter on the plain backend.
        let (model, adapter, (ids, labels)) = (backbone.valid(), adapter.valid(), batch(1000, &device));
        let bare = accuracy(model.forward(ids.clone(), &Unchanged), labels.clone());
        let adapted = accuracy(model.forward(ids.clone(), &adapter), labels);
        let trained = config.trainable_parameters(&sites)?;
        println!(
            "{}: {trained} trained values, accuracy {bare:.1} % bare, {adapted:.1} % adapted",
            config.method()
        );
        // A folder in PEFT's layout is all it takes to use the adapter again.
        let dir = tempfile::tempdir()?;
        file::save(dir.path(), &adapter, &AdapterMetadata::new(config, "examples/attach"))?;
        let (reloaded, _) = file::load::<Flex>(dir.path(), &sites, &device)?;
        assert_eq!(
            model.forward(ids.clone(), &reloaded).to_data(),
            model.forward(ids, &adapter).to_data()
        );
    }
    Ok(())
}
