//! The list of submitted runs, and the lines of it that an element runs.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use adept_data::text::read_text;
use adept_train::TrainError;

use super::SlurmError;
use crate::reproduce::{Cell, Plan};

/// Lines of a file, both ends included, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lines {
    first: usize,
    last: usize,
}

impl FromStr for Lines {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |part: &str| part.parse::<usize>().ok().filter(|line| *line > 0);
        let ends = text.split_once('-').unwrap_or((text, text));
        match (number(ends.0), number(ends.1)) {
            (Some(first), Some(last)) if first <= last => Ok(Self { first, last }),
            _ => Err(format!("expected lines FIRST-LAST, found {text:?}")),
        }
    }
}

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// The list's text.
pub(super) fn text(runs: &[String]) -> Result<String, SlurmError> {
    match runs.iter().find(|run| run.contains(char::is_control)) {
        Some(name) => Err(SlurmError::Name { name: name.clone() }),
        None => Ok(runs.iter().map(|run| format!("{run}\n")).collect()),
    }
}

/// The runs on all lines of a list.
pub(super) fn read(path: &Path) -> Result<Vec<String>, SlurmError> {
    let text = read_text(path).map_err(TrainError::from)?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// The part of a plan that some lines of a list name, in their order.
///
/// # Errors
/// A list that cannot be read or is too short; a line that names none of the plan's runs.
pub fn listed(plan: Plan, path: &Path, lines: Lines) -> Result<Plan, SlurmError> {
    let runs = read(path)?;
    let Some(wanted) = runs.get(lines.first - 1..lines.last) else {
        return Err(SlurmError::TooShort {
            path: path.to_owned(),
            lines,
            found: runs.len(),
        });
    };
    let find = |(index, name): (usize, &String)| {
        let cell = plan.cells.iter().find(|cell| cell.name() == *name);
        cell.cloned().ok_or_else(|| SlurmError::NotInGrid {
            path: path.to_owned(),
            line: lines.first + index,
            found: name.clone(),
        })
    };
    let cells: Vec<Cell> = wanted.iter().enumerate().map(find).collect::<Result<_, _>>()?;
    Ok(Plan { cells, ..plan })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use adept_core::FingerprintBuilder;
    use adept_data::Task;
    use adept_train::config::{TrainMethod, resolve};

    use super::*;
    use crate::reproduce::State;

    fn plan(seeds: &[u64]) -> Plan {
        let cell = |seed: &u64| Cell {
            task: Task::named("rte").expect("it is built in"),
            variant: "full".to_owned(),
            method: TrainMethod::Full,
            seed: *seed,
            folder: PathBuf::new(),
            resolved: resolve(None, &[]).expect("the preset is well formed"),
            state: State::New,
            together: false,
            tasks: Vec::new(),
            needs: Vec::new(),
        };
        Plan {
            cells: seeds.iter().map(cell).collect(),
            parameters: Vec::new(),
            backbone_parameters: 0,
            fingerprint: FingerprintBuilder::new().finish(),
        }
    }

    #[test]
    fn lines_choose_runs_by_name_whatever_the_plan_holds_beside_them() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("runs.txt");
        let names = [3, 1, 2].map(|seed| format!("rte/full/seed-{seed}"));
        fs::write(&path, text(&names).expect("plain names")).expect("the folder is writable");
        let seeds = |known: &[u64], lines: &str| -> Result<Vec<u64>, String> {
            let lines = lines.parse().expect("two numbers");
            let found = listed(plan(known), &path, lines).map_err(|error| error.to_string())?;
            Ok(found.cells.iter().map(|cell| cell.seed).collect())
        };
        assert_eq!(seeds(&[1, 2, 3], "1-2"), Ok(vec![3, 1]));
        assert_eq!(seeds(&[4, 3, 2, 1], "3-3"), Ok(vec![2]));
        let error = seeds(&[1, 3], "2-3").expect_err("run 2 is not planned");
        assert!(
            error.ends_with("runs.txt:3: expected one of this grid's runs, found \"rte/full/seed-2\""),
            "{error}"
        );
        let error = seeds(&[1, 2, 3], "3-4").expect_err("there are three lines");
        assert!(
            error.ends_with("runs.txt: expected lines 3-4, found 3 lines"),
            "{error}"
        );
    }

    #[test]
    fn lines_are_two_numbers_in_order() {
        let check = |text: &str, expected: Option<&str>| {
            let found = text.parse::<Lines>().ok().map(|lines| lines.to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        };
        check("2-3", Some("2-3"));
        check("4", Some("4-4"));
        for text in ["", "0-1", "3-2", "a-b", "1-", "-1", "1-2-3"] {
            check(text, None);
        }
    }

    #[test]
    fn a_name_with_a_line_break_is_refused() {
        assert!(matches!(text(&["a\nb".to_owned()]), Err(SlurmError::Name { .. })));
    }
}
