//! Saves a trained tokenizer as the three files that transformers reads, in T5's layout: `tokenizer.json`,
//! `tokenizer_config.json` and `special_tokens_map.json`.

use std::io::Write;
use std::path::Path;

use serde_json::json;
use tokenizers::models::unigram::Unigram;
use tokenizers::normalizers::Precompiled;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::whitespace::WhitespaceSplit;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, PreTokenizerWrapper, Tokenizer};

use super::PretrainError;
use super::words::SPACE;
use crate::DataError;

/// Special tokens by id. `<unk>` is the third.
const SPECIAL: [&str; 3] = ["<pad>", "</s>", "<unk>"];

/// A trained tokenizer, not yet saved.
#[derive(Debug, Clone)]
pub struct TrainedTokenizer {
    tokenizer: Tokenizer,
    sentinels: Vec<String>,
}

impl TrainedTokenizer {
    /// Arranges pieces in T5's layout.
    pub(super) fn new(
        pieces: Vec<(String, f64)>,
        sentinels: usize,
        normalizer: Precompiled,
    ) -> Result<Self, DataError> {
        let sentinels: Vec<String> = (0..sentinels).map(|number| format!("<extra_id_{number}>")).collect();
        let tokenizer =
            tokenizer(pieces, &sentinels, normalizer).map_err(|source| PretrainError::Trainer { source })?;
        Ok(Self { tokenizer, sentinels })
    }

    /// Vocabulary size, including special tokens and sentinels.
    pub fn vocab_size(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// Writes the three files into a folder, creating it if needed. Each is written to a temporary file and renamed,
    /// `tokenizer.json` last, so that its presence implies the others.
    ///
    /// # Errors
    /// [`PretrainError::Write`].
    pub fn save(&self, dir: &Path) -> Result<(), DataError> {
        std::fs::create_dir_all(dir).map_err(|source| PretrainError::Write {
            file: dir.to_path_buf(),
            source,
        })?;
        let [pad, eos, unk] = SPECIAL;
        let map = json!({
            "additional_special_tokens": self.sentinels,
            "eos_token": eos,
            "pad_token": pad,
            "unk_token": unk,
        });
        let config = json!({
            "additional_special_tokens": self.sentinels,
            "clean_up_tokenization_spaces": false,
            "eos_token": eos,
            "extra_ids": self.sentinels.len(),
            "model_max_length": 512,
            "pad_token": pad,
            "tokenizer_class": "T5Tokenizer",
            "unk_token": unk,
        });
        let tokenizer = self
            .tokenizer
            .to_string(true)
            .map_err(|source| PretrainError::Trainer { source })?;
        write(&dir.join("special_tokens_map.json"), &format!("{map:#}\n"))?;
        write(&dir.join("tokenizer_config.json"), &format!("{config:#}\n"))?;
        write(&dir.join("tokenizer.json"), &tokenizer)
    }
}

fn tokenizer(
    pieces: Vec<(String, f64)>,
    sentinels: &[String],
    normalizer: Precompiled,
) -> tokenizers::Result<Tokenizer> {
    let special = SPECIAL.map(|token| (token.to_string(), 0.0));
    let last = sentinels.iter().rev().map(|token| (token.clone(), 0.0));
    let vocabulary = special.into_iter().chain(pieces).chain(last).collect();
    let mut tokenizer = Tokenizer::new(Unigram::from(vocabulary, Some(2), false)?);
    let space = Metaspace::new(SPACE, PrependScheme::Always, true);
    tokenizer
        .with_normalizer(Some(normalizer))?
        .with_pre_tokenizer(Some(Sequence::new(vec![
            PreTokenizerWrapper::from(WhitespaceSplit),
            space.clone().into(),
        ])))
        .with_decoder(Some(space))
        .with_post_processor(Some(
            TemplateProcessing::builder()
                .try_single("$A </s>")?
                .try_pair("$A </s> $B </s>")?
                .special_tokens(vec![("</s>", 1)])
                .build()?,
        ));
    let names = SPECIAL.into_iter().chain(sentinels.iter().rev().map(String::as_str));
    tokenizer.add_special_tokens(names.map(|name| AddedToken::from(name, true)))?;
    Ok(tokenizer)
}

/// Writes a file atomically.
fn write(path: &Path, text: &str) -> Result<(), DataError> {
    let failed = |source| PretrainError::Write {
        file: path.to_path_buf(),
        source,
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = crate::file::beside(folder).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}
