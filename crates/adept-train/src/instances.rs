//! Training's generic code for the flex backend, compiled once here instead of in every program and test that uses it:
//! rustc shares what an upstream crate has made of a generic function. Nothing calls these functions.
//! Only where debug assertions are on: at a release's level of optimisation nothing is shared.

use adept_models::Model;
use burn::backend::Autodiff;
use burn_flex::Flex;

use crate::TrainError;
use crate::folder::RunFolder;
use crate::learner::{self, Job, Outcome};
use crate::observer::Observer;
use crate::target::{AdapterTarget, FullTarget};

type AB = Autodiff<Flex>;
type Device = burn::tensor::Device<Flex>;

#[doc(hidden)]
pub fn adapters(
    job: Job<'_>,
    target: &AdapterTarget<AB, Model<AB>>,
    folder: &RunFolder,
    device: &Device,
    observer: &mut dyn Observer,
) -> Result<Outcome, TrainError> {
    learner::train::<AB, _>(job, target, folder, device, observer)
}

#[doc(hidden)]
pub fn full(
    job: Job<'_>,
    target: &FullTarget<AB, Model<AB>>,
    folder: &RunFolder,
    device: &Device,
    observer: &mut dyn Observer,
) -> Result<Outcome, TrainError> {
    learner::train::<AB, _>(job, target, folder, device, observer)
}
