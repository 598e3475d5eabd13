//! The adapter before its first step: sizes from the budget, a prompt from text, vocabulary or chance.

use adept_core::{AdapterConfig, FanIn, PromptAdapter, PromptInit, budget};
use adept_data::TextTokenizer;
use adept_models::Backbone;
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{Int, Tensor, TensorData};

use crate::TrainError;
use crate::config::{FanInRule, PromptStart, RunConfig};
use crate::learner::mix;

/// Sizes and constants of the adapter; a rank of 0 becomes the largest that the budget allows.
pub fn adapter_config(
    config: &RunConfig,
    method: adept_core::Method,
    d_model: usize,
) -> Result<AdapterConfig, TrainError> {
    let section = &config.adapter;
    let (m, values) = (section.virtual_tokens, section.budget_tokens * d_model);
    let max_source_length = config.input.max_source_length;
    let solved = || match method {
        adept_core::Method::Pt => Some(0),
        adept_core::Method::Dept => budget::dept_rank(d_model, values, m, max_source_length),
        adept_core::Method::Adept => budget::adept_bottleneck(d_model, values, m),
    };
    let rank = match (method, section.rank) {
        (adept_core::Method::Pt, _) => 0,
        (_, 0) => solved().ok_or(TrainError::NoRoom {
            method: section.method,
            budget_tokens: section.budget_tokens,
            d_model,
            virtual_tokens: m,
        })?,
        (_, rank) => rank,
    };
    let scale = match method {
        adept_core::Method::Dept if section.dept_alpha > 0.0 => section.dept_alpha / (rank as f64).sqrt(),
        _ => 1.0,
    };
    let dropout = if method == adept_core::Method::Adept {
        section.bottleneck_dropout
    } else {
        0.0
    };
    let config = AdapterConfig {
        method,
        d_model,
        virtual_tokens: m,
        rank,
        max_source_length,
        scale,
        dropout,
    };
    config.validate()?;
    Ok(config)
}

/// Stands for "no micro-step" in the seeds of what is drawn before training.
const INITIAL_VALUES: u64 = u64::MAX;
const INITIAL_TOKENS: u64 = u64::MAX - 1;

/// The first `count` ids below `end` that are not special, which `special` gives in ascending order; the last id where all
/// are. Vocabularies begin with the most frequent tokens.
fn ordinary_tokens(special: &[u32], end: u32, count: usize) -> Vec<u32> {
    let ordinary = (0..end).filter(|id| special.binary_search(id).is_err());
    let mut ids: Vec<u32> = ordinary.take(count).collect();
    if ids.is_empty() && count > 0 {
        ids.push(end.saturating_sub(1));
    }
    ids
}

/// The adapter as it is before the first step.
///
/// # Errors
/// A prompt text that cannot be encoded, and sizes that do not go together.
pub fn build_adapter<AB: AutodiffBackend, M: Backbone<AB::InnerBackend>>(
    config: &RunConfig,
    adapter: &AdapterConfig,
    backbone: &M,
    tokenizer: &TextTokenizer,
    device: &AB::Device,
) -> Result<PromptAdapter<AB>, TrainError> {
    let section = &config.adapter;
    let tokens = match section.init {
        _ if adapter.virtual_tokens == 0 => None,
        PromptStart::Random => None,
        PromptStart::Text => Some(tokenizer.encode(&section.init_text, config.input.max_source_length)?),
        PromptStart::Vocabulary => {
            let end = tokenizer.vocab_size().min(backbone.vocab_size()) as u32;
            let candidates = ordinary_tokens(&tokenizer.special_ids(), end, section.init_candidates);
            Some(adept_core::sample_vocabulary(
                &candidates,
                adapter.virtual_tokens,
                mix(config.seed, INITIAL_TOKENS),
            ))
        }
    };
    let prompt = match tokens {
        None => PromptInit::Random { std: section.init_std },
        Some(tokens) => {
            let (count, d_model) = (tokens.len(), adapter.d_model);
            let ids: Vec<i32> = tokens.into_iter().map(|id| id as i32).collect();
            let ids: Tensor<AB::InnerBackend, 2, Int> = Tensor::from_data(TensorData::new(ids, [1, count]), device);
            PromptInit::Rows(Tensor::from_inner(backbone.embed(ids).reshape([count, d_model])))
        }
    };
    let fan_in = match section.fan_in {
        FanInRule::Reference => FanIn::Reference,
        FanInRule::Standard => FanIn::Standard,
    };
    Ok(PromptAdapter::new(
        adapter,
        prompt,
        fan_in,
        mix(config.seed, INITIAL_VALUES),
        device,
    )?)
}

#[cfg(test)]
mod tests {
    use super::ordinary_tokens;

    #[test]
    fn candidates_leave_special_tokens_out() {
        // T5: its three special tokens come first, and nothing else is left out.
        let t5 = ordinary_tokens(&[0, 1, 2], 32_100, 5000);
        assert_eq!(t5, (3..5003).collect::<Vec<u32>>());
        assert_eq!(
            ordinary_tokens(&[0, 1, 2], 32_100, 40_000),
            (3..32_100).collect::<Vec<u32>>()
        );
        // Byte pairs: added behind the vocabulary, or among it.
        assert_eq!(ordinary_tokens(&[4, 6, 7], 8, 100), [0, 1, 2, 3, 5]);
        assert_eq!(ordinary_tokens(&[0, 1], 2, 10), [1]);
    }
}
