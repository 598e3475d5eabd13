//! What a plan and its runs read once: the backbone, and each task's examples as token ids.

use adept_data::Task;
use adept_train::TrainError;
use adept_train::config::RunConfig;
use burn::tensor::backend::Backend;

use super::Grid;
use crate::run::{self, LoadedBackbone, Means, PreparedData};

/// A loaded backbone and the tasks that were read so far.
pub struct Prepared<B: Backend> {
    /// The backbone.
    pub backbone: LoadedBackbone<B>,
    tasks: Vec<PreparedData>,
    means: Means,
}

impl<B: Backend> Prepared<B> {
    /// Reads the grid's backbone.
    ///
    /// # Errors
    /// A backbone that cannot be read.
    pub fn load(grid: &Grid, device: &B::Device) -> Result<Self, TrainError> {
        Ok(Self {
            backbone: run::load_backbone(&grid.backbone, device)?,
            tasks: Vec::new(),
            means: grid.means.clone(),
        })
    }

    /// Reads the task of a run, where it was not read already for the same lengths and options.
    ///
    /// # Errors
    /// Data that cannot be read or encoded.
    pub fn read(&mut self, config: &RunConfig) -> Result<(), TrainError> {
        if self.position(config).is_none() {
            let task = run::prepare(config, &self.backbone, &self.means)?;
            self.tasks.push(task);
        }
        Ok(())
    }

    /// The task of a run, which [`Self::read`] has read.
    #[must_use]
    pub fn task(&self, config: &RunConfig) -> Option<&PreparedData> {
        self.position(config).map(|position| &self.tasks[position])
    }

    /// Lets go of a task that no later run needs.
    pub fn forget(&mut self, task: &Task) {
        self.tasks.retain(|known| known.task() != task);
    }

    fn position(&self, config: &RunConfig) -> Option<usize> {
        self.tasks.iter().position(|task| task.is_of(config))
    }
}
