//! What PT, DePT and ADePT do to the first self-attention of the encoder (paper, section 3.4 and appendix A).
//!
//! The same sources go through the layer three times: as the bare backbone has them, with the method's offsets alone,
//! and with its prompt as well. Patterns are compared over the content tokens (the source's, `</s>` included): the
//! softmax is restricted to their columns, which is what the paper calls relative attention patterns.
//!
//! Where the paper writes `e W`, T5 has `norm(e) W`, and a bias of the distance is added to each score. Distances
//! between content tokens are the same with a prompt in front, so that the paper's equations hold unchanged.
//!
//! | file | what |
//! |---|---|
//! | `patterns` | softmax, distances and sums over rows, in f64 |
//! | `groups` | how much of a change is explained by positions and by tokens |

mod groups;
mod patterns;

use adept_core::{Adapter, Intervention as _};
use adept_data::Encoded;
use adept_models::auto::{AnyBackbone, Pretrained, Visitor};
use adept_models::causal::CausalCache;
use adept_models::{CausalBackbone, FirstAttention, Seq2SeqBackbone};
use adept_train::TrainError;
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use patterns::{Host, RowPatterns, Sums};

/// Tokens of the source shown as an example, at most.
const EXAMPLE_TOKENS: usize = 24;

/// What a method does to the first self-attention, over some sources.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attention {
    /// Sources measured.
    pub rows: usize,
    /// Content tokens in all of them.
    pub tokens: u64,
    /// Virtual tokens in front of each.
    pub virtual_tokens: usize,
    /// Total variation distance between the pattern restricted to content tokens and the bare backbone's, 0 to 1.
    pub distance: ByHead,
    /// Attention that content tokens give to the prompt, 0 to 1: the sum of the paper's `A_ik` over k.
    pub prompt_mass: ByHead,
    /// Largest difference of an entry of the restricted pattern from the bare backbone's.
    pub largest_difference: f64,
    /// Changes of the scores between content tokens.
    pub scores: ScoreChange,
    /// The decomposition of the output (equations 6 to 8) checked.
    pub decomposition: Decomposition,
    /// One source in full.
    pub example: Example,
}

/// A figure for every query of a content token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ByHead {
    /// Mean over queries and heads.
    pub mean: f64,
    /// Largest value of a query in a head.
    pub largest: f64,
    /// Mean over queries, by head.
    pub heads: Vec<f64>,
}

/// Changes of the scores (before the softmax) of content tokens for content tokens.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ScoreChange {
    /// Mean absolute change.
    pub mean: f64,
    /// Largest absolute change.
    pub largest: f64,
    /// Largest absolute score of the bare backbone: the scale of rounding.
    pub largest_score: f64,
    /// What positions explain of the changes; `None` if there is no change beyond rounding.
    pub by_position: Option<Explained>,
    /// What the two tokens explain of the changes; `None` if there is no change beyond rounding.
    pub by_tokens: Option<Explained>,
}

/// How much of the variance of the score changes is between groups of them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Explained {
    /// Share of the variance, 0 to 1: one less the ratio of the mean squares within groups and in total (adjusted R² of
    /// a one-way analysis of variance, in each head), at least 0. `None` if no group has two changes.
    pub share: Option<f64>,
    /// Largest difference between two changes in one group.
    pub spread: f64,
    /// Number of changes.
    pub values: u64,
    /// Number of groups.
    pub groups: u64,
}

/// Check of `o_i = Σ_k A_ik p_k W_V + (1 − Σ_k A_ik) o_i'`, where `o_i'` is the output of the same content without the
/// prompt: for PT that of the bare backbone.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Decomposition {
    /// Largest absolute difference between the two sides.
    pub largest_difference: f64,
    /// Largest absolute value of the left side.
    pub largest_output: f64,
}

/// Patterns of one source, in the mean over heads and in the head whose patterns change most over all sources.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// Its place among the sources.
    pub row: usize,
    /// Ids of its tokens.
    pub ids: Vec<u32>,
    /// The head that changes most, from 0.
    pub head: usize,
    /// Mean over heads.
    pub mean: Pattern,
    /// In that head.
    pub most: Pattern,
}

/// A pattern over content tokens, rounded to five decimals; a row for each query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pattern {
    /// Of the bare backbone.
    pub bare: Vec<Vec<f64>>,
    /// The method's less the bare backbone's.
    pub change: Vec<Vec<f64>>,
}

/// Measures an adapter of the embeddings on some sources. `proceed(done, total)` is called before every source; if it
/// returns false, the result is `None`. It is `None` as well for a decoder-only model, whose first layer the paper does
/// not treat.
///
/// # Errors
/// A source that is longer than DePT's table of positions.
pub fn attention<B: Backend, M: AnyBackbone<B>>(
    model: &M,
    adapter: &Adapter<B>,
    rows: &[Encoded],
    device: &B::Device,
    proceed: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<Option<Attention>, TrainError> {
    let example = example_of(rows);
    let mut sums = Sums::new(rows);
    for (row, source) in rows.iter().enumerate() {
        if !proceed(row, rows.len()) {
            return Ok(None);
        }
        adapter.check_width(source.source.len())?;
        let Some(patterns) = patterns_of(model, adapter, &source.source, device) else {
            return Ok(None);
        };
        sums.add(&source.source, &patterns, row == example);
    }
    proceed(rows.len(), rows.len());
    Ok(sums.finish(example))
}

/// The layer's scores and outputs for one source.
fn patterns_of<B: Backend, M: AnyBackbone<B>>(
    model: &M,
    adapter: &Adapter<B>,
    ids: &[u32],
    device: &B::Device,
) -> Option<RowPatterns> {
    let n = ids.len();
    let values: Vec<i32> = ids.iter().map(|id| *id as i32).collect();
    let ids = Tensor::<B, 2, Int>::from_data(TensorData::new(values, [1, n]), device);
    let everything = Tensor::<B, 2, Bool>::full([1, n], true, device);
    let embeddings = model.embed(ids);
    let bare = first_attention(model, embeddings.clone(), everything.clone())?;
    let content = first_attention(model, adapter.offset(embeddings.clone(), 0), everything.clone())?;
    let input = adapter.forward(embeddings, everything);
    let whole = first_attention(model, input.embeddings, input.mask)?;
    Some(RowPatterns {
        bare: Host::of(bare.logits),
        content_outputs: Host::of(content.outputs()),
        whole: Host::of(whole.logits.clone()),
        outputs: Host::of(whole.outputs()),
        values: Host::of(whole.values),
    })
}

/// The source to show: the first one that is short enough to be read, else the shortest.
fn example_of(rows: &[Encoded]) -> usize {
    let lengths = || rows.iter().map(|row| row.source.len()).enumerate();
    let short = lengths().find(|(_, length)| *length <= EXAMPLE_TOKENS);
    short
        .or_else(|| lengths().min_by_key(|(_, length)| *length))
        .map_or(0, |(row, _)| row)
}

/// The first self-attention of an encoder; `None` for a model without one.
fn first_attention<B: Backend, M: AnyBackbone<B>>(
    model: &M,
    embeddings: Tensor<B, 3>,
    mask: Tensor<B, 2, Bool>,
) -> Option<FirstAttention<B>> {
    struct First<B: Backend>(Tensor<B, 3>, Tensor<B, 2, Bool>);
    impl<B: Backend> Visitor<B> for First<B> {
        type Output = Option<FirstAttention<B>>;

        fn seq2seq<M: Seq2SeqBackbone<B> + Pretrained<B>>(self, model: &M) -> Self::Output {
            Some(model.first_attention(self.0, self.1))
        }

        fn causal<M: CausalBackbone<B, Cache = CausalCache<B>> + Pretrained<B>>(self, _: &M) -> Self::Output {
            None
        }
    }
    model.by_kind(First(embeddings, mask))
}
