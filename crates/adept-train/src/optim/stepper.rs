//! The traversal of a module shared by all optimisers: each parameter with a gradient and a group is stepped by the
//! optimiser's rule.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};

use super::GroupConfig;
use crate::gradient::{GradientSet, PathStack};

/// An optimiser's update rule for one parameter.
pub(super) trait Rule<B: Backend> {
    /// The groups; a parameter belongs to the first that contains its path.
    fn groups(&self) -> &[GroupConfig];

    /// The updated parameter. `value` and `gradient` are flattened, `shape` is their original shape.
    fn update(
        &mut self,
        path: &str,
        value: Tensor<B, 1>,
        gradient: Tensor<B, 1>,
        shape: &[usize],
        rate: f64,
        decay: f64,
    ) -> Tensor<B, 1>;
}

/// Steps every parameter that has a gradient and a group; `rates` has one learning rate per group.
///
/// Gradients are consumed one by one, so that the peak extra memory is that of one parameter.
pub(super) fn step<AB, M, R>(rule: &mut R, module: M, gradients: GradientSet<AB::InnerBackend>, rates: &[f64]) -> M
where
    AB: AutodiffBackend,
    M: Module<AB>,
    R: Rule<AB::InnerBackend>,
{
    let mut stepper = Stepper {
        path: PathStack::default(),
        rule,
        gradients,
        rates,
    };
    Module::<AB>::map(module, &mut stepper)
}

struct Stepper<'a, B: Backend, R> {
    path: PathStack,
    rule: &'a mut R,
    gradients: GradientSet<B>,
    rates: &'a [f64],
}

impl<AB, R> ModuleMapper<AB> for Stepper<'_, AB::InnerBackend, R>
where
    AB: AutodiffBackend,
    R: Rule<AB::InnerBackend>,
{
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<AB, D>>) -> Param<Tensor<AB, D>> {
        let path = self.path.path();
        let group = self.rule.groups().iter().position(|group| group.contains(&path));
        let (Some(group), Some(gradient)) = (group, self.gradients.remove(&path)) else {
            return param;
        };
        let (id, tensor, mapper) = param.consume();
        let (shape, requires_gradient) = (tensor.dims(), tensor.is_require_grad());
        let value = tensor.inner().reshape([shape.iter().product::<usize>()]);
        let decay = self.rule.groups()[group].weight_decay;
        let value = self
            .rule
            .update(&path, value, gradient, &shape, self.rates[group], decay);
        let tensor = Tensor::from_inner(value.reshape(shape)).set_require_grad(requires_gradient);
        Param::from_mapped_value(id, tensor, mapper)
    }
}

/// Root mean square, `[1]`.
pub(super) fn root_mean_square<B: Backend>(x: &Tensor<B, 1>) -> Tensor<B, 1> {
    (x.clone() * x.clone()).mean().sqrt()
}
