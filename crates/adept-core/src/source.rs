//! Networks of a decoder that are made, for each input, of what the encoder gives for it.

use burn::module::{Module, Param};
use burn::tensor::activation::relu;
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Tensor};

use crate::Beside;
use crate::network::Dense;

/// What makes the networks beside a decoder's feed-forward layers (Ivison and Peters, 2022, section 2.3). With the mean z
/// of an input's encoder states, or `W_b·relu(W_a·z + b_a) + b_b` in its place, and an embedding of each block:
/// `u = relu(H·[z; block] + h)`, and linear maps of `u` give the tensors of a network.
#[derive(Module, Debug)]
pub struct SourceNetworks<B: Backend> {
    /// `W_a` and `b_a`, `W_b` and `b_b`; empty if z is used as it is.
    pub input: Vec<Dense<B>>,
    /// Embeddings of the blocks.
    pub blocks: Param<Tensor<B, 2>>,
    /// `H` and `h`.
    pub hidden: Dense<B>,
    /// The maps that make a network, in the order of the fields of [`Beside`]; weights are by rows of `[d, r]` and
    /// `[r, d]`.
    pub maps: Vec<Dense<B>>,
}

impl<B: Backend> SourceNetworks<B> {
    /// The network of each block for every row of a batch; `encoded` `[batch, seq, d]` are the encoder's states after its
    /// final norm, `mask` `[batch, seq]` says which of them count.
    pub fn make(&self, encoded: Tensor<B, 3>, mask: Tensor<B, 2, Bool>) -> Vec<Beside<B>> {
        let [batch, _, d] = encoded.dims();
        let counted = mask.float();
        let counts = counted.clone().sum_dim(1).clamp_min(1.0);
        let summed = (encoded * counted.unsqueeze_dim(2)).sum_dim(1).squeeze_dim::<2>(1);
        let mut mean = summed / counts;
        if let [first, second] = self.input.as_slice() {
            mean = second.forward(relu(first.forward(mean)));
        }
        let blocks = self.blocks.val();
        let [count, width] = blocks.dims();
        let network = |block: usize| {
            let own = blocks.clone().narrow(0, block, 1).expand([batch, width]);
            let hidden = relu(self.hidden.forward(Tensor::cat(vec![mean.clone(), own], 1)));
            let made = |map: usize| self.maps[map].forward(hidden.clone());
            let down_bias = made(1);
            let r = down_bias.dims()[1];
            Beside {
                down: made(0).reshape([batch, d, r]),
                down_bias,
                up: made(2).reshape([batch, r, d]),
                up_bias: made(3),
            }
        };
        (0..count).map(network).collect()
    }
}
