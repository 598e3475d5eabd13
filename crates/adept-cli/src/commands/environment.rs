//! Folders that variables of the environment name.

use std::env;
use std::path::PathBuf;

use crate::failure::Failure;

/// Names the folder that tokenised tasks are kept in.
const CACHE: &str = "ADEPT_CACHE";

/// The folder that a variable names, `~` and variables in it put in; an empty one counts as none.
///
/// # Errors
/// `~` where the home folder is not known.
pub fn folder(name: &str) -> Result<Option<PathBuf>, Failure> {
    let value = env::var_os(name).filter(|value| !value.is_empty());
    value
        .map(|value| adept_hub::expand(&value, &|name| env::var_os(name)))
        .transpose()
        .map_err(|cause| Failure::input(cause).context(name))
}

/// The folder that tokenised tasks are kept in, as given, as the environment says, or the user's own; none where it is
/// called `none`.
///
/// # Errors
/// As [`folder`].
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

/// The user's folder of caches. Where it is `XDG_CACHE_HOME`, a value that begins with `~` counts as well.
fn users_caches() -> Result<Option<PathBuf>, Failure> {
    if cfg!(any(windows, target_os = "macos")) {
        return Ok(dirs::cache_dir());
    }
    let told = folder("XDG_CACHE_HOME")?.filter(|folder| folder.is_absolute());
    Ok(told.or_else(dirs::cache_dir))
}
