//! The trained T5: its initialisation, and the folder it is written to.

use std::path::Path;

use adept_models::StoredType;
use adept_models::t5::FeedForwardKind;
use adept_models::{T5, T5Config};
use burn::tensor::backend::Backend;

use super::prepare::{Roots, Vocabulary};
use super::sections::PretrainConfig;
use crate::TrainError;
use crate::folder::{TOKENIZER_FILES, copy_files, write_json};
use crate::learner::mix;

const GENERATION_FILE: &str = "generation_config.json";

/// Stands for "no pass" in the seed of the initial weights.
const INITIAL_VALUES: u64 = u64::MAX;

/// Architecture of a randomly initialised model.
pub(super) fn architecture(config: &PretrainConfig, vocabulary: &Vocabulary) -> T5Config {
    let section = &config.model;
    let decoder_layers = match section.decoder_layers {
        0 => section.layers,
        layers => layers,
    };
    T5Config {
        vocab_size: vocabulary.size,
        d_model: section.d_model,
        d_kv: section.d_kv,
        d_ff: section.d_ff,
        num_layers: section.layers,
        num_decoder_layers: decoder_layers,
        num_heads: section.heads,
        feed_forward_proj: section.feed_forward,
        tie_word_embeddings: section.tie_word_embeddings,
        // The two belong together: an untied head (v1.1) takes the decoder's output unscaled.
        scale_decoder_outputs: section.tie_word_embeddings,
        dropout_rate: section.dropout,
        pad_token_id: vocabulary.pad,
        eos_token_ids: vec![vocabulary.eos],
        decoder_start_token_id: vocabulary.pad,
        ..T5Config::t5_small()
    }
}

/// Number of parameters of a model with that architecture.
pub(super) fn parameters(config: &T5Config) -> usize {
    let (d, inner) = (config.d_model, config.inner());
    let attention = 4 * d * inner + d;
    let matrices = match config.feed_forward_proj {
        FeedForwardKind::Relu => 2,
        FeedForwardKind::GatedGelu => 3,
    };
    let feed_forward = matrices * d * config.d_ff + d;
    let stack = d + config.relative_attention_num_buckets * config.num_heads;
    let head = if config.tie_word_embeddings { 1 } else { 2 };
    head * config.vocab_size * d
        + config.num_layers * (attention + feed_forward)
        + config.num_decoder_layers * (2 * attention + feed_forward)
        + 2 * stack
}

/// The initial model, and the fingerprint of the checkpoint it was loaded from, if any.
pub(super) fn initial<B: Backend>(
    config: &PretrainConfig,
    roots: &Roots,
    vocabulary: &Vocabulary,
    device: &B::Device,
) -> Result<(T5<B>, Option<String>), TrainError> {
    if config.model.init.as_os_str().is_empty() {
        let architecture = architecture(config, vocabulary);
        let seed = mix(config.seed, INITIAL_VALUES);
        let model = T5::try_random_matching(&architecture, seed, config.model.matching_heads, device)?;
        return Ok((model, None));
    }
    let path = roots.resolve(&config.model.init);
    let loaded = T5::<B>::load(&path, device)?;
    let rows = loaded.model.config().vocab_size;
    if vocabulary.size > rows {
        return Err(TrainError::Vocabulary {
            tokenizer: vocabulary.folder.clone(),
            found: vocabulary.size,
            model: path,
            expected: rows,
        });
    }
    let ends = &loaded.model.config().eos_token_ids;
    if !ends.contains(&vocabulary.eos) {
        return Err(TrainError::EndToken {
            backbone: path,
            expected: ends.clone(),
            found: vocabulary.eos.to_string(),
        });
    }
    Ok((loaded.model, Some(loaded.fingerprint.as_str().to_owned())))
}

/// Writes a model and its tokenizer to the folder `path`, which is created.
pub(super) fn write<B: Backend>(model: &T5<B>, tokenizer: &Path, path: &Path) -> Result<(), TrainError> {
    model.save_pretrained_as(path, StoredType::Bf16)?;
    let config = model.config();
    let generation = serde_json::json!({
        "decoder_start_token_id": config.decoder_start_token_id,
        "eos_token_id": adept_models::files::one_or_many(&config.eos_token_ids),
        "pad_token_id": config.pad_token_id,
    });
    write_json(&path.join(GENERATION_FILE), &generation)?;
    // `generation_config.json` has just been written.
    let names: Vec<&str> = TOKENIZER_FILES
        .into_iter()
        .filter(|name| *name != GENERATION_FILE)
        .collect();
    copy_files(&names, tokenizer, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::Module;

    #[test]
    fn parameters_are_those_of_the_module() {
        for (feed_forward_proj, tied) in [(FeedForwardKind::Relu, true), (FeedForwardKind::GatedGelu, false)] {
            let config = T5Config {
                vocab_size: 50,
                d_model: 12,
                d_kv: 5,
                d_ff: 20,
                num_layers: 2,
                num_decoder_layers: 3,
                num_heads: 2,
                feed_forward_proj,
                tie_word_embeddings: tied,
                scale_decoder_outputs: tied,
                ..T5Config::t5_small()
            };
            let model = T5::<burn_flex::Flex>::random(&config, 1, &Default::default());
            assert_eq!(parameters(&config), model.num_params());
        }
    }
}
