//! `adept verify`: compares this machine's backend with golden values from PyTorch.

use adept_lab::verify::{VerifyError, verify_in};
use adept_train::config::PrecisionSetting;
use burn::tensor::backend::AutodiffBackend;

use super::Setting;
use crate::args::Verify;
use crate::device::{WithBackend, with_backend};
use crate::failure::{Failure, say};

/// Runs the checks and prints their table.
pub fn run(setting: &Setting, arguments: Verify) -> Result<(), Failure> {
    with_backend(setting.device, Work(arguments))
}

struct Work(Verify);

impl WithBackend for Work {
    fn run<AB: AutodiffBackend>(self, device: AB::Device) -> Result<(), Failure> {
        let precision = PrecisionSetting::from(self.0.precision).on::<AB::InnerBackend>();
        let report = verify_in::<AB>(&self.0.backbone, &self.0.golden, precision, &device);
        let report = report.map_err(|cause| match cause {
            // The files are fine; this backend's results are not.
            VerifyError::Generate(_) => Failure::run(cause),
            _ => Failure::input(cause),
        })?;
        if self.0.json {
            say(serde_json::to_string_pretty(&report).map_err(Failure::run)?)?;
        } else {
            say(&report)?;
        }
        if report.passed() { Ok(()) } else { Err(Failure::check()) }
    }
}
