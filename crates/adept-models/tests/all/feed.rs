//! Backbone folders with arbitrary bytes, and what must hold for whatever is read from them. Shared by the property
//! tests here and the fuzz targets (`fuzz/` at the repository's root).

use std::collections::BTreeSet;

use adept_models::checkpoint::{Checkpoint, INDEX, WEIGHTS};
use adept_models::{CodeGenConfig, LlamaConfig, ModelError, T5Config, model_type};

use crate::input::Folder;

/// A folder for reading configurations.
pub struct ConfigFeed(Folder);

impl ConfigFeed {
    /// Inputs are the two files.
    #[allow(clippy::new_without_default, reason = "it makes a folder")]
    pub fn new() -> Self {
        Self(Folder::new(&["config.json", "generation_config.json"]))
    }

    /// Reads the configuration as each family's. True if one of them accepts it.
    ///
    /// # Panics
    /// If a reader panics, if an error names neither file nor field, or if a configuration does not survive a round
    /// trip.
    pub fn check(&self, input: &[u8]) -> bool {
        let folder = self.0.fill(input);
        let named = |error: ModelError| {
            let message = error.to_string();
            let place = folder.display().to_string();
            assert!(
                message.contains(&place) || message.contains("field `"),
                "neither file nor field: {message}"
            );
        };
        let _ = model_type(folder).map_err(named);
        let t5 = T5Config::from_dir(folder).map_err(named);
        if let Ok(config) = &t5 {
            assert_eq!(T5Config::from_json(&config.to_json()).ok().as_ref(), Some(config));
            assert!(config.inner() >= config.d_kv);
        }
        let codegen = CodeGenConfig::from_dir(folder).map_err(named);
        if let Ok(config) = &codegen {
            let again = CodeGenConfig::from_json(&config.to_json_as("float32"));
            assert_eq!(again.ok().as_ref(), Some(config));
            assert_eq!(config.head_channels() * config.n_head, config.n_embd);
        }
        let llama = LlamaConfig::from_dir(folder).map_err(named);
        if let Ok(config) = &llama {
            let again = LlamaConfig::from_json(&config.to_json_as("float32"));
            assert_eq!(again.ok().as_ref(), Some(config));
            assert!(config.num_attention_heads >= config.num_key_value_heads);
        }
        t5.is_ok() || codegen.is_ok() || llama.is_ok()
    }
}

/// A folder for reading weights.
pub struct CheckpointFeed(Folder);

impl CheckpointFeed {
    /// Inputs are one file of weights, or an index and two shards.
    #[allow(clippy::new_without_default, reason = "it makes a folder")]
    pub fn new() -> Self {
        Self(Folder::new(&[WEIGHTS, INDEX, "a.safetensors", "b.safetensors"]))
    }

    /// Opens the weights and reads every tensor.
    ///
    /// # Panics
    /// If the reader panics, if an error does not name a file of the folder, or if the number of values differs from
    /// the shape.
    pub fn check(&self, input: &[u8]) -> Result<Checkpoint, ModelError> {
        let folder = self.0.fill(input);
        let named = |error: &ModelError| {
            let message = error.to_string();
            let place = folder.display().to_string();
            assert!(message.starts_with(&place), "no file of the folder: {message}");
        };
        let checkpoint = Checkpoint::open(folder).inspect_err(named)?;
        let names: BTreeSet<String> = checkpoint.names().map(str::to_owned).collect();
        let mut values = 0;
        for name in &names {
            let shape = checkpoint.shape(name).expect("a tensor that is named").to_vec();
            let count: usize = shape.iter().product();
            values += count;
            match checkpoint.read(name, &shape).inspect_err(named) {
                Ok(read) => assert_eq!(read.len(), count, "{name}"),
                Err(error) => {
                    let is_expected = matches!(error, ModelError::Dtype { .. } | ModelError::NotFinite { .. });
                    assert!(is_expected, "{error}");
                }
            }
            if let [rows, columns] = shape[..] {
                let read = checkpoint.read_transposed(name, [rows, columns]);
                match read.inspect_err(named) {
                    Ok(read) => assert_eq!(read.len(), count, "{name}"),
                    Err(ModelError::NotFinite { .. }) => {}
                    Err(error) => assert!(!is_float(&checkpoint, name), "{error}"),
                }
            }
        }
        assert_eq!(checkpoint.parameters(), values);
        checkpoint.check_no_others(&names).expect("no others");
        checkpoint.fingerprint();
        Ok(checkpoint)
    }
}

fn is_float(checkpoint: &Checkpoint, name: &str) -> bool {
    use safetensors::Dtype::{BF16, F16, F32};
    checkpoint
        .raw(name)
        .is_some_and(|(dtype, _)| matches!(dtype, F32 | F16 | BF16))
}
