//! The forms of a task's files, as listed on its card: which files, how they are read, where the fields are.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One form of a task's files.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FormCard {
    /// Name in error messages.
    pub name: String,
    /// How the files are read.
    #[serde(default)]
    pub format: Format,
    /// File names of each split, preferred one first. A name with an extension is a file; without one, the format's
    /// extensions are tried and, for the hub's forms, shards and folders of shards. Any name may be followed by `.gz`.
    #[serde(default = "plain_files")]
    pub files: BTreeMap<String, Vec<String>>,
    /// The place of a card's field in a row, if it is not the column or key of the same name.
    #[serde(default)]
    pub fields: BTreeMap<String, Place>,
    /// Class names in these files, if they differ from the card's.
    #[serde(default)]
    pub classes: Vec<String>,
    /// Column names, for files without a header line.
    #[serde(default)]
    pub header: Vec<String>,
    /// Nested lists whose items are rows, outermost first; each item is bound to a name.
    #[serde(default)]
    pub each: Vec<Each>,
    /// Key of a first line that is not a row (MRQA's `header`).
    #[serde(default)]
    pub header_key: Option<String>,
}

impl FormCard {
    /// Rejects a header in which one of these fields' columns occurs twice.
    pub(super) fn check_header(&self, fields: &[&str]) -> Result<(), String> {
        let columns = fields.iter().filter_map(|field| match self.fields.get(*field) {
            None => Some(*field),
            Some(Place::Path(column)) => Some(column.as_str()),
            Some(Place::List(_) | Place::Paragraphs(_) | Place::Messages(_)) => None,
        });
        for column in columns {
            if self.header.iter().filter(|name| *name == column).count() > 1 {
                return Err(format!(
                    "`forms.header` of form `{}`: expected the column `{column}` once, found it twice",
                    self.name
                ));
            }
        }
        Ok(())
    }

    /// Rejects form-specific class names that do not match the card's classes.
    pub(super) fn check_classes(&self, classes: &[String]) -> Result<(), String> {
        let key = format!("forms.classes` of form `{}", self.name);
        if !self.classes.is_empty() && self.classes.len() != classes.len() {
            let (expected, found) = (classes.len(), self.classes.len());
            return Err(format!(
                "`{key}`: expected {expected} classes, like the card, found {found}"
            ));
        }
        check_names(&key, &self.classes)
    }
}

/// Rejects a name that denotes two classes.
pub(super) fn check_names(key: &str, classes: &[String]) -> Result<(), String> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (class, names) in classes.iter().enumerate() {
        for name in names.split('|') {
            if let Some(first) = seen.insert(name, class) {
                return Err(format!(
                    "`{key}`: expected every name once, found `{name}` for classes {first} and {class}"
                ));
            }
        }
    }
    Ok(())
}

/// A list whose items are rows.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Each {
    /// Path of the list, from the row or from a previously bound name.
    pub path: String,
    /// Name bound to each item.
    #[serde(rename = "as")]
    pub name: String,
}

/// The place of a field: a column, or a path of keys separated by dots; `[]` after a key iterates over a list.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Place {
    /// A column or path.
    Path(String),
    /// A list derived from another.
    List(ListPlace),
    /// A text composed of titled paragraphs.
    Paragraphs(ParagraphsPlace),
    /// The messages of a conversation.
    Messages(MessagesPlace),
}

/// The messages of a conversation, in JSON.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessagesPlace {
    /// Path of the list of messages.
    pub messages: String,
    /// Path of a list of messages before them that are not trained on.
    #[serde(default)]
    pub before: Option<String>,
}

/// A text composed of titled paragraphs, `[PAR] [TLE] title [SEP] sentences` each, as MRQA writes HotpotQA's contexts.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParagraphsPlace {
    /// Path of the list of titles.
    pub titles: String,
    /// Path of the list of the paragraphs' lists of sentences.
    pub sentences: String,
}

/// A list derived from another.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListPlace {
    /// Path of the list.
    pub path: String,
    /// Path of a text that the items are substrings of; the items are objects with `start` and `end` (inclusive).
    #[serde(default)]
    pub parts_of: Option<String>,
    /// Whether to sort the items and drop duplicates.
    #[serde(default)]
    pub unique: bool,
}

/// How a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Tab-separated, without quoting.
    Tsv,
    /// Comma-separated, quoted according to RFC 4180.
    Csv,
    /// One JSON object per line.
    Jsonl,
    /// One JSON document.
    Json,
    /// Parquet, possibly sharded.
    Parquet,
    /// The hub's formats: JSON lines or parquet.
    Hub,
    /// Any of them, by file extension.
    #[default]
    Any,
}

/// Default form of a card without any: a table in any format, with columns or keys named like the card's fields.
pub(super) fn plain_table() -> Vec<FormCard> {
    vec![FormCard {
        name: "table".to_owned(),
        format: Format::Any,
        files: plain_files(),
        fields: BTreeMap::new(),
        classes: Vec::new(),
        header: Vec::new(),
        each: Vec::new(),
        header_key: None,
    }]
}

/// Common file names of the three splits.
fn plain_files() -> BTreeMap<String, Vec<String>> {
    [
        ("train", vec!["train"]),
        ("validation", vec!["validation", "valid", "val", "dev"]),
        ("test", vec!["test"]),
    ]
    .into_iter()
    .map(|(split, names)| (split.to_owned(), names.into_iter().map(str::to_owned).collect()))
    .collect()
}
