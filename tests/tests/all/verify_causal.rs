//! `adept_lab::verify` on the project's own goldens of decoder-only models: everything passes if unmodified, and fails
//! if a value, a weight or a setting is modified.
#![allow(clippy::print_stdout)]

use crate::goldens::{Copy, Shift, change, each_fails_its_group, failed, golden, some_of};
use crate::thorough::thorough;
use adept_lab::verify::{VerifyError, VerifyReport, limit, verify};
use adept_models::ModelError;
use burn::backend::Autodiff;
use burn::tensor::backend::AutodiffBackend;
use burn_flex::Flex;
use burn_ndarray::NdArray;

const FAMILIES: [&str; 3] = ["codegen", "llama", "llama_tied"];
const METHODS: [&str; 4] = ["base", "pt", "dept", "adept"];

#[track_caller]
fn passes<AB: AutodiffBackend>(family: &str) {
    let folder = golden(family);
    let report = verify::<AB>(&folder, &folder, &Default::default()).unwrap();
    println!("{report}\n");
    assert!(report.passed(), "{report}");
    // Biases are merged into a model that has them.
    let (tables, merged) = if family == "codegen" { (1, 4) } else { (3, 0) };
    assert_eq!(
        report.rows.len(),
        4 + tables + 9 + 13 + 14 + 16 + 14 + 13 + 13 + 7 + 7 + 6 * 7 + 9 + (9 + 8) + 2 * 7 + 9 + 3 * 7 + merged,
        "every group is there"
    );
    assert_eq!(report.not_checked, [], "nothing is left out");
}

#[test]
fn goldens_pass_on_flex() {
    for family in FAMILIES {
        passes::<Autodiff<Flex>>(family);
    }
}

#[test]
fn goldens_pass_on_ndarray() {
    for family in FAMILIES {
        passes::<Autodiff<NdArray>>(family);
    }
}

#[test]
fn the_tokenizer_of_two_files_passes_as_well() {
    let copy = Copy::of("codegen");
    std::fs::remove_file(copy.path().join("tokenizer.json")).unwrap();
    let report = copy.verify().unwrap();
    assert!(report.passed(), "{report}");
    // Without the tokens for runs of spaces, which are in a separate file, the tokenizer differs.
    std::fs::remove_file(copy.path().join("added_tokens.json")).unwrap();
    assert_eq!(failed(&copy.verify().unwrap()), ["tokenizer"]);
}

#[test]
fn one_changed_value_fails_exactly_its_group() {
    // Twice the tolerance, no more: the tolerances are under test. A whole unit where equality is required.
    let cases: &[(&str, f64, &str)] = &[
        ("schedule", 1e-6, "schedule"),
        ("rope.inv_freq", 2.0 * limit::FREQUENCY, "rope.inv_freq"),
        ("rope.inv_freq_8b_v3", 2.0 * limit::FREQUENCY, "rope.inv_freq"),
        ("rope.inv_freq_8b_v3_1", 2.0 * limit::FREQUENCY, "rope.inv_freq"),
        ("rope.inv_freq_1b_v3_2", 2.0 * limit::FREQUENCY, "rope.inv_freq"),
        ("rope.cos", 2.0 * limit::LOGITS, "rope.tables"),
        ("rope.sin", 2.0 * limit::LOGITS, "rope.tables"),
        (
            "base.logits_unscaled_rope",
            2.0 * limit::LOGITS,
            "base.logits_unscaled_rope",
        ),
        ("base.position_ids", 0.0, "base.positions"),
        ("base.position_ids_mask", 0.0, "base.positions"),
        ("base.logits", -2.0 * limit::LOGITS, "base.logits"),
        (
            "base.logits_maskpos_last",
            2.0 * limit::LOGITS,
            "base.logits_maskpos_last",
        ),
        ("base.loss", 2.0 * limit::LOSS, "base.loss"),
        ("base.loss_per_token", 2.0 * limit::LOSS, "base.loss_per_token"),
        ("base.gen_ids", 0.0, "base.gen_ids"),
        ("base.gen_ids_nostop", 0.0, "base.gen_ids_nostop"),
        ("base.gen_ids_arange_nostop", 0.0, "base.gen_ids_arange_nostop"),
        ("base.gen_margin", 2.0 * limit::MARGIN, "base.gen_margin"),
    ];
    each_fails_its_group(
        "llama",
        cases
            .iter()
            .map(|(tensor, by, group)| Shift::golden(*tensor, *by, *group)),
    );
    let copy = Copy::of("codegen");
    copy.shift("rope.sincos", 2.0 * limit::LOGITS);
    assert_eq!(failed(&copy.verify().unwrap()), ["rope.sincos"]);
}

#[test]
fn one_changed_value_of_an_adapter_fails_exactly_its_group() {
    for method in some_of(&["adept", "pt", "dept"]) {
        let mut cases = vec![
            ("inputs_embeds", "inputs_embeds", 2.0 * limit::LOGITS),
            ("attention_mask", "attention_mask", 0.0),
            ("position_ids", "positions", 0.0),
            ("position_ids_mask", "positions", 0.0),
            ("logits", "logits", 2.0 * limit::LOGITS),
            ("logits_maskpos_last", "logits_maskpos_last", 2.0 * limit::LOGITS),
            ("loss", "loss", 2.0 * limit::LOSS),
            ("gen_ids", "gen_ids", 0.0),
            ("gen_ids_nostop", "gen_ids_nostop", 0.0),
            ("gen_ids_mask_nostop", "gen_ids_mask_nostop", 0.0),
            ("grad.prompt", "gradients", 2.0 * limit::GRADIENTS),
            ("after3.prompt", "prompt_after3", 2.0 * limit::PROMPT_AFTER_3),
            ("step_losses", "step_losses", 2.0 * limit::LOSS),
        ];
        let of_offset: &[(&str, &str, f64)] = match *method {
            "dept" => &[
                ("grad.a", "gradients", -2.0 * limit::GRADIENTS),
                ("after3.b", "offset_after3", 2.0 * limit::OFFSET_AFTER_3),
            ],
            "adept" => &[
                ("grad.b1", "gradients", -2.0 * limit::GRADIENTS),
                ("after3.w_up", "offset_after3", 2.0 * limit::OFFSET_AFTER_3),
                ("gen_ids_arange_adaptnew_nostop", "gen_ids_arange_adaptnew_nostop", 0.0),
                ("gen_ids_mask_adaptnew_nostop", "gen_ids_mask_adaptnew_nostop", 0.0),
            ],
            _ => &[],
        };
        cases.extend(of_offset);
        let full = |name: &str| format!("{method}.{name}");
        each_fails_its_group(
            "codegen",
            cases
                .iter()
                .map(|(tensor, group, by)| Shift::golden(full(tensor), *by, full(group))),
        );
    }
}

#[test]
fn logits_of_pads_are_not_compared() {
    for family in FAMILIES {
        let copy = Copy::of(family);
        copy.rewrite("golden.safetensors", |tensors| {
            // The last row is padded, so its first slot is padding.
            let (_, shape, data) = tensors.get_mut("base.logits").unwrap();
            let first = 3 * shape[1] * shape[2];
            change::<4>(data, first, |_| 1e3f32.to_le_bytes());
        });
        let report = copy.verify().unwrap();
        assert!(report.passed(), "{report}");
    }
}

/// Checks that the backbone's output fails with and without every adapter, while its input passes.
#[track_caller]
fn backbone_fails(what: &str, report: &VerifyReport) {
    let failed = failed(report);
    for method in METHODS {
        for group in ["logits", "loss", "logits_maskpos_last", "gen_margin"] {
            let group = format!("{method}.{group}");
            assert!(failed.contains(&group.as_str()), "{what}: {group} passes\n{report}");
        }
    }
    for method in ["pt", "dept", "adept"] {
        let group = format!("{method}.gradients");
        assert!(failed.contains(&group.as_str()), "{what}: {group} passes\n{report}");
    }
    let input = ["tokenizer", "schedule", "batch", "pt_peft"];
    let unaffected = |group: &&str| {
        input.contains(group)
            || ["positions", "inputs_embeds", "attention_mask"]
                .iter()
                .any(|end| group.ends_with(end))
    };
    assert!(!failed.iter().any(unaffected), "{what}\n{report}");
}

/// Replaces row `i` of a checkpoint's matrix by row `order(i)`.
fn reorder(copy: &Copy, name: &str, order: impl Fn(usize) -> usize) {
    copy.rewrite("model.safetensors", |tensors| {
        let (_, shape, data) = tensors.get_mut(name).unwrap_or_else(|| panic!("{name} is there"));
        let row = data.len() / shape[0];
        let rows: Vec<Vec<u8>> = (0..shape[0]).map(|i| data[order(i) * row..][..row].to_vec()).collect();
        *data = rows.concat();
    });
}

/// Like [`reorder`], for columns of two-byte values.
fn reorder_columns(copy: &Copy, name: &str, order: impl Fn(usize) -> usize) {
    copy.rewrite("model.safetensors", |tensors| {
        let (_, shape, data) = tensors.get_mut(name).unwrap_or_else(|| panic!("{name} is there"));
        let old = data.clone();
        for (place, value) in data.chunks_exact_mut(2).enumerate() {
            let (row, column) = (place / shape[1], place % shape[1]);
            value.copy_from_slice(&old[2 * (row * shape[1] + order(column))..][..2]);
        }
    });
}

fn zero(copy: &Copy, name: &str) {
    copy.rewrite("model.safetensors", |tensors| {
        tensors
            .get_mut(name)
            .unwrap_or_else(|| panic!("{name} is there"))
            .2
            .fill(0);
    });
}

// CodeGen's golden model: d = 48, 8 heads of 6 channels, 4 parts of 2 heads each, so 12 rows of each kind in a part.
const QKV: &str = "attn.qkv_proj.weight";

fn codegen_layers(copy: &Copy, order: impl Fn(usize) -> usize) {
    for layer in 0..2 {
        reorder(copy, &format!("transformer.h.{layer}.{QKV}"), &order);
    }
}

#[test]
fn another_order_of_query_key_and_value_fails() {
    // Simulates a reader that confuses `query | key | value` with `query | value | key`.
    let copy = Copy::of("codegen");
    codegen_layers(&copy, |i| match i / 12 % 3 {
        0 => i,
        1 => i + 12,
        _ => i - 12,
    });
    backbone_fails("query | key | value", &copy.verify().unwrap());

    // Simulates a reader that ignores the four parts: 48 rows of queries, then values, then keys.
    let copy = Copy::of("codegen");
    codegen_layers(&copy, |i| {
        let (part, kind, row) = (i / 36, i / 12 % 3, i % 12);
        kind * 48 + part * 12 + row
    });
    backbone_fails("one part", &copy.verify().unwrap());

    // Simulates a reader that takes the parts for heads: 8 times 6 rows of each.
    let copy = Copy::of("codegen");
    codegen_layers(&copy, |i| {
        let (part, kind, row) = (i / 36, i / 12 % 3, i % 12);
        let head = part * 2 + row / 6;
        head * 18 + kind * 6 + row % 6
    });
    backbone_fails("head by head", &copy.verify().unwrap());
}

#[test]
fn another_layout_of_rotary_channels_fails() {
    // Halves instead of neighbours: channels 0 and 2, 1 and 3 of each head's queries and keys are rotated together.
    let copy = Copy::of("codegen");
    codegen_layers(&copy, |i| match (i / 12 % 3, i % 6) {
        (0 | 2, 1) => i + 1,
        (0 | 2, 2) => i - 1,
        _ => i,
    });
    backbone_fails("halves", &copy.verify().unwrap());

    // Neighbours instead of halves, for heads of `2·half` channels.
    for (family, half) in [("llama", 4), ("llama_tied", 6)] {
        let copy = Copy::of(family);
        for layer in 0..2 {
            for name in ["q_proj", "k_proj"] {
                let name = format!("model.layers.{layer}.self_attn.{name}.weight");
                reorder(&copy, &name, |i| {
                    let (head, channel) = (i / (2 * half), i % (2 * half));
                    head * 2 * half + 2 * (channel % half) + channel / half
                });
            }
        }
        backbone_fails("neighbours", &copy.verify().unwrap());
    }
}

#[test]
fn another_rope_scaling_fails() {
    let changes = [
        ("llama", "\"rope_type\": \"llama3\"", "\"rope_type\": \"default\""),
        ("llama", "\"factor\": 8.0", "\"factor\": 7.9"),
        ("llama", "\"low_freq_factor\": 1.0", "\"low_freq_factor\": 1.1"),
        ("llama", "\"high_freq_factor\": 4.0", "\"high_freq_factor\": 3.9"),
        (
            "llama",
            "\"original_max_position_embeddings\": 64",
            "\"original_max_position_embeddings\": 60",
        ),
        ("llama_tied", "\"rope_type\": \"llama3\"", "\"rope_type\": \"default\""),
        ("llama_tied", "\"factor\": 32.0", "\"factor\": 8.0"),
    ];
    // Of llama_tied's two only where tests take their time.
    let tried = if thorough() { changes.len() } else { 5 };
    for (family, from, to) in &changes[..tried] {
        let copy = Copy::of(family);
        copy.replace("config.json", from, to);
        let report = copy.verify().unwrap();
        backbone_fails(to, &report);
        let failed = failed(&report);
        assert!(
            failed.contains(&"rope.inv_freq") && failed.contains(&"rope.tables"),
            "{report}"
        );
        // The same weights without scaling are unaffected.
        assert!(!failed.contains(&"base.logits_unscaled_rope"), "{report}");
    }
    for (family, from) in [
        ("llama", "\"rope_theta\": 5000.0"),
        ("llama_tied", "\"rope_theta\": 5000.0"),
    ] {
        let copy = Copy::of(family);
        copy.replace("config.json", from, "\"rope_theta\": 10000.0");
        let report = copy.verify().unwrap();
        backbone_fails("theta", &report);
        assert!(failed(&report).contains(&"base.logits_unscaled_rope"), "{report}");
    }
    // Another number of rotated channels does not match the table.
    let copy = Copy::of("codegen");
    copy.replace("config.json", "\"rotary_dim\": 4", "\"rotary_dim\": 6");
    assert!(matches!(copy.verify().unwrap_err(), VerifyError::Shape { .. }));
}

#[test]
fn a_missing_bias_fails() {
    let copy = Copy::of("codegen");
    zero(&copy, "lm_head.bias");
    backbone_fails("lm_head.bias", &copy.verify().unwrap());
    for name in [
        "transformer.h.1.mlp.fc_in.bias",
        "transformer.h.0.mlp.fc_out.bias",
        "transformer.h.0.ln_1.bias",
    ] {
        let copy = Copy::of("codegen");
        zero(&copy, name);
        backbone_fails(name, &copy.verify().unwrap());
    }
}

#[test]
fn another_grouping_of_heads_fails() {
    // The result of assigning heads to the two groups alternately: heads 1 and 2 are swapped.
    for (family, channels) in [("llama", 8), ("llama_tied", 12)] {
        let copy = Copy::of(family);
        let order = |i: usize| match i / channels {
            1 => i + channels,
            2 => i - channels,
            _ => i,
        };
        for layer in 0..2 {
            reorder(&copy, &format!("model.layers.{layer}.self_attn.q_proj.weight"), order);
            reorder_columns(&copy, &format!("model.layers.{layer}.self_attn.o_proj.weight"), order);
        }
        backbone_fails("groups", &copy.verify().unwrap());
    }
}

#[test]
fn another_head_or_norm_fails() {
    let copy = Copy::of("llama");
    copy.replace(
        "config.json",
        "\"tie_word_embeddings\": false",
        "\"tie_word_embeddings\": true",
    );
    match copy.verify() {
        Ok(report) => backbone_fails("tied", &report),
        Err(error) => assert!(matches!(error, VerifyError::Model(_)), "{error}"),
    }
    let copy = Copy::of("llama_tied");
    copy.replace(
        "config.json",
        "\"tie_word_embeddings\": true",
        "\"tie_word_embeddings\": false",
    );
    assert!(matches!(copy.verify().unwrap_err(), VerifyError::Model(_)));
    for (family, field) in [("codegen", "layer_norm_epsilon"), ("llama", "rms_norm_eps")] {
        let copy = Copy::of(family);
        copy.replace(
            "config.json",
            &format!("\"{field}\": 1e-05"),
            &format!("\"{field}\": 1e-02"),
        );
        backbone_fails(field, &copy.verify().unwrap());
    }
}

#[test]
fn what_is_missing_or_damaged_is_an_error() {
    for tensor in [
        "train.labels",
        "gen.input_ids",
        "gen.attention_mask",
        "rope.inv_freq_8b_v3",
        "rope.sin",
        "base.logits_unscaled_rope",
        "base.position_ids",
        "base.gen_ids_arange_nostop",
        "pt.position_ids_mask",
        "pt.logits_maskpos_last",
        "dept.gen_ids_mask_nostop",
        "dept.gen_margin",
        "adept.gen_ids_mask_adaptnew_nostop",
        "adept.grad.b1",
        "adept.after3.b2",
    ] {
        let copy = Copy::of("llama");
        copy.remove(tensor);
        match copy.verify() {
            Err(VerifyError::MissingTensor { tensor: named, .. }) => assert_eq!(named, tensor),
            other => panic!("{tensor} is missing: {other:?}"),
        }
    }
    let copy = Copy::of("codegen");
    copy.rewrite("golden.safetensors", |tensors| {
        let margins = &mut tensors.get_mut("adept.gen_margin").unwrap().2;
        change::<4>(margins, 0, |_| 1e-4f32.to_le_bytes());
    });
    assert!(matches!(copy.verify().unwrap_err(), VerifyError::Margin { .. }));
    let copy = Copy::of("codegen");
    copy.replace("config.json", "\"model_type\": \"codegen\"", "\"model_type\": \"gptj\"");
    let error = copy.verify().unwrap_err();
    assert!(
        matches!(error, VerifyError::Model(ModelError::Family { .. })) && error.to_string().contains("gptj"),
        "{error}"
    );
}

/// Simulates a model of real size: values so large that float32 itself deviates by more than the absolute tolerances.
/// They are the golden values times a power of two, which scales float32 and its noise without rounding.
#[test]
fn large_values_pass_by_the_noise_that_the_folder_holds_and_mistakes_do_not() {
    const SCALE: f32 = 1024.0;
    let copy = Copy::of("llama");
    copy.rewrite("model.safetensors", |tensors| {
        let (_, _, head) = tensors.get_mut("lm_head.weight").expect("a head of its own");
        for word in head.as_chunks_mut::<2>().0 {
            // A bfloat16 is the upper half of a float32.
            let value = f32::from_bits(u32::from(u16::from_le_bytes(*word)) << 16) * SCALE;
            *word = ((value.to_bits() >> 16) as u16).to_le_bytes();
        }
    });
    // The groups of files beside are not rescaled.
    const BESIDE: [&str; 13] = [
        "lora",
        "ia3",
        "residual",
        "p_tuning",
        "bitfit",
        "adapter",
        "prefix",
        "prompt_embedding",
        "adept_residual",
        "adept_p_tuning",
        "lst",
        "mpt",
        "hyperformer",
    ];
    let is_logits = |name: &str| name.contains(".logits") && !BESIDE.iter().any(|method| name.starts_with(method));
    copy.rewrite("golden.safetensors", |tensors| {
        for (_, (_, _, data)) in tensors.iter_mut().filter(|(name, _)| is_logits(name)) {
            for word in data.as_chunks_mut::<4>().0 {
                *word = (f32::from_le_bytes(*word) * SCALE).to_le_bytes();
            }
        }
    });
    let logits = |report: &VerifyReport| -> Vec<(String, bool, f64)> {
        let rows = report.rows.iter().filter(|row| is_logits(&row.group));
        rows.map(|row| (row.group.clone(), row.pass, row.deviation)).collect()
    };
    let without = logits(&copy.verify().unwrap());
    assert_eq!(without.len(), 9);
    assert!(without.iter().any(|(_, pass, _)| !pass), "{without:?}");

    // PyTorch's float32 is about as far from float64 as this program's; the two differ by at most the sum of both
    // noises.
    let noise = without
        .iter()
        .map(|(name, _, deviation)| format!("\"{name}\": {{\"noise\": {:e}, \"scale\": 4096.0}}", deviation / 2.0));
    let noise = format!("{{\"tensors\": {{{}}}}}", noise.collect::<Vec<_>>().join(", "));
    std::fs::write(copy.path().join("noise.json"), noise).unwrap();
    let report = copy.verify().unwrap();
    assert!(logits(&report).iter().all(|(_, pass, _)| *pass), "{report}");
    assert!(
        report.to_string().contains("times the float32 noise of PyTorch"),
        "{report}"
    );

    // Frequencies of another scaling, and a single wrong weight: both are detected.
    copy.replace("config.json", "\"factor\": 8.0", "\"factor\": 4.0");
    let wrong = logits(&copy.verify().unwrap());
    let scaled = wrong.iter().filter(|(name, ..)| !name.contains("unscaled"));
    assert!(scaled.clone().all(|(_, pass, _)| !pass), "{wrong:?}");
    copy.replace("config.json", "\"factor\": 4.0", "\"factor\": 8.0");
    copy.rewrite("model.safetensors", |tensors| {
        let (_, _, weight) = tensors.get_mut("model.layers.0.mlp.down_proj.weight").expect("a layer");
        change::<2>(weight, 0, half_more);
    });
    let wrong = logits(&copy.verify().unwrap());
    assert!(wrong.iter().all(|(_, pass, _)| !pass), "{wrong:?}");
}

/// A bfloat16 times 1.5.
fn half_more(word: [u8; 2]) -> [u8; 2] {
    let value = f32::from_bits(u32::from(u16::from_le_bytes(word)) << 16) * 1.5;
    ((value.to_bits() >> 16) as u16).to_le_bytes()
}
