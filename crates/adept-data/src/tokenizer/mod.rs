//! Hugging Face's `tokenizer.json`, or GPT-2's `vocab.json` and `merges.txt`, with the truncation of `transformers`: a
//! text that is too long loses tokens at its end (or, where that is asked for, at its beginning), but what the
//! tokenizer adds around it stays (T5: `</s>` behind, Llama: `<|begin_of_text|>` in front).

mod bpe;
mod entries;
mod patterns;
mod stream;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tokenizers::pre_tokenizers::metaspace::PrependScheme;
use tokenizers::{AddedToken, ModelWrapper, NormalizerWrapper, PreTokenizerWrapper, Tokenizer};

use crate::file::hex;
use crate::loss::{LossyText, Lost, excerpts, text_loss};
use crate::read::listing;
use crate::text::without_mark;
use crate::{DataError, Encoded, Example};

pub use bpe::BpeError;
pub use stream::TextStream;

/// Texts tokenised between two collections of their ids: the library's encodings hold far more than ids, and a whole
/// training set of them would not be small.
const CHUNK: usize = 4096;

/// A tokenizer for whole texts.
pub struct TextTokenizer {
    tokenizer: Tokenizer,
    /// Ids that it puts before every text (Llama: one, `<|begin_of_text|>`).
    prefix: usize,
    /// Ids that it puts after every text (T5: one, `</s>`).
    suffix: usize,
    /// The last of them.
    end: Option<u32>,
    /// The token of what the vocabulary cannot write, where there is one.
    unknown: Option<(u32, String)>,
    /// SHA-256 of its file or files.
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
    /// Loads the tokenizer of a checkpoint's folder: `tokenizer.json`, and where there is none `vocab.json` and
    /// `merges.txt` of byte-level byte pairs (GPT-2, CodeGen), with what `added_tokens.json`, `special_tokens_map.json`
    /// and `tokenizer_config.json` say beside them.
    ///
    /// # Errors
    /// [`DataError::MissingTokenizer`] where there is none, [`DataError::Io`], [`DataError::Tokenizer`],
    /// [`DataError::JsonDocument`] and [`DataError::Bpe`] where it cannot be read.
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
        // Each file under its name, so that the same bytes under another one are something else.
        let mut hash = Sha256::new();
        for (name, bytes) in &parts {
            hash.update(format!("{name} {}\n", hex(&Sha256::digest(bytes))));
        }
        Self::probed(tokenizer, hex(&hash.finalize()), &dir.join(bpe::VOCABULARY))
    }

    /// Loads a tokenizer file. Truncation and padding that the file asks for are switched off: both are done here.
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

    /// Finds out what the tokenizer adds. That stands around any text, so a one-letter text shows how much of it there
    /// is.
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

    /// SHA-256 of the file it was loaded from, lower-case hex; of several files, that of the lines `name sha256` of
    /// each.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Ids that it puts in front of every text (Llama: one); they stay when a text is cut from its beginning.
    pub(crate) fn prefix(&self) -> usize {
        self.prefix
    }

    /// Ids that it puts behind every text (T5: one, `</s>`); they stay when a text is cut.
    pub(crate) fn suffix(&self) -> usize {
        self.suffix
    }

    /// The last id that it puts behind every text (T5: that of `</s>`); none where it puts nothing there.
    pub fn end_id(&self) -> Option<u32> {
        self.end
    }

    /// Ids of one text, at most `max_tokens` of them: those of its beginning, and what is added around it (T5: `</s>`).
    ///
    /// # Errors
    /// [`DataError::Tokenize`] where the tokenizer knows no id for a piece of the text (T5's always does).
    pub fn encode(&self, text: &str, max_tokens: usize) -> Result<Vec<u32>, DataError> {
        let encoding = guarded(|| self.tokenizer.encode_fast(text, true))
            .map_err(|source| DataError::Tokenize { row: 0, source })?;
        Ok(cut(encoding.get_ids(), max_tokens, self.suffix))
    }

    /// Cuts ids of a text, as [`encode`](Self::encode) gives them, from the left: at most `max_tokens` stay, those of
    /// the text's end and what is added around it. Where not even that fits, the last of it stays.
    pub fn cut_left(&self, ids: &[u32], max_tokens: usize) -> Vec<u32> {
        cut_left(ids, max_tokens, self.prefix)
    }

    /// Ids of a text that goes on where another ends: nothing is put around it.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_continuation(&self, text: &str) -> Result<Vec<u32>, DataError> {
        let encoding = guarded(|| self.tokenizer.encode_fast(text, false))
            .map_err(|source| DataError::Tokenize { row: 0, source })?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Ids of many texts in their order, each as [`encode`](Self::encode) gives them, worked out on all cores.
    ///
    /// # Errors
    /// [`DataError::Tokenize`] with the first row of the part of the texts that failed.
    pub fn encode_batch(&self, texts: &[&str], max_tokens: usize) -> Result<Vec<Vec<u32>>, DataError> {
        self.encode_chunks(texts, true, |ids| cut(ids, max_tokens, self.suffix))
    }

    /// As [`encode_continuation`](Self::encode_continuation) for many texts, worked out on all cores.
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

    /// Cuts ids of a text, as [`encode`](Self::encode) gives them: at most `max_tokens` stay, those of the text's
    /// beginning and what is added behind it.
    pub fn cut(&self, ids: &[u32], max_tokens: usize) -> Vec<u32> {
        cut(ids, max_tokens, self.suffix)
    }

    /// What a text loses in its uncut [own](Self::own) ids, with the place where it does.
    pub(crate) fn loss(&self, which: LossyText, text: &str, own: &[u32]) -> Result<Lost, DataError> {
        let read_back = self.decode(own, false)?;
        let kind = text_loss(which, text, &read_back, self.has_unknown(text, own));
        Ok(kind.map(|kind| (kind, excerpts(text, &read_back))))
    }

    /// As [`loss`](Self::loss) for many texts with their own ids, worked out on all cores. `lead` is what the ids may have in
    /// front of a text without its being a loss.
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

    /// A text around the place where it is cut, whole and cut.
    pub(crate) fn cut_excerpts(&self, ids: &[u32], kept: &[u32]) -> Result<(String, String), DataError> {
        self.excerpts_of(self.own(ids), self.own(kept))
    }

    /// The texts of two lists of ids around the place where they part.
    pub(crate) fn excerpts_of(&self, left: &[u32], right: &[u32]) -> Result<(String, String), DataError> {
        Ok(excerpts(&self.decode(left, false)?, &self.decode(right, false)?))
    }

    /// Ids of a text without those that are added around it.
    pub fn own<'a>(&self, ids: &'a [u32]) -> &'a [u32] {
        let from = self.prefix.min(ids.len());
        &ids[from..ids.len().saturating_sub(self.suffix).max(from)]
    }

    /// Whether a text's own ids hold the unknown token where the text does not write it.
    fn has_unknown(&self, text: &str, own: &[u32]) -> bool {
        self.unknown
            .as_ref()
            .is_some_and(|(id, token)| own.contains(id) && !text.contains(token))
    }

    /// Text of ids. Ids beyond the vocabulary (a backbone's embedding matrix may have more rows) give nothing;
    /// `skip_special` leaves out `<pad>`, `</s>`, `<unk>` and the like.
    ///
    /// # Errors
    /// [`DataError::Tokenize`] where the decoder fails (T5's cannot).
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String, DataError> {
        guarded(|| self.tokenizer.decode(ids, skip_special)).map_err(|source| DataError::Tokenize { row: 0, source })
    }

    /// The text of ids that are still to come, one after the other; `skip_special` as in [`decode`](Self::decode).
    pub fn stream(&self, skip_special: bool) -> TextStream<'_> {
        TextStream::new(self, skip_special)
    }

    /// Ids of tokens that were added to the vocabulary and stand for no piece of ordinary text, ascending: the end of
    /// the text, pads, Llama's reserved tokens. T5's sentinels are not among them: they stand for text, and pretraining
    /// has seen them like words.
    pub fn special_ids(&self) -> Vec<u32> {
        let added = self.tokenizer.get_added_tokens_decoder().into_iter();
        let special = added.filter(|(_, token)| !token.content.starts_with("<extra_id_"));
        let mut ids: Vec<u32> = special.map(|(id, _)| id).collect();
        ids.sort_unstable();
        ids
    }

    /// Entries of the vocabulary, added ones included. The backbone's matrix may have more rows (T5: 32,128 for
    /// 32,100).
    pub fn vocab_size(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// The largest id that it gives.
    pub fn largest_id(&self) -> u32 {
        self.tokenizer.get_vocab(true).into_values().max().unwrap_or_default()
    }

    /// Id of a token by its exact text, for example `</s>`.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_to_id(token)
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

/// The token that stands for what a vocabulary cannot write.
fn unknown_token(tokenizer: &Tokenizer) -> Option<(u32, String)> {
    let named = match tokenizer.get_model() {
        ModelWrapper::BPE(model) => model.unk_token.clone(),
        ModelWrapper::WordPiece(model) => Some(model.unk_token.clone()),
        ModelWrapper::WordLevel(model) => Some(model.unk_token.clone()),
        // The library does not show a unigram model's; T5 and its kin call it this.
        ModelWrapper::Unigram(_) => Some("<unk>".to_owned()),
    };
    let token = named?;
    Some((tokenizer.token_to_id(&token)?, token))
}

/// Lets the library do a part of its work. It trusts a tokenizer's file in places (the index into a table of
/// characters, an id that a template names) and panics where the file is wrong: that is a fault of the file and no slip
/// of the program.
fn guarded<T>(work: impl FnOnce() -> tokenizers::Result<T>) -> tokenizers::Result<T> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err("the tokenizer's file says something that cannot be carried out: it is damaged".into()))
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

/// Cuts a text's own ids from the left and keeps the `prefix` ones that were added in front of them.
pub(crate) fn cut_left(ids: &[u32], max_tokens: usize, prefix: usize) -> Vec<u32> {
    if ids.len() <= max_tokens {
        return ids.to_vec();
    }
    let prefix = &ids[..prefix.min(max_tokens)];
    let tail = max_tokens - prefix.len();
    [prefix, &ids[ids.len() - tail..]].concat()
}
