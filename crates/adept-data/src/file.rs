//! A text file, plain or gzip, read in a single pass and hashed on the way.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use crate::DataError;
use crate::text::Begun;

/// Buffer size in bytes.
const CHUNK: usize = 1 << 16;

/// Magic bytes of gzip.
pub(crate) const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Counts and hashes a file's bytes as they are read.
#[derive(Debug)]
pub(crate) struct Hashed {
    file: File,
    hash: Sha256,
    bytes: u64,
}

impl Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.hash.update(&buffer[..count]);
        self.bytes += count as u64;
        Ok(count)
    }
}

/// A plain or gzip text file, without its byte-order mark.
#[derive(Debug)]
pub(crate) enum TextFile {
    Plain(Box<Begun<BufReader<Hashed>>>),
    Gzip(Box<Begun<BufReader<MultiGzDecoder<BufReader<Hashed>>>>>),
}

impl TextFile {
    /// Opens a file and detects gzip by its magic bytes.
    ///
    /// # Errors
    /// [`DataError::Io`], and [`DataError::NotText`] if its first bytes are not UTF-8 text.
    pub(crate) fn open(path: &Path) -> Result<Self, DataError> {
        let failed = |source| DataError::Io {
            file: path.to_path_buf(),
            source,
        };
        let hashed = Hashed {
            file: File::open(path).map_err(failed)?,
            hash: Sha256::new(),
            bytes: 0,
        };
        let mut bytes = BufReader::with_capacity(CHUNK, hashed);
        Ok(if bytes.fill_buf().map_err(failed)?.starts_with(&GZIP) {
            let text = BufReader::with_capacity(CHUNK, MultiGzDecoder::new(bytes));
            Self::Gzip(Box::new(Begun::new(path, text)?))
        } else {
            Self::Plain(Box::new(Begun::new(path, bytes)?))
        })
    }

    /// The decompressed text.
    pub(crate) fn reader(&mut self) -> &mut dyn BufRead {
        match self {
            Self::Plain(reader) => reader,
            Self::Gzip(reader) => reader,
        }
    }

    fn hashed(&mut self) -> &mut BufReader<Hashed> {
        match self {
            Self::Plain(reader) => reader.rest_mut(),
            Self::Gzip(reader) => reader.rest_mut().get_mut().get_mut(),
        }
    }

    /// Reads the remainder and returns the SHA-256 of the raw file in lower-case hex, and its size in bytes.
    pub(crate) fn finish(mut self) -> std::io::Result<(String, u64)> {
        let bytes = self.hashed();
        std::io::copy(bytes, &mut std::io::sink())?;
        let hashed = bytes.get_mut();
        Ok((hex(&std::mem::take(&mut hashed.hash).finalize()), hashed.bytes))
    }
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a string cannot fail");
            text
        })
}

/// A temporary file in `folder`, to be renamed once it is complete. It gets the permissions of any other new file,
/// where temporary files are private to their owner by default. Its name is `.adept-`, six letters or digits, `.tmp`,
/// so that leftovers can be recognised.
pub(crate) fn beside(folder: &Path) -> std::io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".adept-").suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}
