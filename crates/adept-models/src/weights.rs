//! A model's weights by the places of [`ModelSites`], for methods that start from them.

use adept_core::{LinearSite, ModelSites, NormSite, ReadWeights, Stack, WeightValues};
use adept_kernels::Map;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::places::Places;

/// Handles of a model's weights, whose storage is shared; each is read back from the device when it is asked for. What
/// is packed in a lower precision is read as it was rounded.
#[derive(Debug, Clone)]
pub struct Weights<B: Backend> {
    sites: ModelSites,
    linears: Vec<(Map<B>, Option<Tensor<B, 1>>)>,
    norms: Vec<(Tensor<B, 1>, Option<Tensor<B, 1>>)>,
    embedding: Option<Map<B>>,
    positions: Vec<Tensor<B, 2>>,
}

impl<B: Backend> Weights<B> {
    /// The weights at `places`, which are those of `sites`.
    pub(crate) fn new(sites: ModelSites, places: &mut Places<'_, B>) -> Self {
        let linears = places.linears.iter();
        let norms = places.norms.iter();
        Self {
            linears: linears
                .map(|linear| (linear.kept(), linear.bias.as_ref().map(|bias| bias.val())))
                .collect(),
            norms: norms
                .map(|norm| (norm.weight.val(), norm.bias.as_ref().map(|bias| bias.val())))
                .collect(),
            embedding: places.embedding.as_ref().map(|embedding| embedding.kept()),
            positions: places.positions.iter().map(|table| table.val()).collect(),
            sites,
        }
    }
}

fn read<B: Backend, const D: usize>(tensor: &Tensor<B, D>) -> Vec<f32> {
    tensor.to_data().iter::<f32>().collect()
}

fn values<B: Backend, const D: usize>(weight: &Tensor<B, D>, bias: Option<&Tensor<B, 1>>) -> WeightValues {
    WeightValues {
        weight: read(weight),
        bias: bias.map(read),
    }
}

impl<B: Backend> ReadWeights for Weights<B> {
    fn linear(&self, site: LinearSite) -> Option<WeightValues> {
        let place = self.sites.linears.iter().position(|map| map.site == site)?;
        let (map, bias) = self.linears.get(place)?;
        Some(values(&map.clone().weight(), bias.as_ref()))
    }

    fn norm(&self, site: NormSite) -> Option<WeightValues> {
        let place = self.sites.norms.iter().position(|norm| norm.site == site)?;
        let (weight, bias) = self.norms.get(place)?;
        Some(values(weight, bias.as_ref()))
    }

    fn embedding(&self) -> Option<Vec<f32>> {
        self.embedding.clone().map(|table| read(&table.weight()))
    }

    fn positions(&self, stack: Stack) -> Option<Vec<f32>> {
        let tables = &self.sites.side.as_ref()?.positions;
        let place = tables.iter().position(|table| table.stack == stack)?;
        self.positions.get(place).map(read)
    }
}
