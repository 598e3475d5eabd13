//! Optimiser state in checkpoints: named tensors and step counts.

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::{AdamW, Moments};

/// Reads a tensor of a checkpoint by name; `None` if there is none of that name.
pub type ReadTensor<'a, B, E> = dyn FnMut(&str) -> Result<Option<Tensor<B, 1>>, E> + 'a;

/// An optimiser whose state can be saved in checkpoints.
pub trait OptimizerState<B: Backend> {
    /// All tensors of the state, flattened and named `kind/path`, where `path` is the parameter's module path.
    fn tensors(&self) -> Vec<(String, Tensor<B, 1>)>;

    /// Number of steps taken for each parameter.
    fn steps(&self) -> BTreeMap<String, u64>;

    /// Restores a state. A missing tensor of a listed parameter gives the error `missing(name)`.
    fn put_back<E>(
        &mut self,
        steps: &BTreeMap<String, u64>,
        read: &mut ReadTensor<'_, B, E>,
        missing: &dyn Fn(String) -> E,
    ) -> Result<(), E>;
}

impl<B: Backend> OptimizerState<B> for AdamW<B> {
    fn tensors(&self) -> Vec<(String, Tensor<B, 1>)> {
        self.state()
            .iter()
            .flat_map(|(path, moments)| {
                [
                    (format!("first/{path}"), moments.first.clone()),
                    (format!("second/{path}"), moments.second.clone()),
                ]
            })
            .collect()
    }

    fn steps(&self) -> BTreeMap<String, u64> {
        self.state()
            .iter()
            .map(|(path, moments)| (path.clone(), moments.steps))
            .collect()
    }

    fn put_back<E>(
        &mut self,
        steps: &BTreeMap<String, u64>,
        read: &mut ReadTensor<'_, B, E>,
        missing: &dyn Fn(String) -> E,
    ) -> Result<(), E> {
        let mut state = BTreeMap::new();
        for (path, steps) in steps {
            let mut moment = |kind: &str| {
                let name = format!("{kind}/{path}");
                read(&name)?.ok_or_else(|| missing(name))
            };
            let moments = Moments {
                first: moment("first")?,
                second: moment("second")?,
                steps: *steps,
            };
            state.insert(path.clone(), moments);
        }
        self.restore(state);
        Ok(())
    }
}
