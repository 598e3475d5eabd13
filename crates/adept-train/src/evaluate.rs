//! Evaluation: from batches to predicted texts to the task's metrics.
//!
//! Everything here runs on a plain backend: a tracked forward pass whose loss is dropped would keep its graph alive.

use adept_core::Intervention;
use adept_data::{Batch, Metric, Right};
use burn::tensor::backend::Backend;

use crate::TrainError;
use crate::answering::{Answering, Asked};
use crate::model::TaskModel;
use crate::record::Scores;

/// A split to predict and score.
pub struct EvaluationSet {
    /// Every example once.
    pub batches: Vec<Batch>,
    /// What each example is compared with, by row.
    pub right: Right,
}

/// Predicts every row of `set`, in the order of its right answers.
///
/// `proceed(done, total)` is called before every batch; where it says no, the answer is `None`.
///
/// # Errors
/// Answers that cannot be decoded, rows that are longer than DePT's table of positions, and NaN or infinities among the
/// logits or scores; the row is its place in `set`.
pub fn predict<B: Backend, M: TaskModel<B>>(
    model: &M,
    adapter: &dyn Intervention<B>,
    set: &EvaluationSet,
    method: &impl Answering<B>,
    device: &B::Device,
    proceed: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<Option<Vec<String>>, TrainError> {
    let model = model.adapted(adapter);
    let mut predictions = vec![String::new(); set.right.len()];
    let prefix = model.prefix(adapter);
    for (done, batch) in set.batches.iter().enumerate() {
        if !proceed(done, set.batches.len()) {
            return Ok(None);
        }
        adapter.check_width(batch.source_width)?;
        let asked = Asked { adapter, batch, device };
        let answers = model.answers(method, &prefix, &asked);
        let answers = answers.map_err(|error| error.of_row(|row| batch.rows[row]))?;
        for (row, answer) in batch.rows.iter().zip(answers) {
            predictions[*row] = answer.text;
        }
    }
    proceed(set.batches.len(), set.batches.len());
    Ok(Some(predictions))
}

/// The metrics of predictions, by name, times 100.
pub fn scores(metrics: &[Metric], predictions: &[String], right: &Right) -> Scores {
    metrics
        .iter()
        .map(|metric| (metric.name().to_owned(), adept_data::score(*metric, predictions, right)))
        .collect()
}
