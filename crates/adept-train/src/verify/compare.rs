//! Largest deviations: computed values against golden ones, tensor by tensor.

use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};

use super::golden::Golden;
use super::{GroupRow, VerifyError};

/// Limits of the comparison (conventions.md of the specification). float32 noise of tiny models against float64 was seen
/// a factor of ten below them, typical mistakes a factor of ten and more above.
pub mod limit {
    /// Logits, and the activations that lead to them.
    pub const LOGITS: f64 = 1e-4;
    /// Losses.
    pub const LOSS: f64 = 1e-5;
    /// Gradients of adapter tensors.
    pub const GRADIENTS: f64 = 5e-6;
    /// The prompt after three AdamW steps at rate 0.3.
    pub const PROMPT_AFTER_3: f64 = 5e-4;
    /// Offset tensors after three AdamW steps at rate 1e-4: they move by 1.5e-4 at most, a looser limit would pass
    /// without training.
    pub const OFFSET_AFTER_3: f64 = 2e-6;
    /// Margins are differences of two logits.
    pub const MARGIN: f64 = 2.0 * LOGITS;
    /// Rotary frequencies, relative to the golden ones: float32 rounds a power and a reciprocal.
    pub const FREQUENCY: f64 = 1e-5;
    /// Ids, masks, positions, bucket tables, tokenizer cases, the schedule: no difference at all.
    pub const EXACT: f64 = 0.0;
}

/// A group of tensors under one limit while it is being compared.
#[derive(Debug)]
pub(super) struct Group<'a> {
    golden: &'a Golden,
    name: String,
    limit: f64,
    compared: usize,
    tensor: String,
    deviation: f64,
}

impl<'a> Group<'a> {
    /// An empty group.
    pub fn new(golden: &'a Golden, name: impl Into<String>, limit: f64) -> Self {
        Self {
            golden,
            name: name.into(),
            limit,
            compared: 0,
            tensor: String::new(),
            deviation: 0.0,
        }
    }

    /// Compares a tensor on the device with the golden one of that name.
    pub fn tensor<B: Backend, const D: usize>(&mut self, name: &str, tensor: Tensor<B, D>) -> Result<(), VerifyError> {
        self.data(name, read_back(name, tensor)?)
    }

    /// Compares a tensor on the host with the golden one of that name.
    pub fn data(&mut self, name: &str, data: TensorData) -> Result<(), VerifyError> {
        let shape = data.shape.to_vec();
        let computed: Vec<f64> = data.iter::<f64>().collect();
        self.values(name, &shape, &computed)
    }

    /// Compares values of a shape with the golden tensor of that name. A golden scalar is an axis of one value here.
    pub fn values(&mut self, name: &str, shape: &[usize], computed: &[f64]) -> Result<(), VerifyError> {
        let scalar = shape == [1] && self.golden.shape::<0>(&self.name, name).is_ok();
        let golden = self.golden.floats(&self.name, name, if scalar { &[] } else { shape })?;
        self.compare(name, golden, computed);
        Ok(())
    }

    /// Compares a tensor `[rows, slots, values]` with the golden one of that name, but only slots that are `visible`
    /// (`[rows, slots]`).
    pub fn visible<B: Backend>(
        &mut self,
        name: &str,
        tensor: Tensor<B, 3>,
        visible: &[bool],
    ) -> Result<(), VerifyError> {
        let shape = tensor.dims();
        let golden = self.golden.floats(&self.name, name, &shape)?;
        let computed: Vec<f64> = read_back(name, tensor)?.iter::<f64>().collect();
        let seen = |values: &[f64]| -> Vec<f64> {
            let slots = values.chunks(shape[2]).zip(visible);
            slots
                .filter(|(_, visible)| **visible)
                .flat_map(|(values, _)| values.iter().copied())
                .collect()
        };
        self.compare(name, &seen(golden), &seen(&computed));
        Ok(())
    }

    /// Compares values with expected ones that follow from golden tensors; `name` says from which.
    pub fn derived(&mut self, name: &str, expected: &[f64], computed: &[f64]) {
        self.compare(name, expected, computed);
    }

    /// Counts the integers that differ from the golden tensor of that name.
    pub fn integers(&mut self, name: &str, shape: &[usize], computed: &[i64]) -> Result<(), VerifyError> {
        let golden = self.golden.integers(&self.name, name, shape)?;
        assert_eq!(
            golden.len(),
            computed.len(),
            "{name}: the shape is that of the computed values"
        );
        let differ = golden
            .iter()
            .zip(computed)
            .filter(|(golden, computed)| golden != computed)
            .count();
        self.note(name, differ as f64);
        Ok(())
    }

    /// Notes one comparison that was made elsewhere.
    pub fn note(&mut self, name: &str, deviation: f64) {
        self.compared += 1;
        // A NaN stays once it is there: `f64::max` would drop it.
        if !self.deviation.is_nan() && (deviation.is_nan() || deviation > self.deviation) {
            self.deviation = deviation;
            self.tensor = name.to_owned();
        }
    }

    /// Notes how many of `compared` cases differ.
    pub fn count(&mut self, compared: usize, first: &str, different: usize) {
        self.note(first, different as f64);
        self.compared = compared;
    }

    /// The verdict.
    pub fn finish(self) -> Result<GroupRow, VerifyError> {
        if self.compared == 0 {
            return Err(VerifyError::NoCases {
                path: self.golden.path().to_owned(),
                group: self.name,
            });
        }
        Ok(GroupRow::new(
            self.name,
            self.compared,
            self.tensor,
            self.deviation,
            self.limit,
        ))
    }

    fn compare(&mut self, name: &str, golden: &[f64], computed: &[f64]) {
        assert_eq!(golden.len(), computed.len(), "{name}: shapes were compared before");
        let mut largest = 0.0f64;
        for (golden, computed) in golden.iter().zip(computed) {
            let deviation = (golden - computed).abs();
            if deviation.is_nan() {
                largest = f64::NAN;
                break;
            }
            largest = largest.max(deviation);
        }
        self.note(name, largest);
    }
}

/// A tensor's values as f32 on the host.
pub(super) fn read_back<B: Backend, const D: usize>(
    name: &str,
    tensor: Tensor<B, D>,
) -> Result<TensorData, VerifyError> {
    match tensor.try_into_data() {
        Ok(data) => Ok(data.convert::<f32>()),
        Err(cause) => Err(VerifyError::Device {
            tensor: name.to_owned(),
            cause: cause.to_string(),
        }),
    }
}

/// An integer tensor's values on the host.
pub(super) fn read_integers<B: Backend, const D: usize>(
    name: &str,
    tensor: Tensor<B, D, Int>,
) -> Result<Vec<i64>, VerifyError> {
    match tensor.try_into_data() {
        Ok(data) => Ok(data.iter::<i64>().collect()),
        Err(cause) => Err(VerifyError::Device {
            tensor: name.to_owned(),
            cause: cause.to_string(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nan_never_passes_and_never_leaves() {
        for (deviations, passes) in [
            (vec![0.0, 9e-5], true),
            (vec![0.0, 2e-4], false),
            (vec![f64::NAN, 0.0], false),
            (vec![0.0, f64::NAN, 1.0, 0.0], false),
            (vec![f64::INFINITY], false),
        ] {
            let golden = Golden::open(&empty()).expect("an empty file is a whole one");
            let mut group = Group::new(&golden, "logits", limit::LOGITS);
            for deviation in &deviations {
                group.derived("x", &[0.0, 1.0], &[0.0, 1.0 + deviation]);
            }
            let row = group.finish().expect("something was compared");
            assert_eq!(row.pass, passes, "{deviations:?}: {row:?}");
        }
    }

    #[test]
    fn a_group_without_comparisons_is_an_error() {
        let golden = Golden::open(&empty()).expect("an empty file is a whole one");
        let error = Group::new(&golden, "logits", 1.0)
            .finish()
            .expect_err("nothing was compared");
        assert!(matches!(error, VerifyError::NoCases { .. }), "{error}");
    }

    fn empty() -> std::path::PathBuf {
        let dir = tempfile::tempdir().expect("a temporary folder can be made").keep();
        let path = dir.join("golden.safetensors");
        let nothing: [(&str, safetensors::tensor::TensorView<'_>); 0] = [];
        std::fs::write(
            &path,
            safetensors::serialize(nothing, None).expect("nothing serialises"),
        )
        .expect("it can be written");
        path
    }
}
