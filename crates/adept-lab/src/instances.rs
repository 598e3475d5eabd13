//! Runs' generic code for the flex backend, compiled once here instead of in every program and test that uses it: rustc
//! shares what an upstream crate has made of a generic function. Nothing calls these functions.
//! Only where debug assertions are on: at a release's level of optimisation nothing is shared.

use std::path::Path;

use adept_train::config::Resolved;
use adept_train::observer::Observer;
use burn::backend::Autodiff;
use burn_flex::Flex;

use crate::run::{Means, run};
use crate::verify::verify;

type AB = Autodiff<Flex>;

#[doc(hidden)]
pub fn runs(resolved: &Resolved, path: &Path, means: &Means, observer: &mut dyn Observer) -> bool {
    let device = Default::default();
    run::<AB>(resolved, path, means, &device, observer).is_ok() && verify::<AB>(path, path, &device).is_ok()
}
