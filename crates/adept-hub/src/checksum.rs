//! The two kinds of checksum that the hub announces.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// A file's checksum, lower-case hex; its text is the file's name among the cache's blobs as well.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Checksum {
    /// SHA-256 of the bytes: files kept as large ones.
    Sha256(String),
    /// Git's blob id, SHA-1 of `blob <size>\0` and the bytes: all others.
    GitBlob(String),
}

impl Checksum {
    /// The hex digits.
    pub fn hex(&self) -> &str {
        match self {
            Self::Sha256(hex) | Self::GitBlob(hex) => hex,
        }
    }

    /// Whether the text is what it claims to be.
    pub(crate) fn is_well_formed(&self) -> bool {
        let length = match self {
            Self::Sha256(_) => 64,
            Self::GitBlob(_) => 40,
        };
        is_hex(self.hex(), length)
    }

    /// The same kind of checksum of a file of `size` bytes.
    pub(crate) fn of_file(&self, path: &Path, size: u64) -> std::io::Result<String> {
        match self {
            Self::Sha256(_) => digest(Sha256::new(), path),
            Self::GitBlob(_) => digest(Sha1::new().chain_update(format!("blob {size}\0")), path),
        }
    }
}

/// Whether a text is so many lower-case hex digits.
pub(crate) fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn digest<D: Digest>(mut hash: D, path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut chunk = vec![0; 1 << 16];
    loop {
        let count = file.read(&mut chunk)?;
        if count == 0 {
            break;
        }
        hash.update(&chunk[..count]);
    }
    Ok(hash.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}
