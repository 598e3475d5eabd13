//! Trained tokenizers: T5's layout, agreement with transformers, and every error.
//!
//! `fixtures/pretrain/tokenizer.json` was written by [`write_fixture`]; `fixtures/pretrain_tokenizer.py` loaded it with
//! transformers and wrote the ids in `fixtures/pretrain/cases.json`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use adept_data::pretrain::{PretrainError, Sentinels, UnigramOptions, UnigramProgress, train_unigram};
use adept_data::{DataError, TextTokenizer};

use crate::pretrain::support::{folder, options, sentence, sentences, tokenizer, tokenizer_folder};

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/pretrain")
        .join(name)
}

/// Vocabulary in id order.
fn vocabulary(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join("tokenizer.json")).expect("a saved tokenizer");
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let pieces = json["model"]["vocab"].as_array().expect("a list of pieces");
    pieces
        .iter()
        .map(|piece| piece[0].as_str().expect("a piece").to_string())
        .collect()
}

#[test]
fn ids_are_laid_out_as_t5s() {
    let vocabulary = vocabulary(tokenizer_folder());
    assert_eq!(vocabulary.len(), 300);
    assert_eq!(vocabulary[..3], ["<pad>", "</s>", "<unk>"]);
    let sentinels: Vec<String> = (0..20).rev().map(|number| format!("<extra_id_{number}>")).collect();
    assert_eq!(vocabulary[280..], sentinels);
    let different: BTreeSet<&String> = vocabulary.iter().collect();
    assert_eq!(different.len(), 300);

    let tokenizer = tokenizer();
    assert_eq!(tokenizer.vocab_size(), 300);
    for (token, id) in [
        ("<pad>", 0),
        ("</s>", 1),
        ("<unk>", 2),
        ("<extra_id_0>", 299),
        ("<extra_id_19>", 280),
    ] {
        assert_eq!(tokenizer.token_id(token), Some(id), "{token}");
    }
    let ids: Vec<u32> = (280..300).rev().collect();
    assert_eq!(Sentinels::of(&tokenizer).ids(), ids);
}

#[test]
fn pieces_are_letters_or_digits_or_signs() {
    for piece in &vocabulary(tokenizer_folder())[3..280] {
        let own = piece.strip_prefix('▁').unwrap_or(piece);
        let kind = |character: char| (character.is_alphabetic(), character.is_numeric());
        let kinds: BTreeSet<_> = own.chars().map(kind).collect();
        assert!(kinds.len() <= 1 && !own.contains('▁'), "{piece}");
        assert!(piece.chars().count() <= 16, "{piece}");
    }
}

#[test]
fn texts_come_back() {
    let tokenizer = tokenizer();
    for number in 0..200 {
        let text = sentence(number * 37);
        let ids = tokenizer.encode(&text, usize::MAX).expect("ids");
        assert_eq!(ids.last(), Some(&1));
        assert!(!ids.contains(&2), "{text}");
        assert_eq!(tokenizer.decode(&ids, true).expect("text"), text);
        assert!(ids.len() < text.len() * 3 / 4, "{} ids for {text}", ids.len());
    }
    let ids = tokenizer
        .encode("a <extra_id_0> b<extra_id_19>", usize::MAX)
        .expect("ids");
    let sentinels: Vec<u32> = ids.into_iter().filter(|id| *id >= 280).collect();
    assert_eq!(sentinels, [299, 280]);
    // Text that never occurred is unknown, and the normalizer is applied.
    assert!(tokenizer.encode("Ж", 9).expect("ids").contains(&2));
    let plain = tokenizer.encode("cafe\u{301}\u{a0}ﬁne", 99).expect("ids");
    assert_eq!(plain, tokenizer.encode("café fine", 99).expect("ids"));
}

#[test]
fn the_same_text_gives_the_same_file() {
    let folder = folder();
    let trained = train_unigram(sentences(2000), &options(300), &mut |_| {}).expect("enough text");
    trained
        .save(&folder.path().join("new/folder"))
        .expect("a folder that can be made");
    for name in ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"] {
        let read = |folder: &Path| fs::read(folder.join(name)).expect("a saved file");
        assert!(
            read(&folder.path().join("new/folder")) == read(tokenizer_folder()),
            "{name}"
        );
    }
    assert_eq!(
        fs::read_dir(folder.path().join("new/folder"))
            .expect("a folder")
            .count(),
        3
    );
}

#[test]
fn progress_says_what_is_trained_on() {
    let mut seen = Vec::new();
    let options = UnigramOptions {
        max_characters: 20_000,
        ..options(200)
    };
    train_unigram(sentences(2000), &options, &mut |progress| seen.push(progress)).expect("enough text");
    assert!(seen.contains(&UnigramProgress::Reading { texts: 2000 }));
    match seen.last() {
        Some(&UnigramProgress::Training {
            texts,
            characters,
            words,
        }) => {
            // Sentences have about 80 characters, of which about 66 are not spaces.
            assert!((200..300).contains(&texts), "{texts}");
            assert!((14_000..20_000).contains(&characters), "{characters}");
            assert!((100..800).contains(&words), "{words}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn rare_characters_get_no_piece() {
    let texts = || {
        let rare = (0..50).map(|number| Ok(char::from_u32(0x4e00 + number).expect("a character").to_string()));
        sentences(2000).chain(rare)
    };
    let train = |character_coverage| {
        let options = UnigramOptions {
            character_coverage,
            ..options(300)
        };
        let folder = folder();
        let trained = train_unigram(texts(), &options, &mut |_| {}).expect("enough text");
        trained.save(folder.path()).expect("a folder that can be written to");
        let tokenizer = TextTokenizer::from_dir(folder.path()).expect("a saved tokenizer");
        tokenizer.encode("\u{4e05}", 9).expect("ids").contains(&2)
    };
    assert!(train(0.9995));
    assert!(!train(1.0));
}

#[test]
fn a_vocabulary_that_the_text_does_not_support_is_refused() {
    let train = |texts: &[&str], options: UnigramOptions| {
        let texts = texts.iter().map(|text| Ok((*text).to_string()));
        train_unigram(texts, &options, &mut |_| {}).map(|trained| trained.vocab_size())
    };
    let too_large = |texts: &[&str]| match train(texts, options(5000)) {
        Err(DataError::Pretrain(PretrainError::VocabularyTooLarge {
            expected,
            found,
            characters,
        })) => {
            assert_eq!(expected, 5000);
            (found, characters)
        }
        other => panic!("{other:?}"),
    };
    // 3 special tokens, 20 sentinels, the pieces a c d e h m n o s t and ▁, and hardly more.
    let text = "the cat sat on the mat and the cat sat on the hat";
    let (found, characters) = too_large(&[text]);
    assert_eq!(characters, 37);
    assert!((34..60).contains(&found), "{found}");
    // The size that the error reports as possible is possible.
    assert_eq!(train(&[text], options(found)).expect("as many as there were"), found);
    assert_eq!(train(&[text], options(34)).expect("one for each character"), 34);
    match train(&[text], options(33)) {
        Err(DataError::Pretrain(PretrainError::VocabularyTooSmall {
            needed,
            sentinels,
            alphabet,
            found,
        })) => assert_eq!((needed, sentinels, alphabet, found), (34, 20, 11, 33)),
        other => panic!("{other:?}"),
    }
    let many: Vec<String> = (0..500).map(sentence).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let (found, _) = too_large(&many);
    assert!((150..1500).contains(&found), "{found}");
    assert_eq!(train(&many, options(found)).expect("as many as there were"), found);

    assert!(matches!(
        train(&[], options(300)),
        Err(DataError::Pretrain(PretrainError::NoText { texts: 0, .. }))
    ));
    assert!(matches!(
        train(&["", " \u{a0}\n"], options(300)),
        Err(DataError::Pretrain(PretrainError::NoText { texts: 2, .. }))
    ));
    for (options, name) in [
        (
            UnigramOptions {
                character_coverage: 0.0,
                ..options(300)
            },
            "character_coverage",
        ),
        (
            UnigramOptions {
                character_coverage: f64::NAN,
                ..options(300)
            },
            "character_coverage",
        ),
        (
            UnigramOptions {
                max_piece_length: 0,
                ..options(300)
            },
            "max_piece_length",
        ),
        (
            UnigramOptions {
                vocab_size: 1 << 40,
                ..options(300)
            },
            "vocab_size",
        ),
    ] {
        let fault = train(&[text], options).expect_err("an option out of range");
        assert!(
            matches!(&fault, DataError::Pretrain(PretrainError::Option { option, .. }) if *option == name),
            "{fault}"
        );
    }
}

#[test]
fn errors_of_the_texts_are_handed_on() {
    let texts = sentences(10).chain([Err(DataError::NoRows)]);
    assert!(matches!(
        train_unigram(texts, &options(300), &mut |_| {}),
        Err(DataError::NoRows)
    ));
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = folder();
    let file = folder.path().join("file");
    fs::write(&file, "in the way").expect("a file");
    let trained = train_unigram(sentences(500), &options(200), &mut |_| {}).expect("enough text");
    match trained.save(&file.join("tokenizer")) {
        Err(DataError::Pretrain(PretrainError::Write { file: found, .. })) => assert_eq!(found, file.join("tokenizer")),
        other => panic!("{other:?}"),
    }
}

/// Regenerate with `cargo test -p adept-data --test all -- --ignored write_fixture`, then the Python program.
#[test]
#[ignore = "writes the fixture that the next test reads"]
fn write_fixture() {
    let trained = train_unigram(sentences(2000), &options(300), &mut |_| {}).expect("enough text");
    trained.save(&fixture("")).expect("a folder that can be written to");
}

#[derive(serde::Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
    decoded: String,
}

#[test]
fn ids_are_those_of_transformers() {
    let tokenizer = TextTokenizer::from_dir(&fixture("")).expect("the fixture");
    let cases = fs::read_to_string(fixture("cases.json")).expect("the fixture");
    let cases: Vec<Case> = serde_json::from_str(&cases).expect("the fixture");
    assert!(cases.len() > 10);
    for case in cases {
        assert_eq!(
            tokenizer.encode(&case.text, usize::MAX).expect("ids"),
            case.ids,
            "{:?}",
            case.text
        );
        assert_eq!(
            tokenizer.decode(&case.ids, true).expect("text"),
            case.decoded,
            "{:?}",
            case.text
        );
    }
}
