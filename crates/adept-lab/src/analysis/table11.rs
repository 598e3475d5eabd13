//! Table 11, computed from the records of its runs.

use adept_core::Method;
use adept_train::config::TrainMethod;
use serde::Serialize;

use super::record::{Lengths, SwitchRecord};
use super::render::{self, NOTHING};
use super::scoring::{self, SeedScores};
use super::switch::Offsets;
use super::{METHODS, PaperSwitch};
use crate::report::console::aligned;
use crate::report::{GridRecord, Spread};

/// Scores of DePT and ADePT with and without their offsets; serialised as `table11.json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Table11 {
    /// The profile of the runs.
    pub profile: String,
    /// Whether the data are synthetic.
    pub synthetic: bool,
    /// Notes on which figures are measured and which are quoted.
    pub notes: Vec<String>,
    /// One entry per task, in the requested order.
    pub tasks: Vec<TaskSwitch>,
    /// The paper's figures.
    pub paper: PaperSwitch,
    /// The records everything above is computed from.
    pub records: Vec<SwitchRecord>,
}

/// Results for one task.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskSwitch {
    /// Reference name.
    pub task: String,
    /// The metric of the scores.
    pub metric: String,
    /// Lengths of the test split's sources.
    pub test: Lengths,
    /// DePT.
    pub dept: Option<Switched>,
    /// ADePT.
    pub adept: Option<Switched>,
    /// Whether the scores with offsets equal those recorded in training; other devices round differently.
    pub with_as_recorded: bool,
    /// Score of the most frequent training label.
    pub majority: Option<f64>,
}

/// A method with and without its offsets.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Switched {
    /// As trained.
    pub with: SeedScores,
    /// With the soft prompt alone.
    pub without: SeedScores,
    /// Difference of the second from the first, of the same seed.
    pub change: Spread,
}

impl TaskSwitch {
    /// Results of one of [`METHODS`].
    fn method(&self, method: TrainMethod) -> Option<&Switched> {
        match method {
            TrainMethod::Adapter(Method::Dept) => self.dept.as_ref(),
            _ => self.adept.as_ref(),
        }
    }
}

impl Table11 {
    /// Computes the table from records.
    #[must_use]
    pub fn of(grid: &GridRecord, records: Vec<SwitchRecord>) -> Self {
        let names = render::tasks(records.iter().map(|record| &record.subject));
        let tasks: Vec<TaskSwitch> = names.iter().filter_map(|name| task(name, &records)).collect();
        let paper = PaperSwitch::table();
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
            "DePT and ADePT as trained and with the soft prompt alone: test scores, times 100; \"change\" of the same \
             seeds.\n\n{}\nThe paper's figures ({}, {}):\n\n{}",
            aligned(&self.lines()),
            self.paper.backbone,
            self.paper.task,
            aligned(&self.paper_lines())
        )
    }

    /// The table as a Markdown page.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut page = String::from("# Table 11: DePT and ADePT without their offsets\n\n");
        render::notes(&mut page, &self.notes);
        page.push_str("## Test scores\n\n");
        render::markdown_table(&mut page, &self.lines());
        page.push_str("## Tests\n\n");
        render::markdown_table(&mut page, &self.length_lines());
        page.push_str("## The paper's figures\n\n");
        render::markdown_table(&mut page, &self.paper_lines());
        render::runs(&mut page, self.records.iter().map(|record| &record.subject));
        page
    }

    fn lines(&self) -> Vec<Vec<String>> {
        let mut names = vec![String::new()];
        for task in &self.tasks {
            let label = render::task_label(&task.task);
            names.extend([
                format!("{label} with offsets"),
                "without".to_owned(),
                "change".to_owned(),
            ]);
        }
        let mut lines = vec![names];
        for method in METHODS {
            let mut cells = vec![render::method_label(method)];
            for task in &self.tasks {
                cells.extend(match task.method(method) {
                    None => [NOTHING; 3].map(str::to_owned),
                    Some(found) => [
                        render::score(&found.with.score),
                        render::score(&found.without.score),
                        render::change(&found.change),
                    ],
                });
            }
            lines.push(cells);
        }
        if self.tasks.iter().any(|task| task.majority.is_some()) {
            let mut cells = vec!["Majority label".to_owned()];
            for task in &self.tasks {
                let score = task
                    .majority
                    .map_or_else(|| NOTHING.to_owned(), |score| format!("{score:.1}"));
                cells.extend([score, String::new(), String::new()]);
            }
            lines.push(cells);
        }
        lines
    }

    fn length_lines(&self) -> Vec<Vec<String>> {
        let names = ["Task", "Metric", "Tests", "Tokens a test", "Longest test"];
        let rows = self.tasks.iter().map(|task| {
            vec![
                render::task_label(&task.task),
                task.metric.clone(),
                task.test.rows.to_string(),
                format!("{:.1}", task.test.mean),
                task.test.longest.to_string(),
            ]
        });
        std::iter::once(names.map(str::to_owned).to_vec()).chain(rows).collect()
    }

    fn paper_lines(&self) -> Vec<Vec<String>> {
        let paper = &self.paper;
        let rows = [(METHODS[0], paper.dept), (METHODS[1], paper.adept)].map(|(method, row)| {
            vec![
                render::method_label(method),
                format!("{:.1}", row.with),
                format!("{:.1}", row.without),
                format!("{:+.1}", row.without - row.with),
            ]
        });
        let names = vec![
            String::new(),
            format!("{} with offsets", paper.task),
            "without".to_owned(),
            "change".to_owned(),
        ];
        std::iter::once(names).chain(rows).collect()
    }
}

/// Results for one task; `None` for a task of a card that cannot be read.
fn task(name: &str, records: &[SwitchRecord]) -> Option<TaskSwitch> {
    let own = || records.iter().filter(|record| record.subject.run.task == name);
    let first = own().next()?;
    let metric = first.subject.run.own_task()?.report_metric().name();
    let at = |record: &SwitchRecord, offsets: Offsets| record.scores.get(&offsets)?.get(metric).copied();
    let of = |method: TrainMethod| -> Option<Switched> {
        let runs = || own().filter(move |record| record.subject.run.method == method);
        let changes = runs().filter_map(|record| Some(at(record, Offsets::Off)? - at(record, Offsets::On)?));
        Some(Switched {
            with: SeedScores::of(runs(), |record| at(record, Offsets::On))?,
            without: SeedScores::of(runs(), |record| at(record, Offsets::Off))?,
            change: Spread::of(&changes.collect::<Vec<_>>())?,
        })
    };
    Some(TaskSwitch {
        task: name.to_owned(),
        metric: metric.to_owned(),
        test: first.test,
        dept: of(METHODS[0]),
        adept: of(METHODS[1]),
        with_as_recorded: own().all(|record| at(record, Offsets::On) == scoring::recorded(record, metric)),
        majority: scoring::majority(first, metric),
    })
}

fn notes(grid: &GridRecord, tasks: &[TaskSwitch], paper: &PaperSwitch) -> Vec<String> {
    let mut notes: Vec<String> = render::data_note(grid).into_iter().collect();
    notes.push(
        "\"Without\": the trained adapter's soft prompt stands in front of the unchanged token embeddings, and the test \
         split was scored again; nothing was retrained. \"change\" is the difference from the same seeds with offsets."
            .to_owned(),
    );
    notes.extend(render::substitute_note(tasks.iter().map(|task| task.task.as_str())));
    let checked = tasks.iter().map(|task| (task.task.as_str(), task.with_as_recorded));
    notes.push(render::check_note("with its offsets", checked));
    notes.push(render::paper_note(&paper.source, &paper.backbone));
    notes
}
