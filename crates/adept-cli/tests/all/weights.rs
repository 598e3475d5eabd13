//! LoRA and (IA)³ through the program: training, scores, the merged model, refusals.

use std::fs;
use std::path::Path;

use crate::common::{adept, fresh, json, sample, train};

/// A short run of a method.
fn run(method: &str, out: &Path, more: &[&str]) {
    let mut arguments = train(&sample().data, &sample().backbone, out);
    arguments.push(format!("--method={method}"));
    arguments.retain(|argument| argument != "--method=adept");
    arguments.extend(more.iter().map(|set| format!("--set={set}")));
    adept(arguments).succeeded();
}

fn scores(backbone: &Path, adapter: Option<&Path>) -> String {
    let mut arguments = vec!["eval".to_owned(), "--json".to_owned()];
    arguments.push(format!("--data={}", sample().data.display()));
    arguments.push(format!("--backbone={}", backbone.display()));
    arguments.extend(adapter.map(|adapter| format!("--adapter={}", adapter.display())));
    adept(arguments).succeeded().out
}

fn merge(backbone: &Path, adapter: &Path, out: &Path, more: &[&str]) -> crate::common::Outcome {
    let mut arguments = vec!["merge".to_owned()];
    arguments.push(format!("--backbone={}", backbone.display()));
    arguments.push(format!("--adapter={}", adapter.display()));
    arguments.push(format!("--out={}", out.display()));
    arguments.extend(more.iter().map(ToString::to_string));
    adept(arguments)
}

#[test]
fn a_merged_model_scores_as_the_adapter_does_and_comes_apart_again() {
    let (_folder, root) = fresh("runs");
    for (method, more) in [
        (
            "lora",
            &[
                "adapter.lora.rank=4",
                "optimizer.lora.learning_rate=0.05",
                "optimizer.lora.warmup_steps=0",
            ][..],
        ),
        (
            "ia3",
            &["optimizer.ia3.learning_rate=0.3", "optimizer.ia3.warmup_steps=0"],
        ),
    ] {
        let out = root.join(method);
        run(method, &out, more);
        let (adapter, merged) = (out.join("best"), root.join(format!("{method}-merged")));
        let said = merge(&sample().backbone, &adapter, &merged, &[]).succeeded().out;
        assert!(said.contains("linear maps merged"), "{said}");
        // The merged model keeps the training record: neither evaluation needs the task.
        assert_eq!(
            scores(&merged, None),
            scores(&sample().backbone, Some(&adapter)),
            "{method}"
        );

        let back = root.join(format!("{method}-back"));
        merge(&merged, &adapter, &back, &["--undo"]).succeeded();
        let plain = root.join(format!("{method}-plain"));
        let refused = ["expected a model that the adapter is merged into"];
        merge(&sample().backbone, &adapter, &plain, &["--undo"]).failed(2, &refused);
        assert!(!plain.exists());
        let weights = |folder: &Path| fs::read(folder.join("model.safetensors")).expect("a model");
        let (first, merged, back) = (weights(&sample().backbone), weights(&merged), weights(&back));
        assert_ne!(first, merged);
        assert_eq!((first.len(), first.len()), (merged.len(), back.len()));
        let data = first.len() - 8;
        let values = |bytes: &[u8]| -> Vec<f32> {
            let start = 8 + u64::from_le_bytes(bytes[..8].try_into().expect("a header")) as usize;
            bytes[start..]
                .as_chunks()
                .0
                .iter()
                .map(|word| f32::from_le_bytes(*word))
                .collect()
        };
        assert!(data > 0);
        let worst = values(&first)
            .iter()
            .zip(values(&back))
            .fold(0f32, |worst, (first, back)| worst.max((first - back).abs()));
        assert!(worst < 1e-5, "{method}: {worst}");
    }
}

#[test]
fn settings_of_a_method_are_its_own() {
    let (_folder, root) = fresh("runs");
    let mut arguments = train(&sample().data, &sample().backbone, &root);
    arguments.push("--set=adapter.lora.rank=4".to_owned());
    adept(arguments).failed(
        2,
        &["`adapter.lora.rank` belongs to another method; this run's method is adept"],
    );
    let mut arguments = train(&sample().data, &sample().backbone, &root);
    arguments.retain(|argument| argument != "--method=adept");
    arguments.extend([
        "--method=lora".to_owned(),
        "--set=adapter.lora.target_modules=q_proj".to_owned(),
    ]);
    adept(arguments).failed(
        2,
        &["lora: target module q_proj matches none of the model's linear maps, which end with: q, k, v, o, wi, wo"],
    );
    run(
        "lora",
        &root,
        &["adapter.lora.target_modules=all-linear", "adapter.lora.rank=1"],
    );
    let config = json(&root.join("best/adapter_config.json"));
    assert_eq!(
        config["target_modules"],
        serde_json::json!(["q", "k", "v", "o", "wi", "wo"])
    );
    assert_eq!(config["peft_type"], "LORA");
}

#[test]
fn what_cannot_be_merged_is_refused_with_its_reason() {
    let (_folder, root) = fresh("runs");
    let (prompt, lora) = (root.join("adept"), root.join("lora"));
    adept(train(&sample().data, &sample().backbone, &prompt)).succeeded();
    let out = root.join("merged");
    merge(&sample().backbone, &prompt.join("best"), &out, &[]).failed(2, &["adept: cannot be merged into the weights"]);
    for (method, reason) in [
        (
            "adapter",
            "adapter: cannot be merged into the weights: its networks are not linear",
        ),
        ("prefix", "prefix: cannot be merged into the weights"),
        ("bitfit", "module encoder.block.0.layer.0.SelfAttention.q has no bias"),
    ] {
        let folder = root.join(method);
        run(method, &folder, &[]);
        merge(&sample().backbone, &folder.join("best"), &out, &[]).failed(2, &[reason]);
        assert!(!out.exists(), "{method}");
    }
    run("lora", &lora, &["adapter.lora.rank=1"]);
    fs::create_dir_all(&out).expect("writable");
    fs::write(out.join("mine.txt"), "mine").expect("writable");
    merge(&sample().backbone, &lora.join("best"), &out, &[]).failed(2, &["is not empty; nothing was written"]);
    assert_eq!(fs::read_dir(&out).expect("there").count(), 1);
    // An adapter for other weights.
    let other = root.join("other");
    merge(&sample().backbone, &lora.join("best"), &other, &[]).succeeded();
    merge(&other, &lora.join("best"), &root.join("twice"), &[]).failed(2, &["was trained on the backbone"]);
}
