//! Optimisers: AdamW with PyTorch's semantics and Adafactor with those of transformers, over parameter groups selected
//! by module path.

mod adafactor;
mod adamw;
mod choice;
mod group;
mod state;
mod stepper;

pub use adafactor::{Adafactor, AdafactorConfig};
pub use adamw::{AdamW, AdamWConfig, Moments};
pub use choice::Optimizer;
pub use group::{GroupConfig, adamw, groups};
pub use state::{OptimizerState, ReadTensor};
