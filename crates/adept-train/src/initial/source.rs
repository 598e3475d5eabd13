//! Another adapter to start from: a folder of an adapter or of a run, or a file of virtual tokens (SPoT; Vu et al. 2022).

use std::path::{Path, PathBuf};

use adept_core::{Adapter, AdapterConfig, CoreError, Fingerprint, Intervention, ModelSites, file};
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;

use crate::TrainError;

/// The model that is to be adapted.
pub(super) struct Model<'a> {
    /// What methods need to know of it.
    pub sites: &'a ModelSites,
    /// Width of its embeddings.
    pub d_model: usize,
    /// Fingerprint of its weights.
    pub fingerprint: &'a Fingerprint,
}

/// What a source gives.
pub(super) enum Start<AB: AutodiffBackend> {
    /// Every value of the adapter.
    Whole(Box<Adapter<AB>>),
    /// Its virtual tokens, `[m, d]`.
    Prompt(Tensor<AB, 2>),
}

/// Reads what is at `path` for the adapter `wanted`.
pub(super) fn read<AB: AutodiffBackend>(
    path: &Path,
    wanted: &AdapterConfig,
    model: &Model<'_>,
    device: &AB::Device,
) -> Result<Start<AB>, TrainError> {
    let rows = if path.is_dir() {
        let folder = adapter_folder(path);
        let (about, tensors) = file::read(&folder)?;
        let refuse = |cause: CoreError| refused(&folder, cause.to_string());
        about.check_d_model(model.d_model).map_err(refuse)?;
        about.check_backbone(model.fingerprint).map_err(refuse)?;
        let same = about.config.method() == wanted.method()
            && about.config.tensor_shapes(model.sites).map_err(refuse)? == wanted.tensor_shapes(model.sites)?;
        if same {
            let adapter = Adapter::from_tensors(wanted, model.sites, tensors, device).map_err(refuse)?;
            return Ok(Start::Whole(Box::new(adapter)));
        }
        let adapter = Adapter::<AB::InnerBackend>::from_tensors(&about.config, model.sites, tensors, device);
        adapter.map_err(refuse)?.prompt().ok_or_else(|| {
            let found = about.config.method();
            refused(
                &folder,
                format!("expected an adapter with a soft prompt, or one of the same method and sizes, found {found}"),
            )
        })?
    } else {
        Tensor::from_data(file::read_rows(path)?, device)
    };
    check(path, wanted, model, rows.dims())?;
    // Of the inner backend, so that the prompt is a leaf of its own.
    Ok(Start::Prompt(Tensor::from_inner(rows)))
}

/// The adapter's folder: in a run's, that of the best step.
fn adapter_folder(path: &Path) -> PathBuf {
    let best = path.join("best");
    let is_run = !path.join(file::CONFIG_FILE).exists() && best.join(file::CONFIG_FILE).exists();
    if is_run { best } else { path.to_owned() }
}

/// Whether virtual tokens `[m, d]` can be the start of an adapter.
fn check(path: &Path, wanted: &AdapterConfig, model: &Model<'_>, [m, d]: [usize; 2]) -> Result<(), TrainError> {
    if !wanted.starts_from_rows() {
        let method = wanted.method();
        let problem =
            format!("{method} has no prompt of its own: it starts from an adapter of the same method and sizes");
        return Err(refused(path, problem));
    }
    if d != model.d_model {
        return Err(refused(
            path,
            format!("expected {} values a token, found {d}", model.d_model),
        ));
    }
    let expected = wanted.virtual_tokens();
    if m != expected {
        let problem = format!("expected {expected} virtual tokens (`adapter.virtual_tokens`), found {m}");
        return Err(refused(path, problem));
    }
    Ok(())
}

fn refused(path: &Path, problem: String) -> TrainError {
    TrainError::InitFrom {
        path: path.to_owned(),
        problem,
    }
}
