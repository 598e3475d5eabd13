//! `adept verify` on LoRA and (IA)³: fails if an adapter is read or applied differently than in peft.

use crate::goldens::{Copy, GOLDEN, Shift, each_fails_its_group, failed, some_of};
use adept_core::CoreError;
use adept_lab::verify::VerifyError;

const FAMILIES: [&str; 3] = ["t5_v1_1", "codegen", "llama"];

/// The failed groups of a method; panics with the names if other groups failed.
#[track_caller]
fn failing(copy: &Copy, method: &str) -> Vec<String> {
    let report = copy.verify().unwrap();
    let failed = failed(&report);
    assert!(failed.iter().all(|group| group.starts_with(method)), "{report}");
    failed
        .iter()
        .map(|group| group[method.len() + 1..].to_owned())
        .collect()
}

#[test]
fn another_scale_is_seen_everywhere_but_where_it_is_taken_back() {
    for family in some_of(&FAMILIES) {
        let copy = Copy::of(family);
        copy.replace("lora/adapter_config.json", "\"lora_alpha\": 8", "\"lora_alpha\": 9");
        let expected = ["logits", "loss", "gradients", "step_losses", "merged_logits"];
        let found = failing(&copy, "lora");
        assert!(
            expected.iter().all(|group| found.iter().any(|found| found == group)),
            "{found:?}"
        );
        assert!(!found.iter().any(|group| group == "unmerged"), "{found:?}");
    }
}

#[test]
fn rank_stabilisation_is_another_scale() {
    let copy = Copy::of("llama");
    copy.replace(
        "lora/adapter_config.json",
        "\"use_rslora\": false",
        "\"use_rslora\": true",
    );
    assert!(failing(&copy, "lora").iter().any(|group| group == "logits"));
}

/// Rows of `qkv_proj` are four parts of query, value, key; an adapter whose rows are interpreted as query, key, value
/// computes something else.
#[test]
fn rows_of_a_fused_map_in_another_order_are_seen() {
    for (method, tensor, width) in [("lora", "lora_B.weight", 4), ("ia3", "ia3_l", 1)] {
        let copy = Copy::of("codegen");
        copy.rewrite(&format!("{method}/adapter_model.safetensors"), |tensors| {
            let fused = tensors
                .iter_mut()
                .filter(|(name, _)| name.ends_with(&format!("qkv_proj.{tensor}")));
            let mut count = 0;
            for (_, (_, shape, data)) in fused {
                let (before, piece) = (data.clone(), shape[0] / 12 * width * 4);
                for group in 0..4 {
                    for (to, from) in [(1, 2), (2, 1)] {
                        let (to, from) = ((3 * group + to) * piece, (3 * group + from) * piece);
                        data[to..to + piece].copy_from_slice(&before[from..from + piece]);
                    }
                }
                count += 1;
            }
            assert!(count > 0);
        });
        let found = failing(&copy, method);
        assert!(found.iter().any(|group| group == "logits"), "{method}: {found:?}");
    }
}

#[test]
fn a_factor_at_the_other_end_of_a_map_is_refused() {
    // The down-projection of a feed-forward layer has different widths on both sides, so its output does not match
    // factors for its input.
    let copy = Copy::of("llama");
    copy.replace(
        "ia3/adapter_config.json",
        "\"feedforward_modules\": [\n    \"down_proj\"\n  ]",
        "\"feedforward_modules\": []",
    );
    let error = copy.verify().unwrap_err();
    let VerifyError::Core(CoreError::AdapterMismatch {
        tensor,
        expected,
        found,
    }) = &error
    else {
        panic!("{error}");
    };
    assert!(tensor.ends_with("mlp.down_proj.ia3_l"), "{error}");
    assert_ne!(expected, found);
}

#[test]
fn one_changed_value_fails_exactly_its_group() {
    let of_lora = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";
    let of_ia3 = "base_model.model.model.layers.0.self_attn.k_proj.ia3_l";
    let shifts = [("lora", of_lora), ("ia3", of_ia3)].map(|(method, tensor)| {
        [
            (format!("grad.{tensor}"), 1e-3, "gradients"),
            (format!("after3.{tensor}"), 1e-5, "after3"),
            ("step_losses".to_owned(), 1e-4, "step_losses"),
            ("merged_logits".to_owned(), 2e-3, "merged_logits"),
        ]
        .map(|(tensor, by, group)| Shift {
            file: if method == "lora" && group == "gradients" {
                GOLDEN
            } else {
                "weights.safetensors"
            },
            tensor: format!("{method}.{tensor}"),
            by,
            group: format!("{method}.{group}"),
        })
    });
    each_fails_its_group("llama", shifts.into_iter().flatten());
}

#[test]
fn folders_without_the_second_file_are_checked_as_far_as_they_go() {
    let copy = Copy::of("t5_v1_0");
    std::fs::remove_file(copy.path().join("weights.safetensors")).unwrap();
    let report = copy.verify().unwrap();
    assert!(report.passed(), "{report}");
    let rows: Vec<&str> = report.rows.iter().map(|row| row.group.as_str()).collect();
    let of_lora = rows.iter().filter(|row| row.starts_with("lora."));
    let of_lora: Vec<&str> = of_lora.copied().collect();
    assert_eq!(of_lora, ["lora.logits", "lora.loss", "lora.gradients"]);
    let left: Vec<&str> = report.not_checked.iter().map(|left| left.group.as_str()).collect();
    assert_eq!(left, ["lora.after3, lora.merged", "ia3"]);
}
