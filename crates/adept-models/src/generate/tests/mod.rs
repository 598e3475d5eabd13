//! Generation with a small real model, compared with the simplest implementation: re-reading all slots of a row for
//! every token.

mod labels;
mod sampling;
mod toy;

use burn::tensor::{Int, Tensor, TensorData};
use burn_flex::Flex;

use super::*;
use crate::random::named_normals;
use crate::traits::{Backbone, CausalBackbone};
use toy::{D, END, PAD, Toy, VOCAB};

type Model = Toy<Flex>;

/// Rows of different lengths; their tokens matter little.
const ROWS: [&[u32]; 5] = [
    &[3, 1, 4, 1, 5, 9, 2, 6],
    &[8],
    &[2, 7, 1, 8, 2, 8],
    &[1, 1],
    &[0, 22, 11, 5, 7, 6, 20, 21, 19, 4, 2],
];

/// The model of these tests, one of whose rows ends early on its own.
fn model() -> Model {
    Toy::new(4, &Default::default())
}

fn prompt(slots: usize) -> Option<Tensor<Flex, 2>> {
    let values = named_normals(9, "prompt", slots * D, 1.0);
    (slots > 0).then(|| Tensor::from_data(TensorData::new(values, [slots, D]), &Default::default()))
}

fn requests<'a>(rows: &[&'a [u32]]) -> Vec<Request<'a>> {
    let request = |(row, &ids): (usize, &&'a [u32])| Request {
        ids,
        row: row as u64,
        sample: 0,
    };
    rows.iter().enumerate().map(request).collect()
}

fn options(max_new_tokens: usize) -> GenerationOptions {
    GenerationOptions {
        max_new_tokens,
        choice: Choice::Greedy,
        repetition_penalty: 1.0,
        end: vec![],
        positions: Positions::Tokens,
        width: 0,
    }
}

fn sampling(seed: u64) -> Choice {
    Choice::Sample(Sampling {
        temperature: 0.8,
        top_k: 0,
        top_p: 0.95,
        seed,
    })
}

/// An offset that depends only on the token, like ADePT's.
fn embedded(model: &Model, ids: Tensor<Flex, 2, Int>) -> Tensor<Flex, 3> {
    let embeddings = model.embed(ids);
    embeddings.clone() + (embeddings * 2.0).sin() * 0.3
}

fn run(model: &Model, slots: usize, requests: &[Request<'_>], options: &GenerationOptions) -> Vec<Written> {
    let prefix = Prefix::new(model, prompt(slots));
    let embed = |ids, _, _| embedded(model, ids);
    complete(
        model,
        &prefix,
        requests,
        options,
        &embed,
        &mut |_, _| false,
        &Default::default(),
    )
    .unwrap()
}

fn ids_of(written: &[Written]) -> Vec<Vec<u32>> {
    written.iter().map(|written| written.ids.clone()).collect()
}

/// `count` new tokens for one row with `pads` on its left, re-reading everything for each token, and the margin of
/// each.
fn plainly(
    model: &Model,
    slots: usize,
    (row, pads): (&[u32], usize),
    positions: Positions,
    (count, penalty): (usize, f32),
) -> (Vec<u32>, Vec<f32>) {
    let device = Default::default();
    let mut tokens: Vec<i32> = vec![PAD as i32; pads];
    tokens.extend(row.iter().map(|&id| id as i32));
    let (mut out, mut margins) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let n = tokens.len();
        let ids = Tensor::<Flex, 2, Int>::from_data(TensorData::new(tokens.clone(), [1, n]), &device);
        let tokens_embedded = embedded(model, ids);
        let all = match prompt(slots) {
            Some(prompt) => Tensor::cat(vec![prompt.unsqueeze(), tokens_embedded], 1),
            None => tokens_embedded,
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
        let logits = model.forward(all, mask, place, 0.0).narrow(1, whole - 1, 1);
        let mut logits: Vec<f32> = logits.into_data().iter::<f32>().collect();
        for (id, logit) in logits.iter_mut().enumerate() {
            if tokens[pads..].contains(&(id as i32)) {
                *logit *= if *logit > 0.0 { 1.0 / penalty } else { penalty };
            }
        }
        let (id, margin) = top_and_margin(&logits);
        out.push(id);
        margins.push(margin);
        tokens.push(id as i32);
    }
    (out, margins)
}

#[test]
fn greedy_texts_are_those_of_reading_everything_anew() {
    let model = model();
    let longest = ROWS.iter().map(|row| row.len()).max().unwrap();
    for slots in [0, 1, 3, 70] {
        for positions in [Positions::Tokens, Positions::Slots] {
            for width in [0, 16] {
                let options = GenerationOptions {
                    positions,
                    width,
                    ..options(60)
                };
                let prefix = Prefix::new(&model, prompt(slots));
                assert_eq!(prefix.slots(), slots);
                let embed = |ids, _, _| embedded(&model, ids);
                let requests = requests(&ROWS);
                let found = complete_with_margins(
                    &model,
                    &prefix,
                    &requests,
                    &options,
                    &embed,
                    &mut |_, _| false,
                    &Default::default(),
                )
                .unwrap();
                for (row, (written, margins)) in ROWS.iter().zip(&found) {
                    let pads = longest.max(width) - row.len();
                    let (expected, leads) = plainly(&model, slots, (row, pads), positions, (60, 1.0));
                    assert_eq!(written.ids, expected, "{slots} {positions:?} {width}");
                    assert_eq!(written.finish, Finish::Length);
                    for (margin, lead) in margins.iter().zip(leads) {
                        assert!((margin - lead).abs() < 1e-3, "{margin} for {lead}");
                    }
                }
                let plain = run(&model, slots, &requests, &options);
                assert_eq!(plain, found.into_iter().map(|(written, _)| written).collect::<Vec<_>>());
            }
        }
    }
}

#[test]
fn tokens_that_were_there_are_less_likely() {
    let model = model();
    let longest = ROWS.iter().map(|row| row.len()).max().unwrap();
    let repeated = |written: &[Written]| -> usize {
        let again = |ids: &[u32]| (1..ids.len()).filter(|&at| ids[..at].contains(&ids[at])).count();
        written.iter().map(|written| again(&written.ids)).sum()
    };
    let requests = requests(&ROWS);
    let none = run(&model, 2, &requests, &options(20));
    for penalty in [0.7, 1.3, 4.0] {
        let options = GenerationOptions {
            repetition_penalty: penalty,
            ..options(20)
        };
        let found = run(&model, 2, &requests, &options);
        for (row, written) in ROWS.iter().zip(&found) {
            let pads = longest - row.len();
            let (expected, _) = plainly(&model, 2, (row, pads), Positions::Tokens, (20, penalty as f32));
            assert_eq!(written.ids, expected, "{penalty}");
        }
        assert_ne!(found, none, "{penalty}");
        assert_eq!(repeated(&found) < repeated(&none), penalty > 1.0, "{penalty}");
    }
}

#[test]
fn the_prompt_is_read_once_and_changes_what_is_written() {
    let model = model();
    let with = run(&model, 3, &requests(&ROWS), &options(30));
    let tokens: std::collections::BTreeSet<u32> = ids_of(&with).concat().into_iter().collect();
    assert!(tokens.len() > 8, "texts of {} tokens would test little", tokens.len());
    let without = run(&model, 0, &requests(&ROWS), &options(30));
    assert_ne!(ids_of(&with), ids_of(&without));
    let prefix = Prefix::new(&model, prompt(3));
    model.reads.lock().unwrap().clear();
    for _ in 0..2 {
        let embed = |ids, _, _| embedded(&model, ids);
        let again = complete(
            &model,
            &prefix,
            &requests(&ROWS),
            &options(30),
            &embed,
            &mut |_, _| false,
            &Default::default(),
        );
        assert_eq!(again.unwrap(), with);
    }
    let reads = model.reads.lock().unwrap();
    let mut once = vec![[5, 11]];
    once.extend([[5, 1]; 29]);
    assert_eq!(*reads, [once.clone(), once].concat());
}

#[test]
fn a_row_is_written_the_same_alone_and_among_others() {
    let model = model();
    for choice in [Choice::Greedy, sampling(3)] {
        let options = GenerationOptions { choice, ..options(40) };
        let together = run(&model, 2, &requests(&ROWS), &options);
        for (place, request) in requests(&ROWS).into_iter().enumerate() {
            assert_eq!(run(&model, 2, &[request], &options), together[place..=place]);
        }
        let mut turned = requests(&ROWS);
        turned.reverse();
        let mut found = run(&model, 2, &turned, &options);
        found.reverse();
        assert_eq!(found, together);
    }
}

/// The rows, cut where the caller's rule ends them.
fn cut(whole: &[Written], is_last: impl Fn(usize, &[u32]) -> bool) -> Vec<Vec<u32>> {
    let cut = |(row, written): (usize, &Written)| {
        let ids = &written.ids;
        let end = (1..=ids.len()).find(|&end| is_last(row, &ids[..end]));
        ids[..end.unwrap_or(ids.len())].to_vec()
    };
    whole.iter().enumerate().map(cut).collect()
}

#[test]
fn ends_cut_a_text_and_change_no_other() {
    let model = model();
    for choice in [Choice::Greedy, sampling(1)] {
        let whole = run(
            &model,
            2,
            &requests(&ROWS),
            &GenerationOptions { choice, ..options(50) },
        );
        for end in 0..VOCAB as u32 {
            let ended = GenerationOptions {
                choice,
                end: vec![end, END],
                ..options(50)
            };
            let found = run(&model, 2, &requests(&ROWS), &ended);
            let is_end = |id: &u32| *id == end || *id == END;
            assert_eq!(ids_of(&found), cut(&whole, |_, ids| ids.last().is_some_and(is_end)));
            for written in &found {
                let ended = written.ids.last().is_some_and(is_end);
                assert_eq!(written.finish, if ended { Finish::End } else { Finish::Length });
                assert_eq!(written.text_ids().len(), written.ids.len() - usize::from(ended));
                assert!(!written.text_ids().iter().any(is_end));
            }
        }
    }
}

#[test]
fn a_stop_is_asked_after_every_token_and_ends_its_row_alone() {
    let model = model();
    let whole = run(&model, 2, &requests(&ROWS), &options(40));
    // Row 0 continues, row 1 ends at its first token, and so on.
    let lengths = [usize::MAX, 1, 17, 4, 18];
    let mut asked = vec![0; ROWS.len()];
    let mut stop = |row: usize, ids: &[u32]| {
        asked[row] += 1;
        assert_eq!(ids, &whole[row].ids[..asked[row]]);
        ids.len() == lengths[row]
    };
    let prefix = Prefix::new(&model, prompt(2));
    let embed = |ids, _, _| embedded(&model, ids);
    let found = complete(
        &model,
        &prefix,
        &requests(&ROWS),
        &options(40),
        &embed,
        &mut stop,
        &Default::default(),
    )
    .unwrap();
    assert_eq!(ids_of(&found), cut(&whole, |row, ids| ids.len() == lengths[row]));
    let finishes: Vec<Finish> = found.iter().map(|written| written.finish).collect();
    assert_eq!(
        finishes,
        [Finish::Length, Finish::Stop, Finish::Stop, Finish::Stop, Finish::Stop]
    );
    assert_eq!(asked, [40, 1, 17, 4, 18]);
}

#[test]
fn rows_that_have_ended_leave_the_batch() {
    let model = model();
    let rows: Vec<&[u32]> = vec![&[1, 2]; 8];
    let prefix = Prefix::new(&model, None);
    model.reads.lock().unwrap().clear();
    let embed = |ids, _, _| model.embed(ids);
    // One row ends with every token: the batch is compacted once a quarter of it has ended.
    let mut stop = |row: usize, ids: &[u32]| ids.len() == row + 1;
    complete(
        &model,
        &prefix,
        &requests(&rows),
        &options(20),
        &embed,
        &mut stop,
        &Default::default(),
    )
    .unwrap();
    let batches: Vec<usize> = model.reads.lock().unwrap().iter().map(|read| read[0]).collect();
    assert_eq!(batches, [8, 8, 6, 6, 4, 3, 2, 1]);
}

#[test]
fn tokens_are_embedded_at_their_own_positions() {
    let model = model();
    let check = |positions, expected: [(Part, &[i64]); 3]| {
        let seen = std::cell::RefCell::new(Vec::new());
        let embed = |ids: Tensor<Flex, 2, Int>, positions: Tensor<Flex, 2, Int>, part| {
            let positions: Vec<i64> = positions.into_data().iter::<i64>().collect();
            seen.borrow_mut().push((part, positions));
            model.embed(ids)
        };
        let options = GenerationOptions {
            positions,
            ..options(3)
        };
        let prefix = Prefix::new(&model, prompt(3));
        let rows = [ROWS[2], ROWS[3]];
        let (found, device) = (&mut |_: usize, _: &[u32]| false, Default::default());
        complete(&model, &prefix, &requests(&rows), &options, &embed, found, &device).unwrap();
        let expected: Vec<(Part, Vec<i64>)> = expected.iter().map(|(part, own)| (*part, own.to_vec())).collect();
        assert_eq!(*seen.borrow(), expected);
    };
    let width = ROWS[2].len() as i64;
    // Without the three slots of the prompt; the position of padding is never used.
    let own: Vec<i64> = (0..width)
        .chain((0..width).map(|slot| (slot - (width - 2)).max(0)))
        .collect();
    let new = |token| [width + token, 2 + token];
    check(
        Positions::Tokens,
        [(Part::Given, &own), (Part::New, &new(0)), (Part::New, &new(1))],
    );
    let slots: Vec<i64> = (0..width).chain(0..width).collect();
    let new = |token| [width + token, width + token];
    check(
        Positions::Slots,
        [(Part::Given, &slots), (Part::New, &new(0)), (Part::New, &new(1))],
    );
}

#[test]
fn draws_depend_on_seed_row_and_sample_alone() {
    let model = model();
    let options = |seed| GenerationOptions {
        choice: sampling(seed),
        ..options(25)
    };
    let request = |row, sample| Request {
        ids: ROWS[0],
        row,
        sample,
    };
    let all: Vec<Request<'_>> = (0..4)
        .flat_map(|row| (0..4).map(move |sample| request(row, sample)))
        .collect();
    let found = run(&model, 2, &all, &options(6));
    assert_eq!(run(&model, 2, &all, &options(6)), found);
    let texts: std::collections::BTreeSet<Vec<u32>> = ids_of(&found).into_iter().collect();
    assert_eq!(texts.len(), 16, "draws are not independent");
    for (request, written) in all.iter().zip(&found) {
        assert_eq!(&run(&model, 2, &[*request], &options(6))[0], written);
        assert_ne!(&run(&model, 2, &[*request], &options(7))[0], written);
    }
}

#[test]
fn sampling_that_leaves_no_choice_is_greedy() {
    let model = model();
    let greedy = run(&model, 2, &requests(&ROWS), &options(40));
    let narrow = |temperature, top_k, top_p| GenerationOptions {
        choice: Choice::Sample(Sampling {
            temperature,
            top_k,
            top_p,
            seed: 5,
        }),
        ..options(40)
    };
    for narrow in [
        narrow(0.0, 0, 1.0),
        narrow(0.7, 1, 1.0),
        narrow(1.5, 0, 0.0),
        narrow(1e-9, 0, 1.0),
    ] {
        assert_eq!(run(&model, 2, &requests(&ROWS), &narrow), greedy, "{narrow:?}");
    }
    let margins = complete_with_margins(
        &model,
        &Prefix::new(&model, prompt(2)),
        &requests(&ROWS),
        &narrow(0.7, 1, 1.0),
        &|ids, _, _| embedded(&model, ids),
        &mut |_, _| false,
        &Default::default(),
    )
    .unwrap();
    assert_eq!(
        margins.into_iter().map(|(written, _)| written).collect::<Vec<_>>(),
        greedy
    );
}

#[test]
fn nothing_is_read_for_nothing_and_faults_are_named() {
    let model = model();
    let prefix = Prefix::new(&model, prompt(2));
    model.reads.lock().unwrap().clear();
    let embed = |ids, _, _| model.embed(ids);
    let run = |rows: &[&[u32]], options: &GenerationOptions| {
        complete(
            &model,
            &prefix,
            &requests(rows),
            options,
            &embed,
            &mut |_, _| false,
            &Default::default(),
        )
    };
    assert_eq!(run(&[], &options(5)), Ok(vec![]));
    let none = run(&[&[1]], &options(0)).unwrap();
    assert_eq!((&none[0].ids[..], none[0].finish), (&[][..], Finish::Length));
    assert_eq!(run(&[&[1], &[]], &options(5)), Err(GenerateError::EmptyRow { row: 1 }));
    let cold = Choice::Sample(Sampling {
        temperature: -1.0,
        top_k: 0,
        top_p: 1.0,
        seed: 0,
    });
    let cold = GenerationOptions {
        choice: cold,
        ..options(5)
    };
    let penalty = GenerationOptions {
        repetition_penalty: 0.0,
        ..options(5)
    };
    let error = run(&[&[1]], &penalty).unwrap_err().to_string();
    assert_eq!(
        error,
        "sampling: expected a finite number above 0 for repetition_penalty, found 0"
    );
    let error = run(&[&[1]], &cold).unwrap_err().to_string();
    assert_eq!(
        error,
        "sampling: expected a finite number that is not negative for temperature, found -1"
    );
    assert!(model.reads.lock().unwrap().is_empty());

    let broken = |ids: Tensor<Flex, 2, Int>, _, _| model.embed(ids) * f32::NAN;
    let infinite = |ids: Tensor<Flex, 2, Int>, _, part| {
        let embeddings = model.embed(ids);
        match part {
            Part::Given => embeddings,
            Part::New => embeddings * f32::INFINITY,
        }
    };
    let ways: [(&Embed<'_, Flex>, usize); 2] = [(&broken, 0), (&infinite, 1)];
    for (embed, token) in ways {
        for (choice, repetition_penalty) in [(Choice::Greedy, 1.0), (Choice::Greedy, 1.3), (sampling(0), 1.0)] {
            let options = GenerationOptions {
                choice,
                repetition_penalty,
                ..options(5)
            };
            let (requests, device) = (requests(&ROWS), Default::default());
            let mut never = |_: usize, _: &[u32]| false;
            let found = complete(&model, &prefix, &requests, &options, embed, &mut never, &device);
            let stage = Stage::Embeddings;
            assert_eq!(found, Err(GenerateError::NotFinite { row: 0, token, stage }));
            let found = complete_with_margins(&model, &prefix, &requests, &options, embed, &mut never, &device);
            assert!(
                matches!(found, Err(GenerateError::NotFinite { row: 0, .. })),
                "{found:?}"
            );
        }
    }
}

#[test]
fn the_row_that_is_not_finite_is_named_and_ended_ones_are_not_asked() {
    let logits = Tensor::<Flex, 2>::from_data(
        [[0.0, 1.0], [f32::NAN, 0.0], [f32::NEG_INFINITY, 0.0], [3e38, 3e38]],
        &Default::default(),
    );
    assert_eq!(first_not_finite(&logits, |_| true), Some(1));
    assert_eq!(first_not_finite(&logits, |row| row != 1), Some(2));
    // The last row's sum overflows, its values do not.
    assert_eq!(first_not_finite(&logits, |row| row == 0 || row == 3), None);

    let device = Default::default();
    let scores = |values: [[f32; 2]; 2]| best_labels(Tensor::<Flex, 2>::from_data(values, &device));
    assert_eq!(scores([[-1.0, -2.0], [-3.0, -2.5]]), Ok(vec![0, 1]));
    for found in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let error = scores([[-1.0, -2.0], [-3.0, found]]).unwrap_err();
        assert!(
            matches!(error, GenerateError::Score { row: 1, label: 1, .. }),
            "{error}"
        );
        assert_eq!(error.of_row(|row| row + 40).row(), Some(41));
    }
}
