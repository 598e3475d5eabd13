//! Hugging Face's `tokenizer.json`, with the truncation of `transformers`: a text that is too long loses tokens at its
//! end, but what the tokenizer adds around it (T5: `</s>`) stays, so the last id is `</s>` whatever the length.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tokenizers::pre_tokenizers::metaspace::PrependScheme;
use tokenizers::{AddedToken, ModelWrapper, NormalizerWrapper, PreTokenizerWrapper, Tokenizer};

use crate::file::hex;
use crate::read::listing;
use crate::task::TargetLength;
use crate::{DataError, Encoded, Example};

/// Texts tokenised between two collections of their ids: the library's encodings hold far more than ids, and a whole
/// training set of them would not be small.
const CHUNK: usize = 4096;

/// A tokenizer for whole texts.
pub struct TextTokenizer {
    tokenizer: Tokenizer,
    /// Ids that it puts after every text (T5: one, `</s>`).
    suffix: usize,
    /// SHA-256 of its file.
    sha256: String,
}

impl std::fmt::Debug for TextTokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TextTokenizer")
            .field("vocab_size", &self.vocab_size())
            .finish_non_exhaustive()
    }
}

impl TextTokenizer {
    /// Loads `tokenizer.json` from a checkpoint's folder.
    ///
    /// # Errors
    /// [`DataError::MissingTokenizer`] where there is none, [`DataError::Io`] and [`DataError::Tokenizer`] where it cannot
    /// be read.
    pub fn from_dir(dir: &Path) -> Result<Self, DataError> {
        let file = dir.join("tokenizer.json");
        if !file.is_file() {
            return Err(DataError::MissingTokenizer {
                folder: dir.to_path_buf(),
                found: listing(dir)?,
            });
        }
        Self::from_file(&file)
    }

    /// Loads a tokenizer file. Truncation and padding that the file asks for are switched off: both are done here.
    ///
    /// # Errors
    /// [`DataError::Io`] or [`DataError::Tokenizer`].
    pub fn from_file(path: &Path) -> Result<Self, DataError> {
        let file: PathBuf = path.to_path_buf();
        let bytes = std::fs::read(path).map_err(|source| DataError::Io {
            file: file.clone(),
            source,
        })?;
        let failed = |source| DataError::Tokenizer {
            file: file.clone(),
            source,
        };
        let mut tokenizer = Tokenizer::from_bytes(&bytes).map_err(failed)?;
        tokenizer.with_truncation(None).map_err(failed)?;
        tokenizer.with_padding(None);
        // What is added stands around any text, so a one-letter text shows how much of it comes last.
        let probe = tokenizer.encode_fast("a", true).map_err(failed)?;
        let added = probe.get_special_tokens_mask();
        let suffix = added.iter().rev().take_while(|&&special| special == 1).count();
        let sha256 = hex(&Sha256::digest(&bytes));
        Ok(Self {
            tokenizer,
            suffix,
            sha256,
        })
    }

    /// SHA-256 of the file it was loaded from, lower-case hex.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Ids that it puts behind every text (T5: one, `</s>`); they stay when a text is cut.
    pub(crate) fn suffix(&self) -> usize {
        self.suffix
    }

    /// Ids of one text, at most `max_tokens` of them, `</s>` included and last.
    ///
    /// # Errors
    /// [`DataError::Tokenize`] where the tokenizer knows no id for a piece of the text (T5's always does).
    pub fn encode(&self, text: &str, max_tokens: usize) -> Result<Vec<u32>, DataError> {
        let encoding = self
            .tokenizer
            .encode_fast(text, true)
            .map_err(|source| DataError::Tokenize { row: 0, source })?;
        Ok(cut(encoding.get_ids(), max_tokens, self.suffix))
    }

    /// Ids of a text that goes on where another ends: nothing is put around it.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_continuation(&self, text: &str) -> Result<Vec<u32>, DataError> {
        let encoding = self
            .tokenizer
            .encode_fast(text, false)
            .map_err(|source| DataError::Tokenize { row: 0, source })?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Ids of many texts in their order, each as [`encode`](Self::encode) gives them, worked out on all cores.
    ///
    /// # Errors
    /// [`DataError::Tokenize`] with the first row of the part of the texts that failed.
    pub fn encode_batch(&self, texts: &[&str], max_tokens: usize) -> Result<Vec<Vec<u32>>, DataError> {
        let mut ids = Vec::with_capacity(texts.len());
        for chunk in texts.chunks(CHUNK) {
            let encodings = self
                .tokenizer
                .encode_batch_fast(chunk.to_vec(), true)
                .map_err(|source| DataError::Tokenize { row: ids.len(), source })?;
            ids.extend(
                encodings
                    .iter()
                    .map(|encoding| cut(encoding.get_ids(), max_tokens, self.suffix)),
            );
        }
        Ok(ids)
    }

    /// Tokenises examples in their order: sources to at most `max_source_length` tokens, targets to `target_width`.
    ///
    /// # Errors
    /// As [`encode_batch`](Self::encode_batch).
    pub fn encode_examples(
        &self,
        examples: &[Example],
        max_source_length: usize,
        target_width: usize,
    ) -> Result<Vec<Encoded>, DataError> {
        let sources: Vec<&str> = examples.iter().map(|example| example.source.as_str()).collect();
        let targets: Vec<&str> = examples.iter().map(|example| example.target.as_str()).collect();
        let sources = self.encode_batch(&sources, max_source_length)?;
        let targets = self.encode_batch(&targets, target_width)?;
        Ok(sources
            .into_iter()
            .zip(targets)
            .map(|(source, target)| Encoded { source, target })
            .collect())
    }

    /// Text of ids. Ids beyond the vocabulary (a backbone's embedding matrix may have more rows) give nothing;
    /// `skip_special` leaves out `<pad>`, `</s>`, `<unk>` and the like.
    ///
    /// # Errors
    /// [`DataError::Tokenize`] where the decoder fails (T5's cannot).
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String, DataError> {
        self.tokenizer
            .decode(ids, skip_special)
            .map_err(|source| DataError::Tokenize { row: 0, source })
    }

    /// Entries of the vocabulary, added ones included. The backbone's matrix may have more rows (T5: 32,128 for 32,100).
    pub fn vocab_size(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// The largest id that it gives.
    pub(crate) fn largest_id(&self) -> u32 {
        self.tokenizer.get_vocab(true).into_values().max().unwrap_or_default()
    }

    /// Id of a token by its exact text, for example `</s>`.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_to_id(token)
    }

    /// The width of a task's targets in tokens, `</s>` included.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn target_length(&self, length: &TargetLength) -> Result<usize, DataError> {
        let texts = match length {
            TargetLength::Tokens(tokens) => return Ok(*tokens),
            TargetLength::LongestOf(texts) => texts,
        };
        let lengths = texts
            .iter()
            .map(|text| self.encode(text, usize::MAX).map(|ids| ids.len()));
        Ok(lengths.collect::<Result<Vec<_>, _>>()?.into_iter().max().unwrap_or(1))
    }

    /// Whether a text's ids are those of its words, one after the other: true of T5's tokenizer, which splits at white
    /// space first, and false where that is not certain.
    pub(crate) fn splits_at_spaces(&self) -> bool {
        let plain = |normalizer: &NormalizerWrapper| matches!(normalizer, NormalizerWrapper::Precompiled(_));
        let split = |step: &PreTokenizerWrapper| matches!(step, PreTokenizerWrapper::WhitespaceSplit(_));
        let mark = |step: &PreTokenizerWrapper| match step {
            PreTokenizerWrapper::Metaspace(mark) => mark.prepend_scheme == PrependScheme::Always,
            _ => false,
        };
        let steps = match self.tokenizer.get_pre_tokenizer() {
            Some(PreTokenizerWrapper::Sequence(steps)) => steps.as_ref(),
            _ => &[],
        };
        let words = matches!(steps, [first, second] if split(first) && mark(second));
        let added = self.tokenizer.get_added_tokens_decoder();
        let reaches_out = |token: &AddedToken| {
            let spaces = token.content.contains(char::is_whitespace);
            token.lstrip || token.rstrip || token.single_word || token.normalized || spaces
        };
        words
            && self.tokenizer.get_normalizer().is_none_or(plain)
            && matches!(self.tokenizer.get_model(), ModelWrapper::Unigram(_))
            && !added.values().any(reaches_out)
    }
}

/// Cuts a text's own ids and keeps the `suffix` ones that were added behind them. Where not even those fit, the last of
/// them stay.
pub(crate) fn cut(ids: &[u32], max_tokens: usize, suffix: usize) -> Vec<u32> {
    if ids.len() <= max_tokens {
        return ids.to_vec();
    }
    let suffix = &ids[ids.len() - suffix.min(max_tokens)..];
    let head = max_tokens - suffix.len();
    [&ids[..head], suffix].concat()
}
