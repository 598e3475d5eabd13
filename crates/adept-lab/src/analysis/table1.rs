//! Table 1, computed from the records of its runs.

use std::collections::BTreeMap;

use adept_core::Method;
use adept_train::config::TrainMethod;
use serde::Serialize;

use super::PaperShifts;
use super::record::{Lengths, ShiftRecord};
use super::render::{self, NOTHING};
use super::scoring::{self, SeedScores};
use crate::report::console::aligned;
use crate::report::{GridRecord, Spread};

/// Scores of DePT with shifted offsets, compared with ADePT's; serialised as `table1.json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Table1 {
    /// The profile of the runs.
    pub profile: String,
    /// Whether the data are synthetic.
    pub synthetic: bool,
    /// Notes on which figures are measured and which are quoted.
    pub notes: Vec<String>,
    /// One entry per task, in the requested order.
    pub tasks: Vec<TaskShifts>,
    /// The paper's figures.
    pub paper: PaperShifts,
    /// The records everything above is computed from.
    pub records: Vec<ShiftRecord>,
}

/// Results for one task.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskShifts {
    /// Reference name.
    pub task: String,
    /// The metric of the scores.
    pub metric: String,
    /// Number of positions with DePT offsets.
    pub positions: usize,
    /// Lengths of the training split's sources.
    pub training: Lengths,
    /// Lengths of the test split's sources.
    pub test: Lengths,
    /// DePT's scores by shift.
    pub dept: BTreeMap<usize, ShiftCell>,
    /// Whether DePT's unshifted scores equal those recorded in training; other devices round differently.
    pub unshifted_as_recorded: bool,
    /// ADePT's scores, as recorded in training.
    pub adept: Option<SeedScores>,
    /// Score of the most frequent training label.
    pub majority: Option<f64>,
}

/// DePT at one shift.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShiftCell {
    /// Test scores.
    #[serde(flatten)]
    pub scores: SeedScores,
    /// Difference from the same seed's unshifted score.
    pub change: Option<Spread>,
    /// How much the offsets assigned to the test tokens were trained, 0 to 1: the fraction of training sources that
    /// reach the offset's position, averaged over the tokens.
    pub reach: f64,
}

impl Table1 {
    /// Computes the table from records.
    #[must_use]
    pub fn of(grid: &GridRecord, records: Vec<ShiftRecord>) -> Self {
        let names = render::tasks(records.iter().map(|record| &record.subject));
        let tasks: Vec<TaskShifts> = names.iter().filter_map(|name| task(name, &records)).collect();
        let paper = PaperShifts::table();
        Self {
            profile: grid.profile.clone(),
            synthetic: grid.sample,
            notes: notes(grid, &tasks, &paper),
            tasks,
            paper,
            records,
        }
    }

    /// Text for a terminal.
    #[must_use]
    pub fn console(&self) -> String {
        format!(
            "DePT with its offsets shifted to the left by (j) positions, and ADePT: test scores, times 100; \"change\" from \
             the\nsame seeds without a shift; \"reach\": the share of training sources that reach the position an offset \
             comes from.\n\n\
             {}\nThe paper's figures ({}, real tasks):\n\n{}",
            aligned(&self.lines()),
            self.paper.backbone,
            aligned(&self.paper_lines())
        )
    }

    /// The table as a Markdown page.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut page = String::from("# Table 1: what a token's place means to DePT\n\n");
        render::notes(&mut page, &self.notes);
        page.push_str("## Test scores\n\n");
        render::markdown_table(&mut page, &self.lines());
        page.push_str("## Lengths\n\n");
        render::markdown_table(&mut page, &self.length_lines());
        page.push_str("## The paper's figures\n\n");
        render::markdown_table(&mut page, &self.paper_lines());
        render::runs(&mut page, self.records.iter().map(|record| &record.subject));
        page
    }

    fn lines(&self) -> Vec<Vec<String>> {
        let mut names = vec![String::new()];
        for task in &self.tasks {
            names.extend([render::task_label(&task.task), "change".to_owned(), "reach".to_owned()]);
        }
        let mut shifts: Vec<usize> = self.tasks.iter().flat_map(|task| task.dept.keys().copied()).collect();
        shifts.sort_unstable();
        shifts.dedup();
        let mut lines = vec![names];
        for shift in shifts {
            let mut cells = vec![format!("DePT ({shift})")];
            for task in &self.tasks {
                let cell = task.dept.get(&shift);
                let change = cell.and_then(|cell| cell.change.as_ref());
                cells.push(cell.map_or_else(|| NOTHING.to_owned(), |cell| render::score(&cell.scores.score)));
                cells.push(change.map_or_else(String::new, render::change));
                cells.push(cell.map_or_else(String::new, |cell| render::percent(cell.reach)));
            }
            lines.push(cells);
        }
        let mut row = |label: &str, figure: &dyn Fn(&TaskShifts) -> Option<String>| {
            if self.tasks.iter().any(|task| figure(task).is_some()) {
                let mut cells = vec![label.to_owned()];
                for task in &self.tasks {
                    cells.extend([
                        figure(task).unwrap_or_else(|| NOTHING.to_owned()),
                        String::new(),
                        String::new(),
                    ]);
                }
                lines.push(cells);
            }
        };
        row("ADePT", &|task| {
            task.adept.as_ref().map(|adept| render::score(&adept.score))
        });
        row("Majority label", &|task| {
            task.majority.map(|score| format!("{score:.1}"))
        });
        lines
    }

    fn length_lines(&self) -> Vec<Vec<String>> {
        let names = [
            "Task",
            "Metric",
            "Positions",
            "Tests",
            "Tokens a test",
            "Longest test",
            "Longest in training",
        ];
        let rows = self.tasks.iter().map(|task| {
            vec![
                render::task_label(&task.task),
                task.metric.clone(),
                task.positions.to_string(),
                task.test.rows.to_string(),
                format!("{:.1}", task.test.mean),
                task.test.longest.to_string(),
                task.training.longest.to_string(),
            ]
        });
        std::iter::once(names.map(str::to_owned).to_vec()).chain(rows).collect()
    }

    fn paper_lines(&self) -> Vec<Vec<String>> {
        let paper = &self.paper;
        let line = |label: String, figures: &dyn Fn(usize) -> f64| {
            let figures = (0..paper.tasks.len()).map(|task| format!("{:.1}", figures(task)));
            std::iter::once(label).chain(figures).collect::<Vec<_>>()
        };
        let names = paper.tasks.iter().map(|task| task.label.clone());
        let mut lines = vec![std::iter::once(String::new()).chain(names).collect()];
        for (index, shift) in paper.shifts.iter().enumerate() {
            lines.push(line(format!("DePT ({shift})"), &|task| paper.tasks[task].dept[index]));
        }
        lines.push(line("ADePT".to_owned(), &|task| paper.tasks[task].adept));
        lines
    }
}

/// Results for one task; `None` without a record of DePT, which has the source lengths.
fn task(name: &str, records: &[ShiftRecord]) -> Option<TaskShifts> {
    let own = || records.iter().filter(|record| record.subject.run.task == name);
    let of = |method: TrainMethod| own().filter(move |record| record.subject.run.method == method);
    let first = own().next()?;
    let task = first.subject.run.own_task()?;
    let metric = task.report_metric().name();
    let shifts: std::collections::BTreeSet<usize> = own().flat_map(|record| record.shifts.keys().copied()).collect();
    let at = |record: &ShiftRecord, shift: usize| {
        let scores = &record.shifts.get(&shift)?.scores;
        scores.get(metric).copied()
    };
    let dept = || of(TrainMethod::Adapter(Method::Dept));
    let cell = |shift: usize| -> Option<(usize, ShiftCell)> {
        let changes = dept().filter_map(|record| Some(at(record, shift)? - at(record, 0)?));
        let changes: Vec<f64> = changes.collect();
        let reach = own().find_map(|record| Some(record.shifts.get(&shift)?.reach))?;
        let cell = ShiftCell {
            scores: SeedScores::of(dept(), |record| at(record, shift))?,
            change: if shift == 0 { None } else { Spread::of(&changes) },
            reach,
        };
        Some((shift, cell))
    };
    let recorded = |record: &ShiftRecord| scoring::recorded(record, metric);
    Some(TaskShifts {
        task: name.to_owned(),
        metric: metric.to_owned(),
        positions: first.positions,
        training: first.training,
        test: first.test,
        unshifted_as_recorded: dept().all(|record| at(record, 0) == recorded(record)),
        dept: shifts.into_iter().filter_map(cell).collect(),
        adept: SeedScores::of(of(TrainMethod::Adapter(Method::Adept)), recorded),
        majority: scoring::majority(first, metric),
    })
}

fn notes(grid: &GridRecord, tasks: &[TaskShifts], paper: &PaperShifts) -> Vec<String> {
    let mut notes: Vec<String> = render::data_note(grid).into_iter().collect();
    notes.push(format!(
        "DePT (j): the trained offsets were cyclically left-shifted by j positions, so that the token at position i gets \
         what position i + j was trained for, and the test split was scored again; nothing was retrained. \"change\" \
         is the difference from the same seeds without a shift. ADePT's offset belongs to the token and cannot be \
         shifted. The paper shifts by {} of {} positions; other lengths get the same fractions.",
        paper.shifts[1..].iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        paper.positions
    ));
    notes.push(
        "\"reach\" says how much training the shifted offsets have seen: the share of the training sources that are long \
         enough to reach the position an offset comes from, averaged over the test tokens. Where it is near 0, a shift \
         replaces the offsets of whole sentences by rows still at initialisation. A shift by 1, 2, 4 or \
         8 gives each token the trained offset of a neighbour, which is nearer to the paper's argument: a few \
         meaningless tokens in front."
            .to_owned(),
    );
    notes.extend(render::substitute_note(tasks.iter().map(|task| task.task.as_str())));
    let checked = tasks
        .iter()
        .map(|task| (task.task.as_str(), task.unshifted_as_recorded));
    notes.push(render::check_note("with a shift of 0", checked));
    notes.push(render::paper_note(&paper.source, &paper.backbone));
    notes
}
