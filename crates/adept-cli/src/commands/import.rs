//! `adept import`: a GGUF model as a folder that every other command takes.

use std::io::{self, IsTerminal as _};

use adept_gguf::{GgufError, Imported, Progress, Settings, import};
use adept_lab::report::text::thousands;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Setting;
use crate::args::Import;
use crate::failure::{Failure, say};
use crate::interrupt;
use crate::progress::Loudness;

/// Writes the folder and prints a summary.
pub fn run(setting: &Setting, arguments: &Import) -> Result<(), Failure> {
    let mut settings = Settings::default();
    settings.element = arguments.dtype.into();
    settings.overwrite = arguments.overwrite;
    settings.pre_tokenizer.clone_from(&arguments.pre_tokenizer);
    interrupt::listen()?;
    let progress = Bar::new(setting.loudness);
    let imported = import(&arguments.model, &arguments.out, &settings, &progress);
    drop(progress);
    let imported = imported.map_err(failure)?;
    say(format_args!("{}: {}", arguments.out.display(), summary(&imported)))
}

fn summary(imported: &Imported) -> String {
    let types: Vec<String> = imported
        .types
        .iter()
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    let shards = match imported.files {
        1 => String::new(),
        files => format!(" in {files} files"),
    };
    format!(
        "{} (architecture {}), {} weights ({:.1} MB{shards}), {} tokens; tensors of the file: {}",
        imported.model_type,
        imported.architecture,
        thousands(usize::try_from(imported.parameters).unwrap_or(usize::MAX)),
        imported.bytes as f64 / 1e6,
        thousands(imported.tokens),
        types.join(", ")
    )
}

/// Exit code: a file or folder that cannot be used (2), a failed write (1), or Ctrl-C (130).
fn failure(cause: GgufError) -> Failure {
    match cause {
        GgufError::Stopped => Failure::interrupted("interrupted; nothing was written"),
        _ if cause.is_write() => Failure::run(cause).hint("nothing was written; free some space, or write elsewhere"),
        GgufError::NoPreTokenizer { .. } => Failure::input(cause).hint(PRE_TOKENIZER),
        GgufError::Unknown { ref key, .. } if key == "tokenizer.ggml.pre" => Failure::input(cause).hint(PRE_TOKENIZER),
        GgufError::Taken { .. } => {
            Failure::input(cause).hint("--overwrite replaces an earlier import, and nothing else")
        }
        _ => Failure::input(cause),
    }
}

const PRE_TOKENIZER: &str =
    "--pre-tokenizer NAME takes one of these; the pattern in the original model's tokenizer.json tells which";

/// Written bytes on a progress bar.
struct Bar(Option<ProgressBar>);

impl Bar {
    fn new(loudness: Loudness) -> Self {
        let is_shown = loudness == Loudness::Usual && io::stderr().is_terminal();
        Self(is_shown.then(|| {
            let style = ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left");
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8))
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        }))
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

impl Progress for Bar {
    fn begin(&self, bytes: u64) {
        if let Some(bar) = &self.0 {
            bar.set_length(bytes);
        }
    }

    fn written(&self, bytes: u64) {
        if let Some(bar) = &self.0 {
            bar.inc(bytes);
        }
    }

    fn proceed(&self) -> bool {
        !interrupt::requested()
    }
}
