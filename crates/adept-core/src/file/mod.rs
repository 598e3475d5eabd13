//! Adapter files in PEFT's layout: a folder with `adapter_config.json` and `adapter_model.safetensors`.
//!
//! PT, LoRA and (IA)³ adapters are what peft 0.21 writes for `PROMPT_TUNING`, `LORA` and `IA3`, and its loader reads them. DePT and ADePT use the keys and
//! tensor names of their published code (`PROMPT_TUNING_LORA`, `PROMPT_TUNING_LORAX`), whose pickled
//! `adapter_model.bin` is read as well. What this crate records beyond that stands under the one key `adept`, which
//! peft leaves alone with a warning.
//!
//! **Guarantee.** [`save`] replaces each file in one step and writes the same bytes for the same adapter. A reader
//! never takes a half-written adapter for a whole one: the tensors carry a copy of the configuration, and the
//! configuration carries a hash of the tensors. Where a crash fell between the two files, [`load`] notices and takes
//! the new, whole adapter from the tensor file alone. **Cost.** Three syncs to disk for each save.

mod config;
mod load;
mod pickle;
mod save;
mod zip;

pub(crate) use config::{Fields, descriptive, exact};
pub use load::{load, read};
pub use save::save;

use serde_json::{Map, Value};

use crate::{AdapterConfig, CoreError, Fingerprint};

/// Name of the configuration file.
pub const CONFIG_FILE: &str = "adapter_config.json";
/// Name of the tensor file that is written.
pub const TENSOR_FILE: &str = "adapter_model.safetensors";
/// Name of the pickled tensor file of older adapters, which is only read.
pub const PICKLE_FILE: &str = "adapter_model.bin";

/// Key of the configuration's copy in the header of the tensor file.
const CONFIG_IN_HEADER: &str = "adapter_config";

/// What an adapter's files say about it.
#[derive(Debug, Clone, PartialEq)]
pub struct AdapterMetadata {
    /// Method and sizes.
    pub config: AdapterConfig,
    /// Name or folder of the model the adapter was trained on; may be empty.
    pub base_model: String,
    /// The weights it was trained on; adapters from elsewhere have none.
    pub fingerprint: Option<Fingerprint>,
    /// Name of the task it was trained for.
    pub task: Option<String>,
    /// What it was trained with (task card, lengths, generation), in the form of the program that trained it; this
    /// crate keeps it as it is. Adapters from elsewhere and files of format version 1 have none.
    pub trained: Option<Map<String, Value>>,
    /// Further keys of `adapter_config.json`, kept as they are: `task_type`, `prompt_tuning_init`, `num_layers`, ..
    /// (`task_type` is `SEQ_2_SEQ_LM` where nothing is said). Keys that follow from the other fields are ignored here.
    pub extra: Map<String, Value>,
}

impl AdapterMetadata {
    /// A description without anything optional.
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

    /// Refuses weights other than those the adapter was trained on. Adapters that name none fit everywhere.
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

    /// Refuses a backbone whose embeddings have another width.
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
