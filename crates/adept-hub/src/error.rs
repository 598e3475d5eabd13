//! Everything that can go wrong between the hub and the cache.

use std::path::PathBuf;

use ureq::http::StatusCode;

/// Why files could not be brought from the hub.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// A repository or revision that could not be part of a path.
    #[error("expected {expected}, found `{found}`")]
    Name {
        /// What was wanted.
        expected: &'static str,
        /// What was given.
        found: String,
    },
    /// No variable says where the cache is.
    #[error("the cache's folder is not known: set HF_HOME (or HOME)")]
    NoHome,
    /// A path that begins with the home of another user.
    #[error("`{value}`: homes of other users are not looked up: write the folder out")]
    OtherHome {
        /// The variable's value.
        value: String,
    },
    /// The network must not be used and the cache lacks something.
    #[error("{what} is not in the cache {}, and HF_HUB_OFFLINE forbids asking for it", cache.display())]
    Offline {
        /// The repository or file.
        what: String,
        /// The cache.
        cache: PathBuf,
    },
    /// The hub wants a token, or another one.
    #[error("{url}: {status}: {}", advice(*is_gated, *has_token))]
    Forbidden {
        /// The address.
        url: String,
        /// 401 or 403.
        status: u16,
        /// Whether the hub says that terms have to be accepted.
        is_gated: bool,
        /// Whether a token was sent.
        has_token: bool,
    },
    /// There is no such repository, revision or file, or it is not shown to this user.
    #[error("{url}: not found (404): the name or revision is wrong, or it is private and a token is needed (HF_TOKEN)")]
    NotFound {
        /// The address.
        url: String,
    },
    /// Another answer than the one hoped for, after all tries.
    #[error("{url}: the server answers {status}{} ({})", reason(*status), tried(*tries))]
    Status {
        /// The address.
        url: String,
        /// The HTTP status.
        status: u16,
        /// Tries made.
        tries: u32,
    },
    /// A server that wants to be waited for longer than is waited.
    #[error(
        "{url}: the server answers {status}{}{}; {waited} s have been waited and {longest} s at most are: try again later",
        reason(*status), asks(*asked)
    )]
    Busy {
        /// The address.
        url: String,
        /// The HTTP status: 429 or 503.
        status: u16,
        /// Seconds that it asks to wait from now on, where it says.
        asked: Option<u64>,
        /// Seconds waited for it.
        waited: u64,
        /// Seconds that are waited at most.
        longest: u64,
    },
    /// No answer, or none that came to its end, after all tries.
    #[error("{url}: {message} ({})", tried(*tries))]
    Network {
        /// The address.
        url: String,
        /// The client's own words.
        message: String,
        /// Tries made.
        tries: u32,
    },
    /// An answer that is not what the hub's protocol says.
    #[error("{url}: expected {expected}, found {found}")]
    Protocol {
        /// The address.
        url: String,
        /// What the protocol says.
        expected: &'static str,
        /// What came.
        found: String,
    },
    /// A file that is not as long as the hub's listing says.
    #[error("{url}: expected {expected} bytes, found {found}; nothing of it was kept")]
    Size {
        /// The address.
        url: String,
        /// Bytes that the listing says.
        expected: u64,
        /// Bytes that the server announced, or that had come when there were too many.
        found: u64,
    },
    /// A file that is not the one in the hub's listing.
    #[error("{url}: expected the checksum {expected}, found {found}; nothing of it was kept")]
    Checksum {
        /// The address.
        url: String,
        /// The checksum in the listing, hex.
        expected: String,
        /// That of the bytes that came, hex.
        found: String,
    },
    /// A file in the listing that is not the one that is known by this name.
    #[error("{repository}: {name}: expected the checksum {expected}, which is known of it, the listing has {found}")]
    OtherFile {
        /// The repository.
        repository: String,
        /// The file's name.
        name: String,
        /// The checksum that is known, hex.
        expected: String,
        /// That in the listing, hex.
        found: String,
    },
    /// A file name that would lead out of the cache.
    #[error("{repository}: the file name {name:?} would lead out of the cache")]
    Path {
        /// The repository.
        repository: String,
        /// The name in its listing.
        name: String,
    },
    /// The repository has no such file.
    #[error("{repository}: expected a file {expected}, found {found}")]
    NoFile {
        /// The repository.
        repository: String,
        /// The name asked for.
        expected: String,
        /// What there is.
        found: String,
    },
    /// [`Progress::proceed`](crate::Progress::proceed) asked to stop. What has come is kept.
    #[error("stopped as asked")]
    Stopped,
    /// A file that no download put into the cache, where the name of one is.
    #[error("{}: is no link to the download, and holds other bytes; nothing was written; move it elsewhere", file.display())]
    Foreign {
        /// The file.
        file: PathBuf,
    },
    /// The operating system refused something.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file or folder.
        file: PathBuf,
        /// The system's own words.
        source: std::io::Error,
    },
}

/// What a user can do where the hub refuses.
fn advice(is_gated: bool, has_token: bool) -> &'static str {
    match (is_gated, has_token) {
        (true, false) => "its terms have to be accepted on its page, then a token is needed: set HF_TOKEN",
        (true, true) => "the token's account has not accepted its terms (they are on its page)",
        (false, false) => "the name is wrong, or a token is needed: set HF_TOKEN",
        (false, true) => "the token has no right to it, or is no longer valid (HF_TOKEN)",
    }
}

/// A status in words, where it has some.
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
