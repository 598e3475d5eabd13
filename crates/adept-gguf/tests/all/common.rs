//! Fixtures, and imports of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use adept_gguf::{Element, GgufError, Imported, Settings, import};
use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use tempfile::TempDir;

/// A file that the generator wrote.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A golden checkpoint.
pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/goldens")
        .join(name)
}

/// Settings with an element type.
pub fn settings(element: Element) -> Settings {
    let mut settings = Settings::default();
    settings.element = element;
    settings
}

/// An import in a new folder.
pub fn imported(model: &Path, settings: &Settings) -> Result<(TempDir, PathBuf, Imported), GgufError> {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("model");
    let imported = import(model, &out, settings, &())?;
    Ok((folder, out, imported))
}

pub fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Tensors as f32, by name, with their shapes.
pub fn tensors(file: &Path) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let bytes = fs::read(file).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let values = |dtype, data: &[u8]| -> Vec<f32> {
        let pairs = data.chunks_exact(2).map(|x| [x[0], x[1]]);
        match dtype {
            Dtype::F32 => data
                .chunks_exact(4)
                .map(|x| f32::from_le_bytes(x.try_into().unwrap()))
                .collect(),
            Dtype::F16 => pairs.map(|x| f16::from_le_bytes(x).to_f32()).collect(),
            Dtype::BF16 => pairs.map(|x| bf16::from_le_bytes(x).to_f32()).collect(),
            other => panic!("{other:?}"),
        }
    };
    file.iter()
        .map(|(name, tensor)| {
            (
                name.to_owned(),
                (tensor.shape().to_vec(), values(tensor.dtype(), tensor.data())),
            )
        })
        .collect()
}
