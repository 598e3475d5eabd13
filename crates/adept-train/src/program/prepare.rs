//! Reads and tokenises a task of programs: training rows, and the problems to solve.

use std::sync::Arc;

use adept_data::task::TargetCard;
use adept_data::{
    DataFile, Encoded, Example, LoadOptions, LossCounter, LossyText, RowEncoder, SplitLosses, Task, TextTokenizer,
    load_task, split_losses,
};

use adept_sandbox::{Sandbox, Settings};

use crate::TrainError;
use crate::config::{ConfigError, RunConfig};
use crate::rows::RowForm;
use crate::task;

/// A problem of the test split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its row in the task's file.
    pub id: usize,
    /// The beginning of the program: a signature and a docstring.
    pub prompt: String,
    /// The prompt's tokens.
    pub ids: Vec<u32>,
    /// The problem's reference solution.
    pub solution: String,
    /// Code that tests a program.
    pub tests: String,
    /// The names that the tests use from the program.
    pub names: Vec<String>,
}

/// Options for running programs.
#[derive(Debug, Clone)]
pub struct ProgramOptions {
    /// Settings of the sandbox.
    pub sandbox: Settings,
    /// Number of programs run in parallel.
    pub workers: usize,
}

impl Default for ProgramOptions {
    fn default() -> Self {
        Self {
            sandbox: Settings::default(),
            workers: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// A task of programs as token ids, and the sandbox for running programs.
#[derive(Debug, Clone)]
pub struct PreparedPrograms {
    /// The task.
    pub task: Task,
    /// Training rows: the prompt as source, its solution and the end token as target.
    pub train: Vec<Encoded>,
    /// The test split, in its order.
    pub problems: Vec<Problem>,
    /// Strings that end a program at the beginning of any line but the first.
    pub stops: Vec<String>,
    /// Files the rows were read from.
    pub files: Vec<DataFile>,
    /// Options passed to its loader.
    pub options: LoadOptions,
    /// Truncated and unknown tokens, for each split that has any.
    pub losses: Vec<SplitLosses>,
    /// How its rows are laid out for the backbone.
    pub form: RowForm,
    /// Sandbox for running programs; set up before training, so that a machine without support is reported early.
    pub sandbox: Arc<Sandbox>,
    /// Number of programs run in parallel.
    pub workers: usize,
}

/// Reads and tokenises a task of programs, with rows of the given form.
///
/// # Errors
/// Data that cannot be read or encoded, and a split without rows.
pub fn prepare_programs(
    config: &RunConfig,
    tokenizer: &TextTokenizer,
    form: RowForm,
    programs: &ProgramOptions,
) -> Result<PreparedPrograms, TrainError> {
    let task = task::task_of(config)?;
    if config.data.as_os_str().is_empty() {
        return Err(ConfigError::Missing { key: "data" }.into());
    }
    let options = task::load_options(config);
    let data = load_task(&task, &config.data, &options)?;
    for (split, rows) in [("training", &data.train), ("test", &data.test)] {
        if rows.is_empty() {
            let task = config.task.clone();
            return Err(TrainError::EmptySplit { task, split });
        }
    }
    let longest = config.input.max_source_length;
    let encoder = form.encoder(tokenizer);
    let train = data
        .train
        .iter()
        .map(|row| Ok(Encoded::new(encoder.source(&row.source)?, encoder.target(&row.target)?)));
    let train = train.collect::<Result<Vec<_>, TrainError>>()?;
    let mut losses = Vec::new();
    losses.extend(joined_losses(&data.train, &train, encoder, longest)?);
    let problem = |row: Example| {
        let mut golds = row.golds.into_iter();
        Ok(Problem {
            id: row.id,
            ids: encoder.source(&row.source)?,
            prompt: row.source,
            solution: row.target,
            tests: golds.next().unwrap_or_default(),
            names: golds.collect(),
        })
    };
    let stops = match &task.card().target {
        TargetCard::Program { stops, .. } => stops.clone(),
        _ => Vec::new(),
    };
    let problems = data.test.into_iter().map(problem);
    let problems = problems.collect::<Result<Vec<_>, TrainError>>()?;
    let mut prompts = LossCounter::new(LossyText::Source, longest);
    for problem in &problems {
        prompts.add(encoder, problem.id, &problem.prompt, &problem.ids)?;
    }
    losses.extend(split_losses("test", problems.len(), [prompts]));
    Ok(PreparedPrograms {
        task,
        stops,
        train,
        problems,
        losses,
        files: data.files,
        options,
        form,
        sandbox: Arc::new(Sandbox::new(programs.sandbox.clone())?),
        workers: programs.workers,
    })
}

/// Truncation of joined rows. A row of more than `longest` tokens loses the beginning of its source, then the end of
/// its target ([`Layout::Joined`](adept_data::Layout::Joined)), so that what remains of either depends on the other.
fn joined_losses(
    examples: &[Example],
    rows: &[Encoded],
    encoder: RowEncoder<'_>,
    longest: usize,
) -> Result<Option<SplitLosses>, TrainError> {
    let mut sources = LossCounter::new(LossyText::Source, usize::MAX);
    let mut targets = LossCounter::new(LossyText::Target, usize::MAX);
    let mut joined = LossCounter::new(LossyText::Row, longest);
    for (example, Encoded { source, target, .. }) in examples.iter().zip(rows) {
        sources.add(encoder, example.id, &example.source, source)?;
        targets.add_target(encoder, example.id, &example.target, target)?;
        let whole = [source.as_slice(), target].concat();
        joined.add_cut(encoder.tokenizer(), example.id, &whole, || {
            let target = &target[..target.len().min(longest)];
            let room = longest - target.len();
            [&source[source.len().saturating_sub(room)..], target].concat()
        })?;
    }
    Ok(split_losses("training", rows.len(), [sources, targets, joined]))
}
