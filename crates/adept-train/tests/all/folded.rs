//! Evaluation with offsets in a vocabulary table.
#![allow(clippy::unwrap_used)]

use crate::common::*;
use adept_core::{FoldError, Intervention, Unchanged};
use adept_train::answering::{AnswerMethod, Continuation, Generate};
use adept_train::evaluate::predict;
use adept_train::model::TaskModel;
use adept_train::target::Target;
use burn::tensor::Tensor;
use burn_flex::Flex;

/// The prompt of an adapter without its offset.
#[derive(Debug)]
struct PromptAlone(Tensor<Flex, 2>);

impl Intervention<Flex> for PromptAlone {
    fn prompt(&self) -> Option<Tensor<Flex, 2>> {
        Some(self.0.clone())
    }
}

#[test]
fn a_folded_vocabulary_gives_the_losses_and_answers_of_the_offsets() {
    let _turn = beside_others();
    let folder = tempfile::tempdir().unwrap();
    let (resolved, rows, backbone) = (
        config(&["train.steps=40", "evaluation.every=40"]),
        Rows::new(),
        backbone(),
    );
    let target = adapter_target(&resolved, &backbone);
    let mut watcher = Watcher::default();
    train(&resolved, &rows, &target, folder.path(), &mut watcher).unwrap();
    let trained = target.load(&folder.path().join("best"), &Default::default()).unwrap();

    let (model, adapter) = target.inner_parts(&trained, 0);
    let folding = adapter_target(&resolved, &backbone).folding_vocabulary().unwrap();
    let (_, folded) = folding.inner_parts(&trained, 0);
    assert!(adapter.vocabulary().is_none() && folded.vocabulary().is_some());
    let alone = PromptAlone(adapter.prompt().unwrap());
    let answers = |adapter: &dyn Intervention<Flex>| {
        let method = AnswerMethod::Generate(Generate {
            max_new_tokens: TARGET_WIDTH,
            decode: &decode,
            rules: Continuation::default(),
        });
        predict(
            &model,
            adapter,
            &rows.test,
            &method,
            &Default::default(),
            &mut |_, _| true,
        )
        .unwrap()
        .unwrap()
    };
    assert_eq!(answers(&*adapter), answers(&*folded));
    for batch in &rows.test.batches {
        let loss = |adapter: &dyn Intervention<Flex>| -> f32 {
            model
                .loss(adapter, batch, 0.0.into(), &Default::default())
                .into_scalar()
        };
        let (plain, table, without) = (loss(&*adapter), loss(&*folded), loss(&alone));
        // Products with another number of rows may sum in another order.
        assert!((plain - table).abs() < 1e-5 * plain, "{plain}, from the table {table}");
        assert!(
            (plain - without).abs() > 1e-3 * plain,
            "{plain}, without offsets {without}"
        );
    }
}

#[test]
fn what_is_no_function_of_the_token_is_not_folded() {
    let folding = |method: &str| {
        let resolved = config(&[&format!("adapter.method={method}")]);
        adapter_target(&resolved, &backbone()).folding_vocabulary().map(|_| ())
    };
    assert_eq!(folding("dept"), Err(FoldError::Positional));
    assert!(matches!(folding("bitfit"), Err(FoldError::Inside { .. })));
    assert_eq!(folding("pt"), Ok(()));
    assert!(Intervention::<Flex>::vocabulary(&Unchanged).is_none());
}
