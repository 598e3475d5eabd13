//! PEFT's `target_modules`: the linear maps of a model that a method changes.

use std::fmt;

use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::site::{LinearMap, ModelSites};
use crate::{CoreError, Method};

/// Keyword for every linear map except the output head.
const ALL: &str = "all-linear";

/// A selection of linear maps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TargetModules {
    /// Names, each a module's full name or its last components (`q`, `SelfAttention.q`), or `all-linear`; empty selects
    /// the method's default maps.
    Names(Vec<String>),
    /// `all-linear`, or a regular expression that must match the full name.
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
    /// Whether it selects every linear map.
    pub(crate) fn is_all(&self) -> bool {
        match self {
            Self::Names(names) => matches!(names.as_slice(), [name] if name == ALL),
            Self::Pattern(pattern) => pattern == ALL,
        }
    }

    /// Whether it is empty, selecting the method's default.
    pub fn is_default(&self) -> bool {
        matches!(self, Self::Names(names) if names.is_empty())
    }

    /// The selected maps of a model; `default` decides if nothing is named.
    ///
    /// # Errors
    /// [`CoreError::NoTarget`] if a name or the pattern matches nothing, [`CoreError::TargetPattern`] for an invalid
    /// regular expression.
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

/// Whether a module's name is `target` or ends with its components.
pub(crate) fn is_named(name: &str, target: &str) -> bool {
    name.strip_suffix(target)
        .is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

/// The last components of the modules' names, without duplicates, in the model's order.
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
