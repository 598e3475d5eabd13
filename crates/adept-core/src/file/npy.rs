//! NumPy's `.npy`: a header that describes one array, and its values.
//!
//! The header is a Python dictionary, of which only the form that NumPy itself writes is read; nothing is evaluated.
//! Memory is bounded by the size of the file: a shape that promises more values than there are is refused first.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

use super::load::{Element, TensorSource};
use crate::CoreError;

/// The first bytes of a file.
pub(super) const MAGIC: &[u8] = b"\x93NUMPY";
/// Name of its array in messages.
const ARRAY: &str = "the array";

/// `{'descr': '<f4', 'fortran_order': False, 'shape': (100, 768), }`, padded with spaces to a line.
static HEADER: LazyLock<Regex> = LazyLock::new(|| {
    let form = r"^\{'descr': '([^']*)', 'fortran_order': (True|False), 'shape': \(([0-9, ]*)\),? ?\} *\n?$";
    Regex::new(form).expect("the pattern is well formed")
});

/// Types of values.
#[derive(Debug, Clone, PartialEq)]
enum Type {
    Float(Element),
    F64,
    Other(String),
}

/// A file whose header has been read.
pub(super) struct NpyFile {
    path: PathBuf,
    bytes: Vec<u8>,
    /// Where the values begin.
    start: usize,
    element: Type,
    /// Whether the first index varies fastest.
    by_columns: bool,
    shape: Vec<usize>,
}

impl NpyFile {
    pub(super) fn open(path: &Path, bytes: Vec<u8>) -> Result<Self, CoreError> {
        let refuse = |problem: String| CoreError::Npy {
            path: path.to_path_buf(),
            problem,
        };
        let (header, start) = header(&bytes).map_err(refuse)?;
        let parts = HEADER.captures(header).ok_or_else(|| {
            let expected = "{'descr': '<f4', 'fortran_order': False, 'shape': (100, 768), }";
            refuse(format!(
                "expected a header such as {expected}, found {}",
                header.trim_end()
            ))
        })?;
        let element = match &parts[1] {
            "<f4" => Type::Float(Element::F32),
            "<f2" => Type::Float(Element::F16),
            "<f8" => Type::F64,
            other => Type::Other(other.to_owned()),
        };
        let sizes = parts[3].split(',').map(str::trim).filter(|size| !size.is_empty());
        let shape: Result<Vec<usize>, _> = sizes.map(str::parse).collect();
        let shape = shape.map_err(|cause| refuse(format!("shape ({}): {cause}", &parts[3])))?;
        Ok(Self {
            path: path.to_path_buf(),
            by_columns: &parts[2] == "True",
            bytes,
            start,
            element,
            shape,
        })
    }
}

/// The header's text and the length of everything before the values.
fn header(bytes: &[u8]) -> Result<(&str, usize), String> {
    let cut = || format!("the file ends within its header, after {} bytes", bytes.len());
    let &[major, _minor] = bytes
        .get(MAGIC.len()..)
        .and_then(<[u8]>::first_chunk::<2>)
        .ok_or_else(cut)?;
    let at = MAGIC.len() + 2;
    let (length, at) = match major {
        1 => {
            let length = bytes.get(at..).and_then(<[u8]>::first_chunk::<2>).ok_or_else(cut)?;
            (usize::from(u16::from_le_bytes(*length)), at + 2)
        }
        2 | 3 => {
            let length = bytes.get(at..).and_then(<[u8]>::first_chunk::<4>).ok_or_else(cut)?;
            (u32::from_le_bytes(*length) as usize, at + 4)
        }
        other => return Err(format!("expected version 1, 2 or 3 of the format, found {other}")),
    };
    let end = at
        .checked_add(length)
        .filter(|&end| end <= bytes.len())
        .ok_or_else(cut)?;
    let text = std::str::from_utf8(&bytes[at..end]).map_err(|cause| format!("header: {cause}"))?;
    Ok((text, end))
}

impl TensorSource for NpyFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn entries(&self) -> Vec<(String, Result<Element, String>, Vec<usize>)> {
        let element = match &self.element {
            Type::Float(element) => Ok(*element),
            // Narrowed when it is read.
            Type::F64 => Ok(Element::F32),
            Type::Other(name) => Err(name.clone()),
        };
        vec![(ARRAY.to_owned(), element, self.shape.clone())]
    }

    fn values(&mut self, _index: usize) -> Result<Vec<f32>, CoreError> {
        let size = match &self.element {
            Type::Float(element) => element.size(),
            Type::F64 => 8,
            Type::Other(_) => unreachable!("only arrays of an accepted type are asked for"),
        };
        let values = &self.bytes[self.start..];
        let expected = self.shape.iter().try_fold(size, |size, &count| size.checked_mul(count));
        if expected != Some(values.len()) {
            return Err(CoreError::Npy {
                path: self.path.clone(),
                problem: format!(
                    "shape {:?} of {size} bytes a value, found {} bytes of values",
                    self.shape,
                    values.len()
                ),
            });
        }
        let stored: Vec<f32> = match &self.element {
            Type::Float(element) => element.values(values),
            _ => {
                let (values, _) = values.as_chunks();
                values.iter().map(|&value| f64::from_le_bytes(value) as f32).collect()
            }
        };
        // Leading dimensions are 1: others are refused before values are asked for.
        match self.shape[..] {
            [.., rows, columns] if self.by_columns => {
                let place = |at: usize| (at % columns) * rows + at / columns;
                Ok((0..rows * columns).map(|at| stored[place(at)]).collect())
            }
            _ => Ok(stored),
        }
    }
}
