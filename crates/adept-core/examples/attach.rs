//! Attaches ADePT to a model of one's own: a small frozen classifier with random weights, and a task it was never
//! trained for.
//!
//! ```text
//! cargo run -p adept-core --example attach
//! ```
//!
//! The task: does a sequence hold more tokens of the first half of the vocabulary than of the second? The model averages
//! over its positions, so that the answer has to come from what is done to each token, which is ADePT's part. It prints
//! (the last digits depend on the processor)
//!
//! ```text
//! adapter: 420 trained values beside a frozen model of 4290
//! step   0: loss 0.705
//! step 300: loss 0.235
//! accuracy on new sequences: 49.7 % bare, 88.9 % adapted
//! reloaded adapter: the same predictions
//! ```
#![allow(clippy::print_stdout)]

use std::error::Error;

use adept_core::{
    AdapterConfig, AdapterMetadata, FanIn, FingerprintBuilder, PromptAdapter, PromptInit, file, sample_vocabulary,
};
use burn::backend::Autodiff;
use burn::module::{AutodiffModule, Module};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::optim::{AdamWConfig, GradientsParams, Optimizer};
use burn::tensor::activation::relu;
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Distribution, Int, Tensor};
use burn_flex::Flex;

type Inner = Flex;
type Training = Autodiff<Flex>;

const VOCABULARY: usize = 64;
const WIDTH: usize = 32;
const LENGTH: usize = 9;
const STEPS: usize = 300;

/// Embeddings, the mean over attended positions, two layers. Anything that can be run on embeddings will do.
#[derive(Module, Debug)]
struct Classifier<B: Backend> {
    embedding: Embedding<B>,
    hidden: Linear<B>,
    head: Linear<B>,
}

impl<B: Backend> Classifier<B> {
    fn new(device: &B::Device) -> Self {
        Self {
            embedding: EmbeddingConfig::new(VOCABULARY, WIDTH).init(device),
            hidden: LinearConfig::new(WIDTH, 64).init(device),
            head: LinearConfig::new(64, 2).init(device),
        }
    }

    /// `[batch, seq, d]` embeddings to `[batch, 2]` logits.
    fn forward(&self, embeddings: Tensor<B, 3>, mask: Tensor<B, 2, Bool>) -> Tensor<B, 2> {
        let attended = mask.float().unsqueeze_dim::<3>(2);
        let count = attended.clone().sum_dim(1);
        let mean = ((embeddings * attended).sum_dim(1) / count).squeeze_dim::<2>(1);
        self.head.forward(relu(self.hidden.forward(mean)))
    }

    /// The usual way in: look the tokens up, let the adapter work on them, go on.
    fn adapted(&self, adapter: &PromptAdapter<B>, ids: Tensor<B, 2, Int>) -> Tensor<B, 2> {
        let mask = Tensor::full(ids.dims(), true, &ids.device());
        let input = adapter.forward(self.embedding.forward(ids), mask);
        self.forward(input.embeddings, input.mask)
    }
}

/// Random sequences, `[batch, seq]`, and whether most of their tokens are of the vocabulary's first half.
fn batch<B: Backend>(size: usize, device: &B::Device) -> (Tensor<B, 2, Int>, Tensor<B, 1, Int>) {
    let ids = Tensor::<B, 2, Int>::random([size, LENGTH], Distribution::Uniform(0.0, VOCABULARY as f64), device);
    let first_half = ids
        .clone()
        .lower_elem(VOCABULARY as i64 / 2)
        .int()
        .sum_dim(1)
        .squeeze_dim::<1>(1);
    (ids, first_half.greater_elem(LENGTH as i64 / 2).int())
}

fn accuracy<B: Backend>(logits: Tensor<B, 2>, labels: Tensor<B, 1, Int>) -> f64 {
    let hits = logits.argmax(1).squeeze_dim::<1>(1).equal(labels).float().mean();
    100.0 * hits.into_data().iter::<f64>().sum::<f64>()
}

fn main() -> Result<(), Box<dyn Error>> {
    let device = Default::default();
    Training::seed(&device, 7);

    // The backbone is frozen: it gets no gradient and none is computed.
    let backbone = Classifier::<Training>::new(&device).no_grad();
    let config = AdapterConfig::adept(WIDTH, 4, 4);
    let rows = sample_vocabulary(&(0..VOCABULARY as u32).collect::<Vec<_>>(), config.virtual_tokens, 7);
    let rows = Tensor::<Training, 1, Int>::from_data(rows.as_slice(), &device);
    let prompt = PromptInit::Rows(backbone.embedding.weight.val().select(0, rows));
    let mut adapter = PromptAdapter::new(&config, prompt, FanIn::Reference, 7, &device)?;
    println!(
        "adapter: {} trained values beside a frozen model of {}",
        config.trainable_parameters(),
        backbone.num_params()
    );

    let loss_of = CrossEntropyLossConfig::new().init(&device);
    let mut optimizer = AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(0.0).init();
    for step in 0..=STEPS {
        let (ids, labels) = batch::<Training>(64, &device);
        let loss = loss_of.forward(backbone.adapted(&adapter, ids), labels);
        if step % STEPS == 0 {
            println!("step {step:3}: loss {:.3}", loss.clone().into_scalar());
        }
        let gradients = GradientsParams::from_grads(loss.backward(), &adapter);
        adapter = optimizer.step(0.02, adapter, gradients);
    }

    // From here on nothing is tracked: `valid` gives model and adapter on the plain backend.
    let (backbone, adapter) = (backbone.valid(), adapter.valid());
    let (ids, labels) = batch::<Inner>(1000, &device);
    let bare = accuracy(
        backbone.adapted(&PromptAdapter::identity(), ids.clone()),
        labels.clone(),
    );
    let logits = backbone.adapted(&adapter, ids.clone());
    println!(
        "accuracy on new sequences: {bare:.1} % bare, {:.1} % adapted",
        accuracy(logits.clone(), labels)
    );

    // The file is enough to use the adapter again, and says which weights it belongs to.
    let mut builder = FingerprintBuilder::new();
    let table = backbone.embedding.weight.to_data();
    builder.tensor("embedding.weight", "F32", &[VOCABULARY, WIDTH], table.as_bytes());
    let fingerprint = builder.finish();
    let mut meta = AdapterMetadata::new(config, "examples/attach");
    meta.fingerprint = Some(fingerprint.clone());
    let dir = tempfile::tempdir()?;
    file::save(dir.path(), &adapter, &meta)?;
    let (reloaded, meta) = file::load::<Inner>(dir.path(), &device)?;
    meta.check_backbone(&fingerprint)?;
    assert_eq!(backbone.adapted(&reloaded, ids).to_data(), logits.to_data());
    println!("reloaded adapter: the same predictions");
    Ok(())
}
