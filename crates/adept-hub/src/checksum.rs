//! The two kinds of checksum in the hub's listings.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// A file's checksum in lower-case hex, which is also the name of its blob in the cache.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Checksum {
    /// SHA-256 of the bytes, for files in LFS.
    Sha256(String),
    /// Git blob id, SHA-1 of `blob <size>\0` and the bytes, for all others.
    GitBlob(String),
}

impl Checksum {
    /// The hex digits.
    pub fn hex(&self) -> &str {
        match self {
            Self::Sha256(hex) | Self::GitBlob(hex) => hex,
        }
    }

    /// Whether the checksum has the right number of hex digits.
    pub(crate) fn is_well_formed(&self) -> bool {
        let length = match self {
            Self::Sha256(_) => 64,
            Self::GitBlob(_) => 40,
        };
        is_hex(self.hex(), length)
    }

    /// Computes this kind of checksum for a file of `size` bytes.
    pub(crate) fn of_file(&self, path: &Path, size: u64) -> std::io::Result<String> {
        match self {
            Self::Sha256(_) => digest(Sha256::new(), path),
            Self::GitBlob(_) => digest(Sha1::new().chain_update(format!("blob {size}\0")), path),
        }
    }
}

/// Whether a text consists of `length` lower-case hex digits.
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
