//! Recognises binary formats and other encodings where UTF-8 text is expected, by magic bytes.

/// What a file's first bytes are instead of UTF-8 text. `Display` names the format and how to convert it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotText {
    /// Another Unicode encoding.
    #[error("expected UTF-8, found {0}; `iconv -f {iconv} -t UTF-8 FILE > NEW` converts it", iconv = .0.split(' ').next().unwrap_or_default())]
    Encoding(&'static str),
    /// Compressed or binary data.
    #[error("expected text, plain or gzip, found {codec}: {way_out}")]
    Compressed {
        /// Name of the format, from its magic bytes.
        codec: &'static str,
        /// How to convert or rename the file.
        way_out: &'static str,
    },
}

/// Bytes inspected.
const LOOKED_AT: usize = 64;

/// Minimum length of the alternation of bytes and zeros that counts as UTF-16 without a byte-order mark.
const ALTERNATING: usize = 16;

/// Magic bytes, name and remedy of formats that are not read as text.
const MAGIC: [(&[u8], &str, &str); 6] = [
    (&[0x28, 0xb5, 0x2f, 0xfd], "zstd", "decompress it first (`zstd -d`)"),
    (
        &[0xfd, b'7', b'z', b'X', b'Z', 0],
        "xz",
        "decompress it first (`xz -d`)",
    ),
    (&[0x04, 0x22, 0x4d, 0x18], "lz4", "decompress it first (`lz4 -d`)"),
    (b"PK\x03\x04", "a zip archive", "unpack it first (`unzip`)"),
    (
        &[b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c],
        "a 7z archive",
        "unpack it first (`7z x`)",
    ),
    (b"PAR1\x15", "parquet", "its name has to end in .parquet"),
];

/// What follows `BZh` and a digit in bzip2.
const PI: [u8; 6] = [0x31, 0x41, 0x59, 0x26, 0x53, 0x59];

impl NotText {
    /// Detects what a file is from its first bytes (64 suffice). `None` if it may be UTF-8 text, with or without a
    /// byte-order mark.
    #[must_use]
    pub fn of_start(start: &[u8]) -> Option<Self> {
        let head = &start[..start.len().min(LOOKED_AT)];
        let marked = match head {
            [0xff, 0xfe, 0, 0, ..] => Some("UTF-32 (little-endian)"),
            [0, 0, 0xfe, 0xff, ..] => Some("UTF-32 (big-endian)"),
            [0xff, 0xfe, ..] => Some("UTF-16 (little-endian)"),
            [0xfe, 0xff, ..] => Some("UTF-16 (big-endian)"),
            _ => unmarked(head),
        };
        if let Some(encoding) = marked {
            return Some(Self::Encoding(encoding));
        }
        if matches!(head, [b'B', b'Z', b'h', b'1'..=b'9', rest @ ..] if rest.starts_with(&PI)) {
            return Some(Self::Compressed {
                codec: "bzip2",
                way_out: "decompress it first (`bzip2 -d`)",
            });
        }
        let known = MAGIC.iter().find(|(magic, ..)| head.starts_with(magic));
        known.map(|&(_, codec, way_out)| Self::Compressed { codec, way_out })
    }
}

/// UTF-16 of mostly ASCII characters, where every other byte is zero.
fn unmarked(head: &[u8]) -> Option<&'static str> {
    let pairs = head.get(..head.len() / 2 * 2)?;
    if pairs.len() < ALTERNATING {
        return None;
    }
    let all = |first: bool| {
        pairs
            .chunks(2)
            .all(|pair| (pair[0] == 0) == first && (pair[1] == 0) != first)
    };
    match (all(false), all(true)) {
        (true, _) => Some("UTF-16LE (without a mark)"),
        (_, true) => Some("UTF-16BE (without a mark)"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: Option<&str>) {
        let found = NotText::of_start(bytes).map(|what| what.to_string());
        match expected {
            None => assert_eq!(found, None),
            Some(words) => {
                let found = found.expect("no text");
                assert!(found.contains(words), "{found}");
            }
        }
    }

    fn utf16(text: &str, big: bool) -> Vec<u8> {
        let bytes = |unit: u16| if big { unit.to_be_bytes() } else { unit.to_le_bytes() };
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn marks_are_dropped_once() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            assert_eq!(crate::without_mark(text.as_bytes()), expected.as_bytes());
        }
        check("a mark\n", "a mark\n");
        check("\u{feff}a mark\n", "a mark\n");
        check("\u{feff}\u{feff}two", "\u{feff}two");
        check("\u{feff}", "");
        check("", "");
    }

    #[test]
    fn other_encodings_are_called_by_their_names() {
        check(
            &utf16("\u{feff}{\"a\": 1}", false),
            Some("found UTF-16 (little-endian); `iconv -f UTF-16 -t UTF-8"),
        );
        check(&utf16("\u{feff}{\"a\": 1}", true), Some("found UTF-16 (big-endian)"));
        check(
            &utf16("source,target", false),
            Some("found UTF-16LE (without a mark); `iconv -f UTF-16LE -t"),
        );
        check(&utf16("source,target", true), Some("found UTF-16BE (without a mark)"));
        check(b"\xff\xfe\0\0a\0\0\0", Some("found UTF-32 (little-endian)"));
        check(b"\0\0\xfe\xff\0\0\0a", Some("found UTF-32 (big-endian)"));
        // A few zeros are not enough for UTF-16.
        check(b"a\0b\0c", None);
    }

    #[test]
    fn archives_are_called_by_their_names() {
        check(
            b"\x28\xb5\x2f\xfd\x04",
            Some("found zstd: decompress it first (`zstd -d`)"),
        );
        check(b"BZh91AY&SY\x01", Some("found bzip2: "));
        check(b"\xfd7zXZ\0\0", Some("found xz: "));
        check(b"PK\x03\x04\x14", Some("found a zip archive: unpack it"));
        check(b"PAR1\x15\x04", Some("found parquet: its name has to end in .parquet"));
        check(b"BZh9 is a text", None);
    }
}
