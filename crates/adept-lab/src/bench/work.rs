//! Parts of a benchmark case: options, adapter, optimiser, memory.

use std::rc::Rc;

use adept_core::{
    Adapter, AdapterConfig, AdapterInit, CoreError, FanIn, Method, MethodSettings, ModelSites, PromptInit,
};
use adept_models::Backbone;
use adept_train::config::{GroupSection, OptimizerSection, default_settings};
use adept_train::optim::{self, AdamW};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Tensor, TensorData};

use super::shape::Shape;
use super::{BenchError, BenchOptions, BenchReport};

/// Steps of the paper's runs, for the learning-rate schedule.
pub(super) const TOTAL_STEPS: usize = 30_000;
/// Number of prompt rows that define every method's budget in the paper.
const BUDGET_ROWS: usize = 100;
/// Rows of DePT's table: the paper's longest inputs.
const DEPT_LENGTH: usize = 256;

/// Upper limits of sensible options: beyond them sizes overflow or memory runs out, without indicating which option was
/// at fault.
const MOST_ROWS: usize = 65_536;
const MOST_TOKENS: usize = 16_384;
const MOST_SLOTS: usize = 1 << 24;
const MOST_REPETITIONS: usize = 1_000_000;

/// Checks the options, fills in the rank, and determines the backbone's configuration.
pub(super) fn resolve(options: &BenchOptions) -> Result<(BenchOptions, Shape), BenchError> {
    let mut options = options.clone();
    // A prefix has virtual tokens, too, in front of keys and values.
    let has_tokens = |method: Method| method.has_prompt() || method == Method::Prefix;
    let has_tokens = options.method.adapter().is_some_and(has_tokens);
    let (target_tokens, new_tokens) = match options.size.is_causal() {
        true => ((options.tokens / 3).max(1), 32),
        false => (2, 4),
    };
    for (given, usual) in [
        (&mut options.target_tokens, target_tokens),
        (&mut options.new_tokens, new_tokens),
    ] {
        if *given == 0 {
            *given = usual;
        }
    }
    for (option, found, least) in [
        ("batch", options.batch, 1),
        ("tokens", options.tokens, 2),
        ("virtual-tokens", options.virtual_tokens, usize::from(has_tokens)),
        ("labels", options.labels, 1),
        ("steps", options.steps, 1),
    ] {
        if found < least {
            return Err(BenchError::TooSmall { option, found, least });
        }
    }
    for (option, found, most) in [
        ("batch", options.batch, MOST_ROWS),
        ("tokens", options.tokens, MOST_TOKENS),
        ("target-tokens", options.target_tokens, MOST_TOKENS),
        ("virtual-tokens", options.virtual_tokens, MOST_TOKENS),
        ("new-tokens", options.new_tokens, MOST_TOKENS),
        ("rank", options.rank, MOST_ROWS),
        ("labels", options.labels, MOST_ROWS),
        ("warmup", options.warmup, MOST_REPETITIONS),
        ("steps", options.steps, MOST_REPETITIONS),
        (
            "batch x tokens",
            options.batch.saturating_mul(options.tokens.max(options.target_tokens)),
            MOST_SLOTS,
        ),
    ] {
        if found > most {
            let of_tokens = false;
            return Err(BenchError::TooLarge {
                option,
                found,
                most,
                of_tokens,
            });
        }
    }
    // The shortest row is just above half of the width, and its first label needs a token before it.
    let most = options.tokens / 2;
    if options.size.is_causal() && options.target_tokens > most {
        return Err(BenchError::TooLarge {
            option: "target-tokens",
            found: options.target_tokens,
            most,
            of_tokens: true,
        });
    }
    let method = options.method;
    if options.recompute && method.adapter().is_none_or(Method::joins_blocks) {
        return Err(BenchError::Recompute { method });
    }
    let shape = Shape::of(options.size).with_depth(options.depth)?;
    if !has_tokens {
        (options.virtual_tokens, options.rank) = (0, 0);
    }
    if let Some(adapter) = adapter_config(&options, &shape.sites())? {
        options.rank = adapter.rank();
    }
    Ok((options, shape))
}

/// The adapter's configuration; `None` for full fine-tuning.
pub(super) fn adapter_config(options: &BenchOptions, sites: &ModelSites) -> Result<Option<AdapterConfig>, BenchError> {
    let Some(method) = options.method.adapter() else {
        return Ok(None);
    };
    let settings = MethodSettings {
        sites,
        virtual_tokens: options.virtual_tokens,
        rank: options.rank,
        budget_tokens: BUDGET_ROWS,
        max_source_length: options.tokens.max(DEPT_LENGTH),
        tasks: 1,
        sources: 0,
        dept_alpha: 0.0,
        bottleneck_dropout: 0.0,
        own: &default_settings(method),
    };
    let adapter = AdapterConfig::from_settings(method, &settings).map_err(|error| match error {
        CoreError::NoRoom { virtual_tokens, .. } => BenchError::NoRank {
            method: options.method,
            virtual_tokens,
            budget_rows: BUDGET_ROWS,
        },
        other => other.into(),
    })?;
    Ok(Some(adapter))
}

/// A newly initialised adapter with a random prompt; prompts that it starts from are rows of the embedding matrix.
pub(super) fn adapter<B: Backend, I: Backend>(
    config: &AdapterConfig,
    backbone: &impl Backbone<I>,
    seed: u64,
    device: &B::Device,
) -> Result<Adapter<B>, BenchError> {
    let prompts = [config.sources(), config.virtual_tokens(), backbone.d_model()];
    let sources = (config.sources() > 0).then(|| {
        let count = prompts[0] * prompts[1] * prompts[2];
        let rows: Vec<f32> = backbone.embedding_weight().to_data().iter().collect();
        let values = rows.into_iter().cycle().take(count).collect();
        Tensor::from_data(TensorData::new(values, prompts), device)
    });
    let start = AdapterInit {
        prompt: PromptInit::Random { std: 1.0 },
        fan_in: FanIn::Reference,
        seed,
        weights: Some(Rc::new(backbone.weights())),
        sources,
    };
    Ok(Adapter::new(config, &backbone.sites(), start, device)?)
}

/// The paper's optimiser.
pub(super) fn optimizer<AB: AutodiffBackend>(adapter: Option<&AdapterConfig>) -> AdamW<AB::InnerBackend> {
    let section = |learning_rate| GroupSection {
        learning_rate,
        weight_decay: 0.01,
        warmup_steps: 500,
    };
    let section = OptimizerSection {
        beta1: 0.9,
        beta2: 0.98,
        epsilon: 1e-6,
        clip_norm: 0.0,
        prompt: section(0.3),
        offset: section(1e-4),
        full: section(1e-4),
        own: adapter
            .into_iter()
            .flat_map(AdapterConfig::groups)
            .map(|group| (group.name.to_owned(), section(1e-4)))
            .collect(),
    };
    optim::adamw(adapter, &section).expect("the section above holds the adapter's groups")
}

/// A report without timings.
pub(super) fn report<AB: AutodiffBackend>(
    kind: &'static str,
    options: &BenchOptions,
    backbone_parameters: usize,
    device: &AB::Device,
) -> BenchReport {
    BenchReport {
        kind,
        options: options.clone(),
        backend: AB::name(device),
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        backbone_parameters,
        trainable_parameters: 0,
        step: None,
        greedy: None,
        reread: None,
        score: None,
        loss: None,
        peak_rss_bytes: None,
        memory: None,
        products: None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use adept_train::config::TrainMethod;

    use super::*;
    use crate::bench::BenchSize;

    #[test]
    fn ranks_are_those_of_the_paper() {
        for (method, m, expected) in [
            (Method::Adept, 20, 39),
            (Method::Adept, 60, 19),
            (Method::Dept, 40, 45),
            (Method::Dept, 60, 30),
            (Method::Pt, 100, 0),
        ] {
            let options = BenchOptions {
                size: BenchSize::T5Base,
                method: TrainMethod::Adapter(method),
                virtual_tokens: m,
                ..BenchOptions::default()
            };
            let (resolved, shape) = resolve(&options).unwrap();
            assert_eq!(
                (resolved.rank, shape.sites().d_model),
                (expected, 768),
                "{method} m={m}"
            );
        }
    }
}
