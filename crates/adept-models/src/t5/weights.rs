//! Hugging Face's names and shapes for every tensor; loading and saving.
//!
//! One traversal ([`build`]) creates the model from any source of values (a checkpoint or a random generator), another
//! ([`tensors`]) names the values of a model to be saved. Both use the checkpoint's names, so that a mistake in either
//! shows up as a failing round trip.

use std::path::Path;

use adept_kernels::Precision;
use burn::tensor::backend::Backend;

use super::config::{FeedForwardKind, T5Config};
use super::layer::{Attention, FeedForward};
use super::model::T5;
use super::stack::{Block, Stack};
use crate::auto::{Pretrained, pretrained};
use crate::checkpoint::{self, Checkpoint};
use crate::error::ModelError;
use crate::linear::Linear;
use crate::norm::RmsNorm;
use crate::places::Attached;
use crate::source::{Builder, Named, Source, linear_tensors, vector_tensor};
use crate::stored::{Loaded, Stored, StoredType};

const SHARED: &str = "shared.weight";
const HEAD: &str = "lm_head.weight";
/// The shared embedding's names in checkpoints, the model's own first. Some exports only have one of the others, some
/// repeat the matrix under several.
const EMBEDDING: [&str; 3] = [SHARED, "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"];
/// The same for a model with a tied head.
const TIED: [&str; 4] = [EMBEDDING[0], EMBEDDING[1], EMBEDDING[2], HEAD];
/// Present in the published v1.0 files, but not read by any version of the model.
const LEFTOVER: &str = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight";

/// Opens a T5 checkpoint without building the model: its configuration, with tying of the head decided by the weights,
/// and its files, without aliases and leftovers (so that [`Checkpoint::fingerprint`] is the one adapters carry).
pub fn open(dir: &Path) -> Result<(T5Config, Checkpoint), ModelError> {
    let mut config = T5Config::from_dir(dir)?;
    let mut checkpoint = Checkpoint::open(dir)?;
    checkpoint.tie(&EMBEDDING)?;
    checkpoint.ignore(LEFTOVER);
    if config.tie_word_embeddings {
        let is_other = checkpoint.contains(SHARED) && checkpoint.same(HEAD, SHARED).is_err();
        // transformers 5 writes `tie_word_embeddings: true` for every T5; a head that is neither scaled nor equal to
        // the embedding is a v1.1 head.
        match checkpoint.contains(HEAD) && is_other && !config.scale_decoder_outputs {
            true => config.tie_word_embeddings = false,
            false => checkpoint.tie(&TIED)?,
        }
    }
    Ok((config, checkpoint))
}

/// Builds a model's parts from named values.
struct Parts<'a, B: Backend> {
    config: &'a T5Config,
    builder: Builder<'a, B>,
}

impl<B: Backend> Parts<'_, B> {
    fn linear(&mut self, name: &str, inputs: usize, outputs: usize) -> Result<Linear<B>, ModelError> {
        self.builder.linear(name, inputs, outputs, false)
    }

    fn norm(&mut self, name: &str) -> Result<RmsNorm<B>, ModelError> {
        self.builder.rms_norm(name, self.config.d_model)
    }

    fn attention(&mut self, layer: &str, kind: &str) -> Result<Attention<B>, ModelError> {
        let (d, inner) = (self.config.d_model, self.config.inner());
        Ok(Attention {
            q: self.linear(&format!("{layer}.{kind}.q"), d, inner)?,
            k: self.linear(&format!("{layer}.{kind}.k"), d, inner)?,
            v: self.linear(&format!("{layer}.{kind}.v"), d, inner)?,
            o: self.linear(&format!("{layer}.{kind}.o"), inner, d)?,
            layer_norm: self.norm(&format!("{layer}.layer_norm"))?,
            attached: Attached::none(),
        })
    }

    fn feed_forward(&mut self, layer: &str) -> Result<FeedForward<B>, ModelError> {
        let (d, d_ff) = (self.config.d_model, self.config.d_ff);
        let dense = format!("{layer}.DenseReluDense");
        let (wi, wi_1) = match self.config.feed_forward_proj {
            FeedForwardKind::Relu => (self.linear(&format!("{dense}.wi"), d, d_ff)?, None),
            FeedForwardKind::GatedGelu => (
                self.linear(&format!("{dense}.wi_0"), d, d_ff)?,
                Some(self.linear(&format!("{dense}.wi_1"), d, d_ff)?),
            ),
        };
        let wo = self.linear(&format!("{dense}.wo"), d_ff, d)?;
        Ok(FeedForward {
            wi,
            wi_1,
            wo,
            layer_norm: self.norm(&format!("{layer}.layer_norm"))?,
            attached: Attached::none(),
        })
    }

    fn stack(&mut self, name: &str, blocks: usize, decoder: bool) -> Result<Stack<B>, ModelError> {
        let table = [self.config.relative_attention_num_buckets, self.config.num_heads];
        let relative = format!("{name}.block.0.layer.0.SelfAttention.relative_attention_bias.weight");
        let relative_attention_bias = self.builder.rows(&relative, table)?;
        // No `with_capacity`: a file may claim any number of blocks; the first missing one ends the loop.
        let mut block = Vec::new();
        for number in 0..blocks {
            let layer = |index: usize| format!("{name}.block.{number}.layer.{index}");
            block.push(Block {
                self_attention: self.attention(&layer(0), "SelfAttention")?,
                cross_attention: match decoder {
                    true => Some(self.attention(&layer(1), "EncDecAttention")?),
                    false => None,
                },
                feed_forward: self.feed_forward(&layer(if decoder { 2 } else { 1 }))?,
            });
        }
        let final_layer_norm = self.norm(&format!("{name}.final_layer_norm"))?;
        Ok(Stack {
            block,
            relative_attention_bias,
            final_layer_norm,
        })
    }
}

pub(super) fn build<B: Backend>(
    config: &T5Config,
    (device, frozen): (&B::Device, Option<Precision>),
    source: &mut dyn Source,
) -> Result<T5<B>, ModelError> {
    config.validate()?;
    let builder = Builder { device, source, frozen };
    let mut parts = Parts::<B> { config, builder };
    let shared = parts.builder.embedding(SHARED, [config.vocab_size, config.d_model])?;
    let encoder = parts.stack("encoder", config.num_layers, false)?;
    let decoder = parts.stack("decoder", config.num_decoder_layers, true)?;
    let lm_head = match config.tie_word_embeddings {
        true => None,
        false => Some(
            parts
                .builder
                .head("lm_head", config.d_model, config.vocab_size, false)?,
        ),
    };
    Ok(T5 {
        shared,
        encoder,
        decoder,
        lm_head,
        head_bias: None,
        side: None,
        networks: None,
        config: config.clone(),
    })
}

pretrained!(T5, T5Config, save_pretrained_as);

impl<B: Backend> T5<B> {
    /// Loads `config.json` and the weights of a folder; no parameter requires gradients.
    pub fn load(dir: &Path, device: &B::Device) -> Result<Loaded<Self>, ModelError> {
        Pretrained::<B>::load(dir, device, None)
    }

    /// A frozen model: like [`load`](Self::load), with the maps of its blocks prepared for a precision, one at a time.
    ///
    /// # Errors
    /// As in [`load`](Self::load).
    pub fn load_in(dir: &Path, device: &B::Device, precision: Precision) -> Result<Loaded<Self>, ModelError> {
        Pretrained::<B>::load(dir, device, Some(precision))
    }

    /// Writes `config.json` and `model.safetensors` (f32) in Hugging Face's layout, atomically. The values round-trip
    /// bit for bit.
    pub fn save_pretrained(&self, dir: &Path) -> Result<(), ModelError> {
        self.save_pretrained_as(dir, StoredType::F32)
    }

    /// Like [`save_pretrained`](Self::save_pretrained), with the given element type. bf16 keeps eight significant bits
    /// and halves the size; values are rounded to the nearest, ties to even.
    pub fn save_pretrained_as(&self, dir: &Path, element: StoredType) -> Result<(), ModelError> {
        let tensors = Stored::all_as(tensors(self), element);
        checkpoint::write(dir, &self.config.to_json_as(element.name()), tensors)
    }
}

/// Every tensor of a model with its checkpoint name.
fn tensors<B: Backend>(model: &T5<B>) -> Named<B> {
    let mut out: Named<B> = vec![(SHARED.to_owned(), Stored::matrix(model.shared.kept()))];
    for (name, stack) in [("encoder", &model.encoder), ("decoder", &model.decoder)] {
        let relative = format!("{name}.block.0.layer.0.SelfAttention.relative_attention_bias.weight");
        out.push((relative, Stored::rows(&stack.relative_attention_bias)));
        for (number, block) in stack.block.iter().enumerate() {
            let mut layers = vec![("SelfAttention", &block.self_attention)];
            layers.extend(block.cross_attention.as_ref().map(|cross| ("EncDecAttention", cross)));
            let last = layers.len();
            for (index, (kind, attention)) in layers.into_iter().enumerate() {
                let layer = format!("{name}.block.{number}.layer.{index}");
                for (part, linear) in [
                    ("q", &attention.q),
                    ("k", &attention.k),
                    ("v", &attention.v),
                    ("o", &attention.o),
                ] {
                    linear_tensors(&mut out, &format!("{layer}.{kind}.{part}"), linear);
                }
                let norm = &attention.layer_norm.weight;
                vector_tensor(&mut out, &format!("{layer}.layer_norm.weight"), norm);
            }
            let layer = format!("{name}.block.{number}.layer.{last}");
            let dense = &block.feed_forward;
            let first = if dense.wi_1.is_some() { "wi_0" } else { "wi" };
            linear_tensors(&mut out, &format!("{layer}.DenseReluDense.{first}"), &dense.wi);
            if let Some(wi_1) = &dense.wi_1 {
                linear_tensors(&mut out, &format!("{layer}.DenseReluDense.wi_1"), wi_1);
            }
            linear_tensors(&mut out, &format!("{layer}.DenseReluDense.wo"), &dense.wo);
            vector_tensor(
                &mut out,
                &format!("{layer}.layer_norm.weight"),
                &dense.layer_norm.weight,
            );
        }
        let last = &stack.final_layer_norm.weight;
        vector_tensor(&mut out, &format!("{name}.final_layer_norm.weight"), last);
    }
    if let Some(head) = &model.lm_head {
        linear_tensors(&mut out, "lm_head", head);
    }
    out
}
