//! Errors that prevent a verdict. A deviation is not an error: it is a row that did not pass.

use std::path::PathBuf;

/// Why a golden folder could not be checked.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A file of the folder is missing or unreadable.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A stand-in for the expected file: a Git LFS pointer, a web page, a dangling link.
    #[error(transparent)]
    File(adept_files::FileError),
    /// `golden.safetensors` is truncated or otherwise not a safetensors file.
    #[error("{}: incomplete or invalid safetensors file: {source}", path.display())]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: safetensors::SafeTensorError,
    },
    /// A JSON file of the folder does not parse.
    #[error("{}: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Line, column and cause.
        source: serde_json::Error,
    },
    /// A tensor that a group needs is missing, so the group cannot be checked, which does not count as a pass.
    #[error("{}: group `{group}` needs the tensor `{tensor}`, which the file does not hold", path.display())]
    MissingTensor {
        /// The file.
        path: PathBuf,
        /// The group that needs it.
        group: String,
        /// The tensor's name.
        tensor: String,
    },
    /// A list that a group needs is empty.
    #[error("{}: group `{group}` has no cases to check", path.display())]
    NoCases {
        /// The file.
        path: PathBuf,
        /// The group.
        group: String,
    },
    /// A golden tensor's type differs from the specified layout.
    #[error("{}: tensor `{tensor}` is {found}, expected {expected}", path.display())]
    Dtype {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// The type in the specified layout.
        expected: &'static str,
        /// The type in the file.
        found: String,
    },
    /// A golden tensor's shape differs from the specified layout.
    #[error("{}: tensor `{tensor}` has shape {found:?}, expected {expected:?}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// The shape in the specified layout.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },
    /// A golden value is not finite, so nothing can be compared with it.
    #[error("{}: tensor `{tensor}` holds {value} at flat index {index}", path.display())]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// Position in row-major order.
        index: usize,
        /// The value.
        value: f64,
    },
    /// A golden token id is outside of the backbone's vocabulary.
    #[error("{}: tensor `{tensor}` holds the id {id}, but the backbone's vocabulary has {vocabulary} entries", path.display())]
    Id {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// The id.
        id: i64,
        /// The backbone's vocabulary size.
        vocabulary: usize,
    },
    /// A golden margin is so small that rounding may flip a greedy token, so different ids would prove nothing.
    #[error("{}: tensor `{tensor}` holds the margin {found:e}, at least {least:e} is needed", path.display())]
    Margin {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// The smallest margin.
        found: f64,
        /// The smallest margin that float32 noise cannot bridge.
        least: f64,
    },
    /// The float32 noise stated by the folder is too large for rounding.
    #[error(
        "{}: tensor `{tensor}`: expected a noise from 0 to {most:e}, a thousandth of its scale, found {found:e}",
        path.display()
    )]
    Noise {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// The noise in the file.
        found: f64,
        /// The largest plausible rounding error.
        most: f64,
    },
    /// Reading a tensor back from the device failed.
    #[error("reading `{tensor}` back from the device: {cause}")]
    Device {
        /// The tensor's name in the golden file.
        tensor: String,
        /// burn's message.
        cause: String,
    },
    /// The backbone could not be read.
    #[error(transparent)]
    Model(#[from] adept_models::ModelError),
    /// Generation from a golden prompt failed.
    #[error(transparent)]
    Generate(#[from] adept_models::generate::GenerateError),
    /// The adapter could not be built.
    #[error(transparent)]
    Core(#[from] adept_core::CoreError),
    /// The tokenizer could not be read.
    #[error(transparent)]
    Data(#[from] adept_data::DataError),
}

impl From<adept_files::FileError> for VerifyError {
    fn from(error: adept_files::FileError) -> Self {
        match error {
            adept_files::FileError::Io { path, source } => Self::Io { path, source },
            other => Self::File(other),
        }
    }
}
