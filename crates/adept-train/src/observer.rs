//! What a run tells those who watch it, and how they stop it.

use crate::record::{Evaluation, Resume, RunResult, Start, Step};

/// A split of the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// Chooses the best step.
    Validation,
    /// Gives the reported score.
    Test,
}

/// Something that happened.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// The run begins.
    Start(&'a Start),
    /// It goes on from a checkpoint.
    Resume(&'a Resume),
    /// One optimiser step was taken.
    Progress {
        /// Steps done.
        step: usize,
        /// Steps of the run.
        total: usize,
        /// Examples of this step.
        samples: usize,
    },
    /// A point of the loss curve, every `train.log_every` steps.
    Step(&'a Step),
    /// One batch of an evaluation was predicted.
    EvaluationProgress {
        /// Which split.
        split: Split,
        /// Batches done.
        done: usize,
        /// Batches of the split.
        total: usize,
    },
    /// An evaluation on validation is done.
    Evaluation(&'a Evaluation),
    /// A checkpoint is on disk.
    Checkpoint {
        /// Steps done.
        step: usize,
    },
    /// The run is done.
    End(&'a RunResult),
}

/// Watches a run. Progress bars and Ctrl-C live behind this, at the program's edge.
pub trait Observer {
    /// Called for every event, in order.
    fn event(&mut self, event: &Event<'_>) {
        let _ = event;
    }

    /// Asked before every pass over the model. Once true, the run saves a checkpoint of the last whole step and ends
    /// with [`crate::TrainError::Interrupted`].
    fn stop_requested(&mut self) -> bool {
        false
    }
}

/// Nobody watches.
impl Observer for () {}
