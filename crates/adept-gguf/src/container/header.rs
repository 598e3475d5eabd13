//! Metadata and tensor descriptions of a GGUF file.
//!
//! ```text
//! "GGUF"  version u32  tensors u64  keys u64
//! each key: text, type u32, value
//! each tensor: name, dimensions u32, each dimension u64 (innermost first), type u32, offset u64
//! padding to the alignment, then the tensors' data, each at its offset
//! ```
//!
//! [GGUF's specification](https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), versions 2 and 3.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

use super::cursor::{Cursor, Section};
use super::value::{List, Value, same_decimal};
use crate::error::GgufError;
use crate::kind::TensorType;

const MAGIC: [u8; 4] = *b"GGUF";
const VERSIONS: [u32; 2] = [2, 3];
const ALIGNMENT: &str = "general.alignment";
/// Largest number of dimensions.
const DIMENSIONS: u32 = 4;

/// Everything in a file except the tensors' values.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// Metadata by key.
    pub metadata: BTreeMap<String, Value>,
    /// The tensors, in the file's order.
    pub tensors: Vec<TensorInfo>,
}

/// A tensor's description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Its name in the file.
    pub name: String,
    /// Its dimensions in Hugging Face's order, the innermost last.
    pub shape: Vec<u64>,
    /// How its values are stored.
    pub kind: TensorType,
    /// Offset of its data from the beginning of the file.
    pub offset: u64,
    /// Length of its data.
    pub bytes: u64,
}

impl TensorInfo {
    /// Values in a row, its innermost dimension.
    pub(crate) fn columns(&self) -> u64 {
        self.shape.last().copied().unwrap_or(1)
    }
}

impl Header {
    /// Parses the beginning of a file of `size` bytes; `path` is only used in errors.
    ///
    /// # Errors
    /// Any violation of the format: wrong magic number or version, truncated files, counts that the file cannot hold,
    /// duplicate names, texts that are not UTF-8, unsupported types, tensors that overlap or extend past the end.
    pub fn read(path: &Path, source: impl Read, size: u64) -> Result<Self, GgufError> {
        let mut cursor = Cursor::new(path, source, size);
        let found: [u8; 4] = cursor.bytes(Section::Header)?;
        if found != MAGIC {
            return Err(GgufError::Magic {
                path: path.to_owned(),
                found,
            });
        }
        let version = cursor.u32(Section::Header)?;
        if !VERSIONS.contains(&version) {
            return Err(match VERSIONS.contains(&version.swap_bytes()) {
                true => GgufError::BigEndian { path: path.to_owned() },
                false => GgufError::Version {
                    path: path.to_owned(),
                    found: version,
                },
            });
        }
        // The shortest key has no name and a value of one byte.
        let tensors = cursor.u64(Section::Header)?;
        let keys = cursor.count(Section::Header, "metadata keys", 8 + 4 + 1)?;
        let metadata = metadata(&mut cursor, keys)?;
        let alignment = alignment(path, &metadata)?;
        let tensors = descriptions(&mut cursor, tensors, size)?;
        Ok(Self {
            tensors: placed(
                path,
                tensors,
                cursor.position().next_multiple_of(alignment),
                alignment,
                size,
            )?,
            metadata,
        })
    }
}

fn metadata<R: Read>(cursor: &mut Cursor<'_, R>, keys: usize) -> Result<BTreeMap<String, Value>, GgufError> {
    let mut metadata = BTreeMap::new();
    for number in 0..keys as u64 {
        let key = cursor.text(Section::Key(number))?;
        let kind = cursor.u32(Section::Value(&key))?;
        let value = value(cursor, &key, kind)?;
        if metadata.contains_key(&key) {
            return Err(GgufError::DuplicateKey {
                path: cursor.path.to_owned(),
                key,
            });
        }
        metadata.insert(key, value);
    }
    Ok(metadata)
}

/// Type id of lists.
const LIST: u32 = 9;

fn value<R: Read>(cursor: &mut Cursor<'_, R>, key: &str, kind: u32) -> Result<Value, GgufError> {
    let section = Section::Value(key);
    Ok(match kind {
        0 => Value::Unsigned(u8::from_le_bytes(cursor.bytes(section)?).into()),
        1 => Value::Signed(i8::from_le_bytes(cursor.bytes(section)?).into()),
        2 => Value::Unsigned(u16::from_le_bytes(cursor.bytes(section)?).into()),
        3 => Value::Signed(i16::from_le_bytes(cursor.bytes(section)?).into()),
        4 => Value::Unsigned(cursor.u32(section)?.into()),
        5 => Value::Signed(i32::from_le_bytes(cursor.bytes(section)?).into()),
        6 => Value::Float(same_decimal(f32::from_le_bytes(cursor.bytes(section)?))),
        7 => Value::Flag(flag(cursor, key)?),
        8 => Value::Text(cursor.text(section)?),
        LIST => Value::List(list(cursor, key)?),
        10 => Value::Unsigned(cursor.u64(section)?),
        11 => Value::Signed(i64::from_le_bytes(cursor.bytes(section)?)),
        12 => Value::Float(f64::from_le_bytes(cursor.bytes(section)?)),
        found => return Err(unknown(cursor.path, key, found)),
    })
}

fn list<R: Read>(cursor: &mut Cursor<'_, R>, key: &str) -> Result<List, GgufError> {
    let section = Section::Value(key);
    let kind = cursor.u32(section)?;
    let least = match kind {
        0 | 1 | 7 => 1,
        2 | 3 => 2,
        4..=6 => 4,
        8 | 10..=12 => 8,
        LIST => {
            return Err(GgufError::NestedList {
                path: cursor.path.to_owned(),
                key: key.to_owned(),
            });
        }
        found => return Err(unknown(cursor.path, key, found)),
    };
    let length = cursor.count(section, "elements", least)?;
    Ok(match kind {
        0 => List::Unsigned(each(length, || Ok(u8::from_le_bytes(cursor.bytes(section)?).into()))?),
        2 => List::Unsigned(each(length, || Ok(u16::from_le_bytes(cursor.bytes(section)?).into()))?),
        4 => List::Unsigned(each(length, || Ok(cursor.u32(section)?.into()))?),
        10 => List::Unsigned(each(length, || cursor.u64(section))?),
        1 => List::Signed(each(length, || Ok(i8::from_le_bytes(cursor.bytes(section)?).into()))?),
        3 => List::Signed(each(length, || Ok(i16::from_le_bytes(cursor.bytes(section)?).into()))?),
        5 => List::Signed(each(length, || Ok(i32::from_le_bytes(cursor.bytes(section)?).into()))?),
        11 => List::Signed(each(length, || Ok(i64::from_le_bytes(cursor.bytes(section)?)))?),
        6 => List::Float(each(length, || Ok(f32::from_le_bytes(cursor.bytes(section)?).into()))?),
        12 => List::Float(each(length, || Ok(f64::from_le_bytes(cursor.bytes(section)?)))?),
        7 => List::Flag(each(length, || flag(cursor, key))?),
        _ => List::Text(each(length, || cursor.text(section))?),
    })
}

fn each<T>(length: usize, read: impl FnMut() -> Result<T, GgufError>) -> Result<Vec<T>, GgufError> {
    std::iter::repeat_with(read).take(length).collect()
}

fn flag<R: Read>(cursor: &mut Cursor<'_, R>, key: &str) -> Result<bool, GgufError> {
    match cursor.bytes(Section::Value(key))? {
        [0] => Ok(false),
        [1] => Ok(true),
        [found] => Err(GgufError::Value {
            path: cursor.path.to_owned(),
            key: key.to_owned(),
            expected: "0 or 1, as a Boolean".to_owned(),
            found: found.to_string(),
        }),
    }
}

fn unknown(path: &Path, key: &str, found: u32) -> GgufError {
    GgufError::ValueType {
        path: path.to_owned(),
        key: key.to_owned(),
        found,
    }
}

fn alignment(path: &Path, metadata: &BTreeMap<String, Value>) -> Result<u64, GgufError> {
    match metadata.get(ALIGNMENT) {
        None => Ok(32),
        Some(Value::Unsigned(found)) if found.is_power_of_two() && *found <= 1 << 16 => Ok(*found),
        Some(found) => Err(GgufError::Value {
            path: path.to_owned(),
            key: ALIGNMENT.to_owned(),
            expected: "a power of two up to 65536".to_owned(),
            found: found.describe(),
        }),
    }
}

/// Tensor descriptions, with offsets relative to the data section.
fn descriptions<R: Read>(cursor: &mut Cursor<'_, R>, count: u64, size: u64) -> Result<Vec<TensorInfo>, GgufError> {
    let most = (size - cursor.position()) / (8 + 4 + 8 + 4 + 8);
    if count > most {
        return Err(GgufError::Count {
            path: cursor.path.to_owned(),
            section: Section::Header.to_string(),
            of: "tensors",
            found: count,
            most,
        });
    }
    let mut names = BTreeSet::new();
    let mut tensors = Vec::new();
    for number in 0..count {
        let tensor = description(cursor, number)?;
        if !names.insert(tensor.name.clone()) {
            return Err(GgufError::DuplicateTensor {
                path: cursor.path.to_owned(),
                tensor: tensor.name,
            });
        }
        tensors.push(tensor);
    }
    Ok(tensors)
}

fn description<R: Read>(cursor: &mut Cursor<'_, R>, number: u64) -> Result<TensorInfo, GgufError> {
    let section = Section::Tensor(number);
    let path = cursor.path;
    let name = cursor.text(section)?;
    let dimensions = cursor.u32(section)?;
    if !(1..=DIMENSIONS).contains(&dimensions) {
        return Err(GgufError::Dimensions {
            path: path.to_owned(),
            tensor: name,
            found: dimensions,
        });
    }
    let mut shape = each(dimensions as usize, || cursor.u64(section))?;
    shape.reverse();
    let number = cursor.u32(section)?;
    let kind = TensorType::numbered(number).map_err(|found| GgufError::Type {
        path: path.to_owned(),
        tensor: name.clone(),
        found,
        known: TensorType::names(),
    })?;
    let offset = cursor.u64(section)?;
    let values = shape
        .iter()
        .try_fold(1u64, |product, size| product.checked_mul(*size))
        .filter(|values| (1..=i64::MAX as u64).contains(values));
    let mut tensor = TensorInfo {
        name,
        shape,
        kind,
        offset,
        bytes: 0,
    };
    let block = kind.block() as u64;
    match values {
        Some(values) if tensor.columns().is_multiple_of(block) => {
            let bytes = (values / block).checked_mul(kind.block_bytes() as u64);
            tensor.bytes = bytes.unwrap_or(u64::MAX);
            Ok(tensor)
        }
        Some(_) => Err(GgufError::Row {
            path: path.to_owned(),
            found: tensor.columns(),
            tensor: tensor.name,
            kind,
        }),
        None => Err(GgufError::Values {
            path: path.to_owned(),
            tensor: tensor.name,
            found: tensor.shape,
        }),
    }
}

/// Makes offsets absolute, and checks that tensors lie within the file and do not overlap.
fn placed(
    path: &Path,
    mut tensors: Vec<TensorInfo>,
    start: u64,
    alignment: u64,
    size: u64,
) -> Result<Vec<TensorInfo>, GgufError> {
    for tensor in &mut tensors {
        if !tensor.offset.is_multiple_of(alignment) {
            return Err(GgufError::Offset {
                path: path.to_owned(),
                tensor: tensor.name.clone(),
                found: tensor.offset,
                alignment,
            });
        }
        let begin = start.checked_add(tensor.offset);
        let end = begin.and_then(|begin| begin.checked_add(tensor.bytes));
        match (begin, end) {
            (Some(begin), Some(end)) if end <= size => tensor.offset = begin,
            (_, end) => {
                return Err(GgufError::Outside {
                    path: path.to_owned(),
                    tensor: tensor.name.clone(),
                    end: end.unwrap_or(u64::MAX),
                    size,
                });
            }
        }
    }
    let mut order: Vec<&TensorInfo> = tensors.iter().collect();
    order.sort_by_key(|tensor| tensor.offset);
    for pair in order.windows(2) {
        if pair[0].offset + pair[0].bytes > pair[1].offset {
            return Err(GgufError::Overlap {
                path: path.to_owned(),
                tensor: pair[1].name.clone(),
                other: pair[0].name.clone(),
                offset: pair[1].offset,
                end: pair[0].offset + pair[0].bytes,
            });
        }
    }
    Ok(tensors)
}
