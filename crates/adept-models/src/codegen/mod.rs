//! CodeGen (Nijkamp et al. 2022, arXiv 2203.13474): a decoder-only model for code. Attention and feed-forward layer run
//! in parallel after a single layer norm, `x + attention(n) + mlp(n)` with `n = norm(x)`; rotary positions rotate
//! adjacent channels, and only the first ones of each head; the output head is untied and has a bias.
//!
//! ```no_run
//! # fn main() -> Result<(), adept_models::ModelError> {
//! use adept_models::CodeGen;
//! let loaded = CodeGen::<burn_flex::Flex>::load("codegen-350M-mono".as_ref(), &Default::default())?;
//! let layers = loaded.model.config().n_layer;
//! # let _ = layers;
//! # Ok(())
//! # }
//! ```
//!
//! | file | what |
//! |---|---|
//! | `config` | `config.json` |
//! | `model` | the modules and the backbone traits |
//! | `side` | the modules of a side network |
//! | `weights` | Hugging Face's names: load, save, random start |

mod config;
mod model;
mod side;
mod sites;
mod weights;

pub use config::CodeGenConfig;
pub use model::{Attention, Block, CodeGen, Mlp};
pub use side::Side;
pub use weights::open;
