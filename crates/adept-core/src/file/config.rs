//! `adapter_config.json`: to text and back.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::AdapterMetadata;
use crate::{AdapterConfig, CoreError, Fingerprint, Method};

/// Version of what stands under the key `adept`. A reader refuses newer ones. Files of version 1 do not say what the
/// adapter was trained with.
const FORMAT_VERSION: u64 = 2;

/// DePT's `lora_alpha` where the configuration does not give one, as in the published code.
const DEFAULT_ALPHA: f64 = 8.0;

/// The tables of ADePT and PT have no length; files from elsewhere may still not say one.
const DEFAULT_LENGTH: usize = 256;

fn peft_type(method: Method) -> &'static str {
    match method {
        Method::Pt => "PROMPT_TUNING",
        Method::Dept => "PROMPT_TUNING_LORA",
        Method::Adept => "PROMPT_TUNING_LORAX",
    }
}

/// Keys that peft 0.21 writes for every prompt and which say nothing about the adapter's forward pass.
fn boilerplate() -> Map<String, Value> {
    let value = json!({
        "auto_mapping": null,
        "inference_mode": true,
        "modules_to_save": null,
        "num_attention_heads": null,
        "num_layers": null,
        "prompt_tuning_init": "RANDOM",
        "prompt_tuning_init_text": null,
        "revision": null,
        "task_type": "SEQ_2_SEQ_LM",
        "tokenizer_kwargs": null,
        "tokenizer_name_or_path": null,
    });
    match value {
        Value::Object(map) => map,
        _ => unreachable!("the literal above is an object"),
    }
}

/// The text of the file: keys sorted, two spaces of indentation, as peft writes it.
pub(super) fn to_text(meta: &AdapterMetadata, tensors: &Fingerprint) -> String {
    let mut map = boilerplate();
    map.extend(meta.extra.clone());
    for (key, value) in essential(meta, tensors) {
        map.insert(key, value);
    }
    map.sort_keys();
    let mut text = serde_json::to_string_pretty(&map).expect("a map of JSON values always serialises");
    text.push('\n');
    text
}

/// The keys that follow from the metadata's own fields.
fn essential(meta: &AdapterMetadata, tensors: &Fingerprint) -> Map<String, Value> {
    let config = &meta.config;
    let mut map = Map::new();
    let mut put = |key: &str, value: Value| map.insert(key.to_string(), value);
    let base_model = match meta.base_model.as_str() {
        "" => Value::Null,
        name => name.into(),
    };
    put("base_model_name_or_path", base_model);
    put("num_transformer_submodules", 1.into());
    put("num_virtual_tokens", config.virtual_tokens.into());
    put("peft_type", peft_type(config.method).into());
    put("token_dim", config.d_model.into());
    if config.method != Method::Pt {
        put("max_length", config.max_source_length.into());
        put("r", config.rank.into());
    }
    if config.method == Method::Dept {
        put("lora_alpha", exact(config.scale * (config.rank as f64).sqrt()));
    }
    let mut own = json!({
        "dropout": exact(config.dropout),
        "fingerprint": meta.fingerprint,
        "format_version": FORMAT_VERSION,
        "max_source_length": config.max_source_length,
        "scale": exact(config.scale),
        "task": meta.task,
        "tensors": tensors,
    });
    if let Some(trained) = &meta.trained {
        own["trained"] = Value::Object(trained.clone());
    }
    put("adept", own);
    map
}

/// A number that reads back bit for bit. JSON readers may round the last digit of a long fraction: those are written as
/// text.
fn exact(number: f64) -> Value {
    let text = number.to_string();
    match serde_json::from_str::<f64>(&text) {
        Ok(read) if read.to_bits() == number.to_bits() => number.into(),
        _ => text.into(),
    }
}

/// Reads the text of the file at `path`; beside the metadata, the hash of the tensors it was written with.
pub(super) fn from_text(path: &Path, text: &[u8]) -> Result<(AdapterMetadata, Option<Fingerprint>), CoreError> {
    let mut map: Map<String, Value> = serde_json::from_slice(text).map_err(|source| CoreError::Json {
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
    let method = method(path, &mut top)?;
    if let Some(submodules) = top.count("num_transformer_submodules")?
        && submodules != 1
    {
        let expected = "1 (a prompt for the encoder or decoder-only input alone)";
        return Err(field_error(
            path,
            "num_transformer_submodules",
            expected,
            &submodules.into(),
        ));
    }
    let virtual_tokens = top.required_count("num_virtual_tokens")?;
    let d_model = top.required_count("token_dim")?;
    let (mut rank, mut max_source_length, mut scale) = (0, DEFAULT_LENGTH, 1.0);
    if method != Method::Pt {
        rank = top.required_count("r")?;
        max_source_length = match method {
            Method::Dept => top.required_count("max_length")?,
            _ => top.count("max_length")?.unwrap_or(DEFAULT_LENGTH),
        };
    }
    if method == Method::Dept {
        scale = top.number("lora_alpha")?.unwrap_or(DEFAULT_ALPHA) / (rank as f64).sqrt();
    }
    if let Some(exact) = own.number("scale")? {
        // The two say the same thing twice; where somebody changed one of them, neither can be trusted.
        if method == Method::Dept && (exact - scale).abs() > 1e-9 * exact.abs() {
            let expected = format!("{exact} times the square root of r, to agree with adept.scale");
            let alpha = scale * (rank as f64).sqrt();
            return Err(field_error(path, "lora_alpha", &expected, &alpha.into()));
        }
        scale = exact;
    }
    if let Some(length) = own.count("max_source_length")?
        && method != Method::Dept
    {
        max_source_length = length;
    }
    let config = AdapterConfig {
        method,
        d_model,
        virtual_tokens,
        rank,
        max_source_length,
        scale,
        dropout: own.number("dropout")?.unwrap_or(0.0),
    };
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
    let usual = boilerplate();
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

fn method(path: &Path, top: &mut Fields<'_>) -> Result<Method, CoreError> {
    let found = top.required_text("peft_type")?;
    Method::ALL
        .into_iter()
        .find(|&method| peft_type(method) == found)
        .ok_or_else(|| CoreError::UnknownPeftType {
            path: path.to_path_buf(),
            found,
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

/// Takes typed values out of a JSON object; what is left in it is what nobody asked for.
struct Fields<'a> {
    path: &'a Path,
    section: &'static str,
    map: Map<String, Value>,
}

impl Fields<'_> {
    fn take<T>(
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

    fn error(&self, key: &str, expected: &str, found: &Value) -> CoreError {
        field_error(self.path, &format!("{}{key}", self.section), expected, found)
    }

    fn count(&mut self, key: &str) -> Result<Option<usize>, CoreError> {
        self.take(key, "a whole number", |value| usize::try_from(value.as_u64()?).ok())
    }

    fn required_count(&mut self, key: &str) -> Result<usize, CoreError> {
        self.count(key)?
            .ok_or_else(|| self.error(key, "a whole number", &Value::Null))
    }

    fn number(&mut self, key: &str) -> Result<Option<f64>, CoreError> {
        let read = |value: &Value| match value {
            Value::String(text) => text.parse().ok(),
            other => other.as_f64(),
        };
        self.take(key, "a finite number", |value| {
            read(value).filter(|number| number.is_finite())
        })
    }

    fn text(&mut self, key: &str) -> Result<Option<String>, CoreError> {
        self.take(key, "a text", |value| value.as_str().map(str::to_string))
    }

    fn required_text(&mut self, key: &str) -> Result<String, CoreError> {
        self.text(key)?.ok_or_else(|| self.error(key, "a text", &Value::Null))
    }

    fn fingerprint(&mut self, key: &str) -> Result<Option<Fingerprint>, CoreError> {
        self.take(key, "sha256: and 64 hexadecimal digits", |value| {
            value.as_str()?.parse().ok()
        })
    }
}
