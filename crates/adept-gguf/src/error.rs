//! Why a model could not be imported.

use std::path::PathBuf;

use adept_files::FileError;

use crate::kind::TensorType;

/// Any error of this crate. Each names the file and the key or tensor, and says what was expected and found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GgufError {
    /// Something else is in the file's place.
    #[error(transparent)]
    File(#[from] FileError),
    /// Reading failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// Writing failed.
    #[error("{} cannot be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// Not a GGUF file.
    #[error(
        "{}: expected a GGUF file, which begins with `GGUF`, found {:?}",
        path.display(),
        String::from_utf8_lossy(found)
    )]
    Magic {
        /// The file.
        path: PathBuf,
        /// Its first bytes.
        found: [u8; 4],
    },
    /// A big-endian file.
    #[error("{}: a big-endian GGUF file; only little-endian ones are supported", path.display())]
    BigEndian {
        /// The file.
        path: PathBuf,
    },
    /// Another version of the format.
    #[error("{}: expected GGUF version 2 or 3, found {found}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The file is too short.
    #[error(
        "{}: the file ends within {section}: expected {expected} bytes from byte {at} on, found {found}; it may be an \
         incomplete download",
        path.display()
    )]
    Cut {
        /// The file.
        path: PathBuf,
        /// The part that is cut.
        section: String,
        /// Where it should be.
        at: u64,
        /// Bytes needed.
        expected: u64,
        /// Bytes left.
        found: u64,
    },
    /// More entries than fit into the file.
    #[error(
        "{}: {section} has {found} {of}, but the rest of the file holds at most {most}; it may be an incomplete \
         download",
        path.display()
    )]
    Count {
        /// The file.
        path: PathBuf,
        /// Where the count is.
        section: String,
        /// What is counted.
        of: &'static str,
        /// The count.
        found: u64,
        /// The largest possible one.
        most: u64,
    },
    /// A text is not UTF-8.
    #[error("{}: {section}: expected UTF-8, found 0x{byte:02x} at byte {at} of the text", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// Where the text is.
        section: String,
        /// The first invalid byte.
        byte: u8,
        /// Its offset in the text.
        at: usize,
    },
    /// A key that occurs twice.
    #[error("{}: the metadata key `{key}` occurs twice", path.display())]
    DuplicateKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
    },
    /// A tensor that occurs twice.
    #[error("{}: the tensor `{tensor}` occurs twice", path.display())]
    DuplicateTensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// An unknown type of metadata.
    #[error("{}: `{key}`: expected a value type from 0 to 12, found {found}", path.display())]
    ValueType {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// The type's number.
        found: u32,
    },
    /// A list of lists.
    #[error("{}: `{key}` is a list of lists, which no model has", path.display())]
    NestedList {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
    },
    /// A key that has to be there.
    #[error("{}: the metadata key `{key}` is missing", path.display())]
    MissingKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
    },
    /// A key with a value of the wrong type, or one that is impossible or unsupported.
    #[error("{}: `{key}`: expected {expected}, found {found}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// The values that would do.
        expected: String,
        /// The value.
        found: String,
    },
    /// A tensor with too many dimensions, or none.
    #[error("{}: {tensor}: expected 1 to 4 dimensions, found {found}", path.display())]
    Dimensions {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Their number.
        found: u32,
    },
    /// A tensor of an unsupported type.
    #[error("{}: {tensor}: expected one of the types {known}, found {found}", path.display())]
    Type {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its type.
        found: String,
        /// The supported types.
        known: String,
    },
    /// A row that is not a whole number of blocks.
    #[error(
        "{}: {tensor}: expected rows of a multiple of {} values, the block of {kind}, found {found}",
        path.display(),
        kind.block()
    )]
    Row {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its type.
        kind: TensorType,
        /// Values in a row.
        found: u64,
    },
    /// A tensor without values, or with more than can be counted.
    #[error("{}: {tensor}: expected 1 to 2^63 values, found the shape {found:?}", path.display())]
    Values {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its shape.
        found: Vec<u64>,
    },
    /// A tensor at an offset that is not aligned.
    #[error("{}: {tensor}: expected an offset that is a multiple of {alignment}, found {found}", path.display())]
    Offset {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its offset.
        found: u64,
        /// The file's alignment.
        alignment: u64,
    },
    /// A tensor that ends behind the file.
    #[error(
        "{}: {tensor}: expected a file of at least {end} bytes, where the tensor ends, found {size}; it may be an \
         incomplete download",
        path.display()
    )]
    Outside {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Where it would end.
        end: u64,
        /// The file's size.
        size: u64,
    },
    /// Two tensors in one place.
    #[error("{}: {tensor} begins at byte {offset}, within {other}, which ends at byte {end}", path.display())]
    Overlap {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The one before it.
        other: String,
        /// Where the tensor begins.
        offset: u64,
        /// Where the other one ends.
        end: u64,
    },
    /// A part of a split model whose name does not tell those of the others.
    #[error(
        "{}: one of {count} parts; expected a name like model-00001-of-{count:05}.gguf, from which the others follow",
        path.display()
    )]
    PartName {
        /// The file.
        path: PathBuf,
        /// How many parts there are.
        count: usize,
    },
    /// A part of a split model is not there.
    #[error("{}: one of {count} parts, of which {} is missing", path.display(), part.display())]
    MissingPart {
        /// The file that was given.
        path: PathBuf,
        /// The missing one.
        part: PathBuf,
        /// How many parts there are.
        count: usize,
    },
    /// An unsupported name: an architecture, a kind of tokenizer or a pre-tokenizer.
    #[error(
        "{}: `{key}`: expected one of {}, found `{found}`, which is most like `{nearest}`",
        path.display(),
        known.join(", ")
    )]
    Unknown {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// Its value.
        found: String,
        /// The supported values.
        known: Vec<&'static str>,
        /// The most similar one.
        nearest: &'static str,
    },
    /// A byte-level tokenizer that does not say how it splits texts.
    #[error(
        "{}: `tokenizer.ggml.pre`, which names the pre-tokenizer, is missing: expected one of {}",
        path.display(),
        known.join(", ")
    )]
    NoPreTokenizer {
        /// The file.
        path: PathBuf,
        /// The supported values.
        known: Vec<&'static str>,
    },
    /// A tensor that the architecture needs.
    #[error("{}: expected a tensor {tensor} of shape {expected:?}, found none", path.display())]
    MissingTensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its shape.
        expected: Vec<u64>,
    },
    /// A tensor of another shape than the metadata says.
    #[error("{}: {tensor}: expected the shape {expected:?}, found {found:?}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The shape by the metadata.
        expected: Vec<u64>,
        /// Its shape.
        found: Vec<u64>,
    },
    /// A tensor that does not belong to the architecture.
    #[error("{}: {tensor} does not belong to a model of architecture {architecture}", path.display())]
    UnexpectedTensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The architecture.
        architecture: &'static str,
    },
    /// Llama 3's frequency factors, whose parameters were not found.
    #[error("{}: {tensor}: {reason}", path.display())]
    Factors {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// What is wrong with them.
        reason: &'static str,
    },
    /// NaN, infinity, or a number that the written type cannot hold.
    #[error("{}: {tensor}, value {index}: expected a number that fits into {kind}, found {found}", path.display())]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The place of the value in the tensor.
        index: u64,
        /// The value.
        found: f32,
        /// The type to be written.
        kind: &'static str,
    },
    /// A token that occurs twice.
    #[error("{}: `tokenizer.ggml.tokens`: {token:?} is token {first} and token {second}", path.display())]
    DuplicateToken {
        /// The file.
        path: PathBuf,
        /// The token.
        token: String,
        /// Its first id.
        first: usize,
        /// Its second id.
        second: usize,
    },
    /// A merge of something that is no token.
    #[error(
        "{}: `tokenizer.ggml.merges`, entry {number}: expected two tokens that make a third, found {found:?}",
        path.display()
    )]
    Merge {
        /// The file.
        path: PathBuf,
        /// Its place in the list, from 0.
        number: usize,
        /// The entry.
        found: String,
    },
    /// The output folder has other entries than those of an import, or is none of ours.
    #[error("{}: {reason}", dir.display())]
    Taken {
        /// The folder.
        dir: PathBuf,
        /// What is in the way.
        reason: String,
    },
    /// The observer asked to stop.
    #[error("stopped")]
    Stopped,
}

impl GgufError {
    /// Whether the system refused to write.
    #[must_use]
    pub fn is_write(&self) -> bool {
        matches!(self, Self::Write { .. })
    }
}
