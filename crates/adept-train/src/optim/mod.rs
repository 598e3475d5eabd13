//! Optimisers: AdamW with PyTorch's semantics and Adafactor with those of transformers, over parameter groups selected
//! by module path.

mod adafactor;
mod adamw;
mod choice;
mod group;
mod state;
mod stepper;

pub use adamw::{AdamW, AdamWConfig, Moments};
pub use group::{GroupConfig, adamw};

pub(crate) use adafactor::{Adafactor, AdafactorConfig};
pub(crate) use choice::Optimizer;
pub(crate) use state::{OptimizerState, ReadTensor};
