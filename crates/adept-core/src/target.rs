//! PEFT's `target_modules`: which linear maps of a model a method changes.

use std::fmt;

use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::site::{LinearMap, ModelSites};
use crate::{CoreError, Method};

/// Keyword for every linear map but the output head.
const ALL: &str = "all-linear";

/// Which linear maps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TargetModules {
    /// Names, each the whole name of a module or the last parts of it (`q`, `SelfAttention.q`), or `all-linear`; no name
    /// stands for the maps that the method changes by default.
    Names(Vec<String>),
    /// `all-linear`, or a regular expression that matches whole names.
    Pattern(String),
}

impl Default for TargetModules {
    fn default() -> Self {
        Self::Names(Vec::new())
    }
}

impl fmt::Display for TargetModules {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            _ if self.is_default() => formatter.write_str("the method's default"),
            Self::Names(names) => formatter.write_str(&names.join(", ")),
            Self::Pattern(pattern) => formatter.write_str(pattern),
        }
    }
}

impl TargetModules {
    /// Whether every linear map is meant.
    pub(crate) fn is_all(&self) -> bool {
        match self {
            Self::Names(names) => matches!(names.as_slice(), [name] if name == ALL),
            Self::Pattern(pattern) => pattern == ALL,
        }
    }

    /// Whether nothing is named: the method's default.
    pub fn is_default(&self) -> bool {
        matches!(self, Self::Names(names) if names.is_empty())
    }

    /// The maps of a model that are meant; `default` says which are where nothing is named.
    ///
    /// # Errors
    /// [`CoreError::NoTarget`] where a name or the pattern matches nothing, [`CoreError::TargetPattern`] for a pattern
    /// that is no regular expression.
    pub fn select<'a>(
        &self,
        method: Method,
        sites: &'a ModelSites,
        default: impl Fn(&LinearMap) -> bool,
    ) -> Result<Vec<&'a LinearMap>, CoreError> {
        let no_target = |target: &str| CoreError::NoTarget {
            method,
            target: target.to_owned(),
            modules: last_parts(sites),
        };
        let (found, target): (Vec<_>, _) = match self {
            Self::Names(names) if names.is_empty() => {
                (sites.linears.iter().filter(|map| default(map)).collect(), "(default)")
            }
            _ if self.is_all() => (sites.linears.iter().collect(), ALL),
            Self::Pattern(pattern) => {
                let whole = Regex::new(&format!("^(?:{pattern})$")).map_err(|source| CoreError::TargetPattern {
                    method,
                    pattern: pattern.clone(),
                    source: Box::new(source),
                })?;
                let found = sites.linears.iter().filter(|map| whole.is_match(&map.name));
                (found.collect(), pattern.as_str())
            }
            Self::Names(names) => {
                if let Some(name) = names
                    .iter()
                    .find(|name| !sites.linears.iter().any(|map| is_named(&map.name, name)))
                {
                    return Err(no_target(name));
                }
                let is_meant = |map: &&LinearMap| names.iter().any(|name| is_named(&map.name, name));
                (sites.linears.iter().filter(is_meant).collect(), "")
            }
        };
        match found.is_empty() {
            true => Err(no_target(target)),
            false => Ok(found),
        }
    }
}

/// Whether a module's name is `target` or ends with its parts.
pub(crate) fn is_named(name: &str, target: &str) -> bool {
    name.strip_suffix(target)
        .is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

/// The last parts of the modules' names, each once, in the model's order.
fn last_parts(sites: &ModelSites) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for map in &sites.linears {
        let last = map.name.rsplit('.').next().unwrap_or(&map.name);
        if !parts.contains(&last) {
            parts.push(last);
        }
    }
    match parts.is_empty() {
        true => "none".to_owned(),
        false => parts.join(", "),
    }
}
