//! Text of a plan.

use adept_lab::report::text::{duration, short_fingerprint, thousands};
use adept_lab::reproduce::{Cell, DataPlace, Estimate, Grid, Plan, State, changes};

use super::shown;
use crate::device::DeviceName;

/// Maximum line width of a plan.
const WIDTH: usize = 110;

/// Indentation of a line's text.
const INDENT: usize = 13;

/// What will be run: data, backbone, runs, trainable parameters and settings; with `every_run`, each run separately.
pub fn plan(grid: &Grid, plan: &Plan, device: DeviceName, every_run: bool) -> String {
    let (new, begun, done) = plan.counts();
    let mut lines = vec![format!(
        "{}, profile {}: {}",
        grid.benchmark.title(),
        grid.profile.name,
        grid.profile.about
    )];
    let origin = if grid.synthetic { ", written by a program" } else { "" };
    let data = match &grid.data {
        DataPlace::Folder(folder) => shown(folder).display().to_string(),
        DataPlace::Each(_) => "the hub's cache".to_owned(),
    };
    lines.push(entry("data", &format!("{data}{origin}")));
    lines.push(entry(
        "backbone",
        &format!(
            "{}, {} parameters, {}",
            shown(&grid.backbone).display(),
            thousands(plan.backbone_parameters),
            short_fingerprint(plan.fingerprint.as_str())
        ),
    ));
    lines.push(entry("device", &device.to_string()));
    lines.push(entry("results", &shown(&grid.out).display().to_string()));
    let tasks: Vec<&str> = grid.tasks.iter().map(|task| task.display_name()).collect();
    lines.push(entry("tasks", &tasks.join(", ")));
    let seeds: Vec<String> = grid.seeds.iter().map(u64::to_string).collect();
    let many = if seeds.len() == 1 { "seed" } else { "seeds" };
    lines.push(entry(
        "runs",
        &format!(
            "{}, {many} {}: {new} to do, {begun} to resume, {done} done and skipped",
            plan.cells.len(),
            seeds.join(", ")
        ),
    ));
    let common = shared(plan.cells.iter(), &[]);
    for (row, counts) in &plan.parameters {
        let counts: Vec<String> = counts.iter().map(|count| thousands(*count)).collect();
        let own = shared(plan.cells.iter().filter(|cell| cell.variant == *row), &common);
        let own = if own.is_empty() {
            String::new()
        } else {
            format!("; {}", listed(&own))
        };
        lines.push(entry(row, &format!("trains {} parameters{own}", counts.join(" or "))));
    }
    for task in &grid.tasks {
        let mut known = common.clone();
        for (row, _) in &plan.parameters {
            known.extend(shared(plan.cells.iter().filter(|cell| cell.variant == *row), &common));
        }
        let own = shared(plan.cells.iter().filter(|cell| cell.task == *task), &known);
        if !own.is_empty() {
            lines.push(entry(task.name(), &listed(&own)));
        }
    }
    if let Some(cell) = plan.cells.first() {
        let preset = cell.resolved.config.preset;
        let text = match common.len() {
            0 => format!("preset {preset}, nothing changed in all runs"),
            _ => format!(
                "preset {preset}, changed in all runs (preset's value): {}",
                listed(&common)
            ),
        };
        lines.push(entry("settings", &text));
    }
    if every_run {
        lines.extend(plan.cells.iter().map(run));
    }
    lines.join("\n")
}

/// One run of the plan.
fn run(cell: &Cell) -> String {
    let state = match cell.state {
        State::New => "to do".to_owned(),
        State::Begun { step } => format!("to resume at step {}", thousands(step)),
        State::Done => "done".to_owned(),
    };
    let steps = thousands(cell.resolved.config.train.steps);
    format!("  {}: {state}, {steps} steps", cell.name())
}

/// The estimated time; the measured plan is run `times` over.
pub fn time(expected: &Estimate, times: f64) -> String {
    let all = if expected.measured == expected.tasks {
        String::new()
    } else {
        format!(" on {} of {} tasks", expected.measured, expected.tasks)
    };
    entry(
        "time",
        &format!(
            "about {}, by a measurement of {} on this machine{all}",
            about(expected.seconds() * times),
            duration(expected.spent)
        ),
    )
}

/// A rough duration.
fn about(seconds: f64) -> String {
    let minutes = (seconds / 60.0).round() as u64;
    match minutes {
        0 => format!("{} seconds", (seconds.ceil() as u64).max(2)),
        1 => "1 minute".to_owned(),
        2..120 => format!("{minutes} minutes"),
        _ => format!("{} hours", (minutes + 30) / 60),
    }
}

/// A setting shared by runs: key, value, and the preset's value if it is the same for all of them (presets may depend
/// on task and method).
#[derive(Debug, Clone, PartialEq)]
struct Shared {
    key: String,
    value: String,
    preset: Option<String>,
}

/// Settings shared by all of these runs, except those in `known`.
fn shared<'a>(cells: impl Iterator<Item = &'a Cell>, known: &[Shared]) -> Vec<Shared> {
    let mut kept: Option<Vec<Shared>> = None;
    for cell in cells {
        let own = changes(cell);
        let Some(earlier) = &mut kept else {
            let shared = own.into_iter().map(|(key, value, preset)| Shared {
                key: key.to_owned(),
                value,
                preset: Some(preset),
            });
            kept = Some(shared.collect());
            continue;
        };
        earlier.retain_mut(|shared| {
            let same = own
                .iter()
                .find(|(key, value, _)| *key == shared.key && *value == shared.value);
            if same.is_some_and(|(_, _, preset)| shared.preset.as_deref() != Some(preset)) {
                shared.preset = None;
            }
            same.is_some()
        });
    }
    let is_known = |shared: &Shared| {
        known
            .iter()
            .any(|other| other.key == shared.key && other.value == shared.value)
    };
    let mut kept = kept.unwrap_or_default();
    kept.retain(|shared| !is_known(shared));
    kept
}

/// `key=value (preset's value), …`.
fn listed(settings: &[Shared]) -> String {
    let setting = |shared: &Shared| match &shared.preset {
        Some(preset) => format!("{}={} ({preset})", shared.key, shared.value),
        None => format!("{}={}", shared.key, shared.value),
    };
    settings.iter().map(setting).collect::<Vec<_>>().join(", ")
}

/// A named entry, wrapped to the line width.
pub fn entry(name: &str, text: &str) -> String {
    // A name that is wider than its column still stands apart from the text.
    let mut lines = vec![format!("  {name:<width$} ", width = INDENT - 3)];
    for (place, word) in text.split(' ').enumerate() {
        let line = lines.last_mut().expect("there is one from the start");
        let used = line.chars().count();
        if place > 0 && used + 1 + word.chars().count() > WIDTH {
            lines.push(format!("{}{word}", " ".repeat(INDENT)));
            continue;
        }
        if place > 0 {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_entries_are_broken_between_words() {
        let words = vec!["word"; 40].join(" ");
        let text = entry("settings", &words);
        assert!(
            text.lines().count() > 1 && text.lines().all(|line| line.chars().count() <= WIDTH),
            "{text}"
        );
        assert!(text.starts_with("  settings   word word"));
        assert_eq!(entry("prompt_embedding", "trains 5"), "  prompt_embedding trains 5");
        assert_eq!(text.split_whitespace().filter(|word| *word == "word").count(), 40);
    }

    #[test]
    fn rough_times() {
        let found = [0.2, 29.0, 45.0, 100.0, 480.0, 7_000.0, 7_300.0, 90_000.0].map(about);
        let expected = [
            "2 seconds",
            "29 seconds",
            "1 minute",
            "2 minutes",
            "8 minutes",
            "117 minutes",
            "2 hours",
            "25 hours",
        ];
        assert_eq!(found, expected);
    }
}
