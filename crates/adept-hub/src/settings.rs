//! Locations of the hub and the cache, from the environment variables that Python's tools use.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::{HubError, expand};

/// URL of the public hub.
const ENDPOINT: &str = "https://huggingface.co";

/// How to reach the hub.
#[derive(Clone)]
pub struct Settings {
    /// URL of the hub or a mirror, without trailing slash (`HF_ENDPOINT`).
    pub endpoint: String,
    /// Token for gated and private repositories (`HF_TOKEN`, or the file written by a login).
    pub token: Option<String>,
    /// Cache folder (`HF_HUB_CACHE`, else `hub` in `HF_HOME`).
    pub cache: PathBuf,
    /// Whether to stay offline (`HF_HUB_OFFLINE`).
    pub offline: bool,
    /// Number of attempts before giving up. For a file the count restarts with every MiB received.
    pub tries: u32,
    /// The longest pause before a retry, if the server does not specify one.
    pub longest_pause: Duration,
    /// Maximum total wait for a busy or rate-limiting server before each response (for a file, before each MiB). A
    /// server that asks for more is an error.
    pub longest_wait: Duration,
    /// Timeout for a connection, a response or further bytes of it.
    pub timeout: Duration,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("endpoint", &self.endpoint)
            .field("token", &self.token.as_ref().map(|_| "hidden"))
            .field("cache", &self.cache)
            .field("offline", &self.offline)
            .field("tries", &self.tries)
            .field("longest_pause", &self.longest_pause)
            .field("longest_wait", &self.longest_wait)
            .field("timeout", &self.timeout)
            .finish()
    }
}

impl Settings {
    /// From the environment, with these constants: 5 attempts, pauses of up to a minute, up to a quarter of an hour for
    /// a busy server (the hub counts requests in windows of 5 minutes), and a timeout of half a minute. Paths may begin
    /// with `~` and contain variables, as in Python ([`expand`]).
    ///
    /// # Errors
    /// [`HubError::NoHome`] if no variable determines the cache folder, [`HubError::OtherHome`], [`HubError::Io`] if a
    /// token file exists but cannot be read.
    pub fn from_env() -> Result<Self, HubError> {
        Self::from_variables(&|name| env::var_os(name))
    }

    /// From the given variables; an empty one counts as unset.
    ///
    /// # Errors
    /// As [`Self::from_env`].
    pub fn from_variables(variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, HubError> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let path = |name: &str| set(name).map(|value| expand(&value, variable)).transpose();
        let text = |name: &str| set(name).map(|value| value.to_string_lossy().into_owned());
        let flag = |name: &str| {
            text(name).is_some_and(|value| matches!(value.to_ascii_uppercase().as_str(), "1" | "ON" | "YES" | "TRUE"))
        };
        let home = || -> Result<PathBuf, HubError> {
            if let Some(home) = path("HF_HOME")? {
                return Ok(home);
            }
            let caches = match path("XDG_CACHE_HOME")? {
                Some(caches) => caches,
                None => expand("~/.cache".as_ref(), variable)?,
            };
            Ok(caches.join("huggingface"))
        };
        let either = |first: &str, second: &str| {
            path(first).and_then(|found| found.map_or_else(|| path(second), |path| Ok(Some(path))))
        };
        let cache = match either("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE")? {
            Some(cache) => cache,
            None => home()?.join("hub"),
        };
        let token = match text("HF_TOKEN").or_else(|| text("HUGGING_FACE_HUB_TOKEN")) {
            Some(token) => Some(token),
            None => {
                let below_home = || home().ok().map(|home| home.join("token"));
                match path("HF_TOKEN_PATH")?.or_else(below_home) {
                    Some(file) => read_token(file)?,
                    None => None,
                }
            }
        };
        Ok(Self {
            endpoint: text("HF_ENDPOINT")
                .unwrap_or_else(|| ENDPOINT.to_owned())
                .trim_end_matches('/')
                .to_owned(),
            token: token
                .map(|token| token.trim_start_matches('\u{feff}').trim().to_owned())
                .filter(|token| !token.is_empty()),
            cache,
            offline: flag("HF_HUB_OFFLINE") || flag("TRANSFORMERS_OFFLINE"),
            tries: 5,
            longest_pause: Duration::from_secs(60),
            longest_wait: Duration::from_secs(900),
            timeout: Duration::from_secs(30),
        })
    }
}

/// Reads the token file written by a login, if there is one.
fn read_token(file: PathBuf) -> Result<Option<String>, HubError> {
    match std::fs::read_to_string(&file) {
        Ok(token) => Ok(Some(token)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(HubError::Io { file, source }),
    }
}
