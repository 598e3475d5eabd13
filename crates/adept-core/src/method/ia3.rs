//! (IA)³: trained factors for keys, values and the inner channels of feed-forward layers (Liu et al., 2022, section
//! 3.3): `k ← l_k ⊙ (x·W_k)`, `v ← l_v ⊙ (x·W_v)`, and the down-projection of a feed-forward layer sees `l_ff ⊙ x`.
//!
//! Files follow PEFT: `MODULE.ia3_l`, `[out, 1]` for a scaled output and `[1, in]` for a scaled input.

use std::collections::BTreeMap;
use std::ops::Range;

use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use serde_json::{Map, Value, json};

use super::prompt::{object, refuse};
use super::weights::{
    PREFIX, Places, find, is_one_of, last_parts, mismatch, module, read_targets, refuse_options, target_value, values,
};
use super::{
    AdapterInit, GroupDefaults, Merge, MethodConfig, MethodInfo, MethodSettings, ParameterGroup, Setting, SettingKind,
    Shape,
};
use crate::file::Fields;
use crate::site::{LinearMap, LinearPart, LinearSite, ModelSites};
use crate::{CoreError, Intervention, LinearChange, Method, TargetModules};

const L: &str = "ia3_l";

const TARGETS: Setting = Setting {
    key: "target_modules",
    kind: SettingKind::Names,
    default: "[]",
    meaning: "Linear maps to scale, by the last parts of their names in the checkpoint (`k`, `v_proj`). None named: keys, \
              values and the map out of feed-forward layers; of a map that fuses them (`qkv_proj`) the keys and values.",
};
const FEED_FORWARD: Setting = Setting {
    key: "feedforward_modules",
    kind: SettingKind::Names,
    default: "[]",
    meaning: "Those of `target_modules` whose input is scaled instead of their output (`wo`, `down_proj`).",
};

/// The linear maps that are scaled.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ia3Config {
    /// Every scaled map.
    pub target_modules: TargetModules,
    /// Maps whose input is scaled instead of the output; unused if `target_modules` is the default.
    pub feedforward_modules: Vec<String>,
}

/// The channels scaled at one map.
#[derive(Debug, Clone, PartialEq)]
struct Scaled {
    /// Whether input channels are scaled, not output channels.
    is_input: bool,
    /// Scaled ranges of a fused map, ascending; empty: every channel.
    ranges: Vec<Range<usize>>,
}

impl Scaled {
    /// Length of the full factor.
    fn channels(&self, map: &LinearMap) -> usize {
        if self.is_input { map.input } else { map.output }
    }

    /// Number of trained values.
    fn values(&self, map: &LinearMap) -> usize {
        match self.ranges.is_empty() {
            true => self.channels(map),
            false => self.ranges.iter().map(ExactSizeIterator::len).sum(),
        }
    }
}

impl Ia3Config {
    /// The channels scaled at a chosen map.
    fn scaled(&self, map: &LinearMap) -> Scaled {
        let mut ranges = Vec::new();
        if self.target_modules.is_default()
            && let Some(fused) = &map.fused
        {
            let scaled = fused.parts.iter().filter(|(part, _)| part.is_key() || part.is_value());
            ranges.extend(scaled.map(|(_, range)| range.clone()));
            ranges.sort_by_key(|range| range.start);
        }
        Scaled {
            is_input: match self.target_modules.is_default() {
                true => map.site.part == LinearPart::Down,
                false => is_one_of(&map.name, &self.feedforward_modules),
            },
            ranges,
        }
    }

    fn select<'a>(&self, sites: &'a ModelSites) -> Result<Vec<&'a LinearMap>, CoreError> {
        let is_default = |map: &LinearMap| {
            let part = map.site.part;
            part.is_key() || part.is_value() || matches!(part, LinearPart::QueryKeyValue | LinearPart::Down)
        };
        let maps = self.target_modules.select(Method::Ia3, sites, is_default)?;
        let is_target = |name: &&String| maps.iter().any(|map| is_one_of(&map.name, std::slice::from_ref(*name)));
        match self.feedforward_modules.iter().find(|name| !is_target(name)) {
            Some(name) if !self.target_modules.is_default() => Err(refuse(
                Method::Ia3,
                "feedforward_modules",
                "names that target_modules hold too",
                name,
            )),
            _ => Ok(maps),
        }
    }

    /// Name and shape of a map's tensor in files.
    fn shape_of(&self, map: &LinearMap) -> Shape {
        let scaled = self.scaled(map);
        let channels = scaled.channels(map);
        let shape = if scaled.is_input {
            vec![1, channels]
        } else {
            vec![channels, 1]
        };
        (format!("{PREFIX}{}.{L}", map.name), shape)
    }

    fn adapter<B: Backend>(&self, places: Places, factors: Vec<Factor<B>>) -> Ia3<B> {
        let scaled = places.maps.iter().map(|map| self.scaled(map)).collect();
        Ia3 {
            factors,
            places,
            scaled,
        }
    }
}

/// Factors of one linear map.
#[derive(Module, Debug)]
pub struct Factor<B: Backend> {
    /// One value per scaled channel.
    pub l: Param<Tensor<B, 1>>,
}

/// Factors of all chosen linear maps.
#[derive(Module, Debug)]
pub struct Ia3<B: Backend> {
    /// The factors, in the model's order.
    pub factors: Vec<Factor<B>>,
    #[module(skip)]
    places: Places,
    #[module(skip)]
    scaled: Vec<Scaled>,
}

/// The factors of all channels: ones outside of the trained ranges.
fn whole<B: Backend>(l: Tensor<B, 1>, ranges: &[Range<usize>], channels: usize) -> Tensor<B, 1> {
    if ranges.is_empty() {
        return l;
    }
    let device = l.device();
    let (mut pieces, mut end, mut taken) = (Vec::new(), 0, 0);
    for range in ranges {
        if range.start > end {
            pieces.push(Tensor::ones([range.start - end], &device));
        }
        pieces.push(l.clone().narrow(0, taken, range.len()));
        taken += range.len();
        end = range.end;
    }
    if channels > end {
        pieces.push(Tensor::ones([channels - end], &device));
    }
    Tensor::cat(pieces, 0)
}

impl<B: Backend> Intervention<B> for Ia3<B> {
    fn linear(&self, site: LinearSite) -> Option<LinearChange<B>> {
        let place = self.places.of(site)?;
        let (map, scaled) = (&self.places.maps[place], &self.scaled[place]);
        let factors = whole(self.factors[place].l.val(), &scaled.ranges, scaled.channels(map));
        Some(match scaled.is_input {
            true => LinearChange {
                input_scale: Some(factors),
                ..LinearChange::none()
            },
            false => LinearChange {
                output_scale: Some(factors),
                ..LinearChange::none()
            },
        })
    }

    fn changes_model(&self) -> bool {
        true
    }
}

impl MethodConfig for Ia3Config {
    type Module<B: Backend> = Ia3<B>;

    const INFO: MethodInfo = MethodInfo {
        title: "(IA)³",
        summary: "factors of keys, values and inner feed-forward channels",
        peft_type: "IA3",
        has_prompt: false,
        groups: &[ParameterGroup {
            name: "ia3",
            prefix: "",
            defaults: Some(GroupDefaults {
                learning_rate: 3e-3,
                weight_decay: 0.0,
                warmup_steps: 60,
            }),
        }],
        merge: Merge::Weights,
        inference: "nothing once merged; otherwise a factor for each channel",
        citation: "Liu et al., Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context Learning, \
                   NeurIPS 2022",
    };

    const SETTINGS: &'static [Setting] = &[TARGETS, FEED_FORWARD];

    fn from_settings(settings: &MethodSettings<'_>) -> Result<Self, CoreError> {
        let config = Self {
            target_modules: settings.own(Method::Ia3, &TARGETS)?,
            feedforward_modules: settings.own(Method::Ia3, &FEED_FORWARD)?,
        };
        // The default targets have feed-forward modules of their own: names given here would have no effect.
        match config.feedforward_modules.as_slice() {
            names @ [_, ..] if config.target_modules.is_default() => Err(refuse(
                Method::Ia3,
                "feedforward_modules",
                "no names unless target_modules is given",
                names.join(", "),
            )),
            _ => Ok(config),
        }
    }

    fn validate(&self) -> Result<(), CoreError> {
        Ok(())
    }

    fn tensor_shapes(&self, sites: &ModelSites) -> Result<Vec<Shape>, CoreError> {
        Ok(self.select(sites)?.into_iter().map(|map| self.shape_of(map)).collect())
    }

    fn trainable_parameters(&self, sites: &ModelSites) -> Result<usize, CoreError> {
        let maps = self.select(sites)?;
        Ok(maps.into_iter().map(|map| self.scaled(map).values(map)).sum())
    }

    fn file_shapes(&self, found: &[Shape]) -> Vec<Shape> {
        let shape = |(name, shape): &Shape| {
            module(name, L)?;
            let channels = shape.iter().product();
            let is_input = shape.first() == Some(&1) && shape.last() != Some(&1);
            Some((
                name.clone(),
                if is_input { vec![1, channels] } else { vec![channels, 1] },
            ))
        };
        let shapes: Vec<Shape> = found.iter().filter_map(shape).collect();
        match shapes.is_empty() {
            // An adapter without factors is invalid: report its first tensor as missing.
            true => vec![(format!("{PREFIX}*.{L}"), vec![0, 1])],
            false => shapes,
        }
    }

    fn start<B: Backend>(
        &self,
        sites: &ModelSites,
        _: AdapterInit<B>,
        device: &B::Device,
    ) -> Result<Ia3<B>, CoreError> {
        let places = Places::new(self.select(sites)?);
        let ones = |map: &LinearMap| Factor {
            l: Param::from_tensor(Tensor::ones([self.scaled(map).values(map)], device)),
        };
        let factors = places.maps.iter().map(ones).collect();
        Ok(self.adapter(places, factors))
    }

    fn with_tensors<B: Backend>(
        &self,
        sites: &ModelSites,
        mut tensors: BTreeMap<String, TensorData>,
        device: &B::Device,
    ) -> Result<Ia3<B>, CoreError> {
        for tensor in tensors.keys() {
            if let Some(module) = module(tensor, L) {
                find(Method::Ia3, sites, tensor, module)?;
            }
        }
        let places = Places::new(self.select(sites)?);
        let mut factors = Vec::with_capacity(places.maps.len());
        for map in &places.maps {
            let (tensor, expected) = self.shape_of(map);
            let data = tensors.remove(&tensor);
            let shape = data.as_ref().map_or(vec![], |data| data.shape.to_vec());
            let data = data.filter(|_| shape == expected);
            let whole = values(data.ok_or_else(|| mismatch(&tensor, &expected, &shape))?);
            let scaled = self.scaled(map);
            let whole = match &map.fused {
                Some(fused) if !scaled.is_input => fused.from_checkpoint(&whole, 1),
                _ => whole,
            };
            let kept = kept(&whole, &scaled.ranges).map_err(|(channel, found)| CoreError::FixedFactor {
                tensor: tensor.clone(),
                channel,
                found,
            })?;
            let count = kept.len();
            factors.push(Factor {
                l: Param::from_tensor(Tensor::from_data(TensorData::new(kept, [count]), device)),
            });
        }
        match tensors.first_key_value() {
            Some((tensor, data)) => Err(mismatch(tensor, &[], &data.shape)),
            None => Ok(self.adapter(places, factors)),
        }
    }

    fn tensors<B: Backend>(module: &Ia3<B>) -> Vec<(String, TensorData)> {
        let places = module.places.maps.iter().zip(&module.scaled).zip(&module.factors);
        let of_map = |((map, scaled), factor): ((&LinearMap, &Scaled), &Factor<B>)| {
            let channels = scaled.channels(map);
            let all = values(whole(factor.l.val(), &scaled.ranges, channels).into_data());
            let all = match &map.fused {
                Some(fused) if !scaled.is_input => fused.to_checkpoint(&all, 1),
                _ => all,
            };
            let shape = if scaled.is_input { [1, channels] } else { [channels, 1] };
            (format!("{PREFIX}{}.{L}", map.name), TensorData::new(all, shape))
        };
        places.map(of_map).collect()
    }

    fn check_constants<B: Backend>(&self, module: &Ia3<B>) -> Result<(), CoreError> {
        let is_same = |(map, scaled): (&LinearMap, &Scaled)| self.scaled(map) == *scaled;
        match module.places.maps.iter().zip(&module.scaled).all(is_same) {
            true => Ok(()),
            false => Err(refuse(
                Method::Ia3,
                "feedforward_modules",
                "the maps whose input the adapter scales",
                self.feedforward_modules.join(", "),
            )),
        }
    }

    fn peft_keys<B: Backend>(&self, module: &Ia3<B>) -> Map<String, Value> {
        let inputs = module.places.maps.iter().zip(&module.scaled);
        let inputs = inputs.filter(|(_, scaled)| scaled.is_input).map(|(map, _)| map);
        let feed_forward: Value = match self.target_modules.is_default() {
            true => last_parts(inputs).into(),
            false => self.feedforward_modules.clone().into(),
        };
        object(json!({
            "fan_in_fan_out": false,
            "feedforward_modules": feed_forward,
            "init_ia3_weights": true,
            "target_modules": target_value(&self.target_modules, &module.places),
        }))
    }

    fn own_keys(&self) -> Map<String, Value> {
        object(json!({ "default_targets": self.target_modules.is_default() }))
    }

    fn from_keys(top: &mut Fields<'_>, own: &mut Fields<'_>) -> Result<Self, CoreError> {
        refuse_options(top, &[("modules_to_save", None)])?;
        // How the checkpoint lays out the weights that are scaled; the adapter's tensors are the same.
        top.flag("fan_in_fan_out")?;
        top.flag("init_ia3_weights")?;
        let targets = read_targets(top, "target_modules")?.unwrap_or_default();
        let feed_forward = match read_targets(top, "feedforward_modules")? {
            None => Vec::new(),
            Some(TargetModules::Names(names)) => names,
            Some(TargetModules::Pattern(pattern)) => {
                return Err(top.error("feedforward_modules", "a list of names", &pattern.into()));
            }
        };
        Ok(match own.flag("default_targets")?.unwrap_or(false) {
            true => Self::default(),
            false => Self {
                target_modules: targets,
                feedforward_modules: feed_forward,
            },
        })
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        vec![
            ("target modules", self.target_modules.to_string()),
            ("feed-forward modules", self.feedforward_modules.join(", ")),
        ]
    }
}

/// Values within the ranges. All others must be one; else the first offending channel and its value.
fn kept(whole: &[f32], ranges: &[Range<usize>]) -> Result<Vec<f32>, (usize, f32)> {
    if ranges.is_empty() {
        return Ok(whole.to_vec());
    }
    let is_trained = |channel: usize| ranges.iter().any(|range| range.contains(&channel));
    let fixed = whole
        .iter()
        .enumerate()
        .find(|(channel, value)| !is_trained(*channel) && **value != 1.0);
    match fixed {
        Some((channel, value)) => Err((channel, *value)),
        None => Ok(ranges
            .iter()
            .flat_map(|range| whole[range.clone()].iter().copied())
            .collect()),
    }
}
