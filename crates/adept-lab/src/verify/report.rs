//! Result of a verification: one row per tensor group, and what was not checked, with the reason.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::limit;

/// The largest deviation within a group of tensors, and the group's tolerance.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupRow {
    /// `base.logits`, `adept.gradients`, `tokenizer` and so on.
    pub group: String,
    /// Number of tensors (tokenizer: cases) compared.
    pub compared: usize,
    /// The tensor (tokenizer: case) with the largest deviation; empty if nothing deviates.
    pub tensor: String,
    /// Largest absolute deviation, in bfloat16 the relative one of the whole group; for ids and tokenizer cases the
    /// number of differences. NaN if a computed value is NaN (`null` in JSON).
    pub deviation: f64,
    /// Largest accepted deviation: conventions.md of the specification, 0 for ids and tokenizer cases; larger if the
    /// golden folder states larger float32 noise.
    pub limit: f64,
    /// PyTorch's own float32 noise in that tensor, if the tolerance is derived from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise: Option<f64>,
    /// `deviation / limit`: 1 is at the tolerance. Infinite (`null` in JSON) if the tolerance is 0 and something
    /// differs.
    pub relative: f64,
    /// Whether the deviation is within the tolerance; never for NaN.
    pub pass: bool,
}

impl GroupRow {
    /// Creates the row of a group; `pass` and `relative` are derived from the figures.
    pub fn new(group: impl Into<String>, compared: usize, tensor: String, deviation: f64, limit: f64) -> Self {
        // Written so that a NaN fails: `deviation > limit` would let it through.
        let pass = deviation <= limit;
        let relative = if deviation == 0.0 { 0.0 } else { deviation / limit };
        Self {
            group: group.into(),
            compared,
            tensor,
            deviation,
            limit,
            noise: None,
            relative,
            pass,
        }
    }
}

/// A part of the golden folder that was not checked, and why: neither passed nor failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotChecked {
    /// The group.
    pub group: String,
    /// The reason, as a full sentence.
    pub reason: String,
}

/// The result of a verification.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VerifyReport {
    /// The backbone folder.
    #[serde(with = "adept_data::path_text")]
    pub backbone: PathBuf,
    /// The golden file.
    #[serde(with = "adept_data::path_text")]
    pub golden: PathBuf,
    /// burn's name for the verified backend.
    pub backend: String,
    /// One row per group, in the order of the checks.
    pub rows: Vec<GroupRow>,
    /// Parts of a golden folder, present or optional, that were not checked.
    pub not_checked: Vec<NotChecked>,
}

impl VerifyReport {
    /// Whether every group passed; false without rows.
    pub fn passed(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(|row| row.pass)
    }

    /// The groups that did not pass.
    pub fn failed(&self) -> impl Iterator<Item = &GroupRow> {
        self.rows.iter().filter(|row| !row.pass)
    }
}

impl fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "golden   {}", self.golden.display())?;
        writeln!(f, "backbone {}", self.backbone.display())?;
        writeln!(f, "backend  {}\n", self.backend)?;
        let width = self
            .rows
            .iter()
            .map(|row| row.group.len())
            .max()
            .unwrap_or(0)
            .max("group".len());
        writeln!(
            f,
            "{:<width$}  {:>8}  {:>10}  {:>8}  {:>8}  verdict  largest in",
            "group", "compared", "deviation", "limit", "of limit"
        )?;
        for row in &self.rows {
            // An exact match is shown as a plain 0, distinct from small values.
            let figure = |value: f64, text: String| if value == 0.0 { "0".to_owned() } else { text };
            writeln!(
                f,
                "{:<width$}  {:>8}  {:>10}  {:>8}  {:>8}  {:<7}  {}",
                row.group,
                row.compared,
                figure(row.deviation, format!("{:.2e}", row.deviation)),
                figure(
                    row.limit,
                    match row.noise {
                        None => format!("{:e}", row.limit),
                        Some(_) => format!("{:.1e}", row.limit),
                    }
                ),
                figure(row.relative, format!("{:.3}", row.relative)),
                if row.pass { "pass" } else { "FAIL" },
                if row.tensor.is_empty() { "-" } else { &row.tensor },
            )?;
        }
        for left in &self.not_checked {
            writeln!(f, "{:<width$}  not checked: {}", left.group, left.reason)?;
        }
        let by_noise = self.rows.iter().filter(|row| row.noise.is_some()).count();
        if by_noise > 0 {
            writeln!(
                f,
                "\n{by_noise} limits are {} times the float32 noise of PyTorch itself, which the golden folder holds",
                limit::NOISE
            )?;
        }
        let failed = self.failed().count();
        if self.passed() {
            write!(f, "\nall {} groups pass", self.rows.len())
        } else {
            write!(f, "\n{failed} of {} groups FAIL", self.rows.len())
        }
    }
}
