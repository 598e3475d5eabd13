//! What a run leaves for other programs: TensorBoard's event file, made from the record, and the model card.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use crate::common::*;
use adept_train::TrainError;
use adept_train::model_card::{CARD_FILE, ModelCard};
use adept_train::record::{self, Line};
use adept_train::tensorboard::{Charted, EVENT_FILE};

/// Lengths of the records in an event file, which must end with one.
fn lengths(bytes: &[u8]) -> Vec<usize> {
    let (mut at, mut found) = (0, Vec::new());
    while at < bytes.len() {
        let length = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
        found.push(length);
        at += 8 + 4 + length + 4;
    }
    assert_eq!(at, bytes.len());
    found
}

/// Steps of the lines that have an event.
fn charted(folder: &Path) -> Vec<usize> {
    let lines = record::read(&folder.join("record.jsonl")).unwrap();
    lines
        .iter()
        .filter_map(Charted::chart)
        .map(|chart| chart.step)
        .collect()
}

#[test]
fn a_resumed_run_has_every_event_once() {
    let _turn = beside_others();
    let (resolved, rows, backbone) = (config(&["adapter.method=pt"]), Rows::new(), backbone());
    let target = adapter_target(&resolved, &backbone);
    let whole = tempfile::tempdir().unwrap();
    train(&resolved, &rows, &target, whole.path(), &mut ()).unwrap();
    // The start, a point of the curve every second step, an evaluation every fourth.
    let steps = [0, 2, 4, 4, 6, 8, 8, 10, 12, 12];
    assert_eq!(charted(whole.path()), steps);
    let events = fs::read(whole.path().join(EVENT_FILE)).unwrap();
    assert_eq!(
        lengths(&events).len(),
        1 + steps.len(),
        "the format, then one event a line"
    );

    for lost in ["nothing", "the newest checkpoint", "the event file"] {
        let folder = tempfile::tempdir().unwrap();
        let stopped = train(&resolved, &rows, &target, folder.path(), &mut Watcher::stopping_at(24));
        assert!(matches!(stopped, Err(TrainError::Interrupted { .. })));
        match lost {
            "the newest checkpoint" => {
                let mut steps: Vec<_> = fs::read_dir(folder.path().join("checkpoint"))
                    .unwrap()
                    .map(|entry| entry.unwrap().path())
                    .collect();
                steps.sort();
                fs::remove_dir_all(steps.pop().unwrap()).unwrap();
            }
            "the event file" => fs::remove_file(folder.path().join(EVENT_FILE)).unwrap(),
            _ => {}
        }
        let mut watcher = Watcher::default();
        train(&resolved, &rows, &target, folder.path(), &mut watcher).unwrap();
        assert_eq!(watcher.resumed.len(), 1, "without {lost}");
        assert_eq!(charted(folder.path()), steps, "without {lost}");
        let found = fs::read(folder.path().join(EVENT_FILE)).unwrap();
        assert_eq!(lengths(&found), lengths(&events), "without {lost}");
    }
}

#[test]
fn a_run_without_tensorboard_writes_no_events() {
    let _turn = beside_others();
    let (resolved, rows, backbone) = (
        config(&["adapter.method=pt", "train.tensorboard=false"]),
        Rows::new(),
        backbone(),
    );
    let folder = tempfile::tempdir().unwrap();
    train(
        &resolved,
        &rows,
        &adapter_target(&resolved, &backbone),
        folder.path(),
        &mut (),
    )
    .unwrap();
    assert!(!folder.path().join(EVENT_FILE).exists());
}

#[test]
fn a_card_says_what_the_record_says() {
    let _turn = beside_others();
    let overrides = [
        "task=sst2",
        "data=/home/me/data",
        "backbone=/home/me/tiny",
        "adapter.method=pt",
    ];
    let (resolved, rows, backbone) = (config(&overrides), Rows::new(), backbone());
    let folder = tempfile::tempdir().unwrap();
    let outcome = train(
        &resolved,
        &rows,
        &adapter_target(&resolved, &backbone),
        folder.path(),
        &mut (),
    )
    .unwrap();
    let best = folder.path().join("best");
    let card = fs::read_to_string(best.join(CARD_FILE)).unwrap();
    let head = "---\nlibrary_name: peft\nbase_model: \"tiny\"\nbase_model_relation: adapter\ntags:\n- \"adept\"\n- \
                \"pt\"\n- \"sst2\"\nmodel-index:\n- name: \"PT adapter of tiny for SST-2\"\n";
    assert!(card.starts_with(head), "{card}");
    let score = outcome.selection.scores["accuracy"];
    for part in [
        "# PT adapter of tiny for SST-2",
        "sha256:tiny",
        &format!("step {} was kept, the best by accuracy", outcome.selection.step),
        &format!("| validation | accuracy | {score:.2} |"),
        "| `train.steps` | `12` | `30000` |",
        "AutoModelForSeq2SeqLM.from_pretrained(\"tiny\")",
        "The Power of Scale",
    ] {
        assert!(card.contains(part), "{part} in {card}");
    }
    for part in ["/home/me", "| test |", "log_every"] {
        assert!(!card.contains(part), "{part} in {card}");
    }

    // With the scores on the test split, in place of the first; a card of somebody else stays.
    let Line::Start(start) = record::read(&folder.path().join("record.jsonl")).unwrap().remove(0) else {
        panic!("a record begins with the start")
    };
    let full = ModelCard {
        start: &start,
        selection: &outcome.selection,
        test: Some(&outcome.test),
    };
    full.write(&best).unwrap();
    let found = fs::read_to_string(best.join(CARD_FILE)).unwrap();
    assert!(found.contains("| test | accuracy |") && found == full.text(), "{found}");
    fs::write(best.join(CARD_FILE), "# Mine\n").unwrap();
    full.write(&best).unwrap();
    assert_eq!(fs::read_to_string(best.join(CARD_FILE)).unwrap(), "# Mine\n");
}
