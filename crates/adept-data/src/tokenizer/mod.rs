//! Hugging Face's `tokenizer.json`, or GPT-2's `vocab.json` and `merges.txt`, with truncation as in `transformers`: a
//! text that is too long loses tokens at its end (or, on request, at its beginning), but the special tokens around it
//! are kept (T5: `</s>` at the end, Llama: `<|begin_of_text|>` at the start).

mod bpe;
mod entries;
mod patterns;
mod stream;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tokenizers::pre_tokenizers::metaspace::PrependScheme;
use tokenizers::{AddedToken, Encoding, ModelWrapper, NormalizerWrapper, PreTokenizerWrapper, Tokenizer};

use crate::file::hex;
use crate::loss::{LossyText, Lost, excerpts, text_loss};
use crate::read::listing;
use crate::text::without_mark;
use crate::{DataError, Encoded, Example};

pub use bpe::BpeError;
pub use stream::TextStream;

/// Texts tokenised before their ids are collected: the library's encodings are much larger than ids, and would take a
/// lot of memory for a whole training set.
const CHUNK: usize = 4096;

/// Ids, and the place of each in the text.
pub(crate) type PlacedIds = (Vec<u32>, Vec<TokenPlace>);

/// The bytes of a text that a token stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenPlace {
    /// First byte, with the white space in front of the token that no other one has.
    pub start: usize,
    /// First byte as the tokenizer gives it.
    pub own_start: usize,
    /// Byte behind the last.
    pub end: usize,
}

/// A tokenizer for whole texts.
///
/// ```no_run
/// use adept_data::TextTokenizer;
///
/// let tokenizer = TextTokenizer::from_dir("path/to/t5-base".as_ref())?;
/// let ids = tokenizer.encode("a fine view", 512)?;
/// assert_eq!(ids.last().copied(), tokenizer.end_id());
/// assert_eq!(tokenizer.decode(&ids, true)?, "a fine view");
/// # Ok::<(), adept_data::DataError>(())
/// ```
pub struct TextTokenizer {
    tokenizer: Tokenizer,
    /// Number of ids prepended to every text (Llama: one, `<|begin_of_text|>`).
    prefix: usize,
    /// Number of ids appended to every text (T5: one, `</s>`).
    suffix: usize,
    /// The last appended id.
    end: Option<u32>,
    /// The unknown token, if there is one.
    unknown: Option<(u32, String)>,
    /// SHA-256 of the tokenizer's file or files.
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
    /// Loads the tokenizer from a checkpoint's folder: `tokenizer.json` or, failing that, the byte-level BPE files
    /// `vocab.json` and `merges.txt` (GPT-2, CodeGen) together with `added_tokens.json`, `special_tokens_map.json` and
    /// `tokenizer_config.json`.
    ///
    /// # Errors
    /// [`DataError::MissingTokenizer`] if there is none; [`DataError::Io`], [`DataError::Tokenizer`],
    /// [`DataError::JsonDocument`] and [`DataError::Bpe`] if it cannot be read.
    pub fn from_dir(dir: &Path) -> Result<Self, DataError> {
        let file = dir.join("tokenizer.json");
        if adept_files::is_named(&file) {
            return Self::from_file(&file);
        }
        if !bpe::is_there(dir) {
            return Err(DataError::MissingTokenizer {
                folder: dir.to_path_buf(),
                found: listing(dir)?,
            });
        }
        let (tokenizer, parts) = bpe::read(dir)?;
        // File names are hashed as well, so that the same bytes in another file do not match.
        let mut hash = Sha256::new();
        for (name, bytes) in &parts {
            hash.update(format!("{name} {}\n", hex(&Sha256::digest(bytes))));
        }
        Self::probed(tokenizer, hex(&hash.finalize()), &dir.join(bpe::VOCABULARY))
    }

    /// Loads a `tokenizer.json`. Truncation and padding configured in the file are disabled: both are done here.
    ///
    /// # Errors
    /// [`DataError::Io`], [`DataError::NotText`], [`DataError::Tokenizer`] or [`DataError::TokenizerPatterns`].
    pub fn from_file(path: &Path) -> Result<Self, DataError> {
        let file: PathBuf = path.to_path_buf();
        DataError::check_stand_in(path)?;
        let bytes = std::fs::read(path).map_err(|source| DataError::Io {
            file: file.clone(),
            source,
        })?;
        let failed = |source| DataError::Tokenizer {
            file: file.clone(),
            source,
        };
        let text = without_mark(path, &bytes)?;
        let classes = patterns::classes(text);
        if classes > patterns::MOST_CLASSES {
            return Err(DataError::TokenizerPatterns {
                file,
                classes,
                most: patterns::MOST_CLASSES,
            });
        }
        let mut tokenizer = guarded(|| Tokenizer::from_bytes(text)).map_err(failed)?;
        tokenizer.with_truncation(None).map_err(failed)?;
        tokenizer.with_padding(None);
        Self::probed(tokenizer, hex(&Sha256::digest(&bytes)), path)
    }

    /// Determines the special tokens that the tokenizer adds. They are the same for any text, so a one-letter text
    /// shows their number.
    fn probed(tokenizer: Tokenizer, sha256: String, file: &Path) -> Result<Self, DataError> {
        let probe = guarded(|| tokenizer.encode_fast("a", true)).map_err(|source| DataError::Tokenizer {
            file: file.to_path_buf(),
            source,
        })?;
        let added = probe.get_special_tokens_mask();
        let is_added = |special: &&u32| **special == 1;
        let suffix = added.iter().rev().take_while(is_added).count();
        Ok(Self {
            prefix: added.iter().take_while(is_added).count(),
            suffix,
            end: probe.get_ids().last().copied().filter(|_| suffix > 0),
            unknown: unknown_token(&tokenizer),
            tokenizer,
            sha256,
        })
    }

    /// SHA-256 of the tokenizer's file in lower-case hex; for several files, that of the lines `name sha256` of each.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Number of ids prepended to every text (Llama: one); they survive truncation on the left.
    pub(crate) fn prefix(&self) -> usize {
        self.prefix
    }

    /// Number of ids appended to every text (T5: one, `</s>`); they survive truncation.
    pub(crate) fn suffix(&self) -> usize {
        self.suffix
    }

    /// The last id appended to every text (T5: that of `</s>`); `None` if nothing is appended.
    pub fn end_id(&self) -> Option<u32> {
        self.end
    }

    /// Ids of one text, truncated at its end to at most `max_tokens` including the special tokens around it (T5:
    /// `</s>`).
    ///
    /// # Errors
    /// [`DataError::Tokenize`] if the tokenizer has no id for a piece of the text (T5's always does).
    pub fn encode(&self, text: &str, max_tokens: usize) -> Result<Vec<u32>, DataError> {
        let encoding = guarded(|| self.tokenizer.encode_fast(text, true))
            .map_err(|source| DataError::Tokenize { row: 0, source })?;
        Ok(cut(encoding.get_ids(), max_tokens, self.suffix))
    }

    /// Truncates ids from [`encode`](Self::encode) on the left to at most `max_tokens`, keeping the special tokens
    /// around the text. If not even those fit, the last of them are kept.
    pub fn cut_left(&self, ids: &[u32], max_tokens: usize) -> Vec<u32> {
        cut_left(ids, max_tokens, self.prefix)
    }

    /// Ids of a text that continues another: without special tokens.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_continuation(&self, text: &str) -> Result<Vec<u32>, DataError> {
        let encoding = guarded(|| self.tokenizer.encode_fast(text, false))
            .map_err(|source| DataError::Tokenize { row: 0, source })?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Ids of many texts in order, each as from [`encode`](Self::encode), computed on all cores.
    ///
    /// # Errors
    /// [`DataError::Tokenize`] with the first row of the chunk that failed.
    pub fn encode_batch(&self, texts: &[&str], max_tokens: usize) -> Result<Vec<Vec<u32>>, DataError> {
        self.encode_chunks(texts, true, |ids| cut(ids, max_tokens, self.suffix))
    }

    /// [`encode_continuation`](Self::encode_continuation) for many texts, computed on all cores.
    ///
    /// # Errors
    /// As [`encode_batch`](Self::encode_batch).
    pub fn encode_continuations(&self, texts: &[&str]) -> Result<Vec<Vec<u32>>, DataError> {
        self.encode_chunks(texts, false, <[u32]>::to_vec)
    }

    fn encode_chunks(
        &self,
        texts: &[&str],
        add_special: bool,
        kept: impl Fn(&[u32]) -> Vec<u32>,
    ) -> Result<Vec<Vec<u32>>, DataError> {
        let mut ids = Vec::with_capacity(texts.len());
        for chunk in texts.chunks(CHUNK) {
            let encodings = guarded(|| self.tokenizer.encode_batch_fast(chunk.to_vec(), add_special))
                .map_err(|source| DataError::Tokenize { row: ids.len(), source })?;
            ids.extend(encodings.iter().map(|encoding| kept(encoding.get_ids())));
        }
        Ok(ids)
    }

    /// Ids of many texts without special tokens, each id with the bytes of the text that it stands for, computed on all
    /// cores. White space that a tokenizer leaves out of a token's own place belongs to it as well; tokens that share a
    /// character have its whole place.
    ///
    /// # Errors
    /// As [`encode_batch`](Self::encode_batch).
    pub(crate) fn encode_with_places(&self, texts: &[&str]) -> Result<Vec<PlacedIds>, DataError> {
        let encodings = guarded(|| self.tokenizer.encode_batch(texts.to_vec(), false))
            .map_err(|source| DataError::Tokenize { row: 0, source })?;
        let placed = |encoding: &Encoding| {
            let (mut behind, mut before) = (0, 0);
            let places = encoding.get_offsets().iter().map(|&(start, end)| {
                before = start.max(before);
                let place = TokenPlace {
                    start: start.min(behind),
                    own_start: before,
                    end: end.max(behind),
                };
                behind = place.end;
                place
            });
            let places = places.collect();
            (encoding.get_ids().to_vec(), places)
        };
        Ok(encodings.iter().map(placed).collect())
    }

    /// Tokenises examples in order: sources truncated to `max_source_length` tokens, targets to `target_width`.
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
            .map(|(source, target)| Encoded::new(source, target))
            .collect())
    }

    /// Truncates ids from [`encode`](Self::encode) at the end to at most `max_tokens`, keeping the special tokens at
    /// the end.
    pub fn cut(&self, ids: &[u32], max_tokens: usize) -> Vec<u32> {
        cut(ids, max_tokens, self.suffix)
    }

    /// What a text loses in its own ([`own`](Self::own)), untruncated ids, with an excerpt around the loss.
    pub(crate) fn loss(&self, which: LossyText, text: &str, own: &[u32]) -> Result<Lost, DataError> {
        let read_back = self.decode(own, false)?;
        let kind = text_loss(which, text, &read_back, self.has_unknown(text, own));
        Ok(kind.map(|kind| (kind, excerpts(text, &read_back))))
    }

    /// [`loss`](Self::loss) for many texts with their own ids, computed on all cores. `lead` is a prefix that the ids
    /// may add to a text without counting as a loss.
    pub(crate) fn losses<'a>(
        &self,
        which: LossyText,
        lead: &str,
        texts: impl Iterator<Item = (&'a str, &'a [u32])>,
    ) -> Result<Vec<Lost>, DataError> {
        let (texts, own): (Vec<&str>, Vec<&[u32]>) = texts.unzip();
        let read_back = guarded(|| self.tokenizer.decode_batch(&own, false))
            .map_err(|source| DataError::Tokenize { row: 0, source })?;
        let loss = |((text, own), read_back): ((&str, &[u32]), String)| {
            let read_back = read_back.strip_prefix(lead).unwrap_or(&read_back);
            let kind = text_loss(which, text, read_back, self.has_unknown(text, own));
            kind.map(|kind| (kind, excerpts(text, read_back)))
        };
        Ok(texts.into_iter().zip(own).zip(read_back).map(loss).collect())
    }

    /// Excerpts of a text around its cut, before and after truncation.
    pub(crate) fn cut_excerpts(&self, ids: &[u32], kept: &[u32]) -> Result<(String, String), DataError> {
        self.excerpts_of(self.own(ids), self.own(kept))
    }

    /// Excerpts of two decoded id lists around their first difference.
    pub(crate) fn excerpts_of(&self, left: &[u32], right: &[u32]) -> Result<(String, String), DataError> {
        Ok(excerpts(&self.decode(left, false)?, &self.decode(right, false)?))
    }

    /// Ids of a text without the special tokens around it.
    pub fn own<'a>(&self, ids: &'a [u32]) -> &'a [u32] {
        let from = self.prefix.min(ids.len());
        &ids[from..ids.len().saturating_sub(self.suffix).max(from)]
    }

    /// Whether a text's own ids contain the unknown token although the text does not spell it out.
    fn has_unknown(&self, text: &str, own: &[u32]) -> bool {
        self.unknown
            .as_ref()
            .is_some_and(|(id, token)| own.contains(id) && !text.contains(token))
    }

    /// Decodes ids. Ids beyond the vocabulary (a backbone's embedding matrix may have more rows) yield nothing;
    /// `skip_special` omits `<pad>`, `</s>`, `<unk>` and the like.
    ///
    /// # Errors
    /// [`DataError::Tokenize`] if the decoder fails (T5's cannot).
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String, DataError> {
        guarded(|| self.tokenizer.decode(ids, skip_special)).map_err(|source| DataError::Tokenize { row: 0, source })
    }

    /// Decodes ids incrementally as they are generated; `skip_special` as in [`decode`](Self::decode).
    pub fn stream(&self, skip_special: bool) -> TextStream<'_> {
        TextStream::new(self, skip_special)
    }

    /// Ids of added tokens that do not represent ordinary text, ascending: end-of-text, padding, Llama's reserved
    /// tokens. T5's sentinels are not included: they occur in text, and pretraining has used them like words.
    pub fn special_ids(&self) -> Vec<u32> {
        let added = self.tokenizer.get_added_tokens_decoder().into_iter();
        let special = added.filter(|(_, token)| !token.content.starts_with("<extra_id_"));
        let mut ids: Vec<u32> = special.map(|(id, _)| id).collect();
        ids.sort_unstable();
        ids
    }

    /// Vocabulary size including added tokens. The backbone's embedding matrix may have more rows (T5: 32,128 for
    /// 32,100).
    pub fn vocab_size(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// The largest id in the vocabulary.
    pub fn largest_id(&self) -> u32 {
        self.tokenizer.get_vocab(true).into_values().max().unwrap_or_default()
    }

    /// Id of a token by its exact text, for example `</s>`.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_to_id(token)
    }

    /// Whether the ids of a text are the concatenated ids of its words: true for T5's tokenizer, which splits at white
    /// space first, and false if that is not certain.
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

/// The token for text that is not in the vocabulary.
fn unknown_token(tokenizer: &Tokenizer) -> Option<(u32, String)> {
    let named = match tokenizer.get_model() {
        ModelWrapper::BPE(model) => model.unk_token.clone(),
        ModelWrapper::WordPiece(model) => Some(model.unk_token.clone()),
        ModelWrapper::WordLevel(model) => Some(model.unk_token.clone()),
        // The library does not expose that of a unigram model; T5 and its relatives use this.
        ModelWrapper::Unigram(_) => Some("<unk>".to_owned()),
    };
    let token = named?;
    Some((tokenizer.token_to_id(&token)?, token))
}

/// Calls into the library. It trusts a tokenizer's file in places (the index into a table of characters, an id in a
/// template) and panics if the file is wrong: that is a fault of the file, not of the program.
fn guarded<T>(work: impl FnOnce() -> tokenizers::Result<T>) -> tokenizers::Result<T> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err("the tokenizer's file is corrupt: the library panicked on it".into()))
}

/// Truncates ids at the end, keeping the `suffix` ids appended to the text. If not even those fit, the last of them are
/// kept.
pub(crate) fn cut(ids: &[u32], max_tokens: usize, suffix: usize) -> Vec<u32> {
    if ids.len() <= max_tokens {
        return ids.to_vec();
    }
    let suffix = &ids[ids.len() - suffix.min(max_tokens)..];
    let head = max_tokens - suffix.len();
    [&ids[..head], suffix].concat()
}

/// Truncates ids on the left, keeping the `prefix` ids prepended to the text.
pub(crate) fn cut_left(ids: &[u32], max_tokens: usize, prefix: usize) -> Vec<u32> {
    if ids.len() <= max_tokens {
        return ids.to_vec();
    }
    let prefix = &ids[..prefix.min(max_tokens)];
    let tail = max_tokens - prefix.len();
    [prefix, &ids[ids.len() - tail..]].concat()
}
