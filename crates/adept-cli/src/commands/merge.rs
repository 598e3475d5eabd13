//! `adept merge`: merges an adapter into its backbone's weights, or removes it again.

use std::path::PathBuf;

use adept_models::MergeDirection;
use adept_train::merge::merge;
use burn::tensor::backend::AutodiffBackend;

use super::{Setting, hub, run_failure};
use crate::args::Merge;
use crate::device::{WithBackend, with_backend};
use crate::failure::{Failure, say};

/// Writes the resulting model and prints a summary.
pub fn run(setting: &Setting, arguments: Merge) -> Result<(), Failure> {
    let backbone = hub::backbone(&arguments.backbone)?;
    with_backend(setting.device, Work { arguments, backbone })
}

struct Work {
    arguments: Merge,
    backbone: PathBuf,
}

impl WithBackend for Work {
    fn run<AB: AutodiffBackend>(self, device: AB::Device) -> Result<(), Failure> {
        let Merge { adapter, out, undo, .. } = &self.arguments;
        let direction = match undo {
            true => MergeDirection::Out,
            false => MergeDirection::In,
        };
        let merged = merge::<AB::InnerBackend>(&self.backbone, adapter, out, direction, &device);
        let merged = merged.map_err(run_failure)?;
        say(format_args!(
            "{}: {} of {} linear maps {}",
            out.display(),
            merged.method.info().title,
            merged.maps,
            if *undo { "taken out" } else { "merged" },
        ))
    }
}
