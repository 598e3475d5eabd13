//! Tokenizers give the ids of those that they were made from.

use std::path::Path;

use adept_gguf::{Element, Settings};
use serde_json::Value;
use tokenizers::Tokenizer;

use crate::common::{fixture, golden, imported, json, settings};

fn ids(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    tokenizer.encode(text, true).unwrap().get_ids().to_vec()
}

#[test]
fn byte_level_ids_are_those_of_the_golden_tokenizer() {
    let (_folder, out, _) = imported(&fixture("models/llama.gguf"), &Settings::default()).unwrap();
    let ours = Tokenizer::from_file(out.join("tokenizer.json")).unwrap();
    let theirs = Tokenizer::from_file(golden("llama").join("tokenizer.json")).unwrap();
    let cases = json(&golden("llama").join("tokenizer_cases.json"));
    let mut texts = Vec::new();
    collect(&cases, &mut texts);
    texts.extend(
        [
            "<|begin_of_text|>a<|eot_id|>",
            "I'VE 1234 been\r\n\r\n  there",
            "é½漢🙂",
        ]
        .map(str::to_owned),
    );
    assert!(texts.len() > 50, "{}", texts.len());
    for text in &texts {
        assert_eq!(ids(&ours, text), ids(&theirs, text), "{text:?}");
        let decoded = |tokenizer: &Tokenizer| tokenizer.decode(&ids(tokenizer, text), true).unwrap();
        assert_eq!(decoded(&ours), decoded(&theirs), "{text:?}");
    }
    assert_eq!(ours.get_vocab_size(true), 284, "without the fillers");
    // What few texts tell apart, above all `ignore_merges`.
    let model = |folder: &Path| {
        let mut model = json(&folder.join("tokenizer.json"))["model"]
            .as_object()
            .unwrap()
            .clone();
        model.retain(|key, _| key != "vocab");
        model
    };
    assert_eq!(model(&out), model(&golden("llama")));
}

/// All texts in a JSON value.
fn collect(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| collect(value, texts)),
        Value::Object(values) => values.values().for_each(|value| collect(value, texts)),
        _ => {}
    }
}

#[test]
fn merges_from_scores_give_the_ids_of_sentencepiece() {
    let expected = json(&fixture("pieces.json"));
    for name in ["pieces", "pieces_plain"] {
        let (_folder, out, imported) = imported(&fixture(&format!("{name}.gguf")), &settings(Element::F16)).unwrap();
        assert_eq!(imported.tokens, 700);
        let tokenizer = Tokenizer::from_file(out.join("tokenizer.json")).unwrap();
        let texts = expected["texts"].as_array().unwrap();
        let mut compared = 0;
        for (text, expected) in texts.iter().zip(expected[name].as_array().unwrap()) {
            if expected.is_null() {
                continue;
            }
            let text = text.as_str().unwrap();
            assert_eq!(serde_json::json!(ids(&tokenizer, text)), *expected, "{name}: {text:?}");
            // The character for spaces is one in either tokenizer.
            let decoded = tokenizer.decode(&ids(&tokenizer, text), true).unwrap();
            assert_eq!(decoded, text.replace('▁', " "), "{name}");
            compared += 1;
        }
        assert!(compared > 12, "{compared}");
    }
}

#[test]
fn settings_and_template_are_carried_over() {
    let (_folder, out, _) = imported(&fixture("pieces.gguf"), &settings(Element::F16)).unwrap();
    let config = json(&out.join("tokenizer_config.json"));
    for (key, expected) in [
        ("tokenizer_class", "PreTrainedTokenizerFast"),
        ("bos_token", "<s>"),
        ("eos_token", "</s>"),
        ("pad_token", "<pad>"),
        ("unk_token", "<unk>"),
        ("chat_template", "{{ messages[0]['content'] }}"),
    ] {
        assert_eq!(config[key], expected, "{key}");
    }
    assert_eq!(
        (&config["add_bos_token"], &config["add_eos_token"]),
        (&Value::Bool(true), &Value::Bool(false))
    );
    let added = config["added_tokens_decoder"].as_object().unwrap();
    let turn = added.values().find(|token| token["content"] == "<turn>").unwrap();
    assert_eq!(turn["special"], false);
    assert_eq!(added["1"]["special"], true);
    let generation = json(&out.join("generation_config.json"));
    assert_eq!(
        (&generation["eos_token_id"], &generation["pad_token_id"]),
        (&Value::from(2), &Value::from(3))
    );
}

/// Every pre-tokenizer is one that the library loads, and they differ where they should.
#[test]
fn pre_tokenizers_split_as_their_models_do() {
    let splits = |name: &str, text: &str| {
        let mut settings = Settings::default();
        settings.pre_tokenizer = Some(name.to_owned());
        let (_folder, out, _) = imported(&fixture("models/llama.gguf"), &settings).unwrap();
        let tokenizer = Tokenizer::from_file(out.join("tokenizer.json")).unwrap();
        let mut text = tokenizers::PreTokenizedString::from(text);
        tokenizers::PreTokenizer::pre_tokenize(tokenizer.get_pre_tokenizer().unwrap(), &mut text).unwrap();
        let parts = text.get_splits(tokenizers::OffsetReferential::Original, tokenizers::OffsetType::Byte);
        parts
            .into_iter()
            .map(|(part, _, _)| part.to_owned())
            .collect::<Vec<String>>()
            .join("|")
    };
    let text = "I'Ve 12345 fooBar()\n\n x";
    for (names, expected) in [
        (
            &["gpt-2", "default", "phi-2", "mpt", "olmo"][..],
            "I|'|Ve|Ġ12345|ĠfooBar|()|ĊĊ|Ġx",
        ),
        (
            &["smollm", "starcoder", "refact"],
            "I|'|Ve|Ġ|1|2|3|4|5|ĠfooBar|()|ĊĊ|Ġx",
        ),
        (
            &["llama-bpe", "llama3", "llama-v3", "dbrx", "smaug-bpe"],
            "I|'Ve|Ġ|123|45|ĠfooBar|()ĊĊ|Ġx",
        ),
        (&["qwen2"], "I|'Ve|Ġ|1|2|3|4|5|ĠfooBar|()ĊĊ|Ġx"),
        (&["gpt-4o"], "I'Ve|Ġ|123|45|Ġfoo|Bar|()ĊĊ|Ġx"),
        (&["tekken"], "I|'Ve|Ġ|1|2|3|4|5|Ġfoo|Bar|()ĊĊ|Ġx"),
    ] {
        for name in names {
            assert_eq!(splits(name, text), expected, "{name}");
        }
    }
}
