//! What the readers produce: text examples, a task's three splits, and the files they came from.

use std::ops::Range;

use crate::conversation::Conversation;

/// One text-to-text example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// 0-based row in its official split, counting only rows the reader keeps. This equals the row number in the hub's
    /// parquet file, so an example has the same id whichever format it was read from.
    pub id: usize,
    /// Id of the first row in its group, if the task is scored by groups (a question of MultiRC); else the row's own
    /// id.
    pub group: usize,
    /// The input text: the task's fields, each preceded by its marker, joined by single spaces.
    pub source: String,
    /// The expected output: a class digit, a score or an answer.
    pub target: String,
    /// All accepted answers, for tasks with answers as targets; for programs, the test code followed by the names that
    /// it uses from the program; else empty.
    pub golds: Vec<String>,
    /// The messages, for tasks of conversations, whose source is the last question and whose target is the last answer.
    pub conversation: Option<Box<Conversation>>,
}

/// The three splits of a task as the paper uses them; `T` is what is kept of an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskData<T = Example> {
    /// Training rows.
    pub train: Vec<T>,
    /// Rows used to select the best checkpoint.
    pub validation: Vec<T>,
    /// Rows used for the reported score.
    pub test: Vec<T>,
    /// The files read, in reading order.
    pub files: Vec<DataFile>,
}

/// A file that was read, as recorded for a run.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DataFile {
    /// Path relative to the folder the task was loaded from, separated by `/`.
    pub name: String,
    /// SHA-256 of the file's bytes, lower-case hex.
    pub sha256: String,
    /// Rows kept.
    pub rows: usize,
    /// Rows skipped for lack of a label (QQP's official files have a few).
    pub skipped: usize,
    /// Empty text fields kept (the task card decides whether they are rejected).
    pub empty_fields: usize,
}

/// One example as token ids, without padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Source ids, `</s>` included.
    pub source: Vec<u32>,
    /// Target ids, `</s>` included.
    pub target: Vec<u32>,
    /// Ranges of the source that are trained on like the target, ascending: earlier answers of a conversation.
    pub answers: Vec<Range<usize>>,
}

impl Encoded {
    /// A row of which only the target is trained on.
    #[must_use]
    pub fn new(source: Vec<u32>, target: Vec<u32>) -> Self {
        Self {
            source,
            target,
            answers: Vec::new(),
        }
    }
}
