//! Adapter files in PEFT's layout.

use std::path::Path;

use burn::tensor::backend::Backend;

use crate::{AdapterConfig, CoreError, Fingerprint, PromptAdapter};

/// What an adapter file says about its adapter.
#[derive(Debug, Clone, PartialEq)]
pub struct AdapterMetadata {
    /// Method and sizes.
    pub config: AdapterConfig,
    /// Name or folder of the model it was trained on.
    pub base_model: String,
    /// The weights it was trained on.
    pub fingerprint: Option<Fingerprint>,
    /// The task it was trained for.
    pub task: Option<String>,
    /// Other keys of the configuration file.
    pub extra: serde_json::Map<String, serde_json::Value>,
}

impl AdapterMetadata {
    /// New metadata with nothing optional set.
    pub fn new(config: AdapterConfig, base_model: impl Into<String>) -> Self {
        Self {
            config,
            base_model: base_model.into(),
            fingerprint: None,
            task: None,
            extra: serde_json::Map::new(),
        }
    }

    /// Refuses a backbone other than the one trained on.
    pub fn check_backbone(&self, found: &Fingerprint) -> Result<(), CoreError> {
        let _ = found;
        todo!()
    }

    /// Refuses a backbone of another width.
    pub fn check_d_model(&self, found: usize) -> Result<(), CoreError> {
        let _ = found;
        todo!()
    }
}

/// Writes an adapter.
pub fn save<B: Backend>(dir: &Path, adapter: &PromptAdapter<B>, meta: &AdapterMetadata) -> Result<(), CoreError> {
    let _ = (dir, adapter, meta);
    todo!()
}

/// Reads an adapter.
pub fn load<B: Backend>(dir: &Path, device: &B::Device) -> Result<(PromptAdapter<B>, AdapterMetadata), CoreError> {
    let _ = (dir, device);
    todo!()
}
