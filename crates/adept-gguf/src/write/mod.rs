//! The output: a folder, and weights as a stream.

mod folder;
mod values;
mod weights;

pub(crate) use folder::{Folder, check_target};
pub use weights::Element;
pub(crate) use weights::weights;
