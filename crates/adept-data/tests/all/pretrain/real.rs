//! Real corpora and T5's real tokenizer. Skipped, with a message, if the data is not available.

use adept_data::TextTokenizer;
use adept_data::pretrain::{
    CorpusOptions, DenoiseOptions, Sentinels, TextBatches, TextOptions, TokenStore, UnigramOptions, train_unigram,
};

use crate::common::real;
use crate::pretrain::support::{folder, open};

#[test]
fn t5s_tokenizer_has_a_hundred_sentinels_and_makes_its_batches() {
    let (Some(folder_of_t5), Some(text)) = (real("tokenizers/t5"), real("corpora/nltk_state_union.txt.gz")) else {
        return;
    };
    let tokenizer = TextTokenizer::from_dir(&folder_of_t5).expect("T5's tokenizer loads");
    let ids: Vec<u32> = (32_000..32_100).rev().collect();
    assert_eq!(Sentinels::of(&tokenizer).ids(), ids);

    let corpus = open(&[text], CorpusOptions::default());
    let folder = folder();
    let path = folder.path().join("tokens.bin");
    let store = TokenStore::open_or_build(&path, &corpus, &tokenizer, &mut |_| {}).expect("real text");
    // Tokenising word by word yields the same ids as tokenising whole texts.
    let (mut place, mut window) = (0, Vec::new());
    for line in corpus.lines() {
        let ids = tokenizer.encode(&line.expect("real text"), usize::MAX).expect("ids");
        store.window(place, ids.len(), &mut window).expect("a whole store");
        assert_eq!(window, ids);
        place += ids.len() as u64;
    }
    assert_eq!(place, store.len());

    let options = TextOptions::new(&tokenizer, 512, 2, DenoiseOptions::default(), 4).expect("T5's special tokens");
    let batches = TextBatches::new(store, options).expect("enough text");
    assert_eq!((batches.window_length(), batches.target_length()), (568, 114));
    let batch = batches.train_batch(0, 0).expect("a whole store");
    assert!(
        batch.mask.iter().all(|&real| real),
        "T5's inputs of 512 tokens are full"
    );
}

#[test]
fn wrapped_books_and_lines_of_paragraphs_are_told_apart() {
    let (Some(book), Some(news)) = (
        real("corpora/gutenberg/austen-emma.txt.gz"),
        real("corpora/nltk_abc.txt.gz"),
    ) else {
        return;
    };
    // A wrapped line has at most 80 characters; Austen's paragraphs have several hundred.
    let book = open(&[book], CorpusOptions::default());
    let mean = book.characters() / book.paragraphs();
    assert!((250..1000).contains(&mean), "{mean} characters a paragraph");
    let news = open(&[news], CorpusOptions::default());
    assert!(news.paragraphs() > 25_000, "{} paragraphs", news.paragraphs());
}

#[test]
fn a_tokenizer_of_real_text_knows_its_words() {
    let Some(text) = real("corpora/nltk_state_union.txt.gz") else {
        return;
    };
    let corpus = open(&[text], CorpusOptions::default());
    let options = UnigramOptions {
        vocab_size: 2000,
        max_characters: 1_000_000,
        ..UnigramOptions::default()
    };
    let folder = folder();
    let trained = train_unigram(corpus.lines(), &options, &mut |_| {}).expect("enough text");
    trained.save(folder.path()).expect("a folder that can be written to");
    let tokenizer = TextTokenizer::from_dir(folder.path()).expect("a saved tokenizer");
    for word in ["▁the", "▁Congress", "▁America", "▁people", ",", "."] {
        assert!(tokenizer.token_id(word).is_some(), "{word}");
    }
    let path = folder.path().join("tokens.bin");
    let store = TokenStore::open_or_build(&path, &corpus, &tokenizer, &mut |_| {}).expect("real text");
    let characters = corpus.characters() as f64 / store.len() as f64;
    assert!((3.0..4.5).contains(&characters), "{characters} characters a token");
}
