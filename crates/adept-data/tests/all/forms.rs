//! Tasks whose real files are not available, in the forms published by their authors. All sentences are invented.

use std::path::Path;

use crate::common::{folder, named, sorted};
use adept_data::{Example, FewShot, LoadOptions, Metric, Right, Task, TaskData, load_task, score};

fn load(task: &str, root: &Path) -> TaskData {
    load_task(&named(task), root, &LoadOptions::default()).unwrap_or_else(|error| panic!("{task}: {error}"))
}

#[test]
fn multirc_has_a_row_for_each_answer_and_a_group_for_each_question() {
    let line = r#"{"idx": 3, "passage": {"text": "<b>Sent 1: </b>Ann sold a boat.<br>", "questions": [
        {"question": "What was sold?", "answers": [{"text": "A boat", "label": 1, "idx": 0}, {"text": "A car", "label": 0, "idx": 1}], "idx": 0},
        {"question": "Who sold?", "answers": [{"text": "Ann", "label": 1, "idx": 0}], "idx": 1}]}}"#
        .replace('\n', " ");
    let root = folder(&[("train.jsonl", format!("{line}\n")), ("val.jsonl", format!("{line}\n"))]);
    let data = load("multirc", root.path());
    let paragraph = "paragraph: Sent 1: Ann sold a boat. ";
    let expected = [
        (
            0,
            0,
            format!("question: What was sold? answer: A boat {paragraph}"),
            "1",
        ),
        (1, 0, format!("question: What was sold? answer: A car {paragraph}"), "0"),
        (2, 2, format!("question: Who sold? answer: Ann {paragraph}"), "1"),
    ];
    let check = |rows: &[Example]| {
        for (row, (id, group, source, target)) in rows.iter().zip(&expected) {
            assert_eq!(
                (row.id, row.group, &row.source, row.target.as_str()),
                (*id, *group, source, *target)
            );
        }
        assert_eq!(rows.len(), 3);
    };
    check(&data.train);
    check(&sorted(&[&data.validation, &data.test]));

    // The hub has one flat row per answer.
    let flat = |question: &str, answer: &str, label: u8| {
        format!(
            "{{\"paragraph\": \"<b>Sent 1: </b>Ann sold a boat.<br>\", \"question\": \"{question}\", \"answer\": \
             \"{answer}\", \"label\": {label}, \"idx\": {{\"paragraph\": 3}}}}\n"
        )
    };
    let text = flat("What was sold?", "A boat", 1) + &flat("What was sold?", "A car", 0) + &flat("Who sold?", "Ann", 1);
    let root = folder(&[
        ("multirc/train.jsonl", text.clone()),
        ("multirc/validation.jsonl", text),
    ]);
    check(&load("multirc", root.path()).train);

    // Two rows of three are correct: one question of two is entirely correct.
    let right = Right::of_examples(&data.train);
    let predictions = ["1", "1", "1"].map(str::to_owned);
    assert_eq!(score(Metric::EmGroups, &predictions, &right), 50.0);
}

#[test]
fn record_has_a_row_for_each_answer_and_is_split_before() {
    let line = |number: usize| {
        let text = "Ann met Bob.\\n@highlight\\nBob left\\n@highlight\\nAnn stayed";
        format!(
            "{{\"passage\": {{\"text\": \"{text}\", \"entities\": [{{\"start\": 8, \"end\": 10}}, {{\"start\": 0, \"end\": \
             2}}, {{\"start\": 24, \"end\": 26}}]}}, \"qas\": [{{\"query\": \"q{number} @placeholder\", \"answers\": \
             [{{\"start\": 8, \"end\": 10, \"text\": \"Bob\"}}, {{\"start\": 0, \"end\": 2, \"text\": \"Ann\"}}, {{\"start\": \
             24, \"end\": 26, \"text\": \"Bob\"}}]}}]}}\n"
        )
    };
    let train: String = (0..1002).map(line).collect();
    let without = line(0).replace(
        "\"answers\": [{\"start\": 8, \"end\": 10, \"text\": \"Bob\"}, {\"start\": 0, \"end\": 2, \"text\": \"Ann\"}, \
         {\"start\": 24, \"end\": 26, \"text\": \"Bob\"}]",
        "\"answers\": []",
    );
    let root = folder(&[("train.jsonl", train), ("val.jsonl", without)]);
    let data = load("record", root.path());
    assert_eq!((data.train.len(), data.validation.len(), data.test.len()), (4, 2000, 1));
    let first = &data.train[..2];
    assert_eq!(first[0].id, first[1].id);
    assert_eq!([first[0].target.as_str(), first[1].target.as_str()], ["Ann", "Bob"]);
    assert_eq!(first[0].golds, ["Ann", "Bob"]);
    let number = first[0].id;
    assert_eq!(
        first[0].source,
        format!("record query: q{number} @placeholder entities: Ann, Bob passage: Ann met Bob. Bob left. Ann stayed")
    );
    assert_eq!(
        (data.test[0].target.as_str(), data.test[0].golds.as_slice()),
        ("<unk>", &["<unk>".to_owned()][..])
    );

    // Officially a query counts once, by its best answer; the reference scores every row against its own answer.
    let right = Right::of_examples(&data.train);
    let predictions: Vec<String> = data.train.iter().map(|_| "the bob".to_owned()).collect();
    assert_eq!(score(Metric::Em, &predictions, &right), 50.0);
    assert_eq!(score(Metric::EmMax, &predictions, &right), 100.0);
}

#[test]
fn mrqa_s_compressed_files_begin_with_a_header() {
    let rows = |count: usize| {
        let mut text = String::from("{\"header\": {\"dataset\": \"NaturalQuestionsShort\", \"split\": \"train\"}}\n");
        for row in 0..count {
            text.push_str(&format!(
                "{{\"id\": \"\", \"context\": \"It's {row}  o'clock.\", \"qas\": [{{\"qid\": \"a\", \"question\": \"when?\", \
                 \"answers\": [\"{row} o'clock\", \"now\"], \"detected_answers\": []}}]}}\n"
            ));
        }
        text
    };
    let root = folder(&[
        ("train/NaturalQuestionsShort.jsonl.gz", rows(1001)),
        ("dev/NaturalQuestionsShort.jsonl.gz", rows(2)),
    ]);
    let data = load("nq", root.path());
    assert_eq!((data.train.len(), data.validation.len(), data.test.len()), (1, 1000, 2));
    let row = &data.test[1];
    assert_eq!(row.source, "question: when ?  context: It ' s 1 o ' clock . ");
    assert_eq!(row.target, "1 o ' clock");
    assert_eq!(row.golds, ["1 o ' clock", "now"]);
}

#[test]
fn yelp_is_quoted_and_counts_classes_from_one() {
    let rows = |count: usize| -> String {
        let row = |row: usize| format!("\"{}\",\"Said \"\"{row}\"\", twice.\\nThen left\"\n", 1 + row % 2);
        (0..count).map(row).collect()
    };
    let root = folder(&[("train.csv", rows(1002)), ("test.csv", rows(3))]);
    let data = load("yelp", root.path());
    assert_eq!((data.train.len(), data.validation.len(), data.test.len()), (2, 1000, 3));
    assert_eq!(data.test[1].source, "sentence: Said \"1\", twice.\\nThen left");
    assert_eq!(
        [0, 1, 2].map(|row: usize| data.test[row].target.clone()),
        ["0", "1", "0"]
    );
    // The hub's labels start at zero.
    let hub: String = (0..1001)
        .map(|row| format!("{{\"text\": \"t\", \"label\": {}}}\n", row % 2))
        .collect();
    let root = folder(&[("train.jsonl", hub.clone()), ("test.jsonl", hub)]);
    assert_eq!(load("yelp", root.path()).test[1].target, "1");
}

#[test]
fn paws_keeps_its_own_splits() {
    let text = |sentence: &str, label: u8| format!("id\tsentence1\tsentence2\tlabel\n1\t{sentence}\tsame\t{label}\n");
    let root = folder(&[
        ("final/train.tsv", text("a", 0)),
        ("final/dev.tsv", text("b", 1)),
        ("final/test.tsv", text("c", 0)),
    ]);
    let data = load("paws", root.path());
    let parts =
        [&data.train, &data.validation, &data.test].map(|rows| (rows[0].source.clone(), rows[0].target.clone()));
    let expected = [("a", "0"), ("b", "1"), ("c", "0")];
    assert_eq!(
        parts,
        expected.map(|(s, t)| (format!("sentence1: {s} sentence2: same"), t.to_owned()))
    );
}

#[test]
fn scitail_comes_in_three_official_forms() {
    let expected = ["premise: p hypothesis: h", "premise: q hypothesis: i"];
    let snli = "{\"sentence1\": \"p\", \"sentence2\": \"h\", \"gold_label\": \"entailment\"}\n\
                {\"sentence1\": \"q\", \"sentence2\": \"i\", \"gold_label\": \"neutral\"}\n";
    let tsv = "p\th\tentails\nq\ti\tneutral\n";
    let indexed = "p\th\t0\t0\nq\ti\t1\t1\n";
    for (train, dev, text) in [
        (
            "snli_format/scitail_1.0_train.txt",
            "snli_format/scitail_1.0_dev.txt",
            snli,
        ),
        (
            "tsv_format/scitail_1.0_train.tsv",
            "tsv_format/scitail_1.0_dev.tsv",
            tsv,
        ),
        ("train.txt", "dev.txt", indexed),
    ] {
        let root = folder(&[(train, text.to_owned()), (dev, text.to_owned())]);
        let data = load("scitail", root.path());
        let found: Vec<(&str, &str)> = data
            .train
            .iter()
            .map(|row| (row.source.as_str(), row.target.as_str()))
            .collect();
        assert_eq!(found, [(expected[0], "0"), (expected[1], "1")], "{train}");
    }
}

#[test]
fn winogrande_s_slip_is_made_when_asked_for() {
    let row = "{\"sentence\": \"The cup fit since _ was small.\", \"option1\": \"cup\", \"option2\": \"box\", \"answer\": \"2\"}\n";
    let root = folder(&[("train_xl.jsonl", row.repeat(1001)), ("dev.jsonl", row.to_owned())]);
    let data = load("winogrande", root.path());
    let right = "sentence: The cup fit since _ was small. option0: cup option1: box";
    assert_eq!(
        (data.test[0].source.as_str(), data.test[0].target.as_str()),
        (right, "1")
    );
    let options = LoadOptions {
        reference: true,
        ..LoadOptions::default()
    };
    let data = load_task(&named("winogrande"), root.path(), &options).expect("no fault");
    assert_eq!(data.test[0].source, right.replace("box", "cup"));
}

#[test]
fn copa_asks_for_cause_or_effect_unless_the_reference_is_followed() {
    let row = |label: u8| {
        format!(
            "{{\"premise\": \"The lamp went out.\", \"choice1\": \"The oil was gone.\", \"choice2\": \"It was blue.\", \
             \"question\": \"cause\", \"label\": {label}, \"idx\": 0}}\n"
        )
    };
    let text = row(0) + &row(1);
    let without = "premise: The lamp went out. choice1: The oil was gone. choice2: It was blue.";
    for [train, validation] in [
        ["train.jsonl", "val.jsonl"],
        ["copa/train.jsonl", "copa/validation.jsonl"],
    ] {
        let root = folder(&[(train, text.clone()), (validation, text.clone())]);
        let data = load("superglue-copa", root.path());
        let rows: Vec<(&str, &str)> = data
            .train
            .iter()
            .map(|row| (row.source.as_str(), row.target.as_str()))
            .collect();
        let whole = format!("{without} question: cause");
        assert_eq!(rows, [(whole.as_str(), "0"), (whole.as_str(), "1")]);
        assert_eq!((data.validation.len(), data.test.len()), (1, 1));
        let options = LoadOptions {
            reference: true,
            ..LoadOptions::default()
        };
        let data = load_task(&named("copa"), root.path(), &options).expect("no fault");
        assert_eq!(data.train[0].source, without);
    }
}

#[test]
fn rte_of_superglue_is_found_in_its_archive_and_on_the_hub() {
    let row = |label: &str| format!("{{\"premise\": \"p\", \"hypothesis\": \"h\", \"label\": {label}, \"idx\": 0}}\n");
    let official = row("\"entailment\"") + &row("\"not_entailment\"");
    let hub = row("0") + &row("1");
    for ([train, validation], text) in [
        (["RTE/train.jsonl", "RTE/val.jsonl"], official),
        (["rte/train.jsonl", "rte/validation.jsonl"], hub),
    ] {
        let root = folder(&[(train, text.clone()), (validation, text)]);
        let data = load("superglue-rte", root.path());
        let rows: Vec<(&str, &str)> = data
            .train
            .iter()
            .map(|row| (row.source.as_str(), row.target.as_str()))
            .collect();
        let source = "premise: p hypothesis: h";
        assert_eq!(rows, [(source, "0"), (source, "1")]);
    }
}

#[test]
fn few_shots_are_as_many_of_each_class_and_a_function_of_the_seed() {
    let text: String = (0..300)
        .map(|row| {
            format!(
                "{{\"premise\": \"p{row}\", \"hypothesis\": \"h\", \"label\": {}}}\n",
                row % 3
            )
        })
        .collect();
    let root = folder(&[("train.jsonl", text.clone()), ("validation.jsonl", text)]);
    let draw = |rows, seed| {
        let options = LoadOptions {
            few_shot: Some(FewShot { rows, seed }),
            ..LoadOptions::default()
        };
        load_task(&named("cb"), root.path(), &options).map(|data| data.train)
    };
    let drawn = draw(32, 42).expect("no fault");
    assert_eq!(drawn.len(), 30);
    for class in ["0", "1", "2"] {
        assert_eq!(drawn.iter().filter(|row| row.target == class).count(), 10);
    }
    assert_eq!(drawn, draw(32, 42).expect("no fault"));
    assert_ne!(drawn, draw(32, 43).expect("no fault"));
    let message = draw(2, 42).expect_err("fewer rows than classes").to_string();
    assert_eq!(message, "cb: expected at least 3 few-shot rows, one per class, found 2");
}

/// The hub's parquet files of tasks with answers: a list of texts, or one inside a struct, across several row groups.
#[test]
fn lists_in_parquet_are_answers() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parquet");
    let load = |file: &str, answers: &str| {
        let files = ["train", "validation", "test"]
            .map(|split| format!("{split} = [\"{file}\"]"))
            .join(", ");
        let card = format!(
            "name = \"asked\"\ndisplay = \"Asked\"\nabout = \"Answers in lists.\"\n[source]\npieces = [{{ marker = \
             \"question:\", field = \"question\" }}]\n[target]\nkind = \"answer\"\nfield = \"answers\"\n[split]\nrule = \
             \"official\"\n[metrics]\nall = [\"em\"]\n[[forms]]\nname = \"hub\"\nformat = \"parquet\"\nfiles = {{ {files} \
             }}\nfields = {{ answers = \"{answers}\" }}\n"
        );
        let root = folder(&[("asked.toml", card)]);
        let task = Task::from_file(&root.path().join("asked.toml")).expect("a card");
        load_task(&task, &fixtures, &LoadOptions::default()).map_err(|error| error.to_string())
    };
    for (file, answers) in [("newsqa", "answers"), ("squad", "answers.text")] {
        let rows = load(file, answers).expect("no fault").train;
        let golds: Vec<Vec<&str>> = rows
            .iter()
            .map(|row| row.golds.iter().map(String::as_str).collect())
            .collect();
        let expected: [&[&str]; 3] = [&["Ann", "Ann Lee"], &["a boat"], &["Bob", "Bob", "he"]];
        assert_eq!(golds, expected, "{file}");
        assert_eq!(rows[2].source, "question: Who left?");
        assert_eq!(rows[2].target, "Bob");
    }
    for (file, expected) in [
        (
            "bad/answers",
            "answers.parquet:1: field `answers`: expected at least one answer, found none",
        ),
        (
            "bad/no_list",
            "no_list.parquet:1: field `answers`: expected at least one answer, found none",
        ),
        (
            "bad/no_item",
            "no_item.parquet:1: field `answers`: expected a value, found null",
        ),
    ] {
        let message = load(file, "answers").expect_err("a fault");
        assert!(message.ends_with(expected), "{message}");
    }
}

/// A word index beyond the text, however large, marks nothing.
#[test]
fn spans_beyond_the_text_are_not_marked() {
    let line = "{\"text\": \"Ann left\", \"span1_text\": \"Ann\", \"span1_index\": \"0\", \"span2_text\": \"left\", \
                \"span2_index\": \"18446744073709551615\", \"label\": 1}\n";
    let root = folder(&["train.jsonl", "validation.jsonl"].map(|name| (name, line.repeat(2))));
    assert!(load("wsc", root.path()).train[0].source.ends_with("* Ann * left"));
}

#[test]
fn faults_inside_rows_are_named() {
    let check = |task: &str, file: &str, text: &str, expected: &str| {
        let held_out = match task {
            "squad" => "dev",
            "yelp" | "yelp_polarity" => "test",
            _ => "validation",
        };
        let held_out = file.replace("train", held_out);
        let root = folder(&[(file, text.to_owned()), (&held_out, text.to_owned())]);
        let message = load_task(&named(task), root.path(), &LoadOptions::default())
            .expect_err("a fault")
            .to_string();
        let message = message.replace(&root.path().display().to_string(), "DIR");
        assert_eq!(message, expected);
    };
    let squad = "train.squad.json";
    check(
        "squad",
        squad,
        "{\"data\": [{\"paragraphs\": [{\"context\": \"c\", \"qas\": [{\"question\": \"q\", \"answers\": []}]}]}]}",
        "DIR/train.squad.json:0: field `qa.answers[].text`: expected at least one answer, found none",
    );
    check(
        "squad",
        squad,
        "{\"data\": [{\"paragraphs\": []}, {\"title\": \"t\"}]}",
        "DIR/train.squad.json:1: expected a field `paragraphs`, found title",
    );
    check(
        "squad",
        squad,
        "{\"rows\": []}",
        "DIR/train.squad.json: expected one JSON document: expected a list `data` at line 1 column 12",
    );
    check(
        "multirc",
        "train.jsonl",
        "{\"passage\": {\"text\": \"t\", \"questions\": 4}}\n",
        "multirc: expected files in one of these forms: official (DIR/train.jsonl:1: field `passage.questions`: expected an \
         array, found 4); hub (DIR/train.jsonl:1: expected a field `question`, found passage)",
    );
    check(
        "wsc",
        "train.jsonl",
        &[0, -1]
            .map(|index| {
                format!(
                    "{{\"text\": \"t\", \"target\": {{\"span1_text\": \"t\", \"span1_index\": {index}, \"span2_text\": \"t\", \
                     \"span2_index\": 0}}, \"label\": true}}\n"
                )
            })
            .concat(),
        "DIR/train.jsonl:2: field `target.span1_index`: expected a word's number, found -1",
    );
    check(
        "record",
        "train.jsonl",
        "{\"passage\": {\"text\": \"short\", \"entities\": [{\"start\": 2, \"end\": 9}]}, \"qas\": [{\"query\": \"q\", \
         \"answers\": []}]}\n",
        "record: expected files in one of these forms: official (DIR/train.jsonl:1: field `entities`: expected `start` and \
         `end` within the text, found {\"start\":2,\"end\":9}); hub (DIR/train.jsonl:1: expected a field `query`, found \
         passage, qas)",
    );
    check(
        "record",
        "train.jsonl",
        "{\"passage\": {\"text\": \"short\", \"entities\": [{\"start\": 2, \"end\": 18446744073709551615}]}, \"qas\": \
         [{\"query\": \"q\", \"answers\": []}]}\n",
        "record: expected files in one of these forms: official (DIR/train.jsonl:1: field `entities`: expected `start` and \
         `end` within the text, found {\"start\":2,\"end\":18446744073709551615}); hub (DIR/train.jsonl:1: expected a field \
         `query`, found passage, qas)",
    );
    check(
        "yelp",
        "train.csv",
        "\"1\",\"a\"\n\"2\"\n",
        "DIR/train.csv:2: expected 2 columns, found 1",
    );
}
