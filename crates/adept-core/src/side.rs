//! A side network: a narrow copy of a model's blocks that runs beside them and reads what leaves them, while the model
//! itself stays as it is.
//!
//! This crate knows the parts of such a network, their shapes and how they start; running its blocks is left to the
//! model, whose architecture they have. With what enters block 0 of a stack, `x`, and what leaves block i, `h_i`:
//!
//! `s = down_first(x)`, and at each kept block i `s = block_i(g·s + (1 − g)·down_i(h_i))` with `g = sigmoid(α_i / T)`;
//!
//! the model's head then reads `up(norm(s))` of the last stack in place of its own last state. Blocks with
//! cross-attention attend to the side network's encoder.

use std::collections::BTreeMap;
use std::fmt;

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::site::{LinearSite, NormSite, Stack};

/// A part of a side network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SidePart {
    /// The linear map from what enters a stack.
    First(Stack),
    /// The linear map from what leaves that block of a stack.
    Down(Stack, usize),
    /// A stack's gates α, one for each of the model's blocks.
    Gates(Stack),
    /// A linear map of a kept block.
    Linear(LinearSite),
    /// A norm of a kept block, or after a stack's last one.
    Norm(NormSite),
    /// A stack's table of relative positions.
    Positions(Stack),
    /// The linear map to the model's width.
    Up,
}

/// The tensors of a side network, and what its forward pass needs to know.
#[derive(Debug, Clone)]
pub struct SideNetwork<B: Backend> {
    /// The model's widths are this many times those of the side network; numbers of heads are the same.
    pub reduction: usize,
    /// `T`: gates are divided by it.
    pub temperature: f64,
    pub(crate) kept: BTreeMap<Stack, Vec<usize>>,
    pub(crate) matrices: BTreeMap<SidePart, Tensor<B, 2>>,
    pub(crate) vectors: BTreeMap<SidePart, Tensor<B, 1>>,
    pub(crate) biases: BTreeMap<SidePart, Tensor<B, 1>>,
}

impl<B: Backend> SideNetwork<B> {
    /// The blocks of a stack beside which there is one, ascending.
    pub fn kept(&self, stack: Stack) -> &[usize] {
        self.kept.get(&stack).map_or(&[], Vec::as_slice)
    }

    /// The weight `[in, out]` of a linear map, or a table of positions `[buckets, heads]`.
    ///
    /// # Panics
    /// If there is no such part. A network made for a model's [`ModelSites`](crate::ModelSites) has all that the model
    /// asks for.
    pub fn matrix(&self, part: SidePart) -> Tensor<B, 2> {
        let found = self.matrices.get(&part);
        found
            .unwrap_or_else(|| panic!("a side network without {part:?}"))
            .clone()
    }

    /// The weight of a norm, `[width]`, or a stack's gates, `[blocks]`.
    ///
    /// # Panics
    /// As [`SideNetwork::matrix`].
    pub fn vector(&self, part: SidePart) -> Tensor<B, 1> {
        let found = self.vectors.get(&part);
        found
            .unwrap_or_else(|| panic!("a side network without {part:?}"))
            .clone()
    }

    /// The bias of a linear map or norm, if it has one.
    pub fn bias(&self, part: SidePart) -> Option<Tensor<B, 1>> {
        self.biases.get(&part).cloned()
    }
}

/// What a model says of itself if a side network can run beside it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SideSites {
    /// Tables of relative positions, each serving a whole stack.
    pub positions: Vec<PositionTable>,
    /// Channels of a head that are rotated by position, in pairs; 0 if there are none.
    pub rotated: usize,
}

/// A table of relative positions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PositionTable {
    /// The stack that it serves.
    pub stack: Stack,
    /// Its module's name in the model's checkpoint.
    pub name: String,
    /// `[buckets, heads]`.
    pub shape: [usize; 2],
}

/// Values of a linear map or norm.
#[derive(Debug, Clone, PartialEq)]
pub struct WeightValues {
    /// A map's `[in, out]`, or a norm's.
    pub weight: Vec<f32>,
    /// `[out]`, if there is one.
    pub bias: Option<Vec<f32>>,
}

/// Reads a model's weights, for methods that start from them. `None` where the model has no such place.
pub trait ReadWeights: fmt::Debug {
    /// A linear map of the blocks.
    fn linear(&self, site: LinearSite) -> Option<WeightValues>;
    /// A norm.
    fn norm(&self, site: NormSite) -> Option<WeightValues>;
    /// The embedding matrix, `[vocab, d]`.
    fn embedding(&self) -> Option<Vec<f32>>;
    /// A stack's table of relative positions, `[buckets, heads]`.
    fn positions(&self, stack: Stack) -> Option<Vec<f32>>;

    /// Squared gradients of a loss in the places of the weights, summed over training examples; `None` if they were not
    /// computed ([`crate::AdapterConfig::judging_examples`]).
    fn squared_gradients(&self) -> Option<&dyn ReadWeights> {
        None
    }
}
