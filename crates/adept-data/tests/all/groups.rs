//! Group scores do not depend on row order: the rows of a group belong together wherever they are.

use std::collections::BTreeMap;
use std::fs;

use adept_data::{Example, LoadOptions, Metric, Right, Task, load_task, score, torch_permutation};
use serde_json::{Value, json};

fn card() -> Task {
    let card = "name = \"judged\"\n[source]\npieces = [{ field = \"question\" }, { field = \"answer\" }]\n[target]\n\
                kind = \"class\"\nclasses = [\"false\", \"true\"]\ngroup = [\"paragraph\", \"question\"]\n[metrics]\n\
                all = [\"em_groups\", \"accuracy\"]\n";
    Task::from_card(card).expect("a card")
}

/// Four questions about two paragraphs, one question asked of both, with three answers each.
fn rows() -> Vec<Value> {
    let asked = [(1, "who?"), (1, "when?"), (2, "who?"), (2, "why?")];
    let answers = asked.iter().flat_map(|&(paragraph, question)| {
        (0..3).map(move |answer| {
            json!({"paragraph": paragraph, "question": question, "answer": format!("answer {answer}"), "label": answer % 2})
        })
    });
    answers.collect()
}

fn load(files: &[(&str, String)]) -> Vec<Example> {
    let root = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        fs::write(root.path().join(name), text).expect("a writable folder");
    }
    let data = load_task(&card(), root.path(), &LoadOptions::default()).expect("rows");
    data.test
}

fn lines(rows: &[Value]) -> String {
    rows.iter().map(|row| format!("{row}\n")).collect()
}

fn with_test(name: &'static str, test: String) -> Vec<(&'static str, String)> {
    let rest = lines(&rows());
    vec![("train.jsonl", rest.clone()), ("validation.jsonl", rest), (name, test)]
}

/// The orders tested: original, reversed, all first answers first, and some permutations.
fn orders(count: usize) -> Vec<Vec<usize>> {
    let interleaved = (0..3).flat_map(|answer| (0..count / 3).map(move |question| 3 * question + answer));
    let mut orders = vec![(0..count).collect(), (0..count).rev().collect(), interleaved.collect()];
    orders.extend((1..20).map(|seed| torch_permutation(count, seed)));
    orders
}

/// The scores of predictions that depend on the row only.
fn scores(examples: &[Example]) -> [f64; 2] {
    // Wrong for one answer to a question in one paragraph, which must not affect the same question in the other.
    let wrong = |row: &Example| row.source == "when? answer 1";
    let flip = |row: &Example| if row.target == "0" { "1" } else { "0" }.to_owned();
    let predictions: Vec<String> = examples
        .iter()
        .map(|row| if wrong(row) { flip(row) } else { row.target.clone() })
        .collect();
    let right = Right::of_examples(examples);
    [Metric::EmGroups, Metric::Accuracy].map(|metric| score(metric, &predictions, &right))
}

#[test]
fn groups_are_joined_by_what_they_have_in_common() {
    let rows = rows();
    for order in orders(rows.len()) {
        let moved: Vec<Value> = order.iter().map(|&row| rows[row].clone()).collect();
        let examples = load(&with_test("test.jsonl", lines(&moved)));
        let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (place, example) in examples.iter().enumerate() {
            groups.entry(example.group).or_default().push(order[place] / 3);
        }
        assert_eq!(groups.len(), 4, "{order:?}");
        for (group, questions) in groups {
            assert_eq!(questions.len(), 3);
            assert!(questions.iter().all(|question| *question == questions[0]), "{order:?}");
            assert_eq!(
                order.iter().position(|row| row / 3 == questions[0]),
                Some(group),
                "its first row"
            );
        }
        let [groups, rows] = scores(&examples);
        assert_eq!(groups, 75.0, "{order:?}");
        assert!((rows - 100.0 * 11.0 / 12.0).abs() < 1e-9);
    }
}

/// Numeric keys are the same keys in a table, where they are text.
#[test]
fn groups_are_the_same_in_tables() {
    let row = |row: &Value| {
        let text = |key: &str| row[key].as_str().expect("text").to_owned();
        format!(
            "{},{},{},{}\n",
            row["paragraph"],
            text("question"),
            text("answer"),
            row["label"]
        )
    };
    let rows = rows();
    let head = "paragraph,question,answer,label\n".to_owned();
    for order in orders(rows.len()) {
        let table: String = order.iter().map(|&number| row(&rows[number])).collect();
        let objects: Vec<Value> = order.iter().map(|&number| rows[number].clone()).collect();
        let groups = |name, text| {
            load(&with_test(name, text))
                .iter()
                .map(|row| row.group)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            groups("test.csv", head.clone() + &table),
            groups("test.jsonl", lines(&objects))
        );
    }
}

/// A sharded split is a single split.
#[test]
fn groups_reach_over_the_files_of_a_split() {
    use std::sync::Arc;

    use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    let part = |rows: &[Value]| {
        let schema = "message rows { required int64 paragraph; required binary question (STRING); \
                      required binary answer (STRING); required int64 label; }";
        let schema = Arc::new(parse_message_type(schema).expect("a schema"));
        let properties = Arc::new(WriterProperties::builder().build());
        let mut writer = SerializedFileWriter::new(Vec::new(), schema, properties).expect("a writer");
        let mut group = writer.next_row_group().expect("a row group");
        for key in ["paragraph", "question", "answer", "label"] {
            let mut column = group.next_column().expect("a column").expect("the schema's column");
            if rows[0][key].is_string() {
                let values: Vec<ByteArray> = rows.iter().map(|row| row[key].as_str().expect("text").into()).collect();
                column
                    .typed::<ByteArrayType>()
                    .write_batch(&values, None, None)
                    .expect("texts");
            } else {
                let values: Vec<i64> = rows.iter().map(|row| row[key].as_i64().expect("a number")).collect();
                column
                    .typed::<Int64Type>()
                    .write_batch(&values, None, None)
                    .expect("numbers");
            }
            column.close().expect("a column");
        }
        group.close().expect("a row group");
        writer.into_inner().expect("a file")
    };
    let rows = rows();
    let interleaved: Vec<Value> = orders(rows.len())[2].iter().map(|&row| rows[row].clone()).collect();
    let root = tempfile::tempdir().expect("a temporary folder");
    for split in ["train", "validation", "test"] {
        for (number, rows) in interleaved.chunks(5).enumerate() {
            let name = format!("{split}-{number:05}-of-00003.parquet");
            fs::write(root.path().join(name), part(rows)).expect("a writable folder");
        }
    }
    let data = load_task(&card(), root.path(), &LoadOptions::default()).expect("rows");
    assert_eq!(
        data.test.iter().map(|row| row.id).collect::<Vec<_>>(),
        (0..12).collect::<Vec<_>>()
    );
    assert_eq!(scores(&data.test)[0], 75.0);
    assert_eq!(
        data.test.iter().map(|row| row.group).collect::<Vec<_>>(),
        [0, 1, 2, 3].repeat(3)
    );
}
