//! Access to an architecture's metadata and small tensors.

use crate::container::{Gguf, Tensor, same_decimal};
use crate::dequantize::dequantize;
use crate::error::GgufError;

/// Name of the embedding.
pub(super) const EMBEDDING: &str = "token_embd.weight";
/// Name of the output head.
pub(super) const HEAD: &str = "output.weight";

/// A model's metadata under its architecture's prefix.
pub(crate) struct Source<'a> {
    gguf: &'a Gguf,
    /// llama.cpp's name of the architecture.
    pub architecture: &'static str,
}

impl<'a> Source<'a> {
    pub fn new(gguf: &'a Gguf, architecture: &'static str) -> Self {
        Self { gguf, architecture }
    }

    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.architecture)
    }

    pub fn count(&self, name: &str) -> Result<usize, GgufError> {
        self.gguf.metadata().count(&self.key(name))
    }

    pub fn find_count(&self, name: &str) -> Result<Option<usize>, GgufError> {
        self.gguf.metadata().find_count(&self.key(name))
    }

    pub fn number(&self, name: &str) -> Result<f64, GgufError> {
        self.gguf.metadata().number(&self.key(name))
    }

    pub fn find_number(&self, name: &str) -> Result<Option<f64>, GgufError> {
        self.gguf.metadata().find_number(&self.key(name))
    }

    pub fn find_flag(&self, name: &str) -> Result<Option<bool>, GgufError> {
        self.gguf.metadata().find_flag(&self.key(name))
    }

    pub fn find_text(&self, name: &str) -> Result<Option<&str>, GgufError> {
        self.gguf.metadata().find_text(&self.key(name))
    }

    pub fn value(&self, name: &str) -> Option<&crate::Value> {
        self.gguf.metadata().get(&self.key(name))
    }

    pub fn refuse(&self, name: &str, expected: impl Into<String>, found: impl ToString) -> GgufError {
        self.gguf.metadata().refuse(&self.key(name), expected, found)
    }

    pub fn has(&self, tensor: &str) -> bool {
        self.gguf.tensor(tensor).is_some()
    }

    /// Number of tensors: an upper bound for the number of blocks.
    pub fn tensors(&self) -> usize {
        self.gguf.names().count()
    }

    /// Rows of the embedding.
    pub fn vocabulary(&self) -> Result<usize, GgufError> {
        let missing = || GgufError::MissingTensor {
            path: self.gguf.metadata().path().to_owned(),
            tensor: EMBEDDING.to_owned(),
            expected: Vec::new(),
        };
        let embedding = self.gguf.tensor(EMBEDDING).ok_or_else(missing)?;
        let rows = embedding.info.shape.first().copied().unwrap_or_default();
        usize::try_from(rows).map_err(|_| missing())
    }

    /// Values of a small tensor, such as rotary factors.
    pub fn floats(&self, tensor: &str) -> Result<Option<Vec<f64>>, GgufError> {
        /// In bytes; more than any head has channels.
        const MOST: u64 = 1 << 16;
        let Some(found) = self.gguf.tensor(tensor) else {
            return Ok(None);
        };
        if found.info.bytes > MOST {
            return Err(GgufError::Shape {
                path: found.path.to_owned(),
                tensor: tensor.to_owned(),
                expected: vec![MOST / 4],
                found: found.info.shape.clone(),
            });
        }
        let mut bytes = vec![0; found.info.bytes as usize];
        found.read(&mut found.open()?, &mut bytes)?;
        let mut values = vec![0.0; bytes.len() / found.info.kind.block_bytes() * found.info.kind.block()];
        dequantize(found.info.kind, &bytes, &mut values);
        Ok(Some(values.into_iter().map(same_decimal).collect()))
    }

    /// The error for unusable rotary factors.
    pub fn refuse_factors(&self, tensor: &str, reason: &'static str) -> GgufError {
        GgufError::Factors {
            path: self.gguf.metadata().path().to_owned(),
            tensor: tensor.to_owned(),
            reason,
        }
    }

    /// Whether the output head is the embedding: it is absent, or a copy, as some converters write it.
    pub fn is_tied(&self) -> Result<bool, GgufError> {
        match (self.gguf.tensor(EMBEDDING), self.gguf.tensor(HEAD)) {
            (Some(embedding), Some(head)) => same(embedding, head),
            _ => Ok(true),
        }
    }

    /// Whether this tensor is an output head that copies the embedding, and is therefore not read.
    pub fn is_copied_head(&self, name: &str) -> bool {
        name == HEAD && self.is_tied().unwrap_or_default()
    }
}

/// Whether two tensors have the same type, shape and bytes.
fn same(one: Tensor<'_>, other: Tensor<'_>) -> Result<bool, GgufError> {
    const CHUNK: usize = 1 << 16;
    if (&one.info.shape, one.info.kind) != (&other.info.shape, other.info.kind) {
        return Ok(false);
    }
    let (mut files, mut left) = ((one.open()?, other.open()?), one.info.bytes);
    let mut buffers = (vec![0; CHUNK], vec![0; CHUNK]);
    while left > 0 {
        let size = left.min(CHUNK as u64) as usize;
        one.read(&mut files.0, &mut buffers.0[..size])?;
        other.read(&mut files.1, &mut buffers.1[..size])?;
        if buffers.0[..size] != buffers.1[..size] {
            return Ok(false);
        }
        left -= size as u64;
    }
    Ok(true)
}
