//! Shared by the methods whose tensors belong to linear maps of the model.

use std::collections::BTreeMap;

use burn::tensor::TensorData;
use serde_json::Value;

use crate::file::Fields;
use crate::site::{LinearMap, LinearSite, ModelSites};
use crate::target::is_named;
use crate::{CoreError, Method, TargetModules};

/// PEFT's prefix of module names in files.
pub(super) const PREFIX: &str = "base_model.model.";

/// The linear maps that an adapter changes, in the model's order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Places {
    pub maps: Vec<LinearMap>,
    index: BTreeMap<LinearSite, usize>,
}

impl Places {
    pub(super) fn new<'a>(maps: impl IntoIterator<Item = &'a LinearMap>) -> Self {
        let maps: Vec<LinearMap> = maps.into_iter().cloned().collect();
        let index = maps.iter().enumerate().map(|(place, map)| (map.site, place)).collect();
        Self { maps, index }
    }

    /// Index of a site's map, if it is changed.
    pub(super) fn of(&self, site: LinearSite) -> Option<usize> {
        self.index.get(&site).copied()
    }
}

/// The map whose module the tensor name `tensor` contains.
pub(super) fn find<'a>(
    method: Method,
    sites: &'a ModelSites,
    tensor: &str,
    module: &str,
) -> Result<&'a LinearMap, CoreError> {
    sites.find(module).ok_or_else(|| CoreError::UnknownModule {
        method,
        tensor: tensor.to_owned(),
        example: sites.linears.first().map_or_else(String::new, |map| map.name.clone()),
    })
}

/// The module's name in a tensor name `base_model.model.MODULE.SUFFIX`.
pub(super) fn module<'a>(tensor: &'a str, suffix: &str) -> Option<&'a str> {
    tensor.strip_prefix(PREFIX)?.strip_suffix(suffix)?.strip_suffix('.')
}

pub(super) fn mismatch(tensor: &str, expected: &[usize], found: &[usize]) -> CoreError {
    CoreError::AdapterMismatch {
        tensor: tensor.to_owned(),
        expected: expected.to_vec(),
        found: found.to_vec(),
    }
}

/// Transposes `[n, m]` values to `[m, n]`.
pub(super) fn transposed(values: &[f32], [rows, columns]: [usize; 2]) -> Vec<f32> {
    let mut out = Vec::with_capacity(values.len());
    for column in 0..columns {
        out.extend((0..rows).map(|row| values[row * columns + column]));
    }
    out
}

pub(super) fn values(data: TensorData) -> Vec<f32> {
    data.convert::<f32>().into_vec().expect("the line above makes them f32")
}

/// The last component of each module's name, without duplicates: the contents of PEFT's `target_modules`.
pub(super) fn last_parts<'a>(modules: impl IntoIterator<Item = &'a LinearMap>) -> Vec<&'a str> {
    let mut parts: Vec<&str> = Vec::new();
    for map in modules {
        let last = map.name.rsplit('.').next().unwrap_or(&map.name);
        if !parts.contains(&last) {
            parts.push(last);
        }
    }
    parts
}

/// The value of `target_modules` for the chosen maps.
pub(super) fn target_value(target: &TargetModules, places: &Places) -> Value {
    match target {
        TargetModules::Pattern(pattern) if !target.is_all() => pattern.clone().into(),
        TargetModules::Names(names) if !target.is_default() && !target.is_all() => names.clone().into(),
        _ => last_parts(&places.maps).into(),
    }
}

/// Module names in a file: a list, a string, or nothing.
pub(super) fn read_targets(fields: &mut Fields<'_>, key: &str) -> Result<Option<TargetModules>, CoreError> {
    fields.take(key, "a list of names, or a text", |value| match value {
        Value::String(pattern) => Some(TargetModules::Pattern(pattern.clone())),
        Value::Array(names) => {
            let names: Option<Vec<String>> = names.iter().map(|name| Some(name.as_str()?.to_owned())).collect();
            Some(TargetModules::Names(names?))
        }
        _ => None,
    })
}

/// Refuses unsupported PEFT options that change the forward pass: each key may be missing, null, `false`, or the given
/// value.
pub(super) fn refuse_options(fields: &mut Fields<'_>, keys: &[(&str, Option<&str>)]) -> Result<(), CoreError> {
    for (key, allowed) in keys {
        let is_off = |value: &Value| match value {
            Value::Bool(flag) => !flag,
            Value::String(word) => Some(word.as_str()) == *allowed,
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            _ => false,
        };
        let expected = allowed.map_or_else(|| "false or nothing".to_owned(), |word| format!("{word:?}"));
        fields.take(key, &expected, |value| is_off(value).then_some(()))?;
    }
    Ok(())
}

/// Whether a module matches one of the names, as a whole or by its last components.
pub(super) fn is_one_of(module: &str, names: &[String]) -> bool {
    names.iter().any(|name| is_named(module, name))
}
