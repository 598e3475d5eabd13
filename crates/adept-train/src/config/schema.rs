//! From configuration structs to their schema: fields with types, ranges and meanings.
//!
//! A configuration is declared once, as serde structs whose doc comments say what each field means. `schemars` derives
//! a JSON Schema from them, and [`Schema::of`] flattens that into dotted keys. Beside JSON Schema's own keywords three
//! extensions are read: `x-free` (a field that decides nothing, see [`Field::decides`]), `x-task` (the name of a
//! built-in task or the path of a card) and `x-was` (a former name).

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::{Map, Value};

use super::fields::{Field, Kind};

/// A configuration: its fields, its sections and the page that documents them.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    /// Every field, in the order of the structs; sections follow the fields beside them.
    pub fields: Vec<Field>,
    /// Dotted names of the sections with what each is for.
    pub sections: Vec<(String, String)>,
    /// Page of the documentation, for error messages.
    pub page: &'static str,
}

impl Schema {
    /// The schema of a configuration struct.
    ///
    /// # Panics
    /// Where a field has a type that is none of [`Kind`]: a mistake in the struct, which the first use shows.
    pub fn of<T: JsonSchema>(page: &'static str) -> Self {
        let settings = SchemaSettings::default().with(|settings| settings.inline_subschemas = true);
        let root = settings.into_generator().into_root_schema_for::<T>();
        let mut schema = Self::table(root.as_value(), page);
        schema
            .sections
            .sort_by_key(|(name, _)| schema.fields.iter().position(|field| field.section() == name));
        schema
    }

    /// The fields of one table and of the tables in it.
    fn table(table: &Value, page: &'static str) -> Self {
        let mut schema = Self {
            fields: Vec::new(),
            sections: Vec::new(),
            page,
        };
        schema.collect(table, "");
        schema
    }

    fn collect(&mut self, table: &Value, prefix: &str) {
        let properties = table["properties"].as_object();
        let (tables, fields): (Vec<_>, Vec<_>) = properties
            .into_iter()
            .flatten()
            .partition(|(_, property)| property.get("properties").is_some());
        for (name, property) in fields {
            self.fields.push(Field {
                key: format!("{prefix}{name}"),
                kind: self
                    .kind(property)
                    .unwrap_or_else(|| panic!("`{prefix}{name}` has no kind: {property}")),
                was: property["x-was"].as_str().map(str::to_owned),
                decides: property["x-free"] != true,
                meaning: description(property),
                method: None,
            });
        }
        for (name, property) in tables {
            self.sections.push((format!("{prefix}{name}"), description(property)));
            self.collect(property, &format!("{prefix}{name}."));
        }
    }

    fn kind(&self, property: &Value) -> Option<Kind> {
        if property["x-task"] == true {
            return Some(Kind::Task);
        }
        if let Some(words) = words_of(property) {
            return Some(Kind::Choice(words));
        }
        if let Some(choices) = property["anyOf"].as_array() {
            let words: Vec<String> = choices.iter().filter_map(words_of).flatten().collect();
            let number = choices.iter().find(|choice| choice["type"] == "number");
            return match (number, words.as_slice()) {
                (Some(number), [word]) => Some(Kind::NumberOr {
                    word: word.clone(),
                    min: number["minimum"].as_f64()?,
                    max: number["maximum"].as_f64()?,
                }),
                (None, [_, ..]) => Some(Kind::Choice(words)),
                _ => None,
            };
        }
        match type_of(property)? {
            "string" => Some(Kind::Text),
            "boolean" => Some(Kind::Flag),
            "integer" => Some(Kind::Integer {
                min: property["minimum"].as_i64()?,
                max: property["maximum"].as_i64().unwrap_or(i64::MAX),
            }),
            "number" => Some(Kind::Number {
                min: property["minimum"].as_f64()?,
                max: property["maximum"].as_f64()?,
            }),
            "array" => match type_of(&property["items"])? {
                "string" => Some(Kind::Texts),
                "integer" => Some(Kind::Widths),
                "object" => Some(Kind::Tables(Self::table(&property["items"], self.page))),
                _ => None,
            },
            _ => None,
        }
    }

    /// The field of that key.
    pub fn find(&self, key: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.is_called(key))
    }

    /// The known key that reads most like `key`, compared in full and by its last part.
    pub fn nearest(&self, key: &str) -> &str {
        let last = |text: &str| text.rsplit('.').next().unwrap_or(text).to_owned();
        let distance = |field: &&Field| {
            let whole = strsim::levenshtein(key, &field.key);
            whole.min(strsim::levenshtein(&last(key), &last(&field.key)) * 2 + 1)
        };
        self.fields.iter().min_by_key(distance).map_or("", |field| &field.key)
    }

    /// Puts fields behind the last one of a section and of the sections in it.
    pub(super) fn extend_section(&mut self, section: &str, fields: impl IntoIterator<Item = Field>) {
        let is_in = |field: &Field| field.key.split('.').next() == Some(section);
        let end = self
            .fields
            .iter()
            .rposition(is_in)
            .map_or(self.fields.len(), |last| last + 1);
        self.fields.splice(end..end, fields);
    }
}

/// The words of an enum without fields; none of another type.
fn words_of(property: &Value) -> Option<Vec<String>> {
    let text = |word: &Value| word.as_str().map(str::to_owned);
    if let Some(word) = property.get("const") {
        return Some(vec![text(word)?]);
    }
    let list = |key: &str| property.get(key).and_then(Value::as_array);
    match (list("enum"), list("oneOf")) {
        (Some(words), _) => words.iter().map(text).collect(),
        (None, Some(words)) => words.iter().map(|word| words_of(word)?.pop()).collect(),
        (None, None) => None,
    }
}

/// The type of a value that is there; a value that may be left out has `null` for another type.
fn type_of(property: &Value) -> Option<&str> {
    match &property["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).find(|name| *name != "null"),
        other => other.as_str(),
    }
}

/// What a doc comment says, on one line.
fn description(property: &Value) -> String {
    let text = property["description"].as_str().unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The schema of an enum of another crate, by its serialised variants.
pub(crate) fn words<T: Serialize>(all: impl IntoIterator<Item = T>) -> schemars::Schema {
    let words = all.into_iter().map(|word| serde_json::to_value(word).expect("a word"));
    let mut schema = Map::new();
    schema.insert("enum".to_owned(), words.collect());
    schema.into()
}

/// Makes a type's schema the words that it is written as.
macro_rules! json_words {
    ($type:ty, $name:literal, $all:expr) => {
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $crate::config::schema::words($all)
            }
        }
    };
}
pub(crate) use json_words;
