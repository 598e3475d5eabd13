//! `adept reproduce table16`: rows and lengths of the data sets at hand.

use std::path::{Path, PathBuf};

use adept_data::TextTokenizer;
use adept_lab::analysis::datasets::{self, DatasetsOf};
use adept_lab::reproduce::{Profile, ProfileName};

use super::reproduce::grid;
use super::{Setting, analysis, hub};
use crate::args::Table16;
use crate::failure::{Failure, remark, say};
use crate::progress::Loudness;

/// Measures the data sets and prints the table.
pub fn run(setting: &Setting, arguments: Table16) -> Result<(), Failure> {
    let sample = Profile::of(ProfileName::Sample);
    let synthetic = arguments.data.is_none();
    let data = grid::folder(arguments.data.as_deref(), sample.data.as_deref(), ProfileName::Sample)?;
    let backbone: Option<PathBuf> = match (&arguments.backbone, synthetic) {
        (Some(given), _) => Some(hub::backbone(given)?),
        // The sample's vocabulary was made for the project's own backbone; others' data are not counted by it.
        (None, true) => Some(grid::folder(None, sample.backbone.as_deref(), ProfileName::Sample)?),
        (None, false) => None,
    };
    let tokenizer = backbone
        .map(|folder| TextTokenizer::from_dir(&folder).map(|tokenizer| (tokenizer, folder)))
        .transpose()
        .map_err(Failure::input)?;
    let default = if synthetic {
        "runs/table16-sample"
    } else {
        "runs/table16"
    };
    let out = arguments.out.unwrap_or_else(|| PathBuf::from(default));
    let of = DatasetsOf {
        data: &data,
        synthetic,
        tokenizer,
        out: &out,
    };
    let table = datasets::run(&of, &mut |task| {
        if setting.loudness != Loudness::Quiet {
            remark(format_args!("reading {}", task.display_name()));
        }
    });
    let table = table.map_err(analysis::failure)?;
    say(table.console().trim_end())?;
    say("\nTable:")?;
    for name in ["table16.md", "table16.json"] {
        say(format_args!("  {}", Path::new(&out).join(name).display()))?;
    }
    Ok(())
}
