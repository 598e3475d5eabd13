//! A tiny random T5, a synthetic task in token ids, and a run of the learner on both.
//!
//! The task: a source begins with a low or a high token, the target says which. Targets are one or two tokens long
//! before `</s>`, so that batches differ in the number of tokens that count.
// Each test file uses its part.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use adept_core::{AdapterConfig, AdapterInit, AdapterMetadata, FanIn, Method, PromptInit};
use adept_data::{Batch, BatchOptions, Batcher, Encoded, Layout, Metric, Right};
use adept_models::t5::{FeedForwardKind, T5Config};
use adept_models::{Backbone as _, T5};
use adept_train::TrainError;
use adept_train::answering::{AnswerMethod, Continuation, Generate};
use adept_train::checkpoint::Identity;
use adept_train::config::{Resolved, resolve};
use adept_train::evaluate::EvaluationSet;
use adept_train::folder::RunFolder;
use adept_train::learner::{self, Job, JobTask, Outcome};
use adept_train::observer::{Event, Observer};
use adept_train::record::{Resume, Start};
use adept_train::target::{AdapterTarget, FullTarget, Target};
use burn::backend::Autodiff;
use burn::tensor::{Tensor, TensorData};
use burn_flex::Flex;

pub type AB = Autodiff<Flex>;
pub type Adapter = AdapterTarget<AB, T5<AB>>;
pub type Full = FullTarget<AB, T5<AB>>;

/// Flex has one random generator per process: a test that compares what two runs drew from it has it to itself.
pub fn alone() -> RwLockWriteGuard<'static, ()> {
    TURN.write().unwrap_or_else(PoisonError::into_inner)
}

/// For tests that draw from the generator and compare nothing that depends on what they drew.
pub fn beside_others() -> RwLockReadGuard<'static, ()> {
    TURN.read().unwrap_or_else(PoisonError::into_inner)
}

static TURN: RwLock<()> = RwLock::new(());

pub const WIDTH: usize = 12;
pub const TARGET_WIDTH: usize = 3;

pub fn t5_config() -> T5Config {
    T5Config {
        vocab_size: 40,
        d_model: 16,
        d_kv: 8,
        d_ff: 32,
        num_layers: 2,
        num_decoder_layers: 2,
        num_heads: 2,
        relative_attention_num_buckets: 8,
        relative_attention_max_distance: 16,
        feed_forward_proj: FeedForwardKind::GatedGelu,
        tie_word_embeddings: false,
        scale_decoder_outputs: false,
        dropout_rate: 0.1,
        ..T5Config::t5_small()
    }
}

pub fn backbone() -> T5<Flex> {
    T5::random(&t5_config(), 7, &Default::default())
}

/// Row `n` of the task.
pub fn example(n: usize) -> Encoded {
    let mut state = learner::mix(3, n as u64);
    let mut draw = |below: u64| {
        state = learner::mix(state, 1);
        state % below
    };
    let high = draw(2);
    let mut source = vec![(5 + 15 * high + draw(15)) as u32];
    for _ in 0..2 + draw(8) {
        source.push((5 + draw(30)) as u32);
    }
    source.push(1);
    let mut target = vec![3 + high as u32];
    if n.is_multiple_of(3) {
        target.push(2);
    }
    target.push(1);
    Encoded::new(source, target)
}

pub fn decode(ids: &[u32]) -> Result<String, TrainError> {
    let ended = ids.iter().take_while(|id| **id != 1);
    Ok(ended.filter(|id| **id > 2).map(|id| (id - 3).to_string()).collect())
}

pub fn options(batch_size: usize) -> BatchOptions {
    BatchOptions {
        layout: Layout::Apart,
        batch_size,
        max_source_length: WIDTH,
        buckets: vec![6, WIDTH],
        pad_to_max: false,
        pad_id: 0,
        target_width: TARGET_WIDTH,
    }
}

pub struct Rows {
    pub train: Vec<Encoded>,
    pub validation: EvaluationSet,
    pub test: EvaluationSet,
}

impl Rows {
    pub fn new() -> Self {
        let set = |rows: std::ops::Range<usize>| {
            let rows: Vec<Encoded> = rows.map(example).collect();
            let right = Right::of_targets(rows.iter().map(|row| decode(&row.target).unwrap()).collect());
            let batches: Vec<Batch> = Batcher::new(&rows, options(16)).unwrap().evaluation_batches().unwrap();
            EvaluationSet { batches, right }
        };
        Self {
            train: (0..64).map(example).collect(),
            validation: set(64..96),
            test: set(96..128),
        }
    }
}

/// A configuration with few steps; later overrides take precedence.
pub fn config(overrides: &[&str]) -> Resolved {
    let mut all = vec![
        "train.steps=12",
        "train.batch_size=8",
        "train.accumulation=2",
        "train.log_every=2",
        "evaluation.every=4",
        "checkpoint.every=3",
        "optimizer.prompt.warmup_steps=2",
        "optimizer.offset.warmup_steps=2",
        "optimizer.full.warmup_steps=2",
        "optimizer.offset.learning_rate=0.01",
        "optimizer.full.learning_rate=0.01",
        "optimizer.clip_norm=1",
        "train.backbone_dropout=0.1",
        "adapter.bottleneck_dropout=0.1",
        "adapter.virtual_tokens=4",
        "adapter.rank=3",
    ];
    all.extend(overrides);
    resolve(None, &all.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
}

/// Rates high enough for a few steps, for methods with their own groups, and small sizes.
pub fn own_rate(name: &str) -> Vec<String> {
    let Ok(method) = name.parse::<Method>() else {
        return Vec::new();
    };
    let rate = match method {
        Method::Ia3 => 0.1,
        Method::PTuning => 0.05,
        _ => 0.02,
    };
    let groups = method.info().groups.iter().filter(|group| group.defaults.is_some());
    let rates = groups.flat_map(|group| {
        let section = format!("optimizer.{}", group.name);
        [
            format!("{section}.learning_rate={rate}"),
            format!("{section}.warmup_steps=2"),
        ]
    });
    let sizes: &[&str] = match method {
        Method::Lora => &["adapter.lora.rank=3"],
        Method::LoraBitFit => &["adapter.lora_bitfit.rank=3"],
        Method::Residual => &["adapter.residual.hidden=5"],
        Method::PTuning => &["adapter.p_tuning.hidden=5"],
        _ => &[],
    };
    rates.chain(sizes.iter().map(ToString::to_string)).collect()
}

pub fn adapter_config(resolved: &Resolved) -> AdapterConfig {
    let mut resolved = resolved.config.clone();
    resolved.input.max_source_length = WIDTH;
    let method = resolved.adapter.method.adapter().unwrap();
    adept_train::initial::adapter_config(&resolved, method, &t5_config().sites()).unwrap()
}

pub fn adapter_target(resolved: &Resolved, backbone: &T5<Flex>) -> Adapter {
    let config = adapter_config(resolved);
    let prompts = [config.sources(), config.virtual_tokens(), t5_config().d_model];
    let rows = (0..prompts.iter().product()).map(|place: usize| (place % 7) as f32 - 3.0);
    let rows = TensorData::new(rows.collect::<Vec<f32>>(), prompts);
    let start = AdapterInit {
        prompt: PromptInit::Random { std: 1.0 },
        fan_in: FanIn::Reference,
        seed: resolved.config.seed,
        weights: Some(Rc::new(backbone.weights())),
        sources: (config.sources() > 0).then(|| Tensor::from_data(rows, &Default::default())),
    };
    let adapter = adept_core::Adapter::<AB>::new(&config, &t5_config().sites(), start, &Default::default()).unwrap();
    AdapterTarget::new(backbone, adapter, AdapterMetadata::new(config, "tiny"))
}

pub fn full_target(backbone: &T5<Flex>) -> Full {
    let save = |model: &T5<Flex>, path: &Path| Ok(model.save_pretrained(path)?);
    let load = |path: &Path| Ok(T5::load(path, &Default::default())?.model);
    FullTarget::new(backbone, Box::new(save), Box::new(load))
}

/// Runs the learner in a folder.
pub fn train<T: Target<AB>>(
    resolved: &Resolved,
    rows: &Rows,
    target: &T,
    folder: &Path,
    observer: &mut dyn Observer,
) -> Result<Outcome, TrainError> {
    let identity = Identity {
        config: resolved.config.clone(),
        data: Vec::new(),
        fingerprint: "sha256:tiny".into(),
    };
    let start = Start {
        code_version: "0".into(),
        code_commit: None,
        device: "flex".into(),
        threads: 1,
        resolved: resolved.clone(),
        data: Vec::new(),
        examples: [64, 32, 32],
        card: None,
        losses: Vec::new(),
        backbone: "tiny".into(),
        family: "t5".into(),
        fingerprint: identity.fingerprint.clone(),
        trainable_parameters: 0,
        backbone_parameters: 0,
        virtual_tokens: 4,
        rank: 3,
        missing_layers: Vec::new(),
    };
    let job = Job {
        identity: &identity,
        start,
        backbone_dropout: resolved.config.train.backbone_dropout.or(0.1),
        tasks: vec![JobTask {
            name: "tiny".into(),
            train: Batcher::new(&rows.train, options(resolved.config.train.batch_size)).unwrap(),
            validation: Some(&rows.validation),
            test: Some(&rows.test),
            metrics: &[Metric::Accuracy],
            answers: AnswerMethod::Generate(Generate {
                max_new_tokens: match resolved.config.evaluation.max_new_tokens {
                    0 => TARGET_WIDTH,
                    given => given,
                },
                decode: &decode,
                rules: Continuation::default(),
            }),
        }],
    };
    let folder = RunFolder::open(folder)?;
    learner::train::<AB, T>(job, target, &folder, &Default::default(), observer)
}

/// Stops at the n-th call, counted from 0, and records the events.
#[derive(Default)]
pub struct Watcher {
    pub stop_at: Option<usize>,
    pub asked: usize,
    pub resumed: Vec<Resume>,
    pub losses: Vec<f64>,
    pub checkpoints: Vec<usize>,
    pub ended: usize,
    pub started: usize,
}

impl Watcher {
    pub fn stopping_at(question: usize) -> Self {
        Self {
            stop_at: Some(question),
            ..Self::default()
        }
    }
}

impl Observer for Watcher {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Start(_) => self.started += 1,
            Event::Resume(resume) => self.resumed.push((*resume).clone()),
            Event::Step(step) => self.losses.push(step.loss),
            Event::Checkpoint { step } => self.checkpoints.push(*step),
            Event::End(_) => self.ended += 1,
            _ => {}
        }
    }

    fn stop_requested(&mut self) -> bool {
        self.asked += 1;
        self.stop_at.is_some_and(|question| self.asked > question)
    }
}

/// Every file of a folder with its bytes.
pub fn bytes(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| {
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                fs::read(&path).unwrap(),
            )
        })
        .collect()
}
