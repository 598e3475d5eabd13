//! What can be wrong with a backbone's files, each with the figures to repair it.

use std::path::PathBuf;

/// A backbone that cannot be read, written or does not fit its configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The system refused to read a file.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The system refused to write a file.
    #[error("{path}: cannot be written: {source}")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A model is to be saved over files that this crate did not write.
    #[error("{dir}: holds {found}, which adept did not write; nothing was written; choose a new or an empty folder")]
    Foreign {
        /// The folder.
        dir: PathBuf,
        /// The file.
        found: &'static str,
    },
    /// A family of backbones that is not known.
    #[error("{}: expected a backbone of model_type {}, found `{found}`", path.display(), alternatives(known))]
    Family {
        /// The backbone's folder.
        path: PathBuf,
        /// Families that are known.
        known: Vec<&'static str>,
        /// What its `config.json` says.
        found: String,
    },
    /// A JSON file does not parse, or a field has the wrong type.
    #[error("{path}: not the JSON that was expected: {source}")]
    Json {
        /// The file.
        path: PathBuf,
        /// The parser's reason, with line and column.
        source: serde_json::Error,
    },
    /// A field of `config.json` has a value this crate cannot build.
    #[error("config field `{field}`: expected {expected}, found {found}")]
    Config {
        /// Name of the field.
        field: &'static str,
        /// What would do.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A key of `config.json` or `generation_config.json` has a value that is not supported.
    #[error("{}: `{key}`: expected {expected}, found {found}", file.display())]
    Setting {
        /// The file.
        file: PathBuf,
        /// The key.
        key: String,
        /// What would do.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A file is not what it should be: a pointer, a web page, a link to nothing, a text that is not UTF-8.
    #[error(transparent)]
    File(adept_files::FileError),
    /// A folder holds no weights in a format this crate reads.
    #[error("{dir}: expected model.safetensors or model.safetensors.index.json, found neither")]
    NoWeights {
        /// The folder.
        dir: PathBuf,
    },
    /// The index names a shard that is not there.
    #[error("{index}: names the shard `{shard}`, which is not in the folder")]
    MissingShard {
        /// The index file.
        index: PathBuf,
        /// The shard's file name.
        shard: String,
    },
    /// The index places a tensor in a shard that does not hold it.
    #[error("{index}: places `{tensor}` in `{shard}`, which does not hold it")]
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
        /// Bytes that the header accounts for.
        expected: u64,
        /// Bytes in the file.
        found: u64,
    },
    /// A safetensors header that does not parse or contradicts itself.
    #[error("{file}: not a safetensors file: {source}")]
    Header {
        /// The file.
        file: PathBuf,
        /// The format's reason.
        source: safetensors::SafeTensorError,
    },
    /// A tensor the architecture needs is absent.
    #[error("{file}: tensor `{tensor}` is missing, expected shape {expected:?}")]
    MissingTensor {
        /// The file, or the folder of a sharded checkpoint.
        file: PathBuf,
        /// The tensor.
        tensor: String,
        /// Shape by the configuration.
        expected: Vec<usize>,
    },
    /// A tensor the architecture has no place for.
    #[error("{file}: tensor `{tensor}` (shape {found:?}) has no place in the model that config.json describes")]
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
        /// Shape by the configuration.
        expected: Vec<usize>,
        /// Shape in the file.
        found: Vec<usize>,
    },
    /// A tensor's element type is none of f32, f16, bf16.
    #[error("{file}: tensor `{tensor}`: expected {expected}, found {found}")]
    Dtype {
        /// The file.
        file: PathBuf,
        /// The tensor.
        tensor: String,
        /// Types that are read.
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
        /// Its first such place, an index a dimension.
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
        /// The tensor it is an alias of.
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
    /// A field that cannot be built from.
    pub(crate) fn config(field: &'static str, expected: impl ToString, found: impl ToString) -> Self {
        Self::Config {
            field,
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }
}

/// Words as alternatives: `a, b or c`.
fn alternatives(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}
