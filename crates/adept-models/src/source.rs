//! Named parameter values, from a checkpoint or from random initialisation.

use std::collections::BTreeSet;

use adept_kernels::Precision;
use burn::module::Param;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::checkpoint::Checkpoint;
use crate::error::ModelError;
use crate::linear::Linear;
use crate::norm::{LayerNorm, RmsNorm};
use crate::random::named_normals;
use crate::stored::{Stored, frozen, transpose};

/// The role of a tensor, which determines its initialisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Weight of an embedding or a linear map: normal values.
    Matrix,
    /// Weight of a norm: ones.
    Scale,
    /// Bias: zeros.
    Bias,
}

/// A source of values, by the names and shapes of a checkpoint (`[out, in]` for linear maps).
pub(crate) trait Source {
    /// Values in the layout of a checkpoint.
    fn values(&mut self, name: &str, shape: &[usize], role: Role) -> Result<Vec<f32>, ModelError>;

    /// Values of a linear map's weight, transposed to `[in, out]`.
    fn transposed(&mut self, name: &str, [outputs, inputs]: [usize; 2]) -> Result<Vec<f32>, ModelError> {
        let values = self.values(name, &[outputs, inputs], Role::Matrix)?;
        Ok(transpose(&values, outputs, inputs))
    }
}

/// A checkpoint that tracks which tensors have been read.
pub(crate) struct CheckpointSource<'a> {
    checkpoint: &'a Checkpoint,
    used: BTreeSet<String>,
}

impl<'a> CheckpointSource<'a> {
    pub fn new(checkpoint: &'a Checkpoint) -> Self {
        Self {
            checkpoint,
            used: BTreeSet::new(),
        }
    }

    /// Refuses tensors that were never read.
    pub fn finish(self) -> Result<(), ModelError> {
        self.checkpoint.check_no_others(&self.used)
    }
}

impl Source for CheckpointSource<'_> {
    fn values(&mut self, name: &str, shape: &[usize], _: Role) -> Result<Vec<f32>, ModelError> {
        self.used.insert(name.to_owned());
        self.checkpoint.read(name, shape)
    }

    fn transposed(&mut self, name: &str, shape: [usize; 2]) -> Result<Vec<f32>, ModelError> {
        self.used.insert(name.to_owned());
        self.checkpoint.read_transposed(name, shape)
    }
}

/// Random values: N(0, deviation²) for matrices, with one stream per name, so that a seed gives the same model
/// everywhere.
pub(crate) struct RandomSource {
    pub seed: u64,
    pub deviation: f64,
}

impl Source for RandomSource {
    fn values(&mut self, name: &str, shape: &[usize], role: Role) -> Result<Vec<f32>, ModelError> {
        let count = shape.iter().product();
        Ok(match role {
            Role::Matrix => named_normals(self.seed, name, count, self.deviation),
            Role::Scale => vec![1.0; count],
            Role::Bias => vec![0.0; count],
        })
    }
}

/// Builds frozen modules from named values.
pub(crate) struct Builder<'a, B: Backend> {
    pub device: &'a B::Device,
    pub source: &'a mut dyn Source,
    /// What the maps of blocks are prepared for as soon as they are made, so that a model in a lower precision is never
    /// whole in memory in float32.
    pub precision: Precision,
}

impl<B: Backend> Builder<'_, B> {
    /// A table in the checkpoint's layout, not transposed.
    pub fn rows(&mut self, name: &str, shape: [usize; 2]) -> Result<Param<Tensor<B, 2>>, ModelError> {
        let values = self.source.values(name, &shape, Role::Matrix)?;
        Ok(frozen(values, shape, self.device))
    }

    fn vector(&mut self, name: &str, length: usize, role: Role) -> Result<Param<Tensor<B, 1>>, ModelError> {
        Ok(frozen(
            self.source.values(name, &[length], role)?,
            [length],
            self.device,
        ))
    }

    /// `name.weight`, and `name.bias` if the map has one, in float32: of a head.
    pub fn head(&mut self, name: &str, inputs: usize, outputs: usize, bias: bool) -> Result<Linear<B>, ModelError> {
        let values = self.source.transposed(&format!("{name}.weight"), [outputs, inputs])?;
        let bias = match bias {
            true => Some(self.vector(&format!("{name}.bias"), outputs, Role::Bias)?),
            false => None,
        };
        Ok(Linear::new(frozen(values, [inputs, outputs], self.device), bias))
    }

    /// `name.weight`, and `name.bias` if the map has one: of a block.
    pub fn linear(&mut self, name: &str, inputs: usize, outputs: usize, bias: bool) -> Result<Linear<B>, ModelError> {
        let linear = self.head(name, inputs, outputs, bias)?;
        Ok(self.prepared(linear))
    }

    fn prepared(&self, mut linear: Linear<B>) -> Linear<B> {
        linear.prepare(self.precision);
        linear
    }

    /// `name.weight` without bias, after reordering its rows `[out, in]`.
    pub fn reordered(
        &mut self,
        name: &str,
        inputs: usize,
        outputs: usize,
        order: impl Fn(&[f32]) -> Vec<f32>,
    ) -> Result<Linear<B>, ModelError> {
        let values = self
            .source
            .values(&format!("{name}.weight"), &[outputs, inputs], Role::Matrix)?;
        let values = transpose(&order(&values), outputs, inputs);
        Ok(self.prepared(Linear::new(frozen(values, [inputs, outputs], self.device), None)))
    }

    /// A norm's `name.weight` and `name.bias`.
    pub fn layer_norm(&mut self, name: &str, d: usize) -> Result<LayerNorm<B>, ModelError> {
        Ok(LayerNorm {
            weight: self.vector(&format!("{name}.weight"), d, Role::Scale)?,
            bias: Some(self.vector(&format!("{name}.bias"), d, Role::Bias)?),
        })
    }

    /// A norm's `name.weight`.
    pub fn rms_norm(&mut self, name: &str, d: usize) -> Result<RmsNorm<B>, ModelError> {
        let weight = self.vector(&format!("{name}.weight"), d, Role::Scale)?;
        Ok(RmsNorm::new(weight))
    }
}

/// Named parameters to be written to a file.
pub(crate) type Named<B> = Vec<(String, Stored<B>)>;

/// A linear map's tensors.
pub(crate) fn linear_tensors<B: Backend>(out: &mut Named<B>, name: &str, linear: &Linear<B>) {
    out.push((format!("{name}.weight"), Stored::linear(linear.kept())));
    if let Some(bias) = &linear.bias {
        out.push((format!("{name}.bias"), Stored::vector(bias)));
    }
}

/// A layer norm's tensors.
pub(crate) fn layer_norm_tensors<B: Backend>(out: &mut Named<B>, name: &str, norm: &LayerNorm<B>) {
    vector_tensor(out, &format!("{name}.weight"), &norm.weight);
    if let Some(bias) = &norm.bias {
        vector_tensor(out, &format!("{name}.bias"), bias);
    }
}

/// A norm's weight.
pub(crate) fn vector_tensor<B: Backend>(out: &mut Named<B>, name: &str, vector: &Param<Tensor<B, 1>>) {
    out.push((name.to_owned(), Stored::vector(vector)));
}
