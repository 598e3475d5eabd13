//! What can stop a verification before it has a verdict. A deviation is no error: it is a row that did not pass.

use std::path::PathBuf;

/// Why a golden folder could not be checked.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A file of the folder is not there or cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file is not what it should be: a Git LFS pointer, a web page, a link to nothing.
    #[error(transparent)]
    File(adept_files::FileError),
    /// `golden.safetensors` is truncated or otherwise not a safetensors file.
    #[error("{}: not a whole safetensors file: {source}", path.display())]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// What the reader said.
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
    /// A tensor that a group needs is missing: the group cannot be checked, which is not a pass.
    #[error("{}: group `{group}` needs the tensor `{tensor}`, which the file does not hold", path.display())]
    MissingTensor {
        /// The file.
        path: PathBuf,
        /// The group that needs it.
        group: String,
        /// The tensor's name.
        tensor: String,
    },
    /// A list of the folder that a group needs is empty.
    #[error("{}: group `{group}` has no cases to check", path.display())]
    NoCases {
        /// The file.
        path: PathBuf,
        /// The group.
        group: String,
    },
    /// A tensor of the golden file has another type than the layout fixes.
    #[error("{}: tensor `{tensor}` is {found}, expected {expected}", path.display())]
    Dtype {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// The type the layout fixes.
        expected: &'static str,
        /// The type in the file.
        found: String,
    },
    /// A tensor of the golden file has another shape than the layout fixes.
    #[error("{}: tensor `{tensor}` has shape {found:?}, expected {expected:?}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// The shape the layout fixes.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },
    /// The golden value itself is not a finite number, so nothing can be compared with it.
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
    /// A token id of the golden file is outside the backbone's vocabulary.
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
    /// The golden file's own margin is so small that rounding may flip a greedy token: unequal ids would prove nothing.
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
    /// What the folder calls float32 noise is too much to be rounding.
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
        /// The most that can be rounding.
        most: f64,
    },
    /// The device did not hand a tensor back.
    #[error("reading `{tensor}` back from the device: {cause}")]
    Device {
        /// The tensor's name in the golden file.
        tensor: String,
        /// What burn said.
        cause: String,
    },
    /// The backbone could not be read.
    #[error(transparent)]
    Model(#[from] adept_models::ModelError),
    /// Nothing could be written on from a golden prompt.
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
