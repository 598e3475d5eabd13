//! Section 3.4 and appendix A in figures, computed from the records of the runs.

use adept_train::config::TrainMethod;
use serde::Serialize;

use super::attention::{Attention, Decomposition, Explained};
use super::record::AttentionRecord;
use super::render::{self, NOTHING};
use super::{PROMPT_METHODS, picture};
use crate::report::console::aligned;
use crate::report::{GridRecord, Spread};

/// Differences of probabilities up to this are rounding: scores of some tens have an error of 1e-5 in f32, and a
/// probability's is at most a quarter of its score's.
const SAME: f64 = 1e-4;

/// The first self-attention with PT, DePT and ADePT; serialised as `section3.4.json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Section34 {
    /// The profile of the runs.
    pub profile: String,
    /// Whether the data are synthetic.
    pub synthetic: bool,
    /// What the figures are.
    pub notes: Vec<String>,
    /// One entry per task, in the requested order.
    pub tasks: Vec<TaskAttention>,
    /// The records everything above is computed from.
    pub records: Vec<AttentionRecord>,
}

/// Results for one task.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskAttention {
    /// Reference name.
    pub task: String,
    /// Test rows measured.
    pub rows: usize,
    /// Content tokens in them.
    pub tokens: u64,
    /// One entry per method, in the order of [`PROMPT_METHODS`].
    pub methods: Vec<MethodAttention>,
}

/// Results of one method: means over seeds, and the largest values of all seeds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MethodAttention {
    /// The method.
    pub method: TrainMethod,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// Virtual tokens.
    pub virtual_tokens: usize,
    /// Mean total variation distance of the pattern over content tokens from the bare backbone's, 0 to 1.
    pub distance: Spread,
    /// Largest distance of a query in a head.
    pub largest_distance: f64,
    /// Mean distance by head.
    pub distance_by_head: Vec<f64>,
    /// Mean attention given to the prompt, 0 to 1.
    pub prompt_mass: Spread,
    /// Largest attention of a query in a head to the prompt.
    pub largest_prompt_mass: f64,
    /// Mean attention to the prompt by head.
    pub prompt_mass_by_head: Vec<f64>,
    /// Largest difference of an entry of the pattern over content tokens from the bare backbone's.
    pub largest_difference: f64,
    /// Mean absolute change of a score between content tokens.
    pub score_change: Spread,
    /// Share of the variance of the score changes explained by the two positions; `None` if nothing changes.
    pub by_position: Option<Spread>,
    /// Share explained by the two tokens; `None` if nothing changes.
    pub by_tokens: Option<Spread>,
    /// Largest difference between two changes at the same two positions.
    pub spread_at_positions: Option<f64>,
    /// Largest difference between two changes of the same two tokens.
    pub spread_of_tokens: Option<f64>,
    /// The check of the output's decomposition.
    pub decomposition: Decomposition,
}

impl Section34 {
    /// Computes the figures from records.
    #[must_use]
    pub fn of(grid: &GridRecord, records: Vec<AttentionRecord>) -> Self {
        let names = render::tasks(records.iter().map(|record| &record.subject));
        let tasks: Vec<TaskAttention> = names.iter().filter_map(|name| task(name, &records)).collect();
        Self {
            profile: grid.profile.clone(),
            synthetic: grid.sample,
            notes: notes(grid, &tasks),
            tasks,
            records,
        }
    }

    /// Text for a terminal.
    #[must_use]
    pub fn console(&self) -> String {
        let mut text = String::from(
            "The encoder's first self-attention over content tokens, compared with the bare backbone's on the same test\n\
             rows. \"distance\": total variation, 0 to 1; \"prompt\": attention to the prompt; \"by position\", \"by tokens\":\n\
             share of the variance of the score changes that the two positions or the two tokens explain.\n",
        );
        for task in &self.tasks {
            text.push_str(&format!("\n{}\n", aligned(&method_lines(task))));
        }
        text.push_str("\nChecks:\n\n");
        text.push_str(&aligned(&self.check_lines()));
        text
    }

    /// The figures as a Markdown page.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut page = String::from("# Section 3.4: what PT, DePT and ADePT do to the first self-attention\n\n");
        render::notes(&mut page, &self.notes);
        for task in &self.tasks {
            let label = render::task_label(&task.task);
            page.push_str(&format!(
                "## {label}\n\n{} test rows, {} content tokens.\n\n",
                task.rows, task.tokens
            ));
            render::markdown_table(&mut page, &method_lines(task));
            page.push_str(&format!("### {label}, by head\n\n"));
            render::markdown_table(&mut page, &head_lines(task));
        }
        page.push_str("## Checks\n\n");
        render::markdown_table(&mut page, &self.check_lines());
        render::runs(&mut page, self.records.iter().map(|record| &record.subject));
        page
    }

    /// A page with pictures of one source's patterns.
    #[must_use]
    pub fn html(&self) -> String {
        picture::page(self)
    }

    fn check_lines(&self) -> Vec<Vec<String>> {
        let names = [
            "",
            "Patterns differ by at most",
            "Outputs and their decomposition differ by at most",
            "of at most",
        ];
        let mut lines = vec![names.map(str::to_owned).to_vec()];
        for task in &self.tasks {
            for found in &task.methods {
                lines.push(vec![
                    format!(
                        "{} {}",
                        render::task_label(&task.task),
                        render::method_label(found.method)
                    ),
                    format!("{:.1e}", found.largest_difference),
                    format!("{:.1e}", found.decomposition.largest_difference),
                    render::significant(found.decomposition.largest_output, 3),
                ]);
            }
        }
        lines
    }
}

/// The main table of one task.
fn method_lines(task: &TaskAttention) -> Vec<Vec<String>> {
    let names = [
        "distance",
        "largest",
        "prompt",
        "largest",
        "score change",
        "by position",
        "by tokens",
    ];
    let names = std::iter::once(render::task_label(&task.task)).chain(names.map(str::to_owned));
    let share = |share: &Option<Spread>| {
        share
            .as_ref()
            .map_or_else(|| NOTHING.to_owned(), |share| render::percent(share.mean))
    };
    let rows = task.methods.iter().map(|found| {
        vec![
            render::method_label(found.method),
            render::size(&found.distance),
            render::significant(found.largest_distance, 3),
            render::percent(found.prompt_mass.mean),
            render::percent(found.largest_prompt_mass),
            render::size(&found.score_change),
            share(&found.by_position),
            share(&found.by_tokens),
        ]
    });
    std::iter::once(names.collect()).chain(rows).collect()
}

/// Distances and attention to the prompt by head, a row for each head.
fn head_lines(task: &TaskAttention) -> Vec<Vec<String>> {
    let mut names = vec!["Head".to_owned()];
    for found in &task.methods {
        let label = render::method_label(found.method);
        names.extend([format!("{label}: distance"), "prompt".to_owned()]);
    }
    let heads = task.methods.iter().map(|found| found.distance_by_head.len()).max();
    let rows = (0..heads.unwrap_or(0)).map(|head| {
        let mut cells = vec![head.to_string()];
        for found in &task.methods {
            let distance = found.distance_by_head.get(head).copied().unwrap_or_default();
            let mass = found.prompt_mass_by_head.get(head).copied().unwrap_or_default();
            cells.extend([render::significant(distance, 3), render::percent(mass)]);
        }
        cells
    });
    std::iter::once(names).chain(rows).collect()
}

fn task(name: &str, records: &[AttentionRecord]) -> Option<TaskAttention> {
    let own: Vec<&AttentionRecord> = records
        .iter()
        .filter(|record| record.subject.run.task == name)
        .collect();
    let first = &own.first()?.attention;
    let of = |method: &TrainMethod| {
        let runs = own
            .iter()
            .copied()
            .filter(|record| record.subject.run.method == *method);
        MethodAttention::of(*method, &runs.collect::<Vec<_>>())
    };
    Some(TaskAttention {
        task: name.to_owned(),
        rows: first.rows,
        tokens: first.tokens,
        methods: PROMPT_METHODS.iter().filter_map(of).collect(),
    })
}

impl MethodAttention {
    /// From the records of a method's runs on a task; `None` without any.
    fn of(method: TrainMethod, records: &[&AttentionRecord]) -> Option<Self> {
        let found: Vec<&Attention> = records.iter().map(|record| &record.attention).collect();
        let spread = |figure: &dyn Fn(&Attention) -> f64| {
            Spread::of(&found.iter().map(|found| figure(found)).collect::<Vec<_>>())
        };
        let largest = |figure: &dyn Fn(&Attention) -> f64| found.iter().map(|found| figure(found)).fold(0.0, f64::max);
        let by_head = |heads: &dyn Fn(&Attention) -> &[f64]| -> Vec<f64> {
            let count = found.first().map_or(0, |found| heads(found).len());
            let mean = |head: usize| found.iter().map(|found| heads(found)[head]).sum::<f64>() / found.len() as f64;
            (0..count).map(mean).collect()
        };
        type Of = fn(&Attention) -> Option<Explained>;
        let positions: Of = |found| found.scores.by_position;
        let tokens: Of = |found| found.scores.by_tokens;
        let share = |of: Of| {
            let shares = found.iter().filter_map(|found| of(found)?.share);
            Spread::of(&shares.collect::<Vec<_>>())
        };
        let widest = |of: Of| {
            let spreads = found.iter().filter_map(|found| Some(of(found)?.spread));
            spreads.reduce(f64::max)
        };
        Some(Self {
            method,
            seeds: records.iter().map(|record| record.subject.run.seed).collect(),
            virtual_tokens: found.first()?.virtual_tokens,
            distance: spread(&|found| found.distance.mean)?,
            largest_distance: largest(&|found| found.distance.largest),
            distance_by_head: by_head(&|found| &found.distance.heads),
            prompt_mass: spread(&|found| found.prompt_mass.mean)?,
            largest_prompt_mass: largest(&|found| found.prompt_mass.largest),
            prompt_mass_by_head: by_head(&|found| &found.prompt_mass.heads),
            largest_difference: largest(&|found| found.largest_difference),
            score_change: spread(&|found| found.scores.mean)?,
            by_position: share(positions),
            by_tokens: share(tokens),
            spread_at_positions: widest(positions),
            spread_of_tokens: widest(tokens),
            decomposition: Decomposition {
                largest_difference: largest(&|found| found.decomposition.largest_difference),
                largest_output: largest(&|found| found.decomposition.largest_output),
            },
        })
    }
}

fn notes(grid: &GridRecord, tasks: &[TaskAttention]) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    if grid.sample {
        notes.push(
            "The data are made-up sentences written by a program: the figures show what the methods do on them."
                .to_owned(),
        );
    }
    notes.push(
        "Content tokens are those of the source, </s> included. \"distance\": the method's attention of content tokens, \
         renormalised over content tokens, against the bare backbone's on the same source; total variation (half the sum \
         of absolute differences), in the mean over queries, heads and rows, and its largest value. \"prompt\": the \
         attention that content tokens give to the prompt. \"score change\": mean absolute change of a score before the \
         softmax."
            .to_owned(),
    );
    notes.push(
        "\"by position\" and \"by tokens\": shares of the variance of the score changes that are between pairs of positions \
         (query, key), or between pairs of tokens, in a head (one less the ratio of the mean squares within groups and in \
         total: adjusted R²), over the pairs of the 256 most frequent tokens. They overlap where the same token often \
         stands at the same place. A change that is a function of the two tokens gives 100 % by tokens, as ADePT's must; \
         what is missing to 100 % by tokens depends on where they stand, and what is missing by position on which \
         tokens stand there."
            .to_owned(),
    );
    notes.push(
        "T5 normalises embeddings before the layer and adds a bias of the distance to each score; distances between \
         content tokens are the same with a prompt in front, so that the paper's equations hold with the normalised \
         embeddings in them."
            .to_owned(),
    );
    let methods = || tasks.iter().flat_map(|task| &task.methods);
    if let Some(largest) = methods()
        .filter(|found| found.method == PROMPT_METHODS[0])
        .map(|found| found.largest_difference)
        .reduce(f64::max)
    {
        notes.push(match largest <= SAME {
            true => format!(
                "Check: PT leaves the patterns over content tokens as they are; no entry differs by more than {largest:.1e}, \
                 which is rounding."
            ),
            false => format!(
                "Check FAILED: with PT an entry of the patterns over content tokens differs by {largest:.1e}, more than \
                 rounding."
            ),
        });
    }
    let wrong = methods().any(|found| {
        found.decomposition.largest_difference > SAME * found.decomposition.largest_output.max(f64::MIN_POSITIVE)
    });
    notes.push(match wrong {
        false => {
            "Check: every output of the layer is the prompt's part plus the rest times the output without the prompt \
                  (equations 6 to 8, with PT's being the bare backbone's), up to rounding."
                .to_owned()
        }
        true => "Check FAILED: outputs of the layer differ from their decomposition by more than rounding.".to_owned(),
    });
    notes.push("The paper argues this section without figures: there are none to compare with.".to_owned());
    notes
}
