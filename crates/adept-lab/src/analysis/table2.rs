//! Table 2, computed from the records of its runs.

use std::collections::BTreeMap;

use adept_core::Method;
use adept_train::config::TrainMethod;
use serde::Serialize;

use super::record::{Lengths, MagnitudeRecord};
use super::render::{self, NOTHING};
use super::{PaperMagnitudes, PaperMoments, Summary};
use crate::report::console::aligned;
use crate::report::{GridRecord, Spread};

/// Magnitudes of embeddings and offsets; serialised as `table2.json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Table2 {
    /// The profile of the runs.
    pub profile: String,
    /// Whether the data are synthetic.
    pub synthetic: bool,
    /// Notes on which figures are measured and which are quoted.
    pub notes: Vec<String>,
    /// One entry per task, in the requested order.
    pub tasks: Vec<TaskMagnitudes>,
    /// The paper's figures.
    pub paper: PaperMagnitudes,
    /// The records everything above is computed from.
    pub records: Vec<MagnitudeRecord>,
}

/// Results for one task.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskMagnitudes {
    /// Reference name.
    pub task: String,
    /// Lengths of the training split's sources.
    pub training: Lengths,
    /// Number of distinct tokens in them.
    pub distinct_tokens: usize,
    /// Absolute values of the embeddings' elements; the same for every run on a backbone.
    pub embeddings: Summary,
    /// DePT's offsets.
    pub dept: Option<OffsetSizes>,
    /// ADePT's offsets.
    pub adept: Option<OffsetSizes>,
}

/// Absolute values of the elements of a method's offsets, over seeds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OffsetSizes {
    /// Mean of the absolute values.
    pub mean: Spread,
    /// Variance of the absolute values.
    pub variance: Spread,
    /// Mean as a fraction of the embeddings' mean.
    pub share: Spread,
    /// Values by seed.
    pub values: BTreeMap<u64, Summary>,
}

impl Table2 {
    /// Computes the table from records.
    #[must_use]
    pub fn of(grid: &GridRecord, records: Vec<MagnitudeRecord>) -> Self {
        let names = render::tasks(records.iter().map(|record| &record.subject));
        let tasks: Vec<TaskMagnitudes> = names.iter().filter_map(|name| task(name, &records)).collect();
        let paper = PaperMagnitudes::table();
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
            "Absolute values of the elements of embeddings and offsets over all tokens of the training split;\n\
             \"share\" is the offsets' mean relative to the embeddings'.\n\n{}\nThe paper's figures ({}, real tasks):\n\n{}",
            aligned(&self.lines()),
            self.paper.backbone,
            aligned(&self.paper_lines())
        )
    }

    /// The table as a Markdown page.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut page =
            String::from("# Table 2: magnitudes of the offsets of DePT and ADePT relative to the embeddings\n\n");
        render::notes(&mut page, &self.notes);
        page.push_str("## Absolute values over all tokens of the training split\n\n");
        render::markdown_table(&mut page, &self.lines());
        page.push_str("## Tokens\n\n");
        render::markdown_table(&mut page, &self.token_lines());
        page.push_str("## The paper's figures\n\n");
        render::markdown_table(&mut page, &self.paper_lines());
        render::runs(&mut page, self.records.iter().map(|record| &record.subject));
        page
    }

    fn lines(&self) -> Vec<Vec<String>> {
        let mut names = vec![String::new()];
        let mut embeddings = vec![EMBEDDINGS.to_owned()];
        for task in &self.tasks {
            let label = render::task_label(&task.task);
            names.extend([
                format!("Mean ({label})"),
                format!("Variance ({label})"),
                "share".to_owned(),
            ]);
            let figures = [task.embeddings.mean, task.embeddings.variance].map(|value| render::significant(value, 3));
            embeddings.extend(figures);
            embeddings.push(String::new());
        }
        let offsets = |label: &str, of: &dyn Fn(&TaskMagnitudes) -> Option<&OffsetSizes>| {
            let mut cells = vec![label.to_owned()];
            for task in &self.tasks {
                cells.extend(match of(task) {
                    None => [NOTHING; 3].map(str::to_owned),
                    Some(sizes) => [
                        render::size(&sizes.mean),
                        render::size(&sizes.variance),
                        render::percent(sizes.share.mean),
                    ],
                });
            }
            cells
        };
        vec![
            names,
            embeddings,
            offsets(DEPT, &|task| task.dept.as_ref()),
            offsets(ADEPT, &|task| task.adept.as_ref()),
        ]
    }

    fn token_lines(&self) -> Vec<Vec<String>> {
        let names = [
            "Task",
            "Training sources",
            "Tokens",
            "Different tokens",
            "Tokens a source",
            "Longest source",
        ];
        let rows = self.tasks.iter().map(|task| {
            vec![
                render::task_label(&task.task),
                task.training.rows.to_string(),
                task.training.tokens.to_string(),
                task.distinct_tokens.to_string(),
                format!("{:.1}", task.training.mean),
                task.training.longest.to_string(),
            ]
        });
        std::iter::once(names.map(str::to_owned).to_vec()).chain(rows).collect()
    }

    fn paper_lines(&self) -> Vec<Vec<String>> {
        let tasks = &self.paper.tasks;
        let names = tasks
            .iter()
            .flat_map(|task| [format!("Mean ({})", task.label), format!("Variance ({})", task.label)]);
        let line = |label: &str, of: &dyn Fn(usize) -> PaperMoments| {
            let figures = (0..tasks.len())
                .map(of)
                .flat_map(|moments| [moments.mean, moments.variance]);
            let figures = figures.map(|figure| format!("{figure:.2}"));
            std::iter::once(label.to_owned()).chain(figures).collect::<Vec<_>>()
        };
        vec![
            std::iter::once(String::new()).chain(names).collect(),
            line(EMBEDDINGS, &|task| tasks[task].embeddings),
            line(DEPT, &|task| tasks[task].dept),
            line(ADEPT, &|task| tasks[task].adept),
        ]
    }
}

const EMBEDDINGS: &str = "Input embeddings";
const DEPT: &str = "Offsets of DePT";
const ADEPT: &str = "Offsets of ADePT";

fn task(name: &str, records: &[MagnitudeRecord]) -> Option<TaskMagnitudes> {
    let own = || records.iter().filter(|record| record.subject.run.task == name);
    let first = own().next()?;
    let of = |method: TrainMethod| -> Option<OffsetSizes> {
        let runs: Vec<&MagnitudeRecord> = own().filter(|record| record.subject.run.method == method).collect();
        let spread = |figure: &dyn Fn(&MagnitudeRecord) -> f64| {
            Spread::of(&runs.iter().map(|record| figure(record)).collect::<Vec<_>>())
        };
        Some(OffsetSizes {
            mean: spread(&|record| record.offsets.mean)?,
            variance: spread(&|record| record.offsets.variance)?,
            share: spread(&|record| record.offsets.mean / record.embeddings.mean.max(f64::MIN_POSITIVE))?,
            values: runs
                .iter()
                .map(|record| (record.subject.run.seed, record.offsets))
                .collect(),
        })
    };
    Some(TaskMagnitudes {
        task: name.to_owned(),
        training: first.training,
        distinct_tokens: first.distinct_tokens,
        embeddings: first.embeddings,
        dept: of(TrainMethod::Adapter(Method::Dept)),
        adept: of(TrainMethod::Adapter(Method::Adept)),
    })
}

fn notes(grid: &GridRecord, tasks: &[TaskMagnitudes], paper: &PaperMagnitudes) -> Vec<String> {
    let mut notes: Vec<String> = render::data_note(grid).into_iter().collect();
    notes.push(
        "Mean and variance of the absolute values of all elements: every token of every training source counts with each \
         element of its embedding and of its offset, the closing </s> too, padding and soft prompt not. DePT's offset is \
         that of the token's position with its factor s, ADePT's that of the token. The adapters are those that were best \
         on validation."
            .to_owned(),
    );
    notes.push(
        "Embeddings of different backbones differ in size by orders of magnitude: the share, the offsets' mean divided \
         by the embeddings' mean, is what can be compared."
            .to_owned(),
    );
    notes.extend(render::substitute_note(tasks.iter().map(|task| task.task.as_str())));
    notes.push(render::paper_note(&paper.source, &paper.backbone));
    notes
}
