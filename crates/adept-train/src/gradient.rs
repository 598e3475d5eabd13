//! Gradients of a module's parameters, keyed by module path.
//!
//! Paths rather than parameter ids: ids are drawn anew whenever a module is built, so state keyed by them would be lost
//! when a run resumes. Tensors are flattened to rank 1, so that one map can hold parameters of every rank.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use adept_kernels::optimizer;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};

/// Path of a visitor or mapper in the module tree.
#[derive(Debug, Default)]
pub(crate) struct PathStack(Vec<String>);

impl PathStack {
    pub(crate) fn enter(&mut self, name: &str) {
        self.0.push(name.to_owned());
    }

    pub(crate) fn exit(&mut self) {
        self.0.pop();
    }

    /// Dotted path, such as `offset.Adaptive.w_down`.
    pub(crate) fn path(&self) -> String {
        self.0.join(".")
    }
}

/// Gradients by module path, each flattened.
#[derive(Debug, Clone)]
pub struct GradientSet<B: Backend> {
    tensors: BTreeMap<String, Tensor<B, 1>>,
}

impl<B: Backend> Default for GradientSet<B> {
    fn default() -> Self {
        Self {
            tensors: BTreeMap::new(),
        }
    }
}

impl<B: Backend> GradientSet<B> {
    /// Takes the gradients of a module's parameters out of a backward pass. Parameters without a gradient are omitted.
    pub fn collect<AB, M>(module: &M, gradients: &mut AB::Gradients) -> Self
    where
        AB: AutodiffBackend<InnerBackend = B>,
        M: Module<AB>,
    {
        let mut collector = Collector::<AB> {
            path: PathStack::default(),
            gradients,
            set: Self::default(),
            backend: PhantomData,
        };
        module.visit(&mut collector);
        collector.set
    }

    /// Adds the gradients of another pass.
    pub fn accumulate(&mut self, other: Self) {
        for (path, gradient) in other.tensors {
            let sum = match self.tensors.remove(&path) {
                Some(sum) => sum + gradient,
                None => gradient,
            };
            self.tensors.insert(path, sum);
        }
    }

    /// Every gradient squared, value by value.
    #[must_use]
    pub fn squared(self) -> Self {
        let squared = |(path, gradient): (String, Tensor<B, 1>)| (path, gradient.clone() * gradient);
        Self {
            tensors: self.tensors.into_iter().map(squared).collect(),
        }
    }

    /// Euclidean norm over all gradients, `[1]`, left on the device. `None` without gradients.
    pub fn global_norm(&self) -> Option<Tensor<B, 1>> {
        optimizer::sum_of_squares(self.tensors.values()).map(Tensor::sqrt)
    }

    /// Scales all gradients so that their global norm, given as `norm`, is at most `max_norm`, like PyTorch's
    /// `clip_grad_norm_`: by `max_norm / (norm + 1e-6)`, at most 1. Nothing is read from the device.
    pub fn clip(&mut self, norm: &Tensor<B, 1>, max_norm: f64) {
        let factor = (norm.clone().add_scalar(1e-6).recip().mul_scalar(max_norm)).clamp_max(1.0);
        let tensors = std::mem::take(&mut self.tensors);
        self.tensors = tensors
            .into_iter()
            .map(|(path, gradient)| (path, optimizer::scale(gradient, &factor)))
            .collect();
    }

    /// A module with its parameters replaced by their gradients, or by `other` if they have none.
    pub fn in_place_of<M: Module<B>>(&self, module: M, other: f32) -> M {
        module.map(&mut InPlace {
            path: PathStack::default(),
            set: self,
            other,
        })
    }

    /// Removes and returns one gradient.
    pub fn remove(&mut self, path: &str) -> Option<Tensor<B, 1>> {
        self.tensors.remove(path)
    }

    /// One gradient, flattened.
    pub fn get(&self, path: &str) -> Option<&Tensor<B, 1>> {
        self.tensors.get(path)
    }

    /// Paths with a gradient, sorted.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Whether no parameter has a gradient.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }
}

struct InPlace<'a, B: Backend> {
    path: PathStack,
    set: &'a GradientSet<B>,
    other: f32,
}

impl<B: Backend> ModuleMapper<B> for InPlace<'_, B> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let gradient = self.set.get(&self.path.path()).cloned();
        param.map(|value| match gradient {
            Some(gradient) => gradient.reshape(value.dims()),
            None => value.full_like(self.other),
        })
    }
}

struct Collector<'a, AB: AutodiffBackend> {
    path: PathStack,
    gradients: &'a mut AB::Gradients,
    set: GradientSet<AB::InnerBackend>,
    backend: PhantomData<AB>,
}

impl<AB: AutodiffBackend> ModuleVisitor<AB> for Collector<'_, AB> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<AB, D>>) {
        if let Some(gradient) = param.val().grad_remove(self.gradients) {
            let values = gradient.shape().num_elements();
            self.set.tensors.insert(self.path.path(), gradient.reshape([values]));
        }
    }
}
