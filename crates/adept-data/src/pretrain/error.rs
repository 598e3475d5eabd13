//! What can be wrong with pretraining's input, with the figures. Files, lines and bytes of a line are named as in
//! [`DataError`](crate::DataError), which carries these.

use std::path::PathBuf;

/// Why text could not be made into batches for pretraining.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PretrainError {
    /// A path of the corpus that is neither a text file nor a folder that holds one.
    #[error("{}: expected files *.txt or *.txt.gz, found none{}", path.display(), beside(found))]
    NoTextFiles {
        /// The folder.
        path: PathBuf,
        /// What lies in it (the first dozen names, sorted).
        found: Vec<String>,
    },
    /// Files without a paragraph that is long enough.
    #[error(
        "the corpus is empty: none of {lines} lines in {files} files is a paragraph of at least {min_characters} characters"
    )]
    EmptyCorpus {
        /// Files read.
        files: usize,
        /// Lines (or, in wrapped text, paragraphs) read.
        lines: usize,
        /// Characters a paragraph needs.
        min_characters: usize,
    },
    /// Texts without a word to train a tokenizer on.
    #[error(
        "expected text to train a tokenizer on, found no word in {texts} texts (at most {max_characters} characters are used)"
    )]
    NoText {
        /// Texts read.
        texts: usize,
        /// Characters that may be used.
        max_characters: usize,
    },
    /// A file that holds bytes no text has.
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
    /// A gzip file that is cut short or damaged.
    #[error("{}: expected a whole gzip file, found one that ends or breaks after {bytes} bytes of text, in line {line}: {source}", file.display())]
    Gzip {
        /// The file.
        file: PathBuf,
        /// Bytes of text that came out of it.
        bytes: u64,
        /// Line of the last of them.
        line: usize,
        /// The decompressor's own words.
        source: std::io::Error,
    },
    /// A file that is not what it was when the corpus was opened.
    #[error("{}: expected {expected} paragraphs as when the corpus was opened, found {found}; was it changed meanwhile?", file.display())]
    CorpusChanged {
        /// The file.
        file: PathBuf,
        /// Paragraphs then.
        expected: usize,
        /// Paragraphs now.
        found: usize,
    },
    /// The operating system refused to write.
    #[error("{}: cannot be written: {source}", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// The system's own words.
        source: std::io::Error,
    },
    /// A vocabulary that the text has not enough different pieces for.
    #[error(
        "expected a vocabulary of {expected} pieces, but {characters} characters of text support only {found} (special tokens and \
         sentinels included); ask for at most that many or give more text"
    )]
    VocabularyTooLarge {
        /// Pieces asked for.
        expected: usize,
        /// Pieces there were.
        found: usize,
        /// Characters of text trained on.
        characters: usize,
    },
    /// A vocabulary that does not hold the special tokens and the text's characters.
    #[error(
        "expected a vocabulary of at least {needed} pieces (3 special tokens, {sentinels} sentinels, {alphabet} characters of the \
         text), found {found}"
    )]
    VocabularyTooSmall {
        /// Pieces needed.
        needed: usize,
        /// Sentinels asked for.
        sentinels: usize,
        /// Characters that each need a piece.
        alphabet: usize,
        /// Pieces asked for.
        found: usize,
    },
    /// The trainer of the tokenizers library failed.
    #[error("the tokenizer could not be trained: {source}")]
    Trainer {
        /// The library's own words.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An option outside its range.
    #[error("option `{option}`: expected {expected}, found {found}")]
    Option {
        /// The option.
        option: &'static str,
        /// What it may be.
        expected: &'static str,
        /// What it is.
        found: f64,
    },
    /// An input too short for one noise span, its sentinel, a token and `</s>`.
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
        /// Noise spans.
        expected: usize,
        /// Sentinels of the tokenizer.
        found: usize,
    },
    /// A tokenizer without a special token of T5's.
    #[error("expected a tokenizer with `{expected}`, found none")]
    MissingToken {
        /// The token.
        expected: &'static str,
    },
    /// A mask of another length than its tokens.
    #[error("expected a mask of {expected} entries, one for each token, found {found}")]
    MaskLength {
        /// Tokens.
        expected: usize,
        /// Entries of the mask.
        found: usize,
    },
    /// Too little text for the windows asked for.
    #[error(
        "expected at least {expected} tokens of text ({holdout} held-out windows and one to train on, {window} tokens each), found {found}"
    )]
    TooFewTokens {
        /// Tokens needed.
        expected: u64,
        /// Tokens of the store.
        found: u64,
        /// Windows that are not trained on.
        holdout: usize,
        /// Tokens of a window.
        window: usize,
    },
    /// A window beyond the end of the store.
    #[error("{}: expected a window within {tokens} tokens, found {start}..{end}", file.display())]
    WindowOutside {
        /// The store.
        file: PathBuf,
        /// Its tokens.
        tokens: u64,
        /// First token asked for.
        start: u64,
        /// The one after the last.
        end: u64,
    },
    /// A task without rows.
    #[error("task `{task}`: expected at least one row, found none")]
    EmptyTask {
        /// The task.
        task: String,
    },
    /// Rates that do not fit the tasks.
    #[error("expected {expected} mixing rates, one for each task, finite, not negative and not all 0; found {found:?}")]
    Rates {
        /// Tasks.
        expected: usize,
        /// Rates.
        found: Vec<f64>,
    },
}

/// What lies in a folder, as the end of a sentence.
fn beside(found: &[String]) -> String {
    if found.is_empty() {
        String::new()
    } else {
        format!(" but {}", found.join(", "))
    }
}
