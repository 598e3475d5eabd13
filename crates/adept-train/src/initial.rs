//! Initialisation of adapters: sizes from the budget, a prompt from text, vocabulary or random values, or from another
//! adapter (`source.rs`).

mod judge;
mod source;

use std::path::Path;
use std::rc::Rc;

use adept_core::{
    Adapter, AdapterConfig, AdapterInit, CoreError, Fingerprint, Method, MethodSettings, ModelSites, PromptInit,
    ReadWeights,
};
use adept_data::{DataFile, TextTokenizer};
use adept_models::Backbone;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Int, Tensor, TensorData};

pub use judge::squared_gradients;

use crate::TrainError;
use crate::config::{PromptStart, RunConfig, default_settings};
use crate::learner::mix;

/// Sizes and constants of the adapter for a model; a rank of 0 becomes the largest that fits the budget.
///
/// # Errors
/// Settings that do not describe a valid adapter of the method, or a model without linear maps for it.
pub fn adapter_config(config: &RunConfig, method: Method, sites: &ModelSites) -> Result<AdapterConfig, TrainError> {
    let section = &config.adapter;
    // Records from before a method declared a setting lack it.
    let mut own = default_settings(method);
    own.extend(section.own.get(method.name()).cloned().unwrap_or_default());
    let settings = MethodSettings {
        sites,
        virtual_tokens: section.virtual_tokens,
        rank: section.rank,
        budget_tokens: section.budget_tokens,
        max_source_length: config.input.max_source_length,
        tasks: config.tasks.len().max(1),
        sources: section.sources.len(),
        dept_alpha: section.dept_alpha,
        bottleneck_dropout: section.bottleneck_dropout,
        own: &own,
    };
    let adapter = AdapterConfig::from_settings(method, &settings).map_err(|error| match error {
        CoreError::NoRoom {
            budget_tokens,
            d_model,
            virtual_tokens,
            ..
        } => TrainError::NoRoom {
            method: section.method,
            budget_tokens,
            d_model,
            virtual_tokens,
        },
        other => other.into(),
    })?;
    adapter.tensor_shapes(sites)?;
    Ok(adapter)
}

/// Stands for "no micro-step" in the seeds of initial values.
const INITIAL_VALUES: u64 = u64::MAX;
const INITIAL_TOKENS: u64 = u64::MAX - 1;

/// The first `count` ids below `end` that are not in `special` (ascending); the last id if all are. Vocabularies begin
/// with the most frequent tokens.
fn ordinary_tokens(special: &[u32], end: u32, count: usize) -> Vec<u32> {
    let ordinary = (0..end).filter(|id| special.binary_search(id).is_err());
    let mut ids: Vec<u32> = ordinary.take(count).collect();
    if ids.is_empty() && count > 0 {
        ids.push(end.saturating_sub(1));
    }
    ids
}

/// The files that a run depends on besides its data and backbone: those of `adapter.init_from`, `adapter.sources` and
/// `distillation.teachers`.
///
/// # Errors
/// A file that cannot be read.
pub fn source_files(config: &RunConfig) -> Result<Vec<DataFile>, TrainError> {
    let section = &config.adapter;
    let from = [&section.init_from].into_iter().filter(|path| !path.is_empty());
    let from = from.map(|path| ("adapter.init_from".to_owned(), path));
    let sources = section.sources.iter().enumerate();
    let sources = sources.map(|(place, path)| (format!("adapter.sources {}", place + 1), path));
    let teachers = config.distillation.teachers.iter().enumerate();
    let teachers = teachers.map(|(place, path)| (format!("distillation.teachers {}", place + 1), path));
    from.chain(sources)
        .chain(teachers)
        .map(|(name, path)| source::deciding_file(&name, Path::new(path)))
        .collect()
}

/// The adapters that a run learns from, one for each task; none without distillation.
///
/// # Errors
/// A folder that is not an adapter of one task for this backbone.
pub fn teachers<B: Backend, M: Backbone<B>>(
    config: &RunConfig,
    backbone: &M,
    fingerprint: &Fingerprint,
    device: &B::Device,
) -> Result<Vec<Adapter<B>>, TrainError> {
    let sites = backbone.sites();
    let model = source::Model {
        sites: &sites,
        d_model: backbone.d_model(),
        fingerprint,
    };
    let paths = config.distillation.teachers.iter();
    paths
        .map(|path| source::teacher(Path::new(path), &model, device))
        .collect()
}

/// A newly initialised adapter; `fingerprint` is the backbone's, `gradients` are its [`squared_gradients`] for methods
/// that need them ([`AdapterConfig::judging_examples`]).
///
/// # Errors
/// A prompt text that cannot be encoded, inconsistent sizes, or a source that does not fit ([`TrainError::InitFrom`]).
pub fn build_adapter<AB: AutodiffBackend, M: Backbone<AB::InnerBackend>>(
    config: &RunConfig,
    adapter: &AdapterConfig,
    backbone: &M,
    fingerprint: &Fingerprint,
    tokenizer: &TextTokenizer,
    gradients: Option<&M>,
    device: &AB::Device,
) -> Result<Adapter<AB>, TrainError> {
    let section = &config.adapter;
    let embedded = |tokens: Vec<u32>| {
        let (count, d_model) = (tokens.len(), backbone.d_model());
        let ids: Vec<i32> = tokens.into_iter().map(|id| id as i32).collect();
        let ids: Tensor<AB::InnerBackend, 2, Int> = Tensor::from_data(TensorData::new(ids, [1, count]), device);
        PromptInit::Rows(Tensor::from_inner(backbone.embed(ids).reshape([count, d_model])))
    };
    let sites = backbone.sites();
    let model = source::Model {
        sites: &sites,
        d_model: backbone.d_model(),
        fingerprint,
    };
    let m = adapter.virtual_tokens();
    let prompt = match section.init {
        PromptStart::Adapter | PromptStart::Nearest => {
            let given = Path::new(&section.init_from);
            let from = match section.init {
                PromptStart::Nearest => source::nearest::<AB>(given, &section.sources, m, &model, device)?,
                _ => given,
            };
            match source::read::<AB>(from, adapter, &model, device)? {
                source::Start::Whole(whole) => return Ok(*whole),
                source::Start::Prompt(rows) => PromptInit::Rows(rows),
            }
        }
        PromptStart::Text if m > 0 => embedded(tokenizer.encode(&section.init_text, config.input.max_source_length)?),
        PromptStart::Vocabulary if m > 0 => {
            let end = tokenizer.vocab_size().min(backbone.vocab_size()) as u32;
            let candidates = ordinary_tokens(&tokenizer.special_ids(), end, section.init_candidates);
            let seed = mix(config.seed, INITIAL_TOKENS);
            embedded(adept_core::sample_vocabulary(&candidates, m, seed))
        }
        PromptStart::Text | PromptStart::Vocabulary | PromptStart::Random => {
            PromptInit::Random { std: section.init_std }
        }
    };
    let sources = match (adapter.sources(), section.sources.as_slice()) {
        (0, _) => None,
        (_, []) => return Err(TrainError::NoSources { method: section.method }),
        (_, paths) => Some(source::prompts::<AB>(paths, m, &model, device)?),
    };
    let weights: Rc<dyn ReadWeights> = match gradients {
        None => Rc::new(backbone.weights()),
        Some(gradients) => Rc::new(judge::Judged {
            weights: backbone.weights(),
            gradients: gradients.weights(),
        }),
    };
    let start = AdapterInit {
        prompt,
        fan_in: section.fan_in,
        seed: mix(config.seed, INITIAL_VALUES),
        weights: Some(weights),
        sources,
    };
    Ok(Adapter::new(adapter, &sites, start, device)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use adept_core::PromptSource;

    use super::*;

    #[test]
    fn feed_forward_modules_of_ia3_without_target_modules_are_refused() {
        let sites = adept_models::t5::T5Config::t5_small().sites();
        let of = |overrides: &[&str]| {
            let mut all = vec!["adapter.method=ia3".to_owned()];
            all.extend(overrides.iter().map(ToString::to_string));
            let config = crate::config::resolve(None, &all).unwrap().config;
            adapter_config(&config, Method::Ia3, &sites)
        };
        let feed_forward = "adapter.ia3.feedforward_modules=wo";
        let refused = of(&[feed_forward]).unwrap_err().to_string();
        assert!(refused.contains("no names unless target_modules is given"), "{refused}");
        assert!(of(&[feed_forward, "adapter.ia3.target_modules=k,v,wo"]).is_ok());
    }

    #[test]
    fn settings_of_a_network_without_one_are_refused() {
        let sites = adept_models::t5::T5Config::t5_small().sites();
        let of = |overrides: &[&str]| {
            let config = crate::config::resolve(None, &overrides.iter().map(ToString::to_string).collect::<Vec<_>>());
            adapter_config(&config.unwrap().config, Method::Adept, &sites)
        };
        for (setting, expected) in [
            (
                "adapter.adept.hidden=5",
                "hidden is 5, expected 0: a plain prompt has no network",
            ),
            (
                "adapter.adept.encoder=lstm",
                "encoder is lstm, expected left out unless prompt = \"p_tuning\"",
            ),
        ] {
            let error = of(&["adapter.method=adept", setting]).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(of(&["adapter.method=adept", "adapter.adept.prompt=p_tuning", setting]).is_ok());
        }
        let wide = of(&["adapter.method=adept", "adapter.adept.prompt=residual"]).unwrap();
        let AdapterConfig::Adept(wide) = wide else {
            panic!("{wide:?}")
        };
        assert_eq!(wide.source, PromptSource::Residual { hidden: 800 });
        // The budget is for what inference computes with.
        assert_eq!(wide.rank, 19);
    }

    #[test]
    fn candidates_leave_special_tokens_out() {
        // T5: its three special tokens come first, and nothing else is left out.
        let t5 = ordinary_tokens(&[0, 1, 2], 32_100, 5000);
        assert_eq!(t5, (3..5003).collect::<Vec<u32>>());
        assert_eq!(
            ordinary_tokens(&[0, 1, 2], 32_100, 40_000),
            (3..32_100).collect::<Vec<u32>>()
        );
        // Byte-level BPE: special tokens after the vocabulary or within it.
        assert_eq!(ordinary_tokens(&[4, 6, 7], 8, 100), [0, 1, 2, 3, 5]);
        assert_eq!(ordinary_tokens(&[0, 1], 2, 10), [1]);
    }
}
