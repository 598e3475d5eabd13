//! A corpus as token ids on disk, so that text is tokenised once and any window is a single short read.
//!
//! Layout, all little-endian: 104 bytes of header, then the ids, as `u16` if the vocabulary fits and as `u32`
//! otherwise; each paragraph's ids are followed by `</s>`.
//!
//! | bytes | header |
//! |---|---|
//! | 8 | `ADEPTTOK` |
//! | 4 | version |
//! | 4 | bytes of an id |
//! | 8 | ids |
//! | 8 | paragraphs |
//! | 8 | unused, zero |
//! | 32 | SHA-256 of what the ids were made of: tokenizer, files, and what counts as a paragraph |
//! | 32 | SHA-256 of all ids and of the numbers of ids and paragraphs |
//!
//! A store is written to a temporary file and renamed when complete. It is verified in full when opened (a second for a
//! billion ids) and rebuilt unless it is exactly what would be built.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::encode::Encoder;
use super::{CorpusFiles, PretrainError};
use crate::{DataError, TextTokenizer};

const MAGIC: [u8; 8] = *b"ADEPTTOK";
const VERSION: u32 = 1;
const HEADER: usize = 104;

/// Paragraphs and bytes tokenised at a time: enough to keep all cores busy, few enough to bound memory.
const CHUNK: usize = 4096;
const CHUNK_BYTES: usize = 1 << 21;

/// Progress of building a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreProgress {
    /// Paragraphs tokenised so far.
    pub paragraphs: usize,
    /// Paragraphs in the corpus.
    pub total: usize,
    /// Tokens written so far.
    pub tokens: u64,
}

/// Whether an existing store was reused and, if not, why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreOrigin {
    /// A valid store existed.
    Reused,
    /// Built: there was none.
    Built,
    /// Built: the existing one is from another tokenizer, other text or another version.
    Outdated,
    /// Built: the existing one is corrupt.
    Damaged,
}

/// A corpus as token ids on disk.
#[derive(Debug)]
pub struct TokenStore {
    path: PathBuf,
    file: Mutex<File>,
    header: Header,
    origin: StoreOrigin,
}

impl TokenStore {
    /// Opens the store at `path` if it matches this corpus and tokenizer, and builds it otherwise. `progress` is called
    /// only while building.
    ///
    /// # Errors
    /// Those of the corpus; [`PretrainError::Write`], [`DataError::Io`]; [`PretrainError::MissingToken`] if the
    /// tokenizer has no `</s>`.
    pub fn open_or_build(
        path: &Path,
        corpus: &CorpusFiles,
        tokenizer: &TextTokenizer,
        progress: &mut dyn FnMut(StoreProgress),
    ) -> Result<Self, DataError> {
        let content = content(corpus, tokenizer);
        let width = if tokenizer.vocab_size() <= 1 << 16 { 2 } else { 4 };
        let origin = match Self::open(path, &content, width)? {
            Ok(store) => return Ok(store),
            Err(origin) => origin,
        };
        let failed = |source| PretrainError::Write {
            file: path.to_path_buf(),
            source,
        };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut file = crate::file::beside(folder.unwrap_or(Path::new("."))).map_err(failed)?;
        let mut header = Header {
            width,
            content,
            ..Header::default()
        };
        write(file.as_file_mut(), path, &mut header, corpus, tokenizer, progress)?;
        file.as_file().sync_all().map_err(failed)?;
        let file = file.persist(path).map_err(|error| failed(error.error))?;
        Ok(Self {
            path: path.to_path_buf(),
            file: Mutex::new(file),
            header,
            origin,
        })
    }

    /// The store at `path`, or the reason it must be built.
    fn open(path: &Path, content: &[u8; 32], width: u32) -> Result<Result<Self, StoreOrigin>, DataError> {
        let failed = |source| DataError::Io {
            file: path.to_path_buf(),
            source,
        };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Err(StoreOrigin::Built)),
            Err(error) => return Err(failed(error)),
        };
        let found = file.metadata().map_err(failed)?;
        if !found.is_file() {
            // Never replace a folder or a device by renaming onto it.
            return Err(failed(std::io::Error::other("it is not a regular file")));
        }
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let mut header = [0; HEADER];
        let whole = found.len() >= HEADER as u64;
        if whole {
            reader.read_exact(&mut header).map_err(failed)?;
        }
        let Some(header) = Header::read(&header) else {
            return Ok(Err(StoreOrigin::Damaged));
        };
        if header.version != VERSION || header.content != *content || header.width != width {
            return Ok(Err(StoreOrigin::Outdated));
        }
        let bytes = header.tokens.checked_mul(u64::from(width));
        if bytes.and_then(|bytes| bytes.checked_add(HEADER as u64)) != Some(found.len()) {
            return Ok(Err(StoreOrigin::Damaged));
        }
        let mut hash = Sha256::new();
        let mut chunk = vec![0; 1 << 16];
        loop {
            match reader.read(&mut chunk).map_err(failed)? {
                0 => break,
                count => hash.update(&chunk[..count]),
            }
        }
        if header.ids != header.digest(hash) {
            return Ok(Err(StoreOrigin::Damaged));
        }
        Ok(Ok(Self {
            path: path.to_path_buf(),
            file: Mutex::new(reader.into_inner()),
            header,
            origin: StoreOrigin::Reused,
        }))
    }

    /// Whether the store was reused and, if not, why it was built.
    pub fn origin(&self) -> StoreOrigin {
        self.origin
    }

    /// Number of tokens, including the `</s>` after each paragraph.
    pub fn len(&self) -> u64 {
        self.header.tokens
    }

    /// Whether the store has no tokens; never true for a store from [`open_or_build`](Self::open_or_build).
    pub fn is_empty(&self) -> bool {
        self.header.tokens == 0
    }

    /// Number of paragraphs.
    pub fn paragraphs(&self) -> u64 {
        self.header.paragraphs
    }

    /// Reads `length` tokens from `start` into `out`, replacing its content.
    ///
    /// # Errors
    /// [`PretrainError::WindowOutside`], and [`DataError::Io`] if the file can no longer be read.
    pub fn window(&self, start: u64, length: usize, out: &mut Vec<u32>) -> Result<(), DataError> {
        out.clear();
        let end = start.saturating_add(length as u64);
        if end > self.header.tokens {
            return Err(PretrainError::WindowOutside {
                file: self.path.clone(),
                tokens: self.header.tokens,
                start,
                end,
            }
            .into());
        }
        let width = self.header.width as usize;
        let mut bytes = vec![0; length * width];
        {
            // Every read seeks first, so the state left by a panicking thread does not matter.
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            file.seek(SeekFrom::Start(HEADER as u64 + start * width as u64))
                .and_then(|_| file.read_exact(&mut bytes))
                .map_err(|source| DataError::Io {
                    file: self.path.clone(),
                    source,
                })?;
        }
        out.extend(bytes.chunks_exact(width).map(|id| match *id {
            [low, high] => u32::from(u16::from_le_bytes([low, high])),
            _ => id.iter().rev().fold(0, |id, &byte| id << 8 | u32::from(byte)),
        }));
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Header {
    version: u32,
    width: u32,
    tokens: u64,
    paragraphs: u64,
    content: [u8; 32],
    ids: [u8; 32],
}

impl Header {
    /// `None` if the magic bytes do not match.
    fn read(bytes: &[u8; HEADER]) -> Option<Self> {
        let word = |at: usize| bytes[at..at + 4].try_into().map(u32::from_le_bytes).ok();
        let long = |at: usize| bytes[at..at + 8].try_into().map(u64::from_le_bytes).ok();
        let digest = |at: usize| bytes[at..at + 32].try_into().ok();
        (bytes[..8] == MAGIC).then_some(())?;
        Some(Self {
            version: word(8)?,
            width: word(12)?,
            tokens: long(16)?,
            paragraphs: long(24)?,
            content: digest(40)?,
            ids: digest(72)?,
        })
    }

    fn bytes(&self) -> Vec<u8> {
        [
            &MAGIC[..],
            &self.version.to_le_bytes(),
            &self.width.to_le_bytes(),
            &self.tokens.to_le_bytes(),
            &self.paragraphs.to_le_bytes(),
            &[0; 8],
            &self.content,
            &self.ids,
        ]
        .concat()
    }

    /// Hash of the ids and of the numbers of tokens and paragraphs.
    fn digest(&self, ids: Sha256) -> [u8; 32] {
        ids.chain_update(self.tokens.to_le_bytes())
            .chain_update(self.paragraphs.to_le_bytes())
            .finalize()
            .into()
    }
}

/// Hash of everything that determines the ids and their order.
fn content(corpus: &CorpusFiles, tokenizer: &TextTokenizer) -> [u8; 32] {
    let options = corpus.options();
    let mut hash = Sha256::new()
        .chain_update(VERSION.to_le_bytes())
        .chain_update(tokenizer.sha256())
        .chain_update((options.min_characters as u64).to_le_bytes())
        .chain_update([u8::from(options.drop_headings)]);
    for file in corpus.files() {
        hash.update(&file.sha256);
        hash.update((file.rows as u64).to_le_bytes());
    }
    hash.finalize().into()
}

fn write(
    file: &mut (impl Write + Seek),
    path: &Path,
    header: &mut Header,
    corpus: &CorpusFiles,
    tokenizer: &TextTokenizer,
    progress: &mut dyn FnMut(StoreProgress),
) -> Result<(), DataError> {
    let failed = |source| PretrainError::Write {
        file: path.to_path_buf(),
        source,
    };
    let eos = tokenizer
        .token_id("</s>")
        .ok_or(PretrainError::MissingToken { expected: "</s>" })?;
    let mut hash = Sha256::new();
    file.write_all(&[0; HEADER]).map_err(failed)?;

    let mut encoder = Encoder::new(tokenizer, eos);
    let mut lines = corpus.lines();
    let (mut texts, mut ids) = (Vec::new(), Vec::new());
    loop {
        texts.clear();
        let mut bytes = 0;
        while texts.len() < CHUNK && bytes < CHUNK_BYTES {
            let Some(text) = lines.next().transpose()? else { break };
            bytes += text.len();
            texts.push(text);
        }
        if texts.is_empty() {
            break;
        }
        ids.clear();
        let first = header.paragraphs as usize;
        let width = header.width as usize;
        encoder
            .encode(&texts, |row| {
                for id in row {
                    ids.extend_from_slice(&id.to_le_bytes()[..width]);
                }
            })
            .map_err(|error| match error {
                DataError::Tokenize { row, source } => DataError::Tokenize {
                    row: first + row,
                    source,
                },
                other => other,
            })?;
        hash.update(&ids);
        file.write_all(&ids).map_err(failed)?;
        header.tokens += (ids.len() / width) as u64;
        header.paragraphs += texts.len() as u64;
        progress(StoreProgress {
            paragraphs: header.paragraphs as usize,
            total: corpus.paragraphs(),
            tokens: header.tokens,
        });
    }

    header.version = VERSION;
    header.ids = header.digest(hash);
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    file.write_all(&header.bytes()).map_err(failed)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pretrain::CorpusOptions;

    /// Uses a device on which every write fails for lack of space; where it does not exist, the test passes vacuously.
    #[test]
    fn a_full_disk_is_an_error() {
        let Ok(mut full) = File::options().write(true).open("/dev/full") else {
            return;
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("text");
        std::fs::write(&path, "the gardener watched the old bridge before sunrise\n").expect("a file");
        let corpus = CorpusFiles::open(&[path], CorpusOptions::default()).expect("a corpus without a fault");
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pretrain");
        let tokenizer = TextTokenizer::from_dir(&fixture).expect("the fixture");
        let mut header = Header {
            width: 2,
            ..Header::default()
        };
        let place = Path::new("tokens.bin");
        let fault = write(&mut full, place, &mut header, &corpus, &tokenizer, &mut |_| {});
        match fault {
            Err(DataError::Pretrain(PretrainError::Write { file, source })) => {
                assert_eq!(file, place);
                assert_eq!(source.kind(), std::io::ErrorKind::StorageFull);
            }
            other => panic!("{other:?}"),
        }
    }
}
