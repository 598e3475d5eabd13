//! Another adapter to start from: a folder of an adapter or of a run, or a file of virtual tokens (SPoT; Vu et al. 2022).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use adept_core::{Adapter, AdapterConfig, AdapterMetadata, CoreError, Fingerprint, Intervention, ModelSites, file};
use adept_data::DataFile;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Tensor, TensorData};

use crate::TrainError;
use crate::folder::{adapter_folder, file_sha256};

/// An adapter's tensors by name.
type Tensors = BTreeMap<String, TensorData>;

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
    if path.is_dir() {
        let (folder, about, tensors) = read_folder(path, model)?;
        let refuse = |cause: CoreError| refused(&folder, cause.to_string());
        let adapter = Adapter::<AB::InnerBackend>::from_tensors(&about.config, model.sites, tensors, device);
        let (mut config, mut adapter) = (about.config, adapter.map_err(refuse)?);
        // Of several tasks a new one starts at the mean.
        if config.method() == wanted.method()
            && (config.tasks() > 1 && wanted.tasks() == 1)
            && let Some(averaged) = adapter.averaged(&config)
        {
            (config, adapter) = averaged;
        }
        let same = config.method() == wanted.method()
            && config.tensor_shapes(model.sites).map_err(refuse)? == wanted.tensor_shapes(model.sites)?;
        if same {
            check_constants(&folder, wanted, &adapter)?;
            let tensors = adapter.tensors().into_iter().collect();
            let adapter = Adapter::from_tensors(wanted, model.sites, tensors, device).map_err(refuse)?;
            return Ok(Start::Whole(Box::new(adapter)));
        }
    }
    if !wanted.starts_from_rows() {
        let method = wanted.method();
        let problem =
            format!("{method} has no prompt of its own: it starts from an adapter of the same method and sizes");
        return Err(refused(path, problem));
    }
    let rows = prompt::<AB>(path, wanted.virtual_tokens(), model, device)?;
    // Of the inner backend, so that the prompt is a leaf of its own.
    Ok(Start::Prompt(Tensor::from_inner(rows)))
}

/// The prompts at `paths`, `[n, m, d]`.
pub(super) fn prompts<AB: AutodiffBackend>(
    paths: &[String],
    virtual_tokens: usize,
    model: &Model<'_>,
    device: &AB::Device,
) -> Result<Tensor<AB, 3>, TrainError> {
    let prompts = paths.iter().map(|path| {
        let rows = prompt::<AB>(Path::new(path), virtual_tokens, model, device)?;
        Ok(rows.unsqueeze::<3>())
    });
    Ok(Tensor::from_inner(Tensor::cat(
        prompts.collect::<Result<_, TrainError>>()?,
        0,
    )))
}

/// The prompt among `paths` that is most similar to the one at `target`: by the cosine of mean tokens, which the order of
/// tokens does not change (Vu et al. 2022, section 4.1).
pub(super) fn nearest<'a, AB: AutodiffBackend>(
    target: &Path,
    paths: &'a [String],
    virtual_tokens: usize,
    model: &Model<'_>,
    device: &AB::Device,
) -> Result<&'a Path, TrainError> {
    let mean = |path: &Path| -> Result<Vec<f32>, TrainError> {
        let rows = prompt::<AB>(path, virtual_tokens, model, device)?;
        Ok(rows
            .mean_dim(0)
            .into_data()
            .convert::<f32>()
            .into_vec()
            .expect("f32 after conversion"))
    };
    let wanted = mean(target)?;
    let mut best: Option<(f64, &Path)> = None;
    for path in paths {
        let path = Path::new(path);
        let found = cosine(&wanted, &mean(path)?);
        // Of equal ones the first.
        if best.is_none_or(|(cosine, _)| found > cosine) {
            best = Some((found, path));
        }
    }
    Ok(best.expect("a configuration with `nearest` has sources").1)
}

fn cosine(left: &[f32], right: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum() };
    let lengths = (dot(left, left) * dot(right, right)).sqrt();
    if lengths > 0.0 { dot(left, right) / lengths } else { 0.0 }
}

/// The file at `path` whose contents decide the start, for a run's identity; in records it is called `name`.
///
/// # Errors
/// A file that cannot be read.
pub(super) fn deciding_file(name: &str, path: &Path) -> Result<DataFile, TrainError> {
    let path = match path.is_dir() {
        true => {
            let folder = adapter_folder(path);
            let known = [file::TENSOR_FILE, file::PICKLE_FILE].map(|name| folder.join(name));
            let found = known.iter().find(|path| path.exists());
            found.unwrap_or(&known[0]).clone()
        }
        false => path.to_owned(),
    };
    Ok(DataFile {
        name: name.to_owned(),
        sha256: file_sha256(&path).map_err(TrainError::read("read", &path))?,
        rows: 0,
        skipped: 0,
        empty_fields: 0,
    })
}

/// The virtual tokens at `path`, `[m, d]`.
fn prompt<AB: AutodiffBackend>(
    path: &Path,
    virtual_tokens: usize,
    model: &Model<'_>,
    device: &AB::Device,
) -> Result<Tensor<AB::InnerBackend, 2>, TrainError> {
    let rows = if path.is_dir() {
        let (folder, about, tensors) = read_folder(path, model)?;
        let refuse = |cause: CoreError| refused(&folder, cause.to_string());
        let method = about.config.method();
        let without = |what: &str| {
            let expected = "expected an adapter with a soft prompt, or one of the same method and sizes";
            refused(&folder, format!("{expected}, found {method}{what}"))
        };
        if about.config.tasks() > 1 {
            return Err(without(&format!(" of {} tasks", about.config.tasks())));
        }
        let adapter = Adapter::<AB::InnerBackend>::from_tensors(&about.config, model.sites, tensors, device);
        adapter.map_err(refuse)?.prompt().ok_or_else(|| without(""))?
    } else {
        Tensor::from_data(file::read_rows(path)?, device)
    };
    let [m, d] = rows.dims();
    if d != model.d_model {
        return Err(refused(
            path,
            format!("expected {} values a token, found {d}", model.d_model),
        ));
    }
    if m != virtual_tokens {
        let problem = format!("expected {virtual_tokens} virtual tokens (`adapter.virtual_tokens`), found {m}");
        return Err(refused(path, problem));
    }
    Ok(rows)
}

/// The adapter in the folder `path`, of one task, as it is used.
pub(super) fn teacher<B: Backend>(
    path: &Path,
    model: &Model<'_>,
    device: &B::Device,
) -> Result<Adapter<B>, TrainError> {
    let (folder, about, tensors) = read_folder(path, model)?;
    let tasks = about.config.tasks();
    if tasks > 1 {
        let problem = format!(
            "expected an adapter of one task, found {} of {tasks}",
            about.config.method()
        );
        return Err(refused(&folder, problem));
    }
    let adapter = Adapter::from_tensors(&about.config, model.sites, tensors, device);
    Ok(adapter.map_err(|cause| refused(&folder, cause.to_string()))?.folded())
}

/// An adapter's files, for this model.
fn read_folder(path: &Path, model: &Model<'_>) -> Result<(PathBuf, AdapterMetadata, Tensors), TrainError> {
    let folder = adapter_folder(path);
    let (about, tensors) = file::read(&folder)?;
    let refuse = |cause: CoreError| refused(&folder, cause.to_string());
    about.check_d_model(model.d_model).map_err(refuse)?;
    about.check_backbone(model.fingerprint).map_err(refuse)?;
    Ok((folder, about, tensors))
}

/// Refuses an adapter that computes with other constants than those of the run: the same values would be another
/// function. Dropout is none of that function.
fn check_constants<B: Backend>(folder: &Path, wanted: &AdapterConfig, found: &Adapter<B>) -> Result<(), TrainError> {
    match wanted.check_constants(found) {
        Err(CoreError::InvalidConfig { field, .. }) if field.contains("dropout") => Ok(()),
        Err(cause) => Err(refused(folder, cause.to_string())),
        Ok(()) => Ok(()),
    }
}

fn refused(path: &Path, problem: String) -> TrainError {
    TrainError::InitFrom {
        path: path.to_owned(),
        problem,
    }
}
