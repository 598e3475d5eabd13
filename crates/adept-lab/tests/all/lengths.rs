//! Table 16 on files whose rows and lengths are counted by hand.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use crate::world::world;
use adept_data::TextTokenizer;
use adept_lab::analysis::datasets::{DatasetsOf, run};
use adept_lab::analysis::{AnalysisError, Table16};

fn table(data: &Path, backbone: Option<&Path>, out: &Path) -> Result<Table16, AnalysisError> {
    let tokenizer = backbone.map(|folder| (TextTokenizer::from_dir(folder).unwrap(), folder.to_owned()));
    let of = DatasetsOf {
        data,
        synthetic: false,
        tokenizer,
        out,
    };
    run(&of, &mut |_| ())
}

/// CB's official training rows, as many as the paper has, of seven words with their markers.
fn write_cb(folder: &Path, rows: usize) {
    fs::create_dir_all(folder).unwrap();
    let row = r#"{"premise": "it may  rain", "hypothesis": "it rains", "label": "entailment", "idx": 0}"#;
    fs::write(folder.join("train.jsonl"), format!("{row}\n").repeat(rows)).unwrap();
    fs::write(folder.join("val.jsonl"), format!("{row}\n").repeat(6)).unwrap();
}

#[test]
fn rows_and_lengths_are_those_of_the_files_and_what_is_missing_is_named() {
    let root = tempfile::tempdir().unwrap();
    let (glue, backbone) = world(root.path());
    let (out, root) = (root.path().join("out"), root.path());
    // Files in folders of benchmarks.
    write_cb(&root.join("superglue/CB"), 250);
    fs::create_dir_all(root.join("superglue/BoolQ")).unwrap();
    fs::create_dir_all(root.join("superglue/WiC")).unwrap();
    let wic = r#"{"word": "a", "sentence1": "a", "sentence2": "a", "label": true, "idx": 0}"#;
    fs::write(root.join("superglue/WiC/train.jsonl"), wic).unwrap();
    fs::write(root.join("superglue/WiC/val.jsonl"), wic).unwrap();
    let found = table(root, Some(&backbone), &out).unwrap();
    let names: Vec<&str> = found.datasets.iter().map(|found| found.task.as_str()).collect();
    assert_eq!(names, ["rte", "cb"], "in the paper's order");
    let rte = &found.datasets[0];
    assert_eq!((rte.train, rte.validation, rte.test), (40, 12, 12));
    // `sentence1: the sky is red sentence2: a text red`, and 0 to 4 further words; a token each, and </s>.
    assert_eq!((rte.source.words, rte.source.tokens), (11.0, Some(12.0)));
    assert_eq!((rte.target.words, rte.target.tokens), (1.0, Some(2.0)));
    assert_eq!(rte.files.len(), 2);
    let cb = &found.datasets[1];
    assert_eq!((cb.train, cb.validation, cb.test), (250, 3, 3));
    assert_eq!(cb.source.words, 7.0);
    // Only CB has the paper's number of training rows; the paper has 64.6 for it.
    let agreement = found.agreement.unwrap();
    assert_eq!(agreement.datasets, 1);
    assert!(
        (agreement.words - 57.6).abs() < 1e-9 && agreement.tokens.is_some(),
        "{agreement:?}"
    );

    let reason = |task: &str| {
        let missing = found.missing.iter().find(|missing| missing.task == task);
        missing.unwrap().reason.clone()
    };
    assert_eq!(found.missing.len(), 20);
    assert_eq!(reason("mnli"), "no folder of its files");
    assert_eq!(reason("boolq"), "no file of the official split train");
    assert!(reason("wic").contains("2"), "{}", reason("wic"));
    let page = fs::read_to_string(out.join("table16.md")).unwrap();
    for part in [
        "| RTE | 40 | 2,490 | 12 | 138 | 12 | 139 | 11.0 | 12.0 | 54.4 | 1.0 | 2.0 | 1.0 | NLI |",
        "| MNLI | – | 392,702 |",
        "| BoolQ | no file of the official split train |",
        "| CB | CB/train.jsonl | 250 |",
    ] {
        assert!(page.contains(part), "`{part}` in:\n{page}");
    }
    assert!(found.console().contains("Not at hand:"), "{}", found.console());

    // The folder of a benchmark and a task's own are found too, and without a tokenizer there are no tokens.
    for data in [glue.clone(), glue.join("RTE")] {
        let found = table(&data, None, &out).unwrap();
        assert_eq!((found.datasets.len(), found.datasets[0].train), (1, 40));
        assert_eq!((found.datasets[0].source.tokens, found.agreement), (None, None));
    }
}

#[test]
fn a_file_with_a_fault_is_an_error_and_not_missing() {
    let root = tempfile::tempdir().unwrap();
    let (data, out) = (root.path().join("data"), root.path().join("out"));
    write_cb(&data.join("CB"), 3);
    fs::write(data.join("CB/val.jsonl"), "{\"premise\": \"it may rain\"}\n").unwrap();
    let error = table(&data, None, &out).unwrap_err().to_string();
    assert!(error.contains("val.jsonl") && error.contains("hypothesis"), "{error}");
    assert!(!out.join("table16.json").exists());
}
