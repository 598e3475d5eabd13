//! Lossless conversion of paths to text and back: paths are bytes, configurations and records are text. A UTF-8 path is
//! written verbatim. Any other path is `bytes:` followed by its bytes, all but plain ASCII as `%` and two hex digits:
//! `bytes:caf%E9.jsonl`.
//!
//! Use [`serialize`] and [`deserialize`] with `#[serde(with = "adept_data::path_text")]`; serde's defaults reject paths
//! that are not UTF-8.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serializer};

/// Prefix of an escaped path.
const BYTES: &str = "bytes:";

/// A path as text, reversible by [`from_text`]. Only on systems where paths are not bytes, a path that is not Unicode
/// gets replacement characters.
pub fn to_text(path: &Path) -> String {
    match path.to_str() {
        Some(text) if !text.starts_with(BYTES) => text.to_owned(),
        _ => escaped(path),
    }
}

/// The inverse of [`to_text`]. Text with an invalid escape is taken verbatim.
pub fn from_text(text: &str) -> PathBuf {
    text.strip_prefix(BYTES)
        .and_then(unescaped)
        .unwrap_or_else(|| PathBuf::from(text))
}

/// Serializes a path with [`to_text`].
///
/// # Errors
/// The serializer's.
pub fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&to_text(path))
}

/// Deserializes a path with [`from_text`].
///
/// # Errors
/// If the value is not a string.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    String::deserialize(deserializer).map(|text| from_text(&text))
}

/// The same for lists of paths.
pub mod list {
    use std::path::PathBuf;

    use serde::{Deserialize, Deserializer, Serializer};

    /// Serializes paths with [`to_text`](super::to_text).
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(paths: &[PathBuf], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(paths.iter().map(|path| super::to_text(path)))
    }

    /// Deserializes paths with [`from_text`](super::from_text).
    ///
    /// # Errors
    /// If the value is not a list of strings.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
        Ok(Vec::<String>::deserialize(deserializer)?
            .iter()
            .map(|text| super::from_text(text))
            .collect())
    }
}

#[cfg(unix)]
fn escaped(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    let mut text = BYTES.to_owned();
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => text.push(char::from(byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(unix)]
fn unescaped(text: &str) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt as _;
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &rest[2..];
    }
    Some(PathBuf::from(std::ffi::OsString::from_vec(bytes)))
}

#[cfg(not(unix))]
fn escaped(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn unescaped(_text: &str) -> Option<PathBuf> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    #[test]
    fn every_path_comes_back() {
        let path = |bytes: &[u8]| PathBuf::from(OsString::from_vec(bytes.to_vec()));
        for (bytes, text) in [
            (&b"data/rows.jsonl"[..], "data/rows.jsonl"),
            (b" lead and trail ", " lead and trail "),
            ("caf\u{e9}.jsonl".as_bytes(), "caf\u{e9}.jsonl"),
            (b"caf\xe9 100%.jsonl", "bytes:caf%E9 100%25.jsonl"),
            (b"bytes:plain", "bytes:bytes:plain"),
            (b"bytes:%41\n", "bytes:bytes:%2541%0A"),
            (b"\xff\n\0", "bytes:%FF%0A%00"),
            (b"50%", "50%"),
            (b"", ""),
        ] {
            assert_eq!(to_text(&path(bytes)), text);
            assert_eq!(from_text(text), path(bytes), "{text}");
        }
        for broken in ["bytes:%", "bytes:%4", "bytes:%+4", "bytes:%zz", "bytes:%é"] {
            assert_eq!(from_text(broken), Path::new(broken));
        }
    }
}
