//! Hugging Face's names and shapes, tensor by tensor, beside the modules they fill; loading and saving.
//!
//! One walk ([`build`]) makes the model whatever the values come from (a checkpoint or a random generator), another
//! ([`tensors`]) names the values of a model that is saved. Both use the checkpoint's names, so that a mistake in one
//! shows as a round trip that fails.

use std::collections::BTreeSet;
use std::path::Path;

use burn::module::Param;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::config::{FeedForwardKind, T5Config};
use super::layer::{Attention, FeedForward, Norm};
use super::model::{Embedding, T5};
use super::stack::{Block, Stack};
use crate::checkpoint::{self, Checkpoint};
use crate::error::ModelError;
use crate::linear::Linear;
use crate::stored::{Loaded, Stored, StoredType, frozen, transpose};

const SHARED: &str = "shared.weight";
const HEAD: &str = "lm_head.weight";
/// The shared embedding's names in checkpoints, the model's own first. Some exports have one of the others only, some
/// repeat the matrix under several.
const EMBEDDING: [&str; 3] = [SHARED, "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"];
/// The same of a model whose head is the embedding.
const TIED: [&str; 4] = [EMBEDDING[0], EMBEDDING[1], EMBEDDING[2], HEAD];
/// The published v1.0 files hold this table, which no version of the model reads.
const LEFTOVER: &str = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight";

/// Opens a T5 checkpoint without building the model: its configuration, with the head decided by the weights, and its
/// files, with aliases and leftovers set aside (so that [`Checkpoint::fingerprint`] is the one adapters carry).
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

/// What a tensor is, which decides how it starts (see `init`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Embedding,
    Norm,
    Query,
    KeyValue,
    AttentionOutput,
    FeedForwardIn,
    FeedForwardOut,
    RelativeBias,
    Head,
}

/// Where values come from: a name, its shape `[out, in]` as in the checkpoint, and its role.
type Source<'a> = dyn FnMut(&str, &[usize], Role) -> Result<Vec<f32>, ModelError> + 'a;

/// Builds a model from values by name.
struct Builder<'a, B: Backend> {
    config: &'a T5Config,
    device: &'a B::Device,
    source: &'a mut Source<'a>,
}

impl<B: Backend> Builder<'_, B> {
    fn rows(&mut self, name: &str, shape: [usize; 2], role: Role) -> Result<Param<Tensor<B, 2>>, ModelError> {
        Ok(frozen((self.source)(name, &shape, role)?, shape, self.device))
    }

    fn linear(&mut self, name: &str, inputs: usize, outputs: usize, role: Role) -> Result<Linear<B>, ModelError> {
        let values = (self.source)(&format!("{name}.weight"), &[outputs, inputs], role)?;
        let weight = frozen(transpose(&values, outputs, inputs), [inputs, outputs], self.device);
        Ok(Linear::new(weight, None))
    }

    fn norm(&mut self, name: &str) -> Result<Norm<B>, ModelError> {
        let d = self.config.d_model;
        Ok(Norm {
            weight: frozen(
                (self.source)(&format!("{name}.weight"), &[d], Role::Norm)?,
                [d],
                self.device,
            ),
        })
    }

    fn attention(&mut self, layer: &str, kind: &str) -> Result<Attention<B>, ModelError> {
        let (d, inner) = (self.config.d_model, self.config.inner());
        Ok(Attention {
            q: self.linear(&format!("{layer}.{kind}.q"), d, inner, Role::Query)?,
            k: self.linear(&format!("{layer}.{kind}.k"), d, inner, Role::KeyValue)?,
            v: self.linear(&format!("{layer}.{kind}.v"), d, inner, Role::KeyValue)?,
            o: self.linear(&format!("{layer}.{kind}.o"), inner, d, Role::AttentionOutput)?,
            layer_norm: self.norm(&format!("{layer}.layer_norm"))?,
        })
    }

    fn feed_forward(&mut self, layer: &str) -> Result<FeedForward<B>, ModelError> {
        let (d, d_ff) = (self.config.d_model, self.config.d_ff);
        let dense = format!("{layer}.DenseReluDense");
        let (wi, wi_1) = match self.config.feed_forward_proj {
            FeedForwardKind::Relu => (self.linear(&format!("{dense}.wi"), d, d_ff, Role::FeedForwardIn)?, None),
            FeedForwardKind::GatedGelu => (
                self.linear(&format!("{dense}.wi_0"), d, d_ff, Role::FeedForwardIn)?,
                Some(self.linear(&format!("{dense}.wi_1"), d, d_ff, Role::FeedForwardIn)?),
            ),
        };
        let wo = self.linear(&format!("{dense}.wo"), d_ff, d, Role::FeedForwardOut)?;
        Ok(FeedForward {
            wi,
            wi_1,
            wo,
            layer_norm: self.norm(&format!("{layer}.layer_norm"))?,
        })
    }

    fn stack(&mut self, name: &str, blocks: usize, decoder: bool) -> Result<Stack<B>, ModelError> {
        let table = [self.config.relative_attention_num_buckets, self.config.num_heads];
        let relative = format!("{name}.block.0.layer.0.SelfAttention.relative_attention_bias.weight");
        let relative_attention_bias = self.rows(&relative, table, Role::RelativeBias)?;
        // Not made for so many blocks: a file may name any number, and the first that is missing ends the loop.
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

/// Builds a T5 from a source of values.
pub(super) fn build<'a, B: Backend>(
    config: &'a T5Config,
    device: &'a B::Device,
    source: &'a mut Source<'a>,
) -> Result<T5<B>, ModelError> {
    config.validate()?;
    let mut builder = Builder::<B> { config, device, source };
    let shared = builder.rows(SHARED, [config.vocab_size, config.d_model], Role::Embedding)?;
    let encoder = builder.stack("encoder", config.num_layers, false)?;
    let decoder = builder.stack("decoder", config.num_decoder_layers, true)?;
    let lm_head = match config.tie_word_embeddings {
        true => None,
        false => Some(builder.linear("lm_head", config.d_model, config.vocab_size, Role::Head)?),
    };
    Ok(T5 {
        shared: Embedding { weight: shared },
        encoder,
        decoder,
        lm_head,
        config: config.clone(),
    })
}

impl<B: Backend> T5<B> {
    /// Reads `config.json` and the weights of a folder; nothing requires a gradient.
    pub fn load(dir: &Path, device: &B::Device) -> Result<Loaded<Self>, ModelError> {
        let (config, checkpoint) = open(dir)?;
        let mut used = BTreeSet::new();
        let mut source = |name: &str, shape: &[usize], _: Role| {
            used.insert(name.to_owned());
            checkpoint.read(name, shape)
        };
        let model = build(&config, device, &mut source)?;
        checkpoint.check_no_others(&used)?;
        Ok(Loaded {
            model,
            fingerprint: checkpoint.fingerprint(),
        })
    }

    /// Writes `config.json` and `model.safetensors` (f32) as Hugging Face lays them out, atomically.
    /// Reading them back gives the same values, bit for bit.
    pub fn save_pretrained(&self, dir: &Path) -> Result<(), ModelError> {
        self.save_pretrained_as(dir, StoredType::F32)
    }

    /// As [`save_pretrained`](Self::save_pretrained), in the element type given. In bf16, which keeps eight bits of
    /// every value and half of the bytes, values are rounded to the nearest, ties to even.
    pub fn save_pretrained_as(&self, dir: &Path, element: StoredType) -> Result<(), ModelError> {
        let tensors = Stored::all_as(tensors(self), element);
        checkpoint::write(dir, &self.config.to_json_as(element.name()), tensors)
    }
}

/// Every tensor of a model by its name in a checkpoint.
fn tensors<B: Backend>(model: &T5<B>) -> Vec<(String, Stored<B>)> {
    let mut out = Vec::new();
    out.push((SHARED.to_owned(), Stored::rows(&model.shared.weight)));
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
                    out.push((format!("{layer}.{kind}.{part}.weight"), Stored::linear(&linear.weight)));
                }
                out.push((
                    format!("{layer}.layer_norm.weight"),
                    Stored::vector(&attention.layer_norm.weight),
                ));
            }
            let layer = format!("{name}.block.{number}.layer.{last}");
            let dense = &block.feed_forward;
            let first = if dense.wi_1.is_some() { "wi_0" } else { "wi" };
            out.push((
                format!("{layer}.DenseReluDense.{first}.weight"),
                Stored::linear(&dense.wi.weight),
            ));
            if let Some(wi_1) = &dense.wi_1 {
                out.push((
                    format!("{layer}.DenseReluDense.wi_1.weight"),
                    Stored::linear(&wi_1.weight),
                ));
            }
            out.push((
                format!("{layer}.DenseReluDense.wo.weight"),
                Stored::linear(&dense.wo.weight),
            ));
            out.push((
                format!("{layer}.layer_norm.weight"),
                Stored::vector(&dense.layer_norm.weight),
            ));
        }
        out.push((
            format!("{name}.final_layer_norm.weight"),
            Stored::vector(&stack.final_layer_norm.weight),
        ));
    }
    out.extend(
        model
            .lm_head
            .as_ref()
            .map(|head| (HEAD.to_owned(), Stored::linear(&head.weight))),
    );
    out
}
