//! Events of a pretraining run, and the interface to observe and stop it.

use super::record::{PretrainEnd, PretrainEvaluation, PretrainStart, PretrainStep};
use crate::record::Resume;

/// Work before the first step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Reading the corpus once, to check and count it.
    Corpus,
    /// Training the tokenizer.
    Tokenizer,
    /// Writing the corpus as token ids.
    Tokens,
    /// Reading and tokenising the tasks.
    Tasks,
}

/// An event of a pretraining run.
#[derive(Debug, Clone, Copy)]
pub enum PretrainEvent<'a> {
    /// A preparation starts or progresses; `total` is 0 if unknown.
    Preparing {
        /// The phase.
        phase: Phase,
        /// Amount done.
        done: usize,
        /// Total amount.
        total: usize,
    },
    /// The run starts.
    Start(&'a PretrainStart),
    /// The run resumes from a checkpoint.
    Resume(&'a Resume),
    /// An optimiser step is done.
    Progress {
        /// Steps done.
        step: usize,
        /// Steps of the run.
        total: usize,
        /// Tokens of this step, without padding.
        tokens: usize,
    },
    /// A point of the loss curve.
    Step(&'a PretrainStep),
    /// A batch of an evaluation is done.
    EvaluationProgress {
        /// Batches done.
        done: usize,
        /// Batches of the evaluation.
        total: usize,
    },
    /// An evaluation is done, and the model has been written.
    Evaluation(&'a PretrainEvaluation),
    /// A checkpoint has been written.
    Checkpoint {
        /// Steps done.
        step: usize,
    },
    /// The run is done.
    End(&'a PretrainEnd),
}

/// Observer of a pretraining run.
pub trait PretrainObserver {
    /// Called for every event, in order.
    fn event(&mut self, event: &PretrainEvent<'_>) {
        let _ = event;
    }

    /// Called before every pass. Once true, the run saves a checkpoint of the last complete step and ends with
    /// [`crate::TrainError::Interrupted`].
    fn stop_requested(&mut self) -> bool {
        false
    }
}

/// No-op observer.
impl PretrainObserver for () {}
