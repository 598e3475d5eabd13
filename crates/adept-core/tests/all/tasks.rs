//! Adapters of several tasks: MPT and ATTEMPT. Values are compared with PyTorch's by `adept verify`.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use crate::common::{sites, trained};
use adept_core::file;
use adept_core::{
    Adapter, AdapterConfig, AdapterInit, AdapterMetadata, AttemptConfig, CoreError, HyperformerConfig, Intervention,
    LinearMap, LinearPart, LinearSite, ModelSites, MptConfig, PromptInit, Stack, Sublayer, SublayerPart, SublayerSite,
};
use burn::tensor::{Bool, Tensor, TensorData, Tolerance};
use burn_flex::Flex;
use serde_json::Value;

type B = Flex;

fn mpt(tasks: usize) -> MptConfig {
    MptConfig {
        rank: 2,
        ..MptConfig::new(6, 3, tasks)
    }
}

fn attempt(tasks: usize) -> AttemptConfig {
    AttemptConfig {
        tasks,
        hidden: 4,
        temperature: 2.0,
        ..AttemptConfig::new(6, 3, 2)
    }
}

fn values<const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().to_vec().unwrap()
}

/// The paper's counts at T5-base: of one task, and for each of eight.
#[test]
fn counts_are_the_papers() {
    let count = |config: AdapterConfig| config.trainable_parameters(&ModelSites::embeddings(768)).unwrap();
    assert_eq!(count(MptConfig::new(768, 100, 1).into()), 77_668);
    assert_eq!(count(MptConfig::new(768, 100, 8).into()) / 8, 10_468);
    let one = AttemptConfig::new(768, 100, 6);
    assert_eq!(count(one.clone().into()), 231_936);
    assert_eq!(
        count(
            AttemptConfig {
                tasks: 8,
                ..one.clone()
            }
            .into()
        ) / 8,
        96_192
    );
    // The published temperature.
    assert_eq!(one.temperature.floor(), 2087.0);
    // What is frozen is stored all the same.
    let stored = AdapterConfig::from(one)
        .stored_values(&ModelSites::embeddings(768))
        .unwrap();
    assert_eq!(stored, 231_936 + 6 * 76_800);
}

#[test]
fn files_are_of_pefts_type_and_are_read_back() {
    for (config, kind) in [
        (AdapterConfig::from(mpt(3)), "MULTITASK_PROMPT_TUNING"),
        (attempt(2).into(), "ATTEMPT"),
    ] {
        let adapter = trained::<B>(&config, 5);
        let folder = tempfile::tempdir().unwrap();
        file::save(folder.path(), &adapter, &AdapterMetadata::new(config.clone(), "model")).unwrap();
        let text = std::fs::read(folder.path().join(file::CONFIG_FILE)).unwrap();
        let keys: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(
            (&keys["peft_type"], &keys["num_virtual_tokens"]),
            (&kind.into(), &3.into())
        );
        let (loaded, about) = file::load::<B>(folder.path(), &sites(&config), &Default::default()).unwrap();
        assert_eq!(loaded.tensors(), adapter.tensors());
        assert_eq!(about.config.tasks(), config.tasks());
        if let AdapterConfig::Mpt(_) = config {
            assert_eq!((&keys["num_tasks"], &keys["num_ranks"]), (&3.into(), &2.into()));
        } else {
            assert_eq!(about.config, config);
        }
    }
}

/// Each task's prompt is `P ⊙ (u·v)`, of which another task's factors are no part.
#[test]
fn a_task_of_mpt_is_a_plain_prompt() {
    let config = AdapterConfig::from(mpt(3));
    let adapter = trained::<B>(&config, 5);
    let tensors: BTreeMap<String, Vec<f32>> = adapter
        .tensors()
        .into_iter()
        .map(|(name, data)| (name, data.to_vec::<f32>().unwrap()))
        .collect();
    for task in 0..3 {
        let mut expected = Vec::new();
        for token in 0..3 {
            for channel in 0..6 {
                let product: f32 = (0..2)
                    .map(|rank| {
                        let u = tensors["prefix_task_cols"][(task * 3 + token) * 2 + rank];
                        u * tensors["prefix_task_rows"][(task * 2 + rank) * 6 + channel]
                    })
                    .sum();
                expected.push(tensors["prompt_embeddings"][token * 6 + channel] * product);
            }
        }
        let (alone_config, alone) = adapter.alone(&config, task).unwrap();
        assert_eq!(alone_config, AdapterConfig::pt(6, 3));
        for found in [
            alone.prompt().unwrap(),
            adapter.of_task(task).unwrap().prompt().unwrap(),
        ] {
            let expected = TensorData::new(expected.clone(), [3, 6]);
            found
                .into_data()
                .assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-6));
        }
    }
}

#[test]
#[should_panic(expected = "the adapter has 3 tasks: choose one")]
fn an_adapter_of_several_tasks_is_not_used_as_if_it_had_one() {
    let _ = trained::<B>(&mpt(3).into(), 5).prompt();
}

#[test]
fn new_factors_leave_the_prompt_as_it_is() {
    let rows = Tensor::<B, 2>::from_data([[0.5f32, -2.0, 3.0, 1.0, 0.0, 7.0]; 3], &Default::default());
    for rank in [1, 2] {
        let config = MptConfig { rank, ..mpt(2) };
        let start = AdapterInit {
            prompt: PromptInit::Rows(rows.clone()),
            ..AdapterInit::random(3)
        };
        let config = AdapterConfig::from(config);
        let adapter = Adapter::<B>::new(&config, &sites(&config), start, &Default::default()).unwrap();
        let found = values(adapter.of_task(1).unwrap().prompt().unwrap());
        let difference = found
            .iter()
            .zip(values(rows.clone()))
            .map(|(found, row)| (found - row).abs());
        // A second component begins near zero, so that it learns something else than the first.
        let limit = if rank == 1 { 0.0 } else { 7.0 * 0.02 };
        assert!(difference.fold(0.0, f32::max) <= limit, "{rank}: {found:?}");
    }
}

#[test]
fn the_mean_over_tasks_is_the_start_of_another() {
    let config = AdapterConfig::from(mpt(3));
    let adapter = trained::<B>(&config, 5);
    let (one, averaged) = adapter.averaged(&config).unwrap();
    assert_eq!((one.tasks(), one.virtual_tokens()), (1, 3));
    let of = |adapter: &Adapter<B>, wanted: &str| {
        let tensors = adapter.tensors();
        let (_, data) = tensors.into_iter().find(|(name, _)| name == wanted).unwrap();
        data.to_vec::<f32>().unwrap()
    };
    assert_eq!(of(&averaged, "prompt_embeddings"), of(&adapter, "prompt_embeddings"));
    let all = of(&adapter, "prefix_task_cols");
    let expected: Vec<f32> = (0..6).map(|at| (all[at] + all[6 + at] + all[12 + at]) / 3.0).collect();
    let found = TensorData::new(of(&averaged, "prefix_task_cols"), [6]);
    found.assert_approx_eq::<f32>(&TensorData::new(expected, [6]), Tolerance::absolute(1e-6));
    assert!(
        trained::<B>(&AdapterConfig::pt(6, 3), 1)
            .averaged(&AdapterConfig::pt(6, 3))
            .is_none()
    );
}

#[test]
fn hyperformer_of_several_tasks_starts_another_at_their_mean() {
    let config = AdapterConfig::from(HyperformerConfig::new(2, 2));
    let layer = Sublayer {
        site: SublayerSite::new(Stack::Decoder, 0, SublayerPart::FeedForward),
        name: "mlp".to_owned(),
        heads: None,
    };
    let sites = ModelSites {
        sublayers: vec![layer],
        ..ModelSites::embeddings(6)
    };
    let adapter = Adapter::<B>::new(&config, &sites, AdapterInit::random(3), &Default::default()).unwrap();
    let (one, averaged) = adapter.averaged(&config).unwrap();
    assert_eq!(one.tasks(), 1);
    let of = |adapter: &Adapter<B>| adapter.tensors()[0].1.to_vec::<f32>().unwrap();
    let (all, mean) = (of(&adapter), of(&averaged));
    let expected: Vec<f32> = (0..64).map(|at| (all[at] + all[64 + at]) / 2.0).collect();
    TensorData::new(mean, [64]).assert_approx_eq::<f32>(&TensorData::new(expected, [64]), Tolerance::absolute(1e-6));
    assert_eq!(averaged.tensors()[1..].len(), adapter.tensors()[1..].len());
}

fn embedded(seed: u64) -> Tensor<B, 3> {
    let rows = trained::<B>(&AdapterConfig::pt(6, 8), seed).prompt().unwrap();
    rows.reshape([2, 4, 6])
}

/// Padding changes neither the weights of a row nor, through them, its prompt; another text does.
#[test]
fn attempt_weighs_prompts_by_the_input_without_its_padding() {
    let config = AdapterConfig::from(attempt(2));
    let adapter = trained::<B>(&config, 5).of_task(1).unwrap();
    let device = Default::default();
    let mask = Tensor::<B, 2, Bool>::from_data([[true, true, false, false], [true; 4]], &device);
    let prompts = |embeddings: Tensor<B, 3>, mask: Tensor<B, 2, Bool>| {
        let adapted = adapter.forward(embeddings, mask);
        assert_eq!(adapted.mask.dims()[1], adapted.embeddings.dims()[1]);
        let rows = adapted.embeddings.dims()[0];
        adapted.embeddings.slice([0..rows, 0..3, 0..6])
    };
    let embeddings = embedded(11);
    let whole = prompts(embeddings.clone(), mask.clone());
    let short = embeddings.clone().slice([0..1, 0..2, 0..6]);
    let alone = prompts(short, Tensor::full([1, 2], true, &device));
    let first = whole.clone().slice([0..1, 0..3, 0..6]).into_data();
    first.assert_approx_eq::<f32>(&alone.into_data(), Tolerance::absolute(1e-6));
    let second = values(whole.clone().slice([1..2, 0..3, 0..6]));
    let other = values(prompts(embedded(12), mask).slice([1..2, 0..3, 0..6]));
    assert!(second.iter().zip(&other).any(|(one, other)| (one - other).abs() > 1e-4));
}

/// With a temperature that levels all weights, the prompt is `P_t` and the mean of all prompts.
#[test]
fn level_weights_give_the_mean() {
    let config = AdapterConfig::from(AttemptConfig {
        temperature: 1e9,
        ..attempt(1)
    });
    let adapter = trained::<B>(&config, 5);
    let Adapter::Attempt(parts) = &adapter else {
        panic!("{adapter:?}")
    };
    let target = parts.targets.val().squeeze_dim::<2>(0);
    let all = Tensor::cat(vec![parts.sources.clone(), parts.targets.val()], 0);
    let expected = target + all.mean_dim(0).squeeze_dim::<2>(0);
    let mask = Tensor::<B, 2, Bool>::full([2, 4], true, &Default::default());
    let found = adapter.forward(embedded(11), mask).embeddings.slice([0..1, 0..3, 0..6]);
    let found = found.squeeze_dim::<2>(0).into_data();
    found.assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-5));
}

#[test]
fn what_cannot_be_is_refused() {
    let refused = |config: AdapterConfig, expected: &str| {
        let error = config.validate().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    refused(
        MptConfig { rank: 0, ..mpt(1) }.into(),
        "rank is 0, expected from 1 to 64",
    );
    refused(MptConfig { tasks: 0, ..mpt(1) }.into(), "num_tasks is 0");
    refused(
        MptConfig {
            virtual_tokens: 0,
            ..mpt(1)
        }
        .into(),
        "virtual_tokens is 0",
    );
    refused(
        AttemptConfig {
            sources: 0,
            ..attempt(1)
        }
        .into(),
        "sources is 0",
    );
    refused(
        AttemptConfig {
            temperature: 0.0,
            ..attempt(1)
        }
        .into(),
        "temperature is 0",
    );
    refused(
        AttemptConfig {
            tasks: usize::MAX,
            ..attempt(1)
        }
        .into(),
        "tasks is",
    );
    refused(
        MptConfig {
            d_model: usize::MAX,
            ..mpt(4)
        }
        .into(),
        "d_model is",
    );

    let config = AdapterConfig::from(attempt(1));
    let new = |start| Adapter::<B>::new(&config, &sites(&config), start, &Default::default());
    let error = new(AdapterInit::random(1)).unwrap_err();
    assert!(
        matches!(
            error,
            CoreError::SourcePrompts {
                expected: [2, 3, 6],
                found: [0, 0, 0]
            }
        ),
        "{error}"
    );

    // A decoder-only model has read its prompt before it sees the input.
    let site = LinearSite::new(Stack::Decoder, 0, LinearPart::Query);
    let mut decoder = ModelSites::new(6, vec![LinearMap::new(site, "q", 6, 6)]);
    decoder.sublayers.push(Sublayer {
        site: SublayerSite::new(Stack::Decoder, 0, SublayerPart::Attention),
        name: "attention".to_owned(),
        heads: None,
    });
    let error = config.tensor_shapes(&decoder).unwrap_err().to_string();
    assert!(error.contains("expected a model with an encoder"), "{error}");
}
