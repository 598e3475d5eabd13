//! Places of a model where a method's changes go.

use adept_core::{Beside, Bottleneck, CoreError, Intervention, ModelSites, NormChange, Prefix, SublayerPart};
use burn::module::{Module, Param, ParamId};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::embedding::Embedding;
use crate::linear::{Linear, MergeDirection};

/// What a method attaches to a sublayer; not part of the model's parameters.
#[derive(Module, Debug)]
pub struct Attached<B: Backend> {
    /// What the sublayer's output passes through, before dropout and the residual connection.
    pub after: Option<Bottleneck<B>>,
    /// What is computed beside a feed-forward layer.
    pub beside: Option<Beside<B>>,
    /// Keys and values in front of an attention's own.
    pub prefix: Option<Prefix<B>>,
}

impl<B: Backend> Attached<B> {
    /// Nothing attached.
    pub fn none() -> Self {
        Self {
            after: None,
            beside: None,
            prefix: None,
        }
    }

    /// Whether nothing is attached.
    pub fn is_none(&self) -> bool {
        self.after.is_none() && self.beside.is_none() && self.prefix.is_none()
    }

    /// The sublayer's output `[b, n, d]`, passed through what stands behind it.
    pub(crate) fn after(&self, y: Tensor<B, 3>) -> Tensor<B, 3> {
        match &self.after {
            Some(after) => after.forward(y),
            None => y,
        }
    }

    /// The states `x [b, n, d]` and what is computed beside the sublayer of `normed`, the output of its norm.
    pub(crate) fn with_beside(&self, x: Tensor<B, 3>, normed: Tensor<B, 3>) -> Tensor<B, 3> {
        match &self.beside {
            Some(beside) => x + beside.forward(normed),
            None => x,
        }
    }

    /// Slots of the prefix.
    pub(crate) fn slots(&self) -> usize {
        self.prefix.as_ref().map_or(0, Prefix::slots)
    }

    /// Keys and values `[b, n, h·c]` behind those of the prefix.
    pub(crate) fn behind_prefix(&self, keys: Tensor<B, 3>, values: Tensor<B, 3>) -> (Tensor<B, 3>, Tensor<B, 3>) {
        match &self.prefix {
            Some(prefix) => prefix.before(keys, values),
            None => (keys, values),
        }
    }
}

/// A norm's parameters.
#[derive(Debug)]
pub struct NormPlace<'a, B: Backend> {
    /// `[d]`.
    pub weight: &'a mut Param<Tensor<B, 1>>,
    /// `[d]`, if there is one.
    pub bias: &'a mut Option<Param<Tensor<B, 1>>>,
}

/// A model's places, in the order of its [`ModelSites`].
#[derive(Debug)]
pub struct Places<'a, B: Backend> {
    /// Linear maps of the blocks.
    pub linears: Vec<&'a mut Linear<B>>,
    /// Norms.
    pub norms: Vec<NormPlace<'a, B>>,
    /// Sublayers.
    pub sublayers: Vec<&'a mut Attached<B>>,
    /// The embedding matrix, `[vocab, d]`.
    pub embedding: Option<&'a mut Embedding<B>>,
    /// Tables of relative positions, `[buckets, heads]`.
    pub positions: Vec<&'a mut Param<Tensor<B, 2>>>,
    /// The bias of the output head, `[vocab]`, if there is one.
    pub head_bias: Option<&'a mut Option<Param<Tensor<B, 1>>>>,
}

impl<B: Backend> Default for Places<'_, B> {
    fn default() -> Self {
        Self {
            linears: Vec::new(),
            norms: Vec::new(),
            sublayers: Vec::new(),
            embedding: None,
            positions: Vec::new(),
            head_bias: None,
        }
    }
}

impl<B: Backend> Places<'_, B> {
    /// Attaches a method's changes.
    pub(crate) fn attach(self, sites: &ModelSites, method: &dyn Intervention<B>) {
        for (map, linear) in sites.linears.iter().zip(self.linears) {
            linear.change = method.linear(map.site);
        }
        for (layer, attached) in sites.sublayers.iter().zip(self.sublayers) {
            *attached = Attached {
                after: method.after(layer.site),
                beside: Some(layer.site)
                    .filter(|site| site.part == SublayerPart::FeedForward)
                    .and_then(|site| method.beside(site)),
                prefix: layer.heads.and_then(|_| method.prefix(layer.site)),
            };
        }
        for (norm, place) in sites.norms.iter().zip(self.norms) {
            let Some(NormChange { weight, bias }) = method.norm(norm.site) else {
                continue;
            };
            add(place.weight, weight);
            add_or_set(place.bias, bias);
        }
        if let (Some(embedding), Some(change)) = (self.embedding, method.embedding()) {
            embedding.add(change);
        }
        if let Some(bias) = self.head_bias {
            add_or_set(bias, method.head_bias());
        }
    }

    /// Merges a method's changes into the parameters, or takes them out again.
    pub(crate) fn merge(
        self,
        sites: &ModelSites,
        method: &dyn Intervention<B>,
        direction: MergeDirection,
    ) -> Result<(), CoreError> {
        let signed = |change: Tensor<B, 1>| match direction {
            MergeDirection::In => change,
            MergeDirection::Out => -change,
        };
        for layer in &sites.sublayers {
            let site = layer.site;
            if method.after(site).is_some() || method.beside(site).is_some() || method.prefix(site).is_some() {
                return Err(CoreError::NotMergeable {
                    module: layer.name.clone(),
                });
            }
        }
        for (map, linear) in sites.linears.iter().zip(self.linears) {
            let Some(change) = method.linear(map.site) else {
                continue;
            };
            if change.bias.is_some() && !map.has_bias {
                return Err(no_bias(&map.name));
            }
            if direction == MergeDirection::Out && change.has_zero_factor() {
                return Err(CoreError::ZeroFactor {
                    module: map.name.clone(),
                });
            }
            linear.merge(&change, direction);
        }
        for (norm, place) in sites.norms.iter().zip(self.norms) {
            let Some(NormChange { weight, bias }) = method.norm(norm.site) else {
                continue;
            };
            if bias.is_some() && !norm.has_bias {
                return Err(no_bias(&norm.name));
            }
            add(place.weight, weight.map(signed));
            add_or_set(place.bias, bias.map(signed));
        }
        if let (Some(embedding), Some(change)) = (self.embedding, method.embedding()) {
            embedding.add(match direction {
                MergeDirection::In => change,
                MergeDirection::Out => -change,
            });
        }
        if let (Some(place), Some(head), Some(change)) = (self.head_bias, &sites.head, method.head_bias()) {
            if !head.has_bias {
                return Err(no_bias(&head.name));
            }
            add_or_set(place, Some(signed(change)));
        }
        Ok(())
    }
}

fn no_bias(module: &str) -> CoreError {
    CoreError::NoBias {
        module: module.to_owned(),
    }
}

/// Adds to a parameter. The sum is no leaf of an autodiff graph: gradients go to what is added.
fn add<B: Backend, const D: usize>(param: &mut Param<Tensor<B, D>>, change: Option<Tensor<B, D>>) {
    if let Some(change) = change {
        *param = Param::initialized(ParamId::new(), param.val() + change);
    }
}

/// Adds to a parameter, or sets one that is not there.
fn add_or_set<B: Backend>(param: &mut Option<Param<Tensor<B, 1>>>, change: Option<Tensor<B, 1>>) {
    match (param.as_mut(), change) {
        (Some(param), change) => add(param, change),
        (None, Some(change)) => *param = Some(Param::initialized(ParamId::new(), change)),
        (None, None) => {}
    }
}
