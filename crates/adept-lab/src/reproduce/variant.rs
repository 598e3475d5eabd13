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
    /// The names of the tasks that it is trained on together, all of the grid's if empty; `None` where each task has a run
    /// of its own.
    pub together: Option<Vec<String>>,
}

impl Variant {
    /// The tasks that it is trained on together, of the grid's or built in; `None` where each has a run of its own.
    pub(super) fn tasks_of(&self, tasks: &[Task]) -> Option<Vec<Task>> {
        let named = self.together.as_ref()?;
        if named.is_empty() {
            return Some(tasks.to_vec());
        }
        let find = |name: &String| {
            let own = tasks.iter().find(|task| task.name() == name).cloned();
            own.or_else(|| Task::named(name).ok())
        };
        Some(named.iter().filter_map(find).collect())
    }

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
            together: None,
        }
    }
}
