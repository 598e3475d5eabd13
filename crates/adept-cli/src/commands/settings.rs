//! Settings on the command line, as the `key=value` overrides for [`adept_train::config::resolve`].

use std::path::Path;

use adept_data::path_text;

use crate::args::Settings;

/// The overrides of a command: its preset, then `first`, then `--set`.
pub fn overrides(settings: &Settings, first: Vec<String>) -> Vec<String> {
    let mut all: Vec<String> = settings
        .preset
        .iter()
        .map(|preset| format!("preset={preset}"))
        .collect();
    all.extend(first);
    all.extend(settings.set.iter().cloned());
    all
}

/// An override, if the option is given.
pub fn option(key: &str, value: Option<impl std::fmt::Display>) -> Option<String> {
    value.map(|value| format!("{key}={value}"))
}

/// A path as an override's value.
pub fn path(key: &str, path: Option<&Path>) -> Option<String> {
    path.map(|path| format!("{key}={}", path_text::to_text(path)))
}
