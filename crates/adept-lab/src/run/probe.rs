//! Estimates how long a run's steps and evaluations take on this machine by performing a few of them. Nothing is kept:
//! the stepped module is discarded, and a run seeds the device's random numbers itself before each pass.

use std::time::Instant;

use adept_data::{Batch, Batcher, Encoded, Right, TextTokenizer};
use adept_models::{Backbone as _, Model};
use adept_train::TrainError;
use adept_train::config::RunConfig;
use adept_train::evaluate::{self, EvaluationSet};
use adept_train::initial::adapter_config;
use adept_train::learner::step_gradients;
use adept_train::model::TaskModel as _;
use adept_train::optim;
use adept_train::program::{PreparedPrograms, Problem, Writer, in_order};
use adept_train::rows::BatchUse;
use adept_train::target::Target;
use burn::tensor::backend::AutodiffBackend;

use super::{
    LoadedBackbone, PreparedData, PreparedTask, adapter_target, answer_method, batch_options, frozen_precision,
    full_target, programs, selection_rows, trained_with,
};

/// Precision of the measurement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProbeOptions {
    /// Untimed warm-up steps.
    pub warmup: usize,
    /// Timed steps; the fastest counts.
    pub steps: usize,
    /// Maximum seconds of one pass; a batch that would take longer is cut to fewer rows.
    pub longest_pass: f64,
}

/// Measured times of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RunTime {
    /// Seconds per optimiser step, including all its passes.
    pub step: f64,
    /// Seconds of one evaluation on the rows that choose the best step.
    pub validation: f64,
    /// Seconds of scoring the test split.
    pub test: f64,
}

/// Number of batches sampled to find the usual width.
const LOOKED_AT: usize = 64;

/// Rows in the pass that tests whether a full batch would take too long.
const FEW_ROWS: usize = 2;

/// Times a run: a few steps on a batch of usual width, and one evaluation batch.
///
/// # Errors
/// Errors that would prevent the run from starting.
pub fn probe<AB: AutodiffBackend>(
    config: &RunConfig,
    backbone: &LoadedBackbone<AB::InnerBackend>,
    data: &PreparedData,
    device: &AB::Device,
    options: ProbeOptions,
) -> Result<RunTime, TrainError> {
    let loaded = backbone;
    let backbone = &*loaded.held(frozen_precision::<AB::InnerBackend>(config), device)?;
    let trained = trained_with(config, backbone, data);
    match config.adapter.method.adapter() {
        Some(method) => {
            let adapter = adapter_config(config, method, &backbone.model.sites())?;
            // Steps take as long from any start.
            let gradients = (adapter.judging_examples() > 0).then_some(&backbone.model);
            let target = adapter_target::<AB>(config, &adapter, backbone, gradients, &trained, device)?;
            time(config, backbone, data, &target, device, options)
        }
        None => time(
            config,
            backbone,
            data,
            &full_target::<AB>(backbone, trained, device),
            device,
            options,
        ),
    }
}

fn time<AB: AutodiffBackend, T: Target<AB, Backbone = Model<AB>>>(
    config: &RunConfig,
    backbone: &LoadedBackbone<AB::InnerBackend>,
    data: &PreparedData,
    target: &T,
    device: &AB::Device,
    options: ProbeOptions,
) -> Result<RunTime, TrainError> {
    let train = match data {
        PreparedData::Rows(_) => {
            let (task, size) = (data.rows()?, config.train.batch_size);
            let options = batch_options(config, backbone, task, BatchUse::Training, size);
            Batcher::new(&task.train, options)?
        }
        PreparedData::Programs(programs) => {
            let options = programs::batch_options(config, backbone, programs);
            Batcher::new(&programs.train, options)?
        }
    };
    let step = time_step(config, backbone, &train, target, device, options)?;
    match data {
        PreparedData::Rows(_) => {
            let task = data.rows()?;
            let (validation, test) = time_answers(config, backbone, task, target, device, options)?;
            Ok(RunTime { step, validation, test })
        }
        PreparedData::Programs(programs) => Ok(RunTime {
            step,
            validation: 0.0,
            test: time_writing(config, backbone, programs, target, device)?,
        }),
    }
}

/// Tokens generated to measure the time per token.
const FEW_TOKENS: usize = 4;
/// Seconds the sandbox takes per program.
const JUDGING: f64 = 0.2;

/// Tokens after a program that show it has ended: the beginning of the next statement.
const ENDING: usize = 4;

/// Seconds for generating and judging all programs if each were as long as its problem's reference solution. (An
/// untrained model may generate up to the length limit; a trained one ends about there.)
fn time_writing<AB: AutodiffBackend, T: Target<AB, Backbone = Model<AB>>>(
    config: &RunConfig,
    backbone: &LoadedBackbone<AB::InnerBackend>,
    programs: &PreparedPrograms,
    target: &T,
    device: &AB::Device,
) -> Result<f64, TrainError> {
    let (model, adapter) = target.inner_parts(&target.initial(), 0);
    let model = model.adapted(&*adapter);
    let tokenizer = &backbone.tokenizer;
    let writer = Writer::new(config, programs, tokenizer, (model.family(), model.pad_id()));
    let prefix = model.prefix(&*adapter);
    let order = in_order(&programs.problems, config.generation.samples);
    let tokens = program_tokens(&order, tokenizer, writer.max_new_tokens())?;
    let size = config.evaluation.batch_size;
    let batches: Vec<&[(&Problem, usize)]> = order.chunks(size).collect();
    // Prompts become longer from batch to batch: the middle one is typical.
    let Some(rows) = batches.get(batches.len() / 2) else {
        return Ok(0.0);
    };
    let seconds = |tokens: usize| -> Result<f64, TrainError> {
        let started = Instant::now();
        writer.batch(&*model, (&*adapter, &prefix), rows, tokens, device)?;
        Ok(started.elapsed().as_secs_f64())
    };
    let first = seconds(1)?.min(seconds(1)?);
    let each = (seconds(1 + FEW_TOKENS)? - first).max(0.0) / FEW_TOKENS as f64;
    let (passes, steps) = passes_and_steps(&tokens, size);
    let judging = (programs.problems.len() + order.len()) as f64 * JUDGING / programs.workers.max(1) as f64;
    Ok(passes as f64 * first + steps as f64 * each + judging)
}

/// Expected number of tokens of each program, in order.
fn program_tokens(
    order: &[(&Problem, usize)],
    tokenizer: &TextTokenizer,
    longest: usize,
) -> Result<Vec<usize>, TrainError> {
    let tokens = |(problem, _): &(&Problem, usize)| {
        let own = tokenizer.encode_continuation(&problem.solution)?.len();
        Ok((own + ENDING).min(longest))
    };
    order.iter().map(tokens).collect()
}

/// Number of batches for programs of these lengths, and number of sequential decoding steps after their first tokens: a
/// batch ends with its longest program.
fn passes_and_steps(tokens: &[usize], size: usize) -> (usize, usize) {
    let batches = tokens.chunks(size);
    let steps = |batch: &[usize]| batch.iter().max().map_or(0, |longest| longest.saturating_sub(1));
    (batches.len(), batches.map(steps).sum())
}

/// Tokens of a batch, including the soft prompt.
fn work(config: &RunConfig, batch: &Batch) -> f64 {
    let method = config.adapter.method.adapter();
    let prompt = method.map_or(0, |_| config.adapter.virtual_tokens);
    (batch.batch * (batch.source_width + prompt)) as f64
}

/// Seconds per optimiser step.
fn time_step<AB: AutodiffBackend, T: Target<AB, Backbone = Model<AB>>>(
    config: &RunConfig,
    backbone: &LoadedBackbone<AB::InnerBackend>,
    train: &Batcher<'_>,
    target: &T,
    device: &AB::Device,
    options: ProbeOptions,
) -> Result<f64, TrainError> {
    let work = |batch: &Batch| work(config, batch);
    let passes = config.train.accumulation;
    let looked_at = LOOKED_AT
        .min(config.train.steps * passes)
        .min(train.batches_per_epoch());
    let batches: Vec<Batch> = (0..looked_at)
        .map(|step| train.train_batch(config.seed, step))
        .collect::<Result<_, _>>()?;
    let mean = batches.iter().map(work).sum::<f64>() / batches.len() as f64;
    let usual = nearest(&batches, mean, work);

    let mut optimizer = optim::adamw(target.adapter(), &config.optimizer).map_err(TrainError::from)?;
    let dropout = config.train.backbone_dropout.or(backbone.model.dropout_rate());
    let mut trained = Some(target.initial());
    let mut step = |batch: &Batch| -> f64 {
        let started = Instant::now();
        let module = trained.take().expect("every step puts it back");
        let batches = std::slice::from_ref(batch);
        let (loss, gradients) =
            step_gradients::<AB, T>(target, &module, batches, (dropout, config.train.recompute), device);
        let rates = optimizer.rates(0, config.train.steps);
        trained = Some(optimizer.step::<AB, _>(module, gradients, &rates));
        // Reading the loss waits for the device.
        drop(loss.into_data());
        started.elapsed().as_secs_f64()
    };
    let batch = fitting(usual, options.longest_pass, &mut step);
    for _ in 0..options.warmup {
        step(&batch);
    }
    let fastest = (0..options.steps.max(1))
        .map(|_| step(&batch))
        .fold(f64::INFINITY, f64::min);
    Ok(passes as f64 * fastest * mean / work(&batch))
}

/// Seconds of an evaluation on the rows that choose the best step, and on the test split.
fn time_answers<AB: AutodiffBackend, T: Target<AB, Backbone = Model<AB>>>(
    config: &RunConfig,
    backbone: &LoadedBackbone<AB::InnerBackend>,
    task: &PreparedTask,
    target: &T,
    device: &AB::Device,
    options: ProbeOptions,
) -> Result<(f64, f64), TrainError> {
    let work = |batch: &Batch| work(config, batch);
    let size = config.evaluation.batch_size;
    let batches = |rows: &[Encoded]| -> Result<Vec<Batch>, TrainError> {
        let options = batch_options(config, backbone, task, BatchUse::Answering, size);
        Ok(Batcher::new(rows, options)?.evaluation_batches()?)
    };
    let (chosen, _) = selection_rows(&task.validation, config.evaluation.validation_rows);
    let (validation, test) = (batches(&chosen)?, batches(&task.test.0)?);
    let mean = validation.iter().map(work).sum::<f64>() / validation.len() as f64;
    let (inner, adapter) = target.inner_parts(&target.initial(), 0);
    let decode = |ids: &[u32]| -> Result<String, TrainError> { Ok(backbone.tokenizer.decode(ids, true)?) };
    let answers = answer_method(config, task.labels.as_ref(), task.target_width, task.turn_end, &decode);
    let mut outcome = Ok(());
    let mut predict = |batch: &Batch| -> f64 {
        let started = Instant::now();
        let set = EvaluationSet {
            batches: vec![Batch {
                rows: (0..batch.batch).collect(),
                ..batch.clone()
            }],
            right: Right::of_targets(vec![String::new(); batch.batch]),
        };
        let predicted = evaluate::predict(&inner, &*adapter, &set, &answers, device, &mut |_, _| true);
        if let Err(error) = predicted {
            outcome = Err(error);
        }
        started.elapsed().as_secs_f64()
    };
    let batch = fitting(nearest(&validation, mean, work), options.longest_pass, &mut predict);
    let rate = predict(&batch) / work(&batch);
    outcome?;
    let whole = |batches: &[Batch]| rate * batches.iter().map(work).sum::<f64>();
    Ok((whole(&validation), whole(&test)))
}

/// The batch whose work is closest to `wanted`.
fn nearest(batches: &[Batch], wanted: f64, work: impl Fn(&Batch) -> f64) -> &Batch {
    let distance = |batch: &&Batch| (work(batch) - wanted).abs();
    batches
        .iter()
        .min_by(|left, right| distance(left).total_cmp(&distance(right)))
        .expect("a split has a row, so it has a batch")
}

/// The batch, or as many of its rows as fit into the time limit, judged by a pass of a few rows.
fn fitting(batch: &Batch, longest: f64, pass: &mut impl FnMut(&Batch) -> f64) -> Batch {
    let few = FEW_ROWS.min(batch.batch);
    let seconds = pass(&first_rows(batch, few));
    let rows = (longest / seconds.max(1e-9) * few as f64) as usize;
    first_rows(batch, rows.clamp(few, batch.batch))
}

/// The first rows of a batch.
fn first_rows(batch: &Batch, rows: usize) -> Batch {
    Batch {
        rows: batch.rows[..rows].to_vec(),
        batch: rows,
        source_width: batch.source_width,
        target_width: batch.target_width,
        input_ids: batch.input_ids[..rows * batch.source_width].to_vec(),
        mask: batch.mask[..rows * batch.source_width].to_vec(),
        labels: batch.labels[..rows * batch.target_width].to_vec(),
        positions: batch
            .positions
            .iter()
            .take(rows * batch.source_width)
            .copied()
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn problem(id: usize, prompt: usize, solution: &str) -> Problem {
        Problem {
            id,
            prompt: String::new(),
            ids: vec![1; prompt],
            solution: solution.to_owned(),
            tests: String::new(),
            names: Vec::new(),
        }
    }

    #[test]
    fn programs_are_expected_to_be_as_long_as_solutions_and_batches_as_their_longest() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/goldens/codegen");
        let tokenizer = TextTokenizer::from_dir(&folder).expect("a tokenizer of the repository");
        let short = "    return x";
        let long = format!("    return {}", "x + ".repeat(100));
        let own = |text: &str| tokenizer.encode_continuation(text).expect("text").len();
        let problems = [problem(0, 9, &long), problem(1, 3, short), problem(2, 5, short)];
        let order = in_order(&problems, 1);
        assert_eq!(
            order.iter().map(|(problem, _)| problem.id).collect::<Vec<_>>(),
            [1, 2, 0]
        );
        let tokens = program_tokens(&order, &tokenizer, 512).expect("text");
        let expected = [own(short) + ENDING, own(short) + ENDING, own(&long) + ENDING];
        assert_eq!(tokens, expected);
        // Fewer steps than programs of the maximum length would take.
        let (batches, steps) = passes_and_steps(&tokens, 2);
        assert_eq!((batches, steps), (2, expected[0] + expected[2] - 2));
        assert!(steps < 2 * 511);
        assert_eq!(program_tokens(&order, &tokenizer, 6).expect("text"), [6, 6, 6]);
        assert_eq!(passes_and_steps(&[], 2), (0, 0));
    }
}
