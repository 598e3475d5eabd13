//! Adapters' generic code for the flex backend, compiled once here instead of in every program and test that uses it: rustc
//! shares what an upstream crate has made of a generic function. Nothing calls these functions.
//! Only where debug assertions are on: at a release's level of optimisation nothing is shared.

use std::path::Path;

use burn::backend::Autodiff;
use burn::module::{AutodiffModule, Module};
use burn::tensor::backend::Backend;
use burn_flex::Flex;

use crate::{Adapter, AdapterConfig, AdapterInit, AdapterMetadata, Intervention, ModelSites, file};

fn adapter<B: Backend>(config: &AdapterConfig, sites: &ModelSites, path: &Path) -> Option<Box<dyn Intervention<B>>> {
    let device = Default::default();
    let (loaded, _) = file::load::<B>(path, sites, &device).ok()?;
    let _ = Adapter::<B>::new(config, sites, AdapterInit::random(0), &device);
    let _ = Adapter::<B>::from_tensors(config, sites, Default::default(), &device);
    let _ = (loaded.tensors(), loaded.num_params());
    let _ = file::save(path, &loaded, &AdapterMetadata::new(config.clone(), ""));
    let (_, one) = loaded.alone(config, 0).or_else(|| loaded.averaged(config))?;
    Some(Box::new(one.folded()))
}

#[doc(hidden)]
pub fn plain(config: &AdapterConfig, sites: &ModelSites, path: &Path) -> Option<Box<dyn Intervention<Flex>>> {
    adapter(config, sites, path)
}

#[doc(hidden)]
pub fn tracked(
    config: &AdapterConfig,
    sites: &ModelSites,
    path: &Path,
) -> Option<Box<dyn Intervention<Autodiff<Flex>>>> {
    adapter(config, sites, path)
}

#[doc(hidden)]
pub fn without(tracked: Adapter<Autodiff<Flex>>) -> Adapter<Autodiff<Flex>> {
    let record = tracked.clone().into_record();
    let tracked = tracked.no_grad().load_record(record);
    Adapter::from_inner(tracked.valid())
}
