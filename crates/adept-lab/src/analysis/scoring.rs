//! The test split scored again with a changed adapter, and scores over seeds.

use std::collections::BTreeMap;

use adept_core::Intervention;
use adept_data::Batcher;
use adept_train::TrainError;
use adept_train::config::RunConfig;
use adept_train::evaluate::{self, EvaluationSet};
use adept_train::record::Scores;
use adept_train::rows::BatchUse;
use burn::tensor::backend::Backend;
use serde::Serialize;

use super::record::Measured;
use crate::report::Spread;
use crate::run::{self, LoadedBackbone, PreparedTask};

/// The test split of a task in batches, according to a run's settings.
///
/// # Errors
/// Settings that do not give valid batches.
pub fn test_set<B: Backend>(
    config: &RunConfig,
    backbone: &LoadedBackbone<B>,
    task: &PreparedTask,
) -> Result<EvaluationSet, TrainError> {
    let size = config.evaluation.batch_size;
    let options = run::batch_options(config, backbone, task, BatchUse::Answering, size);
    Ok(EvaluationSet {
        batches: Batcher::new(&task.test.0, options)?.evaluation_batches()?,
        right: task.test.1.clone(),
    })
}

/// Scores the test split. `proceed(done, total)` is called before every batch; if it returns false, the result is
/// `None`.
///
/// # Errors
/// An answer that cannot be decoded.
pub fn score<B: Backend>(
    config: &RunConfig,
    backbone: &LoadedBackbone<B>,
    task: &PreparedTask,
    adapter: &dyn Intervention<B>,
    set: &EvaluationSet,
    device: &B::Device,
    proceed: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<Option<Scores>, TrainError> {
    let decode = |ids: &[u32]| Ok(backbone.tokenizer.decode(ids, true)?);
    let method = run::answer_method(config, task.labels.as_ref(), task.target_width, task.turn_end, &decode);
    let predictions = evaluate::predict(&backbone.model, adapter, set, &method, device, proceed)?;
    Ok(predictions.map(|predictions| evaluate::scores(task.task.metrics(), &predictions, &set.right)))
}

/// Scores by seed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SeedScores {
    /// Mean and spread.
    pub score: Spread,
    /// Values by seed.
    pub values: BTreeMap<u64, f64>,
}

impl SeedScores {
    /// A figure of each record, by its run's seed; `None` without any.
    pub(super) fn of<'a, T: Measured + 'a>(
        records: impl Iterator<Item = &'a T>,
        figure: impl Fn(&T) -> Option<f64>,
    ) -> Option<Self> {
        let values: BTreeMap<u64, f64> = records
            .filter_map(|record| Some((record.subject().run.seed, figure(record)?)))
            .collect();
        let score = Spread::of(&values.values().copied().collect::<Vec<_>>())?;
        Some(Self { score, values })
    }
}

/// The test score that a run's training recorded.
pub(super) fn recorded<T: Measured>(record: &T, metric: &str) -> Option<f64> {
    record.subject().run.test.get(metric).copied()
}

/// Score of the most frequent training label on the test split.
pub(super) fn majority<T: Measured>(record: &T, metric: &str) -> Option<f64> {
    record.subject().run.majority.as_ref()?.test.get(metric).copied()
}
