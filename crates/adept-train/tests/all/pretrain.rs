//! Pretraining from files to a model folder: interrupted runs resume bit for bit, intermediate files are reused,
//! mismatches are refused, and the model learns.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{AB, alone, beside_others, bytes};
use adept_models::T5;
use adept_train::TrainError;
use adept_train::pretrain::record::PretrainLine;
use adept_train::pretrain::{Outcome, PretrainEvent, PretrainObserver, ResolvedPretrain, Roots, plan, resolve, run};
use adept_train::record::read_lines;
use burn_flex::Flex;

/// A corpus of synthetic sentences, RTE in its own files, and a configuration with few steps.
struct World {
    folder: tempfile::TempDir,
}

const NOUNS: [&str; 8] = [
    "farmer", "river", "letter", "garden", "teacher", "window", "market", "bridge",
];
const VERBS: [&str; 6] = ["crossed", "painted", "followed", "remembered", "opened", "described"];
const PLACES: [&str; 5] = [
    "in the morning",
    "near the harbour",
    "without a word",
    "last summer",
    "for an hour",
];

fn sentence(number: usize) -> String {
    let pick = |words: &[&'static str], salt: usize| words[(number * 7 + salt * (number / 3 + 5)) % words.len()];
    format!(
        "the {} {} the {} {}",
        pick(&NOUNS, 1),
        pick(&VERBS, 2),
        pick(&NOUNS, 3),
        pick(&PLACES, 4)
    )
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let paragraph = |number: usize| [0, 1, 2].map(|n| sentence(3 * number + n)).join(", and ") + ".\n";
        fs::create_dir_all(root.join("corpora")).unwrap();
        fs::write(root.join("corpora/a.txt"), (0..400).map(paragraph).collect::<String>()).unwrap();
        let rows = |count: usize, begin: usize| {
            let mut text = "index\tsentence1\tsentence2\tlabel\n".to_owned();
            for row in begin..begin + count {
                let (premise, entailed) = (sentence(row), row.is_multiple_of(2));
                let other = if entailed { premise.clone() } else { sentence(row + 13) };
                let label = if entailed { "entailment" } else { "not_entailment" };
                text.push_str(&format!("{row}\t{premise}\t{other}\t{label}\n"));
            }
            text
        };
        fs::create_dir_all(root.join("glue/RTE")).unwrap();
        fs::write(root.join("glue/RTE/train.tsv"), rows(64, 0)).unwrap();
        fs::write(root.join("glue/RTE/dev.tsv"), rows(24, 100)).unwrap();
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn roots(&self) -> Roots {
        Roots {
            config: self.path().to_owned(),
            data: self.path().to_owned(),
        }
    }

    fn config(&self, overrides: &[&str]) -> ResolvedPretrain {
        let path = self.path().join("pretrain.toml");
        fs::write(
            &path,
            "[model]\nd_model = 16\nd_kv = 8\nd_ff = 24\nlayers = 1\nheads = 2\n\
             [tokenizer]\nvocab_size = 70\nsentinels = 8\n\
             [text]\nfiles = [\"corpora\"]\ninput_length = 24\nbatch_size = 4\nholdout_windows = 8\n\
             [mixture]\nbatch_size = 6\nmax_source_length = 48\nbuckets = [16, 32]\n\
             [optimizer]\nlearning_rate = 0.01\n\
             [schedule]\nwarmup_steps = 2\ndecay_steps = 3\n\
             [train]\nsteps = 8\naccumulation = 3\ndropout = 0.1\nlog_every = 3\nevaluate_every = 4\nsave_every = 3\n\
             evaluation_rows = 10\nkeep = 3\n\
             [[tasks]]\nname = \"rte\"\ndata = \"glue\"\n",
        )
        .unwrap();
        let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
        resolve(Some(&path), &overrides).unwrap()
    }

    fn run(&self, name: &str, overrides: &[&str], observer: &mut dyn PretrainObserver) -> Result<Outcome, TrainError> {
        let out = self.out(name);
        run::<AB>(
            &self.config(overrides),
            &self.roots(),
            &out,
            &Default::default(),
            observer,
        )
    }

    fn out(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Everything a run leaves apart from times.
    fn remains(&self, name: &str) -> BTreeMap<String, Vec<u8>> {
        let out = self.out(name);
        let mut found = bytes(&out.join("model"));
        let mut checkpoints: Vec<_> = fs::read_dir(out.join("checkpoint"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        checkpoints.sort();
        let last = checkpoints.pop().unwrap();
        found.insert(
            last.file_name().unwrap().to_string_lossy().into_owned(),
            fs::read(last.join("tensors.safetensors")).unwrap(),
        );
        assert!(found.contains_key("tokenizer.json") && found.contains_key("model.safetensors"));
        found
    }

    fn lines(&self, name: &str) -> Vec<PretrainLine> {
        read_lines(&self.out(name).join("record.jsonl")).unwrap()
    }

    /// The record without times and without resumptions.
    fn timeless(&self, name: &str) -> Vec<PretrainLine> {
        let mut lines = self.lines(name);
        lines.retain(|line| !matches!(line, PretrainLine::Resume(_)));
        for line in &mut lines {
            match line {
                PretrainLine::Step(step) => (step.tokens_per_second, step.seconds) = (0.0, 0.0),
                PretrainLine::Evaluation(evaluation) => evaluation.seconds = 0.0,
                PretrainLine::End(end) => (end.seconds, end.evaluation.seconds) = (0.0, 0.0),
                _ => {}
            }
        }
        lines
    }
}

/// Stops at the n-th call, counted from 0.
#[derive(Default)]
struct Watcher {
    stop_at: Option<usize>,
    asked: usize,
    resumed: Vec<usize>,
    prepared: usize,
}

impl PretrainObserver for Watcher {
    fn event(&mut self, event: &PretrainEvent<'_>) {
        match event {
            PretrainEvent::Resume(resume) => self.resumed.push(resume.step),
            PretrainEvent::Preparing { total, .. } if *total > 0 => self.prepared += 1,
            _ => {}
        }
    }

    fn stop_requested(&mut self) -> bool {
        self.asked += 1;
        self.stop_at.is_some_and(|question| self.asked > question)
    }
}

/// The stops fall before the tokenizer and before the tokens are built, before the first step, in the middle of an
/// accumulation, between steps, and within evaluations.
#[track_caller]
fn goes_on(overrides: &[&str]) {
    let _turn = alone();
    let world = World::new();
    let mut watcher = Watcher::default();
    world.run("whole", overrides, &mut watcher).unwrap();
    let asked = watcher.asked;
    for question in [0, 1, 2, 3, 4, 9, 12, 14, 15, 18, 22, 27, asked - 2] {
        let name = format!("stopped-{question}");
        let mut watcher = Watcher {
            stop_at: Some(question),
            ..Watcher::default()
        };
        let error = world.run(&name, overrides, &mut watcher).unwrap_err();
        assert!(matches!(error, TrainError::Interrupted { .. }), "{error}");
        let mut watcher = Watcher::default();
        world.run(&name, overrides, &mut watcher).unwrap();
        assert_eq!(watcher.resumed.len(), usize::from(question > 1), "question {question}");
        assert!(world.remains("whole") == world.remains(&name), "question {question}");
        assert_eq!(world.timeless("whole"), world.timeless(&name), "question {question}");
    }
}

#[test]
fn pretrain_with_adamw_goes_on_bit_for_bit() {
    goes_on(&[]);
}

#[test]
fn pretrain_with_adafactor_goes_on_bit_for_bit() {
    goes_on(&["optimizer.name=adafactor", "mixture.task_share=0.3"]);
}

#[test]
fn pretrain_can_be_made_longer_before_the_decay_begins() {
    let _turn = alone();
    let world = World::new();
    world.run("whole", &["train.steps=12"], &mut ()).unwrap();
    // The first six steps of both runs have the same rates: warm-up of two, decay over the last three of eight.
    let mut watcher = Watcher {
        stop_at: Some(2 + 3 * 4 + 4 + 3),
        ..Watcher::default()
    };
    let error = world.run("longer", &[], &mut watcher).unwrap_err();
    let TrainError::Interrupted { step } = error else {
        panic!("{error}")
    };
    assert_eq!(step, 5);
    world.run("longer", &["train.steps=12"], &mut ()).unwrap();
    assert!(world.remains("whole") == world.remains("longer"));
    assert!(
        world.lines("longer").iter().any(
            |line| matches!(line, PretrainLine::Resume(line) if line.resume.step == 5 && line.config.train.steps == 12)
        ),
        "the record says what changed"
    );

    // Afterwards they differ, and a finished run stays as it is.
    let outcome = world.run("longer", &["train.steps=12"], &mut ()).unwrap();
    assert!(outcome.was_finished);
    for (overrides, field) in [
        (["train.steps=13"], "`train.steps` = 12, this one has 13"),
        (["train.steps=11"], "`train.steps` = 12, this one has 11"),
        (["schedule.decay_steps=2"], "`schedule.decay_steps`"),
    ] {
        let all = [overrides.as_slice(), &["train.log_every=1"]].concat();
        let error = world.run("longer", &all, &mut ()).unwrap_err().to_string();
        assert!(error.contains(field), "{overrides:?}: {error}");
    }
}

#[test]
fn pretrain_refuses_another_run_and_uses_what_was_made() {
    let _turn = beside_others();
    let world = World::new();
    let mut first = Watcher {
        stop_at: Some(6),
        ..Watcher::default()
    };
    world.run("out", &[], &mut first).unwrap_err();
    assert!(first.prepared > 0, "a tokenizer and a store were made");
    let mut second = Watcher {
        stop_at: Some(6),
        ..Watcher::default()
    };
    world
        .run("out", &["train.log_every=1", "train.keep=2"], &mut second)
        .unwrap_err();
    assert_eq!(second.prepared, 0, "they were used again");
    for (change, expected) in [
        ("optimizer.beta2=0.99", "`optimizer.beta2` = 0.98, this one has 0.99"),
        ("seed=43", "`seed` = 42, this one has 43"),
        (
            "tokenizer.vocab_size=66",
            "`tokenizer.vocab_size` = 70, this one has 66",
        ),
    ] {
        let error = world.run("out", &[change], &mut ()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let corpus = world.path().join("corpora/a.txt");
    let text = fs::read_to_string(&corpus).unwrap();
    fs::write(&corpus, text.replacen("river", "rover", 1)).unwrap();
    let error = world.run("out", &[], &mut ()).unwrap_err().to_string();
    assert!(
        error.contains("holds a run with corpus file 1 (") && error.contains("a.txt"),
        "{error}"
    );
    fs::write(&corpus, text).unwrap();
    world.run("out", &[], &mut ()).unwrap();
}

#[test]
fn pretrain_writes_a_model_that_knows_more_than_chance() {
    let _turn = alone();
    let world = World::new();
    let overrides = [
        "train.steps=120",
        "train.accumulation=2",
        "train.dropout=0",
        "train.evaluate_every=60",
        "schedule.decay_steps=40",
    ];
    let outcome = world.run("out", &overrides, &mut ()).unwrap();
    let losses: Vec<f64> = world
        .lines("out")
        .into_iter()
        .filter_map(|line| match line {
            PretrainLine::Evaluation(evaluation) => Some(evaluation.held_out_loss),
            _ => None,
        })
        .collect();
    assert_eq!(losses.len(), 2);
    // Uniform guessing among 70 tokens would be ln 70 = 4.2.
    assert!(losses[1] < losses[0] && losses[1] < 3.0, "{losses:?}");
    let loaded = T5::<Flex>::load(&world.out("out").join("model"), &Default::default()).unwrap();
    assert_eq!(loaded.fingerprint.as_str(), outcome.end.fingerprint);
    assert_eq!(loaded.model.config().vocab_size, 70);

    // Continues from that model with another optimiser: the same tokenizer, a loss that starts where the other ended.
    let init = format!("model.init={}", world.out("out").join("model").display());
    let overrides = [
        init.as_str(),
        "train.steps=1",
        "schedule.name=constant",
        "optimizer.learning_rate=0",
    ];
    let further = world.run("further", &overrides, &mut ()).unwrap();
    let difference = further.end.evaluation.held_out_loss - outcome.end.evaluation.held_out_loss;
    assert!(difference.abs() < 0.02, "bf16 alone changed the loss by {difference}");
}

#[test]
fn pretrain_takes_the_sources_of_tasks_as_text() {
    let _turn = beside_others();
    let world = World::new();
    world.run("without", &[], &mut ()).unwrap();
    world.run("with", &["text.tasks=true"], &mut ()).unwrap();
    let start = |name: &str| match world.lines(name).swap_remove(0) {
        PretrainLine::Start(start) => start,
        other => panic!("the record begins with {other:?}"),
    };
    let (without, with) = (start("without"), start("with"));
    assert_eq!(without.corpus[..], with.corpus[1..]);
    assert_eq!((with.corpus[0].name.as_str(), with.corpus[0].rows), ("task rte", 64));
    assert!(with.corpus_tokens > without.corpus_tokens + 64 * 10);
    // A run started without them cannot be resumed with them.
    let error = world.run("without", &["text.tasks=true"], &mut ()).unwrap_err();
    assert!(error.to_string().contains("`text.tasks`"), "{error}");
}

#[test]
fn pretrain_plans_without_writing() {
    let world = World::new();
    let config = world.config(&["mixture.task_share=0.25"]);
    let plan = plan(&config.config, &world.roots()).unwrap();
    assert_eq!((plan.vocab_size, plan.passes), (70, [18, 6]));
    assert_eq!(plan.tasks[0].rows, 64);
    let before = bytes(world.path()).len();
    assert_eq!(before, 1, "the configuration alone");
}

#[test]
fn pretrain_ends_at_a_loss_that_is_no_number() {
    let _turn = beside_others();
    let world = World::new();
    let overrides = [
        "optimizer.learning_rate=100",
        "optimizer.embedding_factor=1000",
        "train.steps=60",
    ];
    let more = [
        "optimizer.clip_norm=0",
        "schedule.decay_steps=0",
        "optimizer.epsilon=1e-12",
    ];
    let error = world
        .run("out", &[overrides.as_slice(), &more].concat(), &mut ())
        .unwrap_err();
    // Whichever is checked first: the losses of steps are read some steps later.
    assert!(
        matches!(error, TrainError::Diverged { .. } | TrainError::LossNotFinite { .. }),
        "learning rate 100 did not diverge: {error}"
    );
}
