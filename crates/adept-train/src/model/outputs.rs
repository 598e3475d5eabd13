//! What a student learns from a teacher beside the targets: its distributions over the target's tokens and its last states
//! (Wang et al., 2023, section 3.1).

use burn::tensor::activation::log_softmax;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Int, Tensor};

/// The last states of a stack.
#[derive(Debug, Clone)]
pub struct States<B: Backend> {
    /// Of each slot, `[slots, d_model]`.
    pub values: Tensor<B, 2>,
    /// 1 at tokens, 0 at padding, `[slots, 1]`.
    pub counted: Tensor<B, 2>,
}

/// Logits and states of a pass over a batch.
#[derive(Debug, Clone)]
pub struct Outputs<B: Backend> {
    /// Logits at the targets' slots, `[targets, vocab]`.
    pub logits: Tensor<B, 2>,
    /// Labels there, `[targets]`; negative ones do not count.
    pub labels: Tensor<B, 1, Int>,
    /// The last states of each stack, without those of virtual tokens.
    pub states: Vec<States<B>>,
}

impl<B: Backend> Outputs<B> {
    /// The same on an autodiff backend, as constants.
    pub fn tracked<AB: AutodiffBackend<InnerBackend = B>>(self) -> Outputs<AB> {
        let states = |states: States<B>| States {
            values: Tensor::from_inner(states.values),
            counted: Tensor::from_inner(states.counted),
        };
        Outputs {
            logits: Tensor::from_inner(self.logits),
            labels: Tensor::from_inner(self.labels),
            states: self.states.into_iter().map(states).collect(),
        }
    }

    /// The loss `[1]` of a student with these outputs: the mean cross-entropy over the labels that count, plus `weight`
    /// times the mean divergence KL(teacher ‖ student) over the same and the mean squared difference of states over tokens
    /// and channels, summed over the stacks.
    ///
    /// The teacher's outputs are of the same batch and the same model.
    pub fn distilled(self, teacher: Self, weight: f64) -> Tensor<B, 1> {
        let counted = self.labels.clone().greater_equal_elem(0).float();
        let count = counted.clone().sum().clamp_min(1.0);
        let (known, found) = (log_softmax(teacher.logits, 1), log_softmax(self.logits.clone(), 1));
        let divergence = (known.clone().exp() * (known - found)).sum_dim(1).squeeze_dim::<1>(1);
        let mut added = (divergence * counted).sum() / count;
        for (own, teachers) in self.states.into_iter().zip(teacher.states) {
            let [_, channels] = own.values.dims();
            let tokens = own.counted.clone().sum().clamp_min(1.0);
            let difference = own.values - teachers.values;
            let squared = (difference.clone() * difference).sum_dim(1) * own.counted;
            added = added + squared.sum() / tokens / channels as f64;
        }
        adept_kernels::cross_entropy(self.logits, self.labels) + added * weight
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::backend::Autodiff;
    use burn::tensor::{TensorData, Tolerance};
    use burn_flex::Flex;

    use super::*;

    type AB = Autodiff<Flex>;

    /// The expected values are PyTorch's: `cross_entropy`, `kl_div` with `log_target` and `batchmean` over the labels that
    /// count, `mse_loss` over the tokens.
    #[test]
    fn loss_and_gradients_are_those_of_the_formula() {
        let device = Default::default();
        let student = Tensor::<AB, 2>::from_data(
            [[0.2, -1.0, 0.7], [1.5, 0.3, -0.4], [9.0, 9.0, 9.0], [0.0, 0.5, 1.0]],
            &device,
        );
        let student = student.require_grad();
        let teacher = Tensor::<Flex, 2>::from_data(
            [[0.1, 0.4, -0.6], [1.0, -0.5, 0.2], [1.0, 2.0, 3.0], [-1.0, 0.5, 0.0]],
            &device,
        );
        let own = Tensor::<AB, 2>::from_data([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], &device).require_grad();
        let known = Tensor::<Flex, 2>::from_data([[1.5, 2.0], [2.0, 4.5], [50.0, 60.0]], &device);
        let labels = [2, 0, -100, 1];
        let counted = [[1.0], [1.0], [0.0]];
        let outputs = Outputs {
            logits: student.clone(),
            labels: Tensor::from_ints(labels, &device),
            states: vec![States {
                values: own.clone(),
                counted: Tensor::from_floats(counted, &device),
            }],
        };
        let teacher = Outputs::<Flex> {
            logits: teacher,
            labels: Tensor::from_ints(labels, &device),
            states: vec![States {
                values: known,
                counted: Tensor::from_floats(counted, &device),
            }],
        };
        let loss = outputs.distilled(teacher.tracked::<AB>(), 0.9);
        let near = |found: TensorData, expected: TensorData| {
            // Sums of a few values of size 1 in float32.
            found.assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-6));
        };
        near(loss.clone().into_data(), TensorData::from([1.280_984f32]));
        let gradients = loss.backward();
        near(
            student.grad(&gradients).unwrap().into_data(),
            TensorData::from([
                [0.109_300_77f32, -0.077_602_88, -0.031_697_884],
                [-0.076_157_96, 0.091_462_6, -0.015_304_621],
                [0.0, 0.0, 0.0],
                [0.081_419_53, -0.302_740_75, 0.221_321_23],
            ]),
        );
        near(
            own.grad(&gradients).unwrap().into_data(),
            TensorData::from([[-0.225f32, 0.0], [0.45, -0.225], [0.0, 0.0]]),
        );
    }
}
