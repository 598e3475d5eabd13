//! Label scores after prompts of decoder-only backbones, compared with transformers
//! (`tests/generators/label_scores.py`): rows of different lengths in one left-padded batch, with and without a soft
//! prompt.

use std::path::{Path, PathBuf};

use adept_core::{PromptAdapter, SoftPrompt};
use adept_data::{
    BatchOptions, Batcher, Encoded, JoinedText, Layout, Positions, RowEncoder, RowTemplate, TextTokenizer,
    TrainedAnswers,
};
use adept_models::generate::{Prefix, PromptLayout, score_causal_labels};
use adept_models::{CausalBackbone, Decoder, Family, Model};
use adept_train::answering::{AnswerMethod, Continuation, Labels};
use adept_train::evaluate::{self, EvaluationSet};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use serde_json::Value;

/// Scores are sums of up to eleven log-probabilities from float32 logits of magnitude a few dozen.
const LIMIT: f64 = 1e-4;

fn folder(family: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens").join(family)
}

fn golden() -> Value {
    serde_json::from_slice(&std::fs::read(folder("labels.json")).unwrap()).unwrap()
}

fn texts(value: &Value) -> Vec<String> {
    serde_json::from_value(value.clone()).unwrap()
}

fn ids(value: &Value) -> Vec<Vec<u32>> {
    serde_json::from_value(value.clone()).unwrap()
}

fn scores(value: &Value) -> Vec<Vec<f64>> {
    serde_json::from_value(value.clone()).unwrap()
}

fn soft_prompt<B: Backend>(own: &Value, device: &B::Device) -> Tensor<B, 2> {
    let rows: Vec<Vec<f32>> = serde_json::from_value(own["prompt"].clone()).unwrap();
    let shape = [rows.len(), rows[0].len()];
    Tensor::from_data(TensorData::new(rows.concat(), shape), device)
}

fn joined(own: &Value) -> JoinedText {
    JoinedText {
        template: RowTemplate::spaced(),
        chat: None,
        end: serde_json::from_value(own["end"].clone()).unwrap(),
        answers: TrainedAnswers::All,
    }
}

/// Scores with all rows in one batch.
fn check<B: Backend, M: CausalBackbone<B>>(model: &M, own: &Value, device: &B::Device) {
    let (sources, labels) = (ids(&own["sources"]), ids(&own["labels"]));
    let sources: Vec<&[u32]> = sources.iter().map(Vec::as_slice).collect();
    for (name, prompt) in [("plain", None), ("prompted", Some(soft_prompt(own, device)))] {
        let prefix = Prefix::new(model, prompt);
        let embed = |ids, _, _| model.embed(ids);
        for width in [0, 96] {
            let layout = PromptLayout {
                positions: adept_models::generate::Positions::Tokens,
                width,
            };
            let found = score_causal_labels(model, &prefix, &sources, &labels, layout, &embed, device).unwrap();
            let found: Vec<f32> = found.into_data().iter::<f32>().collect();
            for (row, expected) in scores(&own["scores"][name]).iter().enumerate() {
                for (label, expected) in expected.iter().enumerate() {
                    let found = f64::from(found[row * labels.len() + label]);
                    assert!(
                        (found - expected).abs() < LIMIT,
                        "{name}, row {row}, label {label}: {found}, transformers has {expected}"
                    );
                }
            }
        }
    }
}

fn check_all<B: Backend>() {
    let (golden, device) = (golden(), Default::default());
    for family in ["llama", "llama_tied"] {
        let model = Decoder::<B>::load(&folder(family), &device).unwrap().model;
        check(&model, &golden["families"][family], &device);
    }
    let model = Decoder::<B>::load(&folder("codegen"), &device).unwrap().model;
    check(&model, &golden["families"]["codegen"], &device);
}

#[test]
fn label_scores_are_those_of_transformers_on_flex() {
    check_all::<burn_flex::Flex>();
}

#[test]
fn label_scores_are_those_of_transformers_on_ndarray() {
    check_all::<burn_ndarray::NdArray>();
}

/// The tokens of a row's parts, concatenated, are those of the whole text according to transformers' tokenizers.
#[test]
fn rows_have_the_tokens_of_the_whole_text() {
    let golden = golden();
    let (sources, labels) = (texts(&golden["sources"]), texts(&golden["labels"]));
    for family in ["llama", "llama_tied", "codegen"] {
        let own = &golden["families"][family];
        let (tokenizer, text) = (TextTokenizer::from_dir(&folder(family)).unwrap(), joined(own));
        let encoder = RowEncoder::joined(&tokenizer, &text);
        let source_ids: Vec<Vec<u32>> = sources.iter().map(|text| encoder.source(text).unwrap()).collect();
        let label_ids: Vec<Vec<u32>> = labels.iter().map(|text| encoder.target(text).unwrap()).collect();
        assert_eq!(source_ids, ids(&own["sources"]), "{family}");
        assert_eq!(label_ids, ids(&own["labels"]), "{family}");
    }
}

/// A complete evaluation: texts, padded batches, an adapter, and the label with the highest score in transformers.
#[test]
fn an_evaluation_chooses_the_labels_that_transformers_would() {
    type B = burn_flex::Flex;
    let (golden, device) = (golden(), Default::default());
    for family in ["llama", "codegen"] {
        let own = &golden["families"][family];
        let model = Model::<B>::load(&folder(family), &device).unwrap().model;
        assert!(model.family() != Family::T5);
        let bare = PromptAdapter::<B> {
            prompt: None,
            network: None,
            offset: None,
        };
        let prompted = PromptAdapter {
            prompt: Some(SoftPrompt::new(soft_prompt(own, &device))),
            network: None,
            offset: None,
        };
        let rows: Vec<Encoded> = ids(&own["sources"])
            .into_iter()
            .map(|source| Encoded::new(source, Vec::new()))
            .collect();
        let options = BatchOptions {
            layout: Layout::Prompts(Positions::Tokens),
            batch_size: 3,
            max_source_length: 96,
            buckets: vec![16, 96],
            pad_to_max: false,
            pad_id: model.pad_id(),
            target_width: 1,
        };
        let (label_ids, label_texts) = (ids(&own["labels"]), texts(&golden["labels"]));
        let method = AnswerMethod::Labels(Labels {
            ids: &label_ids,
            texts: &label_texts,
            rules: Continuation::default(),
        });
        let set = EvaluationSet {
            batches: Batcher::new(&rows, options).unwrap().evaluation_batches().unwrap(),
            right: adept_data::Right::of_targets(vec![String::new(); rows.len()]),
        };
        for (name, adapter) in [("plain", bare), ("prompted", prompted)] {
            let found = evaluate::predict(&model, &adapter, &set, &method, &device, &mut |_, _| true);
            let largest = |scores: &Vec<f64>| {
                let best = (0..scores.len()).max_by(|left, right| scores[*left].total_cmp(&scores[*right]));
                label_texts[best.unwrap()].clone()
            };
            let expected: Vec<String> = scores(&own["scores"][name]).iter().map(largest).collect();
            assert_eq!(found.unwrap().unwrap(), expected, "{family}, {name}");
        }
    }
}
