//! Writes the folder: weights in a stream, and everything else.

mod folder;
mod values;
mod weights;

pub(crate) use folder::{Folder, check_target};
pub use weights::Element;
pub(crate) use weights::weights;
