//! What a search tries: lists of values for settings, and every choice of one value from each.
//!
//! The searches that have a name are TOML files in `searches/`, embedded in the program; users give their lists as
//! `KEY=VALUE,VALUE`.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use adept_core::Method;
use adept_train::config::{TrainMethod, Values, chosen, fields};
use schemars::JsonSchema;
use serde::Deserialize;
use toml::Value;

use super::SearchError;

/// A search that has a name: lists of values for every method.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SpaceName {
    /// What the paper searches for ADePT, and as many settings for every other method.
    #[default]
    Paper,
    /// For small models and few steps.
    Small,
}

impl SpaceName {
    /// Every one of them.
    pub const ALL: [Self; 2] = [Self::Paper, Self::Small];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Paper => "paper",
            Self::Small => "small",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Paper => include_str!("../../../searches/paper.toml"),
            Self::Small => include_str!("../../../searches/small.toml"),
        }
    }

    /// The lists of one method; none if it has none.
    fn axes(self, method: TrainMethod) -> Vec<Axis> {
        let mut file: SpaceFile =
            toml::from_str(self.text()).expect("the searches are part of the program; a test reads each");
        file.methods.remove(method.name()).unwrap_or_default()
    }
}

/// A file of `searches/`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SpaceFile {
    #[serde(rename = "about")]
    _about: String,
    methods: BTreeMap<String, Vec<Axis>>,
}

/// A setting and the values that are tried for it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Axis {
    /// The setting, such as `optimizer.prompt.learning_rate`.
    pub key: String,
    /// Its values.
    pub values: Vec<Value>,
}

impl FromStr for Axis {
    type Err = SearchError;

    /// Parses `KEY=VALUE,VALUE`.
    fn from_str(text: &str) -> Result<Self, SearchError> {
        let word = || SearchError::Word { found: text.to_owned() };
        let (key, values) = text.split_once('=').ok_or_else(word)?;
        let values: Vec<&str> = values
            .split(',')
            .map(str::trim)
            .filter(|value| !value.is_empty())
            .collect();
        if values.is_empty() {
            return Err(SearchError::NoValue { key: key.to_owned() });
        }
        let value = |value: &str| -> Result<Value, SearchError> { Ok(setting(key.trim(), value)?.1) };
        Ok(Self {
            key: key.trim().to_owned(),
            values: values.into_iter().map(value).collect::<Result<_, _>>()?,
        })
    }
}

/// Checks one value of a setting against the schema of a run.
fn setting(key: &str, value: &str) -> Result<(String, Value), SearchError> {
    let (key, (value, _)) = chosen(&fields::RUN, None, &[format!("{key}={value}")])?
        .into_iter()
        .next()
        .expect("one assignment gives one value");
    Ok((key, value))
}

/// Where the values of a search come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Space {
    /// A search that has a name.
    Named(SpaceName),
    /// Lists given by the user, for every method that has the settings.
    Own(Vec<Axis>),
}

/// One choice of settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Name of its folder.
    pub name: String,
    /// Its values as texts, one for each list.
    pub values: Vec<String>,
    /// Its settings.
    pub settings: Values,
}

/// The lists of one method and every choice from them.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidates {
    /// Settings of the lists.
    pub keys: Vec<String>,
    /// Every choice, the last list varying fastest.
    pub all: Vec<Candidate>,
}

impl Space {
    /// What is tried for a method. A list of the user's whose setting the method does not have is left out for it.
    ///
    /// # Errors
    /// A named search without the method, a list with a value twice, or a value that its setting cannot have.
    pub fn candidates(&self, method: TrainMethod) -> Result<Candidates, SearchError> {
        let axes = match self {
            Self::Named(name) => {
                let axes = name.axes(method);
                if axes.is_empty() {
                    return Err(SearchError::NoSpace { method, space: *name });
                }
                axes
            }
            Self::Own(axes) => axes
                .iter()
                .filter(|axis| has_setting(method, &axis.key))
                .cloned()
                .collect(),
        };
        let keys: Vec<String> = axes.iter().map(|axis| axis.key.clone()).collect();
        let short = short_keys(&axes);
        let mut all = vec![Candidate {
            name: String::new(),
            values: Vec::new(),
            settings: Values::new(),
        }];
        for (axis, short) in axes.iter().zip(&short) {
            let mut longer = Vec::with_capacity(all.len() * axis.values.len());
            for candidate in &all {
                for value in &axis.values {
                    let mut next = candidate.clone();
                    let text = plain(value);
                    next.settings
                        .extend(chosen(&fields::RUN, None, &[format!("{}={text}", axis.key)])?);
                    if axis.values.len() > 1 {
                        let gap = if next.name.is_empty() { "" } else { "_" };
                        next.name.push_str(&file_name(&format!("{gap}{short}-{text}")));
                    }
                    next.values.push(text);
                    longer.push(next);
                }
            }
            all = longer;
        }
        let names: BTreeSet<&str> = all.iter().map(|candidate| candidate.name.as_str()).collect();
        if names.len() < all.len() {
            return Err(SearchError::Twice { method });
        }
        Ok(Candidates { keys, all })
    }
}

/// Common settings that only methods with an offset use.
const OF_OFFSETS: [&str; 5] = [
    "adapter.rank",
    "adapter.budget_tokens",
    "adapter.dept_alpha",
    "adapter.bottleneck_dropout",
    "adapter.fan_in",
];

/// Whether a setting is one of the method's own or of every run, so that trying values of it is no repetition.
fn has_setting(method: TrainMethod, key: &str) -> bool {
    if let Some(field) = fields::RUN.find(key).and_then(|field| field.method) {
        return Some(field) == method.adapter();
    }
    let info = method.adapter().map(Method::info);
    let has_group = |name: &str| match &info {
        Some(info) => info.groups.iter().any(|group| group.name == name),
        None => name == TrainMethod::Full.name(),
    };
    let parts: Vec<&str> = key.split('.').collect();
    match parts[..] {
        ["optimizer", group, _] => has_group(group),
        ["adapter", _] if OF_OFFSETS.contains(&key) => has_group("offset"),
        // A prefix is no part of the input, but counts its slots by the same setting.
        ["adapter", "virtual_tokens"] if method.adapter() == Some(Method::Prefix) => true,
        ["adapter", name] if name == "virtual_tokens" || name.starts_with("init") => {
            info.is_some_and(|info| info.has_prompt)
        }
        _ => true,
    }
}

/// A value as it is written after `KEY=`.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Characters that every file system takes.
fn file_name(text: &str) -> String {
    let safe = |letter: char| {
        if letter.is_ascii_alphanumeric() || "._-".contains(letter) {
            letter
        } else {
            '-'
        }
    };
    text.chars().map(safe).collect()
}

/// The shortest ends of the keys that tell them apart.
fn short_keys(axes: &[Axis]) -> Vec<String> {
    let end = |key: &str, parts: usize| {
        let all: Vec<&str> = key.split('.').collect();
        all[all.len().saturating_sub(parts)..].join(".")
    };
    let short = |axis: &Axis| {
        let unique = |parts: &usize| {
            let own = end(&axis.key, *parts);
            axes.iter().filter(|other| end(&other.key, *parts) == own).count() == 1
        };
        let parts = (1..=axis.key.split('.').count()).find(unique);
        parts.map_or_else(|| axis.key.clone(), |parts| end(&axis.key, parts))
    };
    axes.iter().map(short).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use adept_train::config::resolve_values;

    #[test]
    fn every_method_has_24_candidates_in_every_named_search_and_each_resolves() {
        for name in SpaceName::ALL {
            for method in TrainMethod::all() {
                let found = Space::Named(name)
                    .candidates(method)
                    .expect("the lists are well formed");
                assert_eq!(found.all.len(), 24, "{method} in {}", name.name());
                for candidate in found.all {
                    let mut values = candidate.settings;
                    values.extend(
                        chosen(&fields::RUN, None, &[format!("adapter.method={method}")]).expect("it is a method"),
                    );
                    resolve_values(values).expect("the settings fit together");
                }
            }
        }
    }

    #[test]
    fn the_papers_grid_for_adept_is_its_own() {
        let adept = TrainMethod::Adapter(Method::Adept);
        let found = Space::Named(SpaceName::Paper).candidates(adept).expect("it is there");
        let [first, .., last] = &found.all[..] else {
            panic!("there are 24");
        };
        assert_eq!(first.values, ["0.3", "20", "0.0001", "100"]);
        assert_eq!(last.values, ["0.5", "80", "0.00001", "100"]);
        assert_eq!(
            first.name,
            "prompt.learning_rate-0.3_virtual_tokens-20_offset.learning_rate-0.0001"
        );
    }

    #[test]
    fn own_lists_are_for_the_methods_that_have_their_settings() {
        let axes: Vec<Axis> = ["adapter.lora.rank=2,4", "train.batch_size=8,16,32"]
            .map(|text| text.parse().expect("it is a list"))
            .into();
        let space = Space::Own(axes);
        let count = |method| space.candidates(method).expect("the lists are well formed").all.len();
        assert_eq!(count(TrainMethod::Adapter(Lora)), 6);
        assert_eq!(count(TrainMethod::Full), 3);

        // What is common to several methods counts for those that use it.
        use Method::{Adept, Lora, Prefix, Pt};
        for (key, methods) in [
            ("optimizer.prompt.learning_rate", &[Adept, Pt][..]),
            ("adapter.virtual_tokens", &[Adept, Pt, Prefix]),
            ("adapter.rank", &[Adept]),
            ("optimizer.beta1", &[Adept, Pt, Prefix, Lora]),
        ] {
            for method in [Adept, Pt, Prefix, Lora] {
                let found = has_setting(TrainMethod::Adapter(method), key);
                assert_eq!(found, methods.contains(&method), "{key} {method}");
            }
        }
        assert!(has_setting(TrainMethod::Full, "optimizer.full.learning_rate"));
        assert!(!has_setting(TrainMethod::Full, "adapter.virtual_tokens"));
    }

    #[test]
    fn slips_are_named() {
        let error = |text: &str| text.parse::<Axis>().expect_err(text).to_string();
        assert!(error("papper").contains("`papper` is not a search"));
        assert!(error("train.steps=").contains("`train.steps` has no value"));
        assert!(error("train.step=3").contains("unknown key `train.step`; the nearest is `train.steps`"));
        assert!(error("train.steps=3,x").contains("`train.steps` must be a whole number"));
        let twice = Space::Own(vec!["train.steps=3,3".parse().expect("it is a list")]);
        assert!(matches!(
            twice.candidates(TrainMethod::Full),
            Err(SearchError::Twice { .. })
        ));
    }
}
