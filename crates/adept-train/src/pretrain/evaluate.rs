//! Held-out loss, and loss and label accuracy on rows of each task's validation split.

use std::collections::BTreeMap;

use adept_data::{Batch, IGNORED_LABEL};
use adept_models::{Seq2SeqBackbone, cross_entropy, generate, shift_right};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::record::TaskScore;
use crate::TrainError;
use crate::upload;

/// Rows of a task to evaluate.
pub struct ScoredTask {
    /// Its label.
    pub label: String,
    /// Every row once.
    pub batches: Vec<Batch>,
    /// Token ids of its labels, and for each row the index of the right one; `None` if targets are not fixed labels.
    pub labels: Option<(Vec<Vec<u32>>, Vec<usize>)>,
}

/// The held-out loss, and every task's score by label.
type PretrainScores = (f64, BTreeMap<String, TaskScore>);

/// Everything evaluated.
pub struct Scored {
    /// Held-out windows.
    pub text: Vec<Batch>,
    /// Task rows.
    pub tasks: Vec<ScoredTask>,
}

impl Scored {
    /// Number of batches in an evaluation.
    pub fn batches(&self) -> usize {
        self.text.len() + self.tasks.iter().map(|task| task.batches.len()).sum::<usize>()
    }

    /// Evaluates a model: the held-out loss and every task's score. `proceed(done)` is called before every batch; if it
    /// returns false, the result is `None`.
    ///
    /// # Errors
    /// A loss or score that is not finite.
    pub fn score<B: Backend, M: Seq2SeqBackbone<B>>(
        &self,
        model: &M,
        device: &B::Device,
        proceed: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Option<PretrainScores>, TrainError> {
        let mut done = 0;
        let mut next = || {
            done += 1;
            proceed(done - 1)
        };
        let mut text = Mean::default();
        for batch in &self.text {
            if !next() {
                return Ok(None);
            }
            text.add("held-out text", loss(model, batch, device).0, batch)?;
        }
        let mut tasks = BTreeMap::new();
        for task in &self.tasks {
            let (mut mean, mut right, mut rows) = (Mean::default(), 0, 0);
            for batch in &task.batches {
                if !next() {
                    return Ok(None);
                }
                let (loss, encoded) = loss(model, batch, device);
                mean.add(&task.label, loss, batch)?;
                rows += batch.batch;
                if let Some((ids, answers)) = &task.labels {
                    let (_, mask) = upload::source(batch, device);
                    let scores = generate::score_labels(model, encoded, mask, ids);
                    let best = generate::best_labels(scores)?;
                    right += best
                        .iter()
                        .zip(&batch.rows)
                        .filter(|(best, row)| **best == answers[**row])
                        .count();
                }
            }
            let accuracy = task.labels.as_ref().map(|_| 100.0 * right as f64 / rows.max(1) as f64);
            let score = TaskScore {
                loss: mean.value(),
                accuracy,
            };
            tasks.insert(task.label.clone(), score);
        }
        Ok(Some((text.value(), tasks)))
    }
}

/// Mean loss of a batch and the encoder's output.
fn loss<B: Backend, M: Seq2SeqBackbone<B>>(model: &M, batch: &Batch, device: &B::Device) -> (f64, Tensor<B, 3>) {
    let (ids, mask) = upload::source(batch, device);
    let labels = upload::labels::<B>(batch, device);
    let encoded = model.encode(model.embed(ids), mask.clone(), 0.0);
    let decoder_ids = shift_right(labels.clone(), model.decoder_start_id(), model.pad_id());
    let logits = model.decode(decoder_ids, encoded.clone(), mask, 0.0);
    let loss = cross_entropy(logits, labels).into_data().convert::<f64>();
    let loss = loss.into_vec::<f64>().expect("the data was just converted to f64")[0];
    (loss, encoded)
}

/// A mean over target tokens.
#[derive(Default)]
struct Mean {
    sum: f64,
    tokens: usize,
}

impl Mean {
    fn add(&mut self, what: &str, loss: f64, batch: &Batch) -> Result<(), TrainError> {
        if !loss.is_finite() {
            return Err(TrainError::LossNotFinite {
                what: what.to_owned(),
                found: loss,
                rows: batch.rows.clone(),
            });
        }
        let tokens = batch.labels.iter().filter(|label| **label != IGNORED_LABEL).count();
        self.sum += loss * tokens as f64;
        self.tokens += tokens;
        Ok(())
    }

    fn value(&self) -> f64 {
        self.sum / self.tokens.max(1) as f64
    }
}
