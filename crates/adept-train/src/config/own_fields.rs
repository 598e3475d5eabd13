//! The fields that methods declare themselves: their own sections and their parameter groups.

use adept_core::{Method, Setting, SettingKind};
use toml::{Table, Value};

use super::GroupSection;
use super::fields::{Field, Kind};
use super::schema::Schema;

/// The fields of a method's own section.
pub(super) fn settings(method: Method) -> impl Iterator<Item = Field> {
    method.settings().iter().map(move |setting| Field {
        key: format!("adapter.{method}.{}", setting.key),
        kind: match setting.kind {
            SettingKind::Integer { min, max } => Kind::Integer { min, max },
            SettingKind::Number { min, max } => Kind::Number { min, max },
            SettingKind::Flag => Kind::Flag,
            SettingKind::Names => Kind::Texts,
            SettingKind::Choice(words) => Kind::Choice(words.iter().map(ToString::to_string).collect()),
        },
        decides: true,
        was: None,
        meaning: setting.meaning.to_owned(),
        method: Some(method),
    })
}

/// The fields of the parameter groups that a method declares itself.
pub(super) fn groups(method: Method) -> impl Iterator<Item = Field> {
    let own = method.info().groups.iter().filter(|group| group.defaults.is_some());
    own.flat_map(move |group| {
        let fields = Schema::of::<GroupSection>("").fields.into_iter();
        fields.map(move |field| Field {
            key: format!("optimizer.{}.{}", group.name, field.key),
            method: Some(method),
            ..field
        })
    })
}

/// The section `adapter.NAME` of a method with its defaults.
pub fn default_settings(method: Method) -> serde_json::Map<String, serde_json::Value> {
    let settings = method.settings().iter();
    let value = |setting: &Setting| serde_json::to_value(default_of(setting)).expect("TOML's numbers, texts and lists");
    settings
        .map(|setting| (setting.key.to_owned(), value(setting)))
        .collect()
}

fn default_of(setting: &Setting) -> Value {
    let table: Table = format!("value = {}", setting.default)
        .parse()
        .expect("defaults are TOML; a test resolves every method");
    table["value"].clone()
}

/// A method's own fields with their defaults.
pub(crate) fn defaults_of(method: Method) -> Vec<(String, Value)> {
    let mut values = Vec::new();
    for setting in method.settings() {
        values.push((format!("adapter.{method}.{}", setting.key), default_of(setting)));
    }
    for group in method.info().groups {
        let Some(defaults) = group.defaults else { continue };
        let key = |key: &str| format!("optimizer.{}.{key}", group.name);
        let steps = i64::try_from(defaults.warmup_steps).unwrap_or(i64::MAX);
        values.push((key("learning_rate"), Value::Float(defaults.learning_rate)));
        values.push((key("weight_decay"), Value::Float(defaults.weight_decay)));
        values.push((key("warmup_steps"), Value::Integer(steps)));
    }
    values
}
