//! Virtual tokens from a file that holds nothing else: a tensor of PyTorch (`torch.save`: `.pt`, `.bin`), an array of
//! NumPy (`.npy`), or a safetensors file.
//!
//! Prompts are published in these forms beside PEFT's folders: ATTEMPT's and MPT's as tensors of PyTorch, those of
//! Google's prompt tuning as arrays. Readers execute nothing.

use std::path::Path;

use burn::tensor::TensorData;

use super::load::{OpenSafetensors, TensorSource, first_not_finite, plain_name};
use super::npy::{self, NpyFile};
use super::zip::TorchFile;
use crate::CoreError;

/// Name that PEFT gives to virtual tokens.
const PROMPT: &str = "prompt_embeddings";

/// Reads virtual tokens `[m, d]` as f32: the only tensor of a file, or the one that is called `prompt_embeddings`.
/// Leading dimensions of 1 are dropped.
///
/// # Errors
/// Errors name file and tensor, expected and found: a file of another form, several tensors without that name, a tensor
/// of another number of dimensions or of other numbers than floats, NaN and infinities.
pub fn read_rows(path: &Path) -> Result<TensorData, CoreError> {
    let bytes = adept_files::read(path)?;
    if bytes.starts_with(npy::MAGIC) {
        return rows_of(&mut NpyFile::open(path, bytes)?);
    }
    // A zip archive, or the pickle of PyTorch's older form, which is refused by name.
    if bytes.starts_with(b"PK") || bytes.first() == Some(&0x80) {
        return rows_of(&mut TorchFile::open(path, bytes)?);
    }
    rows_of(&mut OpenSafetensors::open(path, &bytes)?)
}

fn rows_of(source: &mut dyn TensorSource) -> Result<TensorData, CoreError> {
    let entries = source.entries();
    let path = source.path().to_path_buf();
    let named = entries.iter().position(|(name, ..)| plain_name(name) == PROMPT);
    let index = match (named, entries.len()) {
        (Some(index), _) => index,
        (None, 1) => 0,
        (None, _) => {
            let names: Vec<&str> = entries.iter().map(|(name, ..)| name.as_str()).collect();
            return Err(CoreError::NoRows {
                path,
                found: if names.is_empty() {
                    "none".to_owned()
                } else {
                    names.join(", ")
                },
            });
        }
    };
    let (name, element, shape) = &entries[index];
    let ones = shape.iter().take_while(|&&size| size == 1).count();
    let [m, d] = shape[ones.min(shape.len().saturating_sub(2))..] else {
        return Err(CoreError::RowsShape {
            path,
            tensor: name.clone(),
            found: shape.clone(),
        });
    };
    if let Err(found) = element {
        return Err(CoreError::DtypeMismatch {
            path,
            tensor: name.clone(),
            found: found.clone(),
        });
    }
    let values = source.values(index)?;
    if let Some((index, found)) = first_not_finite(&values, &[m, d]) {
        return Err(CoreError::NotFinite {
            path,
            tensor: name.clone(),
            index,
            found,
        });
    }
    Ok(TensorData::new(values, [m, d]))
}
