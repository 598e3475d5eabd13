//! Mapping of tensors, and the changes by llama.cpp's converter that have to be undone.

use crate::container::Gguf;
use crate::error::GgufError;

/// A tensor to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Its name in the GGUF file.
    pub from: String,
    /// Its name in Hugging Face's checkpoint.
    pub to: String,
    /// Its shape there.
    pub shape: Vec<u64>,
    /// How its values are restored.
    pub change: Change,
}

/// What llama.cpp's converter did to a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing.
    None,
    /// Added 1 (Gemma's norms); it is subtracted.
    MinusOne,
    /// Reordered its rows.
    Rows(RowOrder),
    /// Transposed it (GPT-2's linear maps).
    Transpose,
}

/// Row orders of projections in GGUF files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowOrder {
    /// Llama's queries and keys: llama.cpp rotates adjacent channels of a head, transformers channels that are half a
    /// head apart. Channel `p × head_dim / 2 + i` is stored in row `2 i + p`.
    Neighbours {
        /// Channels of a head.
        head_dim: usize,
    },
    /// GPT-NeoX's fused projection: the queries of all heads, then the keys, then the values, instead of head by head.
    ByPart {
        /// Heads.
        heads: usize,
        /// Channels of a head.
        head_dim: usize,
    },
}

impl RowOrder {
    /// The GGUF tensor's row that becomes row `row` of the checkpoint's.
    pub fn source(self, row: usize) -> usize {
        match self {
            Self::Neighbours { head_dim } => {
                let (head, channel, half) = (row / head_dim, row % head_dim, head_dim / 2);
                head * head_dim + 2 * (channel % half) + channel / half
            }
            Self::ByPart { heads, head_dim } => {
                let (head, part, channel) = (row / (3 * head_dim), row / head_dim % 3, row % head_dim);
                (part * heads + head) * head_dim + channel
            }
        }
    }
}

impl Wanted {
    /// Its shape in the GGUF file.
    pub fn stored_shape(&self) -> Vec<u64> {
        let mut shape = self.shape.clone();
        if self.change == Change::Transpose {
            shape.reverse();
        }
        shape
    }

    /// Checks that the tensor exists and has the expected shape.
    pub fn check(&self, gguf: &Gguf) -> Result<(), GgufError> {
        let expected = self.stored_shape();
        match gguf.tensor(&self.from) {
            None => Err(GgufError::MissingTensor {
                path: gguf.metadata().path().to_owned(),
                tensor: self.from.clone(),
                expected,
            }),
            Some(found) if found.info.shape != expected => Err(GgufError::Shape {
                path: found.path.to_owned(),
                tensor: self.from.clone(),
                expected,
                found: found.info.shape.clone(),
            }),
            Some(_) => Ok(()),
        }
    }
}

/// Collects the tensors of a model.
#[derive(Default)]
pub(super) struct Tensors {
    wanted: Vec<Wanted>,
    /// Prefixes of names, in GGUF and in Hugging Face's checkpoint.
    from: String,
    to: String,
}

impl Tensors {
    /// The following names are those of a block, under `blocks` in Hugging Face's checkpoint.
    pub fn block(&mut self, number: usize, blocks: &str) {
        self.from = format!("blk.{number}.");
        self.to = format!("{blocks}.{number}.");
    }

    /// The following names have no prefix.
    pub fn model(&mut self) {
        self.from.clear();
        self.to.clear();
    }

    pub fn add(&mut self, from: &str, to: &str, shape: &[usize], change: Change) {
        self.wanted.push(Wanted {
            from: format!("{}{from}", self.from),
            to: format!("{}{to}", self.to),
            shape: shape.iter().map(|size| *size as u64).collect(),
            change,
        });
    }

    /// The weight of a linear map, and its bias.
    pub fn map(&mut self, from: &str, to: &str, [outputs, inputs]: [usize; 2], has_bias: bool, change: Change) {
        let shape = match change {
            Change::Transpose => [inputs, outputs],
            _ => [outputs, inputs],
        };
        self.add(&format!("{from}.weight"), &format!("{to}.weight"), &shape, change);
        if has_bias {
            let change = match change {
                Change::Transpose => Change::None,
                other => other,
            };
            self.add(&format!("{from}.bias"), &format!("{to}.bias"), &[outputs], change);
        }
    }

    /// The weight and bias of a layer norm.
    pub fn layer_norm(&mut self, from: &str, to: &str, width: usize) {
        for part in ["weight", "bias"] {
            self.add(
                &format!("{from}.{part}"),
                &format!("{to}.{part}"),
                &[width],
                Change::None,
            );
        }
    }

    pub fn finish(self) -> Vec<Wanted> {
        self.wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_a_permutation_and_halves_become_neighbours() {
        let order = RowOrder::Neighbours { head_dim: 6 };
        let rows: Vec<usize> = (0..12).map(|row| order.source(row)).collect();
        assert_eq!(rows, [0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]);
        let order = RowOrder::ByPart { heads: 2, head_dim: 2 };
        let rows: Vec<usize> = (0..12).map(|row| order.source(row)).collect();
        assert_eq!(rows, [0, 1, 4, 5, 8, 9, 2, 3, 6, 7, 10, 11]);
    }
}
