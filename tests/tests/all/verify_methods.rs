//! `adept verify` on BitFit, adapters, prefixes, prompt + embedding, LST, ADePT's prompts from networks, and methods
//! for several tasks: fails if an adapter is read or applied differently than in the reference.

use crate::goldens::{Copy, Shift, change, each_fails_its_group, failed, some_of, together};

/// The file with the values of all cases but LoRA and (IA)³.
const METHODS: &str = "methods.safetensors";
const FAMILIES: [&str; 3] = ["t5_v1_0", "codegen", "llama"];
/// The cases, each with a tensor that every family has, by the end of its name.
const CASES: [(&str, &str); 15] = [
    ("bitfit", "lm_head.bias"),
    ("lora_bitfit", "lora_A.weight"),
    ("adapter", "adapter.down.weight"),
    ("adapter_drop", "adapter.up.bias"),
    ("prefix", "prompt_embeddings"),
    ("prefix_mlp", "transform.2.weight"),
    ("prompt_embedding", "prompt_embeddings"),
    ("adept_residual", "down.bias"),
    ("adept_p_tuning", "mlp_head.2.bias"),
    ("lst", "side.up.weight"),
    ("lst_all", "side.decoder.gate"),
    ("mpt", "prompt_embeddings"),
    // The golden batch is of task 1.
    ("adapter_tasks", "adapter.1.up.bias"),
    ("hyperformer", "hyper.decoder.norm.bias"),
    ("hyperformer_plain", "hyper.decoder.0.up_bias.bias"),
];

/// The failed groups of a case, without its name; panics if those of another case failed.
#[track_caller]
fn failing(copy: &Copy, case: &str) -> Vec<String> {
    failing_each(copy, &[case]).remove(0)
}

/// The failed groups of each of some cases; panics if those of another case failed. A verification takes a second, so
/// what can be told apart in its report is changed together.
#[track_caller]
fn failing_each(copy: &Copy, cases: &[&str]) -> Vec<Vec<String>> {
    let report = copy.verify().unwrap();
    let mut found = vec![Vec::new(); cases.len()];
    for failed in failed(&report) {
        let (case, group) = failed.split_once('.').unwrap();
        let Some(place) = cases.iter().position(|name| *name == case) else {
            panic!("{failed} of another case\n{report}");
        };
        found[place].push(group.to_owned());
    }
    found
}

#[track_caller]
fn holds(found: &[String], groups: &[&str], what: &str) {
    for group in groups {
        assert!(
            found.iter().any(|found| found == group),
            "{what}: {group} passes, {found:?} fail"
        );
    }
}

/// Adds `by` to the second value of a tensor.
fn shift(data: &mut [u8], by: f32) {
    change::<4>(data, 1, |word| (f32::from_le_bytes(word) + by).to_le_bytes());
}

/// The first tensor of the second file whose name begins and ends like this.
fn named(copy: &Copy, start: &str, end: &str) -> String {
    let mut found = None;
    copy.rewrite(METHODS, |tensors| {
        let mut names = tensors.keys();
        found = names
            .find(|name| name.starts_with(start) && name.ends_with(end))
            .cloned();
    });
    found.unwrap_or_else(|| panic!("{start}..{end}"))
}

#[test]
fn one_changed_value_fails_exactly_its_group() {
    let whole = Copy::of("llama");
    let shifts = CASES.iter().flat_map(|(case, end)| {
        let trained = if ["prompt_embedding", "mpt"].contains(case) {
            "prompt_after3"
        } else {
            "after3"
        };
        [("grad", "gradients"), ("after3", trained)].map(|(part, group)| Shift {
            file: METHODS,
            tensor: named(&whole, &format!("{case}.{part}."), end),
            by: 2e-3,
            group: format!("{case}.{group}"),
        })
    });
    each_fails_its_group("llama", shifts);
}

#[test]
fn a_changed_adapter_fails_what_follows_from_it() {
    for family in some_of(&FAMILIES) {
        for changed in together(2, CASES, |(case, _)| *case) {
            let copy = Copy::of(family);
            for (case, end) in &changed {
                copy.rewrite(&format!("{case}/adapter_model.safetensors"), |tensors| {
                    // The last in the model's order is the one nearest to the logits.
                    let found = tensors.iter_mut().rfind(|(name, _)| name.ends_with(end));
                    let (_, (_, _, data)) = found.unwrap_or_else(|| panic!("{family} {case}: {end}"));
                    shift(data, 0.5);
                });
            }
            let cases: Vec<&str> = changed.iter().map(|(case, _)| *case).collect();
            for (case, found) in cases.iter().zip(failing_each(&copy, &cases)) {
                holds(&found, &["logits", "loss", "step_losses"], &format!("{family} {case}"));
            }
        }
    }
}

/// Keys are the even rows of a prefix, values the odd ones; exchanged they compute something else.
#[test]
fn keys_in_place_of_values_are_seen() {
    for family in some_of(&FAMILIES) {
        let copy = Copy::of(family);
        copy.rewrite("prefix/adapter_model.safetensors", |tensors| {
            let (_, shape, data) = tensors.get_mut("prompt_embeddings").unwrap();
            // Two blocks: four parts of each row.
            let part = data.len() / shape[0] / 4;
            for pair in data.chunks_mut(2 * part) {
                pair.rotate_left(part);
            }
        });
        let found = failing(&copy, "prefix");
        assert!(found.iter().any(|group| group == "logits"), "{family}: {found:?}");
    }
}

/// Each of T5's three kinds of attention reads its own prefix.
#[test]
fn every_prefix_of_an_encoder_decoder_is_seen() {
    // Together with another place of the other case, so that one cannot pass for the other.
    let (values, mlp) = (
        ("prefix_all", "prompt_embeddings"),
        ("prefix_all_mlp", "transform.2.bias"),
    );
    let cases = [
        (values, "encoder"),
        (mlp, "decoder"),
        (values, "decoder"),
        (mlp, "cross"),
        (values, "cross"),
        (mlp, "encoder"),
    ]
    .map(|((case, tensor), place)| (case, tensor, place));
    for family in some_of(&["t5_v1_0", "t5_v1_1"]) {
        for changed in together(1, cases, |(case, _, _)| *case) {
            let copy = Copy::of(family);
            for (case, tensor, place) in &changed {
                copy.rewrite(&format!("{case}/adapter_model.safetensors"), |tensors| {
                    shift(&mut tensors.get_mut(&format!("{place}.{tensor}")).unwrap().2, 0.5);
                });
            }
            let names: Vec<&str> = changed.iter().map(|(case, _, _)| *case).collect();
            let found = failing_each(&copy, &names);
            for ((case, _, place), found) in changed.iter().zip(found) {
                let what = format!("{family} {case} {place}");
                holds(&found, &["logits", "loss", "step_losses"], &what);
            }
        }
    }
}

/// The encoder's own networks, and everything that makes the decoder's.
#[test]
fn every_part_of_what_makes_networks_for_an_input_is_seen() {
    let parts = [
        "encoder.block.0.layer.1.adapter.down.weight",
        "encoder.block.1.layer.1.adapter.up.bias",
        "hyper.block_embeddings",
        "hyper.hidden.weight",
        "hyper.down_weight.bias",
        "hyper.up_bias.weight",
    ];
    // Those that the plain form lacks.
    let of_input = ["hyper.input.up.weight", "hyper.input.down.bias"];
    for family in some_of(&["t5_v1_0", "t5_v1_1"]) {
        let cases = (0..parts.len()).flat_map(|turn| {
            let other = parts[(turn + 1) % parts.len()];
            [("hyperdecoder", parts[turn]), ("hyperdecoder_direct", other)]
        });
        for changed in together(1, cases, |(case, _)| *case) {
            fails_by_its_logits(family, &changed);
        }
        for part in of_input {
            fails_by_its_logits(family, &[("hyperdecoder", part)]);
        }
    }
}

/// Changes a tensor of each case and expects their logits to differ.
#[track_caller]
fn fails_by_its_logits(family: &str, changed: &[(&str, &str)]) {
    let copy = Copy::of(family);
    for (case, end) in changed {
        copy.rewrite(&format!("{case}/adapter_model.safetensors"), |tensors| {
            let found = tensors.iter_mut().find(|(name, _)| name.ends_with(end));
            let (_, (_, _, data)) = found.unwrap_or_else(|| panic!("{family} {case}: {end}"));
            for word in data.as_chunks_mut::<4>().0 {
                *word = (f32::from_le_bytes(*word) + 0.3).to_le_bytes();
            }
        });
    }
    let cases: Vec<&str> = changed.iter().map(|(case, _)| *case).collect();
    for ((case, end), found) in changed.iter().zip(failing_each(&copy, &cases)) {
        holds(&found, &["logits"], &format!("{family} {case} {end}"));
    }
}

/// The temperature is in no tensor's shape: only what is computed shows it.
#[test]
fn another_temperature_of_gates_is_seen() {
    for family in some_of(&FAMILIES) {
        for cases in together(1, ["lst", "lst_all"], |case| *case) {
            let copy = Copy::of(family);
            for case in &cases {
                let config = format!("{case}/adapter_config.json");
                copy.replace(&config, "\"temperature\": 0.1", "\"temperature\": 1.0");
            }
            for (case, found) in cases.iter().zip(failing_each(&copy, &cases)) {
                holds(&found, &["logits"], &format!("{family} {case}"));
            }
        }
    }
}

/// What a file says about places must be what its tensors are for.
#[test]
fn other_places_than_the_tensors_are_refused() {
    for (case, from, to, tensor) in [
        ("adapter", "\"houlsby\"", "\"pfeiffer\"", "self_attn.adapter.down"),
        (
            "adapter",
            "\"train_norms\": true",
            "\"train_norms\": false",
            "norm.weight",
        ),
        (
            "adapter_drop",
            "\"skip_blocks\": 1",
            "\"skip_blocks\": 2",
            "skip_blocks is 2",
        ),
        (
            "lst",
            "\"skip_every\": 4",
            "\"skip_every\": 0",
            "side.decoder.down.0.weight",
        ),
        (
            "lst",
            "\"reduction\": 2",
            "\"reduction\": 4",
            "side.decoder.down.first.weight",
        ),
        ("lst", "\"reduction\": 2", "\"reduction\": 3", "expected one of 1, 2, 4"),
        ("prefix", "\"num_layers\": 2", "\"num_layers\": 1", "prompt_embeddings"),
        (
            "prefix",
            "\"num_transformer_submodules\": 1",
            "\"num_transformer_submodules\": 2",
            "submodules",
        ),
    ] {
        let copy = Copy::of("llama");
        copy.replace(&format!("{case}/adapter_config.json"), from, to);
        let error = copy.verify().unwrap_err().to_string();
        assert!(error.contains(tensor), "{case}: {error}");
    }
}

/// Of a golden batch of one task, the prompt and the factors of another are no part; ATTEMPT's sources and temperature are.
#[test]
fn what_belongs_to_another_task_is_told_apart() {
    let factor = |task: usize| {
        let copy = Copy::of("t5_v1_0");
        copy.rewrite("mpt/adapter_model.safetensors", |tensors| {
            let (_, shape, data) = tensors.get_mut("prefix_task_rows").unwrap();
            let of_task = data.len() / shape[0];
            let value = &mut data[task * of_task..][..4];
            let changed = f32::from_le_bytes(value.try_into().unwrap()) + 0.5;
            value.copy_from_slice(&changed.to_le_bytes());
        });
        failing(&copy, "mpt")
    };
    assert!(factor(1).iter().any(|group| group == "logits"));
    assert!(!factor(0).iter().any(|group| group == "logits"));
    for (tensor, number) in [("source_prompts", 0), ("target_prompts", 1)] {
        let copy = Copy::of("t5_v1_1");
        copy.rewrite("attempt/adapter_model.safetensors", |tensors| {
            let (_, shape, data) = tensors.get_mut(tensor).unwrap();
            let of_one = data.len() / shape[0];
            let value = &mut data[number * of_one..][..4];
            let changed = f32::from_le_bytes(value.try_into().unwrap()) + 0.5;
            value.copy_from_slice(&changed.to_le_bytes());
        });
        let found = failing(&copy, "attempt");
        assert!(found.iter().any(|group| group == "logits"), "{tensor}: {found:?}");
    }
}
