//! Errors in pretraining's input, with the figures. Files, lines and bytes within a line are reported as in
//! [`DataError`](crate::DataError), which wraps these.

use std::path::PathBuf;

/// Why text could not be made into batches for pretraining.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PretrainError {
    /// A corpus path that is neither a text file nor a folder containing one.
    #[error("{}: expected files *.txt or *.txt.gz, found none{}", path.display(), beside(found))]
    NoTextFiles {
        /// The folder.
        path: PathBuf,
        /// Contents of the folder (the first dozen names, sorted).
        found: Vec<String>,
    },
    /// No paragraph is long enough.
    #[error(
        "the corpus is empty: none of {lines} lines in {files} files is a paragraph of at least {min_characters} characters"
    )]
    EmptyCorpus {
        /// Files read.
        files: usize,
        /// Lines read (in wrapped text, paragraphs).
        lines: usize,
        /// Minimum length of a paragraph in characters.
        min_characters: usize,
    },
    /// The texts contain no word to train a tokenizer on.
    #[error(
        "expected text to train a tokenizer on, found no word in {texts} texts (at most {max_characters} characters are used)"
    )]
    NoText {
        /// Texts read.
        texts: usize,
        /// Maximum number of characters used.
        max_characters: usize,
    },
    /// A file with bytes that do not occur in text.
    #[error("{}:{line}: expected text, found byte 0x{byte:02x} at byte {column} of the line; is it a binary file?", file.display())]
    NotText {
        /// The file.
        file: PathBuf,
        /// Line of the byte.
        line: usize,
        /// Position of the byte in its line, counted in bytes.
        column: usize,
        /// The offending byte.
        byte: u8,
    },
    /// A truncated or corrupt gzip file.
    #[error("{}: expected a complete gzip file, but decompression fails after {bytes} bytes of text, in line {line}: {source}", file.display())]
    Gzip {
        /// The file.
        file: PathBuf,
        /// Bytes of text decompressed.
        bytes: u64,
        /// Line of the last of them.
        line: usize,
        /// The decompressor's error.
        source: std::io::Error,
    },
    /// A file changed since the corpus was opened.
    #[error("{}: expected {expected} paragraphs as when the corpus was opened, found {found}; was the file changed?", file.display())]
    CorpusChanged {
        /// The file.
        file: PathBuf,
        /// Paragraphs when opened.
        expected: usize,
        /// Paragraphs now.
        found: usize,
    },
    /// The operating system refused to write.
    #[error("{}: cannot be written: {source}", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The text does not contain enough distinct pieces for the vocabulary.
    #[error(
        "expected a vocabulary of {expected} pieces, but {characters} characters of text support only {found} (special tokens and \
         sentinels included); ask for at most that many or provide more text"
    )]
    VocabularyTooLarge {
        /// Pieces requested.
        expected: usize,
        /// Pieces found.
        found: usize,
        /// Characters of training text.
        characters: usize,
    },
    /// The vocabulary is too small for the special tokens and the text's characters.
    #[error(
        "expected a vocabulary of at least {needed} pieces (3 special tokens, {sentinels} sentinels, {alphabet} characters of the \
         text), found {found}"
    )]
    VocabularyTooSmall {
        /// Pieces needed.
        needed: usize,
        /// Sentinels requested.
        sentinels: usize,
        /// Number of characters that need a piece each.
        alphabet: usize,
        /// Pieces requested.
        found: usize,
    },
    /// The tokenizers library's trainer failed.
    #[error("the tokenizer could not be trained: {source}")]
    Trainer {
        /// The library's error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An option is out of range.
    #[error("option `{option}`: expected {expected}, found {found}")]
    Option {
        /// The option.
        option: &'static str,
        /// Valid values.
        expected: &'static str,
        /// The value given.
        found: f64,
    },
    /// The input length has no room for a noise span, its sentinel, a token and `</s>`.
    #[error("option `input_length`: expected at least {expected} tokens for this noise, found {found}")]
    InputTooShort {
        /// Tokens needed.
        expected: usize,
        /// Tokens given.
        found: usize,
    },
    /// Fewer sentinels than noise spans.
    #[error(
        "expected at least {expected} sentinels (<extra_id_0>, …), one for each noise span, found {found} in the tokenizer"
    )]
    TooFewSentinels {
        /// Number of noise spans.
        expected: usize,
        /// Sentinels in the tokenizer.
        found: usize,
    },
    /// The tokenizer lacks one of T5's special tokens.
    #[error("expected a tokenizer with `{expected}`, found none")]
    MissingToken {
        /// The token.
        expected: &'static str,
    },
    /// Mask and tokens differ in length.
    #[error("expected a mask of {expected} entries, one for each token, found {found}")]
    MaskLength {
        /// Number of tokens.
        expected: usize,
        /// Length of the mask.
        found: usize,
    },
    /// The text is too short for the requested windows.
    #[error(
        "expected at least {expected} tokens of text ({holdout} held-out windows and one to train on, {window} tokens each), found {found}"
    )]
    TooFewTokens {
        /// Tokens required.
        expected: u64,
        /// Tokens in the store.
        found: u64,
        /// Held-out windows.
        holdout: usize,
        /// Tokens per window.
        window: usize,
    },
    /// A window beyond the end of the store.
    #[error("{}: expected a window within {tokens} tokens, found {start}..{end}", file.display())]
    WindowOutside {
        /// The store.
        file: PathBuf,
        /// Tokens in the store.
        tokens: u64,
        /// First token requested.
        start: u64,
        /// End of the requested range, exclusive.
        end: u64,
    },
    /// A task without rows.
    #[error("task `{task}`: expected at least one row, found none")]
    EmptyTask {
        /// The task.
        task: String,
    },
    /// Mixing rates that do not match the tasks.
    #[error("expected {expected} mixing rates, one for each task, finite, non-negative and not all 0; found {found:?}")]
    Rates {
        /// Number of tasks.
        expected: usize,
        /// The rates given.
        found: Vec<f64>,
    },
}

/// The contents of a folder, phrased as the end of a sentence.
fn beside(found: &[String]) -> String {
    if found.is_empty() {
        String::new()
    } else {
        format!(" but {}", found.join(", "))
    }
}
