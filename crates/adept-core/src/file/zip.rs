//! PyTorch's `.bin`: a zip archive with `data.pkl` (which describes the tensors) and one file per storage (their
//! values).
//!
//! Hostile files are expected. Memory is bounded by the size of the file: storages must be uncompressed (PyTorch never
//! compresses them), the pickle is limited, and no tensor may have more elements than its storage.

use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use zip::{CompressionMethod, ZipArchive};

use super::load::{Element, TensorSource};
use super::pickle::{self, PickledTensor, StorageType};
use crate::{CoreError, PickleProblem};

/// An adapter's pickle is about 1 KB. The limit is low because a compressed one may expand to a thousand times the
/// file's size.
const MAX_PICKLE: usize = 1 << 16;

/// An open archive whose pickle has been read; values are read on demand.
pub(super) struct TorchFile {
    path: PathBuf,
    archive: ZipArchive<Cursor<Vec<u8>>>,
    /// Top-level folder in the archive, `<name>/`.
    root: String,
    tensors: Vec<(String, PickledTensor)>,
}

impl TorchFile {
    pub(super) fn open(path: &Path, bytes: Vec<u8>) -> Result<Self, CoreError> {
        let refuse = |problem: String| CoreError::Archive {
            path: path.to_path_buf(),
            problem,
        };
        // The old format starts with a pickle (opcode PROTO) instead of a zip entry.
        if bytes.first() == Some(&0x80) {
            return Err(CoreError::LegacyTorchFile {
                path: path.to_path_buf(),
            });
        }
        if let Some((claimed, found)) = inflated_directory(&bytes) {
            return Err(refuse(format!(
                "its directory claims {claimed} files, but has room for {found}"
            )));
        }
        let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| refuse(error.to_string()))?;
        let root = {
            let root_of = |name: std::borrow::Cow<'_, str>| name.strip_suffix("data.pkl").map(str::to_string);
            let mut roots = archive.file_names().flatten().filter_map(root_of);
            match (roots.next(), roots.next()) {
                (Some(root), None) if root.ends_with('/') => root,
                (None, _) => return Err(refuse("it holds no data.pkl".to_string())),
                _ => {
                    return Err(refuse(
                        "it holds more than one data.pkl, or one outside of a folder".to_string(),
                    ));
                }
            }
        };
        let order = format!("{root}byteorder");
        if archive.index_for_name(&order).is_some() {
            let order = read_entry(path, &mut archive, &order, 16)?;
            if order != b"little" {
                let order = String::from_utf8_lossy(&order).into_owned();
                return Err(refuse(format!("its byte order is `{order}`, expected `little`")));
            }
        }
        let pickle = read_entry(path, &mut archive, &format!("{root}data.pkl"), MAX_PICKLE)?;
        let tensors = pickle::read(&pickle).map_err(|(position, problem)| CoreError::Pickle {
            path: path.to_path_buf(),
            position,
            problem,
        })?;
        Ok(Self {
            path: path.to_path_buf(),
            archive,
            root,
            tensors,
        })
    }
}

/// Length of an entry in the archive's central directory, without its name.
const DIRECTORY_ENTRY: usize = 46;

/// The file count claimed by the end of an archive's directory and the number of entries present, if the claim is
/// larger. The zip library allocates some 300 bytes per claimed file before looking for it.
fn inflated_directory(bytes: &[u8]) -> Option<(u64, u64)> {
    let number = |at: usize, length: usize| {
        let digits = bytes.get(at..at + length)?.iter().rev();
        Some(digits.fold(0u64, |number, &digit| number << 8 | u64::from(digit)))
    };
    let (mut entries, mut next) = (0, 0);
    let mut largest = 0;
    for at in 0..bytes.len().saturating_sub(3) {
        // File count and offset of the directory, from the end record of a regular or zip64 archive. An offset beyond
        // the record itself means that these bytes are not a directory but tensor values.
        let (files, start) = match &bytes[at..at + 4] {
            b"PK\x01\x02" if at >= next => {
                entries += 1;
                next = at + DIRECTORY_ENTRY;
                continue;
            }
            b"PK\x05\x06" => (number(at + 10, 2), number(at + 16, 4)),
            b"PK\x06\x06" => (number(at + 32, 8), number(at + 48, 8)),
            _ => continue,
        };
        if start.is_some_and(|start| start <= at as u64) {
            largest = largest.max(files.unwrap_or(0));
        }
    }
    (largest > entries).then_some((largest, entries))
}

/// Reads a whole entry of at most `limit` bytes, verifying its checksum.
fn read_entry(
    path: &Path,
    archive: &mut ZipArchive<Cursor<Vec<u8>>>,
    name: &str,
    limit: usize,
) -> Result<Vec<u8>, CoreError> {
    let refuse = |problem: String| CoreError::Archive {
        path: path.to_path_buf(),
        problem,
    };
    let entry = archive
        .by_name(name)
        .map_err(|error| refuse(format!("{name}: {error}")))?;
    let mut bytes = Vec::new();
    let read = entry.take(limit as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| refuse(format!("{name}: {error}")))?;
    if bytes.len() > limit {
        return Err(refuse(format!("{name} is larger than {limit} bytes")));
    }
    Ok(bytes)
}

impl TensorSource for TorchFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn entries(&self) -> Vec<(String, Result<Element, String>, Vec<usize>)> {
        let element = |tensor: &PickledTensor| match tensor.storage.element {
            StorageType::Float(element) => Ok(element),
            StorageType::Other(name) => Err(name.to_string()),
        };
        let entry = |(name, tensor): &(String, PickledTensor)| (name.clone(), element(tensor), tensor.shape.clone());
        self.tensors.iter().map(entry).collect()
    }

    fn values(&mut self, index: usize) -> Result<Vec<f32>, CoreError> {
        let (name, tensor) = &self.tensors[index];
        let refuse = |problem: String| CoreError::Archive {
            path: self.path.clone(),
            problem,
        };
        let StorageType::Float(element) = tensor.storage.element else {
            unreachable!("only tensors of an accepted type are asked for");
        };
        let entry_name = format!("{}data/{}", self.root, tensor.storage.key);
        let entry = self
            .archive
            .index_for_name(&entry_name)
            .and_then(|place| self.archive.by_index_raw(place).ok())
            .map(|entry| (entry.compression(), entry.size()));
        let Some((compression, size)) = entry else {
            return Err(refuse(format!("tensor {name}: its values ({entry_name}) are missing")));
        };
        if compression != CompressionMethod::Stored {
            return Err(refuse(format!("{entry_name} is compressed, which PyTorch never does")));
        }
        let expected = tensor.storage.length.checked_mul(element.size() as u64);
        if expected != Some(size) {
            let expected = tensor.storage.length;
            return Err(refuse(format!(
                "{entry_name} holds {size} bytes, expected {expected} values of {} bytes",
                element.size()
            )));
        }
        if let Err(problem) = tensor.check_bounds(name) {
            return Err(CoreError::Pickle {
                path: self.path.clone(),
                position: tensor.position,
                problem,
            });
        }
        let limit = usize::try_from(size).map_err(|_| refuse(format!("{entry_name} does not fit in memory")))?;
        let bytes = read_entry(&self.path, &mut self.archive, &entry_name, limit)?;
        if bytes.len() != limit {
            return Err(refuse(format!(
                "{entry_name} ends after {} of {limit} bytes",
                bytes.len()
            )));
        }
        let storage = element.values(&bytes);
        Ok(tensor.gather(&storage))
    }
}

impl PickledTensor {
    /// Refuses tensors that reach beyond their storage or repeat its elements to a larger size.
    fn check_bounds(&self, name: &str) -> Result<(), PickleProblem> {
        let length = self.storage.length;
        let elements = self
            .shape
            .iter()
            .try_fold(1u64, |count, &size| count.checked_mul(size as u64));
        match elements {
            Some(0) => return Ok(()),
            Some(elements) if elements <= length => {}
            _ => {
                return Err(PickleProblem::OutOfBounds {
                    tensor: name.to_string(),
                    last: elements.map_or(u64::MAX, |elements| elements - 1),
                    length,
                });
            }
        }
        let reach = |(&size, &stride): (&usize, &u64)| stride.checked_mul(size as u64 - 1);
        let last = self
            .shape
            .iter()
            .zip(&self.strides)
            .try_fold(self.offset, |last, dimension| last.checked_add(reach(dimension)?))
            .unwrap_or(u64::MAX);
        if last >= length {
            return Err(PickleProblem::OutOfBounds {
                tensor: name.to_string(),
                last,
                length,
            });
        }
        Ok(())
    }

    /// The elements in row-major order; call after `check_bounds`.
    fn gather(&self, storage: &[f32]) -> Vec<f32> {
        if self.shape.contains(&0) {
            return vec![];
        }
        let mut places = vec![self.offset as usize];
        for (&size, &stride) in self.shape.iter().zip(&self.strides) {
            let row = |&start: &usize| (0..size).map(move |i| start + i * stride as usize);
            places = places.iter().flat_map(row).collect();
        }
        places.into_iter().map(|place| storage[place]).collect()
    }
}
