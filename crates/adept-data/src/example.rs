//! What the readers hand on: text examples, the three splits of a task, and the files they came from.

/// One text-to-text example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// 0-based row of the official split it came from, counted over the rows the reader keeps. It is the row number of
    /// the hub's parquet file as well, so that the same example has the same id whatever format it was read from.
    pub id: usize,
    /// Id of the first row that belongs together with this one where a task is scored by groups (a question of MultiRC);
    /// else its own.
    pub group: usize,
    /// The input text: the task's pieces, each after its marker, joined by one space.
    pub source: String,
    /// What the model is to write: the class's digit, a score, an answer.
    pub target: String,
    /// Every right answer of a task whose targets are answers; of programs the text that tests one, then the names that it
    /// takes from it; else none.
    pub golds: Vec<String>,
}

/// The three splits of a task as the paper uses them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskData {
    /// Training rows.
    pub train: Vec<Example>,
    /// Rows that choose the best checkpoint.
    pub validation: Vec<Example>,
    /// Rows whose score is reported.
    pub test: Vec<Example>,
    /// The files read, in reading order.
    pub files: Vec<DataFile>,
}

/// A file that was read, as a run's record names it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DataFile {
    /// Path relative to the folder the task was loaded from, with `/` between its parts.
    pub name: String,
    /// SHA-256 of the file's bytes, lower-case hex.
    pub sha256: String,
    /// Rows kept.
    pub rows: usize,
    /// Rows left out because they carry no label (QQP's official files hold a few).
    pub skipped: usize,
    /// Text fields that are empty and were kept (a task's card says whether they are refused).
    pub empty_fields: usize,
}

/// One example as token ids, without padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Source ids, `</s>` included.
    pub source: Vec<u32>,
    /// Target ids, `</s>` included.
    pub target: Vec<u32>,
}
