//! Data shared by planning and running: the backbone, and each task's examples as token ids.

use adept_data::Task;
use adept_models::Precision;
use adept_train::TrainError;
use adept_train::config::RunConfig;
use burn::tensor::backend::Backend;

use super::Grid;
use crate::run::{self, LoadedBackbone, Means, PreparedData};

/// A loaded backbone and the tasks read so far.
pub struct Prepared<B: Backend> {
    /// The backbone.
    pub backbone: LoadedBackbone<B>,
    tasks: Vec<PreparedData>,
    means: Means,
}

impl<B: Backend> Prepared<B> {
    /// Loads the grid's backbone, frozen for products in a precision or to be trained (`None`).
    ///
    /// # Errors
    /// A backbone that cannot be read.
    pub fn load(grid: &Grid, frozen: Option<Precision>, device: &B::Device) -> Result<Self, TrainError> {
        Ok(Self {
            backbone: run::load_backbone(&grid.backbone, device, frozen)?,
            tasks: Vec::new(),
            means: grid.means.clone(),
        })
    }

    /// Reads the task of a run, unless it has already been read with the same lengths and options.
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

    /// The task of a run, once read by [`Self::read`].
    #[must_use]
    pub fn task(&self, config: &RunConfig) -> Option<&PreparedData> {
        self.position(config).map(|position| &self.tasks[position])
    }

    /// Drops a task that no later run needs.
    pub fn forget(&mut self, task: &Task) {
        self.tasks.retain(|known| known.task() != Some(task));
    }

    fn position(&self, config: &RunConfig) -> Option<usize> {
        self.tasks.iter().position(|task| task.is_of(config))
    }
}
