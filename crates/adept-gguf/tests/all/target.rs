//! The output folder exists whole or not at all, and nobody else's is touched.

use std::cell::Cell;
use std::fs;

use adept_gguf::{GgufError, Progress, Settings, import};

use crate::common::fixture;

#[test]
fn a_folder_with_anything_in_it_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("deep/model");
    let model = fixture("models/gpt2.gguf");
    let mut settings = Settings::default();
    let run = |settings: &Settings| import(&model, &out, settings, &());
    run(&settings).unwrap();
    let refused = |settings: &Settings, what: &str| match run(settings) {
        Err(cause @ GgufError::Taken { .. }) => assert!(cause.to_string().contains(what), "{cause}"),
        other => panic!("{other:?}"),
    };
    refused(&settings, "an earlier import");

    settings.overwrite = true;
    let before = fs::read(out.join("model.safetensors")).unwrap();
    fs::write(out.join("model.safetensors"), "damaged").unwrap();
    run(&settings).unwrap();
    assert!(fs::read(out.join("model.safetensors")).unwrap() == before);

    fs::write(out.join("notes.txt"), "mine").unwrap();
    refused(&settings, "`notes.txt`");
    fs::remove_file(out.join("notes.txt")).unwrap();

    fs::write(out.join("config.json"), "{}").unwrap();
    refused(&settings, "another program");
    assert_eq!(fs::read_dir(folder.path().join("deep")).unwrap().count(), 1);

    fs::remove_dir_all(&out).unwrap();
    fs::write(&out, "a file").unwrap();
    refused(&settings, "something else");
    let nameless = import(&model, &folder.path().join(".."), &settings, &());
    assert!(matches!(nameless, Err(GgufError::Taken { .. })), "{nameless:?}");
}

/// Asks to stop after some bytes.
struct Stopping(Cell<u64>);

impl Progress for Stopping {
    fn written(&self, bytes: u64) {
        self.0.set(self.0.get().saturating_sub(bytes));
    }

    fn proceed(&self) -> bool {
        self.0.get() > 0
    }
}

#[test]
fn an_import_that_is_stopped_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("model");
    let stopped = import(
        &fixture("models/llama.gguf"),
        &out,
        &Settings::default(),
        &Stopping(Cell::new(20_000)),
    );
    assert!(matches!(stopped, Err(GgufError::Stopped)), "{stopped:?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
