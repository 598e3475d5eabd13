//! The part of a model card that the hub reads: YAML between two lines `---`.
//!
//! Strings are written as JSON strings, which YAML reads as they are.

use adept_data::Task;

use super::ModelCard;
use super::text::{is_causal, title};
use crate::config::TrainMethod;
use crate::record::{Scores, Start};

/// `peft_type`s that Python's peft builds and runs. Prefixes are left out: its `generate` ignores them with
/// transformers 5.24, and a forward pass of T5 fails.
const PEFT_TYPES: [&str; 4] = ["PROMPT_TUNING", "P_TUNING", "LORA", "IA3"];

/// Whether peft computes the same with the adapter's files.
pub(super) fn is_read_by_peft(start: &Start) -> bool {
    let method = start.resolved.config.adapter.method.adapter();
    method.is_some_and(|method| PEFT_TYPES.contains(&method.info().peft_type))
}

/// The front matter, its two lines included.
pub(super) fn of(card: &ModelCard<'_>) -> String {
    let start = card.start;
    let method = start.resolved.config.adapter.method;
    let (library, relation) = match method {
        TrainMethod::Full => ("transformers", "finetune"),
        TrainMethod::Adapter(_) if is_read_by_peft(start) => ("peft", "adapter"),
        TrainMethod::Adapter(_) => ("adept", "adapter"),
    };
    let mut lines = vec!["---".to_owned(), format!("library_name: {library}")];
    if is_repository(&start.backbone) {
        lines.push(format!("base_model: {}", quoted(&start.backbone)));
        lines.push(format!("base_model_relation: {relation}"));
    }
    lines.push("tags:".to_owned());
    let task = start.task_name();
    let mut tags = vec!["adept", method.name(), &task];
    // The program and one of its methods have the same name.
    tags.dedup();
    lines.extend(tags.into_iter().map(|tag| format!("- {}", quoted(tag))));
    lines.extend(model_index(card));
    lines.push("---".to_owned());
    lines.join("\n") + "\n"
}

/// Whether a name can be that of a repository on the hub.
fn is_repository(name: &str) -> bool {
    let is_part = |part: &str| {
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        !part.is_empty() && part.chars().all(allowed) && !part.starts_with(['-', '.']) && !part.ends_with(['-', '.'])
    };
    name.split('/').count() <= 2 && name.split('/').all(is_part)
}

/// Scores in the form of the hub's `model-index`; no lines if there are none.
fn model_index(card: &ModelCard<'_>) -> Vec<String> {
    let start = card.start;
    let task = start.own_task();
    let name = start.task_name();
    let display = task.as_ref().map_or(name.as_str(), Task::display_name);
    let kind = match &task {
        Some(task) if task.labels().is_some() => "text-classification",
        _ if is_causal(start) => "text-generation",
        _ => "text2text-generation",
    };
    let splits = [("validation", Some(&card.selection.scores)), ("test", card.test)];
    let scored = splits
        .into_iter()
        .filter_map(|(split, scores)| Some((split, finite(scores?)?)));
    let mut lines = Vec::new();
    for (split, scores) in scored {
        lines.extend([
            "  - task:".to_owned(),
            format!("      type: {kind}"),
            "    dataset:".to_owned(),
            format!("      type: {}", quoted(&name)),
            format!("      name: {}", quoted(display)),
            format!("      split: {split}"),
            "    metrics:".to_owned(),
        ]);
        for (metric, score) in scores {
            lines.push(format!("    - type: {}", quoted(metric)));
            lines.push(format!("      value: {score}"));
        }
    }
    if !lines.is_empty() {
        let head = [
            "model-index:".to_owned(),
            format!("- name: {}", quoted(&title(start))),
            "  results:".to_owned(),
        ];
        lines.splice(0..0, head);
    }
    lines
}

/// The scores that are numbers; `None` if there are none.
fn finite(scores: &Scores) -> Option<Vec<(&String, f64)>> {
    let finite: Vec<_> = scores
        .iter()
        .map(|(metric, score)| (metric, *score))
        .filter(|(_, score)| score.is_finite())
        .collect();
    (!finite.is_empty()).then_some(finite)
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_repositories() {
        for (name, expected) in [
            ("t5-base", true),
            ("google/flan-t5-base", true),
            ("Salesforce/codegen-350M-mono", true),
            ("", false),
            ("a/b/c", false),
            ("/t5", false),
            ("my model", false),
            (".cache", false),
        ] {
            assert_eq!(is_repository(name), expected, "{name}");
        }
    }
}
