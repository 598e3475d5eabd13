//! Files on disk for whole runs.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use adept_models::T5;
use adept_models::t5::T5Config;
use burn_flex::Flex;

use crate::common::t5_config;

const WORDS: [&str; 12] = [
    "sentence1:",
    "sentence2:",
    "0",
    "1",
    "red",
    "blue",
    "a",
    "the",
    "is",
    "sky",
    "not",
    "text",
];

/// A folder with RTE's two files and a tiny T5 with a word-level tokenizer.
pub fn world(root: &Path) -> (PathBuf, PathBuf) {
    let (data, backbone) = (root.join("glue"), root.join("tiny-t5"));
    fs::create_dir_all(data.join("RTE")).unwrap();
    for (name, rows) in [("train.tsv", 40), ("dev.tsv", 24)] {
        let mut text = String::from("index\tsentence1\tsentence2\tlabel\n");
        for row in 0..rows {
            let (colour, label) = if row % 2 == 0 {
                ("red", "entailment")
            } else {
                ("blue", "not_entailment")
            };
            text.push_str(&format!(
                "{row}\tthe sky is {colour}\ta text {}\t{label}\n",
                "is ".repeat(row % 5) + "red"
            ));
        }
        fs::write(data.join("RTE").join(name), text).unwrap();
    }
    let config = T5Config {
        vocab_size: 20,
        ..t5_config()
    };
    T5::<Flex>::random(&config, 7, &Default::default())
        .save_pretrained(&backbone)
        .unwrap();
    let vocabulary: serde_json::Map<_, _> = ["<pad>", "</s>", "<unk>"]
        .iter()
        .chain(&WORDS)
        .enumerate()
        .map(|(id, word)| ((*word).to_owned(), id.into()))
        .collect();
    let special = |id: u32, content: &str| {
        serde_json::json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true})
    };
    let tokenizer = serde_json::json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [special(0, "<pad>"), special(1, "</s>"), special(2, "<unk>")],
        "normalizer": null,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {"</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}},
        },
        "decoder": null,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"},
    });
    fs::write(backbone.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    (data, backbone)
}
