//! `adept import`: a GGUF fixture becomes a backbone that other commands take, and bad files end with their exit code.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{adept, fresh};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../adept-gguf/tests/fixtures")
        .join(name)
}

fn import(model: &Path, out: &Path, more: &[&str]) -> Vec<String> {
    let named = |path: &Path| path.display().to_string();
    let arguments = ["import".to_owned(), named(model), format!("--out={}", named(out))];
    arguments
        .into_iter()
        .chain(more.iter().map(|&text| text.to_owned()))
        .collect()
}

#[test]
fn an_import_is_a_backbone() {
    let (_folder, out) = fresh("model");
    let model = fixture("models/llama.gguf");
    let imported = adept(import(&model, &out, &[])).succeeded();
    assert!(
        imported.out.contains("llama (architecture llama), 33,952 weights"),
        "{}",
        imported.out
    );
    let backbone = out.display().to_string();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/goldens/llama")
        .display()
        .to_string();
    // The same fingerprint as the checkpoint that the fixture was made of, and so the same weights.
    let fingerprint = |folder: &str| {
        let shown = adept(["inspect", folder]).succeeded().out;
        shown
            .lines()
            .find(|line| line.starts_with("fingerprint"))
            .map(str::to_owned)
    };
    assert!(fingerprint(&backbone).is_some());
    assert_eq!(fingerprint(&backbone), fingerprint(&golden));

    let again = adept(import(&model, &out, &[]));
    assert_eq!(again.code, Some(2));
    assert!(again.err.contains("--overwrite"), "{}", again.err);
    adept(import(&model, &out, &["--overwrite", "--dtype=f32"])).succeeded();
    assert!(adept(["inspect", &backbone]).succeeded().out.contains("F32"));
}

#[test]
fn what_cannot_be_imported_is_named() {
    let (_folder, out) = fresh("model");
    let pre = adept(import(
        &fixture("models/llama.gguf"),
        &out,
        &["--pre-tokenizer=llama-bpf"],
    ));
    assert_eq!(pre.code, Some(2));
    assert!(
        pre.err.contains("most like `llama-bpe`") && pre.err.contains("hint: --pre-tokenizer"),
        "{}",
        pre.err
    );
    let cut = out.with_extension("gguf");
    fs::write(
        &cut,
        &fs::read(fixture("models/gpt2.gguf")).expect("it is there")[..5000],
    )
    .expect("the folder is writable");
    let cut = adept(import(&cut, &out, &[]));
    assert_eq!(cut.code, Some(2));
    assert!(cut.err.contains("incomplete download"), "{}", cut.err);
    assert!(!out.exists());
}
