//! Label scores after a shared prefix, compared with a full pass for each row and label.

use super::*;

/// One token, two that begin alike, and one with three tokens to read.
const LABELS: [&[u32]; 4] = [&[4], &[4, END], &[3, 9, 2, END], &[END]];

fn labels() -> Vec<Vec<u32>> {
    LABELS.iter().map(|label| label.to_vec()).collect()
}

/// Scores `[row][label]`.
fn scores(model: &Model, slots: usize, rows: &[&[u32]], layout: PromptLayout) -> Vec<Vec<f32>> {
    let prefix = Prefix::new(model, prompt(slots));
    let embed = |ids, _, _| embedded(model, ids);
    let scores = score_causal_labels(model, &prefix, rows, &labels(), layout, &embed, &Default::default()).unwrap();
    let values: Vec<f32> = scores.into_data().iter::<f32>().collect();
    values.chunks(LABELS.len()).map(<[f32]>::to_vec).collect()
}

/// The score of one label after one row with `pads` on its left, read in a single pass.
fn plain_score(model: &Model, slots: usize, (row, pads): (&[u32], usize), positions: Positions, label: &[u32]) -> f32 {
    let device = Default::default();
    let mut tokens: Vec<i32> = vec![PAD as i32; pads];
    tokens.extend(row.iter().chain(label).map(|&id| id as i32));
    let n = tokens.len();
    let ids = Tensor::<Flex, 2, Int>::from_data(TensorData::new(tokens, [1, n]), &device);
    let own = embedded(model, ids);
    let all = match prompt(slots) {
        Some(prompt) => Tensor::cat(vec![prompt.unsqueeze(), own], 1),
        None => own,
    };
    let whole = slots + n;
    let seen: Vec<bool> = (0..whole).map(|slot| slot < slots || slot >= slots + pads).collect();
    let place: Vec<i32> = (0..whole)
        .map(|slot| match positions {
            Positions::Slots => slot as i32,
            Positions::Tokens => seen[..slot].iter().filter(|seen| **seen).count() as i32,
        })
        .collect();
    let mask = Tensor::from_data(TensorData::new(seen, [1, whole]), &device);
    let place = Tensor::from_data(TensorData::new(place, [1, whole]), &device);
    let logits = model.forward(all, mask, place, 0.0);
    let values: Vec<f64> = logits.into_data().iter::<f32>().map(f64::from).collect();
    let rows: Vec<&[f64]> = values.chunks(VOCAB).collect();
    let first = whole - label.len();
    let log_probability = |(place, &id): (usize, &u32)| {
        let row = rows[first + place - 1];
        row[id as usize] - row.iter().map(|logit| logit.exp()).sum::<f64>().ln()
    };
    label.iter().enumerate().map(log_probability).sum::<f64>() as f32
}

#[test]
fn labels_score_what_a_pass_over_everything_gives_them() {
    let model = model();
    for (slots, width, positions) in [
        (0, 0, Positions::Tokens),
        (3, 0, Positions::Tokens),
        (3, 16, Positions::Tokens),
        (3, 16, Positions::Slots),
        (0, 16, Positions::Slots),
    ] {
        let found = scores(&model, slots, &ROWS, PromptLayout { positions, width });
        let longest = ROWS.iter().map(|row| row.len()).max().unwrap().max(width);
        for (row, found) in ROWS.iter().zip(&found) {
            let pads = longest - row.len();
            for (label, found) in LABELS.iter().zip(found) {
                let expected = plain_score(&model, slots, (row, pads), positions, label);
                assert!(
                    (found - expected).abs() < 1e-4,
                    "{found} for {expected}: {row:?} {label:?} {positions:?}"
                );
            }
        }
    }
}

#[test]
fn a_row_scores_the_same_in_every_batch() {
    let model = model();
    let layout = PromptLayout {
        positions: Positions::Tokens,
        width: 0,
    };
    let together = scores(&model, 2, &ROWS, layout);
    for (row, together) in ROWS.iter().zip(&together) {
        for (alone, together) in scores(&model, 2, &[row], layout)[0].iter().zip(together) {
            assert!((alone - together).abs() < 1e-5, "{alone} alone, {together} together");
        }
    }
}

#[test]
fn what_labels_have_in_common_is_read_once() {
    let model = model();
    let layout = PromptLayout {
        positions: Positions::Tokens,
        width: 12,
    };
    scores(&model, 3, &ROWS, layout);
    // The soft prompt in one row, the rows, then all but the last token of the labels with several tokens.
    assert_eq!(*model.reads.lock().unwrap(), [[1, 3], [5, 12], [5, 1], [5, 3]]);
}

#[test]
fn rows_without_tokens_and_scores_that_are_none_are_refused() {
    let model = model();
    let layout = PromptLayout {
        positions: Positions::Tokens,
        width: 0,
    };
    let best = |model: &Model, rows: &[&[u32]]| {
        let prefix = Prefix::new(model, None);
        let embed = |ids, _, _| embedded(model, ids);
        best_causal_labels(model, &prefix, rows, &labels(), layout, &embed, &Default::default())
    };
    assert_eq!(best(&model, &[&[1], &[]]), Err(GenerateError::EmptyRow { row: 1 }));
    let found = scores(&model, 0, &ROWS, layout);
    let place_of_largest = |row: &Vec<f32>| {
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        row.iter().position(|score| *score == largest).unwrap()
    };
    let expected: Vec<usize> = found.iter().map(place_of_largest).collect();
    assert_eq!(best(&model, &ROWS), Ok(expected));
    // Token 5, which no label contains, embeds as NaN.
    let prefix = Prefix::new(&model, None);
    let embed = |ids: Tensor<Flex, 2, Int>, _, _| {
        let [batch, seq] = ids.dims();
        let broken = ids
            .clone()
            .equal_elem(5)
            .reshape([batch, seq, 1])
            .expand([batch, seq, D]);
        model.embed(ids).mask_fill(broken, f32::NAN)
    };
    let rows: [&[u32]; 2] = [&[1, 2], &[3, 5]];
    let refused =
        best_causal_labels(&model, &prefix, &rows, &labels(), layout, &embed, &Default::default()).unwrap_err();
    assert!(
        matches!(
            refused,
            GenerateError::Score {
                row: 1,
                stage: Stage::Embeddings,
                ..
            }
        ),
        "{refused:?}"
    );
}
