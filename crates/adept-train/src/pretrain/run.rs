//! One pretraining run, from configuration to model folder.

use std::collections::BTreeMap;
use std::path::Path;

use adept_data::{DataFile, TextTokenizer};
use adept_models::{T5, t5};
use burn::module::Module;
use burn::tensor::backend::{AutodiffBackend, Backend};

use super::config::ResolvedPretrain;
use super::feed::{self, Kind};
use super::learner::{self, Checkpoint, Job};
use super::model;
use super::observer::{Phase, PretrainEvent, PretrainObserver};
use super::prepare::{self, Roots, Vocabulary};
use super::record::{PretrainEnd, PretrainIdentity, PretrainLine, PretrainStart, TaskRecord};
use super::sections::PretrainConfig;
use crate::TrainError;
use crate::checkpoint;
use crate::folder::{self, FolderKind, RunFolder};
use crate::record::{RecordWriter, code_commit, code_version, read_lines};

/// The result of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The record's last line.
    pub end: PretrainEnd,
    /// Whether the folder already contained the finished run.
    pub was_finished: bool,
}

/// Trains, resumes, or reports that the run is already finished.
pub fn run<AB: AutodiffBackend>(
    resolved: &ResolvedPretrain,
    roots: &Roots,
    out: &Path,
    device: &AB::Device,
    observer: &mut dyn PretrainObserver,
) -> Result<Outcome, TrainError> {
    let config = &resolved.config;
    let folder = RunFolder::open_as(out, FolderKind::Pretraining)?;
    folder::finish_replacement(out, "model")?;
    let found: Option<Checkpoint> = checkpoint::newest(&folder.checkpoints())?;
    if let Some(found) = &found {
        // Compare the settings before spending hours on a tokenizer that other settings require.
        refuse(&folder, config.difference(&found.identity.config, found.progress.step))?;
    }
    let going_on = |observer: &mut dyn PretrainObserver| match observer.stop_requested() {
        true => Err(TrainError::Interrupted {
            step: found.as_ref().map_or(0, |found| found.progress.step),
        }),
        false => Ok(()),
    };
    let begins = |observer: &mut dyn PretrainObserver, phase| {
        let (done, total) = (0, 0);
        observer.event(&PretrainEvent::Preparing { phase, done, total });
    };
    begins(observer, Phase::Corpus);
    let mut corpus = prepare::corpus(config, roots)?;
    begins(observer, Phase::Tasks);
    let tasks = prepare::tasks(config, roots)?;
    prepare::add_tasks(config, &mut corpus, &tasks);
    let task_files: BTreeMap<String, Vec<DataFile>> = tasks
        .iter()
        .map(|task| (task.section.label.clone(), task.data.files.clone()))
        .collect();
    let mut identity = PretrainIdentity {
        config: config.clone(),
        corpus: corpus.files().to_vec(),
        tasks: task_files,
        tokenizer_sha256: String::new(),
        init_fingerprint: None,
    };
    if let Some(found) = &found {
        // Compare the files, too, before anything in the folder is rebuilt for others.
        (identity.tokenizer_sha256, identity.init_fingerprint) = (
            prepare::given_tokenizer_sha256(config, roots)?.unwrap_or(found.identity.tokenizer_sha256.clone()),
            found.identity.init_fingerprint.clone(),
        );
        refuse(&folder, identity.difference(&found.identity, found.progress.step))?;
    }
    going_on(observer)?;
    let known = found.as_ref().map(|found| found.identity.tokenizer_sha256.as_str());
    let (tokenizer, vocabulary) = prepare::tokenizer(config, roots, out, &corpus, &tasks, known, observer)?;
    let (initial, init_fingerprint) = model::initial::<AB::InnerBackend>(config, roots, &vocabulary, device)?;
    (identity.tokenizer_sha256, identity.init_fingerprint) = (vocabulary.sha256.clone(), init_fingerprint);
    if let Some(found) = &found {
        let step = found.progress.step;
        refuse(&folder, identity.difference(&found.identity, step))?;
        if config.train.steps < step {
            let (there, here) = (format!("{step} steps done"), config.train.steps.to_string());
            refuse(&folder, Some(("`train.steps`".to_owned(), there, here)))?;
        }
        if let Some(end) = finished(&folder, config.train.steps) {
            return Ok(Outcome {
                end,
                was_finished: true,
            });
        }
    }
    folder::write_atomic(&folder.config(), resolved.to_toml().as_bytes())?;
    going_on(observer)?;
    let batches = prepare::batches(config, out, &corpus, tasks, (&tokenizer, &vocabulary), observer)?;
    let start = PretrainStart {
        code_version: code_version(),
        code_commit: code_commit(),
        device: format!("{} {device:?}", AB::InnerBackend::name(device)),
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        resolved: resolved.clone(),
        corpus: identity.corpus.clone(),
        corpus_tokens: batches.corpus_tokens,
        window_tokens: batches.window_tokens,
        train_windows: batches.train_windows,
        tokenizer_sha256: vocabulary.sha256.clone(),
        vocab_size: vocabulary.size,
        init_fingerprint: identity.init_fingerprint.clone(),
        parameters: initial.num_params(),
        tasks: batches.tasks,
    };
    let write = |model: &T5<AB::InnerBackend>, path: &Path| model::write(model, &vocabulary.folder, path);
    let job = Job {
        identity: &identity,
        start: &start,
        source: &batches.source,
        scored: &batches.scored,
        write: &write,
    };
    let position = learner::train::<AB, T5<AB>>(&job, initial, found, &folder, device, observer)?;
    let (_, written) = t5::open(&out.join("model"))?;
    let end = PretrainEnd {
        step: position.step,
        tokens: position.tokens,
        seconds: position.seconds,
        evaluation: position
            .evaluation
            .expect("the last step is evaluated before the loop ends"),
        fingerprint: written.fingerprint().as_str().to_owned(),
    };
    let mut record = RecordWriter::of_run(&folder, u64::MAX, config.train.tensorboard)?;
    record.write(&PretrainLine::End(end.clone()))?;
    record.flush()?;
    observer.event(&PretrainEvent::End(&end));
    Ok(Outcome {
        end,
        was_finished: false,
    })
}

/// The end of the run according to the record, if it is after `steps` steps.
fn finished(folder: &RunFolder, steps: usize) -> Option<PretrainEnd> {
    match read_lines::<PretrainLine>(&folder.record()).ok()?.pop()? {
        PretrainLine::End(end) if end.step == steps => Some(end),
        _ => None,
    }
}

fn refuse(folder: &RunFolder, difference: Option<(String, String, String)>) -> Result<(), TrainError> {
    match difference {
        None => Ok(()),
        Some((field, there, here)) => Err(TrainError::OtherRun {
            path: folder.path().to_owned(),
            field,
            there,
            here,
        }),
    }
}

/// What a run would do.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Files of the corpus.
    pub corpus: Vec<DataFile>,
    /// Tasks; their files are read but not tokenised.
    pub tasks: Vec<TaskRecord>,
    /// Vocabulary size; the configured one if the tokenizer is yet to be trained.
    pub vocab_size: usize,
    /// Number of parameters.
    pub parameters: usize,
    /// Number of passes on text and on tasks.
    pub passes: [usize; 2],
    /// Length of a text window in tokens, before corruption.
    pub window_tokens: usize,
}

/// Reads corpus and tasks and describes what a run would do. Writes nothing.
pub fn plan(config: &PretrainConfig, roots: &Roots) -> Result<Plan, TrainError> {
    let mut corpus = prepare::corpus(config, roots)?;
    let tasks = prepare::tasks(config, roots)?;
    prepare::add_tasks(config, &mut corpus, &tasks);
    let rates = prepare::rates(config, &tasks);
    let denoise = adept_data::pretrain::DenoiseOptions {
        noise_density: config.text.noise_density,
        mean_span_length: config.text.mean_span_length,
    };
    let (window_tokens, _) = adept_data::pretrain::window_length(config.text.input_length, &denoise)?;
    let size = match prepare::given_tokenizer(config, roots) {
        Some(path) => TextTokenizer::from_dir(&path)?.vocab_size(),
        None => config.tokenizer.vocab_size,
    };
    let architecture = if config.model.init.as_os_str().is_empty() {
        let vocabulary = Vocabulary {
            folder: "".into(),
            sha256: String::new(),
            size,
            pad: 0,
            eos: 1,
        };
        model::architecture(config, &vocabulary)
    } else {
        adept_models::T5Config::from_dir(&roots.resolve(&config.model.init))?
    };
    let passes = config.train.steps * config.train.accumulation;
    let over_tasks = match feed::pass(passes, config.mixture.task_share) {
        (Kind::Tasks, before) => before,
        (Kind::Text, before) => passes - before,
    };
    let tasks = tasks
        .iter()
        .zip(rates)
        .map(|(task, rate)| TaskRecord {
            label: task.section.label.clone(),
            name: task.section.name.clone(),
            prefix: task.section.prefix.clone(),
            files: task.data.files.clone(),
            rows: task.data.train.len(),
            rate,
            scored_rows: task.data.validation.len().min(config.train.evaluation_rows),
        })
        .collect();
    Ok(Plan {
        corpus: corpus.files().to_vec(),
        tasks,
        vocab_size: size,
        parameters: model::parameters(&architecture),
        passes: [passes - over_tasks, over_tasks],
        window_tokens,
    })
}
