//! Opens a file, hashes it for the run's record, and passes it to the reader of its format.

use std::fs::File;
use std::io::{BufRead, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::find::Reader;
use super::rows::Rows;
use super::{csv, json, parquet, tsv};
use crate::DataError;
use crate::file::{TextFile, hex};
use crate::text::check_pointer;

/// Bytes inspected to recognise a Git pointer file.
const POINTER: u64 = 1024;

/// Buffer size for hashing.
const CHUNK: usize = 1 << 16;

/// Reads `rows.file` into `rows`; returns the file's SHA-256 and size.
pub(super) fn read(reader: Reader, rows: &mut Rows<'_>) -> Result<(String, u64), DataError> {
    if reader == Reader::Parquet {
        return read_parquet(rows);
    }
    let path = rows.file.clone();
    let failed = |source| DataError::Io {
        file: path.clone(),
        source,
    };
    let mut file = TextFile::open(&path)?;
    let text = file.reader();
    match reader {
        Reader::Tsv => tsv::read(text, rows)?,
        Reader::Csv => csv::read(text, rows)?,
        Reader::JsonLines if begins_list(text).map_err(failed)? => json::read_document(text, rows)?,
        Reader::JsonLines => json::read_lines(text, rows)?,
        Reader::JsonDocument | Reader::Parquet => json::read_document(text, rows)?,
    }
    file.finish().map_err(failed)
}

/// The parquet reader needs random access, so hashing takes a separate pass.
fn read_parquet(rows: &mut Rows<'_>) -> Result<(String, u64), DataError> {
    let path = rows.file.clone();
    let (sha256, bytes) = hash(&path)?;
    if bytes == 0 {
        return Err(DataError::EmptyFile { file: path, bytes });
    }
    let failed = |source| DataError::Io {
        file: path.clone(),
        source,
    };
    let mut file = File::open(&path).map_err(failed)?;
    let mut start = Vec::new();
    (&mut file).take(POINTER).read_to_end(&mut start).map_err(failed)?;
    check_pointer(&path, &start)?;
    parquet::read(file, bytes, rows)?;
    Ok((sha256, bytes))
}

/// SHA-256 in lower-case hex of a file, and its size in bytes.
pub(crate) fn hash(path: &Path) -> Result<(String, u64), DataError> {
    let failed = |source| DataError::Io {
        file: path.to_path_buf(),
        source,
    };
    let mut file = File::open(path).map_err(failed)?;
    let mut hash = Sha256::new();
    let (mut bytes, mut chunk) = (0, vec![0; CHUNK]);
    loop {
        let count = file.read(&mut chunk).map_err(failed)?;
        if count == 0 {
            return Ok((hex(&hash.finalize()), bytes));
        }
        hash.update(&chunk[..count]);
        bytes += count as u64;
    }
}

/// Whether a text begins with a list, and so is a single document whatever the file's extension.
fn begins_list(text: &mut dyn BufRead) -> std::io::Result<bool> {
    Ok(text.fill_buf()?.trim_ascii_start().starts_with(b"["))
}
