//! Runs that start from other runs: a setting names one as `{task/row}` (`adapter.init_from={mnli/pt}`), or as
//! `{table:task/row}` where it is of another table.

use std::path::PathBuf;

use adept_data::path_text;
use adept_train::config::Values;
use toml::Value;

use super::{Grid, GridError};
use crate::report::Benchmark;

/// Folder of the rows that are trained on several tasks together, in place of a task's.
pub const TOGETHER: &str = "all";

/// A run that another one starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Need {
    /// The table; `None` for the grid's own.
    pub table: Option<Benchmark>,
    /// Name of its task, or [`TOGETHER`].
    pub task: String,
    /// Name of its row.
    pub row: String,
}

impl Need {
    /// The folder of its run with a seed.
    pub(super) fn folder(&self, grid: &Grid, seed: u64) -> PathBuf {
        let out = match self.table {
            Some(table) => grid.profile.out_of(table),
            None => grid.out.clone(),
        };
        out.join(&self.task).join(&self.row).join(format!("seed-{seed}"))
    }

    /// `mnli/pt`.
    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.task, self.row)
    }

    /// Parses what stands between the braces.
    fn parse(text: &str) -> Result<Self, GridError> {
        let refuse = || GridError::Reference {
            found: format!("{{{text}}}"),
        };
        let (table, run) = match text.split_once(':') {
            Some((table, run)) => {
                let known = Benchmark::ALL.iter().find(|known| known.name() == table);
                (Some(*known.ok_or_else(refuse)?), run)
            }
            None => (None, text),
        };
        let (task, row) = run.split_once('/').ok_or_else(refuse)?;
        if task.is_empty() || row.is_empty() || row.contains(['/', '{', '}']) {
            return Err(refuse());
        }
        Ok(Self {
            table,
            task: task.to_owned(),
            row: row.to_owned(),
        })
    }
}

/// Replaces the references in settings by the folders of the runs, and returns those runs.
pub(super) fn resolve(values: &mut Values, grid: &Grid, seed: u64) -> Result<Vec<Need>, GridError> {
    let mut needs: Vec<Need> = Vec::new();
    for key in ["adapter.init_from", "adapter.sources", "distillation.teachers"] {
        let Some((value, _)) = values.get_mut(key) else {
            continue;
        };
        let texts: Vec<&mut String> = match value {
            Value::String(text) => vec![text],
            Value::Array(items) => items
                .iter_mut()
                .filter_map(|item| match item {
                    Value::String(text) => Some(text),
                    _ => None,
                })
                .collect(),
            _ => Vec::new(),
        };
        for text in texts {
            let Some(inner) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
                continue;
            };
            let need = Need::parse(inner)?;
            *text = path_text::to_text(&need.folder(grid, seed));
            if !needs.contains(&need) {
                needs.push(need);
            }
        }
    }
    Ok(needs)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_and_mistakes_are_named() {
        let own = Need::parse("mnli/pt").unwrap();
        assert_eq!((own.table, own.name().as_str()), (None, "mnli/pt"));
        let other = Need::parse("glue:all/mpt_sources").unwrap();
        assert_eq!((other.table, other.task.as_str()), (Some(Benchmark::Glue), TOGETHER));
        for text in ["", "mnli", "mnli/", "/pt", "nothing:mnli/pt", "mnli/pt/seed-1"] {
            let error = Need::parse(text).unwrap_err().to_string();
            assert!(error.contains(&format!("{{{text}}}")), "{error}");
        }
    }
}
