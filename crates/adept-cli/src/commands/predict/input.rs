//! Input of `adept predict`: one text or one JSON object, with a text or the messages of a conversation, per line. Line
//! endings and encodings are handled as in data files: LF, CRLF and CR, byte-order mark removed, plain or gzip.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

use adept_data::text::json_object;
use adept_data::{Conversation, ConversationPlace, DataError, EndsWith, RawMessages, RowEncoder, TextLines};
use serde_json::{Map, Value};

use crate::failure::Failure;

/// Texts read before their predictions are written: enough to group them by length, few enough to lose little by an
/// interruption.
const BLOCK: usize = 256;

/// What to predict for.
enum Asked {
    /// A text.
    Text(String),
    /// Messages, the last of which is a question.
    Messages(Conversation),
}

/// One line of the input.
pub struct Line {
    asked: Asked,
    /// With `--jsonl`, the object that contained it.
    object: Option<Map<String, Value>>,
}

impl Line {
    /// The text that is tokenised.
    ///
    /// # Errors
    /// Messages without a chat template, or with one that fails to render.
    pub fn prompt<'l>(&'l self, encoder: RowEncoder<'_>) -> Result<Cow<'l, str>, DataError> {
        match &self.asked {
            Asked::Text(text) => encoder.prompt(text),
            Asked::Messages(told) => encoder.question(told),
        }
    }

    /// The output line for a prediction.
    pub fn with(&self, prediction: &str) -> String {
        match &self.object {
            Some(object) => {
                let mut object = object.clone();
                object.insert("prediction".to_owned(), prediction.into());
                Value::Object(object).to_string()
            }
            // Line breaks are replaced to keep one line per text.
            None => prediction.replace(['\n', '\r'], " "),
        }
    }
}

/// The lines of the input, read in blocks.
pub struct Input {
    lines: TextLines,
    name: PathBuf,
    jsonl: bool,
    read: usize,
}

impl Input {
    /// Opens a file, or standard input if the path is `-`.
    pub fn open(path: &Path, jsonl: bool) -> Result<Self, Failure> {
        match path == Path::new("-") {
            true => Self::of(io::stdin(), path, jsonl),
            false => Ok(Self {
                lines: TextLines::open(path).map_err(Failure::input)?,
                name: path.to_owned(),
                jsonl,
                read: 0,
            }),
        }
    }

    fn of(bytes: impl io::Read + 'static, name: &Path, jsonl: bool) -> Result<Self, Failure> {
        Ok(Self {
            lines: TextLines::of(bytes, name).map_err(Failure::input)?,
            name: name.to_owned(),
            jsonl,
            read: 0,
        })
    }

    /// Number of lines read so far.
    pub fn lines_read(&self) -> usize {
        self.read
    }

    /// The next block; empty at the end.
    pub fn block(&mut self) -> Result<Vec<Line>, Failure> {
        let mut block = Vec::new();
        while block.len() < BLOCK {
            let Some((number, text)) = self.lines.next_line().map_err(Failure::input)? else {
                break;
            };
            self.read = number;
            block.push(match self.jsonl {
                true => object(&self.name, number, text)?,
                false => Line {
                    asked: Asked::Text(text.to_owned()),
                    object: None,
                },
            });
        }
        Ok(block)
    }
}

/// A line with a text under `source` or `prompt`, or with messages under `messages`, `conversations` or `prompt`.
fn object(file: &Path, line: usize, text: &str) -> Result<Line, Failure> {
    let object = json_object(file, line, text).map_err(Failure::input)?;
    let place = || format!("{}:{line}", file.display());
    let asked = ["source", "prompt", "messages", "conversations"]
        .into_iter()
        .find_map(|key| Some((key, object.get(key)?)));
    let asked = match asked {
        Some(("source" | "prompt", Value::String(text))) => Asked::Text(text.clone()),
        Some((field @ ("prompt" | "messages" | "conversations"), Value::Array(items))) => {
            let items = items.iter().collect();
            let told = ConversationPlace {
                file: file.into(),
                line,
            };
            let raw = RawMessages {
                items,
                first_trained: 0,
                row: &object,
            };
            let told = Conversation::read(field, &raw, EndsWith::Question, told);
            let told =
                told.map_err(|(field, fault)| Failure::input(format!("field `{field}`: {fault}")).context(place()))?;
            Asked::Messages(told)
        }
        Some((field, other)) => {
            let expected = match field {
                "source" => "text",
                "prompt" => "text or messages",
                _ => "messages",
            };
            return Err(
                Failure::input(format!("field `{field}`: expected {expected}, found {other}")).context(place()),
            );
        }
        None => {
            let message = "field `source`: expected text, found nothing (nor `prompt` or `messages`)";
            return Err(Failure::input(message).context(place()));
        }
    };
    Ok(Line {
        asked,
        object: Some(object),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(input: &'static [u8], jsonl: bool, expected: Result<&[&str], &str>) {
        let found = Input::of(io::Cursor::new(input), Path::new("in"), jsonl).and_then(|mut input| input.block());
        let found = found.map_err(|failure| failure.to_string());
        let found = found.map(|block| block.iter().map(|line| line.with("7")).collect::<Vec<_>>());
        match expected {
            Ok(expected) => assert_eq!(found.expect("the input is well formed"), expected),
            Err(expected) => {
                let message = found.expect_err("the input is bad");
                assert!(message.contains(expected), "{message}");
            }
        }
    }

    #[test]
    fn every_line_gives_a_line_and_bad_ones_are_named() {
        check(b"one\r\n\nthree", false, Ok(&["7", "7", "7"]));
        check(b"one\rtwo\r\rfour\r", false, Ok(&["7", "7", "7", "7"]));
        check(b"", false, Ok(&[]));
        check(
            b"one\ntw\xff\n",
            false,
            Err("in:2: expected UTF-8, found byte 0xff at byte 3 of the line"),
        );
        check(
            b"{\"id\":1,\"source\":\"a\"}\n",
            true,
            Ok(&["{\"id\":1,\"source\":\"a\",\"prediction\":\"7\"}"]),
        );
        check(
            b"{\"id\":1}\n",
            true,
            Err("in:1: field `source`: expected text, found nothing"),
        );
        check(
            b"{\"messages\":[{\"role\":\"assistant\",\"content\":\"a\"}]}\n",
            true,
            Err("in:1: field `messages`: expected a last message of the user or of a tool, found one of the assistant"),
        );
        check(b"{\"id\":\n", true, Err("in:1"));
        check(
            b"{\"source\":\"a\"}\n{\"source\":\"a\",\"source\":\"b\"}\n",
            true,
            Err("in:2: duplicate key `source`"),
        );
    }

    #[test]
    fn marks_and_encodings_are_those_of_data_files() {
        let sources = |bytes: &'static [u8], jsonl| {
            let mut input = Input::of(io::Cursor::new(bytes), Path::new("in"), jsonl).expect("text");
            let block = input.block().expect("lines").into_iter();
            let text = |line: Line| match line.asked {
                Asked::Text(text) => text,
                Asked::Messages(told) => format!("{} messages", told.messages.len()),
            };
            block.map(text).collect::<Vec<_>>()
        };
        assert_eq!(sources(b"\xef\xbb\xbfone\ntwo", false), ["one", "two"]);
        assert_eq!(sources(b"\xef\xbb\xbf{\"source\":\"one\"}\n", true), ["one"]);
        assert_eq!(sources(b"{\"prompt\":\"one\"}\n", true), ["one"]);
        let messages = b"{\"messages\":[{\"role\":\"user\",\"content\":\"one\"}]}\n";
        assert_eq!(sources(messages, true), ["1 messages"]);
        assert_eq!(
            sources(b"{\"prompt\":[{\"from\":\"human\",\"value\":\"one\"}]}\n", true),
            ["1 messages"]
        );
        check(
            b"\xff\xfeo\0n\0e\0",
            false,
            Err("in: expected UTF-8, found UTF-16 (little-endian)"),
        );
        check(
            b"\x28\xb5\x2f\xfd\0",
            true,
            Err("in: expected text, plain or gzip, found zstd"),
        );
    }
}
