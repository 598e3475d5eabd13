//! How a method changes what is not a linear map: a norm, the output of a sublayer, the keys and values of an
//! attention.

use adept_kernels::product;
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::tensor::backend::Backend;

use crate::network::{EPSILON, layer_norm};

/// What a method adds to a norm's parameters; `None` leaves one unchanged.
#[derive(Module, Debug)]
pub struct NormChange<B: Backend> {
    /// Added to the weight, `[d]`.
    pub weight: Option<Tensor<B, 1>>,
    /// Added to the bias, `[d]`, which is zero in a norm without one.
    pub bias: Option<Tensor<B, 1>>,
}

/// A small network behind a sublayer, with a residual connection of its own (Houlsby et al., 2019):
/// `y + gelu(y·W_down + b_down)·W_up + b_up`, with GELU in its tanh form; or with a layer norm of what is added.
#[derive(Module, Debug)]
pub struct Bottleneck<B: Backend> {
    /// `[d, r]`.
    pub down: Tensor<B, 2>,
    /// `[r]`.
    pub down_bias: Tensor<B, 1>,
    /// `[r, d]`.
    pub up: Tensor<B, 2>,
    /// `[d]`.
    pub up_bias: Tensor<B, 1>,
    /// Weight and bias of the layer norm, `[d]` each; its eps is 1e-5.
    pub norm: Option<InnerNorm<B>>,
}

/// Weight and bias of the layer norm in a [`Bottleneck`].
#[derive(Module, Debug)]
pub struct InnerNorm<B: Backend> {
    /// Factors, `[d]`.
    pub weight: Tensor<B, 1>,
    /// Added after them, `[d]`.
    pub bias: Tensor<B, 1>,
}

impl<B: Backend> Bottleneck<B> {
    /// `[batch, seq, d]` to the same shape.
    pub fn forward(&self, y: Tensor<B, 3>) -> Tensor<B, 3> {
        let [batch, seq, d] = y.dims();
        let rows = y.reshape([batch * seq, d]);
        let inner = product(rows.clone(), self.down.clone()) + self.down_bias.clone().unsqueeze();
        let added = product(gelu_tanh(inner), self.up.clone()) + self.up_bias.clone().unsqueeze();
        let added = match &self.norm {
            Some(norm) => layer_norm(added, norm.weight.clone(), norm.bias.clone(), EPSILON),
            None => added,
        };
        (rows + added).reshape([batch, seq, d])
    }
}

/// GELU with `tanh` in place of the error function (Hendrycks and Gimpel, 2016, section 2).
fn gelu_tanh<B: Backend>(x: Tensor<B, 2>) -> Tensor<B, 2> {
    let cubed = x.clone() * x.clone() * x.clone();
    let argument = (x.clone() + cubed * 0.044715) * (2.0 / std::f64::consts::PI).sqrt();
    x * 0.5 * (argument.tanh() + 1.0)
}

/// A small network beside a sublayer (Ivison and Peters, 2022), which reads what the sublayer's norm gives and is added to
/// the residual connection without dropout: `relu(n·W_down + b_down)·W_up + b_up`. `g` is 1, or the number of a batch's
/// rows, each with weights of its own.
#[derive(Module, Debug)]
pub struct Beside<B: Backend> {
    /// `[g, d, r]`.
    pub down: Tensor<B, 3>,
    /// `[g, r]`.
    pub down_bias: Tensor<B, 2>,
    /// `[g, r, d]`.
    pub up: Tensor<B, 3>,
    /// `[g, d]`.
    pub up_bias: Tensor<B, 2>,
}

impl<B: Backend> Beside<B> {
    /// `[batch, seq, d]` to the same shape; of `g` rows, `batch` may be a multiple, with rows of one input together.
    pub fn forward(&self, normed: Tensor<B, 3>) -> Tensor<B, 3> {
        let ([batch, seq, d], [groups, ..]) = (normed.dims(), self.down.dims());
        let x = normed.reshape([groups, batch / groups * seq, d]);
        let inner = relu(product(x, self.down.clone()) + self.down_bias.clone().unsqueeze_dim(1));
        let added = product(inner, self.up.clone()) + self.up_bias.clone().unsqueeze_dim(1);
        added.reshape([batch, seq, d])
    }
}

/// Keys and values in front of an attention's own, the same for every row.
#[derive(Module, Debug)]
pub struct Prefix<B: Backend> {
    /// `[m, heads × channels]`, as a projection would give them, before any rotation.
    pub keys: Tensor<B, 2>,
    /// `[m, heads × channels]`.
    pub values: Tensor<B, 2>,
}

impl<B: Backend> Prefix<B> {
    /// The number of slots m.
    pub fn slots(&self) -> usize {
        self.keys.dims()[0]
    }

    /// Keys and values `[batch, n, heads × channels]` with the prefix in front, `[batch, m + n, heads × channels]`.
    pub fn before(&self, keys: Tensor<B, 3>, values: Tensor<B, 3>) -> (Tensor<B, 3>, Tensor<B, 3>) {
        let joined = |prefix: &Tensor<B, 2>, own: Tensor<B, 3>| {
            let ([batch, _, width], slots) = (own.dims(), self.slots());
            let prefix = prefix.clone().unsqueeze::<3>().expand([batch, slots, width]);
            Tensor::cat(vec![prefix, own], 1)
        };
        (joined(&self.keys, keys), joined(&self.values, values))
    }
}
