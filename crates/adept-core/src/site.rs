//! The places of a model that a method may change, named by their role rather than by a family's names: linear maps,
//! norms, sublayers, the embedding matrix and the output head.

use std::ops::Range;
use std::sync::Arc;

use crate::SideSites;

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
    /// Gate and projection of a gated feed-forward layer, fused into one matrix.
    GateUp,
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
    /// Whether the model has a bias there.
    pub has_bias: bool,
    /// How the output of a fused map is divided.
    pub fused: Option<Fused>,
}

impl LinearMap {
    /// An unfused map without bias from `input` to `output` channels.
    pub fn new(site: LinearSite, name: impl Into<String>, input: usize, output: usize) -> Self {
        Self {
            site,
            name: name.into(),
            input,
            output,
            has_bias: false,
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

/// The role of a sublayer in its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SublayerPart {
    /// Self-attention.
    Attention,
    /// Cross-attention, in the decoder of an encoder-decoder.
    CrossAttention,
    /// The feed-forward layer.
    FeedForward,
}

/// Identifies one sublayer of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SublayerSite {
    /// The stack.
    pub stack: Stack,
    /// The block, from 0.
    pub block: usize,
    /// The role of the sublayer in its block.
    pub part: SublayerPart,
}

impl SublayerSite {
    /// The sublayer `part` in a block of a stack.
    pub const fn new(stack: Stack, block: usize, part: SublayerPart) -> Self {
        Self { stack, block, part }
    }
}

/// A sublayer with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sublayer {
    /// Its stack, block and role.
    pub site: SublayerSite,
    /// Its module's name in the model's checkpoint.
    pub name: String,
    /// The heads of its keys and values, if it is an attention.
    pub heads: Option<KeyHeads>,
}

/// Heads of an attention's keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyHeads {
    /// Number of heads; fewer than of queries if several queries share them.
    pub heads: usize,
    /// Channels of each head.
    pub channels: usize,
}

impl KeyHeads {
    /// Channels of all heads.
    pub fn width(self) -> usize {
        self.heads * self.channels
    }
}

/// Identifies one norm of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NormSite {
    /// The norm before a sublayer; where two sublayers share one, that before the attention.
    Before(SublayerSite),
    /// The norm of a sublayer's output, before its residual connection.
    After(SublayerSite),
    /// The norm of each head's queries in an attention.
    Queries(SublayerSite),
    /// The norm of each head's keys in an attention.
    Keys(SublayerSite),
    /// The norm after the last block of a stack.
    Final(Stack),
}

/// A norm with its name and size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Norm {
    /// Its place.
    pub site: NormSite,
    /// Its module's name in the model's checkpoint.
    pub name: String,
    /// Channels.
    pub width: usize,
    /// Whether the model has a bias there.
    pub has_bias: bool,
}

/// A matrix with a row for each token: the embeddings, or the output head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenMatrix {
    /// Its module's name in the model's checkpoint; of a tied head, the name that an untied one has.
    pub name: String,
    /// Number of rows.
    pub rows: usize,
    /// Whether the model has a bias there.
    pub has_bias: bool,
}

/// What a method needs to know of a model: the width of its embeddings, and the places that can be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelSites {
    /// Width of a token embedding.
    pub d_model: usize,
    /// Every linear map of the blocks, in the model's order; the output head is not included.
    pub linears: Vec<LinearMap>,
    /// Every norm, in the model's order.
    pub norms: Vec<Norm>,
    /// Every sublayer, in the model's order.
    pub sublayers: Vec<Sublayer>,
    /// The embedding matrix.
    pub embedding: Option<TokenMatrix>,
    /// The output head.
    pub head: Option<TokenMatrix>,
    /// What it takes to run a side network beside the model; `None` if it runs none.
    pub side: Option<SideSites>,
}

impl ModelSites {
    /// A model of that width with linear maps that a method may change.
    pub fn new(d_model: usize, linears: Vec<LinearMap>) -> Self {
        Self {
            d_model,
            linears,
            norms: Vec::new(),
            sublayers: Vec::new(),
            embedding: None,
            head: None,
            side: None,
        }
    }

    /// A model of which only the embeddings are known: enough for methods that only change its input.
    pub fn embeddings(d_model: usize) -> Self {
        Self::new(d_model, Vec::new())
    }

    /// The map with this name.
    pub fn find(&self, name: &str) -> Option<&LinearMap> {
        self.linears.iter().find(|map| map.name == name)
    }

    /// Whether any part of the model has a bias.
    pub fn has_bias(&self) -> bool {
        self.linears.iter().any(|map| map.has_bias)
            || self.norms.iter().any(|norm| norm.has_bias)
            || self.head.as_ref().is_some_and(|head| head.has_bias)
    }

    /// Number of parameters of the linear maps and norms.
    pub fn parameters(&self) -> usize {
        let linear = |map: &LinearMap| map.input * map.output + if map.has_bias { map.output } else { 0 };
        let norm = |norm: &Norm| norm.width * if norm.has_bias { 2 } else { 1 };
        self.linears.iter().map(linear).sum::<usize>() + self.norms.iter().map(norm).sum::<usize>()
    }

    /// Number of blocks of a stack.
    pub fn blocks(&self, stack: Stack) -> usize {
        let of_stack = self.sublayers.iter().filter(|layer| layer.site.stack == stack);
        of_stack.map(|layer| layer.site.block + 1).max().unwrap_or(0)
    }
}
