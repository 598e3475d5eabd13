//! The forms that a task's files come in, as its card has them: which files, how they are read, where the fields stand.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One form that a task's files come in.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FormCard {
    /// What it is called.
    pub name: String,
    /// How the files are read.
    #[serde(default)]
    pub format: Format,
    /// Names of a split's files, the preferred one first: with an ending, a file; without, the format's endings are
    /// tried, and for the hub's forms parts and folders of parts as well. Every name may be followed by `.gz`.
    #[serde(default = "plain_files")]
    pub files: BTreeMap<String, Vec<String>>,
    /// Where a field of the card stands in a row, if not in the column or key of its own name.
    #[serde(default)]
    pub fields: BTreeMap<String, Place>,
    /// Names of the classes in these files, where they differ from the card's.
    #[serde(default)]
    pub classes: Vec<String>,
    /// Columns of files that have no header line.
    #[serde(default)]
    pub header: Vec<String>,
    /// Lists inside one row that are rows themselves, from the outermost: each of its items is bound to a name.
    #[serde(default)]
    pub each: Vec<Each>,
    /// Key of a first line that is no row (MRQA's `header`).
    #[serde(default)]
    pub header_key: Option<String>,
}

impl FormCard {
    /// Refuses a header with one of these fields' columns twice.
    pub(super) fn check_header(&self, fields: &[&str]) -> Result<(), String> {
        let columns = fields.iter().filter_map(|field| match self.fields.get(*field) {
            None => Some(*field),
            Some(Place::Path(column)) => Some(column.as_str()),
            Some(Place::List(_) | Place::Paragraphs(_)) => None,
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

    /// Refuses names of its own for other classes than the card's.
    pub(super) fn check_classes(&self, classes: &[String]) -> Result<(), String> {
        let key = format!("forms.classes` of form `{}", self.name);
        if !self.classes.is_empty() && self.classes.len() != classes.len() {
            let (expected, found) = (classes.len(), self.classes.len());
            return Err(format!(
                "`{key}`: expected {expected} classes as the card has, found {found}"
            ));
        }
        check_names(&key, &self.classes)
    }
}

/// Refuses a name that stands for two classes.
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
    /// The list, as a path from the row or from a name bound before.
    pub path: String,
    /// The name its items are bound to.
    #[serde(rename = "as")]
    pub name: String,
}

/// Where a field stands: a column, or a path of keys parted by dots; `[]` behind a key goes through a list.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Place {
    /// A column or path.
    Path(String),
    /// A list made of another.
    List(ListPlace),
    /// A text made of paragraphs with titles.
    Paragraphs(ParagraphsPlace),
}

/// A text made of paragraphs with titles: `[PAR] [TLE] title [SEP] sentences` each, as MRQA writes HotpotQA's contexts.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParagraphsPlace {
    /// The list of titles.
    pub titles: String,
    /// The list of the paragraphs' lists of sentences.
    pub sentences: String,
}

/// A list made of another.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListPlace {
    /// The list.
    pub path: String,
    /// A text of which the list's items are parts: objects with `start` and `end`, the last character included.
    #[serde(default)]
    pub parts_of: Option<String>,
    /// Whether the items are sorted and each is kept once.
    #[serde(default)]
    pub unique: bool,
}

/// How a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Tab-separated, without quoting.
    Tsv,
    /// Comma-separated, quoted as RFC 4180 says.
    Csv,
    /// One JSON object a line.
    Jsonl,
    /// One JSON document.
    Json,
    /// Parquet, also in parts.
    Parquet,
    /// What the hub holds: JSON lines or parquet.
    Hub,
    /// Any of them, as the file's ending says.
    #[default]
    Any,
}

/// The one form of a card that names none: a table in any format, its columns or keys named as the card's fields.
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

/// What people call the files of the three splits.
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
