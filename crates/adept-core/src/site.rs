//! The places inside a model that a method may change, by what they do rather than by a family's names.

use std::ops::Range;
use std::sync::Arc;

/// Which stack of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stack {
    /// An encoder.
    Encoder,
    /// A decoder; the only stack of a decoder-only model.
    Decoder,
}

/// What a linear map of a block does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LinearPart {
    /// Queries of self-attention.
    Query,
    /// Keys of self-attention.
    Key,
    /// Values of self-attention.
    Value,
    /// Queries, keys and values of self-attention as one matrix.
    QueryKeyValue,
    /// Output of self-attention.
    Output,
    /// Queries of cross-attention.
    CrossQuery,
    /// Keys of cross-attention.
    CrossKey,
    /// Values of cross-attention.
    CrossValue,
    /// Output of cross-attention.
    CrossOutput,
    /// The activated map of a gated feed-forward layer.
    Gate,
    /// The map into a feed-forward layer.
    Up,
    /// The map out of a feed-forward layer.
    Down,
}

impl LinearPart {
    /// Whether it makes queries.
    pub fn is_query(self) -> bool {
        matches!(self, Self::Query | Self::CrossQuery)
    }

    /// Whether it makes keys.
    pub fn is_key(self) -> bool {
        matches!(self, Self::Key | Self::CrossKey)
    }

    /// Whether it makes values.
    pub fn is_value(self) -> bool {
        matches!(self, Self::Value | Self::CrossValue)
    }
}

/// One linear map of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinearSite {
    /// The stack.
    pub stack: Stack,
    /// The block, from 0.
    pub block: usize,
    /// The map in the block.
    pub part: LinearPart,
}

/// A linear map as methods and files see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinearMap {
    /// Where it stands.
    pub site: LinearSite,
    /// Its module's name in the model's checkpoint, without `.weight`: what PEFT's `target_modules` are compared with.
    pub name: String,
    /// Channels in.
    pub input: usize,
    /// Channels out.
    pub output: usize,
    /// Of a fused map: how its output is divided.
    pub fused: Option<Fused>,
}

/// A linear map that is several in one matrix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fused {
    /// The maps in it, each with its range of output channels.
    pub parts: Vec<(LinearPart, Range<usize>)>,
    /// The checkpoint's output channel for each of ours, where the two orders differ; files keep the checkpoint's.
    pub order: Option<Arc<[usize]>>,
}

impl Fused {
    /// Values a channel in the model's order, from the checkpoint's; `width` values belong to one channel.
    pub fn from_checkpoint(&self, values: &[f32], width: usize) -> Vec<f32> {
        match &self.order {
            None => values.to_vec(),
            Some(order) => order
                .iter()
                .flat_map(|&theirs| values[theirs * width..][..width].iter().copied())
                .collect(),
        }
    }

    /// The reverse of [`Fused::from_checkpoint`].
    pub fn to_checkpoint(&self, values: &[f32], width: usize) -> Vec<f32> {
        let Some(order) = &self.order else {
            return values.to_vec();
        };
        let mut out = vec![0.0; values.len()];
        for (ours, &theirs) in order.iter().enumerate() {
            out[theirs * width..][..width].copy_from_slice(&values[ours * width..][..width]);
        }
        out
    }
}

/// What a method has to know of a model: the width of its embeddings and its linear maps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelSites {
    /// Channels of a token embedding.
    pub d_model: usize,
    /// Every linear map of the blocks, in the model's order; the output head is none of them.
    pub linears: Vec<LinearMap>,
}

impl ModelSites {
    /// A model that is known by its embeddings alone: enough for methods that change what enters a model.
    pub fn embeddings(d_model: usize) -> Self {
        Self {
            d_model,
            linears: Vec::new(),
        }
    }

    /// The map of that name.
    pub fn find(&self, name: &str) -> Option<&LinearMap> {
        self.linears.iter().find(|map| map.name == name)
    }
}
