//! All errors of reading and tokenising data, as one enum whose variants carry the figures: file, line, field, what was
//! expected and what was found. Lines and columns count from 1; rows of a parquet file count from 0 as its tools do.

use std::path::{Path, PathBuf};

use adept_files::NotText;

use crate::table::TableFault;

/// Why data could not be read, tokenised or batched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A task name that is not among the built-in cards.
    #[error("unknown task `{found}`: expected one of {expected}, or a card's path, which ends in .toml")]
    UnknownTask {
        /// The name given.
        found: String,
        /// The built-in names.
        expected: String,
    },
    /// The operating system refused to read a file or folder.
    #[error("{}: cannot be read: {source}", file.display())]
    Io {
        /// The file or folder.
        file: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A stand-in for a file: a Git LFS pointer, a web page, a dangling link.
    #[error("{}: {what}", file.display())]
    StandIn {
        /// The file.
        file: PathBuf,
        /// What was found instead.
        what: adept_files::StandIn,
    },
    /// The operating system refused to write a file.
    #[error("{}: cannot be written: {source}", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// No file of a split was found.
    #[error(
        "{}: no file for the {split} split of {task}: expected one of {}; found {}",
        folder.display(), expected.join(", "), listed(found)
    )]
    MissingFile {
        /// The folder searched.
        folder: PathBuf,
        /// Reference name of the task.
        task: Box<str>,
        /// The split as the official files call it.
        split: Box<str>,
        /// File names that would be read, in order of preference.
        expected: Vec<String>,
        /// What the folder holds (the first dozen names, sorted).
        found: Vec<String>,
    },
    /// Parts of a sharded file are missing.
    #[error("{}: {found} of {expected} shards of the {split} split found; the first missing one is shard {missing}", folder.display())]
    MissingShard {
        /// The folder searched.
        folder: PathBuf,
        /// The split as its files call it.
        split: String,
        /// Number of parts according to the file names.
        expected: usize,
        /// Number of parts found.
        found: usize,
        /// Number of the first missing part in the file names (from 0).
        missing: usize,
    },
    /// A file without rows.
    #[error("{}: expected at least one row, found none ({bytes} bytes)", file.display())]
    EmptyFile {
        /// The file.
        file: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// Invalid UTF-8.
    #[error("{}:{line}: expected UTF-8, found byte 0x{byte:02x} at byte {column} of the line", file.display())]
    NotUtf8 {
        /// The file.
        file: PathBuf,
        /// Line of the byte.
        line: usize,
        /// Position of the byte in its line, counted in bytes.
        column: usize,
        /// The offending byte.
        byte: u8,
    },
    /// A file that is not UTF-8 text, judging by its first bytes.
    #[error("{}: {what}", file.display())]
    NotText {
        /// The file.
        file: PathBuf,
        /// What it is instead.
        what: NotText,
    },
    /// A malformed table or JSON text.
    #[error("{}:{line}: {fault}", file.display())]
    Table {
        /// The file.
        file: PathBuf,
        /// Line or row.
        line: usize,
        /// What is wrong.
        fault: TableFault,
    },
    /// A required column that occurs twice in the header or schema.
    #[error("{}: expected one column `{column}`, found two, columns {first} and {second}", file.display())]
    DoubleColumn {
        /// The file.
        file: PathBuf,
        /// The column.
        column: String,
        /// The first of them, from 1.
        first: usize,
        /// The second.
        second: usize,
    },
    /// A row with too few or too many columns.
    #[error("{}:{line}: expected {expected} columns, found {found}", file.display())]
    ColumnCount {
        /// The file.
        file: PathBuf,
        /// Line of the row.
        line: usize,
        /// Columns of the header, or of the format if it has no header.
        expected: usize,
        /// Columns of this row.
        found: usize,
    },
    /// A required column is missing from the header or schema.
    #[error("{}: expected a column `{expected}`, found {}", file.display(), listed(found))]
    MissingColumn {
        /// The file.
        file: PathBuf,
        /// The column needed.
        expected: String,
        /// The columns found.
        found: Vec<String>,
    },
    /// A column or JSON field of the wrong type.
    #[error("{}:{line}: field `{field}`: expected {expected}, found {found}", file.display())]
    FieldType {
        /// The file.
        file: PathBuf,
        /// Line (JSON) or row (parquet; 0 if the whole column is meant).
        line: usize,
        /// The field.
        field: String,
        /// Accepted types.
        expected: &'static str,
        /// The type found.
        found: String,
    },
    /// An empty text field, in a task whose official files have none.
    #[error("{}:{line}: field `{field}`: expected text, found nothing", file.display())]
    EmptyField {
        /// The file.
        file: PathBuf,
        /// Line or row.
        line: usize,
        /// The field.
        field: String,
    },
    /// A label that is not a class of the task, or a score out of range.
    #[error("{}:{line}: field `{field}`: expected {expected}, found `{found}`", file.display())]
    UnknownLabel {
        /// The file.
        file: PathBuf,
        /// Line or row.
        line: usize,
        /// The label's column.
        field: String,
        /// The valid labels.
        expected: Box<str>,
        /// The label found.
        found: Box<str>,
    },
    /// A label with two possible meanings.
    #[error(
        "{}:{line}: field `{field}`: expected a class name, found `{found}`, which is ambiguous: `{}` by number, or \
         {}", file.display(), meanings[0], meanings[1]
    )]
    AmbiguousLabel {
        /// The file.
        file: PathBuf,
        /// Line or row.
        line: usize,
        /// The label's column.
        field: String,
        /// The label found.
        found: Box<str>,
        /// The class with this number, and the other meaning.
        meanings: Box<[String; 2]>,
    },
    /// A label hidden by the dataset's authors (-1), in a split that needs labels.
    #[error("{}:{line}: field `{field}`: expected {expected}, found the hidden label -1", file.display())]
    HiddenLabel {
        /// The file.
        file: PathBuf,
        /// Line or row.
        line: usize,
        /// The label's column.
        field: String,
        /// The valid labels.
        expected: String,
    },
    /// A required field is missing from a JSON object.
    #[error("{}:{line}: expected a field `{expected}`, found {}", file.display(), listed(found))]
    MissingField {
        /// The file.
        file: PathBuf,
        /// Line of the object.
        line: usize,
        /// The field needed.
        expected: String,
        /// The fields found.
        found: Vec<String>,
    },
    /// A line that is not a JSON object.
    #[error("{}:{line}: expected one JSON object, found {} at byte {column}", file.display(), json_fault(fault))]
    Json {
        /// The file.
        file: PathBuf,
        /// Line in the file.
        line: usize,
        /// Position in the line.
        column: usize,
        /// The parser's error. Not a `source`, since its message counts lines from the single line it was given.
        fault: serde_json::Error,
    },
    /// A truncated or corrupt parquet file.
    #[error("{}: expected a whole parquet file of {bytes} bytes: {source}", file.display())]
    Parquet {
        /// The file.
        file: PathBuf,
        /// Its size.
        bytes: u64,
        /// The reader's error.
        source: parquet::errors::ParquetError,
    },
    /// A corrupt parquet file on which the decoder panicked.
    #[error("{}: expected a whole parquet file of {bytes} bytes, found one that cannot be decoded", file.display())]
    ParquetDamaged {
        /// The file.
        file: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// A parquet column with an unsupported codec.
    #[error(
        "{}: column `{column}`: expected a supported codec (none, snappy, gzip, brotli, zstd, lz4), found {codec}; \
         rewrite the file with one of them", file.display()
    )]
    ParquetCodec {
        /// The file.
        file: PathBuf,
        /// The column.
        column: String,
        /// Its codec.
        codec: String,
    },
    /// Parquet columns of different lengths.
    #[error("{}: column `{column}`: expected {expected} rows, found {found}", file.display())]
    ParquetRows {
        /// The file.
        file: PathBuf,
        /// The column.
        column: String,
        /// Rows according to the file's metadata.
        expected: usize,
        /// Rows decoded.
        found: usize,
    },
    /// An invalid task card.
    #[error("{}: expected a task card: {message}", file.display())]
    Card {
        /// The file.
        file: PathBuf,
        /// What is wrong, and where.
        message: String,
    },
    /// A single file, for a task whose held-out rows are in separate files.
    #[error("{}: expected a folder: {task} has separate files for {splits}", file.display())]
    OneFile {
        /// The file.
        file: PathBuf,
        /// Name of the task.
        task: String,
        /// The official splits that it needs besides training.
        splits: String,
    },
    /// A file extension that no supported format has.
    #[error("{}: expected a file extension among {expected}, optionally followed by .gz", file.display())]
    UnknownEnding {
        /// The file.
        file: PathBuf,
        /// Supported extensions.
        expected: String,
    },
    /// Files whose rows fit none of the forms that match their names.
    #[error("{task}: expected files in one of these forms: {}", misfits.iter().map(|(form, fault)| format!("{form} ({fault})")).collect::<Vec<_>>().join("; "))]
    NoForm {
        /// Name of the task.
        task: String,
        /// Each form that was tried, and why it did not fit.
        misfits: Vec<(String, DataError)>,
    },
    /// Two parts of a split with the same number.
    #[error("{}: expected one file for shard {part} of the {split} split, found {}", folder.display(), files.join(" and "))]
    DoubleShard {
        /// The folder searched.
        folder: PathBuf,
        /// The split as its files call it.
        split: String,
        /// The part's number in the file names (from 0).
        part: usize,
        /// The two files.
        files: Vec<String>,
    },
    /// An invalid JSON document.
    #[error("{}: expected one JSON document: {source}", file.display())]
    JsonDocument {
        /// The file.
        file: PathBuf,
        /// The parser's error, with line and column.
        source: serde_json::Error,
    },
    /// Invalid UTF-8 in a field of a comma-separated file.
    #[error("{}:{line}: expected UTF-8, found other bytes in column {column}", file.display())]
    NotUtf8Field {
        /// The file.
        file: PathBuf,
        /// Line where the row begins.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// Any other error in a comma-separated file.
    #[error("{}:{line}: expected comma-separated values: {message}", file.display())]
    Csv {
        /// The file.
        file: PathBuf,
        /// Line where the row begins.
        line: usize,
        /// The reader's error.
        message: String,
    },
    /// A row without an answer, in a task where every row has one.
    #[error("{}:{line}: field `{field}`: expected at least one answer, found none", file.display())]
    NoAnswer {
        /// The file.
        file: PathBuf,
        /// Line or row.
        line: usize,
        /// The answers' field.
        field: String,
    },
    /// Fewer few-shot rows than classes.
    #[error("{task}: expected at least {classes} few-shot rows, one per class, found {rows}")]
    FewShot {
        /// Name of the task.
        task: String,
        /// Rows requested.
        rows: usize,
        /// Number of classes of the task.
        classes: usize,
    },
    /// Too few rows to divide into the task's splits.
    #[error("{task}: the {split} split needs at least {expected} rows to be divided, found {found}")]
    TooFewRows {
        /// Reference name of the task.
        task: String,
        /// The official split to be divided.
        split: String,
        /// Rows needed.
        expected: usize,
        /// Rows found.
        found: usize,
    },
    /// Neither `tokenizer.json` nor `vocab.json` and `merges.txt`.
    #[error("{}: expected a tokenizer.json, or vocab.json and merges.txt, found {}", folder.display(), listed(found))]
    MissingTokenizer {
        /// The folder searched.
        folder: PathBuf,
        /// What it holds (the first dozen names, sorted).
        found: Vec<String>,
    },
    /// A tokenizer file that cannot be loaded.
    #[error("{}: expected a Hugging Face tokenizer file: {source}", file.display())]
    Tokenizer {
        /// The file.
        file: PathBuf,
        /// The library's error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A tokenizer file whose patterns would take hundreds of megabytes when compiled.
    #[error(
        "{}: expected patterns of at most {most} character classes, counted with repetition, found {classes}",
        file.display()
    )]
    TokenizerPatterns {
        /// The file.
        file: PathBuf,
        /// Character classes in all its patterns.
        classes: usize,
        /// The limit.
        most: usize,
    },
    /// Byte-pair files that do not form a valid tokenizer.
    #[error(transparent)]
    Bpe(#[from] crate::tokenizer::BpeError),
    /// Text or ids that the tokenizer rejects.
    #[error("row {row}: the tokenizer failed: {source}")]
    Tokenize {
        /// Row in the tokenised batch, 0 for single texts.
        row: usize,
        /// The library's error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A batch option that must be at least one.
    #[error("batch option `{option}`: expected at least 1, found 0")]
    ZeroOption {
        /// Name of the field.
        option: &'static str,
    },
    /// Bucket widths that do not ascend to the maximum.
    #[error("batch option `buckets`: expected ascending widths that end at {expected}, found {found:?}")]
    Buckets {
        /// The maximum source length.
        expected: usize,
        /// The widths given.
        found: Vec<usize>,
    },
    /// An id that does not fit the backbone's 32-bit signed ids.
    #[error("row {row}: expected token ids up to {}, found {found}", i32::MAX)]
    TokenId {
        /// The row.
        row: usize,
        /// The id.
        found: u32,
    },
    /// Nothing to batch.
    #[error("expected at least one row to batch, found none")]
    NoRows,
    /// Invalid messages of a conversation.
    #[error("{}:{line}: field `{field}`: {fault}", file.display())]
    Conversation {
        /// The file.
        file: PathBuf,
        /// Line or row.
        line: usize,
        /// The field, with the number of the message from 0.
        field: String,
        /// What is wrong.
        fault: crate::ConversationFault,
    },
    /// A conversation that the chat template cannot render, or whose answers cannot be told from it.
    #[error("{}:{line}: {fault}", file.display())]
    ConversationTemplate {
        /// The file with the conversation.
        file: PathBuf,
        /// Line or row.
        line: usize,
        /// The template's error.
        fault: Box<crate::ChatError>,
    },
    /// A conversation for rows without a chat template.
    #[error("conversations need a decoder-only backbone whose tokenizer has a chat template")]
    NoConversations,
    /// A chat template failed to load or render.
    #[error(transparent)]
    Chat(#[from] crate::template::ChatError),
    /// An error of pretraining's text, tokens or mixture.
    #[error(transparent)]
    Pretrain(#[from] crate::pretrain::PretrainError),
}

impl DataError {
    /// Rejects stand-ins for a file.
    pub(crate) fn check_stand_in(file: &Path) -> Result<(), Self> {
        match adept_files::StandIn::at(file) {
            None => Ok(()),
            Some(what) => Err(Self::StandIn {
                file: file.to_path_buf(),
                what,
            }),
        }
    }

    /// Whether a row lacks a field, or has one of the wrong type.
    pub(crate) fn is_about_fields(&self) -> bool {
        matches!(
            self,
            Self::MissingColumn { .. } | Self::MissingField { .. } | Self::FieldType { .. }
        )
    }

    /// Whether a row lacks a field or has one of the wrong type, which suggests that the file has another form.
    pub(crate) fn is_about_shape(&self) -> bool {
        matches!(
            self,
            Self::MissingColumn { .. }
                | Self::MissingField { .. }
                | Self::FieldType { .. }
                | Self::ColumnCount { .. }
                | Self::Table { .. }
                | Self::Json { .. }
                | Self::JsonDocument { .. }
        )
    }
}

/// Category of a JSON error, without serde's line number (the parser sees one line at a time).
fn json_fault(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        serde_json::error::Category::Eof => "the end of the line",
        serde_json::error::Category::Data => "another kind of value",
        serde_json::error::Category::Syntax | serde_json::error::Category::Io => "a syntax error",
    }
}

/// Names as shown in error messages.
fn listed(names: &[String]) -> String {
    if names.is_empty() {
        "nothing".to_string()
    } else {
        names.join(", ")
    }
}
