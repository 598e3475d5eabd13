//! Converts generic tensors to flex tensors and back, according to the backend's type at run time.

use std::any::{Any, TypeId};

use burn::backend::Autodiff;
use burn::tensor::backend::{Backend, BackendTypes};
use burn::tensor::{DType, Shape, Tensor, TensorData, TensorPrimitive};
use burn_flex::{Flex, FlexTensor};

/// A float tensor of `Autodiff<Flex>`.
pub(super) type Tracked = <Autodiff<Flex> as BackendTypes>::FloatTensorPrimitive;

/// The flex backend that a generic `B` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// `Flex`
    Plain,
    /// `Autodiff<Flex>`
    Tracked,
}

/// The flex backend that `B` is, if any, provided that it computes in float32.
pub(crate) fn route<B: Backend>() -> Option<Route> {
    if <B::FloatElem as burn::tensor::Element>::dtype() != DType::F32 {
        return None;
    }
    let id = TypeId::of::<B>();
    if id == TypeId::of::<Flex>() {
        Some(Route::Plain)
    } else if id == TypeId::of::<Autodiff<Flex>>() {
        Some(Route::Tracked)
    } else {
        None
    }
}

/// Casts a value to its concrete type; both type parameters are the same type whenever [`route`] returns a route.
fn same<From: 'static, To: 'static>(value: From) -> To {
    let mut slot = Some(value);
    (&mut slot as &mut dyn Any)
        .downcast_mut::<Option<To>>()
        .and_then(Option::take)
        .expect("the route was chosen from this very backend type")
}

pub(super) fn plain<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> FlexTensor {
    same::<B::FloatTensorPrimitive, _>(tensor.into_primitive().tensor())
}

pub(super) fn tracked<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Tracked {
    same::<B::FloatTensorPrimitive, _>(tensor.into_primitive().tensor())
}

pub(super) fn from_plain<B: Backend, const D: usize>(tensor: FlexTensor) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(same::<_, B::FloatTensorPrimitive>(tensor)))
}

pub(super) fn from_tracked<B: Backend, const D: usize>(tensor: Tracked) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(same::<_, B::FloatTensorPrimitive>(tensor)))
}

/// A contiguous tensor from `values`.
pub(super) fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape.into()))
}

/// A contiguous view of the elements, copied only if the tensor is not contiguous.
pub(super) fn contiguous(tensor: FlexTensor) -> FlexTensor {
    match tensor.layout().contiguous_offsets() {
        Some(_) => tensor,
        None => tensor.to_contiguous(),
    }
}

/// The elements of a tensor returned by [`contiguous`].
pub(super) fn elements(tensor: &FlexTensor) -> &[f32] {
    let (start, end) = tensor
        .layout()
        .contiguous_offsets()
        .expect("the tensor was made contiguous before");
    &tensor.storage::<f32>()[start..end]
}

/// The elements of a tensor returned by [`contiguous`], for writing; copied first if the storage is shared.
pub(super) fn elements_mut(tensor: &mut FlexTensor) -> &mut [f32] {
    let (start, end) = tensor
        .layout()
        .contiguous_offsets()
        .expect("the tensor was made contiguous before");
    &mut tensor.storage_mut::<f32>()[start..end]
}

/// A tensor `[b, n, d]` with contiguous rows of `d`, copied only if they are not. A part of a cache, a range of a
/// product's columns and a broadcast batch row are not copied.
pub(super) fn in_rows(tensor: FlexTensor) -> FlexTensor {
    match tensor.layout().strides() {
        [batch, row, 1] if *batch >= 0 && *row >= tensor.layout().shape()[2] as isize => tensor,
        _ => tensor.to_contiguous(),
    }
}

/// Location of the rows of a tensor returned by [`in_rows`]: row `(i, j)` starts at `start + i·batch + j·row`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows<'a> {
    pub values: &'a [f32],
    pub start: usize,
    pub batch: usize,
    pub row: usize,
}

impl<'a> Rows<'a> {
    pub fn of(tensor: &'a FlexTensor) -> Self {
        let (layout, strides) = (tensor.layout(), tensor.layout().strides());
        Self {
            values: tensor.storage::<f32>(),
            start: layout.start_offset(),
            batch: strides[0] as usize,
            row: strides[1] as usize,
        }
    }
}
