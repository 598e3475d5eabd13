//! A job of `adept reproduce … --on slurm`: some runs of the grid, without a report.

use std::path::Path;

use adept_lab::reproduce::slurm::{Lines, listed};
use adept_lab::reproduce::{Grid, Plan, plan, run_part};
use burn::tensor::backend::AutodiffBackend;

use super::submit::slurm_failure;
use super::{check_failed, grid_failure};
use crate::commands::Setting;
use crate::device::{WithBackend, with_backend};
use crate::failure::{Failure, remark};
use crate::grid_progress::GridProgress;
use crate::interrupt;
use crate::progress::Loudness;

/// Runs or resumes the runs on some lines of a list.
pub fn run(setting: &Setting, grid: &Grid, list: &Path, lines: Lines, keep_going: bool) -> Result<(), Failure> {
    interrupt::listen_patiently()?;
    let part = listed(plan(grid).map_err(grid_failure)?, list, lines).map_err(slurm_failure)?;
    if setting.loudness != Loudness::Quiet {
        let (new, begun, done) = part.counts();
        remark(format_args!(
            "runs on lines {lines} of {}: {new} to do, {begun} to resume, {done} done and skipped; device {}",
            list.display(),
            setting.device
        ));
    }
    with_backend(
        setting.device,
        Work {
            setting,
            grid,
            part,
            keep_going,
        },
    )
}

struct Work<'a> {
    setting: &'a Setting,
    grid: &'a Grid,
    part: Plan,
    keep_going: bool,
}

impl WithBackend for Work<'_> {
    fn run<AB: AutodiffBackend>(self, device: AB::Device) -> Result<(), Failure> {
        let mut watching = GridProgress::new(self.setting.loudness, &self.part, None);
        let failed = run_part::<AB>(self.grid, &self.part, self.keep_going, &device, &mut watching);
        drop(watching);
        check_failed(&failed.map_err(grid_failure)?, self.part.cells.len())
    }
}
