//! Loading and saving a decoder's tensors under Hugging Face's names.
//!
//! A sharded checkpoint is memory-mapped; each tensor is converted, transposed and moved to the device on its own, so
//! that at most one tensor is held in addition to the model.

use std::path::Path;

use adept_core::LinearPart;
use adept_kernels::Precision;
use burn::tensor::backend::Backend;

use super::attention::{Apart, Attention, Projections};
use super::block::Block;
use super::config::{DecoderConfig, FeedForwardKind, ProjectionKind, Residual};
use super::feed_forward::{FeedForward, Gated, Inner};
use super::model::Decoder;
use super::norm::{Norm, NormKind};
use super::sites::Map;
use crate::auto::{Pretrained, pretrained};
use crate::checkpoint::{self, Checkpoint};
use crate::error::ModelError;
use crate::linear::Linear;
use crate::places::Attached;
use crate::source::{
    AsStored, Builder, Layout, Named, RandomSource, Source, linear_tensors, linear_tensors_as, norm_tensors,
};
use crate::stored::{Loaded, Stored, StoredType};

/// Opens a checkpoint without building the model. A copy of a tied head and what older files hold beside the weights
/// are ignored, and a model saved without its head (names without their prefix) is accepted.
///
/// # Errors
/// Unreadable files, an unknown family, and a tied head that differs from the embedding.
pub fn open(dir: &Path) -> Result<(DecoderConfig, Checkpoint), ModelError> {
    let config = DecoderConfig::from_dir(dir)?;
    let names = config.names;
    let mut checkpoint = Checkpoint::open(dir)?;
    let heads: Vec<String> = [Some(names.head), names.other_head]
        .into_iter()
        .flatten()
        .map(|head| format!("{head}."))
        .collect();
    let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
    checkpoint.add_prefix(names.prefix, &heads);
    checkpoint.ignore_where(|name| names.leftovers.iter().any(|end| name.ends_with(end)));
    let weights: Vec<String> = heads.iter().map(|head| format!("{head}weight")).collect();
    let mut tied: Vec<&str> = weights.iter().map(String::as_str).collect();
    let embedding = weight_of(names.embedding);
    if config.is_tied {
        tied.insert(0, &embedding);
    }
    checkpoint.tie(&tied)?;
    Ok((config, checkpoint))
}

fn weight_of(module: &str) -> String {
    format!("{module}.weight")
}

/// How a block's linear map lies in files.
fn layout(config: &DecoderConfig, map: &Map) -> Layout {
    match (&map.fused, config.names.is_transposed) {
        (_, true) => Layout::Transposed,
        (Some(fused), false) if fused.order.is_some() => Layout::Ordered(fused.clone()),
        _ => Layout::Plain,
    }
}

/// Makes the parts of the blocks.
struct Parts<'a, 'b, B: Backend> {
    config: &'a DecoderConfig,
    builder: Builder<'b, B>,
    /// The maps of each block.
    maps: Vec<Map>,
}

impl<B: Backend> Parts<'_, '_, B> {
    fn linear(&mut self, block: &str, part: LinearPart) -> Result<Linear<B>, ModelError> {
        let map = self.maps.iter().find(|map| map.part == part);
        let map = map.expect("a block's parts are those of its configuration");
        let name = format!("{block}.{}", map.name);
        let sizes = [map.input, map.output];
        self.builder
            .linear_as(&name, sizes, map.has_bias, &layout(self.config, map))
    }

    fn norm(&mut self, name: &str, width: usize) -> Result<Norm<B>, ModelError> {
        let kind = self.config.norm;
        let weight = match kind {
            // A difference of 0 from 1.
            NormKind::RmsPlusOne => self.builder.offset(&weight_of(name), width)?,
            NormKind::Layer | NormKind::Rms => self.builder.scale(&weight_of(name), width)?,
        };
        let bias = match kind {
            NormKind::Layer => Some(self.builder.offset(&format!("{name}.bias"), width)?),
            NormKind::Rms | NormKind::RmsPlusOne => None,
        };
        Ok(Norm::new(kind, weight, bias))
    }

    fn norm_if(&mut self, is_there: bool, name: &str, width: usize) -> Result<Option<Norm<B>>, ModelError> {
        is_there.then(|| self.norm(name, width)).transpose()
    }

    fn block(&mut self, number: usize) -> Result<Block<B>, ModelError> {
        let (config, names) = (self.config, self.config.names);
        let name = config.block_name(number);
        let part = |own: &str| format!("{name}.{own}");
        let (d, c) = (config.hidden_size, config.head_dim);
        let has_own_norm = config.residual != Residual::ParallelShared;
        Ok(Block {
            before_attention: self.norm(&part(names.before_attention), d)?,
            attention: Attention {
                projections: match config.projections {
                    ProjectionKind::Apart => Projections::Apart(Apart {
                        query: self.linear(&name, LinearPart::Query)?,
                        key: self.linear(&name, LinearPart::Key)?,
                        value: self.linear(&name, LinearPart::Value)?,
                    }),
                    ProjectionKind::Fused(_) => Projections::Fused(self.linear(&name, LinearPart::QueryKeyValue)?),
                },
                query_norm: self.norm_if(config.has_head_norms, &part(names.query_norm), c)?,
                key_norm: self.norm_if(config.has_head_norms, &part(names.key_norm), c)?,
                output: self.linear(&name, LinearPart::Output)?,
                attached: Attached::none(),
            },
            after_attention: self.norm_if(config.has_output_norms, &part(names.after_attention), d)?,
            before_feed_forward: self.norm_if(has_own_norm, &part(names.before_feed_forward), d)?,
            feed_forward: FeedForward {
                inner: match config.feed_forward {
                    FeedForwardKind::Plain => Inner::Plain(self.linear(&name, LinearPart::Up)?),
                    FeedForwardKind::Gated => Inner::Gated(Gated {
                        gate: self.linear(&name, LinearPart::Gate)?,
                        up: self.linear(&name, LinearPart::Up)?,
                    }),
                    FeedForwardKind::GatedFused => Inner::GatedFused(self.linear(&name, LinearPart::GateUp)?),
                },
                down: self.linear(&name, LinearPart::Down)?,
                attached: Attached::none(),
            },
            after_feed_forward: self.norm_if(config.has_output_norms, &part(names.after_feed_forward), d)?,
        })
    }
}

fn build<B: Backend>(
    config: &DecoderConfig,
    (device, frozen): (&B::Device, Option<Precision>),
    source: &mut dyn Source,
) -> Result<Decoder<B>, ModelError> {
    config.validate()?;
    let (names, d) = (config.names, config.hidden_size);
    let mut parts = Parts {
        config,
        builder: Builder::<B> { device, source, frozen },
        maps: config.maps(),
    };
    let embedding = parts
        .builder
        .embedding(&weight_of(names.embedding), [config.vocab_size, d])?;
    let positions = match config.has_position_table {
        true => Some(parts.builder.rows(&weight_of(names.positions), [config.positions, d])?),
        false => None,
    };
    // No `with_capacity`: a file may claim any number of blocks; the first missing one ends the loop.
    let mut blocks = Vec::new();
    for number in 0..config.blocks {
        blocks.push(parts.block(number)?);
    }
    let norm = parts.norm(names.final_norm, d)?;
    let head = match config.is_tied {
        true => None,
        false => Some(
            parts
                .builder
                .head(names.head, d, config.vocab_size, config.biases.head)?,
        ),
    };
    Ok(Decoder {
        embedding,
        positions,
        blocks,
        norm,
        head,
        head_bias: None,
        side: None,
        config: config.clone(),
    })
}

pretrained!(Decoder, DecoderConfig, save_pretrained);

impl<B: Backend> Decoder<B> {
    /// Loads `config.json` and the weights of a folder; no parameter requires gradients.
    ///
    /// # Errors
    /// Unreadable files, and tensors that are missing, unexpected or of the wrong shape.
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

    /// A model with transformers' random initialisation: N(0, `initializer_range`²) for matrices, norms that scale by
    /// one, zeros for biases.
    ///
    /// # Errors
    /// An invalid configuration.
    pub fn random(config: &DecoderConfig, seed: u64, device: &B::Device) -> Result<Self, ModelError> {
        let deviation = config.initializer_range;
        build(config, (device, None), &mut RandomSource { seed, deviation })
    }

    /// Like [`random`](Self::random), as a checkpoint of an element type holds it and,
    /// if it is to stay frozen, with the maps of its blocks prepared
    /// for a precision, one at a time.
    ///
    /// # Errors
    /// An invalid configuration.
    pub fn random_in(
        config: &DecoderConfig,
        seed: u64,
        device: &B::Device,
        (frozen, stored): (Option<Precision>, StoredType),
    ) -> Result<Self, ModelError> {
        let deviation = config.initializer_range;
        let mut source = AsStored(RandomSource { seed, deviation }, stored);
        build(config, (device, frozen), &mut source)
    }

    /// Writes `config.json` and `model.safetensors` in Hugging Face's layout, atomically.
    ///
    /// # Errors
    /// Files that cannot be written.
    pub fn save_pretrained(&self, dir: &Path, element: StoredType) -> Result<(), ModelError> {
        let (config, names) = (&self.config, self.config.names);
        let maps = config.maps();
        let mut out: Named<B> = vec![(weight_of(names.embedding), Stored::matrix(self.embedding.kept()))];
        if let Some(table) = &self.positions {
            out.push((weight_of(names.positions), Stored::rows(table)));
        }
        for (number, block) in self.blocks.iter().enumerate() {
            let name = config.block_name(number);
            for (map, linear) in maps.iter().zip(linears(block)) {
                linear_tensors_as(&mut out, &format!("{name}.{}", map.name), linear, &layout(config, map));
            }
            for (own, norm) in config.block_norms().iter().zip(norms(block)) {
                norm_tensors(&mut out, &format!("{name}.{}", own.name), &norm.weight, &norm.bias);
            }
        }
        norm_tensors(&mut out, names.final_norm, &self.norm.weight, &self.norm.bias);
        if let Some(head) = &self.head {
            linear_tensors(&mut out, names.head, head);
        }
        checkpoint::write(dir, &config.to_json_as(element.name()), Stored::all_as(out, element))
    }
}

/// A block's linear maps, in the order of [`DecoderConfig::maps`].
fn linears<B: Backend>(block: &Block<B>) -> Vec<&Linear<B>> {
    let (attention, layer) = (&block.attention, &block.feed_forward);
    let mut linears = match &attention.projections {
        Projections::Apart(maps) => vec![&maps.query, &maps.key, &maps.value],
        Projections::Fused(map) => vec![map],
    };
    linears.push(&attention.output);
    match &layer.inner {
        Inner::Plain(map) | Inner::GatedFused(map) => linears.push(map),
        Inner::Gated(maps) => linears.extend([&maps.gate, &maps.up]),
    }
    linears.push(&layer.down);
    linears
}

/// A block's norms, in the order of [`DecoderConfig::block_norms`].
fn norms<B: Backend>(block: &Block<B>) -> impl Iterator<Item = &Norm<B>> {
    let norms = [
        Some(&block.before_attention),
        block.attention.query_norm.as_ref(),
        block.attention.key_norm.as_ref(),
        block.after_attention.as_ref(),
        block.before_feed_forward.as_ref(),
        block.after_feed_forward.as_ref(),
    ];
    norms.into_iter().flatten()
}
