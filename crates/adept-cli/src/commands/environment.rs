//! Folders given by environment variables.

use std::env;
use std::path::PathBuf;

use crate::failure::Failure;

/// Environment variable for the cache folder of tokenised tasks.
const CACHE: &str = "ADEPT_CACHE";

/// The folder in an environment variable, with `~` and variables expanded; `None` if unset or empty.
///
/// # Errors
/// `~` if the home folder is unknown.
pub fn folder(name: &str) -> Result<Option<PathBuf>, Failure> {
    let value = env::var_os(name).filter(|value| !value.is_empty());
    value
        .map(|value| adept_hub::expand(&value, &|name| env::var_os(name)))
        .transpose()
        .map_err(|cause| Failure::input(cause).context(name))
}

/// The cache folder for tokenised tasks: the one given, else the environment's, else the user's default. `None` if it
/// is `none`.
///
/// # Errors
/// See [`folder`].
pub fn data_cache(given: Option<PathBuf>) -> Result<Option<PathBuf>, Failure> {
    let told = match given {
        Some(given) => Some(given),
        None => folder(CACHE)?,
    };
    let found = match told {
        Some(told) => Some(told),
        None => users_caches()?.map(|caches| caches.join("adept")),
    };
    Ok(found.filter(|folder| folder.as_os_str() != "none"))
}

/// The user's cache folder. A leading `~` in `XDG_CACHE_HOME` is expanded.
fn users_caches() -> Result<Option<PathBuf>, Failure> {
    if cfg!(any(windows, target_os = "macos")) {
        return Ok(dirs::cache_dir());
    }
    let told = folder("XDG_CACHE_HOME")?.filter(|folder| folder.is_absolute());
    Ok(told.or_else(dirs::cache_dir))
}
