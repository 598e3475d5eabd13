//! One run as the report sees it, read from the run's own records.

use std::collections::BTreeMap;

use adept_train::record::ProgramTally;
use serde::Serialize;

/// What a report holds of one finished run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunSummary {
    /// Reference name of the task.
    pub task: String,
    /// Reference name of the method.
    pub method: String,
    /// The run's seed.
    pub seed: u64,
    /// The run's folder, relative to the report.
    pub folder: String,
    /// The metric that the table holds.
    pub metric: String,
    /// The table's figure: that metric on the test split, times 100.
    pub test: f64,
    /// What the most frequent training label scores by the same metric; older records lack it.
    pub majority: Option<f64>,
    /// All metrics on the test split, times 100.
    pub test_metrics: BTreeMap<String, f64>,
    /// What became of the programs that were written, for a task of programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub programs: Option<ProgramTally>,
    /// The metric that chose the checkpoint.
    pub selection_metric: String,
    /// Its best value on the validation split, times 100; none where there is no such split.
    pub best_validation: Option<f64>,
    /// The optimiser step of that value.
    pub best_step: usize,
    /// Optimiser steps of the whole run.
    pub steps: usize,
    /// Prompt length m.
    pub virtual_tokens: usize,
    /// Bottleneck or rank r.
    pub rank: usize,
    /// Values that were trained.
    pub trainable_parameters: usize,
    /// Values of the backbone.
    pub backbone_parameters: usize,
    /// The backbone's name.
    pub backbone: String,
    /// The backbone's fingerprint.
    pub fingerprint: String,
    /// The preset that the settings started from.
    pub preset: String,
    /// The settings that were overridden, as `key=value`.
    pub overrides: Vec<String>,
    /// Where it ran.
    pub device: String,
    /// Which code ran.
    pub code_version: String,
    /// Seconds of training, evaluation not counted.
    pub seconds: f64,
    /// Training examples a second.
    pub samples_per_second: f64,
    /// Validation curve: optimiser step and the selection metric, times 100.
    pub curve: Vec<(usize, f64)>,
}
