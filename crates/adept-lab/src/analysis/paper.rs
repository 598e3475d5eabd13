//! Figures printed in the paper's Tables 1, 2, 11 and 16 (`paper/table1.toml`, …). They are shown next to measured ones
//! and never mixed with them.

use serde::{Deserialize, Serialize};

const TABLE1: &str = include_str!("../../paper/table1.toml");
const TABLE2: &str = include_str!("../../paper/table2.toml");
const TABLE11: &str = include_str!("../../paper/table11.toml");
const TABLE16: &str = include_str!("../../paper/table16.toml");

/// The paper's Table 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaperShifts {
    /// Citation of the table.
    pub source: String,
    /// The backbone used.
    pub backbone: String,
    /// Number of positions with DePT offsets.
    pub positions: usize,
    /// Shifts, in the order of the rows' figures.
    pub shifts: Vec<usize>,
    /// One row per task.
    pub tasks: Vec<PaperShiftRow>,
}

/// One task of Table 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaperShiftRow {
    /// Name as printed.
    pub label: String,
    /// DePT's accuracy at each shift, times 100.
    pub dept: Vec<f64>,
    /// ADePT's accuracy, times 100.
    pub adept: f64,
}

/// The paper's Table 2.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaperMagnitudes {
    /// Citation of the table.
    pub source: String,
    /// The backbone used.
    pub backbone: String,
    /// One pair of columns per task.
    pub tasks: Vec<PaperMagnitude>,
}

/// One task of Table 2.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaperMagnitude {
    /// Name as printed.
    pub label: String,
    /// The input embeddings.
    pub embeddings: PaperMoments,
    /// DePT's offsets.
    pub dept: PaperMoments,
    /// ADePT's offsets.
    pub adept: PaperMoments,
}

/// A printed mean and variance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaperMoments {
    /// Mean of the absolute values.
    pub mean: f64,
    /// Variance of the absolute values.
    pub variance: f64,
}

/// The paper's Table 11.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaperSwitch {
    /// Citation of the table.
    pub source: String,
    /// The backbone used.
    pub backbone: String,
    /// The task, as printed.
    pub task: String,
    /// DePT.
    pub dept: PaperSwitchRow,
    /// ADePT.
    pub adept: PaperSwitchRow,
}

/// A method with and without its offsets, times 100.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaperSwitchRow {
    /// As trained.
    pub with: f64,
    /// With the soft prompt alone.
    pub without: f64,
}

/// The paper's Table 16.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaperDatasets {
    /// Citation of the table.
    pub source: String,
    /// Its rows, in order.
    pub rows: Vec<PaperDataset>,
}

/// A row of Table 16.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaperDataset {
    /// Reference name of the task.
    pub task: String,
    /// Name as printed.
    pub label: String,
    /// The part of the table.
    pub benchmark: String,
    /// Mean length of a training source, in a unit that is not stated.
    pub source_length: f64,
    /// Mean length of a training target.
    pub target_length: f64,
    /// Training rows.
    pub train: usize,
    /// Validation rows.
    pub validation: usize,
    /// Test rows.
    pub test: usize,
    /// Type of the task.
    #[serde(rename = "type")]
    pub kind: String,
}

impl PaperSwitch {
    /// Table 11 as printed.
    #[must_use]
    pub fn table() -> Self {
        toml::from_str(TABLE11).expect("the table is part of the program and a test reads it")
    }
}

impl PaperDatasets {
    /// Table 16 as printed.
    #[must_use]
    pub fn table() -> Self {
        toml::from_str(TABLE16).expect("the table is part of the program and a test reads it")
    }

    /// The row of a task.
    #[must_use]
    pub fn row(&self, task: &str) -> Option<&PaperDataset> {
        self.rows.iter().find(|row| row.task == task)
    }
}

impl PaperShifts {
    /// Table 1 as printed.
    #[must_use]
    pub fn table() -> Self {
        toml::from_str(TABLE1).expect("the table is part of the program and a test reads it")
    }
}

impl PaperMagnitudes {
    /// Table 2 as printed.
    #[must_use]
    pub fn table() -> Self {
        toml::from_str(TABLE2).expect("the table is part of the program and a test reads it")
    }
}

#[cfg(test)]
mod tests {
    use adept_data::Task;

    use super::*;

    #[test]
    fn the_figures_are_complete_and_agree_with_the_papers_text() {
        let shifts = PaperShifts::table();
        assert!(shifts.tasks.iter().all(|row| row.dept.len() == shifts.shifts.len()));
        let rte = &shifts.tasks[0];
        // "decreased by 0.7 points after shifting by 50, and increased by 0.8 points after shifting by 100"
        assert!((rte.dept[0] - rte.dept[1] - 0.7).abs() < 1e-9 && (rte.dept[2] - rte.dept[0] - 0.8).abs() < 1e-9);
        let rte = &PaperMagnitudes::table().tasks[0];
        assert_eq!((rte.dept.mean, rte.embeddings.mean), (0.01, 6.07));
        // Scores with offsets are those of Tables 1 and 3.
        let switch = PaperSwitch::table();
        assert_eq!(
            (switch.dept.with, switch.adept.with),
            (shifts.tasks[0].dept[0], shifts.tasks[0].adept)
        );
    }

    #[test]
    fn every_data_set_is_a_task_with_the_rows_on_its_card() {
        let table = PaperDatasets::table();
        assert_eq!(table.rows.len(), 22);
        for row in &table.rows {
            let task = Task::named(&row.task).expect("a task");
            assert_eq!(task.name(), row.task);
            let counts = [("train", row.train), ("validation", row.validation), ("test", row.test)];
            for (split, rows) in counts {
                assert_eq!(task.card().counts[split], rows, "{task}, {split}");
            }
        }
    }
}
