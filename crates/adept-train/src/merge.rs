//! Merging adapters into the weights of their backbone, and unmerging them.

use std::fs;
use std::path::Path;

use adept_core::{Adapter, CoreError, Merge, Method, file};
use adept_models::{Backbone as _, Loaded, MergeDirection, Model};
use burn::tensor::backend::Backend;

use crate::TrainError;
use crate::folder::{TOKENIZER_FILES, copy_files};
use crate::trained::TrainedWith;

/// Summary of a merged model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The adapter's method.
    pub method: Method,
    /// Number of linear maps whose weights changed.
    pub maps: usize,
}

/// Writes a model that computes the same as the backbone with the adapter to the new or empty folder `out`, together
/// with the backbone's tokenizer and the adapter's training record; or, in the other direction, the backbone of a
/// merged model.
///
/// Weights are written as f32. Unmerging restores the original weights up to rounding.
///
/// # Errors
/// An adapter whose method cannot be merged or that belongs to another backbone, a folder that is not empty, files that
/// cannot be read or written.
pub fn merge<B: Backend>(
    backbone: &Path,
    adapter: &Path,
    out: &Path,
    direction: MergeDirection,
    device: &B::Device,
) -> Result<Merged, TrainError> {
    let (about, tensors) = file::read(adapter)?;
    let method = about.config.method();
    let reason = match method.info().merge {
        Merge::Weights => None,
        Merge::No(reason) => Some(reason),
        Merge::Table => Some("its offset belongs to input embeddings, which the model may use as its output head too"),
    };
    if let Some(reason) = reason {
        let reason = reason.to_owned();
        return Err(CoreError::CannotMerge { method, reason }.into());
    }
    let is_taken = fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some());
    if is_taken || (out.exists() && !out.is_dir()) {
        return Err(TrainError::NotEmpty { path: out.to_owned() });
    }
    let trained = TrainedWith::of_adapter(adapter, &about)?;
    let Loaded { model, fingerprint } = Model::<B>::load(backbone, device)?;
    if direction == MergeDirection::In {
        about.check_backbone(&fingerprint)?;
    } else if about.fingerprint.as_ref() == Some(&fingerprint) {
        let path = backbone.to_owned();
        return Err(TrainError::NotMerged { path });
    }
    let sites = model.sites();
    let adapter = Adapter::from_tensors(&about.config, &sites, tensors, device)?;
    let merged = model.merged(&adapter, direction)?;
    merged.save_pretrained(out)?;
    copy_files(&TOKENIZER_FILES, backbone, out)?;
    if let Some(with) = trained.filter(|_| direction == MergeDirection::In) {
        with.trained.write(out)?;
    }
    let is_changed = |map: &&adept_core::LinearMap| adept_core::Intervention::linear(&adapter, map.site).is_some();
    Ok(Merged {
        method,
        maps: sites.linears.iter().filter(is_changed).count(),
    })
}
