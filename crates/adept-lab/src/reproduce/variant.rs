//! The rows of a grid: methods, and variants of one method that differ in their settings.

use std::collections::BTreeMap;

use adept_data::Task;
use adept_train::config::{TrainMethod, Values};

/// One row of a grid: a method, with settings of its own over the profile's.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// Name of its folder, below that of the task; the method's where nothing is set.
    pub name: String,
    /// The method.
    pub method: TrainMethod,
    /// Settings over the profile's and below `--steps` and the user's.
    pub settings: Values,
    /// Settings for single tasks over `settings`, by the task's name: what a search has found.
    pub tasks: BTreeMap<String, Values>,
}

impl Variant {
    /// The settings on a task.
    pub(super) fn values(
        &self,
        task: &Task,
    ) -> impl Iterator<Item = (&String, &(toml::Value, adept_train::config::Origin))> {
        self.settings
            .iter()
            .chain(self.tasks.get(task.name()).into_iter().flatten())
    }
}

impl From<TrainMethod> for Variant {
    fn from(method: TrainMethod) -> Self {
        Self {
            name: method.name().to_owned(),
            method,
            settings: Values::new(),
            tasks: BTreeMap::new(),
        }
    }
}
