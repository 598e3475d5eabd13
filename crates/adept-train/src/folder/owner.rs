//! Ownership of folders. We only write to a folder that is new, empty, or ours.
//!
//! [`MARKER`] is the first file written to a folder and states the folder's kind. It is created atomically and never
//! replaces another, so two programs starting in one folder agree on it. A folder without a marker is ours if an
//! earlier version, which wrote no marker, left traces in it: the start of a record, a result, or the lock next to a
//! resolved configuration. Anything else belongs to others and is left alone.
//!
//! Inside a folder of ours, only the names listed in [`super`] are ours; other entries are never touched.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::write::{beside, folder_of, is_temporary, json, names, read_json, sync_folder};
use crate::TrainError;
use crate::program::{COMPLETIONS, Completion};

/// The file that marks a folder as ours.
pub const MARKER: &str = "adept-folder.json";
/// The file that describes a grid of runs.
pub const GRID_FILE: &str = "reproduce.json";
/// Files of a report, in a grid's folder.
pub const REPORT_FILES: [&str; 3] = ["results.json", "report.md", "report.html"];
/// Format version of the marker.
const FORMAT: u32 = 1;
/// Maximum bytes read of a record's first line, several times the size of the longest configuration.
const FIRST_LINE: u64 = 1 << 22;
/// Maximum number of entries of a refused folder listed in a message.
const NAMED: usize = 5;

/// Kind of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FolderKind {
    /// One run of `train`, or of a grid.
    Run,
    /// One run of `pretrain`.
    Pretraining,
    /// The runs of `reproduce`, their report, and the tables computed from them.
    Grid,
}

impl fmt::Display for FolderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Run => "a run",
            Self::Pretraining => "a pretraining run",
            Self::Grid => "a grid of runs",
        })
    }
}

/// Why a folder cannot be written to.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The folder contains files of others.
    #[error(
        "{} is not empty and not {kind} created by adept: {}; nothing was written; choose a new or an empty folder",
        path.display(), listed(found, *more)
    )]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// Kind of the new contents.
        kind: FolderKind,
        /// Some of its entries.
        found: Vec<String>,
        /// Number of further entries.
        more: usize,
    },
    /// The folder is ours, but of another kind.
    #[error("{} holds {found}; {expected} needs a folder of its own", path.display())]
    OtherKind {
        /// The folder.
        path: PathBuf,
        /// Kind of the new contents.
        expected: FolderKind,
        /// Kind of the folder.
        found: FolderKind,
    },
    /// The marker is from a later version.
    #[error(
        "{}: unsupported format {found} (this version supports {}); use the version that created the folder, or another folder",
        path.display(), FORMAT
    )]
    Newer {
        /// The marker.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// A file, a device or a dangling link instead of a folder.
    #[error("{}: expected a folder or nothing, found {found}", path.display())]
    NoFolder {
        /// The path.
        path: PathBuf,
        /// What was found.
        found: &'static str,
    },
    /// A file of others in a folder of ours blocks an entry that we need to write.
    #[error("{}: expected a folder or nothing, found a file; move it elsewhere", path.display())]
    InTheWay {
        /// The file.
        path: PathBuf,
    },
    /// Completions provided by the user are invalid.
    #[error("{}, line {line}: expected a completion (problem, sample, completion, tokens), found {found}", path.display())]
    Completions {
        /// The file.
        path: PathBuf,
        /// Its first invalid line, from 1.
        line: usize,
        /// The parser's message.
        found: String,
    },
    /// Files with a report's names next to runs, in a folder that is not a grid's.
    #[error(
        "{} contains {} not written by adept; nothing was written; move it elsewhere",
        path.display(), listed(found, 0)
    )]
    ForeignReport {
        /// The folder.
        path: PathBuf,
        /// The files.
        found: Vec<String>,
    },
}

fn listed(found: &[String], more: usize) -> String {
    let names: Vec<String> = found.iter().map(|name| format!("`{name}`")).collect();
    let rest = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    format!("{}{rest}", names.join(", "))
}

/// Contents of the marker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marker {
    /// Kind of the folder.
    adept: FolderKind,
    format: u32,
    /// Sizes in bytes of files provided before the run, which it appends to.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) given: BTreeMap<String, u64>,
}

/// State of a folder with respect to what is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// New or empty, except for files that may be provided to a run.
    Free { given: BTreeMap<String, u64> },
    /// Ours; without a marker if an earlier version created it.
    Ours(Option<Marker>),
}

/// Refuses a folder that contents of this kind must not be written to. Writes nothing.
///
/// # Errors
/// [`FolderError`], or a folder that cannot be listed.
pub fn check(path: &Path, kind: FolderKind) -> Result<(), TrainError> {
    standing(path, kind).map(drop)
}

/// Refuses to write a report to a folder that is not a grid's and contains files of others with a report's names.
///
/// # Errors
/// [`FolderError::ForeignReport`].
pub fn check_report(path: &Path) -> Result<(), TrainError> {
    if matches!(standing(path, FolderKind::Grid), Ok(Standing::Ours(_))) || is_report(path) {
        return Ok(());
    }
    let there = REPORT_FILES.iter().filter(|name| path.join(name).exists());
    let found: Vec<String> = there.map(ToString::to_string).collect();
    if found.is_empty() {
        return Ok(());
    }
    let path = path.to_owned();
    Err(FolderError::ForeignReport { path, found }.into())
}

/// Claims a folder: creates it if it is missing and writes the marker if there is none.
pub(super) fn claim(path: &Path, kind: FolderKind) -> Result<Marker, TrainError> {
    let given = match standing(path, kind)? {
        Standing::Ours(Some(marker)) => return Ok(marker),
        Standing::Ours(None) => BTreeMap::new(),
        Standing::Free { given } => given,
    };
    fs::create_dir_all(path).map_err(TrainError::io("create", path))?;
    let marker = Marker {
        adept: kind,
        format: FORMAT,
        given,
    };
    let file = path.join(MARKER);
    match beside(&file, &json(&file, &marker)?)?.persist_noclobber(&file) {
        Ok(_) => {
            sync_folder(folder_of(&file))?;
            Ok(marker)
        }
        // Another program was faster.
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => match standing(path, kind)? {
            Standing::Ours(Some(marker)) => Ok(marker),
            _ => Err(TrainError::io("create", &file)(error.error)),
        },
        Err(error) => Err(TrainError::io("create", &file)(error.error)),
    }
}

pub(super) fn standing(path: &Path, kind: FolderKind) -> Result<Standing, TrainError> {
    let none = || Standing::Free { given: BTreeMap::new() };
    match fs::metadata(path) {
        Ok(there) if there.is_dir() => {}
        Ok(there) => {
            let found = if there.is_file() { "a file" } else { "no folder" };
            return Err(no_folder(path, found));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return match fs::symlink_metadata(path) {
                Ok(_) => Err(no_folder(path, "a link that leads nowhere")),
                Err(_) => Ok(none()),
            };
        }
        // A component of the path is a file or inaccessible.
        Err(error) => return Err(TrainError::read("look into", path)(error)),
    }
    if let Some(marker) = marker(path)? {
        return match marker.adept == kind {
            true => Ok(Standing::Ours(Some(marker))),
            false => Err(other_kind(path, kind, marker.adept)),
        };
    }
    let entries = names(path)?;
    let mut entries: Vec<String> = entries
        .iter()
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| !is_temporary(name))
        .collect();
    match earlier(path, &entries) {
        Some(Earlier::Of(found)) if found != kind => return Err(other_kind(path, kind, found)),
        Some(_) => return Ok(Standing::Ours(None)),
        None => {}
    }
    let mut given = BTreeMap::new();
    if kind == FolderKind::Run && entries == [COMPLETIONS] {
        given.insert(entries.remove(0), completions_bytes(path)?);
    }
    if entries.is_empty() {
        return Ok(Standing::Free { given });
    }
    let more = entries.len().saturating_sub(NAMED);
    entries.truncate(NAMED);
    Err(FolderError::Foreign {
        path: path.to_owned(),
        kind,
        found: entries,
        more,
    }
    .into())
}

fn no_folder(path: &Path, found: &'static str) -> TrainError {
    let path = path.to_owned();
    FolderError::NoFolder { path, found }.into()
}

fn other_kind(path: &Path, expected: FolderKind, found: FolderKind) -> TrainError {
    FolderError::OtherKind {
        path: path.to_owned(),
        expected,
        found,
    }
    .into()
}

/// The marker, if there is one of ours.
fn marker(folder: &Path) -> Result<Option<Marker>, TrainError> {
    #[derive(Deserialize)]
    struct Versioned {
        #[serde(rename = "adept")]
        _adept: String,
        format: u32,
    }
    let path = folder.join(MARKER);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(TrainError::read("read", &path)(error)),
    };
    match serde_json::from_slice::<Versioned>(&text) {
        Ok(versioned) if versioned.format > FORMAT => Err(FolderError::Newer {
            path,
            found: versioned.format,
        }
        .into()),
        // A file that does not parse is not ours.
        Ok(_) => Ok(serde_json::from_slice(&text).ok()),
        Err(_) => Ok(None),
    }
}

/// Traces of an earlier version.
enum Earlier {
    /// Contents of this kind.
    Of(FolderKind),
    /// Only a lock.
    Begun,
}

/// Looks for traces of a version without markers.
fn earlier(folder: &Path, entries: &[String]) -> Option<Earlier> {
    if read_json::<GridTrace>(&folder.join(GRID_FILE)).is_ok() {
        return Some(Earlier::Of(FolderKind::Grid));
    }
    if read_json::<ResultTrace>(&folder.join("result.json")).is_ok() {
        return Some(Earlier::Of(FolderKind::Run));
    }
    if let Some(kind) = of_record(&folder.join("record.jsonl")) {
        return Some(Earlier::Of(kind));
    }
    if is_lock(&folder.join("run.lock")) {
        if let Some(kind) = of_config(&folder.join("config.toml")) {
            return Some(Earlier::Of(kind));
        }
        if read_json::<StampTrace>(&folder.join("tokenizer-made-of.json")).is_ok() {
            return Some(Earlier::Of(FolderKind::Pretraining));
        }
        if entries == ["run.lock"] {
            return Some(Earlier::Begun);
        }
    }
    holds_runs_only(folder, entries).then_some(Earlier::Of(FolderKind::Grid))
}

/// The fields needed to recognise a grid's file.
#[derive(Deserialize)]
struct GridTrace {
    #[serde(rename = "benchmark")]
    _benchmark: String,
    #[serde(rename = "profile")]
    _profile: String,
    #[serde(rename = "sample")]
    _sample: bool,
}

/// The fields needed to recognise a `result.json`.
#[derive(Deserialize)]
struct ResultTrace {
    #[serde(rename = "fingerprint")]
    _fingerprint: String,
    #[serde(rename = "code_version")]
    _code_version: String,
    #[serde(rename = "best_step")]
    _best_step: u64,
    #[serde(rename = "config")]
    _config: BTreeMap<String, IgnoredAny>,
}

/// The fields needed to recognise the stamp of a trained tokenizer.
#[derive(Deserialize)]
struct StampTrace {
    #[serde(rename = "code_version")]
    _code_version: String,
    #[serde(rename = "tokenizer_sha256")]
    _tokenizer_sha256: String,
}

/// Kind of run whose record begins with this line.
fn of_record(path: &Path) -> Option<FolderKind> {
    #[derive(Deserialize)]
    struct Trace {
        event: String,
        #[serde(rename = "code_version")]
        _code_version: String,
        #[serde(rename = "resolved")]
        _resolved: BTreeMap<String, IgnoredAny>,
        fingerprint: Option<String>,
        corpus_tokens: Option<u64>,
    }
    let mut line = Vec::new();
    let mut reader = BufReader::new(File::open(path).ok()?.take(FIRST_LINE));
    reader.read_until(b'\n', &mut line).ok()?;
    let trace: Trace = serde_json::from_slice(&line).ok()?;
    match (trace.event.as_str(), trace.fingerprint, trace.corpus_tokens) {
        ("start", Some(_), _) => Some(FolderKind::Run),
        ("start", _, Some(_)) => Some(FolderKind::Pretraining),
        _ => None,
    }
}

/// Whether a file is a lock of ours: it contains a process id, or nothing if the process was killed before writing it.
fn is_lock(path: &Path) -> bool {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(32).read_to_end(&mut text));
    let digits = text.strip_suffix(b"\n").unwrap_or(&text);
    read.is_ok() && digits.len() < 20 && digits.iter().all(u8::is_ascii_digit)
}

/// Kind of run with this resolved configuration.
fn of_config(path: &Path) -> Option<FolderKind> {
    let text = fs::read_to_string(path).ok()?;
    let head = text.strip_prefix("# Resolved configuration of a ")?;
    text.parse::<toml::Table>().ok()?;
    match head {
        _ if head.starts_with("run: preset `") => Some(FolderKind::Run),
        _ if head.starts_with("pretraining run") => Some(FolderKind::Pretraining),
        _ => None,
    }
}

/// Whether a folder contains only `TASK/METHOD/seed-N` with runs of ours, and their report.
fn holds_runs_only(folder: &Path, entries: &[String]) -> bool {
    let mut runs = 0;
    for entry in entries {
        let path = folder.join(entry);
        if REPORT_FILES.contains(&entry.as_str()) && is_report(folder) {
            continue;
        }
        let Some(found) = runs_below(&path, 2) else {
            return false;
        };
        runs += found;
    }
    runs > 0
}

/// Number of runs `depth` levels below a folder without other contents; `None` if it has others.
fn runs_below(folder: &Path, depth: usize) -> Option<usize> {
    if depth == 0 {
        return matches!(standing(folder, FolderKind::Run), Ok(Standing::Ours(_))).then_some(1);
    }
    let below = names(folder).ok()?.into_iter().map(|name| folder.join(name));
    below.map(|inner| runs_below(&inner, depth - 1)).sum()
}

/// Whether the report next to runs is one of ours.
fn is_report(folder: &Path) -> bool {
    #[derive(Deserialize)]
    struct Trace {
        #[serde(rename = "benchmark")]
        _benchmark: IgnoredAny,
        #[serde(rename = "notes")]
        _notes: Vec<String>,
        #[serde(rename = "tasks")]
        _tasks: Vec<String>,
        #[serde(rename = "rows")]
        _rows: Vec<IgnoredAny>,
        #[serde(rename = "runs")]
        _runs: Vec<IgnoredAny>,
    }
    read_json::<Trace>(&folder.join(REPORT_FILES[0])).is_ok()
}

/// Size of the completions provided in a folder before its run.
fn completions_bytes(folder: &Path) -> Result<u64, TrainError> {
    let path = folder.join(COMPLETIONS);
    let failed = |error| TrainError::read("read", &path)(error);
    let file = File::open(&path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    for (index, line) in BufReader::new(file).split(b'\n').enumerate() {
        let line = line.map_err(failed)?;
        serde_json::from_slice::<Completion>(&line).map_err(|cause| FolderError::Completions {
            path: path.clone(),
            line: index + 1,
            found: cause.to_string(),
        })?;
    }
    Ok(bytes)
}
