//! Events of a run, and the interface to observe and stop it.

use crate::record::{Evaluation, Resume, RunResult, Start, Step};

/// A split of the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// Used to choose the best step.
    Validation,
    /// Used for the reported score.
    Test,
}

/// An event of a run.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// The run starts.
    Start(&'a Start),
    /// The run resumes from a checkpoint.
    Resume(&'a Resume),
    /// Before the first step, a training example has been read of those that decide what the adapter starts from.
    JudgingProgress {
        /// Examples done.
        done: usize,
        /// Examples in all.
        total: usize,
    },
    /// An optimiser step is done.
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
    /// A batch of an evaluation is done.
    EvaluationProgress {
        /// The split being evaluated.
        split: Split,
        /// Batches done.
        done: usize,
        /// Batches of the split.
        total: usize,
    },
    /// An evaluation on the validation split is done.
    Evaluation(&'a Evaluation),
    /// A checkpoint has been written.
    Checkpoint {
        /// Steps done.
        step: usize,
    },
    /// The run is done.
    End(&'a RunResult),
}

/// Observer of a run. Progress bars and Ctrl-C handling implement this in the program.
pub trait Observer {
    /// Called for every event, in order.
    fn event(&mut self, event: &Event<'_>) {
        let _ = event;
    }

    /// Called before every pass over the model. Once true, the run saves a checkpoint of the last complete step and
    /// ends with [`crate::TrainError::Interrupted`].
    fn stop_requested(&mut self) -> bool {
        false
    }
}

/// No-op observer.
impl Observer for () {}
