//! A golden file in memory: tensors by name, with type and shape checked on access.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use adept_models::Precision;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

use super::VerifyError;

/// File next to the golden one with the deviation of PyTorch's float32 from its float64; absent in older folders.
const NOISE_FILE: &str = "noise.json";

/// Files next to the golden one with the values for methods that change weights, for prompts made by networks, and for
/// further methods, each with the noise of its tensors; absent in older folders.
const FURTHER_FILES: [(&str, &str); 3] = [
    ("weights.safetensors", "weights_noise.json"),
    ("prompts.safetensors", "prompts_noise.json"),
    ("methods.safetensors", "methods_noise.json"),
];

/// Largest noise accepted, as a fraction of a tensor's scale. It leaves half of float32's digits; larger deviations are
/// not rounding.
const MOST_NOISE: f64 = 1e-3;

/// Contents of the noise file.
#[derive(Debug, Deserialize)]
struct NoiseFile {
    tensors: BTreeMap<String, TensorNoise>,
}

/// A tensor in PyTorch's float32 compared with float64.
#[derive(Debug, Deserialize)]
struct TensorNoise {
    /// Largest deviation.
    noise: f64,
    /// Largest absolute value.
    scale: f64,
}

/// Values of one tensor in row-major order.
#[derive(Debug)]
enum Values {
    Float(Vec<f64>),
    Int(Vec<i64>),
    Other,
}

#[derive(Debug)]
struct Entry {
    dtype: Dtype,
    shape: Vec<usize>,
    values: Values,
}

/// The tensors of `golden.safetensors`, which of them have been read, and the precision that decides their tolerances.
#[derive(Debug)]
pub(super) struct Golden {
    path: PathBuf,
    entries: BTreeMap<String, Entry>,
    noise: BTreeMap<String, f64>,
    precision: Precision,
    read: RefCell<BTreeSet<String>>,
}

impl Golden {
    /// Reads the whole file, and the further ones that are present.
    pub fn open(path: &Path, precision: Precision) -> Result<Self, VerifyError> {
        let mut entries = entries(path)?;
        let mut noise = noise(&path.with_file_name(NOISE_FILE))?;
        for (tensors, its_noise) in FURTHER_FILES {
            noise.extend(self::noise(&path.with_file_name(its_noise))?);
            let tensors = path.with_file_name(tensors);
            if tensors.exists() {
                entries.extend(self::entries(&tensors)?);
            }
        }
        Ok(Self {
            path: path.to_owned(),
            entries,
            noise,
            precision,
            read: RefCell::default(),
        })
    }

    /// Whether a tensor is there.
    pub fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// In what the products are computed whose results are compared.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// PyTorch's own float32 noise in a tensor, if stated by the folder.
    pub fn noise(&self, name: &str) -> Option<f64> {
        self.noise.get(name).copied()
    }

    /// Shape of a tensor needed by `group`, with the expected number of axes.
    pub fn shape<const N: usize>(&self, group: &str, name: &str) -> Result<[usize; N], VerifyError> {
        let shape = &self.entry(group, name)?.shape;
        // For a tensor of another rank, the error shows an expected shape of N unknown (0) axes.
        shape
            .as_slice()
            .try_into()
            .map_err(|_| self.shape_error(name, &[0; N], shape))
    }

    /// Finite values of a float tensor of the given shape.
    pub fn floats(&self, group: &str, name: &str, shape: &[usize]) -> Result<&[f64], VerifyError> {
        let entry = self.entry(group, name)?;
        let Values::Float(values) = &entry.values else {
            return Err(self.dtype_error(name, "F32 or F64", entry));
        };
        if entry.shape != shape {
            return Err(self.shape_error(name, shape, &entry.shape));
        }
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            return Err(VerifyError::NotFinite {
                path: self.path.clone(),
                tensor: name.to_owned(),
                index,
                value: values[index],
            });
        }
        Ok(values)
    }

    /// Values of an integer tensor of the given shape.
    pub fn integers(&self, group: &str, name: &str, shape: &[usize]) -> Result<&[i64], VerifyError> {
        let entry = self.entry(group, name)?;
        let Values::Int(values) = &entry.values else {
            return Err(self.dtype_error(name, "I64", entry));
        };
        if entry.shape != shape {
            return Err(self.shape_error(name, shape, &entry.shape));
        }
        Ok(values)
    }

    /// Like [`Self::integers`] for token ids, which must be within the vocabulary, or -100 if `ignored`.
    pub fn ids(
        &self,
        group: &str,
        name: &str,
        shape: &[usize],
        vocabulary: usize,
        ignored: bool,
    ) -> Result<&[i64], VerifyError> {
        let ids = self.integers(group, name, shape)?;
        let known = |id: i64| (ignored && id == -100) || usize::try_from(id).is_ok_and(|id| id < vocabulary);
        match ids.iter().find(|id| !known(**id)) {
            None => Ok(ids),
            Some(&id) => Err(VerifyError::Id {
                path: self.path.clone(),
                tensor: name.to_owned(),
                id,
                vocabulary,
            }),
        }
    }

    /// Names of the tensors that were never read.
    pub fn unread(&self) -> impl Iterator<Item = &str> {
        self.entries
            .keys()
            .map(String::as_str)
            .filter(|name| !self.read.borrow().contains(*name))
    }

    fn entry(&self, group: &str, name: &str) -> Result<&Entry, VerifyError> {
        let entry = self.entries.get(name).ok_or_else(|| VerifyError::MissingTensor {
            path: self.path.clone(),
            group: group.to_owned(),
            tensor: name.to_owned(),
        })?;
        self.read.borrow_mut().insert(name.to_owned());
        Ok(entry)
    }

    fn dtype_error(&self, name: &str, expected: &'static str, entry: &Entry) -> VerifyError {
        let (path, tensor) = (self.path.clone(), name.to_owned());
        VerifyError::Dtype {
            path,
            tensor,
            expected,
            found: format!("{:?}", entry.dtype),
        }
    }

    fn shape_error(&self, name: &str, expected: &[usize], found: &[usize]) -> VerifyError {
        VerifyError::Shape {
            path: self.path.clone(),
            tensor: name.to_owned(),
            expected: expected.to_vec(),
            found: found.to_vec(),
        }
    }
}

/// Reads every tensor of a file.
fn entries(path: &Path) -> Result<BTreeMap<String, Entry>, VerifyError> {
    let bytes = read(path)?;
    let file = SafeTensors::deserialize(&bytes).map_err(|source| VerifyError::Safetensors {
        path: path.to_owned(),
        source,
    })?;
    let entry = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
        let data = view.data();
        let values = match view.dtype() {
            Dtype::F32 => Values::Float(words(data).map(|word| f64::from(f32::from_le_bytes(word))).collect()),
            Dtype::F64 => Values::Float(words(data).map(f64::from_le_bytes).collect()),
            Dtype::I64 => Values::Int(words(data).map(i64::from_le_bytes).collect()),
            _ => Values::Other,
        };
        let (dtype, shape) = (view.dtype(), view.shape().to_vec());
        (name, Entry { dtype, shape, values })
    };
    Ok(file.tensors().into_iter().map(entry).collect())
}

/// The noise of each tensor; empty without a noise file.
fn noise(path: &Path) -> Result<BTreeMap<String, f64>, VerifyError> {
    if !path.exists() {
        return Ok(BTreeMap::new());
    }
    let file: NoiseFile = serde_json::from_slice(&read(path)?).map_err(|source| VerifyError::Json {
        path: path.to_owned(),
        source,
    })?;
    let checked = |(tensor, TensorNoise { noise, scale }): (String, TensorNoise)| {
        if noise >= 0.0 && noise <= MOST_NOISE * scale && scale.is_finite() {
            return Ok((tensor, noise));
        }
        Err(VerifyError::Noise {
            path: path.to_owned(),
            tensor,
            found: noise,
            most: MOST_NOISE * scale,
        })
    };
    file.tensors.into_iter().map(checked).collect()
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, VerifyError> {
    Ok(adept_files::read(path)?)
}

/// Little-endian words; safetensors has checked that the length is a multiple of the word size.
fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes
        .chunks_exact(N)
        .map(|chunk| chunk.try_into().expect("chunks_exact yields chunks of N bytes"))
}
