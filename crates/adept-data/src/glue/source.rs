//! A file's bytes: opened, hashed for the run's record, checked to be UTF-8, and handed to the reader of its format.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::find::Format;
use super::rows::Rows;
use super::{json, parquet, tsv};
use crate::DataError;

/// Bytes hashed at a time.
const CHUNK: usize = 1 << 16;

/// A file that was read.
pub(super) struct Source {
    pub bytes: u64,
    pub sha256: String,
}

/// Reads `rows.file` into `rows`.
pub(super) fn read(format: Format, rows: &mut Rows) -> Result<Source, DataError> {
    match format {
        Format::Tsv => read_text(rows, tsv::read),
        Format::Json => read_text(rows, json::read),
        Format::Parquet => read_parquet(rows),
    }
}

fn read_text(
    rows: &mut Rows,
    reader: fn(text: &str, rows: &mut Rows) -> Result<(), DataError>,
) -> Result<Source, DataError> {
    let path = rows.file.clone();
    let bytes = std::fs::read(&path).map_err(|source| DataError::Io {
        file: path.clone(),
        source,
    })?;
    let text = std::str::from_utf8(&bytes).map_err(|error| not_utf8(&path, &bytes, error.valid_up_to()))?;
    reader(text, rows)?;
    Ok(Source {
        bytes: bytes.len() as u64,
        sha256: hex(&Sha256::digest(&bytes)),
    })
}

/// The reader of parquet jumps about in its file, so the hash takes a pass of its own.
fn read_parquet(rows: &mut Rows) -> Result<Source, DataError> {
    let path = rows.file.clone();
    let failed = |source| DataError::Io {
        file: path.clone(),
        source,
    };
    let mut file = File::open(&path).map_err(failed)?;
    let mut hash = Sha256::new();
    let (mut bytes, mut chunk) = (0, vec![0; CHUNK]);
    loop {
        let count = file.read(&mut chunk).map_err(failed)?;
        if count == 0 {
            break;
        }
        hash.update(&chunk[..count]);
        bytes += count as u64;
    }
    if bytes == 0 {
        return Err(DataError::EmptyFile { file: path, bytes });
    }
    parquet::read(file, bytes, rows)?;
    Ok(Source {
        bytes,
        sha256: hex(&hash.finalize()),
    })
}

/// Names line and column of the first byte that is not UTF-8.
fn not_utf8(path: &Path, bytes: &[u8], at: usize) -> DataError {
    // All before the byte is UTF-8, so its lines can be counted as the readers count them.
    let before = std::str::from_utf8(&bytes[..at]).unwrap_or_default();
    let line = tsv::lines(before).count();
    let start = before.rfind(['\n', '\r']).map_or(0, |end| end + 1);
    DataError::NotUtf8 {
        file: path.to_path_buf(),
        line,
        column: at - start + 1,
        byte: bytes[at],
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
