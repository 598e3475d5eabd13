//! `docs/methods.md` and the README's support matrix, made from the registry of methods so that pages and code cannot
//! drift apart.

use std::fmt::Write;

use adept_core::{GroupDefaults, Merge, Method};
use adept_models::Family;

use super::TrainMethod;

const HEAD: &str = "\
# Methods

What `adapter.method` can be. This page is generated from `crates/adept-core/src/method`; a test fails where the two differ
and says how to renew the page.

`full` trains every parameter of the backbone and saves a backbone. Every other method leaves the backbone as it is and saves
an adapter in PEFT's layout (`adapter_config.json`, `adapter_model.safetensors`).

| `adapter.method` | name | what is trained | `peft_type` | can be merged into |
|---|---|---|---|---|
";

/// The page's full text.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    for method in Method::ALL {
        let info = method.info();
        let _ = writeln!(
            page,
            "| `{method}` | {} | {} | `{}` | {} |",
            info.title,
            info.summary,
            method.peft_types().join("` or `"),
            merge(info.merge)
        );
    }
    for method in Method::ALL {
        let info = method.info();
        let _ = write!(page, "\n## {}\n\n{}.\n", info.title, info.citation);
        if !method.settings().is_empty() {
            let _ = write!(
                page,
                "\nSettings of the section `[adapter.{method}]`, which a run of another method does not take:\n\n\
                 | key | default | meaning |\n|---|---|---|\n"
            );
            for setting in method.settings() {
                let _ = writeln!(
                    page,
                    "| `{}` | `{}` | {} |",
                    setting.key, setting.default, setting.meaning
                );
            }
        }
        let _ = write!(page, "\nParameter groups:\n\n");
        for group in info.groups {
            let name = group.name;
            let _ = match group.defaults {
                None => writeln!(page, "- `optimizer.{name}`: as the preset says (docs/configuration.md)"),
                Some(GroupDefaults {
                    learning_rate,
                    weight_decay,
                    warmup_steps,
                }) => writeln!(
                    page,
                    "- `optimizer.{name}`: rate {learning_rate}, decay {weight_decay}, warm-up of {warmup_steps} steps \
                     by default"
                ),
            };
        }
    }
    page
}

fn merge(merge: Merge) -> String {
    match merge {
        Merge::Weights => "the weights (`adept merge`)".to_owned(),
        Merge::Table => "a table of input embeddings (`adept_core::fold`)".to_owned(),
        Merge::No(reason) => format!("nothing: {reason}"),
    }
}

/// The README's table: every method on every family of backbones; families that agree in all methods share a column.
pub fn support_matrix() -> String {
    let mut columns: Vec<(Vec<&str>, Vec<&str>)> = Vec::new();
    for family in Family::ALL {
        let states: Vec<&str> = TrainMethod::all().map(|method| state(method, *family)).collect();
        match columns.iter_mut().find(|(_, known)| *known == states) {
            Some((titles, _)) => titles.push(family.title()),
            None => columns.push((vec![family.title()], states)),
        }
    }
    let titles: Vec<String> = columns.iter().map(|(titles, _)| titles.join(", ")).collect();
    let mut table = format!(
        "| method | {} |\n|---|{}\n",
        titles.join(" | "),
        "---|".repeat(columns.len())
    );
    for (row, method) in TrainMethod::all().enumerate() {
        let title = method
            .adapter()
            .map_or("full fine-tuning", |method| method.info().title);
        let states: Vec<&str> = columns.iter().map(|(_, states)| states[row]).collect();
        let _ = writeln!(table, "| {title} (`{method}`) | {} |", states.join(" | "));
    }
    table
}

fn state(method: TrainMethod, family: Family) -> &'static str {
    let needs_encoder = method.adapter().is_some_and(Method::needs_encoder);
    let is_ladder = method.adapter() == Some(Method::Lst);
    match () {
        () if needs_encoder && family.is_causal() => "no: it needs an encoder",
        () if is_ladder && !family.runs_side_network() => "no: it does not copy such blocks",
        () => "yes",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use adept_core::ParameterGroup;

    use super::*;

    fn renewed(path: &std::path::Path, text: &str) -> String {
        if std::env::var_os("ADEPT_RENEW_DOCS").is_some() {
            std::fs::write(path, text).unwrap();
        }
        std::fs::read_to_string(path).unwrap_or_default()
    }

    /// Run with `ADEPT_RENEW_DOCS=1` to write the page anew.
    #[test]
    fn page_is_in_step_with_the_registry() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/methods.md");
        let stale = "docs/methods.md is stale: run `ADEPT_RENEW_DOCS=1 cargo test -p adept-train page_is`";
        assert!(renewed(&path, &page()) == page(), "{stale}");
    }

    /// Run with `ADEPT_RENEW_DOCS=1` to write the table anew.
    #[test]
    fn readme_page_is_in_step_with_the_registry() {
        const MARKS: [&str; 2] = ["<!-- support matrix -->\n", "<!-- end of the support matrix -->\n"];
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
        let readme = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = readme.split_once(MARKS[0]).unwrap();
        let (_, after) = rest.split_once(MARKS[1]).unwrap();
        let expected = [before, MARKS[0], &support_matrix(), MARKS[1], after].concat();
        let stale = "README.md is stale: run `ADEPT_RENEW_DOCS=1 cargo test -p adept-train page_is`";
        assert!(renewed(&path, &expected) == expected, "{stale}");
    }

    /// Every method is complete: a title, a citation, groups, a configuration that resolves.
    #[test]
    fn every_method_is_described() {
        for method in Method::ALL {
            let info = method.info();
            for text in [info.title, info.summary, info.peft_type, info.citation] {
                assert!(!text.is_empty(), "{method}");
            }
            assert!(!info.groups.is_empty(), "{method}");
            let resolved = crate::config::resolve(None, &[format!("adapter.method={method}")]).unwrap();
            let has_section = |group: &ParameterGroup| resolved.config.optimizer.group(group.name).is_some();
            assert!(info.groups.iter().all(has_section), "{method}");
        }
    }
}
