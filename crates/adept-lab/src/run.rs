//! One run from configuration to result: data, backbone, adapter, training, `result.json`.
//!
//! A grid of runs loads the backbone once ([`load_backbone`]) and encodes each task once ([`prepare_task`]), then calls
//! [`run_prepared`] for every method and seed; [`run`] does all three.

mod door;
mod prepare;
mod probe;
mod programs;
mod several;

use std::path::Path;

use adept_core::{AdapterConfig, AdapterMetadata};
use adept_data::{BatchOptions, Batcher, Encoded, Metric, Right, Task};
use adept_models::{Backbone, Model, Precision};
use adept_train::TrainError;
use adept_train::answering::{AnswerMethod, Continuation, Decode, Generate, Labels};
use adept_train::checkpoint::{self, Identity, Progress};
use adept_train::config::{PredictionMethod, Resolved, RunConfig, SelectionMetric};
use adept_train::evaluate::EvaluationSet;
use adept_train::folder::{self, FolderKind, RunFolder};
use adept_train::initial::{adapter_config, build_adapter, source_files, squared_gradients, teachers};
use adept_train::learner::{self, Job, JobTask, Outcome};
use adept_train::model_card::{ModelCard, backbone_name};
use adept_train::observer::{Event, Observer};
use adept_train::record::{Line, Majority, RecordWriter, RunResult, Start, code_commit, code_version};
use adept_train::rows::BatchUse;
use adept_train::target::{AdapterTarget, FullTarget, Target};
use adept_train::task::LabelIds;
use adept_train::test_answers::TestAnswers;
use adept_train::trained::Trained;
use burn::module::Module;
use burn::tensor::backend::{AutodiffBackend, Backend};

use prepare::check_prepared;

use door::slots_of;
pub use door::{check_positions, check_rows};
pub use prepare::{LoadedBackbone, Means, PreparedData, PreparedTask, load_backbone, prepare, prepare_task};
pub use probe::{ProbeOptions, RunTime, probe};
pub use programs::judge_programs;

/// Loads everything and runs.
pub fn run<AB: AutodiffBackend>(
    resolved: &Resolved,
    folder: &Path,
    means: &Means,
    device: &AB::Device,
    observer: &mut dyn Observer,
) -> Result<RunResult, TrainError> {
    // Before reading anything large.
    folder::check(folder, FolderKind::Run)?;
    let frozen = frozen_precision::<AB::InnerBackend>(&resolved.config);
    let backbone = load_backbone::<AB::InnerBackend>(&resolved.config.backbone, device, frozen)?;
    let data = prepare(&resolved.config, &backbone, means)?;
    run_prepared::<AB>(resolved, folder, &backbone, &data, device, observer)
}

/// Runs with a backbone and a task that are already loaded.
///
/// A folder with a `result.json` of the same run is not run again; one with a checkpoint is resumed; a folder with
/// another configuration, other data or another backbone is refused.
pub fn run_prepared<AB: AutodiffBackend>(
    resolved: &Resolved,
    path: &Path,
    backbone: &LoadedBackbone<AB::InnerBackend>,
    data: &PreparedData,
    device: &AB::Device,
    observer: &mut dyn Observer,
) -> Result<RunResult, TrainError> {
    let config = &resolved.config;
    check_prepared(config, data)?;
    let identity = Identity {
        config: config.clone(),
        data: [data.files(), source_files(config)?].concat(),
        fingerprint: backbone.fingerprint.as_str().to_owned(),
    };
    let folder = RunFolder::open(path)?;
    if let Some(result) = finished(&folder, &identity)? {
        return Ok(result);
    }
    let found = checkpoint::newest::<Progress, Identity>(&folder.checkpoints())?;
    if let Some(found) = &found {
        check_identity(&folder, &identity, &found.identity)?;
    }
    folder::write_atomic(&folder.config(), resolved.to_toml().as_bytes())?;

    let loaded = backbone;
    let backbone = &*loaded.held(frozen_precision::<AB::InnerBackend>(config), device)?;
    let begun = Begun {
        resolved,
        folder: &folder,
        identity: &identity,
        backbone,
        data,
        device,
    };
    let trained = trained_with(config, backbone, data);
    match config.adapter.method.adapter() {
        Some(method) => {
            let adapter_config = adapter_config(config, method, &backbone.model.sites())?;
            let gradients = match (adapter_config.judging_examples(), &found) {
                (0, _) => None,
                // The checkpoint's values take the place of whatever the adapter starts from.
                (_, Some(_)) => Some(backbone.model.clone()),
                (count, None) => {
                    let whole = loaded.held(None, device)?;
                    Some(begun.judged(&whole.model, count, observer)?)
                }
            };
            let target = adapter_target::<AB>(config, &adapter_config, backbone, gradients.as_ref(), &trained, device)?;
            begun.finish(data, Some(&adapter_config), &target, observer)
        }
        None => begun.finish(data, None, &full_target::<AB>(backbone, trained, device), observer),
    }
}

/// A run whose folder has been opened.
struct Begun<'a, AB: AutodiffBackend> {
    pub resolved: &'a Resolved,
    pub folder: &'a RunFolder,
    pub identity: &'a Identity,
    pub backbone: &'a LoadedBackbone<AB::InnerBackend>,
    pub data: &'a PreparedData,
    pub device: &'a AB::Device,
}

impl<AB: AutodiffBackend> Begun<'_, AB> {
    /// The squared gradients of the backbone, in float32, over `count` training examples.
    fn judged(
        &self,
        model: &Model<AB::InnerBackend>,
        count: usize,
        observer: &mut dyn Observer,
    ) -> Result<Model<AB::InnerBackend>, TrainError> {
        let config = &self.resolved.config;
        let rows: Vec<Batcher<'_>> = match self.data {
            PreparedData::Rows(tasks) => {
                let single = tasks.iter().map(|task| -> Result<_, TrainError> {
                    check_rows(config, model, 0, task)?;
                    let options = batch_options(config, self.backbone, task, BatchUse::Training, 1);
                    Ok(Batcher::new(&task.train, options)?)
                });
                single.collect::<Result<_, _>>()?
            }
            PreparedData::Programs(programs) => vec![programs::single_rows(config, self.backbone, programs)?],
        };
        squared_gradients::<AB, Model<AB>>(model, &rows, (count, config.seed), self.device, observer)
    }

    fn finish<T: Target<AB, Backbone = Model<AB>>>(
        &self,
        data: &PreparedData,
        adapter: Option<&AdapterConfig>,
        target: &T,
        observer: &mut dyn Observer,
    ) -> Result<RunResult, TrainError> {
        match data {
            PreparedData::Rows(tasks) => finish(self, tasks, adapter, target, observer),
            PreparedData::Programs(programs) => programs::finish(self, programs, adapter, target, observer),
        }
    }

    /// The first line of the record: what is trained, and the number of examples in each split.
    fn start<T: Target<AB>>(&self, adapter: Option<&AdapterConfig>, target: &T, examples: [usize; 3]) -> Start {
        Start {
            code_version: code_version(),
            code_commit: code_commit(),
            device: self.device_text(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            resolved: self.resolved.clone(),
            data: self.identity.data.clone(),
            card: self.data.task().and_then(Task::own_card).map(str::to_owned),
            examples,
            losses: self.data.losses(),
            backbone: backbone_name(&self.backbone.path),
            family: self.backbone.model.family().name().to_owned(),
            fingerprint: self.identity.fingerprint.clone(),
            trainable_parameters: Module::<AB>::num_params(&target.initial()),
            backbone_parameters: self.backbone.model.num_params(),
            virtual_tokens: adapter.map_or(0, AdapterConfig::virtual_tokens),
            rank: adapter.map_or(0, AdapterConfig::rank),
            missing_layers: Vec::new(),
        }
    }

    /// The backend, and what computes the backbone's products if these are not in float32: the last bits depend on it.
    fn device_text(&self) -> String {
        let device = format!("{} {:?}", AB::InnerBackend::name(self.device), self.device);
        match frozen_precision::<AB::InnerBackend>(&self.resolved.config) {
            None | Some(Precision::F32) => device,
            Some(lower) => format!(
                "{device}, {lower} ({})",
                lower.kernel::<AB::InnerBackend>().unwrap_or("float32")
            ),
        }
    }

    /// The result of a run, from the loop's output and the scores of the best module.
    fn result(&self, start: Start, outcome: &Outcome, majority: Option<Majority>) -> RunResult {
        let config = &self.resolved.config;
        let test_examples = start.examples[2];
        RunResult {
            task: start.task_name(),
            card: start.card,
            method: config.adapter.method,
            seed: config.seed,
            config: config.clone(),
            virtual_tokens: start.virtual_tokens,
            rank: start.rank,
            trainable_parameters: start.trainable_parameters,
            backbone_parameters: start.backbone_parameters,
            fingerprint: start.fingerprint,
            data: start.data,
            best_step: outcome.selection.step,
            selection_metric: outcome.selection.metric.clone(),
            validation: outcome.selection.scores.clone(),
            test: outcome.test.clone(),
            majority,
            programs: None,
            throughput: None,
            training_seconds: outcome.progress.seconds,
            samples_per_second: outcome.progress.samples as f64 / outcome.progress.seconds.max(1e-9),
            test_seconds: outcome.test_seconds,
            test_examples: outcome.test_seconds.map(|_| test_examples),
            code_version: start.code_version,
            device: start.device,
            missing_layers: start.missing_layers,
        }
    }

    /// Writes the end of the record, the model card and the result: the run is done.
    fn end(
        &self,
        start: &Start,
        outcome: &Outcome,
        result: RunResult,
        observer: &mut dyn Observer,
    ) -> Result<RunResult, TrainError> {
        let card = ModelCard {
            start,
            selection: &outcome.selection,
            test: Some(&outcome.test),
        };
        card.write(&self.folder.best())?;
        let tensorboard = self.resolved.config.train.tensorboard;
        let mut record = RecordWriter::of_run(self.folder, u64::MAX, tensorboard)?;
        record.write(&Line::End(Box::new(result.clone())))?;
        record.flush()?;
        folder::write_json(&self.folder.result(), &result)?;
        checkpoint::remove_all(&self.folder.checkpoints())?;
        observer.event(&Event::End(&result));
        Ok(result)
    }
}

/// The training context to store with the model; of several tasks, that of the first.
fn trained_with<B: Backend>(config: &RunConfig, backbone: &LoadedBackbone<B>, data: &PreparedData) -> Trained {
    let family = backbone.model.family();
    match data {
        PreparedData::Rows(tasks) => {
            let first = tasks.first().expect("prepared data have a task");
            Trained::new(config, &first.task, family, Some(first.target_width))
        }
        PreparedData::Programs(programs) => Trained::new(config, &programs.task, family, None),
    }
}

/// The precision of the backbone's products; `None` for full fine-tuning, which trains it in float32.
pub fn frozen_precision<B: Backend>(config: &RunConfig) -> Option<Precision> {
    let adapter = config.adapter.method.adapter();
    adapter.map(|_| config.train.precision.on::<B>())
}

/// How to load the backbone of some runs: as all of them hold it, or as any other can be made of it.
pub fn precision_of<'a, B: Backend>(configs: impl IntoIterator<Item = &'a RunConfig>) -> Option<Precision> {
    let wanted: Vec<_> = configs.into_iter().map(frozen_precision::<B>).collect();
    match wanted.split_first() {
        Some((first, others)) if others.iter().all(|other| other == first) => *first,
        _ if wanted.contains(&None) => None,
        _ => Some(Precision::F32),
    }
}

/// A newly initialised adapter on the frozen backbone.
fn adapter_target<AB: AutodiffBackend>(
    config: &RunConfig,
    adapter_config: &AdapterConfig,
    backbone: &LoadedBackbone<AB::InnerBackend>,
    gradients: Option<&Model<AB::InnerBackend>>,
    trained: &Trained,
    device: &AB::Device,
) -> Result<AdapterTarget<AB, Model<AB>>, TrainError> {
    let adapter = build_adapter::<AB, _>(
        config,
        adapter_config,
        &backbone.model,
        &backbone.fingerprint,
        &backbone.tokenizer,
        gradients,
        device,
    )?;
    let mut metadata = AdapterMetadata {
        fingerprint: Some(backbone.fingerprint.clone()),
        task: Some(trained.task.clone()),
        trained: Some(trained.to_map()),
        ..AdapterMetadata::new(adapter_config.clone(), backbone_name(&backbone.path))
    };
    if backbone.model.family().is_causal() {
        // Tells peft which model class to build.
        metadata.extra.insert("task_type".to_owned(), "CAUSAL_LM".into());
    }
    let teachers = teachers(config, &backbone.model, &backbone.fingerprint, device)?;
    let target = AdapterTarget::new(&backbone.model, adapter, metadata).with_teachers(teachers);
    match config.evaluation.folded_vocabulary {
        true => Ok(target.folding_vocabulary()?),
        false => Ok(target),
    }
}

/// Full fine-tuning; saves the backbone together with its tokenizer so that it can be loaded on its own.
fn full_target<AB: AutodiffBackend>(
    backbone: &LoadedBackbone<AB::InnerBackend>,
    trained: Trained,
    device: &AB::Device,
) -> FullTarget<AB, Model<AB>> {
    let (source, load_device) = (backbone.path.clone(), device.clone());
    let save = move |model: &Model<AB::InnerBackend>, path: &Path| {
        model.save_pretrained(path)?;
        trained.write(path)?;
        folder::copy_files(&folder::TOKENIZER_FILES, &source, path)
    };
    let load = move |path: &Path| Ok(Model::load(path, &load_device)?.model);
    FullTarget::new(&backbone.model, Box::new(save), Box::new(load))
}

/// Batching options of a run for the given batch size.
pub fn batch_options<B: Backend>(
    config: &RunConfig,
    backbone: &LoadedBackbone<B>,
    task: &PreparedTask,
    batches: BatchUse,
    batch_size: usize,
) -> BatchOptions {
    let pad = backbone.model.pad_id();
    task.form
        .batch_options(config, batches, batch_size, pad, task.target_width)
}

/// A task's splits as batches, and what they are scored by.
struct Splits {
    validation: EvaluationSet,
    test: EvaluationSet,
    metrics: Vec<Metric>,
}

impl Splits {
    fn of<B: Backend>(
        config: &RunConfig,
        backbone: &LoadedBackbone<B>,
        task: &PreparedTask,
    ) -> Result<Self, TrainError> {
        let set = |rows: &[Encoded], right: Right| -> Result<EvaluationSet, TrainError> {
            let size = config.evaluation.batch_size;
            let options = batch_options(config, backbone, task, BatchUse::Answering, size);
            let batches = Batcher::new(rows, options)?.evaluation_batches()?;
            Ok(EvaluationSet { batches, right })
        };
        let (rows, right) = selection_rows(&task.validation, config.evaluation.validation_rows);
        Ok(Self {
            validation: set(&rows, right)?,
            test: set(&task.test.0, task.test.1.clone())?,
            metrics: metrics(config, &task.task),
        })
    }
}

/// Trains a target on rows of one task or several, and writes the result.
fn finish<AB: AutodiffBackend, T: Target<AB, Backbone = Model<AB>>>(
    begun: &Begun<'_, AB>,
    tasks: &[PreparedTask],
    adapter: Option<&AdapterConfig>,
    target: &T,
    observer: &mut dyn Observer,
) -> Result<RunResult, TrainError> {
    let (config, backbone) = (&begun.resolved.config, begun.backbone);
    let prompt = adapter.map_or(0, AdapterConfig::virtual_tokens);
    let decode = |ids: &[u32]| -> Result<String, TrainError> { Ok(backbone.tokenizer.decode(ids, true)?) };
    let mut splits = Vec::with_capacity(tasks.len());
    let mut examples = [0; 3];
    for task in tasks {
        check_rows(config, &backbone.model, prompt, task)?;
        let of_task = Splits::of(config, backbone, task)?;
        let counts = [
            task.train.len(),
            of_task.validation.right.len(),
            of_task.test.right.len(),
        ];
        for (sum, count) in examples.iter_mut().zip(counts) {
            *sum += count;
        }
        splits.push(of_task);
    }
    let start = begun.start(adapter, target, examples);
    let part = config.train.batch_size / config.mixture.tasks_per_batch;
    let jobs = tasks.iter().zip(&splits).map(|(task, splits)| {
        let options = batch_options(config, backbone, task, BatchUse::Training, part);
        Ok(JobTask {
            name: task.task.name().to_owned(),
            train: Batcher::new(&task.train, options)?,
            validation: Some(&splits.validation),
            test: Some(&splits.test),
            metrics: &splits.metrics,
            answers: answer_method(config, task.labels.as_ref(), task.target_width, task.turn_end, &decode),
        })
    });
    let job = Job {
        identity: begun.identity,
        start: start.clone(),
        backbone_dropout: config.train.backbone_dropout.or(backbone.model.dropout_rate()),
        tasks: jobs.collect::<Result<_, TrainError>>()?,
    };
    let outcome = learner::train::<AB, T>(job, target, begun.folder, begun.device, observer)?;
    let answers: Vec<TestAnswers> = (tasks.iter().zip(&splits).zip(&outcome.answered))
        .map(|((task, splits), answered)| {
            let labels = task.labels.as_ref().map(|(texts, _)| texts.as_slice());
            TestAnswers::of(&splits.metrics, labels, &answered.texts, &splits.test.right)
        })
        .collect();
    match (tasks, answers.as_slice()) {
        ([task], [answers]) => {
            answers.write(&begun.folder.test_answers())?;
            let result = begun.result(start.clone(), &outcome, Some(task.majority.clone()));
            begun.end(&start, &outcome, result, observer)
        }
        _ => {
            several::write(begun, tasks, &start, &outcome, &answers, target)?;
            let result = begun.result(start.clone(), &outcome, None);
            begun.end(&start, &outcome, result, observer)
        }
    }
}

/// Rows of the validation split used to choose the best step: all, or `limit` of them evenly spaced.
fn selection_rows(split: &(Vec<Encoded>, Right), limit: usize) -> (Vec<Encoded>, Right) {
    let count = split.0.len();
    if limit == 0 || limit >= count {
        return split.clone();
    }
    let chosen: Vec<usize> = (0..limit).map(|index| index * count / limit).collect();
    let rows = chosen.iter().map(|&row| split.0[row].clone()).collect();
    (rows, split.1.at(&chosen))
}

/// The result in the folder, if it is of the same run.
fn finished(folder: &RunFolder, identity: &Identity) -> Result<Option<RunResult>, TrainError> {
    if !folder.result().exists() {
        return Ok(None);
    }
    let result: RunResult = folder::read_json(&folder.result())?;
    let there = Identity {
        config: result.config.clone(),
        data: result.data.clone(),
        fingerprint: result.fingerprint.clone(),
    };
    check_identity(folder, identity, &there)?;
    Ok(Some(result))
}

fn check_identity(folder: &RunFolder, here: &Identity, there: &Identity) -> Result<(), TrainError> {
    match here.difference(there) {
        None => Ok(()),
        Some((field, there, here)) => Err(TrainError::OtherRun {
            path: folder.path().to_owned(),
            field,
            there,
            here,
        }),
    }
}

/// Metrics of a run: the one that chooses the best step, then the others on the task's card.
pub fn metrics(config: &RunConfig, task: &Task) -> Vec<Metric> {
    let mut metrics = task.metrics().to_vec();
    if let SelectionMetric::Metric(chosen) = config.evaluation.metric {
        metrics.retain(|metric| *metric != chosen);
        metrics.insert(0, chosen);
    }
    metrics
}

/// The prediction method for a task with these labels (texts and ids) and with targets of `target_width` tokens; what
/// is generated also ends at `turn_end`.
pub fn answer_method<'a>(
    config: &RunConfig,
    labels: Option<&'a LabelIds>,
    target_width: usize,
    turn_end: Option<u32>,
    decode: &'a Decode<'a>,
) -> AnswerMethod<'a> {
    let rules = Continuation {
        turn_end,
        ..Continuation::of(config)
    };
    match (&config.evaluation.method, labels) {
        (PredictionMethod::Labels | PredictionMethod::Auto, Some((texts, ids))) => {
            AnswerMethod::Labels(Labels { ids, texts, rules })
        }
        _ => AnswerMethod::Generate(Generate {
            max_new_tokens: match config.evaluation.max_new_tokens {
                0 => target_width,
                given => given,
            },
            decode,
            rules,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_choose_the_best_step_are_spread_over_the_split() {
        let row = |id: u32| Encoded::new(vec![id], vec![1]);
        let targets = (0..10).map(|id| id.to_string()).collect();
        let split = ((0..10).map(row).collect(), Right::of_targets(targets));
        for (limit, expected) in [
            (0, "0123456789"),
            (4, "0257"),
            (1, "0"),
            (10, "0123456789"),
            (99, "0123456789"),
        ] {
            let (rows, right) = selection_rows(&split, limit);
            assert_eq!(right.targets.concat(), expected);
            assert!(
                rows.iter()
                    .zip(&right.targets)
                    .all(|(row, target)| row.source[0].to_string() == *target)
            );
        }
    }
}
