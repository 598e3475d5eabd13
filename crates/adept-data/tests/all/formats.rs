//! The same rows from every format, and every spelling of the folders' names. All sentences are invented.

use std::fs;
use std::path::{Path, PathBuf};

use adept_data::{Example, LoadOptions, ScoreRounding, Task, TaskData, load_task};

fn named(name: &str) -> Task {
    Task::named(name).expect("a task's name")
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parquet")
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a writable folder");
        fs::write(path, text).expect("a writable folder");
    }
    root
}

fn load(task: &str, root: &Path) -> TaskData {
    load_task(&named(task), root, &LoadOptions::default()).expect("files without a fault")
}

/// Source and target of a split's rows, sorted by id.
fn pairs(rows: &[Example]) -> Vec<(String, String)> {
    let mut rows: Vec<&Example> = rows.iter().collect();
    rows.sort_by_key(|row| row.id);
    rows.into_iter()
        .map(|row| (row.source.clone(), row.target.clone()))
        .collect()
}

/// Loads a small task from one text, used for both train and validation.
#[track_caller]
fn check(task: &str, files: [&str; 2], text: &str, expected: &[(&str, &str)]) {
    let root = folder(&files.map(|name| (name, text)));
    let data = load(task, root.path());
    let expected: Vec<(String, String)> = expected.iter().map(|(s, t)| (s.to_string(), t.to_string())).collect();
    assert_eq!(pairs(&data.train), expected);
    assert_eq!(pairs(&[data.validation, data.test].concat()), expected);
}

const TSV: [&str; 2] = ["train.tsv", "dev.tsv"];
const JSONL: [&str; 2] = ["train.jsonl", "validation.jsonl"];

#[test]
fn tsv_has_no_quoting_and_any_line_end() {
    let expected = [
        ("sentence: \"Half a quote stays, said she.", "1"),
        ("sentence: Kettle sing 'loud.", "0"),
    ];
    let lf = "gj04\t1\t\t\"Half a quote stays, said she.\nxx\t0\t*\tKettle sing 'loud.\n";
    check("cola", TSV, lf, &expected);
    check("cola", TSV, lf.trim_end(), &expected);
    check("cola", TSV, &lf.replace('\n', "\r\n"), &expected);
    check("cola", TSV, &format!("\u{feff}{lf}\n\n"), &expected);
}

#[test]
fn tsv_columns_are_found_by_name() {
    let mrpc = "\u{feff}Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n1\t7\t8\tA pot .\tOne pot .\r\n0\t9\t10\tA lid .\tNo lid .\r\n";
    let expected = [
        ("sentence1: A pot . sentence2: One pot .", "1"),
        ("sentence1: A lid . sentence2: No lid .", "0"),
    ];
    check("mrpc", TSV, mrpc, &expected);
    let moved = "#2 String\tQuality\t#1 String\nOne pot .\t1\tA pot .\nNo lid .\t0\tA lid .\n";
    check("mrpc", TSV, moved, &expected);

    let rte = "index\tsentence1\tsentence2\tlabel\n0\tIt boils.\tIt is hot.\tentailment\n1\tIt is cold.\tIt boils.\tnot_entailment\n";
    let expected = [
        ("sentence1: It boils. sentence2: It is hot.", "0"),
        ("sentence1: It is cold. sentence2: It boils.", "1"),
    ];
    check("rte", TSV, rte, &expected);

    // White space around a text is part of it.
    let stsb =
        "index\tgenre\tsentence1\tsentence2\tscore\n0\tmade-up\tA cup. \t A mug.\t4.25\n1\tmade-up\tTea\tSnow\t0.350\n";
    check(
        "stsb",
        TSV,
        stsb,
        &[
            ("sentence1: A cup.  sentence2:  A mug.", "4.2"),
            ("sentence1: Tea sentence2: Snow", "0.3"),
        ],
    );
}

#[test]
fn mnli_validates_on_mismatched_and_tests_on_matched() {
    let tsv = |text: &str| {
        format!(
            "index\tpromptID\tsentence1\tsentence2\tlabel1\tgold_label\n0\t1\tIt rains.\t{text}\tneutral\tcontradiction\n"
        )
    };
    let (train, matched, mismatched) = (tsv("It is dry."), tsv("matched"), tsv("mismatched"));
    let root = folder(&[
        ("MNLI/train.tsv", &train),
        ("MNLI/dev_matched.tsv", &matched),
        ("MNLI/dev_mismatched.tsv", &mismatched),
    ]);
    let data = load("mnli", root.path());
    assert_eq!(data.train[0].source, "premise: It rains. hypothesis: It is dry.");
    assert_eq!(data.train[0].target, "2");
    assert!(data.validation[0].source.ends_with(" mismatched"));
    assert!(data.test[0].source.ends_with(" matched"));
    let names: Vec<&str> = data.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(
        names,
        ["MNLI/train.tsv", "MNLI/dev_mismatched.tsv", "MNLI/dev_matched.tsv"]
    );
}

#[test]
fn jsonl_takes_numbers_and_class_names() {
    let text = "{\"sentence1\": \"Tab\\there\", \"sentence2\": \"é\", \"label\": 1, \"idx\": 0}\r\n\n\
                {\"idx\": 1, \"label\": \"entailment\", \"sentence2\": \"b\", \"sentence1\": \"a\"}\n\
                {\"sentence1\": \"c\", \"sentence2\": \"d\", \"label\": \"1\"}";
    let expected = [
        ("sentence1: Tab\there sentence2: é", "1"),
        ("sentence1: a sentence2: b", "0"),
        ("sentence1: c sentence2: d", "1"),
    ];
    check("rte", JSONL, text, &expected);
    check(
        "rte",
        ["rte/data/train.json", "rte/data/dev.json"],
        &format!("\u{feff}{text}"),
        &expected,
    );
    let stsb = "{\"sentence1\": \"a\", \"sentence2\": \"b\", \"label\": 2.3499999046325684}\n\
                {\"sentence1\": \"a\", \"sentence2\": \"b\", \"label\": 3}";
    check(
        "stsb",
        JSONL,
        stsb,
        &[
            ("sentence1: a sentence2: b", "2.3"),
            ("sentence1: a sentence2: b", "3.0"),
        ],
    );
}

/// Some editors begin a file with a byte-order mark.
#[test]
fn a_byte_order_mark_is_no_part_of_a_document() {
    let text = "\u{feff}{\"data\": [{\"paragraphs\": [{\"context\": \"Ann left.\", \"qas\": [{\"question\": \"Who?\", \
                \"answers\": [{\"text\": \"Ann\"}]}]}]}]}";
    let root = folder(&[("train.squad.json", text), ("dev.squad.json", text)]);
    let error = load_task(&named("squad"), root.path(), &LoadOptions::default()).expect_err("one row");
    assert_eq!(
        error.to_string(),
        "squad: the train split needs at least 1001 rows to be divided, found 1"
    );
}

#[test]
fn stsb_can_be_rounded_to_fifths() {
    let text = "sentence1\tsentence2\tscore\na\tb\t4.25\nc\td\t0.35\n";
    let root = folder(&TSV.map(|name| (name, text)));
    let data = load_task(
        &named("stsb"),
        root.path(),
        &LoadOptions {
            rounding: ScoreRounding::Fifth,
            ..LoadOptions::default()
        },
    )
    .expect("no fault");
    assert_eq!(
        data.train.iter().map(|row| row.target.as_str()).collect::<Vec<_>>(),
        ["4.2", "0.4"]
    );
}

#[test]
fn parquet_is_read_in_the_hub_s_layouts() {
    // Shards in the task's folder, with several row groups each.
    let rte = load("rte", &fixtures());
    assert_eq!(rte.train.len(), 8);
    for (row, example) in rte.train.iter().enumerate() {
        assert_eq!(example.id, row);
        let expected = format!("sentence1: Row {row} has a kettle. sentence2: Kettle “{row}” boils\tslowly.");
        assert_eq!(
            (example.source.as_str(), example.target.clone()),
            (expected.as_str(), (row % 2).to_string())
        );
    }
    assert_eq!(rte.files[0].rows + rte.files[1].rows, 8);
    assert_eq!(pairs(&[rte.validation, rte.test].concat()).len(), 4);

    // A folder of shards per split, with scores in 32 and in 64 bits.
    let stsb = load("stsb", &fixtures());
    let targets: Vec<&str> = stsb.train.iter().map(|row| row.target.as_str()).collect();
    assert_eq!(targets, ["0.0", "4.2", "3.8", "2.3", "5.0", "1.6"]);
    let validation: Vec<String> = pairs(&[stsb.validation, stsb.test].concat())
        .into_iter()
        .map(|(_, target)| target)
        .collect();
    assert_eq!(validation, targets);

    // Under `data`, with classes by name.
    let mnli = load("mnli", &fixtures());
    assert_eq!(
        mnli.train.iter().map(|row| row.target.as_str()).collect::<Vec<_>>(),
        ["0", "1", "2"]
    );
    assert_eq!(
        mnli.test[1].source,
        "premise: It rains. hypothesis: validation_matched 1"
    );
}

#[test]
fn flags_are_classes() {
    let flags = fs::read(fixtures().join("flags.parquet")).expect("a fixture of this crate");
    let root = tempfile::tempdir().expect("a temporary folder");
    for split in ["train", "validation"] {
        fs::write(root.path().join(format!("{split}.parquet")), &flags).expect("a writable folder");
    }
    let targets = |rows: &[Example]| rows.iter().map(|row| row.target.clone()).collect::<Vec<_>>();
    let cola = load("cola", root.path());
    assert_eq!(targets(&cola.train), ["1", "0"]);
}

#[test]
fn folders_go_by_many_names() {
    let text = "index\tsentence1\tsentence2\tscore\n0\ta\tb\t1\n1\tc\td\t2\n";
    for name in ["STS-B", "stsb", "StsB", "sts_b"] {
        let root = folder(&[(&format!("{name}/train.tsv"), text), (&format!("{name}/dev.tsv"), text)]);
        assert_eq!(load("stsb", root.path()).train.len(), 2, "{name}");
        assert_eq!(load("stsb", &root.path().join(name)).train.len(), 2, "{name} itself");
    }
    for (name, task) in [("SST-2", "sst2"), ("sst2", "sst2"), ("cola", "cola")] {
        assert_eq!(name.parse::<Task>().expect("a name").name(), task);
    }
    for task in Task::built_in() {
        assert_eq!(&task.to_string().parse::<Task>().expect("a name"), task);
        assert_eq!(&task.display_name().parse::<Task>().expect("a name"), task);
        for alias in &task.card().aliases {
            assert_eq!(&alias.parse::<Task>().expect("a name"), task);
        }
    }
}

/// QQP's official files have a few truncated rows; like the hub, we skip them, and count them.
#[test]
fn qqp_rows_without_a_label_are_counted_and_left_out() {
    let mut text = String::from("id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n");
    for row in 0..1002 {
        text.push_str(&format!("{row}\t1\t2\twhy {row}?\t\t{}\n", row % 2));
        if row == 500 {
            text.push_str("7\t1\t2\tcut in\n two?\tthe rest\t1\n8\t1\t2\ta?\tb?\t\n");
        }
    }
    let root = folder(&TSV.map(|name| (name, text.as_str())));
    let data = load("qqp", root.path());
    assert_eq!(
        [data.train.len(), data.validation.len(), data.test.len()],
        [2, 1000, 1002]
    );
    let train = &data.files[0];
    assert_eq!((train.rows, train.skipped, train.empty_fields), (1002, 3, 1002));
    assert_eq!(data.test[1001].source, "question1: why 1001? question2: ");
    assert_eq!(data.test[1001].id, 1001);
}
