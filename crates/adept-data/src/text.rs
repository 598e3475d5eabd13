//! Inspects the beginning of texts: byte-order marks are dropped wherever text is read, and anything that is not UTF-8
//! text (UTF-16, UTF-32, an archive, a stand-in for a file) is rejected by name, with a remedy.

use std::io::{BufRead, Cursor, Read};
use std::path::Path;

use adept_files::{NotText, StandIn};
use serde_json::{Map, Value};

use crate::DataError;

/// Bytes buffered from the beginning of a file, so that detection does not depend on the size of the first read.
const HELD: usize = 1024;

/// Strips the byte-order mark.
///
/// # Errors
/// [`DataError::NotText`] and [`DataError::StandIn`] if the first bytes are not UTF-8 text.
pub(crate) fn without_mark<'b>(file: &Path, bytes: &'b [u8]) -> Result<&'b [u8], DataError> {
    if let Some(what) = NotText::of_start(bytes) {
        let file = file.to_path_buf();
        return Err(DataError::NotText { file, what });
    }
    check_pointer(file, bytes)?;
    Ok(adept_files::without_mark(bytes))
}

/// Rejects Git pointer files. Web pages and the like may be legitimate data.
///
/// # Errors
/// [`DataError::StandIn`].
pub(crate) fn check_pointer(file: &Path, start: &[u8]) -> Result<(), DataError> {
    match StandIn::of_start(start) {
        Some(what @ (StandIn::LfsPointer { .. } | StandIn::AnnexPointer)) => Err(DataError::StandIn {
            file: file.to_path_buf(),
            what,
        }),
        _ => Ok(()),
    }
}

/// Reads a whole text file (a card, a configuration, a record) without its byte-order mark.
///
/// # Errors
/// [`DataError::Io`], [`DataError::NotText`] and [`DataError::StandIn`], and [`DataError::NotUtf8`] with line and byte.
pub fn read_text(file: &Path) -> Result<String, DataError> {
    let bytes = std::fs::read(file).map_err(|source| DataError::Io {
        file: file.to_path_buf(),
        source,
    })?;
    decoded(file, &bytes).map(str::to_owned)
}

/// Decodes a file's bytes, without the byte-order mark.
///
/// # Errors
/// [`DataError::NotText`] and [`DataError::StandIn`], and [`DataError::NotUtf8`] with line and byte.
pub fn decoded<'b>(file: &Path, bytes: &'b [u8]) -> Result<&'b str, DataError> {
    let bytes = without_mark(file, bytes)?;
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let before = &bytes[..at];
        let start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        DataError::NotUtf8 {
            file: file.to_path_buf(),
            line: 1 + before.iter().filter(|&&byte| byte == b'\n').count(),
            column: at - start + 1,
            byte: bytes[at],
        }
    })
}

/// A reader whose first bytes have been checked and whose byte-order mark has been removed.
#[derive(Debug)]
pub(crate) struct Begun<R> {
    head: Cursor<Vec<u8>>,
    /// The error that ended the buffered bytes, returned once they are consumed.
    fault: Option<std::io::Error>,
    rest: R,
}

impl<R: BufRead> Begun<R> {
    /// Checks the first bytes of `rest`, which is the content of `file`.
    ///
    /// # Errors
    /// [`DataError::NotText`] and [`DataError::StandIn`].
    pub(crate) fn new(file: &Path, mut rest: R) -> Result<Self, DataError> {
        let mut head = Vec::with_capacity(HELD);
        let fault = (&mut rest).take(HELD as u64).read_to_end(&mut head).err();
        let mark = head.len() - without_mark(file, &head)?.len();
        let mut head = Cursor::new(head);
        head.set_position(mark as u64);
        Ok(Self { head, fault, rest })
    }

    pub(crate) fn rest_mut(&mut self) -> &mut R {
        &mut self.rest
    }

    fn in_head(&self) -> bool {
        (self.head.position() as usize) < self.head.get_ref().len()
    }
}

impl<R: BufRead> Read for Begun<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(buffer.len());
        buffer[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Begun<R> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        if self.in_head() {
            return self.head.fill_buf();
        }
        match self.fault.take() {
            Some(fault) => Err(fault),
            None => self.rest.fill_buf(),
        }
    }

    fn consume(&mut self, count: usize) {
        if self.in_head() {
            self.head.consume(count);
        } else {
            self.rest.consume(count);
        }
    }
}

/// Parses one JSON object, rejecting duplicate keys. A duplicate key is stored in `twice`, since the parser's error
/// does not tell it.
pub(crate) fn object_of_keys(text: &str, twice: &mut Option<String>) -> Result<Map<String, Value>, serde_json::Error> {
    use serde::de::{DeserializeSeed, Error, Unexpected};
    let mut parser = serde_json::Deserializer::from_str(text);
    let value = crate::read::Once(twice).deserialize(&mut parser)?;
    parser.end()?;
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(Error::invalid_type(
            Unexpected::Other("another value"),
            &"a JSON object",
        )),
    }
}

/// Parses the JSON object on a line of `file`.
///
/// # Errors
/// [`DataError::Json`], and [`DataError::Table`] for a duplicate key.
pub fn json_object(file: &Path, line: usize, text: &str) -> Result<Map<String, Value>, DataError> {
    let mut twice = None;
    object_of_keys(text, &mut twice).map_err(|fault| match twice {
        Some(key) => DataError::Table {
            file: file.to_path_buf(),
            line,
            fault: crate::TableFault::DoubleKey { key },
        },
        None => DataError::Json {
            file: file.to_path_buf(),
            line,
            column: fault.column(),
            fault,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: Result<&str, &str>) {
        let file = Path::new("FILE.txt");
        let whole = decoded(file, bytes)
            .map(str::to_owned)
            .map_err(|error| error.to_string());
        // Also byte by byte, as from a pipe.
        let piecewise = Begun::new(file, std::io::BufReader::with_capacity(1, bytes)).map(|mut begun| {
            let mut text = String::new();
            begun.read_to_string(&mut text).expect("UTF-8");
            text
        });
        let piecewise = piecewise.map_err(|error| error.to_string());
        match expected {
            Ok(text) => {
                assert_eq!(whole.as_deref(), Ok(text));
                assert_eq!(piecewise.as_deref(), Ok(text));
            }
            Err(part) => {
                for found in [whole, piecewise] {
                    let message = found.expect_err("no text");
                    assert!(message.starts_with("FILE.txt: ") && message.contains(part), "{message}");
                }
            }
        }
    }

    #[test]
    fn marks_are_dropped_once() {
        check("a mark\n".as_bytes(), Ok("a mark\n"));
        check("\u{feff}a mark\n".as_bytes(), Ok("a mark\n"));
        check("\u{feff}\u{feff}two".as_bytes(), Ok("\u{feff}two"));
        check("\u{feff}".as_bytes(), Ok(""));
        check(b"", Ok(""));
        let long = format!("\u{feff}{}", "long ".repeat(100));
        check(long.as_bytes(), Ok(&long['\u{feff}'.len_utf8()..]));
    }

    #[test]
    fn what_is_no_text_is_refused_by_its_name() {
        check(b"\xff\xfea\0", Err("found UTF-16 (little-endian)"));
        check(b"\x28\xb5\x2f\xfd\x04", Err("found zstd"));
        check(
            b"version https://git-lfs.github.com/spec/v1\noid",
            Err("Git LFS pointer"),
        );
        check(b"/annex/objects/SHA256E-s1--ab", Err("git-annex pointer"));
        check(b"<html> may be data", Ok("<html> may be data"));
    }
}
