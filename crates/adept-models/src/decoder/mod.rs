//! One decoder-only model for every family: the choices in which they differ are a [`DecoderConfig`].
//!
//! | choice | values |
//! |---|---|
//! | norms | layer norm, RMS norm, RMS norm with `1 + weight`; before sublayers, behind them too, on heads |
//! | residual | sublayers in turn, or in parallel with one norm or two |
//! | projections | apart or fused, with or without biases, in any order in files |
//! | positions | rotary over heads or their first channels, in both layouts, scaled, none in some blocks; a table |
//! | attention | grouped queries, sliding windows in some blocks, capped scores, a scale of its own |
//! | feed-forward | plain or gated, SiLU or GELU |
//! | embeddings and head | scaled; tied or not, biased, capped |
//!
//! ```no_run
//! # fn main() -> Result<(), adept_models::ModelError> {
//! use adept_models::Decoder;
//! let loaded = Decoder::<burn_flex::Flex>::load("Qwen3-0.6B".as_ref(), &Default::default())?;
//! let blocks = loaded.model.config().blocks;
//! # let _ = blocks;
//! # Ok(())
//! # }
//! ```
//!
//! | file | what |
//! |---|---|
//! | `config` | the architecture |
//! | `family` | the families: what their `config.json` says, and their names in checkpoints |
//! | `rope`, `rope_fields` | scaled rotary frequencies, and the forms in which files state them |
//! | `attention`, `feed_forward`, `norm`, `block`, `model` | the modules and the backbone traits |
//! | `side` | the modules of a side network |
//! | `sites`, `names`, `weights` | places for methods, Hugging Face's names, loading and saving |

mod attention;
mod block;
mod config;
pub(crate) mod family;
mod feed_forward;
mod model;
mod names;
mod norm;
mod rope;
mod rope_fields;
mod side;
mod sites;
mod weights;

pub use attention::{Apart, Attention, Projections};
pub use block::Block;
pub use config::{Activation, Biases, DecoderConfig, FeedForwardKind, FusedOrder, Pattern, ProjectionKind, Residual};
pub use family::{CodeGenConfig, LlamaConfig};
pub use feed_forward::{FeedForward, Gated, Inner};
pub use model::Decoder;
pub use norm::{Norm, NormKind};
pub use rope::{Rope, RopeScaling};
pub use side::Side;
pub use weights::open;
