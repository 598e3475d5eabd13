//! Errors of downloading from the hub into the cache.

use std::path::PathBuf;

use ureq::http::StatusCode;

/// Why files could not be fetched from the hub.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// An invalid repository or revision name, which could not be part of a path.
    #[error("expected {expected}, found `{found}`")]
    Name {
        /// The valid form.
        expected: &'static str,
        /// The name given.
        found: String,
    },
    /// No environment variable determines the cache's folder.
    #[error("cannot determine the cache folder: set HF_HOME (or HOME)")]
    NoHome,
    /// A path that begins with another user's home (`~name`).
    #[error("`{value}`: home folders of other users are not supported: write the full path")]
    OtherHome {
        /// The variable's value.
        value: String,
    },
    /// Offline mode is set and the cache lacks something.
    #[error("{what} is not in the cache {}, and HF_HUB_OFFLINE forbids downloading it", cache.display())]
    Offline {
        /// The missing repository or file.
        what: String,
        /// The cache folder.
        cache: PathBuf,
    },
    /// The hub requires a token, or rejects the one sent.
    #[error("{url}: {status}: {}", advice(*is_gated, *has_token))]
    Forbidden {
        /// The address.
        url: String,
        /// 401 or 403.
        status: u16,
        /// Whether the hub says that terms have to be accepted first.
        is_gated: bool,
        /// Whether a token was sent.
        has_token: bool,
    },
    /// The repository, revision or file does not exist, or is not visible to this user.
    #[error(
        "{url}: not found (404): the name or revision is wrong, or it is private and a token is required (HF_TOKEN)"
    )]
    NotFound {
        /// The address.
        url: String,
    },
    /// An unexpected HTTP status, after all retries.
    #[error("{url}: the server answers {status}{} ({})", reason(*status), tried(*tries))]
    Status {
        /// The address.
        url: String,
        /// The HTTP status.
        status: u16,
        /// Number of attempts.
        tries: u32,
    },
    /// The server asks for a longer wait than is allowed.
    #[error(
        "{url}: the server answers {status}{}{}; waited {waited} s of at most {longest} s: try again later",
        reason(*status), asks(*asked)
    )]
    Busy {
        /// The address.
        url: String,
        /// The HTTP status: 429 or 503.
        status: u16,
        /// Seconds that the server asks to wait from now on, if it says so.
        asked: Option<u64>,
        /// Seconds waited so far.
        waited: u64,
        /// Maximum total wait in seconds.
        longest: u64,
    },
    /// No response, or an incomplete one, after all retries.
    #[error("{url}: {message} ({})", tried(*tries))]
    Network {
        /// The address.
        url: String,
        /// The HTTP client's error message.
        message: String,
        /// Number of attempts.
        tries: u32,
    },
    /// A response that violates the hub's protocol.
    #[error("{url}: expected {expected}, found {found}")]
    Protocol {
        /// The address.
        url: String,
        /// What the protocol requires.
        expected: &'static str,
        /// What was received.
        found: String,
    },
    /// A file whose size differs from the hub's listing.
    #[error("{url}: expected {expected} bytes, found {found}; the download was discarded")]
    Size {
        /// The address.
        url: String,
        /// Size in the listing, in bytes.
        expected: u64,
        /// Bytes announced by the server, or received if there were too many.
        found: u64,
    },
    /// A file whose checksum differs from the hub's listing.
    #[error("{url}: expected the checksum {expected}, found {found}; the download was discarded")]
    Checksum {
        /// The address.
        url: String,
        /// The checksum in the listing, hex.
        expected: String,
        /// The checksum of the received bytes, hex.
        found: String,
    },
    /// A listed file whose checksum differs from the one known in advance.
    #[error("{repository}: {name}: expected the known checksum {expected}, but the listing has {found}")]
    OtherFile {
        /// The repository.
        repository: String,
        /// The file's name.
        name: String,
        /// The known checksum, hex.
        expected: String,
        /// The checksum in the listing, hex.
        found: String,
    },
    /// A file name that would escape the cache folder.
    #[error("{repository}: the file name {name:?} would escape the cache folder")]
    Path {
        /// The repository.
        repository: String,
        /// The name in the repository's listing.
        name: String,
    },
    /// The repository has no such file.
    #[error("{repository}: expected a file {expected}, found {found}")]
    NoFile {
        /// The repository.
        repository: String,
        /// The file requested.
        expected: String,
        /// The files in the repository.
        found: String,
    },
    /// [`Progress::proceed`](crate::Progress::proceed) returned false. Bytes downloaded so far are kept.
    #[error("stopped on request")]
    Stopped,
    /// A file not created by a download, at the place of one.
    #[error("{}: is not a link to the download and has different content; nothing was written; move it elsewhere", file.display())]
    Foreign {
        /// The file.
        file: PathBuf,
    },
    /// A system call failed.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file or folder.
        file: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
}

/// What the user can do if the hub denies access.
fn advice(is_gated: bool, has_token: bool) -> &'static str {
    match (is_gated, has_token) {
        (true, false) => "its terms must be accepted on its page and a token is required: set HF_TOKEN",
        (true, true) => "the token's account has not accepted its terms (they are on its page)",
        (false, false) => "the name is wrong, or a token is required: set HF_TOKEN",
        (false, true) => "the token has no access to it, or is no longer valid (HF_TOKEN)",
    }
}

/// The standard phrase for a status, if it has one.
fn reason(status: u16) -> String {
    let reason = StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason());
    reason.map(|reason| format!(" {reason}")).unwrap_or_default()
}

fn asks(seconds: Option<u64>) -> String {
    seconds.map_or_else(String::new, |seconds| format!(" and asks to wait {seconds} s"))
}

fn tried(tries: u32) -> String {
    match tries {
        1 => "tried once".to_owned(),
        tries => format!("tried {tries} times"),
    }
}
