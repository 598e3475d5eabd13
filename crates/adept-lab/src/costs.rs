//! What each method costs on a backbone: trainable values, their share of the model, the size of an adapter's file, and
//! what is left of the method in inference.

use std::fmt;

use adept_core::{AdapterConfig, CoreError, Merge, Method};
use adept_models::auto::ModelConfig;
use adept_train::TrainError;
use adept_train::config::{ConfigError, RunConfig, TrainMethod};
use adept_train::initial::adapter_config;
use serde::Serialize;

use crate::report::text::thousands;

/// Bytes of a stored value.
const BYTES: usize = 4;

/// A backbone whose methods are listed.
#[derive(Debug)]
pub struct Subject<'a> {
    /// Its name, for the title.
    pub name: String,
    /// Its configuration.
    pub model: &'a dyn ModelConfig,
    /// Settings of a run for each method, such as its number of virtual tokens.
    pub settings: &'a dyn Settings,
}

/// The settings that a method is listed with.
pub trait Settings: fmt::Debug {
    /// Resolved settings of a run of that method.
    ///
    /// # Errors
    /// Settings that are not valid for it.
    fn of(&self, method: TrainMethod) -> Result<RunConfig, TrainError>;
}

/// What one method costs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cost {
    /// Name in configurations.
    pub method: String,
    /// Display name.
    pub title: String,
    /// Trainable values; `None` if the method cannot be used, and then `reason` says why.
    pub trainable: Option<usize>,
    /// Percentage of the model's own parameters.
    pub percent: Option<f64>,
    /// Bytes of the tensors in its file.
    pub bytes: Option<usize>,
    /// What it can be merged into.
    pub merges_into: String,
    /// What remains of it in inference.
    pub inference: String,
    /// Why it cannot be used on this backbone.
    pub reason: Option<String>,
}

/// Costs of all methods on a backbone.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Costs {
    /// The backbone.
    pub backbone: String,
    /// Its parameters.
    pub parameters: usize,
    /// Full fine-tuning first, then the methods in the registry's order.
    pub methods: Vec<Cost>,
}

/// Lists every method.
///
/// # Errors
/// Settings that are not valid whatever the backbone.
pub fn costs(subject: &Subject<'_>) -> Result<Costs, TrainError> {
    let parameters = subject.model.parameters();
    let mut methods = Vec::new();
    for method in TrainMethod::all() {
        methods.push(match method.adapter() {
            None => Cost {
                method: method.name().to_owned(),
                title: "Full fine-tuning".to_owned(),
                trainable: Some(parameters),
                percent: Some(100.0),
                bytes: Some(parameters * BYTES),
                merges_into: "the model".to_owned(),
                inference: "as the backbone".to_owned(),
                reason: None,
            },
            Some(adapter) => cost(subject, adapter, parameters)?,
        });
    }
    Ok(Costs {
        backbone: subject.name.clone(),
        parameters,
        methods,
    })
}

fn cost(subject: &Subject<'_>, method: Method, parameters: usize) -> Result<Cost, TrainError> {
    let info = method.info();
    let sites = subject.model.sites();
    let sizes = |adapter: &AdapterConfig| -> Result<(usize, usize), CoreError> {
        Ok((adapter.trainable_parameters(&sites)?, adapter.stored_values(&sites)?))
    };
    let found = match subject.settings.of(TrainMethod::Adapter(method)) {
        // Settings may leave nothing to one method and suit the others.
        Err(error @ TrainError::Config(ConfigError::NothingToTrain)) => Err(error),
        settings => adapter_config(&settings?, method, &sites).and_then(|adapter| Ok(sizes(&adapter)?)),
    };
    let (sizes, reason) = match found {
        Ok(sizes) => (Some(sizes), None),
        Err(error) => (None, Some(error.to_string())),
    };
    Ok(Cost {
        method: method.name().to_owned(),
        title: info.title.to_owned(),
        trainable: sizes.map(|(trainable, _)| trainable),
        percent: sizes.map(|(trainable, _)| 100.0 * trainable as f64 / parameters as f64),
        bytes: sizes.map(|(_, stored)| stored * BYTES),
        merges_into: match info.merge {
            Merge::Weights => "weights".to_owned(),
            Merge::Table => "embeddings".to_owned(),
            Merge::No(_) => "-".to_owned(),
        },
        inference: info.inference.to_owned(),
        reason,
    })
}

impl fmt::Display for Costs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} parameters\n", self.backbone, thousands(self.parameters))?;
        let head = ["method", "trainable", "share", "file", "merges into", "in inference"];
        let row = |cost: &Cost| -> [String; 6] {
            [
                cost.method.clone(),
                cost.trainable.map_or_else(|| "-".to_owned(), thousands),
                cost.percent
                    .map_or_else(|| "-".to_owned(), |percent| format!("{percent:.3} %")),
                cost.bytes.map_or_else(|| "-".to_owned(), bytes),
                cost.merges_into.clone(),
                cost.reason.clone().unwrap_or_else(|| cost.inference.clone()),
            ]
        };
        let rows: Vec<[String; 6]> = self.methods.iter().map(row).collect();
        let head = head.map(str::to_owned);
        let width = |column: usize| {
            let cells = rows.iter().chain([&head]).map(|row| row[column].chars().count());
            cells.max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..5).map(width).collect();
        for row in [&head].into_iter().chain(&rows) {
            writeln!(
                f,
                "{:<a$}  {:>b$}  {:>c$}  {:>d$}  {:<e$}  {}",
                row[0],
                row[1],
                row[2],
                row[3],
                row[4],
                row[5],
                a = widths[0],
                b = widths[1],
                c = widths[2],
                d = widths[3],
                e = widths[4],
            )?;
        }
        Ok(())
    }
}

/// A size in units of 1024.
fn bytes(count: usize) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let mut size = count as f64;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{count} B"),
        _ => format!("{size:.1} {}", UNITS[unit]),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use adept_core::{AttemptConfig, HoulsbyConfig, HyperdecoderConfig, HyperformerConfig, MptConfig};
    use adept_models::{CodeGenConfig, LlamaConfig, T5Config};

    use super::*;

    /// A run's settings with overrides.
    #[derive(Debug)]
    struct With(Vec<String>);

    impl Settings for With {
        fn of(&self, method: TrainMethod) -> Result<RunConfig, TrainError> {
            let mut overrides = vec![format!("adapter.method={method}")];
            // Settings of a method's own section are for its runs alone.
            let section = format!("adapter.{method}.");
            let is_own = |key: &&String| key.starts_with(&section) || key.matches('.').count() < 2;
            overrides.extend(self.0.iter().filter(is_own).cloned());
            Ok(adept_train::config::resolve(None, &overrides)?.config)
        }
    }

    fn trainable(model: &dyn ModelConfig, method: &str, set: &[&str]) -> usize {
        let settings = With(set.iter().map(ToString::to_string).collect());
        let subject = Subject {
            name: String::new(),
            model,
            settings: &settings,
        };
        let costs = costs(&subject).unwrap();
        let cost = costs.methods.into_iter().find(|cost| cost.method == method).unwrap();
        cost.trainable.unwrap_or_else(|| panic!("{method}: {:?}", cost.reason))
    }

    /// A backbone, a method, settings, the number of values, and how the paper prints it.
    type Printed<'a> = (&'a dyn ModelConfig, &'a str, &'a [&'a str], usize, &'a str);

    /// Sizes that the paper prints, at its own settings, with the arithmetic of the specification behind each.
    #[test]
    fn sizes_are_those_of_the_papers_tables() {
        let (t5, large) = (T5Config::t5_base(), T5Config::t5_3b());
        let (codegen, llama) = (CodeGenConfig::codegen_350m(), LlamaConfig::llama_3_8b());
        let keys_and_values = "adapter.ia3.target_modules=k,v";
        let qkv = "adapter.lora.target_modules=q_proj,k_proj,v_proj";
        let cases: [Printed<'_>; 22] = [
            (&t5, "full", &[], 222_903_552, "220M"),
            (&t5, "pt", &[], 76_800, "76.8K"),
            (&t5, "adept", &[], 76_051, "76.1K"),
            // Only the network, m = 0 (Table 14).
            (&t5, "adept", &["adapter.virtual_tokens=0"], 76_081, "76.1K"),
            // A vocabulary of 32,128; the published T5 was cut to 32,100, which is 28 values less.
            (&t5, "lora_bitfit", &[], 3_538_944 + 280_932 + 28, "3.8M"),
            (&t5, "bitfit", &[], 280_932 + 28, "280K"),
            (&t5, "adapter", &[], 1_855_104, "1.9M"),
            (&t5, "adapter_drop", &[], 1_101_984, "1.1M"),
            (&t5, "ia3", &[keys_and_values], 55_296, "55.3K"),
            (
                &t5,
                "prompt_embedding",
                &["adapter.virtual_tokens=100"],
                24_751_104,
                "24.8M",
            ),
            (&t5, "lst", &[], 3_878_712, "3.8M (1.74 %)"),
            (&t5, "attempt", &[], 231_936, "232K"),
            (&t5, "mpt", &[], 77_668, "77.6K"),
            (&large, "pt", &[], 102_400, "102.4K"),
            (&large, "adept", &[], 101_395, "101.4K"),
            (&large, "lora", &["adapter.lora.rank=35"], 25_804_800, "25.8M"),
            (&codegen, "pt", &["task=mbpp"], 10_240, "10.2K"),
            (&codegen, "adept", &["task=mbpp"], 10_241, "10.2K"),
            (&codegen, "lora", &["adapter.lora.rank=16"], 1_310_720, "1.3M"),
            (&codegen, "bitfit", &[], 175_104, ""),
            (&llama, "pt", &["task=mbpp"], 40_960, "41.0K"),
            (&llama, "lora", &["adapter.lora.rank=16", qkv], 9_437_184, "9.4M"),
        ];
        for (model, method, set, expected, printed) in cases {
            assert_eq!(trainable(model, method, set), expected, "{method} {set:?}: {printed}");
        }
    }

    /// The rows (m): what each of GLUE's eight tasks takes of all values.
    #[test]
    fn sizes_of_one_of_eight_tasks_are_those_of_the_papers_tables() {
        let sites = T5Config::t5_base().sites();
        let hyperformer = HyperformerConfig::new(8, 24);
        let plain = HyperformerConfig {
            is_plus: false,
            ..hyperformer.clone()
        };
        let adapters = HoulsbyConfig {
            tasks: 8,
            inner_norm: true,
            ..HoulsbyConfig::new(24)
        };
        let attempt = AttemptConfig {
            tasks: 8,
            ..AttemptConfig::new(768, 100, 6)
        };
        let hyperdecoder = HyperdecoderConfig::new(64);
        let direct = HyperdecoderConfig {
            source_network: false,
            ..hyperdecoder.clone()
        };
        let cases: [(AdapterConfig, usize, &str); 7] = [
            (hyperformer.into(), 651_382, "638K, of 220M values in all 0.29 %"),
            (plain.into(), 1_286_172, ""),
            (hyperdecoder.into(), 1_907_399, ""),
            (direct.into(), 1_759_751, "1.8M"),
            (adapters.into(), 1_822_656, "1.8M"),
            (attempt.into(), 96_192, "96K"),
            (MptConfig::new(768, 100, 8).into(), 10_468, "10.5K"),
        ];
        for (config, expected, printed) in cases {
            let all = config.trainable_parameters(&sites).unwrap();
            assert_eq!((all / 8, all % 8), (expected, 0), "{}: {printed}", config.method());
        }
    }

    #[test]
    fn sizes_without_a_published_figure_are_those_of_the_arithmetic() {
        let t5 = T5Config::t5_base();
        let m = "adapter.virtual_tokens=100";
        for (method, set, expected) in [
            ("p_tuning", vec![m, "adapter.p_tuning.hidden=768"], 1_848_576),
            ("residual", vec![m], 1_308_704),
            ("prefix", vec![m], 1_843_200),
            // 36 attentions in place of 12.
            ("prefix", vec![m, "adapter.prefix.sites=all"], 5_529_600),
            // An embedding, W1, b1, W2 and b2 for each of three.
            (
                "prefix",
                vec![m, "adapter.prefix.sites=all", "adapter.prefix.hidden=512"],
                3 * (100 * 768 + 768 * 512 + 512 + (512 + 1) * 2 * 12 * 768),
            ),
            // The offset and 60 virtual tokens, and the networks of the two methods above.
            (
                "adept",
                vec!["adapter.adept.prompt=residual"],
                76_051 + 2 * 768 * 800 + 800 + 768 + 2 * 768,
            ),
            (
                "adept",
                vec!["adapter.adept.prompt=p_tuning"],
                76_051 + 3 * (768 * 768 + 768),
            ),
            ("ia3", vec![], 129_024),
        ] {
            assert_eq!(trainable(&t5, method, &set), expected, "{method}");
        }
    }

    #[test]
    fn a_method_that_does_not_fit_says_why() {
        let small = T5Config {
            num_layers: 4,
            ..T5Config::t5_small()
        };
        let subject = Subject {
            name: "small".to_owned(),
            model: &small,
            settings: &With(vec!["adapter.adapter_drop.skip_blocks=5".to_owned()]),
        };
        let text = costs(&subject).unwrap().to_string();
        assert!(
            text.contains("skip_blocks is 5, but a stack of the model has 4 blocks"),
            "{text}"
        );
    }
}
