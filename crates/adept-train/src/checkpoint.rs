//! Checkpoints: everything needed to resume bit for bit, either complete and verified or absent.
//!
//! A checkpoint is a folder `step-<n>` with `tensors.safetensors` (parameters and optimiser state, exact) and
//! `state.json` (step, best so far, length of the record, the run's identity, and the SHA-256 of the tensors and of
//! itself). It is written under another name, synced and renamed, so that a kill or a full disk leaves earlier
//! checkpoints intact. Loading verifies both checksums and the tensors' header, and falls back to the previous
//! checkpoint if they do not match.
//!
//! Tensors are streamed to disk one by one: writing needs no more memory than the largest of them.
//!
//! The types of identity and progress belong to the loop that writes them: [`Identity`] and [`Progress`] for adapters
//! and fine-tuning, those of [`crate::pretrain`] for pretraining.

mod tensors;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use adept_data::DataFile;
use burn::module::Module;
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{Tensor, TensorData};
use safetensors::SafeTensorError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::TrainError;
use crate::config::RunConfig;
use crate::error::CheckpointProblem;
use crate::folder::{file_sha256, hex, names, remove_empty, remove_files, sync_folder, sync_tree};
use crate::gradient::PathStack;
use crate::optim::OptimizerState;
use tensors::{Flat, Reader, TensorFile, Writer};

/// Version of the format.
const FORMAT: u32 = 1;
const STATE: &str = "state.json";
const TENSORS: &str = "tensors.safetensors";
/// Files of a checkpoint, in the order of writing.
const FILES: [&str; 2] = [TENSORS, STATE];
const UNFINISHED: &str = "unfinished";

/// Identity of a run. A checkpoint can only be resumed by a run with the same identity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// Resolved configuration.
    pub config: RunConfig,
    /// Files the examples were read from.
    pub data: Vec<DataFile>,
    /// Fingerprint of the backbone's weights.
    pub fingerprint: String,
}

impl Identity {
    /// The first difference that affects training, as (field, value there, value here).
    pub fn difference(&self, there: &Identity) -> Option<(String, String, String)> {
        if let Some((key, here, there)) = self.config.differences(&there.config).into_iter().next() {
            return Some((format!("`{key}`"), there, here));
        }
        let names = |config: &RunConfig| -> Vec<String> { config.tasks.iter().map(|task| task.name.clone()).collect() };
        let (here, other) = (names(&self.config), names(&there.config));
        if here != other {
            return Some(("`tasks`".into(), other.join(", "), here.join(", ")));
        }
        if self.fingerprint != there.fingerprint {
            return Some((
                "backbone fingerprint".into(),
                there.fingerprint.clone(),
                self.fingerprint.clone(),
            ));
        }
        let sums = |files: &[DataFile]| -> BTreeMap<String, String> {
            files
                .iter()
                .map(|file| (file.name.clone(), file.sha256.clone()))
                .collect()
        };
        let (ours, theirs) = (sums(&self.data), sums(&there.data));
        let absent = || "absent".to_owned();
        ours.keys()
            .chain(theirs.keys())
            .find(|name| ours.get(*name) != theirs.get(*name))
            .map(|name| {
                let value = |sums: &BTreeMap<String, String>| sums.get(name).cloned().unwrap_or_else(absent);
                (format!("data file {name}"), value(&theirs), value(&ours))
            })
    }
}

/// Progress of a run, apart from tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Optimiser steps done.
    pub step: usize,
    /// Step of the last evaluation.
    pub evaluated: Option<usize>,
    /// Sum and number of losses since the last point of the loss curve.
    pub window: (f64, usize),
    /// Seconds of training so far, without evaluation.
    pub seconds: f64,
    /// Training examples seen so far.
    pub samples: usize,
    /// Length of the record in bytes.
    pub record_bytes: u64,
}

/// Progress of a training loop.
pub trait Position: Serialize + DeserializeOwned + Clone {
    /// Optimiser steps done.
    fn step(&self) -> usize;
}

impl Position for Progress {
    fn step(&self) -> usize {
        self.step
    }
}

/// Content of `state.json` without its own checksum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct State<P, I> {
    progress: P,
    identity: I,
    /// Step count of each parameter in the optimiser.
    optimizer_steps: BTreeMap<String, u64>,
    /// SHA-256 of the tensor file.
    tensors_sha256: String,
}

#[derive(Serialize, Deserialize)]
struct StateFile<P, I> {
    format: u32,
    /// SHA-256 of `state` as compact JSON.
    sha256: String,
    state: State<P, I>,
}

/// A verified checkpoint whose tensors are still on disk.
#[derive(Debug)]
pub struct Loaded<P = Progress, I = Identity> {
    /// Its folder.
    pub path: PathBuf,
    /// Progress of the run.
    pub progress: P,
    /// Identity of the run.
    pub identity: I,
    /// Newer checkpoints that are unusable, with the reason.
    pub damaged: Vec<String>,
    optimizer_steps: BTreeMap<String, u64>,
}

/// Writes a checkpoint and removes all but the newest `keep`.
pub(crate) fn save<AB, M, O, P, I>(
    folder: &Path,
    progress: &P,
    identity: &I,
    module: &M,
    optimizer: &O,
    keep: usize,
) -> Result<PathBuf, TrainError>
where
    AB: AutodiffBackend,
    M: Module<AB>,
    O: OptimizerState<AB::InnerBackend>,
    P: Position,
    I: Serialize + Clone,
{
    let path = folder.join(format!("step-{:08}", progress.step()));
    let temporary = unfinished(folder);
    fs::create_dir_all(folder).map_err(TrainError::io("create", folder))?;
    clear_unfinished(&temporary)?;
    let written = write::<AB, M, O, P, I>(&temporary, progress, identity, module, optimizer);
    if let Err(error) = written {
        // A full disk is the likely cause; leftovers would only fill it further.
        let _ = fs::remove_dir_all(&temporary);
        return Err(error);
    }
    // The same step is written twice if an evaluation follows an interruption; the later state replaces the earlier.
    remove_files(&path, &FILES)?;
    if path.exists() {
        // It contains files of others. A kill between the two renames leaves a checkpoint whose checksums do not match.
        for name in FILES {
            let from = temporary.join(name);
            fs::rename(&from, path.join(name)).map_err(TrainError::io("rename", &from))?;
        }
        remove_empty(&temporary)?;
    } else {
        fs::rename(&temporary, &path).map_err(TrainError::io("rename", &temporary))?;
    }
    sync_folder(folder)?;
    for old in list(folder)?.into_iter().skip(keep) {
        remove_files(&old, &FILES)?;
    }
    Ok(path)
}

/// Removes what a kill left of a checkpoint: its files, and the one that safetensors writes before it has its name.
fn clear_unfinished(path: &Path) -> Result<(), TrainError> {
    if path.is_dir() {
        let left: Vec<_> = names(path)?.into_iter().filter(|name| is_unnamed(name)).collect();
        remove_files(path, &left)?;
    }
    remove_files(path, &FILES)
}

/// Whether it is a name that the crate tempfile gives by default: `.tmp` and six letters or digits.
fn is_unnamed(name: &OsStr) -> bool {
    let random = name.to_str().and_then(|name| name.strip_prefix(".tmp"));
    random.is_some_and(|random| random.len() == 6 && random.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// The checkpoint that is being written.
pub(crate) fn unfinished(folder: &Path) -> PathBuf {
    folder.join(UNFINISHED)
}

/// Removes all checkpoints of a folder, and the folder itself if it is then empty.
pub fn remove_all(folder: &Path) -> Result<(), TrainError> {
    for path in list(folder)? {
        remove_files(&path, &FILES)?;
    }
    clear_unfinished(&unfinished(folder))?;
    remove_empty(folder)
}

fn write<AB, M, O, P, I>(path: &Path, progress: &P, identity: &I, module: &M, optimizer: &O) -> Result<(), TrainError>
where
    AB: AutodiffBackend,
    M: Module<AB>,
    O: OptimizerState<AB::InnerBackend>,
    P: Position,
    I: Serialize + Clone,
{
    // Files of others may be in it, and go with it.
    fs::create_dir_all(path).map_err(TrainError::io("create", path))?;
    let mut tensors: Vec<(String, Flat<AB::InnerBackend>)> = Vec::new();
    let mut reader = Reader::<AB> {
        path: PathStack::default(),
        tensors: Vec::new(),
    };
    module.visit(&mut reader);
    for (name, tensor) in reader.tensors {
        tensors.push((format!("parameter/{name}"), Flat::new(tensor)));
    }
    let state = optimizer.tensors();
    tensors.extend(state.into_iter().map(|(name, tensor)| (name, Flat::new(tensor))));
    let file = path.join(TENSORS);
    safetensors::serialize_to_file(tensors, None, &file).map_err(|error| match error {
        SafeTensorError::IoError(source) => TrainError::io("write", &file)(source),
        other => TrainError::Checkpoint {
            path: path.to_owned(),
            problem: CheckpointProblem::Header { source: other },
        },
    })?;
    // Read back rather than hashed while writing, to detect a write cut short by the disk.
    let tensors_sha256 = file_sha256(&file).map_err(TrainError::io("read", &file))?;
    let state = State {
        progress: progress.clone(),
        identity: identity.clone(),
        optimizer_steps: optimizer.steps(),
        tensors_sha256,
    };
    let sha256 = state_sha256(&state).map_err(|source| TrainError::Json {
        path: path.join(STATE),
        line: 1,
        source,
    })?;
    crate::folder::write_json(
        &path.join(STATE),
        &StateFile {
            format: FORMAT,
            sha256,
            state,
        },
    )?;
    sync_tree(path)
}

fn state_sha256<P: Serialize, I: Serialize>(state: &State<P, I>) -> Result<String, serde_json::Error> {
    Ok(hex(&Sha256::digest(serde_json::to_vec(state)?)))
}

/// The step in a checkpoint's name: eight digits or more, as written by [`save`].
fn step_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("step-")?;
    let is_ours = digits.len() >= 8 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_ours)
}

/// Checkpoints of a folder, newest first.
fn list(folder: &Path) -> Result<Vec<PathBuf>, TrainError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(TrainError::read("list", folder)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(TrainError::read("list", folder))?.path();
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        // A folder with neither file is the remainder of a checkpoint into which others have put files.
        if let Some(step) = step_of(&name)
            && FILES.iter().any(|file| path.join(file).exists())
        {
            found.push((step, path));
        }
    }
    found.sort_by_key(|(step, _)| std::cmp::Reverse(*step));
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Finds and verifies the newest complete checkpoint; `None` if there are none at all.
///
/// # Errors
/// [`TrainError::NoUsableCheckpoint`] if there are some but all are damaged.
pub fn newest<P: Position, I: Serialize + DeserializeOwned>(folder: &Path) -> Result<Option<Loaded<P, I>>, TrainError> {
    let mut damaged = Vec::new();
    for path in list(folder)? {
        match verify(&path) {
            Ok((progress, identity, optimizer_steps)) => {
                return Ok(Some(Loaded {
                    path,
                    progress,
                    identity,
                    damaged,
                    optimizer_steps,
                }));
            }
            Err(problem) => {
                let name = path
                    .file_name()
                    .map(|name| name.to_string_lossy().into_owned())
                    .unwrap_or_default();
                damaged.push(format!("{name}: {problem}"));
            }
        }
    }
    if damaged.is_empty() {
        Ok(None)
    } else {
        Err(TrainError::NoUsableCheckpoint {
            path: folder.to_owned(),
            tried: damaged,
        })
    }
}

type Verified<P, I> = (P, I, BTreeMap<String, u64>);

fn verify<P: Position, I: Serialize + DeserializeOwned>(path: &Path) -> Result<Verified<P, I>, CheckpointProblem> {
    let text = fs::read(path.join(STATE)).map_err(|source| CheckpointProblem::Unreadable { file: STATE, source })?;
    #[derive(Deserialize)]
    struct Versioned {
        format: u32,
    }
    let versioned: Versioned = serde_json::from_slice(&text).map_err(|source| CheckpointProblem::State { source })?;
    if versioned.format != FORMAT {
        return Err(CheckpointProblem::Format {
            expected: FORMAT,
            found: versioned.format,
        });
    }
    let StateFile::<P, I> { sha256, state, .. } =
        serde_json::from_slice(&text).map_err(|source| CheckpointProblem::State { source })?;
    let found = state_sha256(&state).map_err(|source| CheckpointProblem::State { source })?;
    if found != sha256 {
        return Err(CheckpointProblem::Checksum {
            file: STATE,
            expected: sha256,
            found,
        });
    }
    let found =
        file_sha256(&path.join(TENSORS)).map_err(|source| CheckpointProblem::Unreadable { file: TENSORS, source })?;
    if found != state.tensors_sha256 {
        return Err(CheckpointProblem::Checksum {
            file: TENSORS,
            expected: state.tensors_sha256,
            found,
        });
    }
    TensorFile::open(&path.join(TENSORS))?;
    Ok((state.progress, state.identity, state.optimizer_steps))
}

impl<P, I> Loaded<P, I> {
    /// Loads the parameters into `module` and the optimiser's state into `optimizer`.
    pub(crate) fn restore<AB, M, O>(&self, module: M, optimizer: &mut O, device: &AB::Device) -> Result<M, TrainError>
    where
        AB: AutodiffBackend,
        M: Module<AB>,
        O: OptimizerState<AB::InnerBackend>,
    {
        let problem = |problem| TrainError::Checkpoint {
            path: self.path.clone(),
            problem,
        };
        let mut file = TensorFile::open(&self.path.join(TENSORS)).map_err(problem)?;
        let mut writer = Writer {
            path: PathStack::default(),
            file: &mut file,
            problem: None,
        };
        let module = Module::<AB>::map(module, &mut writer);
        if let Some(found) = writer.problem {
            return Err(problem(found));
        }
        let mut read = |name: &str| -> Result<Option<Tensor<AB::InnerBackend, 1>>, TrainError> {
            if !file.contains(name) {
                return Ok(None);
            }
            let values = file.read(name).map_err(problem)?;
            let shape = [values.len()];
            Ok(Some(Tensor::from_data(TensorData::new(values, shape), device)))
        };
        let missing = |name| problem(CheckpointProblem::MissingTensor { name });
        optimizer.put_back(&self.optimizer_steps, &mut read, &missing)?;
        Ok(module)
    }
}
