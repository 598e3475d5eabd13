//! What a pretraining run tells those who watch it, and how they stop it.

use super::record::{PretrainEnd, PretrainEvaluation, PretrainStart, PretrainStep};
use crate::record::Resume;

/// What is done before the first step.
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

/// Something that happened.
#[derive(Debug, Clone, Copy)]
pub enum PretrainEvent<'a> {
    /// A preparation begins or goes on; `total` is 0 where nobody knows it.
    Preparing {
        /// Which.
        phase: Phase,
        /// Done so far.
        done: usize,
        /// All there is to do.
        total: usize,
    },
    /// The run begins.
    Start(&'a PretrainStart),
    /// It goes on from a checkpoint.
    Resume(&'a Resume),
    /// One optimiser step was taken.
    Progress {
        /// Steps done.
        step: usize,
        /// Steps of the run.
        total: usize,
        /// Tokens of this step, padding not counted.
        tokens: usize,
    },
    /// A point of the loss curve.
    Step(&'a PretrainStep),
    /// One batch of an evaluation is done.
    EvaluationProgress {
        /// Batches done.
        done: usize,
        /// Batches of the evaluation.
        total: usize,
    },
    /// An evaluation is done and the model is written.
    Evaluation(&'a PretrainEvaluation),
    /// A checkpoint is on disk.
    Checkpoint {
        /// Steps done.
        step: usize,
    },
    /// The run is done.
    End(&'a PretrainEnd),
}

/// Watches a run.
pub trait PretrainObserver {
    /// Called for every event, in order.
    fn event(&mut self, event: &PretrainEvent<'_>) {
        let _ = event;
    }

    /// Asked before every pass. Once true, the run saves a checkpoint of the last whole step and ends with
    /// [`crate::TrainError::Interrupted`].
    fn stop_requested(&mut self) -> bool {
        false
    }
}

/// Nobody watches.
impl PretrainObserver for () {}
