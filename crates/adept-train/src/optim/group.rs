//! Parameter groups: learning rate, decay and warm-up of a parameter, by its module path.

use adept_core::{AdapterConfig, ParameterGroup};
use burn::tensor::backend::Backend;

use super::{AdamW, AdamWConfig};
use crate::config::{ConfigError, GroupSection, OptimizerSection};
use crate::schedule;

/// Parameters with a common path prefix, and their training settings.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupConfig {
    /// Name in records.
    pub name: String,
    /// First components of the path, such as `Adept.prompt`; empty for all parameters.
    pub prefix: String,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Steps of linear warm-up.
    pub warmup_steps: usize,
}

impl GroupConfig {
    /// Parameters below `prefix` with this peak rate, without decay or warm-up.
    pub fn new(name: &str, prefix: &str, learning_rate: f64) -> Self {
        Self {
            name: name.to_owned(),
            prefix: prefix.to_owned(),
            learning_rate,
            weight_decay: 0.0,
            warmup_steps: 0,
        }
    }

    fn of_section(name: &str, prefix: &str, section: &GroupSection) -> Self {
        Self {
            weight_decay: section.weight_decay,
            warmup_steps: section.warmup_steps,
            ..Self::new(name, prefix, section.learning_rate)
        }
    }

    /// Whether a parameter belongs to the group: the prefix is its path, the path's first components, or empty.
    pub fn contains(&self, path: &str) -> bool {
        self.prefix.is_empty()
            || path
                .strip_prefix(&self.prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    /// Learning rate at optimiser step `step` (from 0) of `total`.
    pub fn rate(&self, step: usize, total: usize) -> f64 {
        self.learning_rate * schedule::multiplier(step, self.warmup_steps, total)
    }
}

/// AdamW over an adapter's groups; `None`: over all parameters of a backbone.
///
/// # Errors
/// A group without its section in the configuration.
pub fn adamw<B: Backend>(adapter: Option<&AdapterConfig>, section: &OptimizerSection) -> Result<AdamW<B>, ConfigError> {
    let config = AdamWConfig {
        beta1: section.beta1,
        beta2: section.beta2,
        epsilon: section.epsilon,
    };
    Ok(AdamW::new(config, groups(adapter, section)?))
}

/// The groups of an adapter; `None`: a single group of all parameters.
///
/// # Errors
/// [`ConfigError::NoGroup`] if the configuration has no section for a group.
fn groups(adapter: Option<&AdapterConfig>, optimizer: &OptimizerSection) -> Result<Vec<GroupConfig>, ConfigError> {
    let Some(adapter) = adapter else {
        return Ok(vec![GroupConfig::of_section("full", "", &optimizer.full)]);
    };
    let method = adapter.method();
    let group = |group: &ParameterGroup| {
        let section = optimizer.group(group.name).ok_or_else(|| ConfigError::NoGroup {
            key: format!("optimizer.{}", group.name),
            method: method.name(),
        })?;
        Ok(GroupConfig::of_section(
            group.name,
            &method.group_prefix(group),
            section,
        ))
    };
    adapter.groups().iter().map(group).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use adept_core::{AdeptConfig, Encoder, PromptSource};

    use super::*;

    #[test]
    fn prefixes_are_whole_parts() {
        let section = GroupSection {
            learning_rate: 1.0,
            weight_decay: 0.0,
            warmup_steps: 2,
        };
        let group = GroupConfig::of_section("prompt", "prompt", &section);
        for (path, expected) in [
            ("prompt.weight", true),
            ("prompt", true),
            ("prompts.weight", false),
            ("offset.prompt", false),
        ] {
            assert_eq!(group.contains(path), expected, "{path}");
        }
        assert!(GroupConfig::of_section("full", "", &section).contains("anything"));
        assert_eq!(group.rate(1, 10), 0.5);
    }

    /// The rates of a network are those of the method that it is from.
    #[test]
    fn a_network_beside_adepts_offset_has_its_own_rate() {
        let resolved = crate::config::resolve(None, &["adapter.method=adept".to_owned()]).unwrap();
        let (prompt, offset) = (("prompt", 0.3, 0.01), ("offset", 1e-4, 0.01));
        let residual = PromptSource::Residual { hidden: 8 };
        let p_tuning = PromptSource::PTuning {
            encoder: Encoder::Mlp,
            hidden: 8,
        };
        for (source, expected) in [
            (PromptSource::Plain, vec![prompt, offset]),
            (residual, vec![prompt, offset, ("adept_residual", 0.3, 1e-5)]),
            (p_tuning, vec![offset, ("adept_p_tuning", 1e-3, 0.0)]),
        ] {
            let adapter = AdeptConfig::new(16, 4, 2).with_source(source).into();
            let groups = groups(Some(&adapter), &resolved.config.optimizer).unwrap();
            let figures = |group: &GroupConfig| (group.name.clone(), group.learning_rate, group.weight_decay);
            let found: Vec<_> = groups.iter().map(figures).collect();
            let expected: Vec<_> = expected
                .into_iter()
                .map(|(name, rate, decay)| (name.to_owned(), rate, decay))
                .collect();
            assert_eq!(found, expected, "{source:?}");
        }
    }
}
