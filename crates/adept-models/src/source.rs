//! Named parameter values, from a checkpoint or from random initialisation.

use std::collections::BTreeSet;

use adept_core::Fused;
use adept_kernels::Precision;
use burn::module::Param;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use half::bf16;

use crate::checkpoint::Checkpoint;
use crate::embedding::Embedding;
use crate::error::ModelError;
use crate::linear::Linear;
use crate::norm::RmsNorm;
use crate::random::named_normals;
use crate::stored::{Loaded, Stored, StoredType, frozen, transpose};

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
struct CheckpointSource<'a> {
    checkpoint: &'a Checkpoint,
    used: BTreeSet<String>,
}

impl<'a> CheckpointSource<'a> {
    fn new(checkpoint: &'a Checkpoint) -> Self {
        Self {
            checkpoint,
            used: BTreeSet::new(),
        }
    }

    /// Refuses tensors that were never read.
    fn finish(self) -> Result<(), ModelError> {
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

/// A model that is built from all tensors of a checkpoint.
pub(crate) fn loaded<M>(
    checkpoint: &Checkpoint,
    build: impl FnOnce(&mut dyn Source) -> Result<M, ModelError>,
) -> Result<Loaded<M>, ModelError> {
    let mut source = CheckpointSource::new(checkpoint);
    let model = build(&mut source)?;
    source.finish()?;
    Ok(Loaded {
        model,
        fingerprint: checkpoint.fingerprint(),
    })
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

/// The values of another source as a checkpoint of an element type holds them.
pub(crate) struct AsStored<S>(pub S, pub StoredType);

impl<S: Source> Source for AsStored<S> {
    fn values(&mut self, name: &str, shape: &[usize], role: Role) -> Result<Vec<f32>, ModelError> {
        let mut values = self.0.values(name, shape, role)?;
        if self.1 == StoredType::Bf16 {
            values.iter_mut().for_each(|x| *x = bf16::from_f32(*x).to_f32());
        }
        Ok(values)
    }
}

/// Builds frozen modules from named values.
pub(crate) struct Builder<'a, B: Backend> {
    pub device: &'a B::Device,
    pub source: &'a mut dyn Source,
    /// What the maps of blocks, if the model stays frozen, are prepared for as soon as they are made, so that a model
    /// in two bytes a number is never whole in memory in four. Its embeddings and its head stay in float32.
    pub frozen: Option<Precision>,
}

impl<B: Backend> Builder<'_, B> {
    /// A table in the checkpoint's layout, not transposed.
    pub fn rows(&mut self, name: &str, shape: [usize; 2]) -> Result<Param<Tensor<B, 2>>, ModelError> {
        let values = self.source.values(name, &shape, Role::Matrix)?;
        Ok(frozen(values, shape, self.device))
    }

    /// A model's table of token embeddings.
    pub fn embedding(&mut self, name: &str, shape: [usize; 2]) -> Result<Embedding<B>, ModelError> {
        let mut embedding = Embedding::new(self.rows(name, shape)?);
        if self.frozen.is_some() {
            embedding.prepare();
        }
        Ok(embedding)
    }

    fn vector(&mut self, name: &str, length: usize, role: Role) -> Result<Param<Tensor<B, 1>>, ModelError> {
        Ok(frozen(
            self.source.values(name, &[length], role)?,
            [length],
            self.device,
        ))
    }

    /// A vector that scales, such as a norm's weight: ones at random initialisation.
    pub fn scale(&mut self, name: &str, length: usize) -> Result<Param<Tensor<B, 1>>, ModelError> {
        self.vector(name, length, Role::Scale)
    }

    /// A vector that is added, such as a bias: zeros at random initialisation.
    pub fn offset(&mut self, name: &str, length: usize) -> Result<Param<Tensor<B, 1>>, ModelError> {
        self.vector(name, length, Role::Bias)
    }

    /// `name.weight`, and `name.bias` if the map has one: of a head, in float32.
    pub fn head(&mut self, name: &str, inputs: usize, outputs: usize, bias: bool) -> Result<Linear<B>, ModelError> {
        let mut head = self.whole(name, [inputs, outputs], bias, &Layout::Plain)?;
        if self.frozen.is_some() {
            head.prepare(Precision::F32);
        }
        Ok(head)
    }

    /// `name.weight`, and `name.bias` if the map has one: of a block.
    pub fn linear(&mut self, name: &str, inputs: usize, outputs: usize, bias: bool) -> Result<Linear<B>, ModelError> {
        self.linear_as(name, [inputs, outputs], bias, &Layout::Plain)
    }

    /// The same for a map that lies differently in files.
    pub fn linear_as(
        &mut self,
        name: &str,
        sizes: [usize; 2],
        bias: bool,
        layout: &Layout,
    ) -> Result<Linear<B>, ModelError> {
        let mut linear = self.whole(name, sizes, bias, layout)?;
        if let Some(precision) = self.frozen {
            linear.prepare(precision);
        }
        Ok(linear)
    }

    fn whole(
        &mut self,
        name: &str,
        [inputs, outputs]: [usize; 2],
        bias: bool,
        layout: &Layout,
    ) -> Result<Linear<B>, ModelError> {
        let weight = format!("{name}.weight");
        let values = match layout {
            Layout::Plain => self.source.transposed(&weight, [outputs, inputs])?,
            Layout::Transposed => self.source.values(&weight, &[inputs, outputs], Role::Matrix)?,
            Layout::Ordered(fused) => {
                let rows = self.source.values(&weight, &[outputs, inputs], Role::Matrix)?;
                transpose(&fused.from_checkpoint(&rows, inputs), outputs, inputs)
            }
        };
        let bias = match bias {
            true => {
                let values = self.source.values(&format!("{name}.bias"), &[outputs], Role::Bias)?;
                let values = match layout {
                    Layout::Ordered(fused) => fused.from_checkpoint(&values, 1),
                    Layout::Plain | Layout::Transposed => values,
                };
                Some(frozen(values, [outputs], self.device))
            }
            false => None,
        };
        Ok(Linear::new(frozen(values, [inputs, outputs], self.device), bias))
    }

    /// A norm's `name.weight`.
    pub fn rms_norm(&mut self, name: &str, d: usize) -> Result<RmsNorm<B>, ModelError> {
        Ok(RmsNorm::new(self.scale(&format!("{name}.weight"), d)?))
    }
}

/// How a linear map lies in files.
#[derive(Debug, Clone)]
pub(crate) enum Layout {
    /// `[out, in]`.
    Plain,
    /// `[in, out]`, as in the model.
    Transposed,
    /// `[out, in]` with its outputs in another order than the model's.
    Ordered(Fused),
}

/// Named parameters to be written to a file.
pub(crate) type Named<B> = Vec<(String, Stored<B>)>;

/// A linear map's tensors.
pub(crate) fn linear_tensors<B: Backend>(out: &mut Named<B>, name: &str, linear: &Linear<B>) {
    linear_tensors_as(out, name, linear, &Layout::Plain);
}

/// The same for a map that lies differently in files.
pub(crate) fn linear_tensors_as<B: Backend>(out: &mut Named<B>, name: &str, linear: &Linear<B>, layout: &Layout) {
    let inputs = linear.weight.dims()[0];
    let weight = match layout {
        Layout::Plain => Stored::linear(linear.kept()),
        Layout::Transposed => Stored::matrix(linear.kept()),
        Layout::Ordered(fused) => {
            let fused = fused.clone();
            Stored::reordered(linear.kept(), move |rows| fused.to_checkpoint(rows, inputs))
        }
    };
    out.push((format!("{name}.weight"), weight));
    if let Some(bias) = &linear.bias {
        let bias = match layout {
            Layout::Ordered(fused) => {
                let fused = fused.clone();
                Stored::reordered_vector(bias, move |values| fused.to_checkpoint(values, 1))
            }
            Layout::Plain | Layout::Transposed => Stored::vector(bias),
        };
        out.push((format!("{name}.bias"), bias));
    }
}

/// A norm's tensors.
pub(crate) fn norm_tensors<B: Backend>(
    out: &mut Named<B>,
    name: &str,
    weight: &Param<Tensor<B, 1>>,
    bias: &Option<Param<Tensor<B, 1>>>,
) {
    vector_tensor(out, &format!("{name}.weight"), weight);
    if let Some(bias) = bias {
        vector_tensor(out, &format!("{name}.bias"), bias);
    }
}

/// A norm's weight.
pub(crate) fn vector_tensor<B: Backend>(out: &mut Named<B>, name: &str, vector: &Param<Tensor<B, 1>>) {
    out.push((name.to_owned(), Stored::vector(vector)));
}
