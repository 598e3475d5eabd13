//! Conversion of parameters between the model and its files.
//!
//! Linear weights are kept as `[in, out]`, the transpose of Hugging Face's `[out, in]`.

use std::borrow::Cow;
use std::fmt;

use adept_core::Fingerprint;
use adept_kernels::Map;

use burn::module::{Param, ParamId};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use half::bf16;
use safetensors::Dtype;
use safetensors::tensor::View;
use serde::{Deserialize, Serialize};

/// A frozen parameter.
pub(crate) fn frozen<B: Backend, const D: usize>(
    values: Vec<f32>,
    shape: [usize; D],
    device: &B::Device,
) -> Param<Tensor<B, D>> {
    Param::initialized(
        ParamId::new(),
        Tensor::from_data(TensorData::new(values, shape), device),
    )
}

/// A backbone loaded from a folder.
#[derive(Debug)]
pub struct Loaded<M> {
    /// The model; none of its parameters requires gradients.
    pub model: M,
    /// Identity of the weights, recorded in adapter files.
    pub fingerprint: Fingerprint,
}

/// Element type of a saved checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoredType {
    /// Four bytes, lossless.
    #[default]
    F32,
    /// Two bytes, rounded.
    Bf16,
}

impl fmt::Display for StoredType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        })
    }
}

impl StoredType {
    /// PyTorch's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::Bf16 => "bfloat16",
        }
    }
}

/// A parameter to be written to a file; its values leave the device only during the write.
pub(crate) struct Stored<B: Backend> {
    shape: Vec<usize>,
    values: Values<B>,
    element: StoredType,
}

enum Values<B: Backend> {
    Vector(Tensor<B, 1>),
    /// A bias whose values are in another order in the file.
    ReorderedVector(Tensor<B, 1>, Order),
    Rows(Tensor<B, 2>),
    /// A linear weight that lies in the file as in the model.
    Matrix(Map<B>),
    /// A linear weight, transposed in the file.
    Linear(Map<B>),
    /// A linear weight whose rows are in another order in the file.
    Reordered(Map<B>, Order),
}

/// Reorders the rows of a linear weight, `[out, in]`, or a bias, `[out]`, for a file.
type Order = Box<dyn Fn(&[f32]) -> Vec<f32>>;

impl<B: Backend> View for Stored<B> {
    fn dtype(&self) -> Dtype {
        match self.element {
            StoredType::F32 => Dtype::F32,
            StoredType::Bf16 => Dtype::BF16,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let data = match &self.values {
            Values::Vector(tensor) | Values::ReorderedVector(tensor, _) => tensor.to_data(),
            Values::Rows(tensor) => tensor.to_data(),
            Values::Matrix(map) | Values::Linear(map) | Values::Reordered(map, _) => map.clone().weight().to_data(),
        };
        let mut values = data
            .convert::<f32>()
            .into_vec::<f32>()
            .expect("the line above converted it to f32");
        if let Values::Linear(map) | Values::Reordered(map, _) = &self.values {
            let [inputs, outputs] = map.kept.dims();
            values = transpose(&values, inputs, outputs);
        }
        if let Values::Reordered(_, order) | Values::ReorderedVector(_, order) = &self.values {
            values = order(&values);
        }
        Cow::Owned(match self.element {
            StoredType::F32 => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            StoredType::Bf16 => values
                .iter()
                .flat_map(|value| bf16::from_f32(*value).to_le_bytes())
                .collect(),
        })
    }

    fn data_len(&self) -> usize {
        let bytes = match self.element {
            StoredType::F32 => 4,
            StoredType::Bf16 => 2,
        };
        bytes * self.shape.iter().product::<usize>()
    }
}

impl<B: Backend> Stored<B> {
    /// Stored in the layout of the parameter.
    pub fn rows(param: &Param<Tensor<B, 2>>) -> Self {
        Self {
            shape: param.dims().to_vec(),
            values: Values::Rows(param.val()),
            element: StoredType::F32,
        }
    }

    /// A linear weight `[in, out]` in its own layout.
    pub fn matrix(weight: Map<B>) -> Self {
        Self {
            shape: weight.kept.dims().to_vec(),
            values: Values::Matrix(weight),
            element: StoredType::F32,
        }
    }

    /// A linear weight `[in, out]`, transposed in the file.
    pub fn linear(weight: Map<B>) -> Self {
        let [inputs, outputs] = weight.kept.dims();
        Self {
            shape: vec![outputs, inputs],
            values: Values::Linear(weight),
            element: StoredType::F32,
        }
    }

    /// A linear weight `[in, out]`, stored as `[out, in]` with its rows reordered by `order`.
    pub fn reordered(weight: Map<B>, order: impl Fn(&[f32]) -> Vec<f32> + 'static) -> Self {
        let [inputs, outputs] = weight.kept.dims();
        Self {
            shape: vec![outputs, inputs],
            values: Values::Reordered(weight, Box::new(order)),
            element: StoredType::F32,
        }
    }

    /// Sets the element type of all tensors.
    pub fn all_as(mut tensors: Vec<(String, Self)>, element: StoredType) -> Vec<(String, Self)> {
        for (_, stored) in &mut tensors {
            stored.element = element;
        }
        tensors
    }

    /// A norm's weight, or a bias.
    pub fn vector(param: &Param<Tensor<B, 1>>) -> Self {
        Self {
            shape: param.dims().to_vec(),
            values: Values::Vector(param.val()),
            element: StoredType::F32,
        }
    }

    /// A bias, reordered by `order`.
    pub fn reordered_vector(param: &Param<Tensor<B, 1>>, order: impl Fn(&[f32]) -> Vec<f32> + 'static) -> Self {
        Self {
            shape: param.dims().to_vec(),
            values: Values::ReorderedVector(param.val(), Box::new(order)),
            element: StoredType::F32,
        }
    }
}

/// `[rows, columns]` to `[columns, rows]`, tile by tile so that both sides stay in the cache.
pub(crate) fn transpose(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    const TILE: usize = 32;
    let mut out = vec![0.0; values.len()];
    for top in (0..rows).step_by(TILE) {
        for left in (0..columns).step_by(TILE) {
            for row in top..(top + TILE).min(rows) {
                for column in left..(left + TILE).min(columns) {
                    out[column * rows + row] = values[row * columns + column];
                }
            }
        }
    }
    out
}
