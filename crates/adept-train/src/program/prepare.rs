//! A task whose targets are programs, read and tokenised: training rows, and the problems to write programs for.

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
    /// What the program begins with: a signature and a docstring.
    pub prompt: String,
    /// The prompt's tokens.
    pub ids: Vec<u32>,
    /// The solution that comes with the problem.
    pub solution: String,
    /// What tests a program.
    pub tests: String,
    /// The names that the tests take from it.
    pub names: Vec<String>,
}

/// What programs are run with.
#[derive(Debug, Clone)]
pub struct ProgramOptions {
    /// What the sandbox is made with.
    pub sandbox: Settings,
    /// Programs that run at a time.
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

/// A task of programs as token ids, and where programs are run.
#[derive(Debug, Clone)]
pub struct PreparedPrograms {
    /// The task.
    pub task: Task,
    /// Training rows: a prompt as the source, its solution and the end of the text as the target.
    pub train: Vec<Encoded>,
    /// The test split, in its order.
    pub problems: Vec<Problem>,
    /// What ends a program where a line, not its first, begins with it.
    pub stops: Vec<String>,
    /// Files the rows came from.
    pub files: Vec<DataFile>,
    /// What its loader was told.
    pub options: LoadOptions,
    /// What texts lose as token ids, of each split that loses something.
    pub losses: Vec<SplitLosses>,
    /// How its rows enter the backbone.
    pub form: RowForm,
    /// Where programs are run; made before anything is trained, so that a machine on which it does not hold says so.
    pub sandbox: Arc<Sandbox>,
    /// Programs that run at a time.
    pub workers: usize,
}

/// Reads and tokenises a task of programs, whose rows have that form.
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
    let train = data.train.iter().map(|row| {
        Ok(Encoded {
            source: encoder.source(&row.source)?,
            target: encoder.target(&row.target)?,
        })
    });
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

/// What joined rows lose. A row of more than `longest` tokens loses its source's beginning, then its target's end
/// ([`Layout::Joined`](adept_data::Layout::Joined)), so that what is left of either depends on the other.
fn joined_losses(
    examples: &[Example],
    rows: &[Encoded],
    encoder: RowEncoder<'_>,
    longest: usize,
) -> Result<Option<SplitLosses>, TrainError> {
    let mut sources = LossCounter::new(LossyText::Source, usize::MAX);
    let mut targets = LossCounter::new(LossyText::Target, usize::MAX);
    let mut joined = LossCounter::new(LossyText::Row, longest);
    for (example, Encoded { source, target }) in examples.iter().zip(rows) {
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
