//! Squared gradients of a backbone's weights, by which a method chooses what it starts from.
//!
//! Summed over training examples one by one, without dropout, as in the empirical Fisher information: LST keeps the
//! channels with the largest sums (Sung, Cho and Bansal, 2022, section 3.3).

use adept_core::{LinearSite, NormSite, ReadWeights, Stack, Unchanged, WeightValues};
use adept_data::Batcher;
use adept_models::unfreeze;
use burn::tensor::backend::AutodiffBackend;

use crate::TrainError;
use crate::gradient::GradientSet;
use crate::learner::{loss, one_graph};
use crate::observer::{Event, Observer};
use crate::target::TrainBackbone;

/// The squared gradients of the backbone's parameters, each in the place of its parameter: of the mean loss over an
/// example's target tokens, summed over `count` examples, of several tasks in turns. `rows` are training rows in
/// batches of one, in the order of `seed`; if they are fewer, all of them.
///
/// # Errors
/// A row that cannot be read, gradients that are not finite, or a request to stop.
pub fn squared_gradients<AB: AutodiffBackend, M: TrainBackbone<AB>>(
    backbone: &M::Inner,
    rows: &[Batcher<'_>],
    (count, seed): (usize, u64),
    device: &AB::Device,
    observer: &mut dyn Observer,
) -> Result<M::Inner, TrainError> {
    let model = unfreeze::<AB, M>(M::from_inner(backbone.clone()));
    let shares = shares(&rows.iter().map(Batcher::rows).collect::<Vec<_>>(), count);
    let total: usize = shares.iter().sum();
    let (mut sum, mut done) = (GradientSet::default(), 0);
    for number in 0..shares.iter().copied().max().unwrap_or(0) {
        for (rows, _) in rows.iter().zip(&shares).filter(|(_, share)| number < **share) {
            if observer.stop_requested() {
                return Err(TrainError::Interrupted { step: 0 });
            }
            let example = rows.train_batch(seed, number)?;
            let _alone = one_graph();
            let loss = loss::<AB, _>(&model, &Unchanged, &example, 0.0.into(), device);
            let gradients = GradientSet::collect::<AB, _>(&model, &mut loss.backward());
            sum.accumulate(gradients.squared());
            done += 1;
            observer.event(&Event::JudgingProgress { done, total });
        }
    }
    Ok(sum.in_place_of(backbone.clone(), 0.0))
}

/// How many of `count` examples are of each task, of these numbers of rows: as even as the rows allow, the rest to the
/// first ones.
fn shares(rows: &[usize], count: usize) -> Vec<usize> {
    let mut shares = vec![0; rows.len()];
    let mut left = count.min(rows.iter().sum());
    while left > 0 {
        for (share, rows) in shares.iter_mut().zip(rows) {
            if left > 0 && *share < *rows {
                *share += 1;
                left -= 1;
            }
        }
    }
    shares
}

/// A backbone's weights with squared gradients beside them.
#[derive(Debug)]
pub(super) struct Judged<W> {
    pub weights: W,
    pub gradients: W,
}

impl<W: ReadWeights> ReadWeights for Judged<W> {
    fn linear(&self, site: LinearSite) -> Option<WeightValues> {
        self.weights.linear(site)
    }

    fn norm(&self, site: NormSite) -> Option<WeightValues> {
        self.weights.norm(site)
    }

    fn embedding(&self) -> Option<Vec<f32>> {
        self.weights.embedding()
    }

    fn positions(&self, stack: Stack) -> Option<Vec<f32>> {
        self.weights.positions(stack)
    }

    fn squared_gradients(&self) -> Option<&dyn ReadWeights> {
        Some(&self.gradients)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_shared_among_tasks_as_far_as_their_rows_go() {
        assert_eq!(shares(&[100, 100], 7), [4, 3]);
        assert_eq!(shares(&[2, 100, 100], 9), [2, 4, 3]);
        assert_eq!(shares(&[3, 2], 1024), [3, 2]);
        assert_eq!(shares(&[], 5), [0; 0]);
    }
}
