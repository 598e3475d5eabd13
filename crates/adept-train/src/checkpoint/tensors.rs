//! A checkpoint's tensor file: writes and reads parameters and moments one tensor at a time.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use burn::module::{ModuleMapper, ModuleVisitor, Param};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Shape, Tensor, TensorData};
use safetensors::SafeTensorError;
use safetensors::tensor::{Dtype, Metadata, View};

use super::TENSORS;
use crate::error::CheckpointProblem;
use crate::gradient::PathStack;

/// A tensor that is moved to the host only while it is written.
pub(super) struct Flat<B: Backend> {
    tensor: Tensor<B, 1>,
    shape: [usize; 1],
}

impl<B: Backend> Flat<B> {
    pub(super) fn new(tensor: Tensor<B, 1>) -> Self {
        let shape = tensor.dims();
        Self { tensor, shape }
    }
}

impl<B: Backend> View for Flat<B> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let values = self.tensor.to_data().convert::<f32>();
        let values: Vec<f32> = values.into_vec().expect("the data was just converted to f32");
        Cow::Owned(values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    fn data_len(&self) -> usize {
        self.shape[0] * size_of::<f32>()
    }
}

/// Reads single tensors of a safetensors file without loading the file.
pub(super) struct TensorFile {
    file: BufReader<File>,
    metadata: Metadata,
    /// Offset of the tensors' bytes.
    start: u64,
}

impl TensorFile {
    /// Reads the header. A file with the right checksum may still have been crafted: the file must be as long as the
    /// header claims, so that no tensor is larger than the file.
    pub(super) fn open(path: &Path) -> Result<Self, CheckpointProblem> {
        let unreadable = |source| CheckpointProblem::Unreadable { file: TENSORS, source };
        let refused = |source| CheckpointProblem::Header { source };
        let file = File::open(path).map_err(unreadable)?;
        let found = file.metadata().map_err(unreadable)?.len();
        let mut file = BufReader::new(file);
        let mut length = [0; 8];
        file.read_exact(&mut length).map_err(unreadable)?;
        let length = u64::from_le_bytes(length);
        let start = length
            .checked_add(8)
            .filter(|&start| start <= found)
            .ok_or_else(|| refused(SafeTensorError::InvalidHeaderLength))?;
        let mut header = Vec::new();
        (&mut file).take(length).read_to_end(&mut header).map_err(unreadable)?;
        let metadata: Metadata = serde_json::from_slice(&header)
            .map_err(|error| refused(SafeTensorError::InvalidHeaderDeserialization(error)))?;
        if start.checked_add(metadata.data_len() as u64) != Some(found) {
            return Err(refused(SafeTensorError::MetadataIncompleteBuffer));
        }
        Ok(Self { file, metadata, start })
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.metadata.info(name).is_some()
    }

    pub(super) fn read(&mut self, name: &str) -> Result<Vec<f32>, CheckpointProblem> {
        let unreadable = |source| CheckpointProblem::Unreadable { file: TENSORS, source };
        let info = self
            .metadata
            .info(name)
            .filter(|info| info.dtype == Dtype::F32)
            .ok_or_else(|| CheckpointProblem::MissingTensor { name: name.to_owned() })?;
        let (begin, end) = info.data_offsets;
        self.file
            .seek(SeekFrom::Start(self.start + begin as u64))
            .map_err(unreadable)?;
        let mut bytes = vec![0; end.saturating_sub(begin)];
        self.file.read_exact(&mut bytes).map_err(unreadable)?;
        Ok(bytes
            .chunks_exact(4)
            .map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]))
            .collect())
    }
}

/// Collects parameters by path, flattened.
pub(super) struct Reader<AB: AutodiffBackend> {
    pub(super) path: PathStack,
    pub(super) tensors: Vec<(String, Tensor<AB::InnerBackend, 1>)>,
}

impl<AB: AutodiffBackend> ModuleVisitor<AB> for Reader<AB> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<AB, D>>) {
        let tensor = param.val().inner();
        let values = tensor.shape().num_elements();
        self.tensors.push((self.path.path(), tensor.reshape([values])));
    }
}

/// Replaces parameters by those of a file, by path.
pub(super) struct Writer<'a> {
    pub(super) path: PathStack,
    pub(super) file: &'a mut TensorFile,
    pub(super) problem: Option<CheckpointProblem>,
}

impl Writer<'_> {
    fn read(&mut self, shape: &Shape) -> Result<Vec<f32>, CheckpointProblem> {
        let name = format!("parameter/{}", self.path.path());
        let values = self.file.read(&name)?;
        let expected = shape.num_elements();
        if values.len() != expected {
            return Err(CheckpointProblem::Size {
                name,
                expected,
                found: values.len(),
            });
        }
        Ok(values)
    }
}

impl<AB: AutodiffBackend> ModuleMapper<AB> for Writer<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<AB, D>>) -> Param<Tensor<AB, D>> {
        let (id, tensor, mapper) = param.consume();
        let (shape, device, requires_gradient) = (tensor.shape(), tensor.device(), tensor.is_require_grad());
        let tensor = match self.read(&shape) {
            Ok(values) => {
                let inner = Tensor::<AB::InnerBackend, D>::from_data(TensorData::new(values, shape), &device);
                Tensor::from_inner(inner).set_require_grad(requires_gradient)
            }
            Err(problem) => {
                // A mapper cannot fail: the first error is kept, and the caller discards the result.
                self.problem.get_or_insert(problem);
                tensor
            }
        };
        Param::from_mapped_value(id, tensor, mapper)
    }
}
