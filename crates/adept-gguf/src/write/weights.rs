//! Writes `model.safetensors`, or shards with an index, as a stream: no tensor is ever in memory as a whole.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use half::{bf16, f16};
use serde_json::{Map, Value, json};

use super::values::values;
use crate::Progress;
use crate::architecture::Wanted;
use crate::container::Gguf;
use crate::error::GgufError;

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// Element type of the written weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Element {
    /// 32-bit floats: the exact dequantised values.
    F32,
    /// bfloat16, rounded to nearest even.
    #[default]
    BF16,
    /// IEEE half precision, rounded to nearest even.
    F16,
}

impl Element {
    fn bytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::BF16 | Self::F16 => 2,
        }
    }

    /// Its name in safetensors files.
    fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::BF16 => "BF16",
            Self::F16 => "F16",
        }
    }

    /// Its name in `config.json`.
    pub(crate) fn torch(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::BF16 => "bfloat16",
            Self::F16 => "float16",
        }
    }
}

/// Summary of the written files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Summary {
    pub parameters: u64,
    pub bytes: u64,
    pub files: usize,
}

/// A tensor and its size in bytes when written.
type Sized<'a> = (&'a Wanted, u64);

/// Writes the weights into a folder. Shards hold at most `most` bytes of data, or a single tensor.
pub(crate) fn weights(
    gguf: &Gguf,
    wanted: &[Wanted],
    element: Element,
    most: u64,
    dir: &Path,
    progress: &dyn Progress,
) -> Result<Summary, GgufError> {
    let mut shards: Vec<Vec<Sized<'_>>> = Vec::new();
    let (mut shard, mut filled, mut total) = (Vec::new(), 0, 0);
    for tensor in wanted {
        let bytes = tensor.shape.iter().product::<u64>() * element.bytes();
        if filled > 0 && filled + bytes > most {
            shards.push(std::mem::take(&mut shard));
            filled = 0;
        }
        shard.push((tensor, bytes));
        filled += bytes;
        total += bytes;
    }
    shards.push(shard);
    progress.begin(total);
    let count = shards.len();
    let mut index = Map::new();
    for (number, shard) in shards.iter().enumerate() {
        let name = match count {
            1 => SINGLE.to_owned(),
            _ => format!("model-{:05}-of-{count:05}.safetensors", number + 1),
        };
        index.extend(shard.iter().map(|(tensor, _)| (tensor.to.clone(), json!(name))));
        write(gguf, shard, element, &dir.join(name), progress)?;
    }
    if count > 1 {
        let text = json!({ "metadata": { "total_size": total }, "weight_map": index });
        super::folder::write_json(&dir.join(INDEX), &text)?;
    }
    Ok(Summary {
        parameters: total / element.bytes(),
        bytes: total,
        files: count,
    })
}

fn write(
    gguf: &Gguf,
    tensors: &[Sized<'_>],
    element: Element,
    path: &Path,
    progress: &dyn Progress,
) -> Result<(), GgufError> {
    let failed = |source| GgufError::Write {
        path: path.to_owned(),
        source,
    };
    let mut file = BufWriter::with_capacity(1 << 18, File::create(path).map_err(failed)?);
    file.write_all(&header(tensors, element)).map_err(failed)?;
    let mut bytes = Vec::new();
    for (wanted, _) in tensors {
        let tensor = gguf.tensor(&wanted.from).ok_or_else(|| GgufError::MissingTensor {
            path: gguf.metadata().path().to_owned(),
            tensor: wanted.from.clone(),
            expected: wanted.stored_shape(),
        })?;
        let mut written = 0;
        values(tensor, wanted, |values| {
            if !progress.proceed() {
                return Err(GgufError::Stopped);
            }
            bytes.clear();
            encode(values, element, &mut bytes).map_err(|at| GgufError::NotFinite {
                path: tensor.path.to_owned(),
                tensor: wanted.from.clone(),
                index: written + at as u64,
                found: values[at],
                kind: element.name(),
            })?;
            written += values.len() as u64;
            progress.written(bytes.len() as u64);
            file.write_all(&bytes).map_err(failed)
        })?;
    }
    let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)
}

/// The safetensors header with its length: type, shape and location of each tensor.
fn header(tensors: &[Sized<'_>], element: Element) -> Vec<u8> {
    let mut header = Map::new();
    header.insert("__metadata__".to_owned(), json!({ "format": "pt" }));
    let mut begin = 0;
    for (tensor, bytes) in tensors {
        let end = begin + bytes;
        let entry = json!({ "dtype": element.name(), "shape": tensor.shape, "data_offsets": [begin, end] });
        header.insert(tensor.to.clone(), entry);
        begin = end;
    }
    let mut text = Value::Object(header).to_string().into_bytes();
    // safetensors aligns the data to 8 bytes.
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut text);
    bytes
}

/// Appends values, converted to the written type.
///
/// # Errors
/// The index of the first value that is not finite after conversion.
fn encode(values: &[f32], element: Element, bytes: &mut Vec<u8>) -> Result<(), usize> {
    let is_off = |value: &f32| match element {
        Element::F32 => !value.is_finite(),
        Element::BF16 => !bf16::from_f32(*value).is_finite(),
        Element::F16 => !f16::from_f32(*value).is_finite(),
    };
    match element {
        Element::F32 => bytes.extend(values.iter().flat_map(|value| value.to_le_bytes())),
        Element::BF16 => bytes.extend(values.iter().flat_map(|value| bf16::from_f32(*value).to_le_bytes())),
        Element::F16 => bytes.extend(values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes())),
    }
    values.iter().position(is_off).map_or(Ok(()), Err)
}
