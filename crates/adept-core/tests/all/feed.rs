//! Adapter folders that hold any bytes, and what is asked of whatever comes back. The property tests here and the fuzz
//! targets (`fuzz/` at the repository's root) share this file.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Write as _};

use adept_core::file::{self, CONFIG_FILE, PICKLE_FILE, TENSOR_FILE};
use adept_core::{AdapterMetadata, CoreError, ModelSites};
use burn::tensor::TensorData;

use crate::input::Folder;

/// The published code's configuration of an ADePT adapter of width 6, 3 virtual tokens and bottleneck 2.
const CONFIG: &str = r#"{"peft_type":"PROMPT_TUNING_LORAX","num_virtual_tokens":3,"token_dim":6,"r":2,"max_length":5}"#;

/// Bytes of the storages of a published one in half precision, in the order in which PyTorch numbers them.
const STORAGES: [usize; 4] = [72, 24, 16, 48];

type Read = (AdapterMetadata, BTreeMap<String, TensorData>);

/// A folder that adapters are read from.
pub struct AdapterFeed(Folder);

impl AdapterFeed {
    /// For inputs that hold the adapter's files.
    pub fn folders() -> Self {
        Self(Folder::new(&[CONFIG_FILE, TENSOR_FILE, PICKLE_FILE]))
    }

    /// For inputs that are the pickled tensor file, or a part of it.
    pub fn pickled() -> Self {
        let folder = Folder::new(&[CONFIG_FILE, PICKLE_FILE]).with(CONFIG_FILE, CONFIG);
        folder.fill(b"");
        Self(folder)
    }

    /// Reads a folder's files.
    ///
    /// # Panics
    /// Where the reader does, where an error does not name a file of the folder, and where what was read is no adapter.
    pub fn check(&self, input: &[u8]) -> Result<Read, CoreError> {
        self.0.fill(input);
        self.judge()
    }

    /// Reads an `adapter_model.bin`.
    ///
    /// # Panics
    /// As [`check`](Self::check).
    pub fn check_file(&self, bytes: &[u8]) -> Result<Read, CoreError> {
        fs::write(self.0.file(PICKLE_FILE), bytes).expect("a writable folder");
        self.judge()
    }

    /// Reads an `adapter_model.bin` with this pickle, whole and with values for a published adapter's tensors.
    ///
    /// # Panics
    /// As [`check`](Self::check).
    pub fn check_pickle(&self, pickle: &[u8]) -> Result<Read, CoreError> {
        self.check_file(&archive(pickle))
    }

    fn judge(&self) -> Result<Read, CoreError> {
        let read = file::read(self.0.path());
        match &read {
            Err(error) => {
                let message = error.to_string();
                let folder = self.0.path().display().to_string();
                assert!(message.starts_with(&folder), "no file of the folder: {message}");
            }
            Ok((meta, tensors)) => {
                meta.config.validate().expect("a configuration that was read");
                let mut values = 0;
                for (name, data) in tensors {
                    let data = data.as_slice::<f32>().expect("f32 values");
                    assert!(data.iter().all(|value| value.is_finite()), "{name}");
                    values += data.len();
                }
                if let Some(d_model) = meta.config.d_model() {
                    let sites = ModelSites::embeddings(d_model);
                    let shapes = meta.config.tensor_shapes(&sites).expect("the width is its own");
                    assert_eq!(shapes.len(), tensors.len());
                    for (name, shape) in shapes {
                        assert_eq!(tensors[&name].shape.to_vec(), shape, "{name}");
                    }
                    let count = meta.config.trainable_parameters(&sites);
                    assert_eq!(count.expect("the width is its own"), values);
                }
            }
        }
        read
    }
}

/// A zip archive as PyTorch writes it.
fn archive(pickle: &[u8]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut put = |name: &str, bytes: &[u8]| {
        zip.start_file(name, options).expect("an archive in memory");
        zip.write_all(bytes).expect("an archive in memory");
    };
    put("archive/data.pkl", pickle);
    for (key, length) in STORAGES.into_iter().enumerate() {
        // Finite numbers in half and in single precision.
        put(&format!("archive/data/{key}"), &vec![0x3c; length]);
    }
    zip.finish().expect("an archive in memory").into_inner()
}
