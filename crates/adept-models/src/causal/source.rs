//! Parameters by name, from wherever their values come.

use burn::module::Param;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::layer::{LayerNorm, Linear, RmsNorm};
use crate::error::ModelError;
use crate::stored::{Stored, frozen, transpose};

/// Where values come from: a name and its shape, `[out, in]` for linear maps, as in a checkpoint.
pub(crate) type Source<'a> = dyn FnMut(&str, &[usize]) -> Result<Vec<f32>, ModelError> + 'a;

/// Makes modules of values by name.
pub(crate) struct Filler<'a, B: Backend> {
    pub device: &'a B::Device,
    pub source: &'a mut Source<'a>,
}

impl<B: Backend> Filler<'_, B> {
    pub fn values(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        (self.source)(name, shape)
    }

    pub fn rows(&mut self, name: &str, shape: [usize; 2]) -> Result<Param<Tensor<B, 2>>, ModelError> {
        Ok(frozen((self.source)(name, &shape)?, shape, self.device))
    }

    pub fn vector(&mut self, name: &str, length: usize) -> Result<Param<Tensor<B, 1>>, ModelError> {
        Ok(frozen((self.source)(name, &[length])?, [length], self.device))
    }

    /// `name.weight`, and `name.bias` where there is one.
    pub fn linear(&mut self, name: &str, inputs: usize, outputs: usize, bias: bool) -> Result<Linear<B>, ModelError> {
        let values = (self.source)(&format!("{name}.weight"), &[outputs, inputs])?;
        let bias = match bias {
            true => Some(self.vector(&format!("{name}.bias"), outputs)?),
            false => None,
        };
        Ok(self.made(values, inputs, outputs, bias))
    }

    /// Of values `[out, in]`.
    pub fn made(
        &self,
        values: Vec<f32>,
        inputs: usize,
        outputs: usize,
        bias: Option<Param<Tensor<B, 1>>>,
    ) -> Linear<B> {
        Linear {
            weight: frozen(transpose(&values, outputs, inputs), [inputs, outputs], self.device),
            bias,
        }
    }

    pub fn layer_norm(&mut self, name: &str, d: usize) -> Result<LayerNorm<B>, ModelError> {
        Ok(LayerNorm {
            weight: self.vector(&format!("{name}.weight"), d)?,
            bias: self.vector(&format!("{name}.bias"), d)?,
        })
    }

    pub fn rms_norm(&mut self, name: &str, d: usize) -> Result<RmsNorm<B>, ModelError> {
        Ok(RmsNorm {
            weight: self.vector(&format!("{name}.weight"), d)?,
        })
    }
}

/// A linear map's tensors by name, for a file.
pub(crate) fn linear_tensors<B: Backend>(name: &str, linear: &Linear<B>) -> Vec<(String, Stored<B>)> {
    let weight = (format!("{name}.weight"), Stored::linear(&linear.weight));
    let bias = linear.bias.as_ref().map(|bias| (format!("{name}.bias"), Stored::vector(bias)));
    std::iter::once(weight).chain(bias).collect()
}
