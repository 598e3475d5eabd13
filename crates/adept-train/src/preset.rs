//! The two protocols as named defaults: `paper` (what the paper says) and `reference` (what the published script does).
//!
//! The values live in `presets/*.toml`: `paper` names every field, `reference` only what it does differently, `large`,
//! `pt`, `residual` and `program` what both change for tasks of more than 70,000 training rows, for methods that train
//! a prompt alone and for tasks whose targets are programs.

use std::collections::BTreeMap;

use adept_core::Method;
use adept_data::Task;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::config::{defaults_of, flatten};

/// A named protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// The paper's text.
    Paper,
    /// The published script.
    Reference,
}

impl std::fmt::Display for Preset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Preset::Paper => "paper",
            Preset::Reference => "reference",
        })
    }
}

/// Training rows of the paper's border between small and large tasks.
const LARGE: usize = 70_000;

/// Every field's default, by dotted key.
pub(crate) fn defaults(preset: Preset, task: Option<&str>, method: Option<&str>) -> BTreeMap<String, Value> {
    let mut layers = vec![include_str!("../presets/paper.toml")];
    if preset == Preset::Reference {
        layers.push(include_str!("../presets/reference.toml"));
    }
    // A task that is not known yet, or a card that cannot be read, is an error where the run is prepared.
    let task: Option<Task> = task.and_then(|task| task.parse().ok());
    let rows = task.as_ref().and_then(|task| task.card().counts.get("train"));
    if rows.is_some_and(|rows| *rows > LARGE) {
        layers.push(include_str!("../presets/large.toml"));
    }
    layers.extend(match method {
        Some("pt" | "p_tuning" | "mpt" | "attempt") => Some(include_str!("../presets/pt.toml")),
        Some("residual") => Some(include_str!("../presets/residual.toml")),
        _ => None,
    });
    if task.as_ref().is_some_and(Task::is_program) {
        layers.push(include_str!("../presets/program.toml"));
        layers.extend(match method {
            Some("pt" | "p_tuning" | "mpt" | "attempt") => Some(include_str!("../presets/program-pt.toml")),
            Some("dept") => Some(include_str!("../presets/program-dept.toml")),
            Some("lora") => Some(include_str!("../presets/program-lora.toml")),
            Some("adept") | None => Some(include_str!("../presets/program-adept.toml")),
            _ => None,
        });
    }
    let mut values = BTreeMap::new();
    for text in layers {
        let table: Table = text.parse().expect("the presets are TOML; a test parses each");
        values.extend(flatten(&table));
    }
    let method = method.or_else(|| values.get("adapter.method").and_then(Value::as_str));
    let own = method.and_then(|method| method.parse::<Method>().ok());
    for (key, value) in own.into_iter().flat_map(defaults_of) {
        values.entry(key).or_insert(value);
    }
    if let Some(task) = task {
        let length = i64::try_from(task.card().source.max_length).unwrap_or(i64::MAX);
        values.insert("input.max_source_length".to_owned(), Value::Integer(length));
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fields;

    /// The differences of protocol.md's table and of its paragraph on initialisation, and no others.
    #[test]
    fn reference_differs_exactly_where_the_script_does() {
        let (paper, reference) = (
            defaults(Preset::Paper, None, None),
            defaults(Preset::Reference, None, None),
        );
        let changed: Vec<_> = paper
            .iter()
            .filter(|(key, value)| reference[*key] != **value)
            .map(|(key, value)| format!("{key}: {value} -> {}", reference[key]))
            .collect();
        assert_eq!(
            changed,
            [
                "adapter.bottleneck_dropout: 0.0 -> 0.1",
                "adapter.init: \"vocabulary\" -> \"text\"",
                "generation.offset_new_tokens: true -> false",
                "input.pad_to_max: false -> true",
                "input.positions: \"tokens\" -> \"slots\"",
                "input.reference_slips: false -> true",
                "optimizer.beta2: 0.98 -> 0.999",
                "optimizer.clip_norm: 0.0 -> 1.0",
                "optimizer.full.weight_decay: 0.01 -> 0.0",
                "optimizer.offset.weight_decay: 0.01 -> 0.0",
                "optimizer.prompt.weight_decay: 0.01 -> 0.0",
                "preset: \"paper\" -> \"reference\"",
                "train.backbone_dropout: 0.0 -> \"model\"",
            ]
        );
    }

    /// Section 4.1: rank 16 and a rate of 1e-4 for LoRA, 1e-3 for prompts.
    #[test]
    fn programs_have_the_paper_s_sizes_and_rates() {
        let of = |method: &str, key: &str| defaults(Preset::Paper, Some("mbpp"), Some(method))[key].clone();
        assert_eq!(of("lora", "adapter.lora.rank"), Value::Integer(16));
        assert_eq!(of("lora", "optimizer.lora.learning_rate"), Value::Float(1e-4));
        for (method, tokens) in [("pt", 10), ("dept", 7), ("adept", 7)] {
            assert_eq!(of(method, "adapter.virtual_tokens"), Value::Integer(tokens), "{method}");
            assert_eq!(
                of(method, "optimizer.prompt.learning_rate"),
                Value::Float(1e-3),
                "{method}"
            );
        }
        assert_eq!(of("dept", "adapter.rank"), Value::Integer(3));
    }

    #[test]
    fn presets_hold_every_field_and_nothing_else() {
        for preset in [Preset::Paper, Preset::Reference] {
            for (task, method) in [
                (None, None),
                (Some("mnli"), Some("pt")),
                (Some("mbpp"), Some("dept")),
                (None, Some("lora")),
                (None, Some("residual")),
                (Some("mbpp"), Some("p_tuning")),
                (Some("mbpp"), Some("lora")),
            ] {
                let values = defaults(preset, task, method);
                let is_meant = |own: Method| own.name() == method.unwrap_or("adept");
                let meant = fields::RUN
                    .fields
                    .iter()
                    .filter(|field| field.method.is_none_or(is_meant));
                let mut known: Vec<_> = meant.map(|field| field.key.as_str()).collect();
                known.sort_unstable();
                assert_eq!(values.keys().map(String::as_str).collect::<Vec<_>>(), known);
            }
        }
    }
}
