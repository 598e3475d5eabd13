//! Chat templates as a tokenizer's folder brings them, against transformers' `apply_chat_template`.

use std::fs;
use std::path::Path;

use adept_data::ChatTemplate;
use serde_json::{Value, json};

use crate::common::folder;

fn config(more: Value) -> String {
    let mut config = json!({"bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": false}, "pad_token": null});
    let more = more.as_object().expect("an object").clone();
    config.as_object_mut().expect("an object").extend(more);
    config.to_string()
}

/// The fixture's generator is tests/generators/chat_reference.py.
#[test]
fn prompts_are_those_of_transformers() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/chat.json");
    let fixture: Value = serde_json::from_slice(&fs::read(path).expect("a fixture")).expect("JSON");
    let texts = |value: &Value| -> Vec<String> {
        let texts = value.as_array().expect("a list").iter();
        texts.map(|text| text.as_str().expect("a text").to_owned()).collect()
    };
    let contents = texts(&fixture["contents"]);
    let templates = fixture["templates"].as_array().expect("a list");
    assert!(templates.len() >= 8);
    for case in templates {
        let name = case["name"].as_str().expect("a text");
        let root = folder(&[
            ("tokenizer_config.json", case["tokens"].to_string()),
            ("chat_template.jinja", texts(&json!([case["template"]])).remove(0)),
        ]);
        let template = ChatTemplate::from_dir(root.path()).expect("a template");
        for (content, expected) in contents.iter().zip(texts(&case["prompts"])) {
            assert_eq!(
                template.render(content).expect("it renders"),
                expected,
                "{name}: {content:?}"
            );
        }
    }
}

#[test]
fn a_template_is_found_where_transformers_finds_it() {
    let render = |files: &[(&str, String)]| {
        let root = folder(files);
        let template = ChatTemplate::from_dir(root.path()).expect("a template");
        template.render("hi").expect("it renders")
    };
    let tokens = "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}{{ pad_token is defined }}";
    let in_config = ("tokenizer_config.json", config(json!({ "chat_template": tokens })));
    assert_eq!(render(std::slice::from_ref(&in_config)), "<s>hi</s>False");
    // The file by itself comes first.
    let own = ("chat_template.jinja", "\u{feff}own {{ eos_token }}\n".to_owned());
    assert_eq!(render(&[in_config, own.clone()]), "own </s>");
    let named = json!({"chat_template": [
        {"name": "tool_use", "template": "tools"},
        {"name": "default", "template": "{{ pad_token }}{{ bos_token }}"},
    ]});
    let older = (
        "special_tokens_map.json",
        json!({"pad_token": "<pad>", "bos_token": "<other>"}).to_string(),
    );
    assert_eq!(render(&[("tokenizer_config.json", config(named)), older]), "<pad><s>");
    assert_eq!(render(&[own]), "own ", "a token that no file names is nothing");
}

#[test]
fn what_is_no_template_is_named() {
    let check = |files: &[(&str, String)], expected: &str| {
        let root = folder(files);
        let loaded = ChatTemplate::from_dir(root.path()).and_then(|template| Ok(template.render("hi")?));
        let message = loaded.expect_err("no template").to_string();
        let message = message.replace(&root.path().display().to_string(), "DIR");
        assert!(message.contains(expected), "{expected} in {message}");
    };
    check(
        &[("tokenizer_config.json", config(json!({})))],
        "DIR: expected a chat template (chat_template.jinja, or `chat_template` in tokenizer_config.json), found none",
    );
    check(&[("tokenizer.json", String::new())], "DIR: expected a chat template");
    let named = json!({"chat_template": [{"name": "rag", "template": "x"}]});
    check(
        &[("tokenizer_config.json", config(named))],
        "tokenizer_config.json: `chat_template`: expected one text, or a template of the name `default`, found rag",
    );
    check(
        &[("tokenizer_config.json", config(json!({"chat_template": 3})))],
        "of the name `default`, found 3",
    );
    check(
        &[("tokenizer_config.json", "{".to_owned())],
        "tokenizer_config.json: expected one JSON document",
    );
    check(
        &[(
            "tokenizer_config.json",
            config(json!({"chat_template": "a\n{% for %}"})),
        )],
        "tokenizer_config.json: chat template, line 2: ",
    );
    check(
        &[(
            "chat_template.jinja",
            "{{ raise_exception('only systems speak here') }}".to_owned(),
        )],
        "chat_template.jinja: chat template, line 1: only systems speak here",
    );
}
