//! Largest deviations between computed and golden values, tensor by tensor.

use adept_models::Precision;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};

use super::golden::Golden;
use super::{GroupRow, VerifyError};

/// Tolerances (conventions.md of the specification). The float32 noise of tiny models, measured against float64, is a
/// factor of ten below them; typical mistakes are at least a factor of ten above. Models of real size have larger
/// logits and longer sums; for them the golden folder states how far float32 is from float64 ([`limit::NOISE`]).
pub mod limit {
    /// Logits, and the activations leading to them.
    pub const LOGITS: f64 = 1e-4;
    /// Losses.
    pub const LOSS: f64 = 1e-5;
    /// Gradients of adapter tensors.
    pub const GRADIENTS: f64 = 5e-6;
    /// Gradients of tensors at weights inside the model: sums over every slot, up to a few units in the golden folders
    /// where those of prompts are hundredths. An error of a thousandth in a scale exceeds this a hundredfold.
    pub const WEIGHT_GRADIENTS: f64 = 2e-5;
    /// The prompt after three AdamW steps at learning rate 0.3.
    pub const PROMPT_AFTER_3: f64 = 5e-4;
    /// Offset tensors after three AdamW steps at learning rate 1e-4: they move by at most 1.5e-4, so a looser tolerance
    /// would pass without training.
    pub const OFFSET_AFTER_3: f64 = 2e-6;
    /// Gradients that float32's noise of some 1e-7 changes by percents; AdamW's epsilon in the golden files is 1e-6.
    pub const FLAT: f64 = 5e-6;
    /// Margins are differences of two logits.
    pub const MARGIN: f64 = 2.0 * LOGITS;
    /// Rotary frequencies, relative to the golden ones: float32 rounds a power and a reciprocal.
    pub const FREQUENCY: f64 = 1e-5;
    /// Ids, masks, positions, bucket tables, tokenizer cases, the schedule: exact equality.
    pub const EXACT: f64 = 0.0;
    /// Accepted multiple of PyTorch's own float32 noise in a tensor, if the golden folder states the noise and this
    /// exceeds the tolerances above. Golden values are PyTorch's float32: a program as far from float64 as PyTorch
    /// deviates from it by up to twice the noise, and sums in another order may add as much again.
    pub const NOISE: f64 = 4.0;

    /// In bfloat16, of logits and activations. Here and below a group's deviation is relative, `‖computed − golden‖ /
    /// ‖golden‖` over all its tensors: with random weights of this size single values may cancel to nothing, and what
    /// is left of them in 8 bits says nothing. Measured on the project's own folders: at most half of each tolerance.
    pub const BF16_LOGITS: f64 = 0.04;
    /// In bfloat16, of losses.
    pub const BF16_LOSS: f64 = 0.015;
    /// In bfloat16, of the whole gradient of an adapter; a median of 0.015, more where a golden gradient is a small
    /// difference of large terms.
    pub const BF16_GRADIENTS: f64 = 0.35;
    /// In bfloat16, of a prompt after three steps; Adam turns the sign of a gradient near 0 into a whole step.
    pub const BF16_PROMPT_AFTER_3: f64 = 0.2;
    /// In bfloat16, of other tensors after three steps, which move by a thousandth of what they are.
    pub const BF16_OFFSET_AFTER_3: f64 = 5e-4;
    /// How much smaller the tolerances are with operands in two parts: these have 2⁻⁸ of the rounding, and what the
    /// parts leave out may be four times that.
    pub const BF16X3: f64 = 64.0;
    /// With operands in two parts, of margins, which are single values: at most 6.3e-4 on the project's own folders.
    pub const BF16X3_MARGIN: f64 = 10.0 * MARGIN;
}

/// What a group holds, which decides its tolerance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Logits,
    Loss,
    Gradients,
    WeightGradients,
    PromptAfter3,
    OffsetAfter3,
    Margin,
    Frequency,
    Exact,
}

impl Class {
    /// The tolerance in float32, absolute.
    fn limit(self) -> f64 {
        match self {
            Self::Logits => limit::LOGITS,
            Self::Loss => limit::LOSS,
            Self::Gradients => limit::GRADIENTS,
            Self::WeightGradients => limit::WEIGHT_GRADIENTS,
            Self::PromptAfter3 => limit::PROMPT_AFTER_3,
            Self::OffsetAfter3 => limit::OFFSET_AFTER_3,
            Self::Margin => limit::MARGIN,
            Self::Frequency => limit::FREQUENCY,
            Self::Exact => limit::EXACT,
        }
    }

    /// The tolerance in bfloat16, relative; `None` for what a backbone's products do not change. Margins are left out
    /// of reports in bfloat16 with the tokens that they belong to.
    fn relative_limit(self) -> Option<f64> {
        match self {
            Self::Logits => Some(limit::BF16_LOGITS),
            Self::Loss => Some(limit::BF16_LOSS),
            Self::Gradients | Self::WeightGradients => Some(limit::BF16_GRADIENTS),
            Self::PromptAfter3 => Some(limit::BF16_PROMPT_AFTER_3),
            Self::OffsetAfter3 => Some(limit::BF16_OFFSET_AFTER_3),
            Self::Margin | Self::Frequency | Self::Exact => None,
        }
    }
}

/// Sums of squares over a group's tensors.
#[derive(Debug, Clone, Copy, Default)]
struct Squares {
    /// Of the differences.
    differences: f64,
    /// Of the golden values.
    golden: f64,
}

/// A group of tensors being compared with one tolerance.
#[derive(Debug)]
pub(super) struct Group<'a> {
    golden: &'a Golden,
    name: String,
    limit: f64,
    compared: usize,
    tensor: String,
    deviation: f64,
    /// Tolerance of that tensor, and the noise it is derived from.
    passes: f64,
    noise: Option<f64>,
    /// Kept where the tolerance is relative.
    squares: Option<Squares>,
}

impl<'a> Group<'a> {
    /// An empty group.
    pub fn new(golden: &'a Golden, name: impl Into<String>, class: Class) -> Self {
        let relative = match golden.precision() {
            Precision::F32 => None,
            Precision::Bf16x3 => class.relative_limit().map(|limit| limit / limit::BF16X3),
            Precision::Bf16 => class.relative_limit(),
        };
        let limit = match (golden.precision(), class) {
            (Precision::Bf16x3, Class::Margin) => limit::BF16X3_MARGIN,
            _ => relative.unwrap_or(class.limit()),
        };
        Self {
            golden,
            name: name.into(),
            limit,
            compared: 0,
            tensor: String::new(),
            deviation: 0.0,
            passes: limit,
            noise: None,
            squares: relative.map(|_| Squares::default()),
        }
    }

    /// Whether nothing has been compared yet.
    pub fn is_empty(&self) -> bool {
        self.compared == 0
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

    /// Compares a tensor after optimiser steps with the golden one, `CASE.after3.TENSOR`, but for values whose golden
    /// gradient, `CASE.grad.TENSOR`, is within [`limit::FLAT`]: Adam divides it by its own size, so that its rounding
    /// decides the step.
    pub fn trained(&mut self, case: &str, tensor: &str, data: TensorData) -> Result<(), VerifyError> {
        let (name, gradient) = (format!("{case}.after3.{tensor}"), format!("{case}.grad.{tensor}"));
        let shape = data.shape.to_vec();
        let golden = self.golden.floats(&self.name, &name, &shape)?;
        let gradient = self.golden.floats(&self.name, &gradient, &shape)?;
        let is_steep = |place: &usize| gradient[*place].abs() > limit::FLAT;
        let steep: Vec<usize> = (0..gradient.len()).filter(is_steep).collect();
        let computed: Vec<f64> = data.iter::<f64>().collect();
        let chosen = |values: &[f64]| -> Vec<f64> { steep.iter().map(|place| values[*place]).collect() };
        self.compare(&name, &chosen(golden), &chosen(&computed), 1);
        Ok(())
    }

    /// Compares values of the given shape with the golden tensor of that name. A golden scalar is treated as one axis
    /// of length 1.
    pub fn values(&mut self, name: &str, shape: &[usize], computed: &[f64]) -> Result<(), VerifyError> {
        let scalar = shape == [1] && self.golden.shape::<0>(&self.name, name).is_ok();
        let golden = self.golden.floats(&self.name, name, if scalar { &[] } else { shape })?;
        self.compare(name, golden, computed, 1);
        Ok(())
    }

    /// Compares a tensor `[rows, slots, values]` with the golden one of that name, only at `visible` slots
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
        self.compare(name, &seen(golden), &seen(&computed), 1);
        Ok(())
    }

    /// Compares values with expected ones derived from golden tensors; `name` says which. Each value has the noise of
    /// `terms` values of the tensor.
    pub fn derived(&mut self, name: &str, expected: &[f64], computed: &[f64], terms: usize) {
        self.compare(name, expected, computed, terms);
    }

    /// Counts integers that differ from the golden tensor of that name.
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

    /// Adds the deviation of a comparison made elsewhere.
    pub fn note(&mut self, name: &str, deviation: f64) {
        self.note_within(name, deviation, self.limit, None);
    }

    /// Adds a deviation with the tensor's own tolerance. The group keeps the largest fraction of a tolerance.
    fn note_within(&mut self, name: &str, deviation: f64, limit: f64, noise: Option<f64>) {
        self.compared += 1;
        // Cross-multiplied, because a tolerance may be 0. A NaN must persist once it occurs: `f64::max` would drop it.
        let is_larger =
            deviation * self.passes > self.deviation * limit || (limit == 0.0 && deviation > self.deviation);
        if !self.deviation.is_nan() && (deviation.is_nan() || is_larger) {
            self.deviation = deviation;
            self.passes = limit;
            self.noise = noise;
            self.tensor = name.to_owned();
        }
    }

    /// Tolerance of a tensor, and the noise if it is derived from that.
    fn limit_of(&self, name: &str, terms: usize) -> (f64, Option<f64>) {
        let noise = self.golden.noise(name).filter(|_| self.limit > limit::EXACT);
        match noise.map(|noise| noise * terms as f64) {
            Some(noise) if limit::NOISE * noise > self.limit => (limit::NOISE * noise, Some(noise)),
            _ => (self.limit, None),
        }
    }

    /// Adds the number of differing cases out of `compared`.
    pub fn count(&mut self, compared: usize, first: &str, different: usize) {
        self.note(first, different as f64);
        self.compared = compared;
    }

    /// The group's result.
    pub fn finish(self) -> Result<GroupRow, VerifyError> {
        if self.compared == 0 {
            return Err(VerifyError::NoCases {
                path: self.golden.path().to_owned(),
                group: self.name,
            });
        }
        if let Some(Squares { differences, golden }) = self.squares {
            let deviation = (differences / golden.max(f64::MIN_POSITIVE)).sqrt();
            return Ok(GroupRow::new(
                self.name,
                self.compared,
                self.tensor,
                deviation,
                self.limit,
            ));
        }
        Ok(GroupRow {
            noise: self.noise,
            ..GroupRow::new(self.name, self.compared, self.tensor, self.deviation, self.passes)
        })
    }

    fn compare(&mut self, name: &str, golden: &[f64], computed: &[f64], terms: usize) {
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
        if let Some(squares) = &mut self.squares {
            let square = |x: f64| x * x;
            squares.golden += golden.iter().copied().map(square).sum::<f64>();
            let differences = golden.iter().zip(computed).map(|(golden, computed)| golden - computed);
            squares.differences += differences.map(square).sum::<f64>();
            return self.note_within(name, largest, self.limit, None);
        }
        let (limit, noise) = self.limit_of(name, terms);
        self.note_within(name, largest, limit, noise);
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
            let golden = Golden::open(&empty(), Precision::F32).expect("an empty file is a whole one");
            let mut group = Group::new(&golden, "logits", Class::Logits);
            for deviation in &deviations {
                group.derived("x", &[0.0, 1.0], &[0.0, 1.0 + deviation], 1);
            }
            let row = group.finish().expect("something was compared");
            assert_eq!(row.pass, passes, "{deviations:?}: {row:?}");
        }
    }

    #[test]
    fn noise_widens_a_limit_and_never_an_exact_one() {
        let path = empty();
        let noise = r#"{"tensors": {"wide": {"noise": 1e-3, "scale": 40.0}, "narrow": {"noise": 1e-6, "scale": 1.0}}}"#;
        std::fs::write(path.with_file_name("noise.json"), noise).expect("it can be written");
        let golden = Golden::open(&path, Precision::F32).expect("a golden file with its noise");
        let verdict = |class: Class, deviations: &[(&str, f64)]| {
            let mut group = Group::new(&golden, "logits", class);
            for (name, deviation) in deviations {
                group.derived(name, &[0.0], &[*deviation], 1);
            }
            let row = group.finish().expect("something was compared");
            (row.pass, row.tensor, row.noise)
        };
        let wide = ("wide".to_owned(), Some(1e-3));
        let found = |class, deviations: &[(&str, f64)]| {
            let (pass, tensor, noise) = verdict(class, deviations);
            (pass, (tensor, noise))
        };
        assert_eq!(found(Class::Logits, &[("wide", 3.9e-3)]), (true, wide.clone()));
        assert_eq!(found(Class::Logits, &[("wide", 4.1e-3)]), (false, wide));
        // Low noise does not tighten the tolerance, without noise the default applies, and each tensor of a group has
        // its own.
        assert!(verdict(Class::Logits, &[("narrow", 9e-5)]).0 && !verdict(Class::Logits, &[("narrow", 2e-4)]).0);
        assert!(!verdict(Class::Logits, &[("other", 2e-4)]).0);
        let (pass, tensor, _) = verdict(Class::Logits, &[("wide", 2e-3), ("other", 2e-4)]);
        assert_eq!(
            (pass, tensor.as_str()),
            (false, "other"),
            "the larger part of its limit"
        );
        assert!(!verdict(Class::Exact, &[("wide", 1e-9)]).0);
    }

    #[test]
    fn in_bfloat16_a_group_has_one_relative_deviation() {
        let golden = Golden::open(&empty(), Precision::Bf16).expect("an empty file is a whole one");
        let row = |class, computed: [f64; 3]| {
            let mut group = Group::new(&golden, "group", class);
            group.derived("first", &[3.0, 0.0], &computed[..2], 1);
            group.derived("second", &[4.0], &computed[2..], 1);
            group.finish().expect("something was compared")
        };
        let found = row(Class::Logits, [3.0, 0.15, 4.0]);
        assert!((found.deviation - 0.03).abs() < 1e-12 && found.pass, "{found:?}");
        assert_eq!(found.tensor, "first");
        assert!(!row(Class::Logits, [3.0, 0.0, 4.25]).pass);
        assert!(!row(Class::Logits, [f64::NAN, 0.0, 4.0]).pass);
        // Products do not change rotary frequencies.
        assert!(!row(Class::Frequency, [3.0, 2e-5, 4.0]).pass);
    }

    #[test]
    fn noise_that_is_none_is_refused() {
        for text in [
            "{",
            "{}",
            r#"{"tensors": {"x": {"noise": -1.0, "scale": 1.0}}}"#,
            r#"{"tensors": {"x": {"noise": 0.1, "scale": 1.0}}}"#,
            r#"{"tensors": {"x": {"noise": 0.1}}}"#,
        ] {
            let path = empty();
            std::fs::write(path.with_file_name("noise.json"), text).expect("it can be written");
            let error = Golden::open(&path, Precision::F32)
                .expect_err("it is no noise")
                .to_string();
            assert!(error.contains("noise.json"), "{error}");
        }
    }

    #[test]
    fn a_group_without_comparisons_is_an_error() {
        let golden = Golden::open(&empty(), Precision::F32).expect("an empty file is a whole one");
        let error = Group::new(&golden, "logits", Class::Logits)
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
