//! The linear maps of a model that a method may change, named by their role rather than by a family's names.

use std::ops::Range;
use std::sync::Arc;

/// A stack of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stack {
    /// The encoder.
    Encoder,
    /// The decoder; the only stack of a decoder-only model.
    Decoder,
}

/// The role of a linear map in its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LinearPart {
    /// Queries of self-attention.
    Query,
    /// Keys of self-attention.
    Key,
    /// Values of self-attention.
    Value,
    /// Queries, keys and values of self-attention, fused into one matrix.
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
    /// The activated projection of a gated feed-forward layer.
    Gate,
    /// The projection into a feed-forward layer.
    Up,
    /// The projection out of a feed-forward layer.
    Down,
}

impl LinearPart {
    /// Whether it computes queries.
    pub fn is_query(self) -> bool {
        matches!(self, Self::Query | Self::CrossQuery)
    }

    /// Whether it computes keys.
    pub fn is_key(self) -> bool {
        matches!(self, Self::Key | Self::CrossKey)
    }

    /// Whether it computes values.
    pub fn is_value(self) -> bool {
        matches!(self, Self::Value | Self::CrossValue)
    }
}

/// Identifies one linear map of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinearSite {
    /// The stack.
    pub stack: Stack,
    /// The block, from 0.
    pub block: usize,
    /// The role of the map in its block.
    pub part: LinearPart,
}

impl LinearSite {
    /// The map `part` in a block of a stack.
    pub const fn new(stack: Stack, block: usize, part: LinearPart) -> Self {
        Self { stack, block, part }
    }
}

/// A linear map with its name and size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinearMap {
    /// Its stack, block and role.
    pub site: LinearSite,
    /// Its module's name in the model's checkpoint, without `.weight`; PEFT's `target_modules` are matched against it.
    pub name: String,
    /// Input channels.
    pub input: usize,
    /// Output channels.
    pub output: usize,
    /// How the output of a fused map is divided.
    pub fused: Option<Fused>,
}

impl LinearMap {
    /// An unfused map from `input` to `output` channels.
    pub fn new(site: LinearSite, name: impl Into<String>, input: usize, output: usize) -> Self {
        Self {
            site,
            name: name.into(),
            input,
            output,
            fused: None,
        }
    }
}

/// Several linear maps fused into one matrix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fused {
    /// The fused maps, each with its range of output channels.
    pub parts: Vec<(LinearPart, Range<usize>)>,
    /// For each output channel of the model its index in the checkpoint, if the two orders differ; files keep the
    /// checkpoint's.
    pub order: Option<Arc<[usize]>>,
}

impl Fused {
    /// Reorders per-channel values from the checkpoint's order to the model's; each channel has `width` values.
    pub fn from_checkpoint(&self, values: &[f32], width: usize) -> Vec<f32> {
        match &self.order {
            None => values.to_vec(),
            Some(order) => order
                .iter()
                .flat_map(|&theirs| values[theirs * width..][..width].iter().copied())
                .collect(),
        }
    }

    /// Inverse of [`Fused::from_checkpoint`].
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

/// What a method needs to know of a model: the width of its embeddings and its linear maps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelSites {
    /// Width of a token embedding.
    pub d_model: usize,
    /// Every linear map of the blocks, in the model's order; the output head is not included.
    pub linears: Vec<LinearMap>,
}

impl ModelSites {
    /// A model of that width with linear maps that a method may change.
    pub fn new(d_model: usize, linears: Vec<LinearMap>) -> Self {
        Self { d_model, linears }
    }

    /// A model of which only the embeddings are known: enough for methods that only change its input.
    pub fn embeddings(d_model: usize) -> Self {
        Self::new(d_model, Vec::new())
    }

    /// The map with this name.
    pub fn find(&self, name: &str) -> Option<&LinearMap> {
        self.linears.iter().find(|map| map.name == name)
    }
}
