//! Trains a tokenizer in T5's layout: a Unigram model (Kudo 2018) from the `tokenizers` library, with ids
//!
//! ```text
//! 0 <pad>   1 </s>   2 <unk>   3 … pieces, most probable first   … <extra_id_1>   <extra_id_0>
//! ```
//!
//! Text is prepared as in SentencePiece ([`super::words`]), and training is single-threaded, so that the same text
//! always yields the same file. The files are those that transformers reads ([`super::layout`]).

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokenizers::models::unigram::{Unigram, UnigramTrainer};

use super::PretrainError;
use super::charsmap;
use super::layout::TrainedTokenizer;
use super::sample::sample_texts;
use super::words::Words;
use crate::DataError;

/// `<pad>`, `</s>` and `<unk>`.
const SPECIAL: usize = 3;

/// Hyper-parameters of tokenizer training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UnigramOptions {
    /// Size of the whole vocabulary: `<pad>`, `</s>`, `<unk>`, pieces, sentinels.
    pub vocab_size: usize,
    /// Number of sentinels (T5: 100).
    pub sentinels: usize,
    /// Maximum number of characters used for training, sampled uniformly as whole texts.
    pub max_characters: usize,
    /// Share of the text's characters covered by pieces of their own; the rarest characters become `<unk>`. Defaults to
    /// SentencePiece's 0.9995: with a larger share, a small vocabulary for encyclopaedic text would be spent on letters
    /// of other scripts.
    pub character_coverage: f64,
    /// Maximum length of a piece in characters, including `▁`.
    pub max_piece_length: usize,
    /// Seed of the sampling.
    pub seed: u64,
}

impl Default for UnigramOptions {
    fn default() -> Self {
        Self {
            vocab_size: 8000,
            sentinels: 32,
            max_characters: 20_000_000,
            character_coverage: 0.9995,
            max_piece_length: 16,
            seed: 42,
        }
    }
}

/// Progress of training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnigramProgress {
    /// Reading all texts and sampling from them.
    Reading {
        /// Texts read so far.
        texts: usize,
    },
    /// Training, which takes most of the time and does not report progress.
    Training {
        /// Texts sampled.
        texts: usize,
        /// Their characters, without white space.
        characters: usize,
        /// Their distinct words.
        words: usize,
    },
}

/// Trains a Unigram tokenizer on texts.
///
/// # Errors
/// The first error of the iterator; [`PretrainError::NoText`] if there is no text, [`PretrainError::Option`],
/// [`PretrainError::VocabularyTooSmall`], [`PretrainError::VocabularyTooLarge`], which states how many pieces the text
/// supports, and [`PretrainError::Trainer`] if the library fails.
pub fn train_unigram(
    texts: impl Iterator<Item = Result<String, DataError>>,
    options: &UnigramOptions,
    progress: &mut dyn FnMut(UnigramProgress),
) -> Result<TrainedTokenizer, DataError> {
    check(options)?;
    let mut read = 0;
    let texts = texts.inspect(|_| {
        read += 1;
        if read % 1000 == 0 {
            progress(UnigramProgress::Reading { texts: read });
        }
    });
    let texts = sample_texts(texts, options.max_characters, options.seed)?;
    progress(UnigramProgress::Reading { texts: read });
    let normalizer = charsmap::normalizer()?;
    let mut words = Words::default();
    for text in &texts {
        words.add(text, &normalizer);
    }
    if words.len() == 0 {
        return Err(PretrainError::NoText {
            texts: read,
            max_characters: options.max_characters,
        }
        .into());
    }
    progress(UnigramProgress::Training {
        texts: texts.len(),
        characters: words.characters,
        words: words.len(),
    });
    drop(texts);

    let alphabet = words.alphabet(options.character_coverage);
    let needed = SPECIAL + options.sentinels + alphabet.len();
    if options.vocab_size < needed {
        return Err(PretrainError::VocabularyTooSmall {
            needed,
            sentinels: options.sentinels,
            alphabet: alphabet.len(),
            found: options.vocab_size,
        }
        .into());
    }
    let wanted = options.vocab_size - SPECIAL - options.sentinels;
    // The library does not terminate if asked for fewer pieces than there are characters.
    let asked = wanted.max(alphabet.len() + 1);
    let mut pieces = train(words.sentences(&alphabet), asked, options.max_piece_length)?;
    if wanted < asked {
        pieces.retain(|(piece, _)| piece.chars().nth(1).is_none());
    }
    if pieces.len() < wanted {
        return Err(PretrainError::VocabularyTooLarge {
            expected: options.vocab_size,
            found: SPECIAL + pieces.len() + options.sentinels,
            characters: words.characters,
        }
        .into());
    }
    TrainedTokenizer::new(pieces, options.sentinels, normalizer)
}

fn check(options: &UnigramOptions) -> Result<(), PretrainError> {
    let refused = |option, expected, found| {
        Err(PretrainError::Option {
            option,
            expected,
            found,
        })
    };
    let coverage = options.character_coverage;
    if !(coverage > 0.0 && coverage <= 1.0) {
        return refused("character_coverage", "a share above 0 and at most 1", coverage);
    }
    if options.max_piece_length == 0 {
        return refused("max_piece_length", "at least 1", 0.0);
    }
    if u32::try_from(options.vocab_size).is_err() {
        return refused("vocab_size", "at most 4294967295", options.vocab_size as f64);
    }
    Ok(())
}

/// Trains at most `wanted` pieces with their scores (log-probabilities), best first.
fn train(
    sentences: Vec<(String, u32)>,
    wanted: usize,
    max_piece_length: usize,
) -> Result<Vec<(String, f64)>, PretrainError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| PretrainError::Trainer { source };
    let trainer = UnigramTrainer::builder()
        .show_progress(false)
        .vocab_size(wanted as u32)
        .max_piece_length(max_piece_length)
        .build()
        .map_err(|error| failed(Box::new(error)))?;
    let mut model = Unigram::default();
    // Multi-threaded sums are added in arbitrary order, and a rounding difference can decide which piece is kept.
    let thread = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .map_err(|error| failed(Box::new(error)))?;
    // The library panics when its sums overflow.
    catch_unwind(AssertUnwindSafe(|| {
        thread.install(|| trainer.do_train(sentences, &mut model))
    }))
    .map_err(|_| failed("the library panicked".into()))?
    .map_err(failed)?;
    let mut pieces: Vec<(String, f64)> = model.iter().cloned().collect();
    settle(&mut pieces);
    Ok(pieces)
}

/// Makes the order of pieces independent of the library's hash tables, which are randomly seeded in every run.
/// Characters without a score of their own, because they occur only within longer pieces, get the lowest score plus
/// 0.0001 for each one before them in hash-table order: these scores are reassigned in character order.
fn settle(pieces: &mut [(String, f64)]) {
    const STEP: f64 = 0.0001;
    let lowest = pieces.iter().map(|(_, score)| *score).fold(f64::INFINITY, f64::min);
    let dealt = |(piece, score): &(String, f64)| {
        let steps = (score - lowest) / STEP;
        piece.chars().nth(1).is_none() && (steps - steps.round()).abs() < 1e-6
    };
    let places: Vec<usize> = (0..pieces.len()).filter(|&place| dealt(&pieces[place])).collect();
    let mut scores: Vec<f64> = places.iter().map(|&place| pieces[place].1).collect();
    let mut characters: Vec<String> = places.iter().map(|&place| pieces[place].0.clone()).collect();
    scores.sort_by(|a, b| b.total_cmp(a));
    characters.sort_unstable();
    for ((&place, score), character) in places.iter().zip(scores).zip(characters) {
        pieces[place] = (character, score);
    }
    pieces.sort_by(|(a, x), (b, y)| y.total_cmp(x).then_with(|| a.cmp(b)));
}
