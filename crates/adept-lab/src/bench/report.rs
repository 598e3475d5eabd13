//! Results of a benchmark case, printed as JSON by the command line.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{BenchOptions, Memory, Products};

/// Times of one operation, with each repetition timed individually.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// Median in milliseconds.
    pub median_ms: f64,
    /// Minimum in milliseconds.
    pub min_ms: f64,
    /// Rows per second at the median.
    pub samples_per_second: f64,
    /// All repetitions in order, in milliseconds.
    pub all_ms: Vec<f64>,
}

impl Timing {
    /// Computes the figures from the durations of the repetitions, each over `batch` rows. `durations` must not be
    /// empty.
    pub(super) fn new(durations: &[Duration], batch: usize) -> Self {
        let all_ms: Vec<f64> = durations.iter().map(|duration| duration.as_secs_f64() * 1e3).collect();
        let mut sorted = all_ms.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median_ms = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            (sorted[middle - 1] + sorted[middle]) / 2.0
        };
        Self {
            median_ms,
            min_ms: sorted[0],
            samples_per_second: batch as f64 * 1e3 / median_ms,
            all_ms,
        }
    }
}

impl fmt::Display for Timing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "median {:.1} ms, min {:.1} ms, {:.1} samples/s",
            self.median_ms, self.min_ms, self.samples_per_second
        )
    }
}

/// Results of one case.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BenchReport {
    /// `step` or `infer`.
    pub kind: &'static str,
    /// The case, with the rank filled in.
    pub options: BenchOptions,
    /// burn's name for the backend.
    pub backend: String,
    /// Number of threads the operating system lets this process run in parallel.
    pub threads: usize,
    /// Parameters of the backbone.
    pub backbone_parameters: usize,
    /// Parameters that are trained (`step`) or attached (`infer`).
    pub trainable_parameters: usize,
    /// Forward, loss, backward and optimiser (`step` only).
    pub step: Option<Timing>,
    /// Greedy decoding (`infer` only); for a decoder-only model with the soft prompt read once, before the clock
    /// starts.
    pub greedy: Option<Timing>,
    /// The same with the soft prompt read once per row (`infer` with a decoder-only model).
    pub reread: Option<Timing>,
    /// Label prediction by scoring each in one decoder pass (`infer` with a T5).
    pub score: Option<Timing>,
    /// The step's multiplications, and the batch's padding (`step` only).
    pub products: Option<Products>,
    /// Loss of the last timed step (`step` only), as evidence that it is finite and plausible.
    pub loss: Option<f32>,
    /// Peak resident memory of the process so far in bytes, including the construction of the random backbone; absent
    /// if the system does not report it.
    pub peak_rss_bytes: Option<u64>,
    /// Resident memory before and during the steps (`step` only); absent if the system does not report it.
    pub memory: Option<Memory>,
}

impl fmt::Display for BenchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let o = &self.options;
        writeln!(
            f,
            "{} {} {}: batch {}, {} source tokens, m {}, r {}, {} ({} threads)",
            self.kind, o.size, o.method, o.batch, o.tokens, o.virtual_tokens, o.rank, self.backend, self.threads
        )?;
        for (name, timing) in [
            ("step", &self.step),
            ("greedy", &self.greedy),
            ("reread", &self.reread),
            ("score", &self.score),
        ] {
            if let Some(timing) = timing {
                writeln!(f, "  {name:<6} {timing}")?;
            }
        }
        if let (Some(step), Some(products)) = (&self.step, self.products) {
            writeln!(
                f,
                "  rate   {:.0} GFLOP/s in products with weights, {:.0} % of the slots are padding",
                products.flop / step.median_ms / 1e6,
                products.padding * 100.0
            )?;
        }
        if let Some(loss) = self.loss {
            writeln!(f, "  loss   {loss:.4}")?;
        }
        match self.peak_rss_bytes {
            Some(bytes) => write!(f, "  memory {:.0} MiB at the peak", bytes as f64 / f64::from(1 << 20)),
            None => write!(f, "  memory unknown on this system"),
        }
    }
}
