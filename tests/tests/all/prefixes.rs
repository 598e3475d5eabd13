//! Label scores of T5 with a prefix of every attention: all labels at once give the scores of each label alone.

use adept_core::file;
use adept_models::generate::score_labels;
use adept_models::{Backbone as _, Seq2SeqBackbone as _, T5};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Bool, Int, Tensor, TensorData};
use burn_flex::Flex;

use crate::goldens::golden;

/// Scores are sums of up to three log-probabilities from float32 logits.
const LIMIT: f32 = 1e-4;

#[test]
fn labels_scored_together_have_the_scores_of_each_alone() {
    let device = Default::default();
    for family in ["t5_v1_0", "t5_v1_1"] {
        let model = T5::<Flex>::load(&golden(family), &device).unwrap().model;
        for case in ["prefix", "prefix_all", "prefix_all_mlp"] {
            let (adapter, _) = file::load::<Flex>(&golden(family).join(case), &model.sites(), &device).unwrap();
            let adapted = model.adapted(&adapter);
            let ids = Tensor::<Flex, 2, Int>::from_data([[5, 6, 7, 8, 1], [9, 4, 1, 0, 0]], &device);
            let seen = [[true; 5], [true, true, true, false, false]];
            let mask = Tensor::<Flex, 2, Bool>::from_data(seen, &device);
            let encoded = adapted.encode(adapted.embed(ids), mask.clone(), 0.0);
            let labels = [vec![3u32, 7, 1], vec![11, 1]];
            let found = score_labels(&*adapted, encoded.clone(), mask.clone(), &labels);
            let found: Vec<f32> = found.into_data().iter::<f32>().collect();
            for (number, label) in labels.iter().enumerate() {
                let given = &label[..label.len() - 1];
                let row = || std::iter::once(0).chain(given.iter().map(|id| *id as i32));
                let shifted: Vec<i32> = row().chain(row()).collect();
                let shifted = TensorData::new(shifted, [2, label.len()]);
                let logits = adapted.decode(Tensor::from_data(shifted, &device), encoded.clone(), mask.clone(), 0.0);
                let vocabulary = logits.dims()[2];
                let values: Vec<f32> = log_softmax(logits, 2).into_data().iter::<f32>().collect();
                for row in 0..2 {
                    let of_slot =
                        |(slot, id): (usize, &u32)| values[(row * label.len() + slot) * vocabulary + *id as usize];
                    let expected: f32 = label.iter().enumerate().map(of_slot).sum();
                    let found = found[row * labels.len() + number];
                    assert!(
                        (found - expected).abs() < LIMIT,
                        "{family} {case}, row {row}, label {number}: {found} for {expected}"
                    );
                }
            }
        }
    }
}
