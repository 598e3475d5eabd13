//! Section 3.4: the first self-attention of a tiny T5 with adapters that are not at their start, compared with the
//! paper's statements, and the section made of tiny runs.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use crate::analysis::{Seen, adapter, analysis, json, make};
use crate::common::{WIDTH, backbone, beside_others, example, t5_config};
use crate::world::world;
use adept_core::{Adapter, Intervention as _, Method};
use adept_data::Encoded;
use adept_lab::analysis::attention::{Attention, attention};
use adept_lab::analysis::{AnalysisError, Table, TableName};
use adept_models::{Backbone as _, Seq2SeqBackbone as _};
use burn::tensor::{Bool, Int, Tensor, TensorData};
use burn_flex::Flex;

/// Probabilities of a tiny model, whose scores are below 10: float32 with some dozen operations.
const ROUNDING: f64 = 2e-6;

fn rows() -> Vec<Encoded> {
    (0..24).map(example).collect()
}

fn measured(method: Method) -> Attention {
    figures(&adapter(method, t5_config().d_model, WIDTH))
}

fn figures(adapter: &Adapter<Flex>) -> Attention {
    let found = attention(&backbone(), adapter, &rows(), &Default::default(), &mut |_, _| true);
    let found = found.unwrap().unwrap();
    assert_eq!((found.rows, found.virtual_tokens), (24, 2));
    let check = found.decomposition;
    assert!(check.largest_output > 1e-3, "{check:?}");
    assert!(
        check.largest_difference < 10.0 * ROUNDING * check.largest_output,
        "{check:?}"
    );
    assert!(found.prompt_mass.mean > 0.001 && found.prompt_mass.largest < 1.0);
    found
}

#[test]
fn pt_leaves_the_patterns_over_content_as_they_are() {
    let found = measured(Method::Pt);
    assert!(found.largest_difference < ROUNDING, "{}", found.largest_difference);
    assert!(found.distance.largest < 10.0 * ROUNDING);
    assert!(found.scores.by_tokens.is_none() && found.scores.by_position.is_none());
    let change = &found.example.mean.change;
    assert!(change.iter().flatten().all(|value| *value == 0.0), "{change:?}");
}

#[test]
fn adept_changes_scores_as_a_function_of_the_two_tokens() {
    let found = measured(Method::Adept);
    let (tokens, positions) = (found.scores.by_tokens.unwrap(), found.scores.by_position.unwrap());
    assert!(tokens.groups < tokens.values, "token pairs recur");
    assert!(tokens.share.unwrap() > 1.0 - 1e-6, "{tokens:?}");
    assert!(tokens.spread < 1e-4 * found.scores.largest, "{tokens:?}");
    assert!(positions.spread > 0.1 * found.scores.largest, "{positions:?}");
    assert!(found.distance.mean > 0.01, "{:?}", found.distance);
}

#[test]
fn dept_changes_the_scores_of_the_same_tokens_by_their_positions() {
    let found = measured(Method::Dept);
    let tokens = found.scores.by_tokens.unwrap();
    assert!(tokens.spread > 0.1 * found.scores.largest, "{tokens:?}");
    assert!(tokens.share.unwrap() < 0.999, "{tokens:?}");
    assert!(found.distance.mean > 0.01, "{:?}", found.distance);
}

/// Distance and attention to the prompt from the patterns themselves: renormalised, not restricted before the softmax.
#[test]
fn figures_equal_those_of_renormalised_patterns() {
    let (model, device) = (backbone(), Default::default());
    for method in [Method::Dept, Method::Adept] {
        let adapter = adapter(method, t5_config().d_model, WIDTH);
        let (mut distances, mut masses) = (Vec::new(), Vec::new());
        for row in rows() {
            let n = row.source.len();
            let ids: Vec<i32> = row.source.iter().map(|id| *id as i32).collect();
            let embedded = model.embed(Tensor::<Flex, 2, Int>::from_data(TensorData::new(ids, [1, n]), &device));
            let mask = Tensor::<Flex, 2, Bool>::full([1, n], true, &device);
            let bare = model.first_attention(embedded.clone(), mask.clone()).probabilities();
            let input = adapter.forward(embedded, mask);
            let whole = model.first_attention(input.embeddings, input.mask).probabilities();
            let content = whole.narrow(2, 2, n);
            let prompt = content.clone().narrow(3, 0, 2).sum_dim(3);
            let content = content.narrow(3, 2, n);
            let restricted = content.clone() / content.sum_dim(3);
            let list = |tensor: Tensor<Flex, 4>| tensor.into_data().into_vec::<f32>().unwrap();
            distances.extend(list((restricted - bare).abs().sum_dim(3)));
            masses.extend(list(prompt));
        }
        let mean = |values: &[f32]| values.iter().map(|value| f64::from(*value)).sum::<f64>() / values.len() as f64;
        let found = figures(&adapter);
        // Renormalising divides what float32 has left of the content's share.
        for (what, found, expected) in [
            ("distance", found.distance.mean, mean(&distances) / 2.0),
            ("prompt", found.prompt_mass.mean, mean(&masses)),
        ] {
            let limit = 10.0 * ROUNDING;
            assert!(
                (found - expected).abs() < limit,
                "{method} {what}: {found} against {expected}"
            );
        }
        let heads = &found.distance.heads;
        assert_eq!(heads.len(), t5_config().num_heads);
        assert!((heads.iter().sum::<f64>() / heads.len() as f64 - found.distance.mean).abs() < 1e-9);
    }
}

#[test]
fn the_section_is_made_from_runs_with_pictures_of_one_row() {
    let _turn = beside_others();
    let root = tempfile::tempdir().unwrap();
    let (files, out) = (world(root.path()), root.path().join("out"));
    let mut section = analysis(TableName::Section34, &files, &out);
    section.grid.seeds = vec![1];
    let mut seen = Seen {
        stop_at: Some(2),
        ..Seen::default()
    };
    let stopped = make(&section, &mut seen).unwrap_err();
    assert!(matches!(stopped, AnalysisError::Interrupted { done: 0, total: 1, .. }));
    let mut seen = Seen::default();
    let Table::Section34(found) = make(&section, &mut seen).unwrap() else {
        panic!("another table")
    };
    assert_eq!(seen.trained, ["rte/dept/seed-1", "rte/adept/seed-1"]);
    let rte = &found.tasks[0];
    assert_eq!((rte.rows, rte.methods.len()), (5, 3));
    assert!(rte.methods[0].largest_difference < ROUNDING);
    assert!(found.notes.iter().any(|note| note.starts_with("Check: PT leaves")));
    assert!(
        !found.notes.iter().any(|note| note.contains("FAILED")),
        "{:?}",
        found.notes
    );
    let page = fs::read_to_string(out.join("section3.4.md")).unwrap();
    for part in ["| ADePT |", "| rte pt 1 |", "### RTE, by head", "## Checks"] {
        assert!(page.contains(part), "`{part}` in:\n{page}");
    }
    let html = fs::read_to_string(out.join("section3.4.html")).unwrap();
    assert_eq!(
        html.matches("<svg").count(),
        7,
        "the bare pattern and two of each method"
    );
    for absent in ["<script", "http", "url("] {
        assert!(!html.contains(absent), "{absent}");
    }
    for part in [">sentence1:<", ">&lt;/s&gt;<", "ADePT, seed 1", "made-up sentences"] {
        assert!(html.contains(part), "{part}");
    }
    assert_eq!(
        json(&out.join("section3.4.json"))["tasks"][0]["methods"][2]["method"],
        "adept"
    );

    // Nothing is left to do; with other rows the runs are measured anew.
    let mut seen = Seen::default();
    assert_eq!(make(&section, &mut seen).unwrap(), Table::Section34(found));
    assert_eq!(seen.batches, 0);
    section.rows = 7;
    let Table::Section34(found) = make(&section, &mut seen).unwrap() else {
        panic!("another table")
    };
    assert_eq!((seen.trained.len(), seen.batches, found.tasks[0].rows), (0, 3 * 8, 7));
}

#[test]
fn a_decoder_only_backbone_is_refused_by_its_family() {
    let root = tempfile::tempdir().unwrap();
    let (data, _) = world(root.path());
    let codegen = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/goldens/codegen");
    let section = analysis(TableName::Section34, &(data, codegen), &root.path().join("out"));
    let error = make(&section, &mut Seen::default()).unwrap_err().to_string();
    assert!(
        error.ends_with("codegen: expected an encoder-decoder such as T5, found CodeGen, which has no encoder"),
        "{error}"
    );
    assert!(!root.path().join("out").exists(), "nothing was written");
}
