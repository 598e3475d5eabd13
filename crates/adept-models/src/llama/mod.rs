//! Llama (Touvron et al. 2023, arXiv 2302.13971 and 2307.09288; Llama 3: arXiv 2407.21783): decoder-only, RMS
//! pre-norms, rotary positions over whole heads, grouped-query attention, a gated SiLU feed-forward layer. Llama 2, 3,
//! 3.1, 3.2 and TinyLlama differ in their sizes, the scaling of rotary frequencies and whether the head is tied.
//!
//! ```no_run
//! # fn main() -> Result<(), adept_models::ModelError> {
//! use adept_models::Llama;
//! let loaded = Llama::<burn_flex::Flex>::load("Meta-Llama-3-8B".as_ref(), &Default::default())?;
//! let layers = loaded.model.config().num_hidden_layers;
//! # let _ = layers;
//! # Ok(())
//! # }
//! ```
//!
//! | file | what |
//! |---|---|
//! | `config` | `config.json` |
//! | `rope` | scaled rotary frequencies |
//! | `model` | the modules and the backbone traits |
//! | `side` | the modules of a side network |
//! | `weights` | Hugging Face's names: load, save, random start |

mod config;
mod model;
mod rope;
mod side;
mod sites;
mod weights;

pub use config::LlamaConfig;
pub use model::{Attention, Block, Llama, Mlp};
pub use rope::RopeScaling;
pub use side::Side;
pub use weights::open;
