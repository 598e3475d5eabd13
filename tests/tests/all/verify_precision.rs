//! `adept_lab::verify` in lower precisions. In bfloat16 the goldens of every family pass with its own tolerances, and a
//! changed scale fails; in two parts of bfloat16 they pass with a 64th of these tolerances.

use std::path::Path;

use crate::goldens::{Copy, GOLDEN, failed, golden, some_of};
use adept_lab::verify::{VerifyReport, verify_in};
use adept_models::Precision;
use burn::backend::Autodiff;
use burn::tensor::backend::AutodiffBackend;
use burn_flex::Flex;
use burn_ndarray::NdArray;

const FOLDERS: [&str; 5] = ["t5_v1_0", "t5_v1_1", "codegen", "llama", "llama_tied"];

fn verified<AB: AutodiffBackend>(folder: &Path, precision: Precision) -> VerifyReport {
    verify_in::<AB>(folder, folder, precision, &Default::default()).unwrap()
}

#[track_caller]
fn passes<AB: AutodiffBackend>(family: &str) {
    let report = verified::<AB>(&golden(family), Precision::Bf16);
    assert!(report.passed(), "{report}");
    assert!(report.rows.len() > 160, "{report}");
    assert!(
        report.not_checked.iter().all(|left| left.group.contains(".gen_")),
        "{:?}",
        report.not_checked
    );
    // A thousandth at least: the products are not those of float32.
    let logits = report.rows.iter().find(|row| row.group == "base.logits").unwrap();
    assert!(logits.deviation > 1e-3, "{logits:?}");
}

#[test]
fn goldens_pass_in_bfloat16() {
    FOLDERS.into_iter().for_each(passes::<Autodiff<Flex>>);
    // Where operands are rounded by arithmetic.
    some_of(&FOLDERS)
        .iter()
        .for_each(|family| passes::<Autodiff<NdArray>>(family));
}

/// Greedy tokens and their margins included. Where no kernel multiplies parts, products are in float32.
#[test]
fn goldens_pass_in_two_parts_with_a_64th_of_the_tolerances() {
    for family in some_of(&FOLDERS) {
        let report = verified::<Autodiff<Flex>>(&golden(family), Precision::Bf16x3);
        assert!(report.passed(), "{report}");
        assert!(report.not_checked.is_empty(), "{:?}", report.not_checked);
        // Products of parts deviate by 6e-6 to 2.3e-5 of the logits, those of float32 by 3e-7 to 7e-7.
        let logits = report.rows.iter().find(|row| row.group == "base.logits").unwrap();
        let is_split = Precision::Bf16x3.kernel::<Flex>().is_some();
        assert_eq!(logits.deviation > 2e-6, is_split, "{family}: {logits:?}");
    }
}

#[test]
fn a_changed_scale_fails_in_bfloat16() {
    let cases = [
        ("base.logits", 1.06, "base.logits"),
        ("base.loss_per_token", 1.02, "base.loss_per_token"),
        // Every tensor of the gradient, which is compared as a whole.
        ("adept.grad.", 2.0, "adept.gradients"),
        ("adept.after3.prompt", 1.3, "adept.prompt_after3"),
    ];
    for (tensor, factor, group) in cases {
        let copy = Copy::of("llama");
        copy.rewrite(GOLDEN, |tensors| {
            let meant = |name: &str| name == tensor || tensor.ends_with('.') && name.starts_with(tensor);
            let found = tensors.iter_mut().filter(|(name, _)| meant(name));
            let mut words = 0;
            for word in found.flat_map(|(_, (_, _, data))| data.chunks_exact_mut(4)) {
                let value = f32::from_le_bytes(word.try_into().unwrap()) * factor;
                word.copy_from_slice(&value.to_le_bytes());
                words += 1;
            }
            assert!(words > 0, "{tensor}");
        });
        assert_eq!(
            failed(&verified::<Autodiff<Flex>>(copy.path(), Precision::Bf16)),
            [group]
        );
    }
}
