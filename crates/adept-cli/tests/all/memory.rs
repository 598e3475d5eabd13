//! Memory saved by a frozen backbone: peak memory of two processes that run the same training step.

use crate::common::adept;
use serde_json::Value;

/// Peak resident bytes and the backbone's parameters, from a benchmark at t5-small's size with a batch small enough for
/// activations to be negligible.
fn peak(method: &str) -> (u64, u64) {
    let arguments = "bench step --json --size t5-small --batch 1 --tokens 16 --warmup 1 --steps 2 --method";
    let out = adept(arguments.split(' ').chain([method])).succeeded().out;
    let report: Value = serde_json::from_str(&out).expect("--json prints one object");
    let figure = |key: &str| report[key].as_u64().expect("the report has the figure");
    (figure("peak_rss_bytes"), figure("backbone_parameters"))
}

#[test]
fn a_frozen_backbone_costs_neither_gradients_nor_optimiser_state() {
    let (adept, parameters) = peak("adept");
    let (full, _) = peak("full");
    // One float32 for the gradient and two for AdamW's moments, per parameter of the backbone.
    let saved = parameters * 3 * 4;
    assert!(
        adept + saved <= full,
        "ADePT peaks at {adept} bytes, full fine-tuning at {full}: less than {saved} bytes apart"
    );
}
