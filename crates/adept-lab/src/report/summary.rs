//! A run as shown in reports, read from its records.

use std::collections::BTreeMap;

use adept_data::DataFile;
use adept_train::record::ProgramTally;
use adept_train::test_answers::TestAnswers;
use serde::Serialize;

/// Summary of a finished run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunSummary {
    /// Reference name of the task.
    pub task: String,
    /// The row that it belongs to: the method's name, or that of a variant with settings of its own.
    pub row: String,
    /// Reference name of the method.
    pub method: String,
    /// The run's seed.
    pub seed: u64,
    /// The run's folder, relative to the report.
    pub folder: String,
    /// The metric shown in the table.
    pub metric: String,
    /// The figure shown in the table: that metric on the test split, times 100.
    pub test: f64,
    /// Score of the most frequent training label in the same metric; missing in older records.
    pub majority: Option<f64>,
    /// All metrics on the test split, times 100.
    pub test_metrics: BTreeMap<String, f64>,
    /// Verdicts on the generated programs, for a task of programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub programs: Option<ProgramTally>,
    /// Files the examples were read from.
    #[serde(skip)]
    pub data: Vec<DataFile>,
    /// Answers to the test split; missing in older runs.
    #[serde(skip)]
    pub answers: Option<TestAnswers>,
    /// The metric used to choose the checkpoint.
    pub selection_metric: String,
    /// Its best value on the validation split, times 100; `None` without such a split.
    pub best_validation: Option<f64>,
    /// The optimiser step with that value.
    pub best_step: usize,
    /// Optimiser steps of the whole run.
    pub steps: usize,
    /// Prompt length m.
    pub virtual_tokens: usize,
    /// Bottleneck or rank r.
    pub rank: usize,
    /// Number of trainable parameters.
    pub trainable_parameters: usize,
    /// Number of backbone parameters.
    pub backbone_parameters: usize,
    /// The backbone's name.
    pub backbone: String,
    /// The backbone's fingerprint.
    pub fingerprint: String,
    /// The preset the settings are based on.
    pub preset: String,
    /// The settings that were overridden, as `key=value`.
    pub overrides: Vec<String>,
    /// The device of the run.
    pub device: String,
    /// Version of the program.
    pub code_version: String,
    /// Seconds of training, without evaluation.
    pub seconds: f64,
    /// Training examples per second.
    pub samples_per_second: f64,
    /// Test examples answered per second; missing in older records.
    pub inference_speed: Option<f64>,
    /// Validation curve: optimiser step and the selection metric, times 100.
    pub curve: Vec<(usize, f64)>,
}
