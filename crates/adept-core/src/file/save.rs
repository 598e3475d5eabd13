//! Saving adapters.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use burn::tensor::TensorData;
use burn::tensor::backend::Backend;
use serde_json::{Map, Value, json};

use super::load::first_not_finite;
use super::{AdapterMetadata, CONFIG_FILE, CONFIG_IN_HEADER, PICKLE_FILE, TENSOR_FILE, config};
use crate::{Adapter, CoreError, Fingerprint, FingerprintBuilder};

/// Saves the adapter in the folder `dir`, which is created if necessary; an adapter that [`save`] wrote there earlier
/// is replaced, other files are left alone.
///
/// Each file is written next to its target, synced to disk and renamed into place (see the module documentation for
/// what that guarantees). The same adapter and metadata give the same bytes.
///
/// # Errors
/// Fails if metadata and adapter do not match, if a value is NaN or infinite, if the folder holds an adapter that this
/// crate did not write ([`CoreError::Foreign`]), or if writing fails ([`CoreError::Write`]).
pub fn save<B: Backend>(dir: &Path, adapter: &Adapter<B>, meta: &AdapterMetadata) -> Result<(), CoreError> {
    let tensor_path = dir.join(TENSOR_FILE);
    meta.config.validate()?;
    let method = meta.config.describe(adapter)?;
    let mut tensors = checked_tensors(&tensor_path, adapter, meta)?;
    tensors.extend(derived_tensors(&tensor_path, adapter)?);
    let config_text = config::to_text(meta, method, &hash(&tensors));
    let tensor_bytes = safetensors_bytes(&tensors, &config_text);

    refuse_foreign(dir)?;
    fs::create_dir_all(dir).map_err(|source| failed(dir, source))?;
    // Tensors first: a reader starts with the configuration, so it may pair an old configuration with new tensors,
    // which it detects and recovers from, but never the reverse.
    replace(dir, TENSOR_FILE, &tensor_bytes)?;
    replace(dir, CONFIG_FILE, config_text.as_bytes())?;
    sync_folder(dir)
}

/// Refuses a folder that holds an adapter of another program; this crate's have the key `adept`.
fn refuse_foreign(dir: &Path) -> Result<(), CoreError> {
    let is_ours = || {
        let text = fs::read(dir.join(CONFIG_FILE)).ok()?;
        let config = adept_files::json_object(&text).ok()?;
        config.contains_key("adept").then_some(())
    };
    let there = [CONFIG_FILE, TENSOR_FILE, PICKLE_FILE]
        .into_iter()
        .find(|name| dir.join(name).exists());
    match there {
        Some(found) if is_ours().is_none() => Err(CoreError::Foreign {
            path: dir.to_path_buf(),
            found,
        }),
        _ => Ok(()),
    }
}

fn checked_tensors<B: Backend>(
    path: &Path,
    adapter: &Adapter<B>,
    meta: &AdapterMetadata,
) -> Result<Vec<(String, TensorData)>, CoreError> {
    let tensors = adapter.tensors();
    let held: Vec<_> = tensors
        .iter()
        .map(|(name, data)| (name.clone(), data.shape.to_vec()))
        .collect();
    let described = meta.config.file_shapes(&held);
    let shape_in = |shapes: &[(String, Vec<usize>)], name: &str| {
        let found = shapes.iter().find(|(known, _)| known == name);
        found.map(|(_, shape)| shape.clone())
    };
    for (name, _) in described.iter().chain(&held) {
        let (expected, found) = (shape_in(&described, name), shape_in(&held, name));
        if expected != found {
            return Err(CoreError::AdapterMismatch {
                tensor: name.clone(),
                expected: expected.unwrap_or_default(),
                found: found.unwrap_or_default(),
            });
        }
    }
    check_finite(path, &tensors)?;
    Ok(tensors)
}

/// Tensors for other programs; overflow in computing them is an error like any other.
fn derived_tensors<B: Backend>(path: &Path, adapter: &Adapter<B>) -> Result<Vec<(String, TensorData)>, CoreError> {
    let tensors = adapter.derived();
    check_finite(path, &tensors)?;
    Ok(tensors)
}

fn check_finite(path: &Path, tensors: &[(String, TensorData)]) -> Result<(), CoreError> {
    for (name, data) in tensors {
        let values = data.as_slice::<f32>().expect("tensors() converts to f32");
        if let Some((index, found)) = first_not_finite(values, &data.shape) {
            return Err(CoreError::NotFinite {
                path: path.to_path_buf(),
                tensor: name.clone(),
                index,
                found,
            });
        }
    }
    Ok(())
}

fn little_endian(data: &TensorData) -> Vec<u8> {
    let values = data.as_slice::<f32>().expect("tensors() converts to f32");
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn hash(tensors: &[(String, TensorData)]) -> Fingerprint {
    let mut builder = FingerprintBuilder::new();
    for (name, data) in tensors {
        builder.tensor(name, "F32", &data.shape, &little_endian(data));
    }
    builder.finish()
}

/// Bytes of the safetensors file: header length (u64), header (JSON, padded to 8 bytes), values. Hand-written because
/// the safetensors crate keeps header metadata in a hash map, whose order differs from run to run.
fn safetensors_bytes(tensors: &[(String, TensorData)], config_text: &str) -> Vec<u8> {
    let mut header = Map::new();
    header.insert(
        "__metadata__".to_string(),
        json!({ CONFIG_IN_HEADER: config_text, "format": "pt" }),
    );
    let mut values = Vec::new();
    for (name, data) in tensors {
        let begin = values.len();
        values.extend_from_slice(&little_endian(data));
        let entry = json!({ "dtype": "F32", "shape": data.shape.to_vec(), "data_offsets": [begin, values.len()] });
        header.insert(name.clone(), entry);
    }
    let mut header = serde_json::to_vec(&Value::Object(header)).expect("a map of JSON values always serialises");
    header.resize(header.len().next_multiple_of(8), b' ');

    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut header);
    bytes.append(&mut values);
    bytes
}

/// Replaces a file atomically: readers see the old bytes or the new ones.
fn replace(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), CoreError> {
    let path = dir.join(name);
    let prefix = format!(".{name}.");
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(".tmp");
    // Temporary files are private by default, but an adapter is an ordinary file.
    #[cfg(unix)]
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    #[cfg(unix)]
    builder.permissions(permissions);
    let mut file = builder.tempfile_in(dir).map_err(|source| failed(&path, source))?;
    file.write_all(bytes).map_err(|source| failed(&path, source))?;
    file.as_file().sync_all().map_err(|source| failed(&path, source))?;
    file.persist(&path).map_err(|error| failed(&path, error.error))?;
    Ok(())
}

/// Makes the renames survive a power failure. Only Unix can sync a folder.
fn sync_folder(dir: &Path) -> Result<(), CoreError> {
    if cfg!(unix) {
        File::open(dir)
            .and_then(|folder| folder.sync_all())
            .map_err(|source| failed(dir, source))?;
    }
    Ok(())
}

fn failed(path: &Path, source: std::io::Error) -> CoreError {
    CoreError::Write {
        path: path.to_path_buf(),
        source,
    }
}
