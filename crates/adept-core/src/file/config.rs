//! Reading and writing `adapter_config.json`.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::AdapterMetadata;
use crate::{AdapterConfig, CoreError, Fingerprint, Method};

/// Version of the section `adept`. Newer versions are refused on reading. Version 1 did not record what the adapter was
/// trained with.
const FORMAT_VERSION: u64 = 2;

/// Keys that peft 0.21 writes for every adapter and that do not affect its forward pass.
fn boilerplate() -> Map<String, Value> {
    let value = json!({
        "auto_mapping": null,
        "inference_mode": true,
        "modules_to_save": null,
        "revision": null,
        "task_type": "SEQ_2_SEQ_LM",
    });
    match value {
        Value::Object(map) => map,
        _ => unreachable!("the literal above is an object"),
    }
}

/// The text of the file: keys sorted, indented by two spaces, as peft writes it. `method` holds the method's own keys.
pub(super) fn to_text(meta: &AdapterMetadata, method: Map<String, Value>, tensors: &Fingerprint) -> String {
    let mut map = boilerplate();
    map.extend(method.clone());
    map.extend(meta.extra.clone());
    // Keys derived from the configuration take precedence over `extra`.
    let descriptive = descriptive();
    map.extend(method.into_iter().filter(|(key, _)| !descriptive.contains_key(key)));
    map.extend(essential(meta, tensors));
    map.sort_keys();
    let mut text = serde_json::to_string_pretty(&map).expect("a map of JSON values always serialises");
    text.push('\n');
    text
}

/// Keys of prompt methods, with this crate's values, that record how the prompt was initialised or which tokenizer was
/// used; values found in a file are preserved.
pub(crate) fn descriptive() -> Map<String, Value> {
    let value = json!({
        "num_attention_heads": null,
        "num_layers": null,
        "prompt_tuning_init": "RANDOM",
        "prompt_tuning_init_text": null,
        "tokenizer_kwargs": null,
        "tokenizer_name_or_path": null,
    });
    match value {
        Value::Object(map) => map,
        _ => unreachable!("the literal above is an object"),
    }
}

/// Keys derived from the metadata's own fields.
fn essential(meta: &AdapterMetadata, tensors: &Fingerprint) -> Map<String, Value> {
    let config = &meta.config;
    let mut map = Map::new();
    let base_model = match meta.base_model.as_str() {
        "" => Value::Null,
        name => name.into(),
    };
    map.insert("base_model_name_or_path".to_owned(), base_model);
    map.insert("peft_type".to_owned(), config.peft_type().into());
    let mut own = config.own_keys();
    let mut put = |key: &str, value: Value| own.insert(key.to_owned(), value);
    put("fingerprint", json!(meta.fingerprint));
    put("format_version", FORMAT_VERSION.into());
    put("task", json!(meta.task));
    put("tensors", json!(tensors));
    if let Some(trained) = &meta.trained {
        put("trained", Value::Object(trained.clone()));
    }
    own.sort_keys();
    map.insert("adept".to_owned(), Value::Object(own));
    map
}

/// A number that reads back bit for bit: JSON readers may round the last digit of a long fraction, so those are written
/// as strings.
pub(crate) fn exact(number: f64) -> Value {
    let text = number.to_string();
    match serde_json::from_str::<f64>(&text) {
        Ok(read) if read.to_bits() == number.to_bits() => number.into(),
        _ => text.into(),
    }
}

/// Parses the file at `path`; also returns the hash of the tensors it was written with.
pub(super) fn from_text(path: &Path, text: &[u8]) -> Result<(AdapterMetadata, Option<Fingerprint>), CoreError> {
    let mut map = adept_files::json_object(text).map_err(|source| CoreError::Json {
        path: path.to_path_buf(),
        source,
    })?;
    let own = match map.remove("adept") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(own)) => own,
        Some(other) => return Err(field_error(path, "adept", "an object", &other)),
    };
    let mut top = Fields { path, section: "", map };
    let mut own = Fields {
        path,
        section: "adept.",
        map: own,
    };

    if let Some(version) = own.count("format_version")?
        && version as u64 > FORMAT_VERSION
    {
        let expected = format!("at most {FORMAT_VERSION} (the file is from a newer version of this program)");
        return Err(field_error(path, "adept.format_version", &expected, &version.into()));
    }
    let found = top.required_text("peft_type")?;
    let method = method(path, &found, &mut own)?;
    let config = AdapterConfig::from_keys(method, &mut top, &mut own)?;
    // A type that PEFT reads as another method's is none of the list.
    if method.peft_types().contains(&found.as_str()) && config.peft_type() != found {
        return Err(field_error(path, "peft_type", config.peft_type(), &found.into()));
    }
    let invalid = |error: CoreError| match error {
        CoreError::InvalidConfig {
            field, expected, found, ..
        } => CoreError::ConfigField {
            path: path.to_path_buf(),
            field: field.to_string(),
            expected: expected.to_string(),
            found,
        },
        other => other,
    };
    config.validate().map_err(invalid)?;

    let base_model = top.text("base_model_name_or_path")?.unwrap_or_default();
    let fingerprint = own.fingerprint("fingerprint")?;
    let tensors = own.fingerprint("tensors")?;
    let task = own.text("task")?;
    let trained = own.take("trained", "an object", |value| value.as_object().cloned())?;
    let mut usual = boilerplate();
    usual.extend(descriptive());
    top.map.retain(|key, value| usual.get(key) != Some(value));
    let meta = AdapterMetadata {
        config,
        base_model,
        fingerprint,
        task,
        trained,
        extra: top.map,
    };
    Ok((meta, tensors))
}

/// The method named by this program or, in files of other programs, by the type.
fn method(path: &Path, found: &str, own: &mut Fields<'_>) -> Result<Method, CoreError> {
    let of_type = |method: &&Method| method.peft_types().contains(&found);
    let known = match own.text("method")? {
        Some(name) => Method::ALL.iter().filter(of_type).find(|method| method.name() == name),
        // PEFT stores the virtual tokens alone, not the encoder that made them: a plain soft prompt.
        None if found == Method::PTuning.info().peft_type => Some(&Method::Pt),
        None => Method::ALL.iter().find(of_type),
    };
    known.copied().ok_or_else(|| CoreError::UnknownPeftType {
        path: path.to_path_buf(),
        found: found.to_owned(),
    })
}

fn field_error(path: &Path, field: &str, expected: &str, found: &Value) -> CoreError {
    CoreError::ConfigField {
        path: path.to_path_buf(),
        field: field.to_string(),
        expected: expected.to_string(),
        found: match found {
            Value::Null => "nothing".to_string(),
            other => other.to_string(),
        },
    }
}

/// Takes typed values out of a JSON object; what remains are unrecognised keys.
pub(crate) struct Fields<'a> {
    path: &'a Path,
    section: &'static str,
    map: Map<String, Value>,
}

impl Fields<'_> {
    pub(crate) fn take<T>(
        &mut self,
        key: &str,
        expected: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, CoreError> {
        // `null` means the same as a missing key.
        match self.map.shift_remove(key).unwrap_or(Value::Null) {
            Value::Null => Ok(None),
            value => match read(&value) {
                Some(read) => Ok(Some(read)),
                None => Err(self.error(key, expected, &value)),
            },
        }
    }

    pub(crate) fn error(&self, key: &str, expected: &str, found: &Value) -> CoreError {
        field_error(self.path, &format!("{}{key}", self.section), expected, found)
    }

    pub(crate) fn count(&mut self, key: &str) -> Result<Option<usize>, CoreError> {
        self.take(key, "a whole number", |value| usize::try_from(value.as_u64()?).ok())
    }

    pub(crate) fn required_count(&mut self, key: &str) -> Result<usize, CoreError> {
        self.count(key)?
            .ok_or_else(|| self.error(key, "a whole number", &Value::Null))
    }

    pub(crate) fn number(&mut self, key: &str) -> Result<Option<f64>, CoreError> {
        let read = |value: &Value| match value {
            Value::String(text) => text.parse().ok(),
            other => other.as_f64(),
        };
        self.take(key, "a finite number", |value| {
            read(value).filter(|number| number.is_finite())
        })
    }

    pub(crate) fn text(&mut self, key: &str) -> Result<Option<String>, CoreError> {
        self.take(key, "a text", |value| value.as_str().map(str::to_string))
    }

    /// A word of an enum, `expected` listing all of them.
    pub(crate) fn word<T: DeserializeOwned>(&mut self, key: &str, expected: &str) -> Result<Option<T>, CoreError> {
        self.take(key, expected, |value| T::deserialize(value).ok())
    }

    pub(crate) fn required_text(&mut self, key: &str) -> Result<String, CoreError> {
        self.text(key)?.ok_or_else(|| self.error(key, "a text", &Value::Null))
    }

    pub(crate) fn flag(&mut self, key: &str) -> Result<Option<bool>, CoreError> {
        self.take(key, "true or false", Value::as_bool)
    }

    /// Reads a value without taking it.
    pub(crate) fn peek(&self, key: &str) -> Option<&Value> {
        self.map.get(key)
    }

    /// Values by pattern, in the file's order; empty if the key is missing.
    pub(crate) fn pattern<T>(
        &mut self,
        key: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Vec<(String, T)>, CoreError> {
        let values = self.take(key, "an object of numbers", |value| {
            let map = value.as_object()?;
            map.iter()
                .map(|(pattern, value)| Some((pattern.clone(), read(value)?)))
                .collect()
        })?;
        Ok(values.unwrap_or_default())
    }

    pub(crate) fn fingerprint(&mut self, key: &str) -> Result<Option<Fingerprint>, CoreError> {
        self.take(key, "sha256: and 64 hexadecimal digits", |value| {
            value.as_str()?.parse().ok()
        })
    }
}
