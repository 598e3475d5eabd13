//! `docs/configuration.md`, made from the schema and the presets so that page and code cannot drift apart.

use std::collections::BTreeMap;
use std::fmt::Write;

use adept_core::Method;
use toml::Value;

use super::RunConfig;
use super::fields::{Field, Kind, RUN};
use super::schema::Schema;
use crate::preset::{Preset, defaults};

const HEAD: &str = "\
# Configuration of a run

Every field of a run, with its type, meaning and default. This page is generated from the structs in
`crates/adept-train/src/config/sections.rs`; a test fails where the two differ and says how to renew the page.

A value comes from the uppermost of three layers that names it:

1. the preset, `paper` (what the paper says) or `reference` (what the published script does);
2. a TOML file, whose sections are the dots of the keys below (`train.steps` is `steps` under `[train]`);
3. `--set key=value` on the command line, the last one winning.

`adept reproduce` takes no file. Its profile (`crates/adept-lab/profiles`) takes its place, with values for all runs,
for single methods and for single tasks.

Unknown keys and values out of range are errors that name the file and line. The resolved values, and which of them
differ from the preset, are written to `config.toml` in the run's folder and to the first line of its record.

A run that is continued must have the same values as when it was begun, except in the fields marked *free*: those
cannot change what is trained.

What a model was trained with travels with it: the text of the task's card, labels, lengths, the method of answering and,
of decoder-only backbones, the section `[generation]`, in `adapter_config.json` under `adept.trained`, and for method
`full` in `best/trained.json`. `adept eval` and `adept predict` start from it in place of a preset; options and `--set`
still win, and what they change is said. No path of a card, of data or of a backbone is among it.

Before training starts, a run says how many sources and targets of each split lose something as token ids: tokens beyond
a limit, characters that the vocabulary has no token for, and text that the tokenizer changes (collapsed
white space, line breaks, replaced characters). The counts are in the record too, `losses` of its
first line.

";

const TAIL: &str = "
## Where the presets differ

| key | paper | reference |
|---|---|---|
";

/// The page's full text.
pub fn page() -> String {
    let [paper, reference] = [Preset::Paper, Preset::Reference].map(|preset| {
        let mut values = defaults(preset, None, None);
        values.extend(Method::ALL.iter().flat_map(|method| super::defaults_of(*method)));
        values
    });
    let mut page = HEAD.to_owned();
    let mut section = None;
    for field in &RUN.fields {
        if section != Some(field.section()) {
            let blank = if section.is_some() { "\n" } else { "" };
            let _ = write!(page, "{blank}{}", heading("##", field.section(), &RUN));
            page.push_str("| key | type | paper | reference | meaning |\n|---|---|---|---|---|\n");
            section = Some(field.section());
        }
        let free = if field.decides { "" } else { " *Free.*" };
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} | {}{free} |",
            field.key,
            kind(&field.kind),
            default_of(field, &paper[&field.key]),
            default_of(field, &reference[&field.key]),
            field.meaning,
        );
    }
    page.push_str(TAIL);
    for field in &RUN.fields {
        let (left, right) = (&paper[&field.key], &reference[&field.key]);
        if left != right {
            let _ = writeln!(page, "| `{}` | {} | {} |", field.key, value(left), value(right));
        }
    }
    page
}

/// A configuration as a TOML file in which a comment says what each field means and takes.
pub fn commented(config: &RunConfig) -> String {
    const WIDTH: usize = 96;
    let values: BTreeMap<String, Value> = config.values().into_iter().collect();
    let mut text = String::new();
    let mut section = "";
    for field in &RUN.fields {
        let Some(value) = values.get(&field.key) else { continue };
        if field.section() != section {
            section = field.section();
            let _ = write!(text, "\n[{section}]\n");
        }
        let mut line = String::from("#");
        for word in format!("{} ({})", field.meaning, field.kind.describe()).split(' ') {
            if line.len() + word.len() >= WIDTH {
                let _ = writeln!(text, "{line}");
                line = String::from("#");
            }
            line.push(' ');
            line.push_str(word);
        }
        let name = field.key.rsplit('.').next().unwrap_or(&field.key);
        let _ = writeln!(text, "{line}\n{name} = {value}");
    }
    text
}

/// The heading of a section, with what the section is for.
pub(crate) fn heading(level: &str, section: &str, schema: &Schema) -> String {
    if section.is_empty() {
        return format!("{level} Top level\n\n");
    }
    let meaning = schema.sections.iter().find(|(name, _)| name == section);
    let meaning = meaning.map_or_else(String::new, |(_, meaning)| format!("{meaning}\n\n"));
    format!("{level} `[{section}]`\n\n{meaning}")
}

/// A field's default. Of the texts only those outside the sections have to be given.
fn default_of(field: &Field, default: &Value) -> String {
    match default {
        Value::String(text) if text.is_empty() && field.key.contains('.') => "`\"\"`".into(),
        other => value(other),
    }
}

/// A value as it stands in TOML; an empty text means that the field has to be given.
pub(crate) fn value(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "(must be given)".into(),
        other => format!("`{other}`"),
    }
}

pub(crate) fn kind(kind: &Kind) -> String {
    match kind {
        Kind::Choice(words) => {
            let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            match words.split_last() {
                Some((last, [_, ..])) => format!("{} or {last}", words[..words.len() - 1].join(", ")),
                _ => words.concat(),
            }
        }
        other => other.describe(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Run with `ADEPT_RENEW_DOCS=1` to write the page anew.
    #[test]
    fn page_is_in_step_with_the_code() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
        if std::env::var_os("ADEPT_RENEW_DOCS").is_some() {
            std::fs::write(&path, page()).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == page(),
            "docs/configuration.md is stale: run `ADEPT_RENEW_DOCS=1 cargo test -p adept-train page_is`"
        );
    }
}
