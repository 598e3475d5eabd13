//! An interrupted and resumed run equals an uninterrupted one; damage is detected.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use crate::common::*;
use crate::thorough::thorough;
use adept_core::Method;
use adept_models::{Backbone as _, Precision};
use adept_train::TrainError;
use adept_train::record::{self, Line};
use adept_train::target::Target;

/// Files of `best/` and tensors of a run's last checkpoint.
fn remains(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<_> = bytes(&folder.join("best")).into_iter().collect();
    assert!(
        found.len() >= 3,
        "best/ holds {:?}",
        found.iter().map(|(name, _)| name).collect::<Vec<_>>()
    );
    let tensors = folder.join("checkpoint/step-00000012/tensors.safetensors");
    found.push(("last checkpoint".into(), fs::read(tensors).unwrap()));
    found
}

/// The record without times and without resumptions.
fn timeless(folder: &Path) -> Vec<Line> {
    let mut lines = record::read(&folder.join("record.jsonl")).unwrap();
    lines.retain(|line| !matches!(line, Line::Resume(_)));
    for line in &mut lines {
        match line {
            Line::Step(step) => {
                (step.samples_per_second, step.tokens_per_second, step.seconds) = (0.0, 0.0, 0.0);
            }
            Line::Evaluation(evaluation) => evaluation.seconds = 0.0,
            _ => {}
        }
    }
    lines
}

fn check_resume<T: Target<AB>>(
    overrides: &[&str],
    target: &dyn Fn(&adept_train::config::Resolved) -> T,
    questions: &[usize],
) {
    let _turn = alone();
    let (resolved, rows) = (config(overrides), Rows::new());
    let whole = tempfile::tempdir().unwrap();
    let mut watcher = Watcher::default();
    let expected = train(&resolved, &rows, &target(&resolved), whole.path(), &mut watcher).unwrap();
    let asked = watcher.asked;
    assert!(
        questions.iter().all(|question| *question < asked),
        "a run asks {asked} times"
    );

    for question in questions {
        let folder = tempfile::tempdir().unwrap();
        let mut watcher = Watcher::stopping_at(*question);
        let error = train(&resolved, &rows, &target(&resolved), folder.path(), &mut watcher).unwrap_err();
        let TrainError::Interrupted { step } = error else {
            panic!("{error}")
        };
        let mut watcher = Watcher::default();
        let found = train(&resolved, &rows, &target(&resolved), folder.path(), &mut watcher).unwrap();
        assert_eq!(
            watcher.resumed.iter().map(|resume| resume.step).collect::<Vec<_>>(),
            [step]
        );
        assert_eq!(
            (&found.selection, &found.test),
            (&expected.selection, &expected.test),
            "stopped at question {question}"
        );
        for ((name, whole), (_, resumed)) in remains(whole.path()).iter().zip(remains(folder.path())) {
            assert!(
                *whole == resumed,
                "{name} differs after a stop at question {question} (step {step})"
            );
        }
        assert_eq!(
            timeless(whole.path()),
            timeless(folder.path()),
            "stopped at question {question}"
        );
    }
}

/// Two passes per step and evaluations of three batches: the stops fall before the first step, between two steps, in
/// the middle of an accumulation, in an evaluation on validation and in the one on test.
#[test]
fn an_adapter_goes_on_bit_for_bit() {
    let backbone = backbone();
    check_resume(
        &[],
        &|resolved| adapter_target(resolved, &backbone),
        &[0, 1, 2, 5, 8, 9, 12, 20, 28, 31],
    );
}

#[test]
fn every_method_goes_on_bit_for_bit() {
    let backbone = backbone();
    let variants = [
        ("p_tuning", "adapter.p_tuning.encoder=lstm"),
        ("prefix", "adapter.prefix.hidden=5"),
        ("prefix", "adapter.prefix.sites=all"),
        ("adept", "adapter.adept.prompt=residual"),
        ("adept", "adapter.adept.prompt=p_tuning"),
    ];
    // More stops only where tests take their time, as in CI.
    let stops = if thorough() { &[1, 9, 20][..] } else { &[9] };
    let plain = Method::ALL.iter().map(|method| (method.name(), None));
    let variants = variants.into_iter().map(|(method, more)| (method, Some(more)));
    for (method, more) in plain.chain(variants) {
        let mut overrides = own_rate(method);
        overrides.insert(0, format!("adapter.method={method}"));
        overrides.extend(more.map(str::to_owned));
        let overrides: Vec<&str> = overrides.iter().map(String::as_str).collect();
        check_resume(&overrides, &|resolved| adapter_target(resolved, &backbone), stops);
    }
}

#[test]
fn a_whole_backbone_goes_on_bit_for_bit() {
    let backbone = backbone();
    check_resume(&["adapter.method=full"], &|_| full_target(&backbone), &[3, 8, 17, 30]);
}

#[test]
fn a_backbone_in_bfloat16_goes_on_bit_for_bit() {
    let mut backbone = backbone();
    backbone.prepare(Precision::Bf16);
    check_resume(&[], &|resolved| adapter_target(resolved, &backbone), &[5, 20]);
}

#[test]
fn checks_that_are_put_off_change_nothing() {
    let backbone = backbone();
    check_resume(
        &["train.check_every=5"],
        &|resolved| adapter_target(resolved, &backbone),
        &[7, 12, 15],
    );
}

/// Stops a run late enough for two checkpoints to exist.
fn stopped(folder: &Path) -> Vec<std::path::PathBuf> {
    let (resolved, rows, backbone) = (config(&[]), Rows::new(), backbone());
    let error = train(
        &resolved,
        &rows,
        &adapter_target(&resolved, &backbone),
        folder,
        &mut Watcher::stopping_at(24),
    )
    .unwrap_err();
    assert!(matches!(error, TrainError::Interrupted { .. }), "{error}");
    let mut found: Vec<_> = fs::read_dir(folder.join("checkpoint"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    found.sort();
    assert_eq!(found.len(), 2, "{found:?}");
    found
}

type Damage = fn(&Path);

const DAMAGES: [(&str, Damage, &str); 6] = [
    (
        "a flipped bit in a tensor",
        |path| flip(&path.join("tensors.safetensors"), 900),
        "tensors.safetensors: checksum",
    ),
    (
        "a flipped bit in the header",
        |path| flip(&path.join("tensors.safetensors"), 20),
        "tensors.safetensors: checksum",
    ),
    (
        "a tensor file cut short",
        |path| cut(&path.join("tensors.safetensors")),
        "tensors.safetensors: checksum",
    ),
    (
        "no tensor file",
        |path| fs::remove_file(path.join("tensors.safetensors")).unwrap(),
        "tensors.safetensors: No such file",
    ),
    (
        "a state cut short",
        |path| cut(&path.join("state.json")),
        "state.json: EOF",
    ),
    (
        "another step in the state",
        |path| edit(&path.join("state.json")),
        "state.json: checksum",
    ),
];

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn cut(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

fn edit(path: &Path) {
    let text = fs::read_to_string(path).unwrap();
    let changed = text.replacen("\"samples\": ", "\"samples\": 1", 1);
    assert_ne!(text, changed);
    fs::write(path, changed).unwrap();
}

#[test]
fn a_damaged_checkpoint_is_seen_and_the_one_before_is_used() {
    let _turn = alone();
    let (resolved, rows, backbone) = (config(&[]), Rows::new(), backbone());
    let whole = tempfile::tempdir().unwrap();
    train(
        &resolved,
        &rows,
        &adapter_target(&resolved, &backbone),
        whole.path(),
        &mut (),
    )
    .unwrap();
    for (name, damage, reason) in DAMAGES {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = stopped(folder.path());
        damage(&checkpoints[1]);
        let mut watcher = Watcher::default();
        train(
            &resolved,
            &rows,
            &adapter_target(&resolved, &backbone),
            folder.path(),
            &mut watcher,
        )
        .unwrap();
        let said = &watcher.resumed[0].damaged;
        assert!(said.len() == 1 && said[0].contains(reason), "{name}: {said:?}");
        for ((file, whole), (_, resumed)) in remains(whole.path()).iter().zip(remains(folder.path())) {
            assert!(*whole == resumed, "{name}: {file} differs");
        }
        // Events recorded after the checkpoint that was used appear once, not twice.
        assert_eq!(timeless(whole.path()), timeless(folder.path()), "{name}");
    }
}

#[test]
fn no_whole_checkpoint_is_an_error_that_names_each() {
    let _turn = beside_others();
    let folder = tempfile::tempdir().unwrap();
    for checkpoint in stopped(folder.path()) {
        flip(&checkpoint.join("tensors.safetensors"), 900);
    }
    let (resolved, rows, backbone) = (config(&[]), Rows::new(), backbone());
    let error = train(
        &resolved,
        &rows,
        &adapter_target(&resolved, &backbone),
        folder.path(),
        &mut (),
    )
    .unwrap_err();
    let TrainError::NoUsableCheckpoint { tried, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(tried.len(), 2, "{error}");
}

/// A kill while a checkpoint is being written leaves a folder that is not taken for one.
#[test]
fn an_unfinished_checkpoint_is_not_a_checkpoint() {
    let _turn = beside_others();
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = stopped(folder.path());
    let unfinished = folder.path().join("checkpoint/unfinished");
    fs::create_dir(&unfinished).unwrap();
    for name in ["state.json", "tensors.safetensors"] {
        fs::copy(checkpoints[1].join(name), unfinished.join(name)).unwrap();
    }
    // While safetensors writes a file, it has no name of its own yet.
    fs::write(unfinished.join(".tmpAb1Cd2"), "half of it").unwrap();
    cut(&unfinished.join("tensors.safetensors"));
    let (resolved, rows, backbone) = (config(&[]), Rows::new(), backbone());
    let mut watcher = Watcher::default();
    train(
        &resolved,
        &rows,
        &adapter_target(&resolved, &backbone),
        folder.path(),
        &mut watcher,
    )
    .unwrap();
    assert!(watcher.resumed[0].damaged.is_empty());
    assert!(!unfinished.exists());
}

/// If the checkpoint cannot be written, the run ends with an error that names the path, and existing files are kept.
#[test]
fn a_checkpoint_that_cannot_be_written_leaves_the_ones_before() {
    let _turn = beside_others();
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = stopped(folder.path());
    let before = checkpoints.iter().map(|path| bytes(path)).collect::<Vec<_>>();
    // A file in place of the temporary folder: removing it as a folder fails for any user.
    fs::write(folder.path().join("checkpoint/unfinished"), "in the way").unwrap();
    let (resolved, rows, backbone) = (config(&[]), Rows::new(), backbone());
    let error = train(
        &resolved,
        &rows,
        &adapter_target(&resolved, &backbone),
        folder.path(),
        &mut (),
    )
    .unwrap_err();
    assert!(error.to_string().contains("checkpoint/unfinished"), "{error}");
    assert_eq!(checkpoints.iter().map(|path| bytes(path)).collect::<Vec<_>>(), before);
}
