//! `adept verify` on prompts made by networks: fails where exactly a golden value differs, and where a tensor of a network
//! is read as another.

use crate::goldens::{Copy, change, failed};
use adept_lab::verify::limit;
use safetensors::tensor::Dtype;

const FILE: &str = "prompts.safetensors";
const CASES: [(&str, &str); 3] = [
    ("residual", "down.bias"),
    ("p_tuning_mlp", "mlp_head.2.bias"),
    ("p_tuning_lstm", "lstm_head.bias_hh_l1_reverse"),
];

/// Adds `by` to one value of a tensor, or changes an integer by one: the second value, and of an LSTM's biases the
/// second of the cell's, which has more effect than a gate's.
fn shift(copy: &Copy, name: &str, by: f64) {
    copy.rewrite(FILE, |tensors| {
        let (dtype, shape, data) = tensors.get_mut(name).unwrap_or_else(|| panic!("{name}"));
        let cell = if name.contains("bias_hh") { shape[0] / 2 } else { 0 };
        let index = cell + usize::from(!shape.is_empty());
        match dtype {
            Dtype::F32 => change::<4>(data, index, |word| (f32::from_le_bytes(word) + by as f32).to_le_bytes()),
            _ => change::<8>(data, index, |word| (i64::from_le_bytes(word) ^ 1).to_le_bytes()),
        }
    });
}

#[test]
fn one_changed_value_fails_exactly_its_group() {
    for family in ["t5_v1_1", "codegen"] {
        for (case, tensor) in CASES {
            let copy = Copy::of(family);
            let cases = [
                ("inputs_embeds".to_owned(), "inputs_embeds", 2.0 * limit::LOGITS),
                ("attention_mask".to_owned(), "attention_mask", 0.0),
                ("loss".to_owned(), "loss", 2.0 * limit::LOSS),
                ("gen_ids".to_owned(), "gen_ids", 0.0),
                ("gen_ids_nostop".to_owned(), "gen_ids_nostop", 0.0),
                (format!("grad.{tensor}"), "gradients", 2.0 * limit::GRADIENTS),
                (
                    format!("after3.{tensor}"),
                    "network_after3",
                    2.0 * limit::OFFSET_AFTER_3,
                ),
                ("step_losses".to_owned(), "step_losses", 2.0 * limit::LOSS),
            ];
            for (tensor, _, by) in &cases {
                shift(&copy, &format!("{case}.{tensor}"), *by);
            }
            let report = copy.verify().unwrap();
            let mut expected = cases.map(|(_, group, _)| format!("{case}.{group}"));
            let mut found = failed(&report);
            expected.sort();
            found.sort_unstable();
            assert_eq!(found, expected, "{report}");
        }
    }
}

#[test]
fn a_changed_bias_fails_what_follows_from_it() {
    for (case, tensor) in CASES {
        let copy = Copy::of("llama");
        shift(&copy, &format!("{case}.{tensor}"), 0.5);
        let report = copy.verify().unwrap();
        let failed = failed(&report);
        for group in [
            "inputs_embeds",
            "logits",
            "loss",
            "gradients",
            "network_after3",
            "step_losses",
        ] {
            let group = format!("{case}.{group}");
            assert!(failed.contains(&group.as_str()), "{group} passes\n{report}");
        }
        assert!(failed.iter().all(|group| group.starts_with(case)), "{report}");
    }
}

#[test]
fn folders_without_them_are_checked_as_far_as_they_go() {
    let copy = Copy::of("t5_v1_0");
    std::fs::remove_file(copy.path().join(FILE)).unwrap();
    let report = copy.verify().unwrap();
    assert!(report.passed(), "{report}");
    let left: Vec<&str> = report.not_checked.iter().map(|left| left.group.as_str()).collect();
    assert_eq!(left, CASES.map(|(case, _)| case));
}
