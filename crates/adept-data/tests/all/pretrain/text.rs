use std::collections::{BTreeMap, BTreeSet};

use adept_data::pretrain::{DenoiseOptions, PretrainError, Sentinels, TextBatches, TextOptions, TokenStore};
use adept_data::{Batch, DataError, IGNORED_LABEL};

use crate::pretrain::support::{ALL, folder, open, sentence, tokenizer, write};

/// A store of about `sentences · 27` tokens, and its tokens.
fn store(sentences: usize) -> (TokenStore, Vec<u32>) {
    let folder = folder();
    let text: String = (0..sentences).map(|number| sentence(number * 17) + "\n").collect();
    let corpus = open(&[write(folder.path(), "text.txt", text)], ALL);
    let path = folder.path().join("tokens.bin");
    let store = TokenStore::open_or_build(&path, &corpus, &tokenizer(), &mut |_| {}).expect("a corpus without a fault");
    let mut tokens = Vec::new();
    store
        .window(0, store.len() as usize, &mut tokens)
        .expect("a whole store");
    // The open file outlives its folder.
    (store, tokens)
}

fn options(input_length: usize, batch_size: usize, holdout_windows: usize) -> TextOptions {
    TextOptions::new(
        &tokenizer(),
        input_length,
        batch_size,
        DenoiseOptions::default(),
        holdout_windows,
    )
    .expect("T5's special tokens")
}

fn batches(sentences: usize, options: TextOptions) -> (TextBatches, Vec<u32>) {
    let (store, tokens) = store(sentences);
    (TextBatches::new(store, options).expect("enough text"), tokens)
}

/// Puts a row's target back in place of the sentinels in its source, which restores the original text. Ids 280 to 299
/// are sentinels, `<extra_id_0>` the highest.
fn restored(batch: &Batch, row: usize) -> Vec<u32> {
    let mask = &batch.mask[row * batch.source_width..(row + 1) * batch.source_width];
    let source: Vec<i32> = batch.input_ids[row * batch.source_width..(row + 1) * batch.source_width]
        .iter()
        .zip(mask)
        .filter_map(|(&id, &real)| real.then_some(id))
        .collect();
    let target: Vec<i32> = batch.labels[row * batch.target_width..(row + 1) * batch.target_width]
        .iter()
        .copied()
        .filter(|&label| label != IGNORED_LABEL)
        .collect();
    let ([source @ .., 1], [target @ .., 1]) = (&source[..], &target[..]) else {
        panic!("{source:?} or {target:?} does not end in </s>");
    };
    let mut spans: BTreeMap<i32, Vec<u32>> = BTreeMap::new();
    let mut current = 0;
    for &id in target {
        if (280..300).contains(&id) {
            current = id;
            spans.insert(id, Vec::new());
        } else {
            spans.get_mut(&current).expect("a sentinel comes first").push(id as u32);
        }
    }
    let sentinels: Vec<i32> = spans.keys().rev().copied().collect();
    let expected: Vec<i32> = (0..sentinels.len() as i32).map(|span| 299 - span).collect();
    assert_eq!(sentinels, expected);
    let restore = |&id: &i32| spans.get(&id).cloned().unwrap_or_else(|| vec![id as u32]);
    source.iter().flat_map(restore).collect()
}

#[test]
fn rows_are_windows_of_the_store() {
    let (batches, tokens) = batches(400, options(64, 4, 10));
    assert_eq!((batches.window_length(), batches.target_length()), (70, 14));
    let train = tokens.len() - 10 * 70;
    assert_eq!(batches.train_windows() as usize, train / 70 - 1);
    for index in 0..300 {
        let batch = batches.train_batch(3, index).expect("a whole store");
        assert_eq!((batch.batch, batch.source_width, batch.target_width), (4, 64, 14));
        assert_eq!(batch.rows, [4 * index, 4 * index + 1, 4 * index + 2, 4 * index + 3]);
        for row in 0..4 {
            let window = restored(&batch, row);
            let found = tokens[..train].windows(70).any(|there| there == window);
            assert!(found, "row {row} of batch {index} is no window of what is trained on");
        }
    }
}

#[test]
fn an_epoch_goes_through_the_text_once() {
    let (batches, tokens) = batches(400, options(64, 3, 10));
    let windows = batches.train_windows() as usize;
    let place = |window: &[u32]| tokens.windows(70).position(|there| there == window).expect("a window");
    let mut cuts = BTreeSet::new();
    for epoch in 0..3 {
        let rows = epoch * windows..(epoch + 1) * windows;
        let starts: Vec<usize> = rows
            .map(|draw| restored(&batches.train_batch(3, draw / 3).expect("a store"), draw % 3))
            .map(|window| place(&window))
            .collect();
        let mut sorted = starts.clone();
        sorted.sort_unstable();
        assert!(
            sorted.windows(2).all(|pair| pair[1] == pair[0] + 70),
            "epoch {epoch}: {sorted:?}"
        );
        assert_ne!(starts, sorted, "epoch {epoch} is in the order of the text");
        assert!(sorted[0] < 70);
        cuts.insert(sorted[0]);
    }
    assert!(cuts.len() > 1, "every epoch is cut at the same place");
}

#[test]
fn held_out_windows_are_the_last_ones_once_each() {
    let (batches, tokens) = batches(400, options(64, 4, 10));
    let held_out = batches.held_out(1).expect("a whole store");
    assert_eq!(held_out.iter().map(|batch| batch.batch).collect::<Vec<_>>(), [4, 4, 2]);
    let rows: Vec<Vec<u32>> = held_out
        .iter()
        .flat_map(|batch| (0..batch.batch).map(|row| restored(batch, row)))
        .collect();
    assert_eq!(rows.concat(), tokens[tokens.len() - 700..]);
    assert_eq!(held_out, batches.held_out(1).expect("a whole store"));
    assert_ne!(held_out, batches.held_out(2).expect("a whole store"));
    let (none, _) = self::batches(400, options(64, 4, 0));
    assert_eq!(none.held_out(1).expect("nothing"), []);
}

#[test]
fn batches_are_a_pure_function_of_seed_and_index() {
    let (one, _) = batches(200, options(48, 5, 3));
    let (other, _) = batches(200, options(48, 5, 3));
    let forward: Vec<Batch> = (0..80)
        .map(|index| one.train_batch(7, index).expect("a store"))
        .collect();
    let mut backward: Vec<Batch> = (0..80)
        .rev()
        .map(|index| other.train_batch(7, index).expect("a store"))
        .collect();
    backward.reverse();
    assert!(forward == backward);
    let inputs = |seed, index| one.train_batch(seed, index).expect("a store").input_ids;
    assert_ne!(inputs(7, 0), inputs(8, 0));
    assert_ne!(inputs(7, 0), inputs(7 + (1 << 32), 0));
    assert_ne!(inputs(7, 0), inputs(7, 1));
}

#[test]
fn too_little_is_refused() {
    let fault = |options: TextOptions| TextBatches::new(store(20).0, options).expect_err("too little");
    let found = store(20).1.len() as u64;
    match fault(options(64, 4, 100)) {
        DataError::Pretrain(PretrainError::TooFewTokens {
            expected,
            found: there,
            holdout: 100,
            window: 70,
        }) => {
            assert_eq!((expected, there), (102 * 70, found));
        }
        other => panic!("{other}"),
    }
    // An input of 512 tokens has 28 spans, but the tokenizer has only 20 sentinels.
    assert!(matches!(
        fault(options(512, 4, 0)),
        DataError::Pretrain(PretrainError::TooFewSentinels {
            expected: 28,
            found: 20
        })
    ));
    assert!(matches!(
        fault(options(2, 4, 0)),
        DataError::Pretrain(PretrainError::InputTooShort { .. })
    ));
    assert!(matches!(
        fault(options(64, 0, 0)),
        DataError::ZeroOption { option: "batch_size" }
    ));
    let none = TextOptions {
        sentinels: Sentinels::new(Vec::new()),
        ..options(64, 4, 0)
    };
    assert!(matches!(
        fault(none),
        DataError::Pretrain(PretrainError::TooFewSentinels { .. })
    ));
}
