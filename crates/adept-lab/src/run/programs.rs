//! A run on a task of programs: training on joined rows, then generation, then judging.

use std::time::Instant;

use adept_core::{AdapterConfig, Intervention};
use adept_data::{BatchOptions, Batcher, TextTokenizer};
use adept_models::{Backbone as _, Model};
use adept_train::TrainError;
use adept_train::answering::{AnswerMethod, Continuation, Labels};
use adept_train::config::RunConfig;
use adept_train::folder;
use adept_train::learner::{self, Job, JobTask};
use adept_train::observer::{Event, Observer, Split};
use adept_train::record::{MissingLayer, RunResult, Throughput};
use adept_train::rows::BatchUse;
use adept_train::target::Target;
use adept_train::test_answers::TestAnswers;
use burn::tensor::backend::{AutodiffBackend, Backend};

use super::{Begun, LoadedBackbone, check_positions, slots_of};
use adept_train::program::{
    COMPLETIONS, Completions, JUDGED, Judged, PreparedPrograms, Proceed, Writer, judge, scores, tally, write,
};

/// Batching options of a run on programs.
pub(super) fn batch_options<B: Backend>(
    config: &RunConfig,
    backbone: &LoadedBackbone<B>,
    programs: &PreparedPrograms,
) -> BatchOptions {
    let (size, pad) = (config.train.batch_size, backbone.model.pad_id());
    programs.form.batch_options(config, BatchUse::Training, size, pad, 1)
}

/// Its training rows, each in a batch of its own.
pub(super) fn single_rows<'a, B: Backend>(
    config: &RunConfig,
    backbone: &LoadedBackbone<B>,
    programs: &'a PreparedPrograms,
) -> Result<Batcher<'a>, TrainError> {
    check_lengths(config, backbone, 0, programs)?;
    let options = BatchOptions {
        batch_size: 1,
        ..batch_options(config, backbone, programs)
    };
    Ok(Batcher::new(&programs.train, options)?)
}

/// Refuses rows that exceed the backbone's positions: training rows, and problems that leave no room for a token.
fn check_lengths<B: Backend>(
    config: &RunConfig,
    backbone: &LoadedBackbone<B>,
    prompt: usize,
    programs: &PreparedPrograms,
) -> Result<(), TrainError> {
    let input = &config.input;
    let kept = |tokens: usize| slots_of(config, tokens.min(input.max_source_length));
    let rows = programs.train.iter().enumerate();
    let rows = rows.map(|(row, text)| (row, kept(text.source.len() + text.target.len())));
    check_positions(&backbone.model, "training row", prompt, rows)?;
    check_problems(config, backbone, prompt, programs)
}

/// Refuses problems that leave no room for a token.
fn check_problems<B: Backend>(
    config: &RunConfig,
    backbone: &LoadedBackbone<B>,
    prompt: usize,
    programs: &PreparedPrograms,
) -> Result<(), TrainError> {
    let input = &config.input;
    let problems = programs.problems.iter();
    let problems = problems.map(|problem| (problem.id, problem.ids.len().min(input.max_source_length) + 1));
    check_positions(&backbone.model, "problem", prompt, problems)
}

/// Trains a target on programs, generates programs and judges them.
///
/// # Errors
/// Errors that end a run, and a sandbox that failed.
pub(super) fn finish<AB: AutodiffBackend, T: Target<AB, Backbone = Model<AB>>>(
    begun: &Begun<'_, AB>,
    programs: &PreparedPrograms,
    adapter: Option<&AdapterConfig>,
    target: &T,
    observer: &mut dyn Observer,
) -> Result<RunResult, TrainError> {
    let (config, backbone) = (&begun.resolved.config, begun.backbone);
    if !backbone.model.family().is_causal() {
        return Err(TrainError::Program {
            task: config.task.clone(),
        });
    }
    check_lengths(
        config,
        backbone,
        adapter.map_or(0, AdapterConfig::virtual_tokens),
        programs,
    )?;
    let mut start = begun.start(adapter, target, [programs.train.len(), 0, programs.problems.len()]);
    start.missing_layers = MissingLayer::all(programs.sandbox.layers());
    let job = Job {
        identity: begun.identity,
        start: start.clone(),
        backbone_dropout: config.train.backbone_dropout.or(backbone.model.dropout_rate()),
        tasks: vec![JobTask {
            name: programs.task.name().to_owned(),
            train: Batcher::new(&programs.train, batch_options(config, backbone, programs))?,
            validation: None,
            test: None,
            metrics: &[],
            // No predictions are made during training.
            answers: AnswerMethod::Labels(Labels {
                ids: &[],
                texts: &[],
                rules: Continuation::default(),
            }),
        }],
    };
    let mut outcome = learner::train::<AB, T>(job, target, begun.folder, begun.device, observer)?;

    let step = config.train.steps;
    let stopped = || Err(TrainError::Interrupted { step });
    let best = target.load(&begun.folder.best(), begun.device)?;
    let (model, adapter) = target.inner_parts(&best, 0);
    let mut file = Completions::open(&begun.folder.path().join(COMPLETIONS))?;
    let mut proceed = |done, total| {
        let split = Split::Test;
        observer.event(&Event::EvaluationProgress { split, done, total });
        done == total || !observer.stop_requested()
    };
    let model = (&model, &*adapter);
    let written = write_and_judge(
        config,
        &backbone.tokenizer,
        programs,
        model,
        &mut file,
        begun.device,
        &mut proceed,
    )?;
    let Some((judged, throughput)) = written else {
        return stopped();
    };
    outcome.test = scores(&judged);
    folder::write_json(&begun.folder.path().join(JUDGED), &judged)?;
    let answers = TestAnswers::of_programs(&judged);
    answers.write(&begun.folder.test_answers())?;
    let mut result = begun.result(start.clone(), &outcome, None);
    result.programs = Some(tally(&judged));
    result.throughput = Some(throughput);
    begun.end(&start, &outcome, result, observer)
}

/// Writes the programs that `completions` lack, and judges all of them; `None` if `proceed` returns false.
fn write_and_judge<B: Backend>(
    config: &RunConfig,
    tokenizer: &TextTokenizer,
    programs: &PreparedPrograms,
    (model, adapter): (&Model<B>, &dyn Intervention<B>),
    completions: &mut Completions,
    device: &B::Device,
    proceed: &mut Proceed<'_>,
) -> Result<Option<(Vec<Judged>, Throughput)>, TrainError> {
    let model = model.adapted(adapter);
    let writer = Writer::new(config, programs, tokenizer, (model.family(), model.pad_id()));
    let (before, start) = (completions.tokens(), Instant::now());
    if !write(&writer, (&*model, adapter), completions, device, proceed)? {
        return Ok(None);
    }
    let writing_seconds = start.elapsed().as_secs_f64();
    let tokens = completions.tokens() - before;
    let (sandbox, workers, start) = (&programs.sandbox, programs.workers, Instant::now());
    let judged = judge(sandbox, &programs.problems, completions.all(), workers, proceed)?;
    Ok(judged.map(|judged| {
        let throughput = Throughput {
            tokens,
            writing_seconds,
            programs: judged.len() + programs.problems.len(),
            judging_seconds: start.elapsed().as_secs_f64(),
        };
        (judged, throughput)
    }))
}

/// Has an adapter, or a bare model, write the test's programs and judges them; `None` if `proceed` returns false.
///
/// # Errors
/// Problems that leave no room for a token, a model that cannot write programs, and a sandbox that failed.
pub fn judge_programs<B: Backend>(
    config: &RunConfig,
    backbone: &LoadedBackbone<B>,
    programs: &PreparedPrograms,
    adapter: &dyn Intervention<B>,
    device: &B::Device,
    proceed: &mut Proceed<'_>,
) -> Result<Option<(Vec<Judged>, Throughput)>, TrainError> {
    check_problems(config, backbone, adapter.virtual_tokens(), programs)?;
    let model = (&backbone.model, adapter);
    let mut completions = Completions::default();
    write_and_judge(
        config,
        &backbone.tokenizer,
        programs,
        model,
        &mut completions,
        device,
        proceed,
    )
}
