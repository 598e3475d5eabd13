//! A task whose files have arbitrary bytes: writes them, loads the task, and validates the result. Shared by the
//! property tests here and the fuzz targets (`fuzz/` at the repository's root).

use std::fs;
use std::path::{Path, PathBuf};

use adept_data::task::{FormCard, Format, Place};
use adept_data::{DataError, LoadOptions, Task, TaskData, check_task, load_task};

/// A card with two text fields and one or more answers.
const CARD: &str = r#"
name = "fed"
display = "Fed"
about = "Whatever it is given."
[source]
pieces = [{ marker = "first:", field = "first" }, { marker = "second:", field = "second" }]
[target]
kind = "answer"
field = "answer"
[split]
rule = "official"
[metrics]
all = ["em"]
[[forms]]
name = "form"
files = { train = ["rows"], validation = ["rows"], test = ["rows"] }
"#;

/// Appended to the form of [`CARD`] for files without a header line.
const HEADER: &str = "header = [\"first\", \"second\", \"answer\"]\n";

/// Location of a document's rows: in nested lists.
const NESTED: &str = "each = [{ path = \"data\", as = \"part\" }, { path = \"part.rows\", as = \"row\" }]\n\
                      fields = { first = \"row.first\", second = \"row.second\", answer = \"row.answer\" }\n";

/// The file shapes that readers distinguish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Tsv,
    TsvWithoutHeader,
    Csv,
    CsvWithoutHeader,
    JsonLines,
    /// An object with nested lists.
    JsonDocument,
    /// A list of objects.
    JsonList,
    Parquet,
}

impl Shape {
    /// Every shape, for tests that compare them.
    pub const ALL: [Self; 8] = [
        Self::Tsv,
        Self::TsvWithoutHeader,
        Self::Csv,
        Self::CsvWithoutHeader,
        Self::JsonLines,
        Self::JsonDocument,
        Self::JsonList,
        Self::Parquet,
    ];

    fn card(self) -> String {
        let (format, rest) = match self {
            Self::Tsv => ("tsv", ""),
            Self::TsvWithoutHeader => ("tsv", HEADER),
            Self::Csv => ("csv", ""),
            Self::CsvWithoutHeader => ("csv", HEADER),
            Self::JsonLines => ("jsonl", ""),
            Self::JsonDocument => ("json", NESTED),
            Self::JsonList => ("json", ""),
            Self::Parquet => ("parquet", ""),
        };
        format!("{CARD}format = \"{format}\"\n{rest}")
    }
}

/// A task, the folder it is loaded from, and its files there.
pub struct Feed {
    root: tempfile::TempDir,
    task: Task,
    files: Vec<PathBuf>,
    /// Number of the first line or row.
    first: usize,
}

impl Feed {
    /// For the task of [`CARD`].
    pub fn new(shape: Shape) -> Self {
        let task = Task::from_card(&shape.card()).unwrap_or_else(|fault| panic!("{shape:?}: {fault}"));
        Self::of(task, 0, shape == Shape::Parquet)
    }

    /// For one form of a task; `parquet` selects the format if the form allows several.
    pub fn of(task: Task, form: usize, parquet: bool) -> Self {
        let root = tempfile::tempdir().expect("a temporary folder");
        let card = task.card();
        let form = &card.forms[form];
        let mut files: Vec<PathBuf> = Vec::new();
        for split in std::iter::once("train").chain(card.split.held_out()) {
            let file = root.path().join(file_name(form, split, parquet));
            fs::create_dir_all(file.parent().expect("a folder")).expect("a writable folder");
            if !files.contains(&file) {
                files.push(file);
            }
        }
        let first = usize::from(!parquet && form.format != Format::Json);
        Self {
            root,
            task,
            files,
            first,
        }
    }

    /// Loads the task with these bytes in all of its files.
    pub fn load(&self, bytes: &[u8]) -> Result<TaskData, DataError> {
        for file in &self.files {
            fs::write(file, bytes).expect("a writable folder");
        }
        load_task(&self.task, self.root.path(), &LoadOptions::default())
    }

    /// Loads the task with these bytes in all of its files, and validates the error if there is one.
    ///
    /// # Panics
    /// If the loader panics, or if an error does not identify the fault: the file and, for a row, line and field.
    pub fn check(&self, bytes: &[u8]) -> Result<TaskData, DataError> {
        let loaded = self.load(bytes);
        if let Err(error) = &loaded {
            self.judge(error, bytes);
        }
        loaded
    }

    /// A document's rows count from 0; a file with a list is a document, whatever its extension.
    fn judge(&self, error: &DataError, bytes: &[u8]) {
        let text = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
        let is_list = text.trim_ascii_start().starts_with(b"[");
        let (first, last) = match is_list || self.first == 0 {
            true => (0, usize::MAX),
            false => (self.first, last_line(bytes)),
        };
        use DataError as E;
        let message = error.to_string();
        let (file, line, field) = match error {
            E::EmptyFile { file, .. }
            | E::Io { file, .. }
            | E::MissingColumn { file, .. }
            | E::JsonDocument { file, .. }
            | E::NotText { file, .. }
            | E::StandIn { file, .. }
            | E::DoubleColumn { file, .. }
            | E::ParquetCodec { file, .. }
            | E::Parquet { file, .. }
            | E::ParquetDamaged { file, .. }
            | E::ParquetRows { file, .. } => (file, None, None),
            E::ColumnCount { file, line, .. }
            | E::NotUtf8 { file, line, .. }
            | E::NotUtf8Field { file, line, .. }
            | E::Json { file, line, .. }
            | E::Table { file, line, .. }
            | E::Csv { file, line, .. } => (file, Some(*line), None),
            E::FieldType { file, line, field, .. }
            | E::EmptyField { file, line, field }
            | E::UnknownLabel { file, line, field, .. }
            | E::HiddenLabel { file, line, field, .. }
            | E::AmbiguousLabel { file, line, field, .. }
            | E::NoAnswer { file, line, field } => (file, Some(*line), Some(field)),
            E::MissingField {
                file, line, expected, ..
            } => (file, Some(*line), Some(expected)),
            E::NoForm { misfits, .. } => {
                assert!(!misfits.is_empty(), "{message}");
                return misfits.iter().for_each(|(_, misfit)| self.judge(misfit, bytes));
            }
            // The files are fine but have too few rows for the task's split rule.
            E::TooFewRows { .. } => return,
            _ => panic!("no fault of a file: {message}"),
        };
        assert!(self.files.contains(file), "another file: {message}");
        assert!(message.starts_with(&file.display().to_string()), "no file: {message}");
        if let Some(line) = line {
            assert!(
                (first..=last).contains(&line),
                "expected a line from {first} to {last}: {message}"
            );
            assert!(message.contains(&format!(":{line}: ")), "no line: {message}");
        }
        if let Some(field) = field {
            assert!(self.knows(field), "a field the card does not know: {message}");
            assert!(message.contains(&format!("`{field}`")), "no field: {message}");
        }
    }

    /// Whether an error may use this name for a field: its name, its place, or a key on the path to it.
    fn knows(&self, field: &str) -> bool {
        let card = self.task.card();
        let mut places: Vec<&str> = card.fields(false);
        for form in &card.forms {
            places.extend(form.each.iter().map(|each| each.path.as_str()));
            for place in form.fields.values() {
                match place {
                    Place::Path(path) => places.push(path),
                    Place::List(list) => places.extend(
                        [Some(list.path.as_str()), list.parts_of.as_deref()]
                            .into_iter()
                            .flatten(),
                    ),
                    Place::Paragraphs(paragraphs) => places.extend([paragraphs.titles.as_str(), &paragraphs.sentences]),
                    Place::Messages(place) => {
                        places.extend(std::iter::once(place.messages.as_str()).chain(place.before.as_deref()))
                    }
                }
            }
        }
        places
            .iter()
            .any(|place| *place == field || place.split('.').any(|key| key.trim_end_matches("[]") == field))
    }
}

/// Parses a card; if it is valid, calls everything that needs no data, and looks for its data in an empty folder.
///
/// # Panics
/// If any of it panics, or if a card is rejected without a line or key.
pub fn check_card(text: &str) {
    match Task::from_card(text) {
        Err(message) => {
            let named = message.starts_with("line ") || message.starts_with('`');
            assert!(named, "neither line nor key: {message}");
        }
        Ok(task) => {
            task.target_length();
            task.labels();
            task.report_metric();
            let empty = tempfile::tempdir().expect("a temporary folder");
            assert!(load_task(&task, empty.path(), &LoadOptions::default()).is_err());
            assert!(check_task(&task, empty.path()).is_err());
        }
    }
}

/// Number of the last line of a text file; unbounded for compressed files.
fn last_line(bytes: &[u8]) -> usize {
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return usize::MAX;
    }
    let ends = |(at, byte): (usize, &u8)| *byte == b'\r' || (*byte == b'\n' && (at == 0 || bytes[at - 1] != b'\r'));
    1 + bytes.iter().enumerate().filter(|&pair| ends(pair)).count()
}

/// The preferred file name of a split.
fn file_name(form: &FormCard, split: &str, parquet: bool) -> String {
    let stem = &form.files[split][0];
    let known = ["tsv", "csv", "txt", "json", "jsonl", "parquet"];
    let ending = Path::new(stem).extension().and_then(|ending| ending.to_str());
    if ending.is_some_and(|ending| known.contains(&ending)) {
        return stem.clone();
    }
    let ending = match form.format {
        Format::Tsv => "tsv",
        Format::Csv => "csv",
        Format::Json => "json",
        Format::Parquet => "parquet",
        Format::Hub | Format::Any if parquet => "parquet",
        Format::Jsonl | Format::Hub | Format::Any => "jsonl",
    };
    format!("{stem}.{ending}")
}
