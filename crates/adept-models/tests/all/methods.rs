//! Trainable parameters of each method at the sizes of published models, compared with the papers' figures.
#![allow(clippy::unwrap_used)]

use adept_core::{AdapterConfig, Ia3Config, LoraConfig, ModelSites, TargetModules};
use adept_models::{CodeGenConfig, LlamaConfig, T5Config};

fn named(names: &[&str]) -> TargetModules {
    TargetModules::Names(names.iter().map(ToString::to_string).collect())
}

fn lora(rank: usize, targets: &[&str]) -> AdapterConfig {
    LoraConfig {
        target_modules: named(targets),
        ..LoraConfig::new(rank, 1.0)
    }
    .into()
}

fn ia3(targets: &[&str], feed_forward: &[&str]) -> AdapterConfig {
    Ia3Config {
        target_modules: named(targets),
        feedforward_modules: feed_forward.iter().map(ToString::to_string).collect(),
    }
    .into()
}

#[test]
fn counts_are_those_of_the_papers() {
    let t5 = T5Config::t5_base().sites();
    let codegen = CodeGenConfig::codegen_350m().sites();
    let llama = LlamaConfig::llama_3_8b().sites();
    let cases: [(&str, AdapterConfig, &ModelSites, usize); 11] = [
        // Queries and values of 36 attentions; together with BitFit's biases these are the quoted 3.8 million.
        (
            "LoRA, r 32, T5-base",
            AdapterConfig::from(LoraConfig::new(32, 32.0)),
            &t5,
            3_538_944,
        ),
        ("LoRA, r 32, T5-base, by name", lora(32, &["q", "v"]), &t5, 3_538_944),
        (
            "LoRA, r 16, CodeGen-350M",
            AdapterConfig::from(LoraConfig::new(16, 32.0)),
            &codegen,
            1_310_720,
        ),
        (
            "LoRA, r 16, Llama-3-8B, q k v",
            lora(16, &["q_proj", "k_proj", "v_proj"]),
            &llama,
            9_437_184,
        ),
        (
            "LoRA, r 16, Llama-3-8B",
            AdapterConfig::from(LoraConfig::new(16, 32.0)),
            &llama,
            6_815_744,
        ),
        (
            "(IA)³, T5-base",
            AdapterConfig::from(Ia3Config::default()),
            &t5,
            129_024,
        ),
        ("(IA)³, T5-base, keys and values", ia3(&["k", "v"], &[]), &t5, 55_296),
        // Keys and values of 20 blocks, and the inner channels.
        (
            "(IA)³, CodeGen-350M",
            AdapterConfig::from(Ia3Config::default()),
            &codegen,
            20 * (2 * 1024 + 4096),
        ),
        (
            "(IA)³, CodeGen-350M, as peft",
            ia3(&["qkv_proj", "fc_out"], &["fc_out"]),
            &codegen,
            20 * (3 * 1024 + 4096),
        ),
        (
            "(IA)³, Llama-3-8B",
            AdapterConfig::from(Ia3Config::default()),
            &llama,
            32 * (2 * 1024 + 14_336),
        ),
        ("PT, T5-base", AdapterConfig::pt(768, 100), &t5, 76_800),
    ];
    for (case, config, sites, expected) in cases {
        assert_eq!(config.trainable_parameters(sites).unwrap(), expected, "{case}");
    }
}

#[test]
fn all_linear_maps_are_those_of_the_checkpoint() {
    // Every matrix of a block except embeddings, norms and the head: 12 + 12 blocks of T5, 6 maps per encoder block and
    // 10 per decoder block.
    assert_eq!(T5Config::t5_base().sites().linears.len(), 12 * 6 + 12 * 10);
    assert_eq!(CodeGenConfig::codegen_350m().sites().linears.len(), 20 * 4);
    assert_eq!(LlamaConfig::llama_3_8b().sites().linears.len(), 32 * 7);
    let all = lora(1, &["all-linear"]);
    let t5 = T5Config::t5_base().sites();
    let count: usize = t5.linears.iter().map(|map| map.input + map.output).sum();
    assert_eq!(all.trainable_parameters(&t5).unwrap(), count);
}
