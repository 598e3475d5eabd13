//! The container format: metadata and tensors, in one or several files.

mod cursor;
mod header;
mod metadata;
mod split;
mod value;

pub use header::{Header, TensorInfo};
pub(crate) use metadata::Metadata;
pub(crate) use split::{Gguf, Tensor};
pub(crate) use value::same_decimal;
pub use value::{List, Value};
