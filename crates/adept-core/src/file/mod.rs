//! Adapter files in PEFT's layout: a folder with `adapter_config.json` and `adapter_model.safetensors`.
//!
//! PT, LoRA and (IA)³ adapters are what peft 0.21 writes for `PROMPT_TUNING`, `LORA` and `IA3`, and its loader reads
//! them. Where a network makes the prompt (residual prompt tuning, P-tuning), files hold the virtual tokens as peft
//! stores them (`PROMPT_TUNING`, `P_TUNING`), and beside them the tensors that are trained, which peft skips. DePT and
//! ADePT use the keys and tensor names of their published code (`PROMPT_TUNING_LORA`, `PROMPT_TUNING_LORAX`), whose
//! pickled `adapter_model.bin` can be read as well; a network that makes ADePT's prompt stands beside its result, too.
//! Methods that neither has are of types of our own (`BITFIT`, `PREFIX_TUNING_ALL`, ..). Anything else this crate
//! records is under the single key `adept`, which peft ignores with a warning.
//!
//! **Guarantee.** [`save`] replaces each file atomically and writes the same bytes for the same adapter. A reader never
//! takes a half-written adapter for a complete one: the tensors carry a copy of the configuration, and the
//! configuration carries a hash of the tensors. If a crash fell between the two writes, [`load`] notices and recovers
//! the complete new adapter from the tensor file alone. **Cost.** Three syncs to disk per save.

mod config;
mod load;
mod npy;
mod pickle;
mod rows;
mod save;
mod zip;

pub(crate) use config::{Fields, descriptive, exact};
pub use load::{load, read};
pub use rows::read_rows;
pub use save::save;

use serde_json::{Map, Value};

use crate::{AdapterConfig, CoreError, Fingerprint};

/// Name of the configuration file.
pub const CONFIG_FILE: &str = "adapter_config.json";
/// Name of the tensor file that [`save`] writes.
pub const TENSOR_FILE: &str = "adapter_model.safetensors";
/// Name of the pickled tensor file of older adapters; read, never written.
pub const PICKLE_FILE: &str = "adapter_model.bin";

/// Key for the copy of the configuration in the tensor file's header.
const CONFIG_IN_HEADER: &str = "adapter_config";

/// Everything an adapter's files record besides its tensors.
#[derive(Debug, Clone, PartialEq)]
pub struct AdapterMetadata {
    /// Method and sizes.
    pub config: AdapterConfig,
    /// Name or folder of the base model; may be empty.
    pub base_model: String,
    /// Fingerprint of the backbone it was trained on; `None` for adapters written by other programs.
    pub fingerprint: Option<Fingerprint>,
    /// Name of the task it was trained for.
    pub task: Option<String>,
    /// Training context (task card, lengths, generation settings) in the format of the training program; opaque to this
    /// crate. `None` for adapters written by other programs and for format version 1.
    pub trained: Option<Map<String, Value>>,
    /// Further keys of `adapter_config.json`, preserved unchanged: `task_type` (default `SEQ_2_SEQ_LM`),
    /// `prompt_tuning_init`, `num_layers`, .. Keys derived from the other fields are ignored here.
    pub extra: Map<String, Value>,
}

impl AdapterMetadata {
    /// Metadata with every optional field empty.
    pub fn new(config: AdapterConfig, base_model: impl Into<String>) -> Self {
        Self {
            config,
            base_model: base_model.into(),
            fingerprint: None,
            task: None,
            trained: None,
            extra: Map::new(),
        }
    }

    /// Sets the fingerprint of the backbone it was trained on.
    #[must_use]
    pub fn with_fingerprint(mut self, fingerprint: Fingerprint) -> Self {
        self.fingerprint = Some(fingerprint);
        self
    }

    /// Checks that the adapter was trained on these weights. Adapters without a fingerprint fit any backbone.
    ///
    /// # Errors
    /// [`CoreError::WrongBackbone`] with both fingerprints.
    pub fn check_backbone(&self, found: &Fingerprint) -> Result<(), CoreError> {
        match &self.fingerprint {
            Some(expected) if expected != found => Err(CoreError::WrongBackbone {
                expected: expected.clone(),
                found: found.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// Checks that the backbone's embeddings have the adapter's width.
    ///
    /// # Errors
    /// [`CoreError::WrongWidth`] with both widths.
    pub fn check_d_model(&self, found: usize) -> Result<(), CoreError> {
        match self.config.d_model() {
            Some(expected) if expected != found => Err(CoreError::WrongWidth { expected, found }),
            _ => Ok(()),
        }
    }
}
