//! ADePT on a model that is no part of adept: burn's transformer encoder, frozen, with a head. Only what enters the
//! model changes, so nothing of it has to be opened.
//!
//! `cargo run --manifest-path examples/outside/Cargo.toml`

use adept_core::{Adapter, AdapterConfig, AdapterInit, CoreError, Intervention, ModelSites, Unchanged};
use burn::backend::{Autodiff, Flex};
use burn::module::Module;
use burn::nn::transformer::{TransformerEncoderConfig, TransformerEncoderInput};
use burn::nn::{EmbeddingConfig, LinearConfig};
use burn::optim::{AdamWConfig, GradientsParams, Optimizer};
use burn::tensor::Tensor;

type B = Autodiff<Flex>;

fn main() -> Result<(), CoreError> {
    let device = Default::default();
    let embedding = EmbeddingConfig::new(64, 32).init::<B>(&device).no_grad();
    let encoder = TransformerEncoderConfig::new(32, 64, 4, 2).init::<B>(&device).no_grad();
    let head = LinearConfig::new(32, 1).init::<B>(&device).no_grad();

    // The frozen model is to score every one of these eight texts with 1.
    let ids = Tensor::arange(0..64, &device).reshape([8, 8]);
    let loss = |adapter: &dyn Intervention<B>| {
        let mask = Tensor::full([8, 8], true, &device);
        let input = adapter.forward(embedding.forward(ids.clone()), mask);
        let states = encoder.forward(TransformerEncoderInput::new(input.embeddings).mask_pad(input.mask.bool_not()));
        (head.forward(states.mean_dim(1)) - 1.0).powi_scalar(2).mean()
    };

    let config = AdapterConfig::adept(32, 4, 8);
    let mut adapter = Adapter::new(&config, &ModelSites::embeddings(32), AdapterInit::random(7), &device)?;
    let mut optimizer = AdamWConfig::new().init();
    for _ in 0..50 {
        let gradients = GradientsParams::from_grads(loss(&adapter).backward(), &adapter);
        adapter = optimizer.step(0.01, adapter, gradients);
    }
    let [before, after] = [loss(&Unchanged), loss(&adapter)].map(Tensor::into_scalar);
    println!(
        "{} trained numbers: loss {before:.3}, then {after:.3}",
        adapter.num_params()
    );
    Ok(())
}
