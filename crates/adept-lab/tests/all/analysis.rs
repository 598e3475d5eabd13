//! Tables 1, 2 and 11: magnitudes of offsets compared with a computation token by token, and the tables of tiny runs
//! from files. The other analyses are in `attention` and `lengths`.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{AB, WIDTH, backbone, beside_others, example, options, t5_config};
use crate::world::world;
use adept_core::{
    Adapter, AdapterConfig, AdapterInit, DeptConfig, FanIn, Method, ModelSites, Offset, PromptInit, file,
};
use adept_data::{Batcher, Encoded, Task};
use adept_lab::analysis::magnitude::magnitude;
use adept_lab::analysis::scoring::{score, test_set};
use adept_lab::analysis::shift::shifted;
use adept_lab::analysis::{
    self, Analysis, AnalysisError, AnalysisObserver, Moments, ShiftRecord, Table, TableName, TokenCounts,
};
use adept_lab::report::Benchmark;
use adept_lab::reproduce::{Cell, DataPlace, Grid, Prepared, Profile};
use adept_models::t5::T5Config;
use adept_models::{Backbone as _, T5};
use adept_train::TrainError;
use adept_train::observer::Observer;
use burn::tensor::{Distribution, Int, Tensor, TensorData};
use burn_flex::Flex;
use serde_json::Value;

/// An adapter without zero tensors.
pub fn adapter(method: Method, d_model: usize, positions: usize) -> Adapter<Flex> {
    let config = match method {
        Method::Pt => AdapterConfig::pt(d_model, 2),
        Method::Dept => AdapterConfig::from(DeptConfig {
            scale: 2.5,
            ..DeptConfig::new(d_model, 2, 3, positions)
        }),
        _ => AdapterConfig::adept(d_model, 2, 3),
    };
    let device = Default::default();
    let start = AdapterInit {
        prompt: PromptInit::Random { std: 1.0 },
        fan_in: FanIn::Reference,
        seed: 5,
        weights: None,
        sources: None,
    };
    let mut adapter = Adapter::new(&config, &ModelSites::embeddings(d_model), start, &device).unwrap();
    let random = |shape: [usize; 2]| Tensor::<Flex, 2>::random(shape, Distribution::Normal(0.0, 1.0), &device);
    let (Adapter::Pt(prompt) | Adapter::Dept(prompt) | Adapter::Adept(prompt)) = &mut adapter else {
        unreachable!("a prompt method");
    };
    match &mut prompt.offset {
        None => {}
        Some(Offset::Positional(offset)) => {
            offset.b = burn::module::Param::from_tensor(random([3, d_model]));
        }
        Some(Offset::Adaptive(offset)) => {
            offset.w_up = burn::module::Param::from_tensor(random([3, d_model]));
            offset.b1 = burn::module::Param::from_tensor(random([1, 3]).squeeze_dim(0));
            offset.b2 = burn::module::Param::from_tensor(random([1, d_model]).squeeze_dim(0));
        }
    }
    adapter
}

fn absolute(tensor: Tensor<Flex, 2>) -> Vec<f64> {
    let values: Vec<f32> = tensor.into_data().into_vec().unwrap();
    values.into_iter().map(|value| f64::from(value.abs())).collect()
}

/// Mean and variance in two passes.
fn directly(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
    (mean, variance)
}

/// One-pass moments of many values agree with two passes over them to a relative 1e-12; a missing token or an included
/// pad would change the third digit.
#[track_caller]
fn check(found: &Moments, values: &[f64]) {
    let (mean, variance) = directly(values);
    assert_eq!(found.count(), values.len() as u64);
    assert!(
        (found.mean() - mean).abs() < 1e-12 * mean,
        "{} against {mean}",
        found.mean()
    );
    assert!(
        (found.variance() - variance).abs() < 1e-12 * variance,
        "{} against {variance}",
        found.variance()
    );
}

#[test]
fn sizes_equal_those_over_all_tokens_of_padded_batches_without_their_padding() {
    let _turn = beside_others();
    let (model, device) = (backbone(), Default::default());
    let rows: Vec<Encoded> = (0..64).map(example).collect();
    let batches = Batcher::new(&rows, options(16)).unwrap().evaluation_batches().unwrap();
    assert!(
        batches.iter().any(|batch| batch.mask.contains(&false)),
        "there is padding to leave out"
    );
    let d = t5_config().d_model;
    for method in [Method::Dept, Method::Adept] {
        let adapter = adapter(method, d, WIDTH);
        let (mut embeddings, mut offsets) = (Vec::new(), Vec::new());
        for batch in &batches {
            let width = batch.source_width;
            for row in 0..batch.batch {
                let slots = row * width..(row + 1) * width;
                let tokens: usize = batch.mask[slots.clone()].iter().filter(|attend| **attend).count();
                let ids = batch.input_ids[slots.start..slots.start + tokens].to_vec();
                let ids: Tensor<Flex, 2, Int> = Tensor::from_data(TensorData::new(ids, [1, tokens]), &device);
                let embedded = model.embed(ids).reshape([tokens, d]);
                offsets.extend(absolute(match adapter.as_prompt().unwrap().offset.as_ref().unwrap() {
                    Offset::Adaptive(offset) => offset.forward(embedded.clone()),
                    Offset::Positional(offset) => offset.forward(0, tokens),
                }));
                embeddings.extend(absolute(embedded));
            }
        }
        let counts = TokenCounts::of(&rows);
        assert!(!counts.ids.contains_key(&0), "no padding is counted");
        let found = magnitude(&model, &adapter, &counts, &device).unwrap();
        check(&found.embeddings, &embeddings);
        check(&found.offsets.unwrap(), &offsets);
    }
    let found = magnitude(&model, &adapter(Method::Pt, d, WIDTH), &TokenCounts::of(&rows), &device).unwrap();
    assert!(found.offsets.is_none());
    // DePT has no offset for slots beyond its table.
    let short = adapter(Method::Dept, d, 4);
    assert!(magnitude(&model, &short, &TokenCounts::of(&rows), &device).is_err());
}

const PROFILE: &str = r#"
about = "for tests"
out = "unused"
methods = ["dept", "adept"]
seeds = [1, 2]
[common]
preset = "reference"
adapter.virtual_tokens = 4
adapter.rank = 2
adapter.init = "random"
input.max_source_length = 24
train.steps = 4
train.batch_size = 8
evaluation.every = 2
evaluation.batch_size = 5
evaluation.method = "labels"
"#;

pub fn analysis(table: TableName, (data, backbone): &(PathBuf, PathBuf), out: &Path) -> Analysis {
    Analysis {
        table,
        grid: Grid {
            means: Default::default(),
            out: out.to_owned(),
            benchmark: Benchmark::Glue,
            profile: Profile::parse("test", PROFILE).unwrap(),
            synthetic: true,
            data: DataPlace::Folder(data.clone()),
            backbone: backbone.clone(),
            tasks: vec![Task::named("rte").unwrap()],
            variants: table.methods().iter().copied().map(Into::into).collect(),
            seeds: vec![1, 2],
            steps: None,
            settings: Vec::new(),
            overwrite: false,
            completes: true,
        },
        shifts: vec![1, 3, 24],
        rows: 5,
        reuse: None,
    }
}

/// Records the events; stops before the n-th measured batch, counted from 0.
#[derive(Default)]
pub struct Seen {
    pub trained: Vec<String>,
    pub not_reused: usize,
    pub batches: usize,
    pub stop_at: Option<usize>,
}

impl AnalysisObserver for Seen {
    fn begin(&mut self, cell: &Cell, _position: usize, _total: usize) -> Box<dyn Observer> {
        self.trained.push(cell.name());
        Box::new(())
    }

    fn not_reused(&mut self, _cell: &Cell, _found: &Path) -> Box<dyn Observer> {
        self.not_reused += 1;
        Box::new(())
    }

    fn measuring(&mut self, _cell: &Cell, _what: &str, done: usize, total: usize) -> bool {
        assert!(done <= total);
        self.batches += 1;
        self.stop_at.is_none_or(|stop| self.batches <= stop)
    }
}

pub fn make(analysis: &Analysis, seen: &mut Seen) -> Result<Table, AnalysisError> {
    let plan = analysis::plan(analysis)?;
    analysis::run::<AB>(analysis, &plan, None, &Default::default(), seen)
}

pub fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn table_1_is_made_from_runs_and_their_records_and_resumed_where_it_stopped() {
    let _turn = beside_others();
    let root = tempfile::tempdir().unwrap();
    let (world, out) = (world(root.path()), root.path().join("out"));
    let analysis = analysis(TableName::Table1, &world, &out);
    // 12 test rows in batches of 5: three batches per shift. The stop falls in the second shift of the first run.
    let mut seen = Seen {
        stop_at: Some(5),
        ..Seen::default()
    };
    let stopped = make(&analysis, &mut seen).unwrap_err();
    assert!(
        matches!(stopped, AnalysisError::Interrupted { done: 1, total: 4, .. }),
        "{stopped}"
    );
    assert_eq!(seen.trained, ["rte/dept/seed-1"]);

    let mut seen = Seen::default();
    let Table::Table1(table) = make(&analysis, &mut seen).unwrap() else {
        panic!("another table")
    };
    assert_eq!(
        seen.trained,
        ["rte/dept/seed-2", "rte/adept/seed-1", "rte/adept/seed-2"]
    );
    let rte = &table.tasks[0];
    assert_eq!(rte.dept.keys().copied().collect::<Vec<_>>(), [0, 1, 3, 24]);
    assert!(
        rte.unshifted_as_recorded,
        "an unshifted adapter scores as it did in training"
    );
    // A full cycle is the identity; fewer training sources reach later positions.
    assert_eq!(rte.dept[&24].scores, rte.dept[&0].scores);
    assert_eq!(rte.dept[&0].reach, rte.dept[&24].reach);
    assert!(rte.dept[&3].reach < rte.dept[&1].reach && rte.dept[&1].reach < rte.dept[&0].reach);
    let adept = rte.adept.as_ref().unwrap();
    for seed in [1, 2] {
        let result = json(&out.join(format!("rte/adept/seed-{seed}/result.json")));
        assert_eq!(adept.values[&seed], result["test"]["accuracy"].as_f64().unwrap());
    }
    let written = json(&out.join("table1.json"));
    assert_eq!(written["tasks"][0]["dept"]["3"]["score"]["n"], 2);
    assert_eq!(written["paper"]["tasks"][1]["dept"][3], 70.9);
    let page = fs::read_to_string(out.join("table1.md")).unwrap();
    for part in ["| DePT (3) |", "| ADePT |", "made-up sentences", "| rte dept 1 |"] {
        assert!(page.contains(part), "`{part}` in:\n{page}");
    }

    // Nothing is left to do: no training, no measuring, the same table.
    let plan = analysis::plan(&analysis).unwrap();
    assert_eq!((plan.measured(), plan.runs.counts()), (4, (0, 0, 4)));
    let mut seen = Seen::default();
    assert_eq!(make(&analysis, &mut seen).unwrap(), Table::Table1(table));
    assert_eq!((seen.trained.len(), seen.batches), (0, 0));
    // Only the additional shift is measured; the others are kept.
    let more = Analysis {
        shifts: vec![1, 2, 3, 24],
        ..analysis.clone()
    };
    make(&more, &mut seen).unwrap();
    assert_eq!(
        (seen.trained.len(), seen.batches),
        (0, 8),
        "three batches and the end of the pass, of two runs"
    );
    let far = Analysis {
        shifts: vec![25],
        ..analysis
    };
    let error = make(&far, &mut seen).unwrap_err().to_string();
    assert!(
        error.starts_with("a shift of 25 exceeds the 24 positions with offsets in rte/dept/seed-1"),
        "{error}"
    );
}

#[test]
fn finished_runs_of_another_folder_are_used_where_they_are_the_same() {
    let _turn = beside_others();
    let root = tempfile::tempdir().unwrap();
    let (there, here) = (root.path().join("there"), root.path().join("here"));
    let files = world(root.path());
    make(&analysis(TableName::Table1, &files, &there), &mut Seen::default()).unwrap();

    // Table 2 needs the same runs; one of them was made with other settings.
    let result = there.join("rte/adept/seed-2/result.json");
    let other = fs::read_to_string(&result)
        .unwrap()
        .replace("\"steps\": 4", "\"steps\": 5");
    fs::write(&result, other).unwrap();
    let mut second = analysis(TableName::Table2, &files, &here);
    second.reuse = Some(there.clone());
    let plan = analysis::plan(&second).unwrap();
    assert_eq!((plan.reused(), plan.runs.counts()), (3, (1, 0, 3)));
    let mut seen = Seen::default();
    let Table::Table2(table) = make(&second, &mut seen).unwrap() else {
        panic!("another table")
    };
    assert_eq!(seen.trained, ["rte/adept/seed-2"]);
    let rte = &table.tasks[0];
    assert_eq!(
        (rte.dept.as_ref().unwrap().mean.n, rte.adept.as_ref().unwrap().mean.n),
        (2, 2)
    );
    // The adapters have been trained: their offsets are nonzero, and smaller than the embeddings.
    let share = rte.dept.as_ref().unwrap().share.mean;
    assert!(share > 0.0 && share < 1.0, "{share}");
    assert_eq!((rte.training.rows, rte.training.longest), (40, 14));
    let page = fs::read_to_string(here.join("table2.md")).unwrap();
    assert!(
        page.contains("| Offsets of ADePT |") && page.contains("16.29"),
        "{page}"
    );

    // Runs on other data are not reused, even with the same settings.
    let train = files.0.join("RTE/train.tsv");
    let changed = fs::read_to_string(&train).unwrap().replace("the sky", "a sky");
    fs::write(&train, changed).unwrap();
    let mut third = analysis(TableName::Table2, &files, &root.path().join("third"));
    third.reuse = Some(there);
    let mut seen = Seen::default();
    make(&third, &mut seen).unwrap();
    assert_eq!((seen.not_reused, seen.trained.len()), (3, 1));
}

/// Weights three times as large and a suitable seed: a random model that reacts to its input.
fn sharpen(backbone: &Path) {
    let sharp = T5Config {
        vocab_size: 20,
        initializer_factor: 3.0,
        ..t5_config()
    };
    T5::<Flex>::random(&sharp, 17, &Default::default())
        .save_pretrained(backbone)
        .unwrap();
}

#[test]
fn table_11_scores_the_prompt_alone_and_is_resumed_where_it_stopped() {
    let _turn = beside_others();
    let root = tempfile::tempdir().unwrap();
    let (files, out) = (world(root.path()), root.path().join("out"));
    sharpen(&files.1);
    let mut analysis = analysis(TableName::Table11, &files, &out);
    analysis.grid.seeds = vec![1];
    // Three batches with offsets; the stop falls in the pass without them.
    let mut seen = Seen {
        stop_at: Some(5),
        ..Seen::default()
    };
    let stopped = make(&analysis, &mut seen).unwrap_err();
    assert!(
        matches!(stopped, AnalysisError::Interrupted { done: 1, total: 2, .. }),
        "{stopped}"
    );
    let mut seen = Seen::default();
    let Table::Table11(table) = make(&analysis, &mut seen).unwrap() else {
        panic!("another table")
    };
    assert_eq!(seen.trained, ["rte/adept/seed-1"]);
    let both_passes = 2 * 4;
    assert_eq!(seen.batches, 4 + both_passes, "the saved pass of DePT is not repeated");
    assert!(table.tasks[0].with_as_recorded);

    // ADePT with offsets that dominate the embeddings: what is left without them is PT with the same prompt.
    let best = out.join("rte/adept/seed-1/best");
    let device = Default::default();
    let sites = t5_config().sites();
    let (mut trained, about) = file::load::<Flex>(&best, &sites, &device).unwrap();
    let mut alone = adapter(Method::Pt, t5_config().d_model, 24);
    if let (Adapter::Adept(prompt), Adapter::Pt(alone)) = (&mut trained, &mut alone) {
        if let Some(Offset::Adaptive(offset)) = &mut prompt.offset {
            let [d] = offset.b2.dims();
            let values: Vec<f32> = (0..d).map(|index| 30.0 * (index as f32 + 1.0).powi(2).sin()).collect();
            offset.b2 = burn::module::Param::from_tensor(Tensor::from_data(TensorData::new(values, [d]), &device));
        }
        alone.prompt.clone_from(&prompt.prompt);
    }
    file::save(&best, &trained, &about).unwrap();
    let mut seen = Seen::default();
    let Table::Table11(table) = make(&analysis, &mut seen).unwrap() else {
        panic!("another table")
    };
    assert_eq!((seen.trained.len(), seen.batches), (0, both_passes), "ADePT alone anew");
    let mut prepared = Prepared::<Flex>::load(&analysis.grid, None, &device).unwrap();
    let plan = analysis::plan(&analysis).unwrap();
    let config = &plan.runs.cells[1].resolved.config;
    prepared.read(config).unwrap();
    let task = prepared.task(config).unwrap().rows().unwrap();
    let set = test_set(config, &prepared.backbone, task).unwrap();
    let scored = |adapter: &Adapter<Flex>| {
        let scores = score(config, &prepared.backbone, task, adapter, &set, &device, &mut |_, _| {
            true
        });
        scores.unwrap().unwrap()["accuracy"]
    };
    let adept = table.tasks[0].adept.as_ref().unwrap();
    assert_eq!(adept.with.values[&1], scored(&trained));
    assert_eq!(adept.without.values[&1], scored(&alone));
    assert_ne!(adept.with.values, adept.without.values, "the offsets decide nothing");
    assert_eq!(adept.change.mean, adept.without.score.mean - adept.with.score.mean);
    assert!(!table.tasks[0].with_as_recorded, "the adapter is not the recorded one");
    assert_eq!(json(&out.join("table11.json"))["paper"]["adept"]["without"], 58.3);
    let page = fs::read_to_string(out.join("table11.md")).unwrap();
    for part in [
        "| ADePT |",
        "| 82.0 | 58.3 | -23.7 |",
        "made-up sentences",
        "| rte dept 1 |",
    ] {
        assert!(page.contains(part), "`{part}` in:\n{page}");
    }
}

#[test]
fn a_shift_reaches_the_answers_and_another_adapter_is_measured_anew() {
    let _turn = beside_others();
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("out");
    let files = world(root.path());
    sharpen(&files.1);
    let mut analysis = analysis(TableName::Table1, &files, &out);
    analysis.grid.seeds = vec![1];
    make(&analysis, &mut Seen::default()).unwrap();

    // Replace the trained adapter by one whose offsets dominate the embeddings.
    let best = out.join("rte/dept/seed-1/best");
    let device = Default::default();
    let sites = t5_config().sites();
    let (mut trained, about) = file::load::<Flex>(&best, &sites, &device).unwrap();
    if let Adapter::Dept(prompt) = &mut trained
        && let Some(Offset::Positional(offset)) = &mut prompt.offset
    {
        let [rank, d] = offset.b.dims();
        let values: Vec<f32> = (0..rank * d)
            .map(|index| 30.0 * (index as f32 + 1.0).powi(2).sin())
            .collect();
        offset.b = burn::module::Param::from_tensor(Tensor::from_data(TensorData::new(values, [rank, d]), &device));
    }
    file::save(&best, &trained, &about).unwrap();
    let plan = analysis::plan(&analysis).unwrap();
    assert_eq!(
        plan.measured(),
        1,
        "ADePT's record stands, DePT's is of another adapter"
    );
    analysis.shifts = (0..24).collect();
    let mut seen = Seen::default();
    make(&analysis, &mut seen).unwrap();
    assert_eq!((seen.trained.len(), seen.batches), (0, 24 * 4));
    let record = json(&out.join("table1/rte-dept-1.json"));
    let record: ShiftRecord = serde_json::from_value(record).unwrap();
    let scores: Vec<f64> = record.shifts.values().map(|shift| shift.scores["accuracy"]).collect();
    assert!(
        scores.iter().any(|score| *score != scores[0]),
        "no shift changes any answer: {scores:?}"
    );

    // The record contains the scores of the shifted adapter.
    let mut prepared = Prepared::<Flex>::load(&analysis.grid, None, &device).unwrap();
    let config = &plan.runs.cells[0].resolved.config;
    prepared.read(config).unwrap();
    let task = prepared.task(config).unwrap().rows().unwrap();
    let set = test_set(config, &prepared.backbone, task).unwrap();
    let moved = shifted(&trained, 8).unwrap();
    let scored = score(config, &prepared.backbone, task, &moved, &set, &device, &mut |_, _| {
        true
    })
    .unwrap();
    assert_eq!(scored.unwrap()["accuracy"], scores[8]);

    // An adapter of the wrong kind in a run's folder is reported.
    let (adept, about) = file::load::<Flex>(&out.join("rte/adept/seed-1/best"), &sites, &device).unwrap();
    file::save(&best, &adept, &about).unwrap();
    let error = make(&analysis, &mut Seen::default()).unwrap_err();
    assert!(error.to_string().contains("the adapter is not one of dept"), "{error}");
    fs::remove_dir_all(&best).unwrap();
    let error = make(&analysis, &mut Seen::default()).unwrap_err();
    assert!(
        matches!(error, AnalysisError::Train(TrainError::Read { .. })),
        "{error}"
    );
}
