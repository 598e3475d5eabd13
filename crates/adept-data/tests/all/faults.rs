//! Every kind of bad input yields an error with file, line, field, expected and found values; none panics.

use std::fs;
use std::path::Path;

use adept_data::{LoadOptions, Task, TextTokenizer, load_task};

fn named(name: &str) -> Task {
    Task::named(name).expect("a task's name")
}

const RTE: &str = "index\tsentence1\tsentence2\tlabel\n0\tIt boils.\tIt is hot.\tentailment\n";

/// Loads a task whose training file (read first) and validation file have these bytes, and compares the error message.
#[track_caller]
fn check(task: &str, name: &str, bytes: &[u8], expected: &str) {
    let held_out = if task == "yelp" { "test" } else { "validation" };
    check_files(task, &[name, &name.replace("train", held_out)], bytes, expected);
}

#[track_caller]
fn check_files(task: &str, names: &[&str], bytes: &[u8], expected: &str) {
    let root = tempfile::tempdir().expect("a temporary folder");
    for name in names {
        fs::write(root.path().join(name), bytes).expect("a writable folder");
    }
    let message = load_task(&named(task), root.path(), &LoadOptions::default())
        .expect_err("a fault")
        .to_string();
    let folder = root.path().display().to_string();
    assert_eq!(message.replace(&folder, "DIR"), expected);
}

#[track_caller]
fn check_rte(bytes: &[u8], expected: &str) {
    check("rte", "train.tsv", bytes, expected);
}

#[test]
fn missing_and_misnamed_files() {
    check_files(
        "rte",
        &["trian.tsv"],
        RTE.as_bytes(),
        "DIR: no file for the train split of rte: expected one of a folder RTE, train.tsv, train.jsonl, train.json, \
         train.parquet, train-00000-of-00001.parquet; found trian.tsv",
    );
    check_files(
        "rte",
        &["train.tsv"],
        RTE.as_bytes(),
        "DIR: no file for the validation split of rte: expected one of a folder RTE, dev.tsv, validation.tsv, \
         validation.jsonl, validation.json, validation.parquet, dev.jsonl, dev.json, dev.parquet, \
         validation-00000-of-00001.parquet, dev-00000-of-00001.parquet; found train.tsv",
    );
    check_files(
        "rte",
        &["train-00001-of-00003.parquet"],
        b"",
        "DIR: 1 of 3 shards of the train split found; the first missing one is shard 0",
    );
    let nowhere = load_task(&named("rte"), Path::new("/no/such/folder"), &LoadOptions::default());
    assert!(
        nowhere
            .expect_err("a fault")
            .to_string()
            .starts_with("/no/such/folder: cannot be read: ")
    );
    let unknown = "wnli".parse::<Task>().expect_err("not a task of ours").to_string();
    assert_eq!(
        unknown,
        "unknown task `wnli`: expected one of mnli, qqp, qnli, sst2, stsb, mrpc, rte, cola, multirc, boolq, wic, wsc, cb, \
         record, copa, superglue_rte, nq, hotpotqa, searchqa, newsqa, squad, winogrande, yelp_polarity, scitail, paws, mbpp, \
         mbpp_original, text, completion, chat, or a card's path, which ends in .toml"
    );
}

#[test]
fn empty_files() {
    check_rte(b"", "DIR/train.tsv: expected at least one row, found none (0 bytes)");
    check_rte(
        b"index\tsentence1\tsentence2\tlabel\n",
        "DIR/train.tsv: expected at least one row, found none (32 bytes)",
    );
    check(
        "cola",
        "train.tsv",
        b"\n\n",
        "DIR/train.tsv: expected at least one row, found none (2 bytes)",
    );
    check(
        "rte",
        "train.jsonl",
        b"\n",
        "DIR/train.jsonl: expected at least one row, found none (1 bytes)",
    );
    check(
        "rte",
        "train.parquet",
        b"",
        "DIR/train.parquet: expected at least one row, found none (0 bytes)",
    );
}

#[test]
fn columns_and_fields() {
    check_rte(
        format!("{RTE}1\tcut off").as_bytes(),
        "DIR/train.tsv:3: expected 4 columns, found 2",
    );
    check_rte(
        format!("{RTE}1\ta\tb\tc\tentailment\n").as_bytes(),
        "DIR/train.tsv:3: expected 4 columns, found 5",
    );
    check_rte(
        b"index\tsentence1\tsentence_2\tlabel\n",
        "DIR/train.tsv: expected a column `sentence2`, found index, sentence1, sentence_2, label",
    );
    check_rte(
        b"index\tsentence1\tsentence2\n0\ta\tb\n",
        "DIR/train.tsv: expected a column `label`, found index, sentence1, sentence2",
    );
    check_rte(
        format!("{RTE}1\ta\t\tentailment\n").as_bytes(),
        "DIR/train.tsv:3: field `sentence2`: expected text, found nothing",
    );
    check(
        "cola",
        "train.tsv",
        b"index\tsentence\n0\tA pot.\n",
        "DIR/train.tsv:1: expected 4 columns, found 2",
    );
    check(
        "qqp",
        "train.tsv",
        b"id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n0\t1\t2\ta?\tb?\t1\t1\n",
        "DIR/train.tsv:2: expected 6 columns, found 7",
    );
}

#[test]
fn labels() {
    let rte = "0 (entailment), 1 (not_entailment)";
    for found in ["maybe", "2", "", "0.5", "+1", "1e0", "99999999999999999999999"] {
        check_rte(
            format!("{RTE}1\ta\tb\t{found}\n").as_bytes(),
            &format!("DIR/train.tsv:3: field `label`: expected {rte}, found `{found}`"),
        );
    }
    check_rte(
        format!("{RTE}1\ta\tb\t-1\n").as_bytes(),
        &format!("DIR/train.tsv:3: field `label`: expected {rte}, found the hidden label -1"),
    );
    for score in [
        "", "high", "5.5", "-0.2", "nan", "-NaN", "inf", "-inf", "Infinity", "1e999",
    ] {
        check(
            "stsb",
            "train.tsv",
            format!("sentence1\tsentence2\tscore\na\tb\t{score}\n").as_bytes(),
            &format!("DIR/train.tsv:2: field `score`: expected a score from 0 to 5, found `{score}`"),
        );
    }
}

#[test]
fn bytes_that_are_no_text() {
    check_rte(
        b"sentence1\tsentence2\tlabel\r\na\tb\tentailment\nab \xff\xfe\n",
        "DIR/train.tsv:3: expected UTF-8, found byte 0xff at byte 4 of the line",
    );
    check_rte(
        b"\xc3",
        "DIR/train.tsv:1: expected UTF-8, found byte 0xc3 at byte 1 of the line",
    );
}

#[test]
fn json_lines() {
    let check = |line: &str, expected: &str| {
        let text = format!("{{\"sentence1\": \"a\", \"sentence2\": \"b\", \"label\": 0}}\n\n{line}\n");
        check(
            "rte",
            "train.jsonl",
            text.as_bytes(),
            &format!("DIR/train.jsonl:3: {expected}"),
        );
    };
    check(
        "{\"sentence1\": \"a\"",
        "expected one JSON object, found the end of the line at byte 17",
    );
    check(
        "{\"sentence1\" \"a\"}",
        "expected one JSON object, found a syntax error at byte 14",
    );
    check("[1]", "expected one JSON object, found another kind of value at byte 0");
    check("{} {}", "expected one JSON object, found a syntax error at byte 4");
    check(
        "{\"sentence1\": \"a\", \"text\": \"b\", \"label\": 0}",
        "expected a field `sentence2`, found sentence1, text, label",
    );
    check(
        "{\"sentence1\": \"a\", \"sentence2\": null, \"label\": 0}",
        "field `sentence2`: expected a string, found null",
    );
    check(
        "{\"sentence1\": \"a\", \"sentence2\": \"b\", \"label\": [0]}",
        "field `label`: expected a number or a class name, found an array",
    );
    check(
        "{\"sentence1\": \"a\", \"sentence2\": \"b\", \"label\": 0.5}",
        "field `label`: expected 0 (entailment), 1 (not_entailment), found `0.5`",
    );
    check(
        "{\"sentence1\": \"a\", \"label\": 0, \"sentence2\": \"b\", \"label\": 1}",
        "duplicate key `label`",
    );
    check(
        "{\"sentence1\": \"a\", \"label\": 0, \"sentence2\": \"b\", \"more\": [{\"a\": 1, \"a\": 1}]}",
        "duplicate key `a`",
    );
    check(
        "{\"sentence1\": \"a\", \"sentence2\": \"b\", \"label\": NaN}",
        "expected one JSON object, found a syntax error at byte 47",
    );
    check(
        "{\"sentence1\": \"a\", \"sentence2\": \"b\", \"label\": -1}",
        "field `label`: expected 0 (entailment), 1 (not_entailment), found the hidden label -1",
    );
}

/// The line on which a row of a comma-separated file begins, for all line ends and any number of blank lines.
#[test]
fn lines_of_comma_separated_files() {
    for end in ["\n", "\r\n", "\r"] {
        let check = |rows: &[&str], expected: &str| {
            let text = rows.join(end) + end;
            check(
                "yelp",
                "train.csv",
                text.as_bytes(),
                &format!("DIR/train.csv:{expected}"),
            );
        };
        check(&["1,a", "", "", "2"], "4: expected 2 columns, found 1");
        check(&["", "1,\"a", "b\"", "", "2,c,d"], "5: expected 2 columns, found 3");
        check(
            &["1,\"a", "", "b\"", "3,c"],
            "4: field `label`: expected 0 (1), 1 (2), found `3`",
        );
    }
    check(
        "yelp",
        "train.csv",
        b"1,a\r\n\r\n1,\xff\r\n",
        "DIR/train.csv:3: expected UTF-8, found other bytes in column 2",
    );
}

fn parquet(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parquet");
    fs::read(folder.join(name)).expect("a fixture of this crate")
}

#[test]
fn parquet_columns_and_values() {
    let check = |name: &str, expected: &str| {
        check(
            "sst2",
            "train.parquet",
            &parquet(name),
            &format!("DIR/train.parquet{expected}"),
        );
    };
    check("bad/null.parquet", ":1: field `label`: expected a value, found null");
    check("bad/type.parquet", ":0: field `sentence`: expected a string, found 1");
    check(
        "bad/column.parquet",
        ": expected a column `sentence`, found text, label",
    );
    check(
        "bad/label.parquet",
        ":1: field `label`: expected 0 (negative), 1 (positive), found `2`",
    );
    check(
        "bad/hidden.parquet",
        ":0: field `label`: expected 0 (negative), 1 (positive), found the hidden label -1",
    );
    check(
        "bad/utf8.parquet",
        ":1: field `sentence`: expected UTF-8, found byte 0xff at byte 5",
    );
}

/// A parquet file truncated at any length is rejected; with any byte changed it is rejected or read, but never panics.
#[test]
fn damaged_parquet_files() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let file = root.path().join("train.parquet");
    let whole = parquet("rte/train-00001-of-00002.parquet");
    fs::write(root.path().join("validation.tsv"), "no columns\n").expect("a writable folder");
    let load = || load_task(&named("rte"), root.path(), &LoadOptions::default());
    for length in (1..whole.len()).step_by(11) {
        fs::write(&file, &whole[..length]).expect("a writable folder");
        let message = load().expect_err("a file cut short").to_string();
        let expected = format!("train.parquet: expected a whole parquet file of {length} bytes: ");
        assert!(message.contains(&expected), "{length} bytes: {message}");
    }
    for at in (0..whole.len()).step_by(3) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&file, &bytes).expect("a writable folder");
        // Validation has a fault, so even a file that survives its damage ends in an error.
        let message = load().expect_err("a faulty validation file").to_string();
        assert!(
            message.contains("train.parquet") || message.contains("validation.tsv"),
            "{message}"
        );
    }
}

/// The decoder allocates room for as many values as a dictionary claims: 2^31 of them exceed most machines' memory, and
/// the process would abort.
#[test]
fn a_dictionary_that_announces_too_much() {
    let whole = parquet("rte/train-00001-of-00002.parquet");
    // The first page's header: field 7 (a dictionary's), its field 1 (number of values), a one-byte number.
    let header = whole
        .windows(2)
        .position(|bytes| bytes == [0x4c, 0x15])
        .expect("a header");
    let mut bytes = whole.clone();
    bytes.splice(header + 2..header + 3, [0xfe, 0xff, 0xff, 0xff, 0x0f]);
    let size = bytes.len();
    check(
        "rte",
        "train.parquet",
        &bytes,
        &format!(
            "DIR/train.parquet: expected a whole parquet file of {size} bytes: Parquet error: a dictionary of 2147483647 \
             values in 46 bytes"
        ),
    );
}

/// An endless list in a page's header is skipped item by item, but never beyond the end of the file.
#[test]
fn a_header_that_goes_on_for_ever() {
    let mut bytes = parquet("rte/train-00001-of-00002.parquet");
    // Before the first field, field 32: a list of 2^31 - 1 numbers of eight bytes.
    bytes.splice(4..4, [0x09, 0x40, 0xf7, 0xff, 0xff, 0xff, 0xff, 0x07]);
    let size = bytes.len();
    check(
        "rte",
        "train.parquet",
        &bytes,
        &format!("DIR/train.parquet: expected a whole parquet file of {size} bytes: External: unexpected end of file"),
    );
}

/// The decoder allocates room for as many columns as a group claims.
#[test]
fn a_schema_that_announces_too_much() {
    let whole = parquet("rte/train-00001-of-00002.parquet");
    let (body, length) = whole[..whole.len() - 4].split_at(whole.len() - 8);
    let length = u32::from_le_bytes(length.try_into().expect("four bytes")) as usize;
    let (pages, footer) = body.split_at(body.len() - length);
    // After the root's name: field 5, its number of columns, a one-byte number.
    let name = footer
        .windows(6)
        .position(|bytes| bytes == b"schema")
        .expect("the root")
        + 6;
    assert_eq!(footer[name..name + 2], [0x15, 8]);
    for (columns, found) in [
        (&[0xfe, 0xff, 0xff, 0xff, 0x0f][..], 2_147_483_647),
        (&[0xc8, 0x01], 100),
    ] {
        let footer = [&footer[..=name], columns, &footer[name + 2..]].concat();
        let bytes = [pages, &footer, &(footer.len() as u32).to_le_bytes(), b"PAR1"].concat();
        let size = bytes.len();
        check(
            "rte",
            "train.parquet",
            &bytes,
            &format!(
                "DIR/train.parquet: expected a whole parquet file of {size} bytes: Parquet error: a group of {found} columns \
                 in a schema of 5 elements"
            ),
        );
    }
}

#[test]
fn too_few_rows_to_divide() {
    let root = tempfile::tempdir().expect("a temporary folder");
    for name in ["train.tsv", "dev.tsv"] {
        fs::write(root.path().join(name), RTE).expect("a writable folder");
    }
    let message = load_task(&named("rte"), root.path(), &LoadOptions::default())
        .expect_err("one row")
        .to_string();
    assert_eq!(
        message,
        "rte: the validation split needs at least 2 rows to be divided, found 1"
    );
    for name in ["train.tsv", "dev.tsv"] {
        fs::write(root.path().join(name), "sentence\tlabel\na pot\t1\n").expect("a writable folder");
    }
    let message = load_task(&named("sst2"), root.path(), &LoadOptions::default())
        .expect_err("one row")
        .to_string();
    assert_eq!(
        message,
        "sst2: the train split needs at least 1001 rows to be divided, found 1"
    );
}

#[test]
fn tokenizer_files() {
    let root = tempfile::tempdir().expect("a temporary folder");
    fs::write(root.path().join("spiece.model"), b"x").expect("a writable folder");
    let message = TextTokenizer::from_dir(root.path())
        .expect_err("no tokenizer")
        .to_string();
    assert!(
        message.ends_with(": expected a tokenizer.json, or vocab.json and merges.txt, found spiece.model"),
        "{message}"
    );
    let file = root.path().join("tokenizer.json");
    let format = "expected a Hugging Face tokenizer file: ";
    for (bytes, expected) in [
        (&b""[..], "an empty file"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"{", format),
        (b"{}", format),
        (b"\xff", format),
        (b"[1, 2]", format),
    ] {
        fs::write(&file, bytes).expect("a writable folder");
        let message = TextTokenizer::from_dir(root.path())
            .expect_err("no tokenizer")
            .to_string();
        assert!(message.contains(&format!("tokenizer.json: {expected}")), "{message}");
    }
    assert!(TextTokenizer::from_file(&root.path().join("none.json")).is_err());
}
