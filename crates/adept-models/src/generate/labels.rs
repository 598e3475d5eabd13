//! Label scores for decoder-only models. The soft prompt and each row's prompt are read once; every label is then read
//! after them.

use burn::tensor::activation::log_softmax;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};

use super::causal::{Embed, Part, Prefix, PromptLayout, Read, read_prompts};
use super::seq2seq::best_labels;
use super::{GenerateError, Stage};
use crate::loss::label_log_probabilities;
use crate::traits::CausalBackbone;

/// Summed log-probability of each label (token ids, end token included) after each prompt: `[batch, labels]`.
///
/// Sums are not normalised by length: labels include their end token, so a label and a longer one that begins with it
/// compete fairly.
///
/// # Errors
/// [`GenerateError::EmptyRow`].
///
/// # Panics
/// If there are no labels, or one is empty.
pub fn score_causal_labels<B: Backend, M: CausalBackbone<B>>(
    model: &M,
    prefix: &Prefix<M::Cache>,
    prompts: &[&[u32]],
    labels: &[Vec<u32>],
    layout: PromptLayout,
    embed: &Embed<'_, B>,
    device: &B::Device,
) -> Result<Tensor<B, 2>, GenerateError> {
    scored(model, prefix, prompts, labels, layout, embed, device).map(|(scores, _)| scores)
}

/// Index of the highest-scoring label for each prompt, `[batch]`.
///
/// # Errors
/// [`GenerateError::EmptyRow`], and [`GenerateError::Score`] if a score is not finite.
///
/// # Panics
/// See [`score_causal_labels`].
pub fn best_causal_labels<B: Backend, M: CausalBackbone<B>>(
    model: &M,
    prefix: &Prefix<M::Cache>,
    prompts: &[&[u32]],
    labels: &[Vec<u32>],
    layout: PromptLayout,
    embed: &Embed<'_, B>,
    device: &B::Device,
) -> Result<Vec<usize>, GenerateError> {
    let (scores, entering) = scored(model, prefix, prompts, labels, layout, embed, device)?;
    best_labels(scores).map_err(|error| error.unless_finite(Stage::Embeddings, &entering))
}

/// Scores, and the model's input for each prompt, `[batch, seq, d_model]`.
fn scored<B: Backend, M: CausalBackbone<B>>(
    model: &M,
    prefix: &Prefix<M::Cache>,
    prompts: &[&[u32]],
    labels: &[Vec<u32>],
    layout: PromptLayout,
    embed: &Embed<'_, B>,
    device: &B::Device,
) -> Result<(Tensor<B, 2>, Tensor<B, 3>), GenerateError> {
    let has_tokens = !labels.is_empty() && labels.iter().all(|label| !label.is_empty());
    assert!(
        has_tokens,
        "score_causal_labels: {} labels, one without a token",
        labels.len()
    );
    if let Some(row) = prompts.iter().position(|ids| ids.is_empty()) {
        return Err(GenerateError::EmptyRow { row });
    }
    let Read {
        cache,
        logits,
        entering,
        next,
    } = read_prompts(model, prefix, prompts, layout, embed, device);
    let first: Vec<i32> = labels.iter().map(|label| label[0] as i32).collect();
    let first = Tensor::<B, 1, Int>::from_data(TensorData::new(first, [labels.len()]), device);
    let scores = log_softmax(logits, 1).select(1, first);
    let batch = prompts.len();
    let columns = labels.iter().enumerate().map(|(place, label)| {
        let begun = scores.clone().narrow(1, place, 1);
        // The last token is predicted but never read.
        let [read @ .., _] = label.as_slice() else {
            unreachable!("a label has a token, as was checked above")
        };
        if read.is_empty() {
            return begun;
        }
        let width = read.len();
        let repeated = |ids: &[u32]| ids.iter().map(|&id| id as i32).collect::<Vec<_>>().repeat(batch);
        let ids = Tensor::from_data(TensorData::new(repeated(read), [batch, width]), device);
        let (own, behind) = prefix.positions(&next, width, device);
        let mask = Tensor::full([batch, width], true, device);
        let embeddings = embed(ids, own, Part::New);
        let hidden = model.read_hidden(embeddings, mask, behind, &mut cache.clone());
        let [_, _, d_model] = hidden.dims();
        let logits = model.head(hidden.reshape([batch * width, d_model]));
        let [_, vocab] = logits.dims();
        let targets: Vec<i32> = label[1..].iter().map(|&id| id as i32).collect();
        let targets = Tensor::<B, 2, Int>::from_data(TensorData::new(targets, [1, width]), device);
        let further = label_log_probabilities(logits.reshape([batch, 1, width, vocab]), targets);
        begun + further.sum_dim(2).reshape([batch, 1])
    });
    Ok((Tensor::cat(columns.collect(), 1), entering))
}
