//! Finds the runs below a folder and reads their records.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use adept_data::{Metric, Task};
use adept_train::config::{RunConfig, TrainMethod};
use adept_train::folder::{GRID_FILE, read_json};
use adept_train::record::{self, Line, RunResult, Start};
use adept_train::test_answers::{TEST_ANSWERS, TestAnswers};
use serde::{Deserialize, Serialize};

use super::benchmark::Benchmark;
use super::comparison::score;
use super::error::ReportError;
use super::search::SearchRecord;
use super::summary::RunSummary;
use crate::reproduce::TOGETHER;

/// Description of a folder of runs, written when its grid is started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GridRecord {
    /// The benchmark.
    pub benchmark: Benchmark,
    /// The profile used.
    pub profile: String,
    /// Whether the data are synthetic.
    pub sample: bool,
    /// Whether rows have their settings for small models; records from before there were such rows lack it.
    #[serde(default)]
    pub small: bool,
}

/// Contents of a folder.
pub(super) struct Scanned {
    /// Its description.
    pub grid: Option<GridRecord>,
    /// Its finished runs.
    pub runs: Vec<RunSummary>,
    /// Folders of unfinished runs.
    pub unfinished: Vec<String>,
    /// Its searches.
    pub searches: Vec<SearchRecord>,
}

/// Settings that a grid sets for each run; they identify the run and are not overrides of the preset.
const COORDINATES: &[&str] = &["preset", "task", "tasks", "data", "backbone", "seed", "adapter.method"];

/// Reads everything below `out`.
pub(super) fn scan(out: &Path) -> Result<Scanned, ReportError> {
    let grid = out.join(GRID_FILE);
    let grid = if grid.exists() { Some(read_json(&grid)?) } else { None };
    let (mut runs, mut unfinished, mut searches) = (Vec::new(), Vec::new(), Vec::new());
    for (task, task_folder) in folders(out)? {
        // A user's task is known from its runs, whose records contain its card.
        let task = Task::named(&task).map_or(task, |task| task.name().to_owned());
        for (row, row_folder) in folders(&task_folder)? {
            let search = row_folder.join("search.json");
            if search.is_file() {
                searches.push(read_json(&search)?);
            }
            for (seed, folder) in folders(&row_folder)? {
                let Some(seed) = seed.strip_prefix("seed-").and_then(|seed| seed.parse().ok()) else {
                    continue;
                };
                let name = format!("{task}/{row}/seed-{seed}");
                let is_done = folder.join("result.json").exists();
                if is_done && task == TOGETHER {
                    let tasks = folders(&folder.join("tasks"))?;
                    for (task, own) in &tasks {
                        let place = Place {
                            folder: own,
                            record: &folder,
                            name: format!("{name}/tasks/{task}"),
                        };
                        let mut run = read_run(&place, task, &row, seed)?;
                        run.trainable_parameters = run.trainable_parameters.div_ceil(tasks.len());
                        runs.push(run);
                    }
                } else if is_done {
                    let place = Place {
                        folder: &folder,
                        record: &folder,
                        name,
                    };
                    runs.push(read_run(&place, &task, &row, seed)?);
                } else if folder.join("record.jsonl").exists() {
                    unfinished.push(name);
                }
            }
        }
    }
    Ok(Scanned {
        grid,
        runs,
        unfinished,
        searches,
    })
}

/// The folders in a folder, by name; empty if it does not exist.
fn folders(path: &Path) -> Result<Vec<(String, PathBuf)>, ReportError> {
    let list = |source| ReportError::List {
        path: path.to_owned(),
        source,
    };
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(list(cause)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(list)?;
        if entry.path().is_dir() {
            found.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

/// A finished run, or one task's share of a run on several.
struct Place<'a> {
    /// Folder of its result and answers.
    folder: &'a Path,
    /// Folder of the run's record.
    record: &'a Path,
    /// Path below the grid's folder.
    name: String,
}

/// Reads a finished run.
fn read_run(place: &Place<'_>, task: &str, row: &str, seed: u64) -> Result<RunSummary, ReportError> {
    let folder = place.folder;
    let path = folder.join("result.json");
    let result: RunResult = read_json(&path)?;
    // The folder of a variant has a name of its own.
    let method = TrainMethod::from_str(row).unwrap_or(result.method);
    let fields = [
        ("task", task.to_owned(), result.task.clone()),
        ("method", method.to_string(), result.method.to_string()),
        ("seed", seed.to_string(), result.seed.to_string()),
    ];
    if let Some((field, expected, found)) = fields.into_iter().find(|(_, expected, found)| expected != found) {
        return Err(ReportError::Misplaced {
            path,
            field,
            expected,
            found,
        });
    }
    let own = result.own_task().ok_or_else(|| ReportError::Incomplete {
        path: path.clone(),
        expected: format!("the card of task `{task}`"),
    })?;
    let metric = own.report_metric().to_string();
    let score = |scores: &record::Scores, split: &str, metric: &str| {
        let expected = || format!("the {split} score `{metric}`");
        scores.get(metric).copied().ok_or_else(|| ReportError::Incomplete {
            path: path.clone(),
            expected: expected(),
        })
    };
    let test = score(&result.test, "test", &metric)?;
    let best_validation = match result.validation.is_empty() {
        true => None,
        false => Some(score(&result.validation, "validation", &result.selection_metric)?),
    };

    let record = place.record.join("record.jsonl");
    let lines = record::read(&record)?;
    let start = start(&lines).ok_or_else(|| ReportError::Incomplete {
        path: record.clone(),
        expected: "a line of event `start`".to_owned(),
    })?;
    let own_metric = match place.record == place.folder {
        true => result.selection_metric.clone(),
        false => format!("{task}/{}", result.selection_metric),
    };
    let curve = lines.iter().filter_map(|line| match line {
        Line::Evaluation(evaluation) => evaluation
            .scores
            .get(&own_metric)
            .map(|score| (evaluation.step, *score)),
        _ => None,
    });
    let inference_speed = result.inference_speed();
    Ok(RunSummary {
        folder: place.name.clone(),
        test,
        majority: result
            .majority
            .as_ref()
            .and_then(|majority| majority.test.get(&metric).copied()),
        test_metrics: result.test.clone(),
        programs: result.programs.clone(),
        answers: test_answers(folder, own.report_metric(), test)?,
        data: result.data,
        best_validation,
        best_step: result.best_step,
        steps: result.config.train.steps,
        virtual_tokens: result.virtual_tokens,
        rank: result.rank,
        trainable_parameters: result.trainable_parameters,
        backbone_parameters: result.backbone_parameters,
        backbone: backbone_name(&result.config),
        fingerprint: result.fingerprint.clone(),
        preset: result.config.preset.to_string(),
        overrides: overrides(start),
        device: result.device.clone(),
        code_version: match &start.code_commit {
            Some(commit) => format!("{} ({commit})", result.code_version),
            None => result.code_version.clone(),
        },
        seconds: result.training_seconds,
        samples_per_second: result.samples_per_second,
        inference_speed,
        curve: curve.collect(),
        task: result.task,
        row: row.to_owned(),
        method: method.to_string(),
        seed,
        metric,
        selection_metric: result.selection_metric,
    })
}

/// A run's answers to the test split, whose score must be the result's; `None` if the run did not keep them.
fn test_answers(folder: &Path, metric: Metric, test: f64) -> Result<Option<TestAnswers>, ReportError> {
    let path = folder.join(TEST_ANSWERS);
    if !path.exists() {
        return Ok(None);
    }
    let answers = TestAnswers::read(&path)?;
    match score(metric, &answers) {
        // Sums in another order differ in the last digits.
        Some(found) if (found - test).abs() > 1e-6 => Err(ReportError::Answers {
            path,
            metric,
            expected: test,
            found,
        }),
        _ => Ok(Some(answers)),
    }
}

fn start(lines: &[Line]) -> Option<&Start> {
    lines.iter().find_map(|line| match line {
        Line::Start(start) => Some(&**start),
        _ => None,
    })
}

/// Settings that differ from the preset, as `key=value`.
fn overrides(start: &Start) -> Vec<String> {
    let changed = start
        .resolved
        .overrides
        .iter()
        .filter(|change| !COORDINATES.contains(&change.key.as_str()));
    changed
        .map(|change| format!("{}={}", change.key, change.value))
        .collect()
}

/// Display name of a backbone: the last component of its path; for a trained one including the run it came from.
fn backbone_name(config: &RunConfig) -> String {
    let parts: Vec<String> = config
        .backbone
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    let kept = if parts.last().is_some_and(|last| last == "best") {
        4
    } else {
        1
    };
    parts[parts.len().saturating_sub(kept)..].join("/")
}
