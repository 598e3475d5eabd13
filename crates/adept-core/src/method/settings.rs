//! Settings that a run's configuration passes to a method.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{CoreError, Method, ModelSites};

/// A key of a method's own section.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Setting {
    /// The key, without the section's name.
    pub key: &'static str,
    /// Which values it accepts.
    pub kind: SettingKind,
    /// Default value, as TOML.
    pub default: &'static str,
    /// Description for the documentation.
    pub meaning: &'static str,
}

/// Type and range of a setting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SettingKind {
    /// A whole number within `min ..= max`.
    Integer {
        /// Smallest value allowed.
        min: i64,
        /// Largest value allowed.
        max: i64,
    },
    /// A finite number within `min ..= max`.
    Number {
        /// Smallest value allowed.
        min: f64,
        /// Largest value allowed.
        max: f64,
    },
    /// `true` or `false`.
    Flag,
    /// A list of names.
    Names,
    /// One of these words.
    Choice(&'static [&'static str]),
}

/// The settings of a run, and the model that it adapts.
#[derive(Debug, Clone, Copy)]
pub struct MethodSettings<'a> {
    /// The model.
    pub sites: &'a ModelSites,
    /// Virtual tokens m of methods with a soft prompt.
    pub virtual_tokens: usize,
    /// Rank or bottleneck of an offset; 0: the largest that fits the budget.
    pub rank: usize,
    /// Budget of trainable values, in rows of the model's width.
    pub budget_tokens: usize,
    /// Longest source in tokens, prompt not counted.
    pub max_source_length: usize,
    /// Number of tasks that are trained together; 1 for a single one.
    pub tasks: usize,
    /// Number of prompts of other tasks that are given; 0: as many as the method's published runs have.
    pub sources: usize,
    /// DePT's alpha; 0 leaves its product unscaled.
    pub dept_alpha: f64,
    /// ADePT's dropout before the activation.
    pub bottleneck_dropout: f64,
    /// The method's own section with all its keys.
    pub own: &'a Map<String, Value>,
}

impl MethodSettings<'_> {
    /// The value of a key in the method's own section.
    ///
    /// # Errors
    /// [`CoreError::InvalidConfig`] if its type is wrong.
    pub(crate) fn own<T: DeserializeOwned>(&self, method: Method, setting: &Setting) -> Result<T, CoreError> {
        let value = self.own.get(setting.key).cloned().unwrap_or(Value::Null);
        let text = value.to_string();
        serde_json::from_value(value).map_err(|_| CoreError::InvalidConfig {
            method,
            field: setting.key,
            expected: "a value of the documented type",
            found: text,
        })
    }

    /// The configured rank, or else the largest that fits the budget, which `solve` computes from the number of values.
    pub(crate) fn rank_or(&self, method: Method, solve: impl Fn(usize) -> Option<usize>) -> Result<usize, CoreError> {
        match self.rank {
            0 => solve(self.budget_tokens * self.sites.d_model).ok_or(CoreError::NoRoom {
                method,
                budget_tokens: self.budget_tokens,
                d_model: self.sites.d_model,
                virtual_tokens: self.virtual_tokens,
            }),
            rank => Ok(rank),
        }
    }
}
