//! Errors about a backbone's files, each with the figures needed to fix them.

use std::path::PathBuf;

/// Why a backbone could not be read or written, or does not fit its configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// Reading a file failed.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Writing a file failed.
    #[error("{path}: cannot be written: {source}")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Saving would overwrite a model that this crate did not write.
    #[error("{dir}: holds {found}, which adept did not write; nothing was written; choose a new or an empty folder")]
    Foreign {
        /// The folder.
        dir: PathBuf,
        /// The file.
        found: &'static str,
    },
    /// An unknown family of backbones.
    #[error(
        "{}: expected a backbone of model_type {}, found `{found}`, which is most like `{nearest}`",
        path.display(),
        alternatives(known)
    )]
    Family {
        /// The backbone's folder.
        path: PathBuf,
        /// Supported families.
        known: Vec<&'static str>,
        /// The supported family whose name is most like it.
        nearest: &'static str,
        /// The value in its `config.json`.
        found: String,
    },
    /// An encoder-decoder in place of a decoder-only model.
    #[error("{}: expected a decoder-only model, found `{found}`", path.display())]
    NotADecoder {
        /// The backbone's folder.
        path: PathBuf,
        /// The value of `model_type` in its `config.json`.
        found: &'static str,
    },
    /// A JSON file does not parse, or a field has the wrong type.
    #[error("{path}: unexpected JSON: {source}")]
    Json {
        /// The file.
        path: PathBuf,
        /// The cause, with line and column.
        source: serde_json::Error,
    },
    /// A field of `config.json` has an unsupported value.
    #[error("config field `{field}`: expected {expected}, found {found}")]
    Config {
        /// Name of the field.
        field: &'static str,
        /// What would be accepted.
        expected: String,
        /// The value in the file.
        found: String,
    },
    /// A key of `config.json` or `generation_config.json` has an unsupported value.
    #[error("{}: `{key}`: expected {expected}, found {found}", file.display())]
    Setting {
        /// The file.
        file: PathBuf,
        /// The key.
        key: String,
        /// What would be accepted.
        expected: String,
        /// The value in the file.
        found: String,
    },
    /// A stand-in for the expected file: a pointer, a web page, a dangling link, text that is not UTF-8.
    #[error(transparent)]
    File(adept_files::FileError),
    /// A folder without weights in a supported format.
    #[error("{dir}: expected model.safetensors or model.safetensors.index.json, found neither")]
    NoWeights {
        /// The folder.
        dir: PathBuf,
    },
    /// The index names a shard that is missing.
    #[error("{index}: names the shard `{shard}`, which is not in the folder")]
    MissingShard {
        /// The index file.
        index: PathBuf,
        /// The shard's file name.
        shard: String,
    },
    /// The index places a tensor in a shard that does not hold it.
    #[error("{index}: places `{tensor}` in `{shard}`, which does not contain it")]
    NotInShard {
        /// The index file.
        index: PathBuf,
        /// The tensor.
        tensor: String,
        /// The shard's file name.
        shard: String,
    },
    /// A file is shorter or longer than its header says.
    #[error("{file}: expected {expected} bytes by its header, found {found}: the file is truncated or damaged")]
    Size {
        /// The file.
        file: PathBuf,
        /// Bytes according to the header.
        expected: u64,
        /// Bytes in the file.
        found: u64,
    },
    /// A safetensors header that does not parse or is inconsistent.
    #[error("{file}: not a safetensors file: {source}")]
    Header {
        /// The file.
        file: PathBuf,
        /// The cause.
        source: safetensors::SafeTensorError,
    },
    /// A tensor required by the architecture is missing.
    #[error("{file}: tensor `{tensor}` is missing, expected shape {expected:?}")]
    MissingTensor {
        /// The file, or the folder of a sharded checkpoint.
        file: PathBuf,
        /// The tensor.
        tensor: String,
        /// Shape according to the configuration.
        expected: Vec<usize>,
    },
    /// A tensor that the architecture does not have.
    #[error("{file}: tensor `{tensor}` (shape {found:?}) does not belong to the model described by config.json")]
    UnexpectedTensor {
        /// The file.
        file: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its shape.
        found: Vec<usize>,
    },
    /// A tensor's shape contradicts the configuration.
    #[error("{file}: tensor `{tensor}`: expected shape {expected:?}, found {found:?}")]
    Shape {
        /// The file.
        file: PathBuf,
        /// The tensor.
        tensor: String,
        /// Shape according to the configuration.
        expected: Vec<usize>,
        /// Shape in the file.
        found: Vec<usize>,
    },
    /// A tensor's element type is not f32, f16 or bf16.
    #[error("{file}: tensor `{tensor}`: expected {expected}, found {found}")]
    Dtype {
        /// The file.
        file: PathBuf,
        /// The tensor.
        tensor: String,
        /// Supported types.
        expected: &'static str,
        /// Type in the file.
        found: String,
    },
    /// A weight is NaN or infinite.
    #[error("{file}: tensor `{tensor}`: the value at {index:?} is {found}, expected a finite number")]
    NotFinite {
        /// The file.
        file: PathBuf,
        /// The tensor.
        tensor: String,
        /// Index of the first such value, one per dimension.
        index: Vec<usize>,
        /// The value.
        found: f32,
    },
    /// Two names of one weight hold different values.
    #[error("{file}: tensor `{tensor}` is tied to `{target}` but holds other values")]
    Untied {
        /// The file.
        file: PathBuf,
        /// The alias.
        tensor: String,
        /// The tensor it should be equal to.
        target: String,
    },
}

impl From<adept_files::FileError> for ModelError {
    fn from(error: adept_files::FileError) -> Self {
        match error {
            adept_files::FileError::Io { path, source } => Self::Io { path, source },
            other => Self::File(other),
        }
    }
}

impl ModelError {
    pub(crate) fn config(field: &'static str, expected: impl ToString, found: impl ToString) -> Self {
        Self::Config {
            field,
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }
}

/// Joins words as alternatives: `a, b or c`.
fn alternatives(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}
