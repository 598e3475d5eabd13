//! The folded vocabulary table (mentioned in the paper's section on limitations, not implemented there).
//!
//! ADePT's offset depends only on the token's embedding, so it can be computed once for every row of the vocabulary:
//! `E'[v] = E[v] + f(E[v])`. Inference then looks tokens up in E' at no extra cost.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::{Adapter, Intervention, Method, Offset};

/// Rows that are folded at once: a bottleneck and an offset of this many rows are small beside the table.
const CHUNK: usize = 4096;

/// Why a vocabulary could not be folded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// DePT's offset of a token depends on its position, so no single row holds it.
    #[error("DePT's offsets depend on the position of a token: they cannot be folded into a vocabulary table")]
    Positional,
    /// The method acts inside the model, which an embedding table cannot express.
    #[error("{method} acts inside the model: it cannot be folded into a vocabulary table")]
    Inside {
        /// The method.
        method: Method,
    },
    /// The table's width differs from the adapter's.
    #[error("the vocabulary table is {found} wide, the adapter {expected}")]
    Width {
        /// Width of the adapter.
        expected: usize,
        /// Width of the table.
        found: usize,
    },
}

/// A prompt method for inference whose offsets stand in a vocabulary table: tokens are looked up, nothing is computed.
///
/// It needs the memory of another embedding matrix.
#[derive(Debug, Clone)]
pub struct FoldedPrompt<B: Backend> {
    prompt: Option<Tensor<B, 2>>,
    vocabulary: Tensor<B, 2>,
}

impl<B: Backend> FoldedPrompt<B> {
    /// Folds the offsets of `adapter` into a copy of a model's embedding matrix.
    ///
    /// # Errors
    /// See [`fold`].
    pub fn new(adapter: &Adapter<B>, embedding: Tensor<B, 2>) -> Result<Self, FoldError> {
        Ok(Self {
            vocabulary: fold(adapter, embedding, CHUNK)?,
            prompt: adapter.prompt(),
        })
    }
}

impl<B: Backend> Intervention<B> for FoldedPrompt<B> {
    fn prompt(&self) -> Option<Tensor<B, 2>> {
        self.prompt.clone()
    }

    fn vocabulary(&self) -> Option<Tensor<B, 2>> {
        Some(self.vocabulary.clone())
    }
}

/// `E'[v] = E[v] + f(E[v])` for every row of `embedding` (`[vocabulary, d]`), computed `chunk` rows at a time to bound
/// the memory for intermediate results (0 counts as 1).
///
/// The given matrix is not modified: backbones may tie it to their output head, so the result must only be used to look
/// up inputs. An adapter without an offset (PT) returns the values unchanged. Fold with the inner adapter
/// (`AutodiffModule::valid`): on an autodiff backend the whole table would become part of the graph.
///
/// # Errors
/// Fails for DePT, for methods that act inside the model, and for a table of another width.
pub fn fold<B: Backend>(
    adapter: &Adapter<B>,
    embedding: Tensor<B, 2>,
    chunk: usize,
) -> Result<Tensor<B, 2>, FoldError> {
    let [vocabulary, d] = embedding.dims();
    let Some(prompt) = adapter.as_prompt() else {
        return Err(FoldError::Inside {
            method: adapter.method(),
        });
    };
    let offset = match &prompt.offset {
        None => return Ok(embedding),
        Some(Offset::Positional(_)) => return Err(FoldError::Positional),
        Some(Offset::Adaptive(offset)) => offset,
    };
    let expected = offset.w_down.dims()[0];
    if expected != d {
        return Err(FoldError::Width { expected, found: d });
    }
    let rows: Vec<_> = (0..vocabulary)
        .step_by(chunk.max(1))
        .map(|first| {
            let last = vocabulary.min(first.saturating_add(chunk.max(1)));
            let rows = embedding.clone().slice([first..last, 0..d]);
            rows.clone() + offset.forward(rows)
        })
        .collect();
    if rows.is_empty() {
        return Ok(embedding);
    }
    Ok(Tensor::cat(rows, 0))
}
