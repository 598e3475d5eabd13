//! A folder of runs with arbitrary bytes, and what must hold for its report. Shared by the property tests here and the
//! fuzz target (`fuzz/` at the repository's root).

use adept_lab::report::{self, Report, ReportError};

use crate::input::Folder;

/// A folder of runs.
pub struct ReportFeed(Folder);

impl ReportFeed {
    /// Inputs are a grid's file, two finished runs and an unfinished one.
    #[allow(clippy::new_without_default, reason = "it makes a folder")]
    pub fn new() -> Self {
        Self(Folder::new(&[
            "reproduce.json",
            "rte/adept/seed-42/record.jsonl",
            "rte/adept/seed-42/result.json",
            "rte/adept/seed-42/test-answers.json",
            "rte/pt/seed-7/record.jsonl",
            "rte/pt/seed-7/result.json",
            "cola/full/seed-1/record.jsonl",
        ]))
    }

    /// Makes the report.
    ///
    /// # Panics
    /// If building it panics, or if an error does not name a file of the folder.
    pub fn check(&self, input: &[u8]) -> Result<Report, ReportError> {
        let folder = self.0.fill(input);
        let report = report::build(folder);
        match &report {
            Ok(report) => drop(report.results_table()),
            Err(error) => {
                let message = error.to_string();
                assert!(
                    message.contains(&folder.display().to_string()),
                    "no file of the folder: {message}"
                );
            }
        }
        report
    }
}
