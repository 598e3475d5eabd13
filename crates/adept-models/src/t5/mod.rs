//! T5 (Raffel et al. 2020, arXiv 1910.10683): an encoder-decoder with relative position buckets, RMS pre-norms, no
//! biases and unscaled attention scores. v1.0 has a ReLU feed-forward layer and a tied head; v1.1 and flan have a gated
//! GELU and an untied head.
//!
//! ```no_run
//! # fn main() -> Result<(), adept_models::ModelError> {
//! use adept_models::T5;
//! let loaded = T5::<burn_flex::Flex>::load("t5-base".as_ref(), &Default::default())?;
//! let d_model = loaded.model.config().d_model;
//! # let _ = d_model;
//! # Ok(())
//! # }
//! ```
//!
//! | file | what |
//! |---|---|
//! | `config` | `config.json` |
//! | `position` | relative position buckets and bias |
//! | `sites` | its linear maps, for methods that change them |
//! | `layer`, `stack`, `model` | the modules, bottom to top |
//! | `side` | the stacks of a side network |
//! | `weights` | Hugging Face's names: load, save, random start |

mod config;
mod init;
mod layer;
mod model;
mod position;
mod side;
mod sites;
mod stack;
mod weights;

pub use config::{FeedForwardKind, T5Config};
pub use layer::{Attention, FeedForward};
pub use model::{T5, T5Cache};
pub use position::relative_position_bucket;
pub use side::{Side, SideStack};
pub use stack::{Block, Stack};
pub use weights::open;
