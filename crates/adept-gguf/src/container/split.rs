//! The files of a model: a single one, or parts named `NAME-00001-of-00003.gguf`.
//!
//! Tensor data is read with ordinary reads rather than through a memory map, so that resident memory stays flat and a
//! file that is truncated meanwhile is an error.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::header::{Header, TensorInfo};
use super::metadata::Metadata;
use crate::error::GgufError;

const COUNT: &str = "split.count";
const NUMBER: &str = "split.no";
const TENSORS: &str = "split.tensors.count";

/// A model's metadata, and the tensors of all its files.
#[derive(Debug)]
pub(crate) struct Gguf {
    parts: Vec<Part>,
    /// Index of a tensor's part, and its index among that part's tensors.
    tensors: BTreeMap<String, (usize, usize)>,
}

#[derive(Debug)]
struct Part {
    metadata: Metadata,
    tensors: Vec<TensorInfo>,
}

/// A tensor of an opened model.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tensor<'a> {
    /// The file that holds it.
    pub path: &'a Path,
    pub info: &'a TensorInfo,
}

impl Gguf {
    /// Opens a model, given any one of its files.
    pub fn open(path: &Path) -> Result<Self, GgufError> {
        let given = Part::open(path)?;
        let count = given.metadata.find_count(COUNT)?.unwrap_or(1);
        let parts = match count {
            0 | 1 => vec![given],
            _ => all_parts(&given, count)?,
        };
        let mut tensors = BTreeMap::new();
        for (number, part) in parts.iter().enumerate() {
            for (place, tensor) in part.tensors.iter().enumerate() {
                if tensors.insert(tensor.name.clone(), (number, place)).is_some() {
                    return Err(GgufError::DuplicateTensor {
                        path: part.metadata.path().to_owned(),
                        tensor: tensor.name.clone(),
                    });
                }
            }
        }
        if let Some(found) = parts[0].metadata.find_count(TENSORS)?
            && count > 1
            && found != tensors.len()
        {
            let expected = format!("{}, the number of tensors in all parts", tensors.len());
            return Err(parts[0].metadata.refuse(TENSORS, expected, found));
        }
        Ok(Self { parts, tensors })
    }

    /// Metadata of the first part; later ones only state their number.
    pub fn metadata(&self) -> &Metadata {
        &self.parts[0].metadata
    }

    pub fn tensor(&self, name: &str) -> Option<Tensor<'_>> {
        let (part, place) = self.tensors.get(name)?;
        let part = &self.parts[*part];
        Some(Tensor {
            path: part.metadata.path(),
            info: &part.tensors[*place],
        })
    }

    /// Names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Number of tensors of each type, by the type's name.
    pub fn types(&self) -> BTreeMap<String, usize> {
        let mut types = BTreeMap::new();
        for tensor in self.parts.iter().flat_map(|part| &part.tensors) {
            *types.entry(tensor.kind.to_string()).or_default() += 1;
        }
        types
    }
}

fn all_parts(given: &Part, count: usize) -> Result<Vec<Part>, GgufError> {
    let path = given.metadata.path();
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let Some(stem) = stem(name, count) else {
        let path = path.to_owned();
        return Err(GgufError::PartName { path, count });
    };
    let mut parts = Vec::new();
    for number in 0..count {
        let part = path.with_file_name(part_name(stem, number + 1, count));
        if !adept_files::is_named(&part) {
            let path = path.to_owned();
            return Err(GgufError::MissingPart { path, part, count });
        }
        let part = Part::open(&part)?;
        for (key, expected) in [(COUNT, count), (NUMBER, number)] {
            let found = part.metadata.count(key)?;
            if found != expected {
                return Err(part.metadata.refuse(key, format!("{expected} in this part"), found));
            }
        }
        parts.push(part);
    }
    Ok(parts)
}

fn part_name(stem: &str, number: usize, count: usize) -> String {
    format!("{stem}-{number:05}-of-{count:05}.gguf")
}

/// Common prefix of the parts' names.
fn stem(name: &str, count: usize) -> Option<&str> {
    let rest = name.strip_suffix(&format!("-of-{count:05}.gguf"))?;
    let (stem, number) = rest.rsplit_once('-')?;
    let number = number.parse::<usize>().ok()?;
    (part_name(stem, number, count) == name).then_some(stem)
}

impl Part {
    fn open(path: &Path) -> Result<Self, GgufError> {
        adept_files::check(path)?;
        let io = |source| GgufError::Io {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(io)?;
        let size = file.metadata().map_err(io)?.len();
        let header = Header::read(path, BufReader::with_capacity(1 << 16, file), size)?;
        Ok(Self {
            metadata: Metadata::new(path.to_owned(), header.metadata),
            tensors: header.tensors,
        })
    }
}

impl Tensor<'_> {
    /// Opens the file at the tensor's data.
    pub fn open(&self) -> Result<File, GgufError> {
        let open = || {
            let mut file = File::open(self.path)?;
            file.seek(SeekFrom::Start(self.info.offset))?;
            Ok(file)
        };
        open().map_err(|source| self.failed(source))
    }

    /// Reads the next bytes of an opened file.
    pub fn read(&self, file: &mut File, bytes: &mut [u8]) -> Result<(), GgufError> {
        file.read_exact(bytes).map_err(|source| self.failed(source))
    }

    /// Reads from an offset within the tensor's data.
    pub fn read_at(&self, file: &mut File, offset: u64, bytes: &mut [u8]) -> Result<(), GgufError> {
        file.seek(SeekFrom::Start(self.info.offset + offset))
            .and_then(|_| file.read_exact(bytes))
            .map_err(|source| self.failed(source))
    }

    fn failed(&self, source: std::io::Error) -> GgufError {
        GgufError::Io {
            path: self.path.to_owned(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_known_by_its_name() {
        assert_eq!(stem("big-00002-of-00003.gguf", 3), Some("big"));
        assert_eq!(stem("big-q4-00001-of-00002.gguf", 2), Some("big-q4"));
        for name in [
            "big.gguf",
            "big-00002-of-00004.gguf",
            "big-2-of-00003.gguf",
            "00002-of-00003.gguf",
        ] {
            assert_eq!(stem(name, 3), None, "{name}");
        }
    }
}
