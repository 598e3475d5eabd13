//! The part of a model card that people read: Markdown.

use std::fmt::Write as _;

use adept_core::Method;
use adept_data::Task;
use adept_models::Family;

use super::ModelCard;
use super::front_matter::is_read_by_peft;
use crate::config::TrainMethod;
use crate::config::fields::RUN;
use crate::record::{Scores, Start};

/// What the card is of, for headings.
pub(super) fn title(start: &Start) -> String {
    let task = start.own_task();
    let name = start.task_name();
    let display = plain(task.as_ref().map_or(name.as_str(), Task::display_name));
    match start.resolved.config.adapter.method {
        TrainMethod::Full => format!("{} fine-tuned on {display}", plain(&start.backbone)),
        TrainMethod::Adapter(method) => {
            format!(
                "{} adapter of {} for {display}",
                method.info().title,
                plain(&start.backbone)
            )
        }
    }
}

/// Whether the backbone is decoder-only.
pub(super) fn is_causal(start: &Start) -> bool {
    let family = Family::ALL.iter().find(|family| family.name() == start.family);
    family.is_some_and(|family| family.is_causal())
}

/// The card below its front matter.
pub(super) fn of(card: &ModelCard<'_>) -> String {
    let parts = [
        about(card),
        scores(card),
        data(card.start),
        settings(card.start),
        usage(card.start),
        citation(card.start),
    ];
    parts.join("\n")
}

fn about(card: &ModelCard<'_>) -> String {
    let (start, selection) = (card.start, card.selection);
    let config = &start.resolved.config;
    let mut text = format!("# {}\n\n", title(start));
    text += &match config.adapter.method {
        TrainMethod::Full => {
            "All parameters of the backbone were trained; the folder is a complete model.\n".to_owned()
        }
        TrainMethod::Adapter(method) => format!(
            "{} trains {}. The folder holds only that; the backbone is needed too, with the fingerprint below.\n",
            method.info().title,
            method.info().summary,
        ),
    };
    let steps = match selection.metric.as_str() {
        "" => format!("{}; the last one was kept", config.train.steps),
        metric => format!(
            "{}; step {} was kept, the best by {metric} on the validation split",
            config.train.steps, selection.step
        ),
    };
    let share = 100.0 * start.trainable_parameters as f64 / start.backbone_parameters.max(1) as f64;
    let code = match &start.code_commit {
        Some(commit) => format!("adept {}, commit {}", start.code_version, code(commit)),
        None => format!("adept {}", start.code_version),
    };
    let mut rows = vec![
        ("Method", code_of(config.adapter.method.name())),
        ("Backbone", format!("{} ({})", code_of(&start.backbone), start.family)),
        ("Fingerprint of its weights", code_of(&start.fingerprint)),
        (
            "Trained values",
            format!(
                "{} ({share:.3} % of the backbone's {})",
                start.trainable_parameters, start.backbone_parameters
            ),
        ),
    ];
    if start.virtual_tokens > 0 {
        rows.push(("Virtual tokens", start.virtual_tokens.to_string()));
    }
    if start.rank > 0 {
        rows.push(("Rank", start.rank.to_string()));
    }
    rows.extend([
        ("Steps", steps),
        (
            "Examples per step",
            (config.train.batch_size * config.train.accumulation).to_string(),
        ),
        ("Seed", config.seed.to_string()),
        ("Trained by", format!("{code} on {}", plain(&start.device))),
    ]);
    text += "\n| | |\n|---|---|\n";
    for (name, value) in rows {
        let _ = writeln!(text, "| {name} | {value} |");
    }
    text
}

fn scores(card: &ModelCard<'_>) -> String {
    let known = [("validation", Some(&card.selection.scores)), ("test", card.test)];
    let known: Vec<(&str, &Scores)> = known
        .into_iter()
        .filter_map(|(split, scores)| Some((split, scores.filter(|scores| !scores.is_empty())?)))
        .collect();
    if known.is_empty() {
        return "## Scores\n\nNot scored yet.\n".to_owned();
    }
    let mut text = "## Scores\n\nTimes 100.\n\n| split | metric | score |\n|---|---|---|\n".to_owned();
    for (split, scores) in known {
        for (metric, score) in scores {
            let _ = writeln!(text, "| {split} | {metric} | {score:.2} |");
        }
    }
    text
}

fn data(start: &Start) -> String {
    let [train, validation, test] = start.examples;
    let mut text = format!(
        "## Data\n\nTask {}: {train} training examples, {validation} to choose the best step, {test} for the test.\n",
        code_of(&start.task_name())
    );
    if !start.data.is_empty() {
        text += "\n| file | rows | SHA-256 |\n|---|---|---|\n";
    }
    for file in &start.data {
        let _ = writeln!(
            text,
            "| {} | {} | {} |",
            code_of(&file.name),
            file.rows,
            code_of(&file.sha256)
        );
    }
    text
}

/// Settings that are paths of the machine; the checksums of what was there are among the data.
const PATHS: [&str; 3] = ["adapter.init_from", "adapter.sources", "distillation.teachers"];

/// The settings that differ from the preset, without those that decide nothing, and without paths.
fn settings(start: &Start) -> String {
    let preset = start.resolved.config.preset;
    let is_told =
        |key: &str| key != "task" && !PATHS.contains(&key) && RUN.find(key).is_some_and(|field| field.decides);
    let changed: Vec<_> = start
        .resolved
        .overrides
        .iter()
        .filter(|entry| is_told(&entry.key))
        .collect();
    if changed.is_empty() {
        return format!("## Settings\n\nThose of the preset `{preset}`.\n");
    }
    let mut text = format!(
        "## Settings\n\nThose of the preset `{preset}`, except:\n\n| setting | value | preset |\n|---|---|---|\n"
    );
    for entry in changed {
        let (value, preset) = (entry.value.to_string(), entry.preset.to_string());
        let _ = writeln!(text, "| `{}` | {} | {} |", entry.key, code_of(&value), code_of(&preset));
    }
    text
}

fn usage(start: &Start) -> String {
    let backbone = plain(&start.backbone);
    let mut text = "## Use\n\n".to_owned();
    if start.resolved.config.adapter.method == TrainMethod::Full {
        text += "```sh\nadept predict --backbone THIS_FOLDER < sources.txt\nadept eval --backbone THIS_FOLDER --data \
                 DATA\n```\n";
        return text;
    }
    let _ = write!(
        text,
        "```sh\nadept predict --adapter THIS_FOLDER --backbone {backbone} < sources.txt\nadept eval --adapter \
         THIS_FOLDER --backbone {backbone} --data DATA\n```\n"
    );
    if is_read_by_peft(start) {
        let class = if is_causal(start) {
            "AutoModelForCausalLM"
        } else {
            "AutoModelForSeq2SeqLM"
        };
        let name = serde_json::Value::from(start.backbone.as_str());
        let _ = write!(
            text,
            "\nOr in Python:\n\n```python\nfrom peft import PeftModel\nfrom transformers import {class}\n\nmodel = \
             PeftModel.from_pretrained({class}.from_pretrained({name}), \"THIS_FOLDER\")\n```\n"
        );
        let method = start.resolved.config.adapter.method.adapter();
        if is_causal(start) && matches!(method, Some(Method::Pt | Method::PTuning)) {
            text += "\nGenerate with `use_cache=False`: with a cache, peft 0.21 and transformers 5 write other text behind \
                     virtual tokens.\n";
        }
    }
    text
}

fn citation(start: &Start) -> String {
    let method = start.resolved.config.adapter.method.adapter();
    method.map_or_else(String::new, |method| {
        format!("## Citation\n\n{}\n\n", method.info().citation)
    })
}

/// A name on one line of Markdown, without what would end a cell of a table.
fn plain(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}

/// A text as code in a cell of a table.
fn code(text: &str) -> String {
    let longest = text.split(|letter| letter != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let space = if longest > 0 { " " } else { "" };
    format!("{fence}{space}{}{space}{fence}", plain(text))
}

fn code_of(text: &str) -> String {
    match text {
        "" => "–".to_owned(),
        text => code(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stay_in_their_cell() {
        for (text, expected) in [
            ("0.3", "`0.3`"),
            ("\"a | b\"", "`\"a \\| b\"`"),
            ("a\nb", "`a b`"),
            ("`x` and ``y``", "``` `x` and ``y`` ```"),
            ("", "–"),
        ] {
            assert_eq!(code_of(text), expected);
        }
    }
}
