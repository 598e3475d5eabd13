//! Offsets of token embeddings: ADePT's network (paper, equation 3) and DePT's product (equation 2).
//!
//! Both compute `[.., d]` values that are *added* to the embeddings. The prompt never gets an offset; padding does, but
//! is masked out. Products are taken over `[batch·seq, d]`: one tall product is faster than a batch of short ones.

use adept_kernels::product;
use burn::module::{Module, Param};
use burn::tensor::activation::relu;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};

use crate::change::dropped_in_training;
use crate::init::uniform_matrix;
use crate::{AdeptConfig, CoreError, DeptConfig, FanIn};

/// ADePT's network, shared by all tokens: `f(e) = relu(e·W_down + b1)·W_up + b2`.
///
/// On an autodiff backend the backward pass retains the embeddings (which the caller holds anyway) and the bottleneck
/// `[batch·seq, r]`, but nothing else of width d.
#[derive(Module, Debug)]
pub struct AdaptiveOffset<B: Backend> {
    /// Down-projection, `[d, r]`.
    pub w_down: Param<Tensor<B, 2>>,
    /// Bias of the bottleneck, `[r]`.
    pub b1: Param<Tensor<B, 1>>,
    /// Up-projection, `[r, d]`.
    pub w_up: Param<Tensor<B, 2>>,
    /// Bias of the offset, `[d]`.
    pub b2: Param<Tensor<B, 1>>,
    /// Rate of dropout before the ReLU, on backends with autodiff only.
    pub dropout: f64,
}

impl<B: Backend> AdaptiveOffset<B> {
    /// A network with zero offset: `W_down` uniform, everything else zero.
    pub fn new(config: &AdeptConfig, fan_in: FanIn, seed: u64, device: &B::Device) -> Self {
        let (d, r) = (config.d_model, config.rank);
        Self::from_tensors(
            Tensor::from_data(uniform_matrix([d, r], fan_in, seed), device),
            Tensor::zeros([r], device),
            Tensor::zeros([r, d], device),
            Tensor::zeros([d], device),
            config.dropout,
        )
    }

    /// A network with these weights: `[d, r]`, `[r]`, `[r, d]`, `[d]`.
    pub fn from_tensors(
        w_down: Tensor<B, 2>,
        b1: Tensor<B, 1>,
        w_up: Tensor<B, 2>,
        b2: Tensor<B, 1>,
        dropout: f64,
    ) -> Self {
        Self {
            w_down: Param::from_tensor(w_down),
            b1: Param::from_tensor(b1),
            w_up: Param::from_tensor(w_up),
            b2: Param::from_tensor(b2),
            dropout,
        }
    }

    /// Offsets of embeddings, `[tokens, d]` to `[tokens, d]`.
    pub fn forward(&self, embeddings: Tensor<B, 2>) -> Tensor<B, 2> {
        let bottleneck = product(embeddings, self.w_down.val()) + self.b1.val().unsqueeze::<2>();
        let bottleneck = relu(dropped_in_training(bottleneck, self.dropout));
        product(bottleneck, self.w_up.val()) + self.b2.val().unsqueeze::<2>()
    }
}

/// DePT's offsets: row i of `s·A·B` belongs to slot i of the padded input, whatever its token.
#[derive(Module, Debug)]
pub struct PositionalOffset<B: Backend> {
    /// Position factor, `[max_len, r]`.
    pub a: Param<Tensor<B, 2>>,
    /// Embedding factor, `[r, d]`.
    pub b: Param<Tensor<B, 2>>,
    /// The factor s.
    pub scale: f64,
}

impl<B: Backend> PositionalOffset<B> {
    /// Zero offsets: `A` uniform, `B` zero.
    pub fn new(config: &DeptConfig, fan_in: FanIn, seed: u64, device: &B::Device) -> Self {
        let shape = [config.max_source_length, config.rank];
        Self::from_tensors(
            Tensor::from_data(uniform_matrix(shape, fan_in, seed), device),
            Tensor::zeros([config.rank, config.d_model], device),
            config.scale,
        )
    }

    /// Offsets with these weights: `[max_len, r]`, `[r, d]`.
    pub fn from_tensors(a: Tensor<B, 2>, b: Tensor<B, 2>, scale: f64) -> Self {
        Self {
            a: Param::from_tensor(a),
            b: Param::from_tensor(b),
            scale,
        }
    }

    /// The longest input the table covers, in tokens.
    pub fn max_length(&self) -> usize {
        self.a.dims()[0]
    }

    /// The same offsets, cyclically left-shifted by `shift` positions: slot i gets the former offset of slot
    /// `(i + shift) mod max_len` (paper, section 3.2: `[Δe_{1+j}, …, Δe_s, Δe_1, …, Δe_j]`). Shifting the rows of `A`
    /// is enough, since row i of the product depends only on row i of `A`.
    ///
    /// The result is an independent module: no gradient flows from it into this one.
    #[must_use]
    pub fn rolled(&self, shift: usize) -> Self {
        let [length, rank] = self.a.dims();
        let a = self.a.val();
        let a = match shift % length.max(1) {
            0 => a,
            shift => Tensor::cat(
                vec![a.clone().slice([shift..length, 0..rank]), a.slice([0..shift, 0..rank])],
                0,
            ),
        };
        Self::from_tensors(a.detach(), self.b.val().detach(), self.scale)
    }

    /// Checks that the table covers these positions.
    ///
    /// # Errors
    /// [`CoreError::InputTooLong`] if slot `end - 1` has no row.
    pub fn check_width(&self, end: usize) -> Result<(), CoreError> {
        let limit = self.max_length();
        if end > limit {
            return Err(CoreError::InputTooLong { found: end, limit });
        }
        Ok(())
    }

    /// Offsets of the slots `first .. first + count`, `[count, d]`.
    ///
    /// # Panics
    /// If [`PositionalOffset::check_width`] refuses `first + count`.
    pub fn forward(&self, first: usize, count: usize) -> Tensor<B, 2> {
        if let Err(error) = self.check_width(first + count) {
            panic!("{error}");
        }
        let rank = self.a.dims()[1];
        let rows = self.a.val().slice([first..first + count, 0..rank]);
        // Scaling the thin factor costs r multiplications per slot instead of d.
        let rows = if self.scale == 1.0 { rows } else { rows * self.scale };
        product(rows, self.b.val())
    }
}

impl<B: Backend> PositionalOffset<B> {
    /// Offsets for slots with positions `[batch, seq]`: `[batch, seq, d]`, zero beyond the table.
    pub fn at(&self, positions: Tensor<B, 2, Int>) -> Tensor<B, 3> {
        let [batch, seq] = positions.dims();
        let ([length, rank], [_, d]) = (self.a.dims(), self.b.dims());
        let flat = positions.reshape([batch * seq]);
        let beyond = flat.clone().greater_equal_elem(length as i64).reshape([batch * seq, 1]);
        let rows = self.a.val().select(0, flat.clamp(0, length as i64 - 1));
        let rows = rows.mask_fill(beyond.expand([batch * seq, rank]), 0.0);
        let rows = if self.scale == 1.0 { rows } else { rows * self.scale };
        product(rows, self.b.val()).reshape([batch, seq, d])
    }
}

/// Either kind of offset. (Parameter paths contain the variant's name: `offset.Adaptive.w_down`.)
#[derive(Module, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is one offset for each adapter: a few hundred bytes are not worth a box"
)]
pub enum Offset<B: Backend> {
    /// ADePT's offset, per token.
    Adaptive(AdaptiveOffset<B>),
    /// DePT's offset, per position.
    Positional(PositionalOffset<B>),
}

impl<B: Backend> Offset<B> {
    /// Embeddings plus their offsets, `[batch, seq, d]`; `first_position` is the slot of the first token.
    pub(crate) fn apply(&self, embeddings: Tensor<B, 3>, first_position: usize) -> Tensor<B, 3> {
        let [batch, seq, d] = embeddings.dims();
        match self {
            Offset::Adaptive(offset) => {
                let tokens = embeddings.reshape([batch * seq, d]);
                let adapted = tokens.clone() + offset.forward(tokens);
                adapted.reshape([batch, seq, d])
            }
            Offset::Positional(offset) => embeddings + offset.forward(first_position, seq).unsqueeze::<3>(),
        }
    }

    /// Tensors under their published names, in the order of the equation.
    pub(crate) fn tensors(&self) -> Vec<(&'static str, TensorData)> {
        match self {
            Offset::Adaptive(offset) => vec![
                ("lora_embedding_A", offset.w_down.val().into_data()),
                ("lora_embedding_a", offset.b1.val().into_data()),
                ("lora_embedding_B", offset.w_up.val().into_data()),
                ("lora_embedding_b", offset.b2.val().into_data()),
            ],
            Offset::Positional(offset) => vec![
                ("lora_embedding_A", offset.a.val().into_data()),
                ("lora_embedding_B", offset.b.val().into_data()),
            ],
        }
    }
}
