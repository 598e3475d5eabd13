//! Examples of one official split as token ids on disk, so that text is tokenised once and memory is at most sixteen
//! bytes per example, however large the files are.
//!
//! Layout, all little-endian: 120 bytes of header, the examples, then 24 bytes for each source file (rows, rows
//! skipped, empty fields).
//!
//! | bytes | header |
//! |---|---|
//! | 8 | `ADEPTROW` |
//! | 4 | version |
//! | 4 | bytes of a token id |
//! | 8 | examples |
//! | 8 | bytes of all examples |
//! | 4 | files |
//! | 4 | ids that the tokenizer puts behind every text |
//! | 16 | unused, zero |
//! | 32 | what the examples were made of ([`super::key`]) |
//! | 32 | SHA-256 of all that follows, then of the header before it |
//!
//! | bytes | example |
//! |---|---|
//! | 8 | id: its row |
//! | 8 | group |
//! | 4 | source ids |
//! | 4 | target ids |
//! | 4 | what its texts lose ([`lost`]), and whether its source has answers ([`ANSWERS`]) |
//! | … | source ids, target ids, neither cut |
//! | … | only with answers: 4 bytes with their number, then for each 4 bytes with its beginning and 4 with its end |
//! | 4 | texts |
//! | … | target and right answers: 4 bytes of length, UTF-8 |
//! | … | of each text that loses something two excerpts, source first |
//!
//! A store is written to a temporary file and renamed when complete. It is verified in full when opened, and rebuilt
//! unless it is exactly what would be built.

use std::io::Read;

use sha2::{Digest, Sha256};

use crate::loss::LossKind;

const MAGIC: [u8; 8] = *b"ADEPTROW";
pub(super) const VERSION: u32 = 3;
/// Size of the header in bytes.
pub(super) const HEADER: usize = 120;
/// Bytes of the header covered by its digest.
pub(super) const COVERED: usize = 88;
/// Size of an example's fixed part, before its ids.
pub(super) const HEAD: u64 = 28;
/// Bit of an example's losses that says that its source has answers in it.
pub(super) const ANSWERS: u8 = 1 << 4;
/// Bytes of the number of answers, and of each half of an answer.
pub(super) const ANSWER: usize = 4;
/// Size of a source file's entry at the end.
pub(super) const FILE: usize = 24;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub width: usize,
    pub examples: u64,
    pub bytes: u64,
    pub files: usize,
    pub suffix: usize,
    pub key: [u8; 32],
    pub digest: [u8; 32],
}

impl Header {
    /// `None` unless it is a header of this version.
    pub(super) fn read(bytes: &[u8; HEADER]) -> Option<Self> {
        let word = |at: usize| bytes[at..at + 4].try_into().map(u32::from_le_bytes).ok();
        let long = |at: usize| bytes[at..at + 8].try_into().map(u64::from_le_bytes).ok();
        (bytes[..8] == MAGIC && word(8)? == VERSION && matches!(word(12)?, 2 | 4)).then_some(())?;
        Some(Self {
            width: word(12)? as usize,
            examples: long(16)?,
            bytes: long(24)?,
            files: word(32)? as usize,
            suffix: word(36)? as usize,
            key: bytes[56..COVERED].try_into().ok()?,
            digest: bytes[COVERED..HEADER].try_into().ok()?,
        })
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        [
            &MAGIC[..],
            &VERSION.to_le_bytes(),
            &(self.width as u32).to_le_bytes(),
            &self.examples.to_le_bytes(),
            &self.bytes.to_le_bytes(),
            &(self.files as u32).to_le_bytes(),
            &(self.suffix as u32).to_le_bytes(),
            &[0; 16],
            &self.key,
            &self.digest,
        ]
        .concat()
    }
}

/// Encodes the losses of source and target in two bits each.
pub(super) fn lost(kinds: [Option<LossKind>; 2]) -> u8 {
    let bits = |kind| match kind {
        Some(LossKind::Unknown) => 1,
        Some(LossKind::Altered) => 2,
        // Truncation depends on the lengths that a store is opened with.
        Some(LossKind::Cut) | None => 0,
    };
    bits(kinds[0]) | bits(kinds[1]) << 2
}

/// Offset, lengths and losses of an example, in sixteen bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// The offset, with the losses in the lowest byte.
    place: u64,
    pub source: u32,
    pub target: u32,
}

impl Entry {
    fn new(offset: u64, lost: u8, source: u32, target: u32) -> Self {
        Self {
            place: offset << 8 | u64::from(lost),
            source,
            target,
        }
    }

    pub(super) fn offset(&self) -> u64 {
        self.place >> 8
    }

    /// Losses of source and target.
    pub(super) fn lost(&self) -> [Option<LossKind>; 2] {
        let kind = |bits| match bits & 3 {
            1 => Some(LossKind::Unknown),
            2 => Some(LossKind::Altered),
            _ => None,
        };
        [kind(self.place), kind(self.place >> 2)]
    }

    /// Whether the source has answers in it.
    pub(super) fn has_answers(&self) -> bool {
        self.place as u8 & ANSWERS != 0
    }
}

/// Reads and hashes what follows the header.
pub(super) struct Hashed<'a, R> {
    reader: &'a mut R,
    hash: Sha256,
    at: u64,
    scratch: Vec<u8>,
}

impl<'a, R: Read> Hashed<'a, R> {
    pub(super) fn new(reader: &'a mut R) -> Self {
        Self {
            reader,
            hash: Sha256::new(),
            at: HEADER as u64,
            scratch: Vec::new(),
        }
    }

    fn array<const N: usize>(&mut self) -> std::io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes)?;
        self.hash.update(bytes);
        self.at += N as u64;
        Ok(bytes)
    }

    pub(super) fn long(&mut self) -> std::io::Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn word(&mut self) -> std::io::Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// Skips `bytes` bytes.
    fn pass(&mut self, mut bytes: u64) -> std::io::Result<()> {
        self.at += bytes;
        self.scratch.resize(1 << 16, 0);
        while bytes > 0 {
            let chunk = self.scratch.len().min(usize::try_from(bytes).unwrap_or(usize::MAX));
            self.reader.read_exact(&mut self.scratch[..chunk])?;
            self.hash.update(&self.scratch[..chunk]);
            bytes -= chunk as u64;
        }
        Ok(())
    }

    /// Digest of a whole store with this header.
    pub(super) fn digest(mut self, header: &[u8; HEADER]) -> [u8; 32] {
        self.hash.update(&header[..COVERED]);
        self.hash.finalize().into()
    }
}

/// The entries of all examples, and their ids unless each row has exactly one example.
pub(super) type Index = (Vec<Entry>, Option<Vec<usize>>);

/// Scans all examples; `None` if they do not end where the header says.
pub(super) fn index<R: Read>(from: &mut Hashed<'_, R>, header: &Header) -> std::io::Result<Option<Index>> {
    let end = HEADER as u64 + header.bytes;
    let (mut entries, mut ids, mut rows_have_one) = (Vec::new(), Vec::new(), true);
    // Lengths are checked before skipping: corrupt ones must not lead beyond the examples.
    let fits = |at: u64, bytes: u64| at.checked_add(bytes).is_some_and(|to| to <= end);
    while from.at < end {
        let offset = from.at;
        if !fits(offset, HEAD) {
            return Ok(None);
        }
        let (id, _) = (from.long()?, from.long()?);
        let (source, target, lost) = (from.word()?, from.word()?, from.word()?);
        let tokens = (u64::from(source) + u64::from(target)) * header.width as u64;
        if !fits(from.at, tokens + 4) {
            return Ok(None);
        }
        from.pass(tokens)?;
        if lost as u8 & ANSWERS != 0 {
            let bytes = u64::from(from.word()?) * 2 * ANSWER as u64;
            if !fits(from.at, bytes + 4) {
                return Ok(None);
            }
            from.pass(bytes)?;
        }
        for _ in 0..from.word()? {
            if !fits(from.at, 4) {
                return Ok(None);
            }
            let bytes = u64::from(from.word()?);
            if !fits(from.at, bytes) {
                return Ok(None);
            }
            from.pass(bytes)?;
        }
        rows_have_one &= id == entries.len() as u64;
        if !rows_have_one && ids.is_empty() {
            // So far, the example index equalled the row number.
            ids = (0..entries.len()).collect();
        }
        if !rows_have_one {
            ids.push(usize::try_from(id).unwrap_or(usize::MAX));
        }
        entries.push(Entry::new(offset, lost as u8, source, target));
    }
    let whole = entries.len() as u64 == header.examples;
    Ok(whole.then_some((entries, (!rows_have_one).then_some(ids))))
}
