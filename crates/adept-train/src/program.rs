//! Tasks whose targets are programs (MBPP): what a model writes is cut where the program ends, run, and scored by pass@k.

mod pass_at_k;
mod text;

pub use pass_at_k::pass_at_k;
pub use text::{end_of, tidied, truncated};
