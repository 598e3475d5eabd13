//! `adept doctor`: what a training step will need of a machine, before the backbone is loaded.
//!
//! Blocks are alike: each adds as much to the weights, to what is kept for the way back and to the time as the one
//! before. A few steps of two models with the same widths and few blocks, as many of the encoder to each of the decoder
//! as in the model itself, therefore give what blocks cost and what is left without any; the model follows. Each runs
//! in a process of its own, whose peak memory is then its own.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::bench::{BenchError, BenchOptions, Depth, Memory, Timing};

/// Blocks of the larger stack in the two models that are measured, at least. A model of no more blocks than the second
/// is measured itself. With fewer, the peak of a step may be where the head of a large vocabulary is, and not where the
/// blocks are.
const FEW: usize = 6;
const MORE: usize = 12;

/// What a measurement says: these fields of a [`crate::bench::BenchReport`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Measured {
    /// Times of the steps.
    pub step: Option<Timing>,
    /// Memory before and during them.
    pub memory: Option<Memory>,
}

/// What a step will need.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prediction {
    /// The case, with the depth of the backbone.
    pub options: BenchOptions,
    /// The backbone's blocks.
    pub depth: Depth,
    /// Peak resident memory of a process that trains it, in bytes.
    pub peak_bytes: u64,
    /// The part of it that is there before the first step.
    pub loaded_bytes: u64,
    /// A step, in milliseconds.
    pub step_ms: f64,
    /// Depths of the models that were measured.
    pub measured: Vec<Depth>,
}

impl Prediction {
    /// Rows per second.
    #[must_use]
    pub fn samples_per_second(&self) -> f64 {
        self.options.batch as f64 * 1e3 / self.step_ms
    }
}

/// Why nothing can be predicted.
#[derive(Debug, thiserror::Error)]
pub enum DoctorError<E> {
    /// The options.
    #[error(transparent)]
    Options(#[from] BenchError),
    /// A measurement failed.
    #[error("a model of {depth} blocks: {cause}")]
    Measuring {
        /// Its blocks.
        depth: Depth,
        /// The cause.
        cause: E,
    },
    /// The system does not say how much memory a process used.
    #[error("this system does not say how much memory a process used at its peak")]
    NoMemory,
}

/// The figures of one measurement that grow with the number of blocks.
#[derive(Debug, Clone, Copy)]
struct Figures {
    loading: f64,
    loaded: f64,
    stepping: f64,
    step_ms: f64,
}

impl Figures {
    fn of<E>(report: &Measured) -> Result<Self, DoctorError<E>> {
        let (Some(step), Some(memory)) = (&report.step, report.memory) else {
            return Err(DoctorError::NoMemory);
        };
        Ok(Self {
            loading: memory.loading_peak_bytes as f64,
            loaded: memory.loaded_bytes as f64,
            stepping: memory.step_peak_bytes as f64,
            step_ms: step.median_ms,
        })
    }

    fn combined(self, other: Self, with: impl Fn(f64, f64) -> f64) -> Self {
        Self {
            loading: with(self.loading, other.loading),
            loaded: with(self.loaded, other.loaded),
            stepping: with(self.stepping, other.stepping),
            step_ms: with(self.step_ms, other.step_ms),
        }
    }
}

/// Predicts a case's step; `measure` runs [`crate::bench::step`] in a process of its own.
///
/// # Errors
/// Invalid options, and measurements that fail.
pub fn predict<E>(
    options: &BenchOptions,
    mut measure: impl FnMut(&BenchOptions) -> Result<Measured, E>,
) -> Result<Prediction, DoctorError<E>> {
    let (options, depth) = options.resolved()?;
    let mut measured = Vec::new();
    let mut figures = |depth: Depth| {
        let report = measure(&BenchOptions {
            depth: Some(depth),
            ..options.clone()
        });
        measured.push(depth);
        Figures::of(&report.map_err(|cause| DoctorError::Measuring { depth, cause })?)
    };
    let (unit, count) = depth.unit();
    let (few, more) = (unit.reaching(FEW), unit.reaching(MORE));
    let all = if count <= more {
        figures(depth)?
    } else {
        let low = figures(unit.times(few))?;
        let high = figures(unit.times(more))?;
        let further = (count - few) as f64 / (more - few) as f64;
        low.combined(high, |low, high| low + (high - low) * further)
    };
    Ok(Prediction {
        peak_bytes: all.loading.max(all.stepping).max(0.0) as u64,
        loaded_bytes: all.loaded.max(0.0) as u64,
        step_ms: all.step_ms.max(0.0),
        options,
        depth,
        measured,
    })
}

impl fmt::Display for Prediction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gibibytes = |bytes: u64| bytes as f64 / f64::from(1 << 30);
        let o = &self.options;
        writeln!(
            f,
            "{} ({} blocks), {}: batch {}, {} tokens, m {}, {}{}",
            o.size,
            self.depth,
            o.method,
            o.batch,
            o.tokens,
            o.virtual_tokens,
            o.precision,
            if o.recompute { ", recomputed" } else { "" }
        )?;
        writeln!(
            f,
            "  memory  {:.2} GiB at the peak, {:.2} GiB before the first step",
            gibibytes(self.peak_bytes),
            gibibytes(self.loaded_bytes)
        )?;
        writeln!(
            f,
            "  step    {:.2} s, {:.2} samples/s",
            self.step_ms / 1e3,
            self.samples_per_second()
        )?;
        let depths: Vec<String> = self.measured.iter().map(ToString::to_string).collect();
        write!(f, "  from models of {} blocks", depths.join(", "))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::bench::BenchSize;

    /// A machine on which everything is linear.
    fn measured(options: &BenchOptions) -> Measured {
        let depth = options.depth.unwrap();
        let (first, second) = (depth.first as u64, depth.second.unwrap_or(0) as u64);
        Measured {
            step: Some(Timing {
                median_ms: 7.0 + 3.0 * first as f64 + 5.0 * second as f64,
                min_ms: 0.0,
                samples_per_second: 0.0,
                all_ms: Vec::new(),
            }),
            memory: Some(Memory {
                loading_peak_bytes: 900 + first,
                loaded_bytes: 100 + 10 * first + 20 * second,
                step_peak_bytes: 500 + 30 * first + 40 * second,
            }),
        }
    }

    fn prediction(size: BenchSize) -> Prediction {
        let options = BenchOptions {
            size,
            ..BenchOptions::default()
        };
        predict(&options, |options| Ok::<_, std::convert::Infallible>(measured(options))).unwrap()
    }

    #[test]
    fn a_model_of_any_depth_follows_from_shallow_ones() {
        let large = prediction(BenchSize::T5Of3B);
        assert_eq!(large.peak_bytes, 500 + 70 * 24);
        assert_eq!(large.loaded_bytes, 100 + 30 * 24);
        assert!((large.step_ms - (7.0 + 8.0 * 24.0)).abs() < 1e-9, "{}", large.step_ms);
        let depths: Vec<String> = large.measured.iter().map(ToString::to_string).collect();
        assert_eq!(depths, ["6 + 6", "12 + 12"]);
        // Loading needs more than a step.
        assert_eq!(prediction(BenchSize::CodeGen350M).peak_bytes, 500 + 30 * 20);
        assert_eq!(prediction(BenchSize::TinyLlama).peak_bytes, 902);
    }

    #[test]
    fn a_model_of_few_blocks_is_measured_itself() {
        let tiny = prediction(BenchSize::Tiny);
        assert_eq!(
            tiny.measured,
            [Depth {
                first: 2,
                second: Some(2)
            }]
        );
        assert_eq!((tiny.peak_bytes, tiny.step_ms), (902, 7.0 + 16.0));
    }
}
