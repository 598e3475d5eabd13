//! BitFit: only biases are trained (Ben Zaken et al., 2022).
//!
//! Of a model with biases they are those that it has. To one without, such as T5 or Llama, biases of zero are added at
//! every linear map and every norm of the blocks and at the output head (as in the T5 of Mahabadi et al., 2021). What is
//! trained is the difference to the model's own bias.
//!
//! Files hold `base_model.model.MODULE.bias`, `[out]`, that difference.

use std::collections::BTreeMap;

use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use serde_json::{Map, Value};

use super::prompt::Given;
use super::weights::{PREFIX, module, values};
use super::{
    AdapterInit, GroupDefaults, Merge, MethodConfig, MethodInfo, MethodSettings, ParameterGroup, Setting, Shape,
};
use crate::file::Fields;
use crate::site::{Fused, LinearSite, ModelSites, NormSite};
use crate::{CoreError, Intervention, LinearChange, Method, NormChange};

const BIAS: &str = "bias";

/// BitFit has nothing to configure.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BitFitConfig {}

/// A place with a trained bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Site {
    Linear(LinearSite),
    Norm(NormSite),
    Head,
}

/// A trained bias: where it is, its name in files, and its length.
#[derive(Debug, Clone, PartialEq)]
struct Place {
    site: Site,
    tensor: String,
    width: usize,
    /// How the channels of a fused map are ordered in files.
    fused: Option<Fused>,
}

impl Place {
    fn new(site: Site, module: &str, width: usize) -> Self {
        Self {
            site,
            tensor: format!("{PREFIX}{module}.{BIAS}"),
            width,
            fused: None,
        }
    }
}

/// The biases to train, in the model's order.
fn places(sites: &ModelSites) -> Result<Vec<Place>, CoreError> {
    let has_bias = sites.has_bias();
    let linears = sites.linears.iter().filter(|map| map.has_bias || !has_bias);
    let linears = linears.map(|map| Place {
        fused: map.fused.clone(),
        ..Place::new(Site::Linear(map.site), &map.name, map.output)
    });
    // Where biases are added, the final norms get none: the published T5 has none there.
    let is_trained = |site: NormSite, own: bool| own || (!has_bias && matches!(site, NormSite::Before(_)));
    let norms = sites.norms.iter().filter(|norm| is_trained(norm.site, norm.has_bias));
    let norms = norms.map(|norm| Place::new(Site::Norm(norm.site), &norm.name, norm.width));
    let head = sites.head.iter().filter(|head| head.has_bias || !has_bias);
    let head = head.map(|head| Place::new(Site::Head, &head.name, head.rows));
    let places: Vec<Place> = linears.chain(norms).chain(head).collect();
    match places.is_empty() {
        true => Err(CoreError::NoSite {
            method: Method::BitFit,
            needed: "linear maps, norms or output head",
        }),
        false => Ok(places),
    }
}

fn shapes(places: &[Place]) -> Vec<Shape> {
    let shape = |place: &Place| (place.tensor.clone(), vec![place.width]);
    places.iter().map(shape).collect()
}

/// A trained bias.
#[derive(Module, Debug)]
pub struct Bias<B: Backend> {
    /// `[out]`.
    pub b: Param<Tensor<B, 1>>,
}

/// All trained biases.
#[derive(Module, Debug)]
pub struct BitFit<B: Backend> {
    /// The biases, in the model's order: linear maps, norms, head.
    pub biases: Vec<Bias<B>>,
    #[module(skip)]
    places: Vec<Place>,
    #[module(skip)]
    index: BTreeMap<Site, usize>,
}

impl<B: Backend> BitFit<B> {
    fn new(places: Vec<Place>, biases: Vec<Tensor<B, 1>>) -> Self {
        let bias = |b| Bias {
            b: Param::from_tensor(b),
        };
        Self {
            biases: biases.into_iter().map(bias).collect(),
            index: places.iter().enumerate().map(|(at, place)| (place.site, at)).collect(),
            places,
        }
    }

    fn at(&self, site: Site) -> Option<Tensor<B, 1>> {
        Some(self.biases[*self.index.get(&site)?].b.val())
    }
}

impl<B: Backend> Intervention<B> for BitFit<B> {
    fn linear(&self, site: LinearSite) -> Option<LinearChange<B>> {
        Some(LinearChange {
            bias: Some(self.at(Site::Linear(site))?),
            ..LinearChange::none()
        })
    }

    fn norm(&self, site: NormSite) -> Option<NormChange<B>> {
        Some(NormChange {
            weight: None,
            bias: Some(self.at(Site::Norm(site))?),
        })
    }

    fn head_bias(&self) -> Option<Tensor<B, 1>> {
        self.at(Site::Head)
    }

    fn changes_model(&self) -> bool {
        true
    }
}

impl MethodConfig for BitFitConfig {
    type Module<B: Backend> = BitFit<B>;

    const INFO: MethodInfo = MethodInfo {
        title: "BitFit",
        summary: "biases",
        peft_type: "BITFIT",
        has_prompt: false,
        groups: &[ParameterGroup {
            name: "bitfit",
            prefix: "",
            defaults: Some(GroupDefaults {
                learning_rate: 3e-4,
                weight_decay: 0.0,
                warmup_steps: 500,
            }),
        }],
        merge: Merge::Weights,
        inference: "nothing once merged, where the model has biases; otherwise a sum for each channel",
        citation: "Ben Zaken et al., BitFit: Simple Parameter-efficient Fine-tuning for Transformer-based Masked \
                   Language-models, ACL 2022",
    };

    const SETTINGS: &'static [Setting] = &[];

    fn from_settings(_: &MethodSettings<'_>) -> Result<Self, CoreError> {
        Ok(Self {})
    }

    fn validate(&self) -> Result<(), CoreError> {
        Ok(())
    }

    fn tensor_shapes(&self, sites: &ModelSites) -> Result<Vec<Shape>, CoreError> {
        Ok(shapes(&places(sites)?))
    }

    fn file_shapes(&self, found: &[Shape]) -> Vec<Shape> {
        let biases = found.iter().filter(|(name, _)| module(name, BIAS).is_some());
        let shapes: Vec<Shape> = biases
            .map(|(name, shape)| (name.clone(), vec![shape.iter().product()]))
            .collect();
        match shapes.is_empty() {
            // An adapter without biases is invalid: report its first tensor as missing.
            true => vec![(format!("{PREFIX}*.{BIAS}"), vec![0])],
            false => shapes,
        }
    }

    fn start<B: Backend>(
        &self,
        sites: &ModelSites,
        _: AdapterInit<B>,
        device: &B::Device,
    ) -> Result<BitFit<B>, CoreError> {
        let places = places(sites)?;
        let zeros = places
            .iter()
            .map(|place| Tensor::zeros([place.width], device))
            .collect();
        Ok(BitFit::new(places, zeros))
    }

    fn with_tensors<B: Backend>(
        &self,
        sites: &ModelSites,
        tensors: BTreeMap<String, TensorData>,
        device: &B::Device,
    ) -> Result<BitFit<B>, CoreError> {
        let places = places(sites)?;
        let mut given = Given::new(tensors, &shapes(&places))?;
        let bias = |place: &Place| match &place.fused {
            None => given.take(&place.tensor, device),
            Some(fused) => {
                let ours = fused.from_checkpoint(&values(given.data(&place.tensor)), 1);
                Tensor::from_data(TensorData::new(ours, [place.width]), device)
            }
        };
        let biases = places.iter().map(bias).collect();
        Ok(BitFit::new(places, biases))
    }

    fn tensors<B: Backend>(module: &BitFit<B>) -> Vec<(String, TensorData)> {
        let tensor = |(place, bias): (&Place, &Bias<B>)| {
            let data = bias.b.val().into_data();
            let data = match &place.fused {
                None => data,
                Some(fused) => TensorData::new(fused.to_checkpoint(&values(data), 1), [place.width]),
            };
            (place.tensor.clone(), data)
        };
        module.places.iter().zip(&module.biases).map(tensor).collect()
    }

    fn check_constants<B: Backend>(&self, _: &BitFit<B>) -> Result<(), CoreError> {
        Ok(())
    }

    fn peft_keys<B: Backend>(&self, _: &BitFit<B>) -> Map<String, Value> {
        Map::new()
    }

    fn own_keys(&self) -> Map<String, Value> {
        Map::new()
    }

    fn from_keys(_: &mut Fields<'_>, _: &mut Fields<'_>) -> Result<Self, CoreError> {
        Ok(Self {})
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}
