//! The soft prompt P (paper, equation 1).

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// Trained vectors prepended to the input, `[m, d]`.
#[derive(Module, Debug)]
pub struct SoftPrompt<B: Backend> {
    /// The virtual tokens, `[m, d]`.
    pub weight: Param<Tensor<B, 2>>,
}

impl<B: Backend> SoftPrompt<B> {
    /// A prompt of the given rows, `[m, d]`.
    pub fn new(weight: Tensor<B, 2>) -> Self {
        Self {
            weight: Param::from_tensor(weight),
        }
    }

    /// The number m of virtual tokens.
    pub fn virtual_tokens(&self) -> usize {
        self.weight.dims()[0]
    }

    /// The prompt repeated for each row of a batch: `[batch, m, d]`.
    pub fn expand(&self, batch: usize) -> Tensor<B, 3> {
        let [m, d] = self.weight.dims();
        self.weight.val().unsqueeze::<3>().expand([batch, m, d])
    }
}
