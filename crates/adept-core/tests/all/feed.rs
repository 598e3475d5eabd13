//! Adapter folders with arbitrary bytes, and what must hold for whatever is read from them. Shared by the property
//! tests here and the fuzz targets (`fuzz/` at the repository's root).

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Write as _};

use adept_core::file::{self, CONFIG_FILE, PICKLE_FILE, TENSOR_FILE};
use adept_core::{AdapterMetadata, CoreError, ModelSites};
use burn::tensor::TensorData;

use crate::input::Folder;

/// An ADePT configuration as the published code writes it: width 6, 3 virtual tokens, bottleneck 2.
const CONFIG: &str = r#"{"peft_type":"PROMPT_TUNING_LORAX","num_virtual_tokens":3,"token_dim":6,"r":2,"max_length":5}"#;

/// Sizes in bytes of a published adapter's storages in half precision, in PyTorch's numbering.
const STORAGES: [usize; 4] = [72, 24, 16, 48];

type Read = (AdapterMetadata, BTreeMap<String, TensorData>);

/// A folder for reading adapters.
pub struct AdapterFeed(Folder);

impl AdapterFeed {
    /// Inputs are an adapter's files.
    pub fn folders() -> Self {
        Self(Folder::new(&[CONFIG_FILE, TENSOR_FILE, PICKLE_FILE]))
    }

    /// Inputs are the pickled tensor file, or a part of it.
    pub fn pickled() -> Self {
        let folder = Folder::new(&[CONFIG_FILE, PICKLE_FILE]).with(CONFIG_FILE, CONFIG);
        folder.fill(b"");
        Self(folder)
    }

    /// Reads the files of a folder.
    ///
    /// # Panics
    /// If the reader panics, if an error does not name a file of the folder, or if what was read is not a valid
    /// adapter.
    pub fn check(&self, input: &[u8]) -> Result<Read, CoreError> {
        self.0.fill(input);
        self.judge()
    }

    /// Reads an `adapter_model.bin`.
    ///
    /// # Panics
    /// See [`check`](Self::check).
    pub fn check_file(&self, bytes: &[u8]) -> Result<Read, CoreError> {
        fs::write(self.0.file(PICKLE_FILE), bytes).expect("a writable folder");
        self.judge()
    }

    /// Reads a complete `adapter_model.bin` with this pickle and values for a published adapter's tensors.
    ///
    /// # Panics
    /// See [`check`](Self::check).
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

/// A zip archive laid out as by PyTorch.
fn archive(pickle: &[u8]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut put = |name: &str, bytes: &[u8]| {
        zip.start_file(name, options).expect("an archive in memory");
        zip.write_all(bytes).expect("an archive in memory");
    };
    put("archive/data.pkl", pickle);
    for (key, length) in STORAGES.into_iter().enumerate() {
        // Finite in both half and single precision.
        put(&format!("archive/data/{key}"), &vec![0x3c; length]);
    }
    zip.finish().expect("an archive in memory").into_inner()
}
