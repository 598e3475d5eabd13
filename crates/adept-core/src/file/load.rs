//! Loading adapters, from safetensors or from the pickled files of older ones.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::TensorData;
use burn::tensor::backend::Backend;
use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};

use super::zip::TorchFile;
use super::{AdapterMetadata, CONFIG_FILE, CONFIG_IN_HEADER, PICKLE_FILE, TENSOR_FILE, config};
use crate::{Adapter, CoreError, Fingerprint, FingerprintBuilder, ModelSites};

/// Loads the adapter in the folder `dir` for a model; f16 and bf16 values become f32. Methods that only change
/// embeddings need no more of the model than [`ModelSites::embeddings`].
///
/// `adapter_model.safetensors` is preferred; a published `adapter_model.bin` is read by an interpreter that understands
/// tensor dictionaries and executes nothing.
///
/// # Errors
/// Errors name file and tensor, expected and found: stand-ins for a file (a Git LFS pointer, a dangling link), missing,
/// unexpected or truncated files, shapes or types that contradict the configuration, NaN and infinities, unsupported
/// adapters, tensors other than the ones the configuration was written with, a model of another width or without the
/// linear maps that the adapter changes.
pub fn load<B: Backend>(
    dir: &Path,
    sites: &ModelSites,
    device: &B::Device,
) -> Result<(Adapter<B>, AdapterMetadata), CoreError> {
    let (meta, tensors) = read(dir)?;
    let adapter = Adapter::from_tensors(&meta.config, sites, tensors, device)?;
    Ok((adapter, meta))
}

/// Like [`load`], but returns the tensors by name, as f32 with the file's shapes and on no device, for inspecting an
/// adapter.
///
/// # Errors
/// As [`load`].
pub fn read(dir: &Path) -> Result<(AdapterMetadata, BTreeMap<String, TensorData>), CoreError> {
    let config_path = dir.join(CONFIG_FILE);
    let text = adept_files::read(&config_path)?;
    let (meta, written_with) = config::from_text(&config_path, adept_files::without_mark(&text))?;

    let tensor_path = dir.join(TENSOR_FILE);
    match read_if_present(&tensor_path)? {
        Some(bytes) => from_safetensors(&tensor_path, &bytes, meta, written_with),
        None => {
            let path = dir.join(PICKLE_FILE);
            let bytes = read_if_present(&path)?.ok_or_else(|| CoreError::NoTensorFile {
                path: dir.to_path_buf(),
            })?;
            let tensors = collect(&meta, &mut TorchFile::open(&path, bytes)?)?;
            Ok((meta, tensors))
        }
    }
}

fn read_if_present(path: &Path) -> Result<Option<Vec<u8>>, CoreError> {
    match adept_files::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Element types supported in adapter files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    F32,
    F16,
    Bf16,
}

impl Element {
    pub(super) fn size(self) -> usize {
        match self {
            Element::F32 => 4,
            Element::F16 | Element::Bf16 => 2,
        }
    }

    /// Decodes little-endian bytes; the length must be a multiple of the element size.
    pub(super) fn values(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Element::F32 => bytes
                .as_chunks()
                .0
                .iter()
                .map(|&chunk| f32::from_le_bytes(chunk))
                .collect(),
            Element::F16 => bytes
                .as_chunks()
                .0
                .iter()
                .map(|&chunk| f16::from_le_bytes(chunk).to_f32())
                .collect(),
            Element::Bf16 => bytes
                .as_chunks()
                .0
                .iter()
                .map(|&chunk| bf16::from_le_bytes(chunk).to_f32())
                .collect(),
        }
    }
}

/// A file of named tensors, in either format.
pub(super) trait TensorSource {
    fn path(&self) -> &Path;
    /// Name, element type (`Err` holds the name of an unsupported one) and shape of every tensor.
    fn entries(&self) -> Vec<(String, Result<Element, String>, Vec<usize>)>;
    /// Values of the tensor at `index` in `entries`, in row-major order. Only called once type and shape have been
    /// checked.
    fn values(&mut self, index: usize) -> Result<Vec<f32>, CoreError>;
}

/// A safetensors file whose header has been read.
pub(super) struct OpenSafetensors<'a> {
    path: &'a Path,
    tensors: Vec<(String, safetensors::tensor::TensorView<'a>)>,
}

impl<'a> OpenSafetensors<'a> {
    pub(super) fn open(path: &'a Path, bytes: &'a [u8]) -> Result<Self, CoreError> {
        let file = SafeTensors::deserialize(bytes).map_err(|source| CoreError::Safetensors {
            path: path.to_path_buf(),
            source,
        })?;
        Ok(Self::of(path, &file))
    }

    fn of(path: &'a Path, file: &SafeTensors<'a>) -> Self {
        let mut tensors = file.tensors();
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        Self { path, tensors }
    }
}

impl TensorSource for OpenSafetensors<'_> {
    fn path(&self) -> &Path {
        self.path
    }

    fn entries(&self) -> Vec<(String, Result<Element, String>, Vec<usize>)> {
        let entry = |(name, view): &(String, safetensors::tensor::TensorView<'_>)| {
            (name.clone(), element(view.dtype()), view.shape().to_vec())
        };
        self.tensors.iter().map(entry).collect()
    }

    fn values(&mut self, index: usize) -> Result<Vec<f32>, CoreError> {
        let view = &self.tensors[index].1;
        let element = element(view.dtype()).expect("only tensors of an accepted type are asked for");
        Ok(element.values(view.data()))
    }
}

fn element(dtype: Dtype) -> Result<Element, String> {
    match dtype {
        Dtype::F32 => Ok(Element::F32),
        Dtype::F16 => Ok(Element::F16),
        Dtype::BF16 => Ok(Element::Bf16),
        other => Err(other.to_string()),
    }
}

fn from_safetensors(
    path: &Path,
    bytes: &[u8],
    meta: AdapterMetadata,
    written_with: Option<Fingerprint>,
) -> Result<(AdapterMetadata, BTreeMap<String, TensorData>), CoreError> {
    let refuse = |source| CoreError::Safetensors {
        path: path.to_path_buf(),
        source,
    };
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(refuse)?;
    let file = SafeTensors::deserialize(bytes).map_err(refuse)?;
    let mut builder = FingerprintBuilder::new();
    for (name, view) in file.iter() {
        builder.tensor(name, &view.dtype().to_string(), view.shape(), view.data());
    }
    let found = builder.finish();
    let meta = match written_with {
        Some(expected) if expected != found => {
            // Either a write was interrupted between the two files, or the files are from two adapters: the header
            // decides.
            let copy = header.metadata().as_ref().and_then(|map| map.get(CONFIG_IN_HEADER));
            match copy.map(|text| config::from_text(path, text.as_bytes())).transpose()? {
                Some((meta, Some(hash))) if hash == found => meta,
                _ => {
                    return Err(CoreError::TensorHash {
                        path: path.to_path_buf(),
                        expected,
                        found,
                    });
                }
            }
        }
        _ => meta,
    };
    let tensors = collect(&meta, &mut OpenSafetensors::of(path, &file))?;
    Ok((meta, tensors))
}

/// Names in published files are prefixed with the module path.
pub(super) fn plain_name(name: &str) -> &str {
    let name = name.strip_prefix("prompt_encoder.").unwrap_or(name);
    name.strip_prefix("default.").unwrap_or(name)
}

/// Reads every tensor after checking it against the configuration.
fn collect(meta: &AdapterMetadata, source: &mut dyn TensorSource) -> Result<BTreeMap<String, TensorData>, CoreError> {
    let path: PathBuf = source.path().to_path_buf();
    let entries = source.entries();
    let found: Vec<_> = entries
        .iter()
        .map(|(name, _, shape)| (plain_name(name).to_owned(), shape.clone()))
        .collect();
    let expected = meta.config.file_shapes(&found);
    let mut taken = vec![false; entries.len()];
    let mut tensors = BTreeMap::new();
    for (tensor, expected) in expected {
        let place = entries.iter().position(|(name, ..)| plain_name(name) == tensor);
        let Some(index) = place else {
            return Err(CoreError::MissingTensor {
                path,
                tensor: tensor.to_string(),
                expected,
            });
        };
        taken[index] = true;
        let (name, element, shape) = &entries[index];
        if let Err(found) = element {
            return Err(CoreError::DtypeMismatch {
                path,
                tensor: name.clone(),
                found: found.clone(),
            });
        }
        if *shape != expected {
            return Err(CoreError::ShapeMismatch {
                path,
                tensor: name.clone(),
                expected,
                found: shape.clone(),
            });
        }
        let values = source.values(index)?;
        if let Some((index, found)) = first_not_finite(&values, &expected) {
            return Err(CoreError::NotFinite {
                path,
                tensor: name.clone(),
                index,
                found,
            });
        }
        tensors.insert(tensor.to_string(), TensorData::new(values, expected));
    }
    let derived = meta.config.derived_shapes();
    let is_derived = |(name, _, shape): &(String, _, Vec<usize>)| {
        derived
            .iter()
            .any(|(known, expected)| plain_name(name) == known && shape == expected)
    };
    let mut left = entries
        .iter()
        .zip(&taken)
        .map(|(entry, taken)| !taken && !is_derived(entry));
    if let Some(index) = left.position(|left| left) {
        let (name, _, shape) = &entries[index];
        return Err(CoreError::UnexpectedTensor {
            path,
            tensor: name.clone(),
            found: shape.clone(),
        });
    }
    Ok(tensors)
}

/// The first NaN or infinite value, with its index in each dimension.
pub(super) fn first_not_finite(values: &[f32], shape: &[usize]) -> Option<(Vec<usize>, f32)> {
    let flat = values.iter().position(|value| !value.is_finite())?;
    let mut rest = flat;
    let mut index: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&size| {
            let place = rest % size;
            rest /= size;
            place
        })
        .collect();
    index.reverse();
    Some((index, values[flat]))
}
