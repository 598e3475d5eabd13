//! From a generic tensor to flex's own and back, decided by the backend's type at run time.

use std::any::{Any, TypeId};

use burn::backend::Autodiff;
use burn::tensor::backend::{Backend, BackendTypes};
use burn::tensor::{DType, Shape, Tensor, TensorData, TensorPrimitive};
use burn_flex::{Flex, FlexTensor};

/// A float tensor of `Autodiff<Flex>`.
pub(super) type Tracked = <Autodiff<Flex> as BackendTypes>::FloatTensorPrimitive;

/// Which of the two flex backends a generic `B` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// `Flex`
    Plain,
    /// `Autodiff<Flex>`
    Tracked,
}

/// The flex backend behind `B`, where it is one and computes in float32.
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

/// Gives a value its concrete type back; both type parameters name the same type wherever [`route`] answered.
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

/// A new contiguous tensor that owns `values`.
pub(super) fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape.into()))
}

/// A contiguous view whose storage starts at the first element, copied only where it is not one already.
pub(super) fn contiguous(tensor: FlexTensor) -> FlexTensor {
    match tensor.layout().contiguous_offsets() {
        Some(_) => tensor,
        None => tensor.to_contiguous(),
    }
}

/// The elements of a tensor that [`contiguous`] returned.
pub(super) fn elements(tensor: &FlexTensor) -> &[f32] {
    let (start, end) = tensor
        .layout()
        .contiguous_offsets()
        .expect("the tensor was made contiguous before");
    &tensor.storage::<f32>()[start..end]
}

/// The elements of a tensor that [`contiguous`] returned, to write to; copied first where somebody else holds them too.
pub(super) fn elements_mut(tensor: &mut FlexTensor) -> &mut [f32] {
    let (start, end) = tensor
        .layout()
        .contiguous_offsets()
        .expect("the tensor was made contiguous before");
    &mut tensor.storage_mut::<f32>()[start..end]
}

/// A tensor `[b, n, d]` each of whose rows of `d` lies in one piece: copied only where that is not so already. A part of a
/// cache, some of the columns of one product and a batch row that is read many times are not copied.
pub(super) fn in_rows(tensor: FlexTensor) -> FlexTensor {
    match tensor.layout().strides() {
        [batch, row, 1] if *batch >= 0 && *row >= tensor.layout().shape()[2] as isize => tensor,
        _ => tensor.to_contiguous(),
    }
}

/// Where the rows of a tensor lie that [`in_rows`] returned: row `(i, j)` from `start + i·batch + j·row` on.
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
