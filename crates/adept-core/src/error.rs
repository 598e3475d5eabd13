//! Errors about adapters, each with the figures needed to diagnose it.

use std::path::PathBuf;

use crate::{Fingerprint, Method};

/// Why an operation of this crate failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CoreError {
    /// The configuration does not describe a valid adapter.
    #[error("{method} adapter: {field} is {found}, expected {expected}")]
    InvalidConfig {
        /// The method configured.
        method: Method,
        /// The invalid field.
        field: &'static str,
        /// What would be accepted.
        expected: &'static str,
        /// What was given.
        found: String,
    },

    /// The budget leaves no room for an offset.
    #[error(
        "method {method}: a budget of {budget_tokens} tokens of width {d_model} leaves no room for an offset beside \
         {virtual_tokens} virtual tokens"
    )]
    NoRoom {
        /// The method.
        method: Method,
        /// The budget, in rows of the model's width.
        budget_tokens: usize,
        /// Width of a row.
        d_model: usize,
        /// Rows taken by the prompt.
        virtual_tokens: usize,
    },

    /// The adapter's method is not the one described.
    #[error("the description is of a {expected} adapter, the adapter is {found}")]
    OtherMethod {
        /// The method described.
        expected: Method,
        /// The adapter's method.
        found: Method,
    },

    /// A target that matches none of the model's linear maps.
    #[error("{method}: target module {target} matches none of the model's linear maps, which end with: {modules}")]
    NoTarget {
        /// The method.
        method: Method,
        /// The name or pattern.
        target: String,
        /// Last components of the maps' names.
        modules: String,
    },

    /// Prompts of other tasks that are missing or of other sizes.
    #[error("prompts of other tasks: expected {expected:?} (prompts, virtual tokens, width), found {found:?}")]
    SourcePrompts {
        /// Shape according to the configuration.
        expected: [usize; 3],
        /// Shape given; zeros: none was given.
        found: [usize; 3],
    },

    /// A model without the places that a method changes.
    #[error("{method}: expected a model with {needed}, found one without")]
    NoSite {
        /// The method.
        method: Method,
        /// What the method changes.
        needed: &'static str,
    },

    /// More blocks left out than a stack has.
    #[error("{method}: skip_blocks is {skip_blocks}, but a stack of the model has {blocks} blocks: expected fewer")]
    NoBlocks {
        /// The method.
        method: Method,
        /// Blocks to leave out.
        skip_blocks: usize,
        /// Blocks of the stack.
        blocks: usize,
    },

    /// A model beside which no side network runs.
    #[error("{method}: this kind of model runs no side network beside it")]
    NoSideNetwork {
        /// The method.
        method: Method,
    },

    /// A side network whose widths are no whole numbers.
    #[error(
        "{method}: reduction is {reduction}, which does not divide a size of the model: {size} ({found}); expected one of \
         {allowed}"
    )]
    Reduction {
        /// The method.
        method: Method,
        /// What the sizes are to be divided by.
        reduction: usize,
        /// The first size that it does not divide.
        size: String,
        /// Its value.
        found: usize,
        /// What divides every size.
        allowed: String,
    },

    /// A side network without a block.
    #[error(
        "{method}: skip_every is {skip_every}, which leaves none of the {blocks} blocks of a stack of the model a side \
         block: expected a larger number, or 0 to leave out none"
    )]
    NoSideBlocks {
        /// The method.
        method: Method,
        /// Of so many blocks one is left out.
        skip_every: usize,
        /// Blocks of the stack.
        blocks: usize,
    },

    /// Initial values made of the model's weights, which were not given.
    #[error(
        "{method}: init is pruned, which needs the model's weights, but {place} could not be read; expected random"
    )]
    NoWeights {
        /// The method.
        method: Method,
        /// What could not be read.
        place: String,
    },

    /// Initial values made of squared gradients, which were not given.
    #[error(
        "{method}: init is gradients, which needs the squared gradients of {examples} training examples; expected \
         pruned or random where there are none"
    )]
    NoGradients {
        /// The method.
        method: Method,
        /// How many it needs.
        examples: usize,
    },

    /// A prefix made for attentions of other sizes; blocks, heads of keys and values, channels of a head.
    #[error(
        "the prefix is for {} blocks with {} key heads of {} channels, the model's {stack} has {} blocks with {} of {}",
        expected[0], expected[1], expected[2], found[0], found[1], found[2]
    )]
    OtherAttention {
        /// The stack of the model.
        stack: &'static str,
        /// The prefix's.
        expected: [usize; 3],
        /// The model's.
        found: [usize; 3],
    },

    /// A change of a sublayer, which no weights can express.
    #[error("module {module}: what the adapter puts there cannot be merged into weights")]
    NotMergeable {
        /// The module.
        module: String,
    },

    /// A bias that cannot be merged.
    #[error("module {module} has no bias, so an added one cannot be merged: it would have no place in the checkpoint")]
    NoBias {
        /// The module.
        module: String,
    },

    /// A target pattern that is not a valid regular expression.
    #[error("{method}: target_modules {pattern:?} is not a supported regular expression: {source}")]
    TargetPattern {
        /// The method.
        method: Method,
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        source: Box<regex::Error>,
    },

    /// The adapter was made for a model with other modules.
    #[error(
        "{method} adapter: tensor {tensor} belongs to a module that this model does not have; its modules are named like {example:?}"
    )]
    UnknownModule {
        /// The method.
        method: Method,
        /// Name of the tensor.
        tensor: String,
        /// Name of the model's first linear map.
        example: String,
    },

    /// A channel that this kind of adapter must leave unchanged has a factor other than 1.
    #[error(
        "tensor {tensor}: channel {channel} has the factor {found}, expected 1: the adapter only scales keys and values"
    )]
    FixedFactor {
        /// Name of the tensor.
        tensor: String,
        /// The channel, in the model's order.
        channel: usize,
        /// Its factor.
        found: f32,
    },

    /// A merged factor is zero, so the original weights cannot be recovered.
    #[error("module {module}: a factor is 0, so the weights that it was merged into cannot be recovered")]
    ZeroFactor {
        /// The linear map.
        module: String,
    },

    /// The method cannot be merged.
    #[error("{method}: cannot be merged into the weights: {reason}")]
    CannotMerge {
        /// The method.
        method: Method,
        /// Why not.
        reason: String,
    },

    /// The input is longer than DePT's position table.
    #[error(
        "the input is {found} tokens wide, but this DePT adapter has offsets for {limit} positions only: \
         shorten the input or train with a larger max_source_length"
    )]
    InputTooLong {
        /// Width of the padded input in tokens.
        found: usize,
        /// Rows of A.
        limit: usize,
    },

    /// Rows given to initialise a prompt have the wrong shape.
    #[error("prompt initialisation: expected at least one row of width {expected}, found shape {found:?}")]
    PromptRows {
        /// The width of the prompt.
        expected: usize,
        /// The shape of the rows.
        found: [usize; 2],
    },

    /// The standard deviation of a random prompt is invalid.
    #[error("prompt initialisation: the standard deviation is {found}, expected a finite number of at least 0")]
    PromptDeviation {
        /// The value given.
        found: f64,
    },

    /// The adapter does not match the metadata it is to be saved with.
    #[error("tensor {tensor}: the configuration expects shape {expected:?}, the adapter holds {found:?}")]
    AdapterMismatch {
        /// Name of the tensor in the file.
        tensor: String,
        /// Shape according to the configuration (empty: not in the configuration).
        expected: Vec<usize>,
        /// Shape of the module's parameter (empty: not in the module).
        found: Vec<usize>,
    },

    /// Reading failed.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },

    /// A stand-in for the expected file: a Git LFS pointer, a web page, a dangling link.
    #[error(transparent)]
    File(adept_files::FileError),
    /// Writing failed.
    #[error("{path}: cannot be written: {source}", path = path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },

    /// Saving would overwrite an adapter that this crate did not write.
    #[error(
        "{path}: holds {found}, which adept did not write; nothing was written; choose a new or an empty folder",
        path = path.display()
    )]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// The file.
        found: &'static str,
    },

    /// The folder has a configuration but no tensor file.
    #[error("{path}: found neither adapter_model.safetensors nor adapter_model.bin", path = path.display())]
    NoTensorFile {
        /// The adapter's folder.
        path: PathBuf,
    },

    /// `adapter_config.json` is not JSON, or not an object.
    #[error("{path}: not a readable adapter configuration: {source}", path = path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The cause, with line and column.
        source: serde_json::Error,
    },

    /// A field of `adapter_config.json` is missing or invalid.
    #[error("{path}: field {field}: expected {expected}, found {found}", path = path.display())]
    ConfigField {
        /// The file.
        path: PathBuf,
        /// The key.
        field: String,
        /// What would be accepted.
        expected: String,
        /// The value in the file (`nothing` if the key is missing).
        found: String,
    },

    /// The adapter's `peft_type` is not supported.
    #[error("{path}: peft_type is {found}, expected one of {}", peft_types(), path = path.display())]
    UnknownPeftType {
        /// The file.
        path: PathBuf,
        /// The value of `peft_type`.
        found: String,
    },

    /// A tensor described by the configuration is missing from the file.
    #[error("{path}: tensor {tensor} is missing, expected shape {expected:?}", path = path.display())]
    MissingTensor {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// The shape it should have.
        expected: Vec<usize>,
    },

    /// The file holds a tensor that this kind of adapter does not have.
    #[error("{path}: unexpected tensor {tensor} of shape {found:?}", path = path.display())]
    UnexpectedTensor {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// Its shape.
        found: Vec<usize>,
    },

    /// A tensor's shape differs from the configuration's.
    #[error("{path}: tensor {tensor}: expected shape {expected:?}, found {found:?}", path = path.display())]
    ShapeMismatch {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// Shape according to the configuration.
        expected: Vec<usize>,
        /// Shape in the file.
        found: Vec<usize>,
    },

    /// A malformed array of NumPy.
    #[error("{path}: {problem}", path = path.display())]
    Npy {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },

    /// A file of several tensors, none of which is known to be a prompt.
    #[error("{path}: expected one tensor, or one called prompt_embeddings, found {found}", path = path.display())]
    NoRows {
        /// The file.
        path: PathBuf,
        /// Names of its tensors.
        found: String,
    },

    /// A tensor that is no list of virtual tokens.
    #[error(
        "{path}: {tensor}: expected two dimensions, virtual tokens and the model's width, found shape {found:?}",
        path = path.display()
    )]
    RowsShape {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// Its shape.
        found: Vec<usize>,
    },

    /// A tensor's element type is not f32, f16 or bf16.
    #[error("{path}: tensor {tensor}: expected f32, f16 or bf16 values, found {found}", path = path.display())]
    DtypeMismatch {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// The type in the file.
        found: String,
    },

    /// A tensor holds NaN or an infinity.
    #[error("{path}: tensor {tensor}: the value at {index:?} is {found}, expected a finite number", path = path.display())]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// Row and column (or index) of the first such value.
        index: Vec<usize>,
        /// The value.
        found: f32,
    },

    /// The header or length of a safetensors file is wrong; it may be truncated.
    #[error("{path}: incomplete or invalid safetensors file: {source}", path = path.display())]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: safetensors::SafeTensorError,
    },

    /// The tensors are not the ones the configuration was written with.
    #[error(
        "{path}: the tensors hash to {found}, but adapter_config.json was written with {expected}: \
         the files are damaged or belong to different adapters",
        path = path.display()
    )]
    TensorHash {
        /// The tensor file.
        path: PathBuf,
        /// Hash in the configuration.
        expected: Fingerprint,
        /// Hash of the tensors.
        found: Fingerprint,
    },

    /// A `.bin` file that is not a PyTorch zip archive.
    #[error("{path}: incomplete or invalid PyTorch archive: {problem}", path = path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },

    /// A `.bin` file in the format used before PyTorch 1.6.
    #[error(
        "{path}: a PyTorch file from before version 1.6 (not a zip archive), which is not supported: load it with \
         torch.load and save it again",
        path = path.display()
    )]
    LegacyTorchFile {
        /// The file.
        path: PathBuf,
    },

    /// The pickle in a `.bin` file contains more than tensors.
    #[error("{path}: pickle refused at byte {position}: {problem}", path = path.display())]
    Pickle {
        /// The file.
        path: PathBuf,
        /// Offset of the opcode in the pickle.
        position: usize,
        /// What it asked for.
        problem: PickleProblem,
    },

    /// The adapter was trained on other backbone weights.
    #[error("the adapter was trained on the backbone {expected}, but this backbone is {found}")]
    WrongBackbone {
        /// The fingerprint in the adapter file.
        expected: Fingerprint,
        /// The fingerprint of this backbone.
        found: Fingerprint,
    },

    /// The adapter was trained on a backbone of another width.
    #[error("the adapter is {expected} wide, but this backbone's embeddings are {found} wide")]
    WrongWidth {
        /// Width of the adapter.
        expected: usize,
        /// Width of the backbone's embeddings.
        found: usize,
    },
}

/// `peft_type` and title of every method.
fn peft_types() -> String {
    let types: Vec<String> = Method::ALL
        .iter()
        .map(|method| format!("{} ({})", method.info().peft_type, method.info().title))
        .collect();
    types.join(", ")
}

impl From<adept_files::FileError> for CoreError {
    fn from(error: adept_files::FileError) -> Self {
        match error {
            adept_files::FileError::Io { path, source } => Self::Io { path, source },
            other => Self::File(other),
        }
    }
}

/// Why a pickle was refused. Nothing in a pickle is ever executed: anything a tensor dictionary does not need ends the
/// reading.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PickleProblem {
    /// A global that is not on the allow-list.
    #[error("it names {module}.{name}, which no adapter needs")]
    ForbiddenGlobal {
        /// Python module.
        module: String,
        /// Name in the module.
        name: String,
    },
    /// An opcode that tensor dictionaries do not use.
    #[error("opcode 0x{opcode:02x} is not used by tensor files")]
    ForbiddenOpcode {
        /// The opcode's byte.
        opcode: u8,
    },
    /// The pickle is truncated.
    #[error("the pickle is truncated")]
    Truncated,
    /// The opcodes are inconsistent.
    #[error("expected {expected}, found {found}")]
    Unexpected {
        /// What the opcode requires.
        expected: &'static str,
        /// What was found.
        found: String,
    },
    /// A resource limit far above what adapters need was exceeded.
    #[error("{what} exceeds the limit of {limit}")]
    Limit {
        /// The resource.
        what: &'static str,
        /// Its limit.
        limit: usize,
    },
    /// A tensor reaches beyond the end of its storage.
    #[error("tensor {tensor} reaches element {last} of a storage of {length}")]
    OutOfBounds {
        /// Name of the tensor.
        tensor: String,
        /// Index of the last element it would read.
        last: u64,
        /// Elements in the storage.
        length: u64,
    },
}
