//! `adept_lab::verify` on the project's own T5 goldens: everything passes if unmodified; otherwise exactly the modified
//! group fails.
//!
//! Only files are modified (golden values, backbone weights, configuration). The results for a faulty program are
//! recorded in docs/measurements.
#![allow(clippy::print_stdout)]

use crate::goldens::{Copy, GOLDEN, Shift, change, each_fails_its_group, failed, golden};
use crate::thorough::thorough;
use adept_lab::verify::{VerifyError, limit, verify};
use adept_models::generate::GenerateError;
use burn::backend::Autodiff;
use burn::tensor::backend::AutodiffBackend;
use burn_flex::Flex;
use burn_ndarray::NdArray;
use safetensors::tensor::Dtype;

const FAMILIES: [&str; 2] = ["t5_v1_0", "t5_v1_1"];

#[track_caller]
fn passes<AB: AutodiffBackend>(family: &str) {
    let folder = golden(family);
    let report = verify::<AB>(&folder, &folder, &Default::default()).unwrap();
    println!("{report}\n");
    assert!(report.passed(), "{report}");
    assert_eq!(
        report.rows.len(),
        5 + 8 + 11 + 12 + 12 + 12 + 11 + 11 + 7 + 7 + 6 * 7 + 9 + (9 + 8) + 4 * 7 + (9 + 8) + 5 * 7,
        "every group is there"
    );
    assert_eq!(report.not_checked, [], "nothing is left out");
}

#[test]
fn a_folder_and_the_file_in_it_are_equivalent() {
    #[track_caller]
    fn are_equivalent<AB: AutodiffBackend>(family: &str) {
        let folder = golden(family);
        let [by_folder, by_file] = [folder.clone(), folder.join(GOLDEN)]
            .map(|golden| verify::<AB>(&folder, &golden, &Default::default()).unwrap().to_string());
        assert_eq!(by_folder, by_file);
    }
    are_equivalent::<Autodiff<Flex>>("t5_v1_1");
    if thorough() {
        are_equivalent::<Autodiff<Flex>>("t5_v1_0");
        FAMILIES.into_iter().for_each(are_equivalent::<Autodiff<NdArray>>);
    }
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
fn one_changed_value_fails_exactly_its_group() {
    // Twice the tolerance, no more: the tolerances are under test. A whole unit where equality is required.
    let cases = [
        ("schedule", 1e-6, "schedule"),
        ("rel.bucket_bidirectional", 0.0, "rel.buckets"),
        ("rel.bucket_causal", 0.0, "rel.buckets"),
        ("train.decoder_input_ids", 0.0, "decoder_input"),
        ("base.encoder_hidden.0", 2.0 * limit::LOGITS, "base.hidden"),
        ("base.encoder_hidden.2", 2.0 * limit::LOGITS, "base.hidden"),
        ("base.decoder_hidden.1", -2.0 * limit::LOGITS, "base.hidden"),
        ("base.logits", 2.0 * limit::LOGITS, "base.logits"),
        ("base.loss", -2.0 * limit::LOSS, "base.loss"),
        ("base.loss_per_token", 2.0 * limit::LOSS, "base.loss_per_token"),
        ("base.gen_ids", 0.0, "base.gen_ids"),
        ("base.gen_ids_nostop", 0.0, "base.gen_ids_nostop"),
        ("base.gen_margin", 2.0 * limit::MARGIN, "base.gen_margin"),
    ];
    each_fails_its_group(
        "t5_v1_1",
        cases.map(|(tensor, by, group)| Shift::golden(tensor, by, group)),
    );
    // More than the sums of a row's losses may differ by.
    let copy = Copy::of("t5_v1_1");
    copy.shift("base.loss_per_token", 2.0 * limit::LOGITS);
    assert_eq!(
        failed(&copy.verify().unwrap()),
        ["base.loss_per_token", "base.label_scores"]
    );
}

#[test]
fn one_changed_value_of_an_adapter_fails_exactly_its_group() {
    let mut cases = Vec::new();
    for method in ["pt", "dept", "adept"] {
        let mut case = |tensor: &str, group: &str, by: f64| {
            cases.push(Shift::golden(
                format!("{method}.{tensor}"),
                by,
                format!("{method}.{group}"),
            ));
        };
        case("inputs_embeds", "inputs_embeds", 2.0 * limit::LOGITS);
        case("attention_mask", "attention_mask", 0.0);
        case("encoder_out", "encoder_out", 2.0 * limit::LOGITS);
        case("logits", "logits", 2.0 * limit::LOGITS);
        case("loss", "loss", 2.0 * limit::LOSS);
        case("gen_ids", "gen_ids", 0.0);
        case("gen_ids_nostop", "gen_ids_nostop", 0.0);
        case("grad.prompt", "gradients", 2.0 * limit::GRADIENTS);
        case("after3.prompt", "prompt_after3", 2.0 * limit::PROMPT_AFTER_3);
        case("step_losses", "step_losses", 2.0 * limit::LOSS);
        if method != "pt" {
            let offset = if method == "dept" { "a" } else { "b2" };
            case(&format!("grad.{offset}"), "gradients", -2.0 * limit::GRADIENTS);
            case(
                &format!("after3.{offset}"),
                "offset_after3",
                2.0 * limit::OFFSET_AFTER_3,
            );
        }
    }
    each_fails_its_group("t5_v1_0", cases);
}

#[test]
fn a_changed_offset_bias_fails_what_follows_from_it() {
    for bias in ["adept.b1", "adept.b2"] {
        let copy = Copy::of("t5_v1_0");
        copy.shift(bias, 0.5);
        let report = copy.verify().unwrap();
        let failed = failed(&report);
        for group in [
            "inputs_embeds",
            "encoder_out",
            "logits",
            "loss",
            "gradients",
            "offset_after3",
            "step_losses",
        ] {
            assert!(
                failed.contains(&format!("adept.{group}").as_str()),
                "{bias}: {group} passes\n{report}"
            );
        }
        assert!(
            failed.iter().all(|group| group.starts_with("adept.")),
            "{bias}\n{report}"
        );
    }
}

#[test]
fn a_backbone_without_relative_bias_fails() {
    for family in FAMILIES {
        for stack in ["encoder", "decoder"] {
            let copy = Copy::of(family);
            let name = format!("{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight");
            copy.rewrite("model.safetensors", |tensors| tensors.get_mut(&name).unwrap().2.fill(0));
            let report = copy.verify().unwrap();
            for prefix in ["base", "pt", "dept", "adept"] {
                let group = format!("{prefix}.logits");
                assert!(
                    failed(&report).contains(&group.as_str()),
                    "{family} {stack} {group}\n{report}"
                );
            }
        }
    }
}

#[test]
fn a_wrong_configuration_fails() {
    let copy = Copy::of("t5_v1_1");
    copy.replace(
        "config.json",
        "\"feed_forward_proj\": \"gated-gelu\"",
        "\"feed_forward_proj\": \"relu\"",
    );
    assert!(
        copy.verify().is_err(),
        "a gated checkpoint does not fit a ReLU configuration"
    );
    let copy = Copy::of("t5_v1_0");
    copy.replace(
        "config.json",
        "\"layer_norm_epsilon\": 1e-06",
        "\"layer_norm_epsilon\": 0.1",
    );
    assert!(!copy.verify().unwrap().passed());
}

#[test]
fn what_is_missing_is_an_error() {
    for tensor in [
        "train.input_ids",
        "train.decoder_input_ids",
        "schedule",
        "rel.distance",
        "base.logits",
        "base.encoder_hidden.1",
        "base.decoder_hidden.2",
        "base.loss_per_token",
        "base.gen_ids",
        "base.gen_margin",
        "pt.prompt",
        "pt.logits",
        "dept.a",
        "dept.grad.b",
        "dept.after3.prompt",
        "adept.b1",
        "adept.inputs_embeds",
        "adept.attention_mask",
        "adept.encoder_out",
        "adept.grad.b2",
        "adept.after3.w_up",
        "adept.step_losses",
        "adept.gen_ids_nostop",
    ] {
        let copy = Copy::of("t5_v1_0");
        copy.remove(tensor);
        match copy.verify() {
            Err(VerifyError::MissingTensor { tensor: named, .. }) => assert_eq!(named, tensor),
            other => panic!("{tensor} is missing: {other:?}"),
        }
    }
    for file in [
        "golden.safetensors",
        "tokenizer_cases.json",
        "tokenizer.json",
        "config.json",
        "model.safetensors",
    ] {
        let copy = Copy::of("t5_v1_0");
        std::fs::remove_file(copy.path().join(file)).unwrap();
        assert!(copy.verify().is_err(), "{file} is missing");
    }
    let copy = Copy::of("t5_v1_0");
    std::fs::remove_dir_all(copy.path().join("pt_peft")).unwrap();
    assert!(copy.verify().is_err(), "the prompt saved by peft is missing");
}

#[test]
fn what_is_damaged_is_an_error() {
    let truncated = Copy::of("t5_v1_0");
    let path = truncated.path().join("golden.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    for length in [0, 7, 100, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let error = truncated.verify().unwrap_err();
        let is_named = match length {
            0 => matches!(error, VerifyError::File(_)),
            _ => matches!(error, VerifyError::Safetensors { .. }),
        };
        assert!(is_named, "{length} bytes: {error}");
    }

    let copy = Copy::of("t5_v1_0");
    copy.shift("base.logits", f64::NAN);
    assert!(matches!(
        copy.verify().unwrap_err(),
        VerifyError::NotFinite { index: 1, .. }
    ));

    let copy = Copy::of("t5_v1_0");
    copy.rewrite("golden.safetensors", |tensors| {
        tensors.get_mut("adept.logits").unwrap().1 = vec![4, 160, 6];
    });
    assert!(matches!(copy.verify().unwrap_err(), VerifyError::Shape { .. }));

    let copy = Copy::of("t5_v1_0");
    copy.rewrite("golden.safetensors", |tensors| {
        let loss = tensors.get_mut("adept.loss").unwrap();
        *loss = (Dtype::I32, vec![], loss.2.clone());
    });
    assert!(matches!(copy.verify().unwrap_err(), VerifyError::Dtype { .. }));

    let copy = Copy::of("t5_v1_0");
    copy.rewrite("golden.safetensors", |tensors| {
        let ids = &mut tensors.get_mut("train.input_ids").unwrap().2;
        change::<8>(ids, 0, |_| 160i64.to_le_bytes());
    });
    assert!(matches!(
        copy.verify().unwrap_err(),
        VerifyError::Id {
            id: 160,
            vocabulary: 160,
            ..
        }
    ));

    let copy = Copy::of("t5_v1_0");
    copy.rewrite("golden.safetensors", |tensors| {
        let margins = &mut tensors.get_mut("pt.gen_margin").unwrap().2;
        change::<4>(margins, 0, |_| 1e-4f32.to_le_bytes());
    });
    assert!(matches!(copy.verify().unwrap_err(), VerifyError::Margin { .. }));

    let copy = Copy::of("t5_v1_0");
    std::fs::write(copy.path().join("tokenizer_cases.json"), "[]").unwrap();
    assert!(matches!(copy.verify().unwrap_err(), VerifyError::NoCases { .. }));
}

#[test]
fn a_wrong_tokenizer_case_fails_the_tokenizer() {
    for (from, to) in [
        ("\"decoded\": \"the\"", "\"decoded\": \"thé\""),
        (
            "\"decoded_with_special\": \"the</s>\"",
            "\"decoded_with_special\": \"the\"",
        ),
    ] {
        let copy = Copy::of("t5_v1_0");
        copy.replace("tokenizer_cases.json", from, to);
        let report = copy.verify().unwrap();
        assert_eq!(failed(&report), ["tokenizer"], "{report}");
        assert_eq!(report.rows[0].deviation, 1.0, "{report}");
    }
}

#[test]
fn a_backbone_that_computes_nan_fails() {
    let copy = Copy::of("t5_v1_0");
    // Finite weights whose product overflows: the loader has nothing to refuse, so the comparison must detect it.
    copy.rewrite("model.safetensors", |tensors| {
        let data = &mut tensors.get_mut("decoder.final_layer_norm.weight").unwrap().2;
        for index in 0..data.len() / 4 {
            change::<4>(data, index, |_| f32::MAX.to_le_bytes());
        }
    });
    let error = copy.verify().unwrap_err();
    assert!(
        matches!(error, VerifyError::Generate(GenerateError::NotFinite { .. })),
        "{error}"
    );
}
