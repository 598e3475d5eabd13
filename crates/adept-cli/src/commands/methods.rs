//! `adept methods`: what each method trains, stores and costs on a backbone.

use adept_lab::bench::BenchSize;
use adept_lab::costs::{self, Subject};
use adept_models::auto;
use adept_train::TrainError;
use adept_train::config::{RunConfig, TrainMethod};

use super::{hub, run_failure, settings};
use crate::args::Methods;
use crate::failure::{Failure, say};

/// Settings from the command line. Those of a method's own section hold for that method.
#[derive(Debug)]
struct Chosen {
    overrides: Vec<String>,
}

impl costs::Settings for Chosen {
    fn of(&self, method: TrainMethod) -> Result<RunConfig, TrainError> {
        let is_of_another = |key: &str| {
            let others = TrainMethod::all().filter(|other| *other != method);
            let mut sections = others.map(|other| format!("adapter.{other}."));
            sections.any(|section| key.starts_with(&section))
        };
        let overrides = self.overrides.iter().filter(|key| !is_of_another(key)).cloned();
        let overrides: Vec<String> = overrides.chain([format!("adapter.method={method}")]).collect();
        Ok(adept_train::config::resolve(None, &overrides)?.config)
    }
}

/// Prints the table.
pub fn run(arguments: &Methods) -> Result<(), Failure> {
    let (name, model, is_causal) = match &arguments.backbone {
        Some(backbone) => {
            let opened = auto::open(&hub::backbone(backbone)?).map_err(Failure::input)?;
            let is_causal = opened.family.is_causal();
            (backbone.display().to_string(), opened.config, is_causal)
        }
        None => {
            let size = arguments.size.unwrap_or(BenchSize::T5Base);
            (size.to_string(), size.config(), size.is_causal())
        }
    };
    // Decoder-only backbones are the paper's for programs, which have settings of their own.
    let first = is_causal.then(|| "task=mbpp".to_owned());
    let chosen = Chosen {
        overrides: settings::overrides(&arguments.settings, first.into_iter().collect()),
    };
    let subject = Subject {
        name,
        model: &*model,
        settings: &chosen,
    };
    let costs = costs::costs(&subject).map_err(run_failure)?;
    match arguments.json {
        true => say(serde_json::to_string_pretty(&costs).map_err(Failure::run)?),
        false => say(costs.to_string().trim_end()),
    }
}
