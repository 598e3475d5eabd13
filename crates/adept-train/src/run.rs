//! One run from configuration to result: data, backbone, adapter, training, `result.json`.
//!
//! A grid of runs loads the backbone once ([`load_backbone`]) and encodes a task once ([`prepare_task`]), then calls
//! [`run_prepared`] for every method and seed; [`run`] does all three.

use std::fs;
use std::path::{Path, PathBuf};

use adept_core::{AdapterConfig, AdapterMetadata, FanIn, Fingerprint, PromptAdapter, PromptInit, budget};
use adept_data::{
    BatchOptions, Batcher, DataFile, Encoded, Example, GlueTask, LoadOptions, StsbRounding, TextTokenizer, load_glue,
};
use adept_models::{Backbone, Seq2SeqBackbone, T5};
use burn::module::Module;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Int, Tensor, TensorData};

use crate::TrainError;
use crate::checkpoint::{self, Identity};
use crate::config::{ConfigError, FanInRule, PredictionMethod, PromptStart, Resolved, Rounding, RunConfig};
use crate::evaluate::{EvaluationSet, Predictor};
use crate::folder::{self, RunFolder};
use crate::learner::{self, Job, mix};
use crate::observer::{Event, Observer};
use crate::optim;
use crate::record::{Line, RecordWriter, RunResult, Start, code_version};
use crate::target::{AdapterTarget, FullTarget, Target};

/// A backbone with its tokenizer.
pub struct LoadedBackbone<B: Backend> {
    /// The model, frozen.
    pub model: T5<B>,
    /// Identity of its weights.
    pub fingerprint: Fingerprint,
    /// Its tokenizer.
    pub tokenizer: TextTokenizer,
    /// Folder it was read from.
    pub path: PathBuf,
}

/// Reads a T5 checkpoint and its tokenizer.
pub fn load_backbone<B: Backend>(path: &Path, device: &B::Device) -> Result<LoadedBackbone<B>, TrainError> {
    if path.as_os_str().is_empty() {
        return Err(ConfigError::Missing { key: "backbone" }.into());
    }
    let loaded = T5::<B>::load(path, device)?;
    let tokenizer = TextTokenizer::from_dir(path)?;
    Ok(LoadedBackbone {
        model: loaded.model,
        fingerprint: loaded.fingerprint,
        tokenizer,
        path: path.to_owned(),
    })
}

/// A task as token ids.
#[derive(Debug, Clone)]
pub struct PreparedTask {
    /// The task.
    pub task: GlueTask,
    /// Training examples.
    pub train: Vec<Encoded>,
    /// Validation examples and their right answers.
    pub validation: (Vec<Encoded>, Vec<String>),
    /// Test examples and their right answers.
    pub test: (Vec<Encoded>, Vec<String>),
    /// The task's labels and their ids; none for STS-B.
    pub labels: Option<(Vec<String>, Vec<Vec<u32>>)>,
    /// Tokens of the longest label, `</s>` included.
    pub target_width: usize,
    /// Files the examples came from.
    pub files: Vec<DataFile>,
    /// Source tokens kept.
    pub max_source_length: usize,
    /// STS-B targets.
    pub stsb_rounding: Rounding,
}

/// The task of a configuration.
pub fn glue_task(config: &RunConfig) -> Result<GlueTask, TrainError> {
    GlueTask::ALL
        .into_iter()
        .find(|task| task.name() == config.task)
        .ok_or_else(|| {
            TrainError::Config(ConfigError::Value {
                place: "configuration".into(),
                key: "task".into(),
                expected: format!("one of {}", GlueTask::ALL.map(GlueTask::name).join(", ")),
                found: config.task.clone(),
            })
        })
}

/// Reads and tokenises a task.
pub fn prepare_task(config: &RunConfig, tokenizer: &TextTokenizer) -> Result<PreparedTask, TrainError> {
    let task = glue_task(config)?;
    if config.data.as_os_str().is_empty() {
        return Err(ConfigError::Missing { key: "data" }.into());
    }
    let stsb = match config.input.stsb_rounding {
        Rounding::Tenth => StsbRounding::Tenth,
        Rounding::Fifth => StsbRounding::Fifth,
    };
    let data = load_glue(task, &config.data, &LoadOptions { stsb })?;
    let target_width = tokenizer.target_length(task.length_labels())?;
    let max_source_length = config.input.max_source_length;
    let encode = |examples: &[Example]| tokenizer.encode_examples(examples, max_source_length, target_width);
    let answers = |examples: &[Example]| examples.iter().map(|example| example.target.clone()).collect();
    for (split, examples) in [
        ("training", &data.train),
        ("validation", &data.validation),
        ("test", &data.test),
    ] {
        if examples.is_empty() {
            return Err(TrainError::EmptySplit {
                task: config.task.clone(),
                split,
            });
        }
    }
    let labels = match task.labels() {
        None => None,
        Some(labels) => {
            let ids = labels
                .iter()
                .map(|label| tokenizer.encode(label, target_width))
                .collect::<Result<_, _>>()?;
            Some((labels.iter().map(ToString::to_string).collect(), ids))
        }
    };
    Ok(PreparedTask {
        task,
        train: encode(&data.train)?,
        validation: (encode(&data.validation)?, answers(&data.validation)),
        test: (encode(&data.test)?, answers(&data.test)),
        labels,
        target_width,
        files: data.files,
        max_source_length,
        stsb_rounding: config.input.stsb_rounding,
    })
}

/// Loads everything and runs.
pub fn run<AB: AutodiffBackend>(
    resolved: &Resolved,
    folder: &Path,
    device: &AB::Device,
    observer: &mut dyn Observer,
) -> Result<RunResult, TrainError> {
    let backbone = load_backbone::<AB::InnerBackend>(&resolved.config.backbone, device)?;
    let task = prepare_task(&resolved.config, &backbone.tokenizer)?;
    run_prepared::<AB>(resolved, folder, &backbone, &task, device, observer)
}

/// Runs on a backbone and a task that are loaded already.
///
/// A folder with a `result.json` of the same run is not run again; one with a checkpoint is gone on with; one of
/// another configuration, data or backbone is refused.
pub fn run_prepared<AB: AutodiffBackend>(
    resolved: &Resolved,
    path: &Path,
    backbone: &LoadedBackbone<AB::InnerBackend>,
    task: &PreparedTask,
    device: &AB::Device,
    observer: &mut dyn Observer,
) -> Result<RunResult, TrainError> {
    let config = &resolved.config;
    check_prepared(config, task)?;
    let identity = Identity {
        config: config.clone(),
        data: task.files.clone(),
        fingerprint: backbone.fingerprint.as_str().to_owned(),
    };
    let folder = RunFolder::open(path)?;
    if let Some(result) = finished(&folder, &identity)? {
        return Ok(result);
    }
    if let Some(found) = checkpoint::newest(&folder.checkpoints())? {
        check_identity(&folder, &identity, &found.identity)?;
    }
    folder::write_atomic(&folder.config(), resolved.to_toml().as_bytes())?;

    match config.adapter.method.adapter() {
        Some(method) => {
            let adapter_config = adapter_config(config, method, backbone.model.d_model())?;
            let adapter = build_adapter::<AB>(config, &adapter_config, backbone, device)?;
            let metadata = AdapterMetadata {
                fingerprint: Some(backbone.fingerprint.clone()),
                task: Some(config.task.clone()),
                ..AdapterMetadata::new(adapter_config.clone(), backbone_name(&backbone.path))
            };
            let target = AdapterTarget::<AB, T5<AB>>::new(&backbone.model, adapter, metadata);
            finish::<AB, _>(
                resolved,
                &folder,
                &identity,
                backbone,
                task,
                Some(&adapter_config),
                &target,
                device,
                observer,
            )
        }
        None => {
            let (source, load_device) = (backbone.path.clone(), device.clone());
            let save = move |model: &T5<AB::InnerBackend>, path: &Path| {
                model.save_pretrained(path)?;
                copy_tokenizer(&source, path)
            };
            let load = move |path: &Path| Ok(T5::<AB::InnerBackend>::load(path, &load_device)?.model);
            let target = FullTarget::<AB, T5<AB>>::new(&backbone.model, Box::new(save), Box::new(load));
            finish::<AB, _>(
                resolved, &folder, &identity, backbone, task, None, &target, device, observer,
            )
        }
    }
}

/// Trains a target and writes the result.
#[allow(clippy::too_many_arguments)] // One private call site a method; a struct would only rename the list.
fn finish<AB: AutodiffBackend, T: Target<AB>>(
    resolved: &Resolved,
    folder: &RunFolder,
    identity: &Identity,
    backbone: &LoadedBackbone<AB::InnerBackend>,
    task: &PreparedTask,
    adapter: Option<&AdapterConfig>,
    target: &T,
    device: &AB::Device,
    observer: &mut dyn Observer,
) -> Result<RunResult, TrainError> {
    let config = &resolved.config;
    let options = |batch_size| BatchOptions {
        batch_size,
        max_source_length: config.input.max_source_length,
        buckets: config.input.widths(),
        pad_to_max: config.input.pad_to_max,
        pad_id: backbone.model.pad_id(),
        target_width: task.target_width,
    };
    let evaluation_set = |(rows, targets): &(Vec<Encoded>, Vec<String>)| -> Result<EvaluationSet, TrainError> {
        let batches = Batcher::new(rows, options(config.evaluation.batch_size))?.evaluation_batches();
        Ok(EvaluationSet {
            batches,
            targets: targets.clone(),
        })
    };
    let (validation, test) = (evaluation_set(&task.validation)?, evaluation_set(&task.test)?);
    let device_name = format!("{} {device:?}", AB::InnerBackend::name(device));
    let start = Start {
        code_version: code_version(),
        code_commit: option_env!("ADEPT_GIT_HASH").map(ToOwned::to_owned),
        device: device_name.clone(),
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        resolved: resolved.clone(),
        data: task.files.clone(),
        examples: [task.train.len(), task.validation.0.len(), task.test.0.len()],
        fingerprint: identity.fingerprint.clone(),
        trainable_parameters: Module::<AB>::num_params(&target.initial()),
        backbone_parameters: backbone.model.num_params(),
        virtual_tokens: adapter.map_or(0, |adapter| adapter.virtual_tokens),
        rank: adapter.map_or(0, |adapter| adapter.rank),
    };
    let decode = |ids: &[u32]| -> Result<String, TrainError> { Ok(backbone.tokenizer.decode(ids, true)?) };
    let job = Job {
        identity,
        start: start.clone(),
        groups: optim::groups(config.adapter.method, &config.optimizer),
        backbone_dropout: config.train.backbone_dropout.or(backbone.model.config().dropout_rate),
        train: Batcher::new(&task.train, options(config.train.batch_size))?,
        validation: &validation,
        test: &test,
        metrics: task.task.metrics(),
        predictor: predictor(config, task),
        decode: &decode,
    };
    let outcome = learner::train::<AB, T>(job, target, folder, device, observer)?;
    let result = RunResult {
        task: config.task.clone(),
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
        selection_metric: outcome.selection.metric,
        validation: outcome.selection.scores,
        test: outcome.test,
        training_seconds: outcome.progress.seconds,
        samples_per_second: outcome.progress.samples as f64 / outcome.progress.seconds.max(1e-9),
        code_version: start.code_version,
        device: device_name,
    };
    let mut record = RecordWriter::open(&folder.record(), u64::MAX)?;
    record.write(&Line::End(Box::new(result.clone())))?;
    record.flush()?;
    folder::write_json(&folder.result(), &result)?;
    folder::remove_tree(&folder.checkpoints())?;
    observer.event(&Event::End(&result));
    Ok(result)
}

/// Refuses a task that was prepared with other settings.
fn check_prepared(config: &RunConfig, task: &PreparedTask) -> Result<(), TrainError> {
    let refuse = |field, prepared: String, wanted: String| {
        Err(TrainError::Prepared {
            field,
            prepared,
            wanted,
        })
    };
    let (length, rounding) = (config.input.max_source_length, config.input.stsb_rounding);
    if task.task.name() != config.task {
        return refuse("task", task.task.name().to_owned(), config.task.clone());
    }
    if task.max_source_length != length {
        return refuse(
            "input.max_source_length",
            task.max_source_length.to_string(),
            length.to_string(),
        );
    }
    if task.stsb_rounding != rounding {
        return refuse(
            "input.stsb_rounding",
            format!("{:?}", task.stsb_rounding),
            format!("{rounding:?}"),
        );
    }
    Ok(())
}

/// The result that stands in the folder, if it is of the same run.
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

/// Sizes and constants of the adapter; a rank of 0 becomes the largest that the budget allows.
pub fn adapter_config(
    config: &RunConfig,
    method: adept_core::Method,
    d_model: usize,
) -> Result<AdapterConfig, TrainError> {
    let section = &config.adapter;
    let (m, values) = (section.virtual_tokens, section.budget_tokens * d_model);
    let max_source_length = config.input.max_source_length;
    let solved = || match method {
        adept_core::Method::Pt => Some(0),
        adept_core::Method::Dept => budget::dept_rank(d_model, values, m, max_source_length),
        adept_core::Method::Adept => budget::adept_bottleneck(d_model, values, m),
    };
    let rank = match (method, section.rank) {
        (adept_core::Method::Pt, _) => 0,
        (_, 0) => solved().ok_or(TrainError::NoRoom {
            method: section.method,
            budget_tokens: section.budget_tokens,
            d_model,
            virtual_tokens: m,
        })?,
        (_, rank) => rank,
    };
    let scale = match method {
        adept_core::Method::Dept if section.dept_alpha > 0.0 => section.dept_alpha / (rank as f64).sqrt(),
        _ => 1.0,
    };
    let dropout = if method == adept_core::Method::Adept {
        section.bottleneck_dropout
    } else {
        0.0
    };
    let config = AdapterConfig {
        method,
        d_model,
        virtual_tokens: m,
        rank,
        max_source_length,
        scale,
        dropout,
    };
    config.validate()?;
    Ok(config)
}

/// Stands for "no micro-step" in the seeds of what is drawn before training.
const INITIAL_VALUES: u64 = u64::MAX;
const INITIAL_TOKENS: u64 = u64::MAX - 1;
/// T5's tokenizer begins with pad, `</s>` and `<unk>`; ordinary tokens follow, the most frequent first.
const FIRST_ORDINARY_TOKEN: u32 = 3;

/// The adapter as it is before the first step.
fn build_adapter<AB: AutodiffBackend>(
    config: &RunConfig,
    adapter: &AdapterConfig,
    backbone: &LoadedBackbone<AB::InnerBackend>,
    device: &AB::Device,
) -> Result<PromptAdapter<AB>, TrainError> {
    let section = &config.adapter;
    let tokens = match section.init {
        _ if adapter.virtual_tokens == 0 => None,
        PromptStart::Random => None,
        PromptStart::Text => Some(
            backbone
                .tokenizer
                .encode(&section.init_text, config.input.max_source_length)?,
        ),
        PromptStart::Vocabulary => {
            let end = backbone.tokenizer.vocab_size().min(backbone.model.vocab_size()) as u32;
            let begin = FIRST_ORDINARY_TOKEN.min(end.saturating_sub(1));
            let candidates: Vec<u32> = (begin..end).take(section.init_candidates).collect();
            Some(adept_core::sample_vocabulary(
                &candidates,
                adapter.virtual_tokens,
                mix(config.seed, INITIAL_TOKENS),
            ))
        }
    };
    let prompt = match tokens {
        None => PromptInit::Random { std: section.init_std },
        Some(tokens) => {
            let (count, d_model) = (tokens.len(), adapter.d_model);
            let ids: Vec<i32> = tokens.into_iter().map(|id| id as i32).collect();
            let ids: Tensor<AB::InnerBackend, 2, Int> = Tensor::from_data(TensorData::new(ids, [1, count]), device);
            PromptInit::Rows(Tensor::from_inner(backbone.model.embed(ids).reshape([count, d_model])))
        }
    };
    let fan_in = match section.fan_in {
        FanInRule::Reference => FanIn::Reference,
        FanInRule::Standard => FanIn::Standard,
    };
    Ok(PromptAdapter::new(
        adapter,
        prompt,
        fan_in,
        mix(config.seed, INITIAL_VALUES),
        device,
    )?)
}

/// How answers are made.
pub fn predictor(config: &RunConfig, task: &PreparedTask) -> Predictor {
    match (&config.evaluation.method, &task.labels) {
        (PredictionMethod::Labels | PredictionMethod::Auto, Some((texts, ids))) => Predictor::Labels {
            ids: ids.clone(),
            texts: texts.clone(),
        },
        _ => {
            let given = config.evaluation.max_new_tokens;
            Predictor::Generate {
                max_new_tokens: if given == 0 { task.target_width } else { given },
            }
        }
    }
}

/// Name of a backbone in adapter files: its folder's name, so that a file says nothing of the machine it was made on.
fn backbone_name(path: &Path) -> String {
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    whole
        .file_name()
        .map_or_else(|| "backbone".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// Copies what a backbone's folder holds besides its weights, so that a trained copy loads by itself.
fn copy_tokenizer(from: &Path, to: &Path) -> Result<(), TrainError> {
    for name in [
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "spiece.model",
        "generation_config.json",
    ] {
        let source = from.join(name);
        if source.exists() {
            fs::copy(&source, to.join(name)).map_err(TrainError::io("copy", &source))?;
        }
    }
    Ok(())
}
