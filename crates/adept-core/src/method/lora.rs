//! LoRA: `y = x·W + b + (alpha/r) · drop(x)·A·B` for chosen weights (Hu et al., 2022, section 4.1); with rank
//! stabilisation the factor is `alpha/√r` (Kalajdzievski, 2023).
//!
//! Files follow PEFT: `MODULE.lora_A.weight` `[r, in]` and `MODULE.lora_B.weight` `[out, r]`, the transposes of `A` and
//! `B`.

use std::collections::BTreeMap;

use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use regex::Regex;
use serde_json::{Map, Value, json};

use super::prompt::{object, refuse};
use super::weights::{
    PREFIX, Places, find, mismatch, module, read_targets, refuse_options, target_value, transposed, values,
};
use super::{
    AdapterInit, GroupDefaults, Merge, MethodConfig, MethodInfo, MethodSettings, ParameterGroup, Setting, SettingKind,
    Shape,
};
use crate::file::{Fields, exact};
use crate::init::site_matrix;
use crate::site::{LinearMap, LinearPart, LinearSite, ModelSites};
use crate::{CoreError, Intervention, LinearChange, LowRank, Method, TargetModules};

const A: &str = "lora_A.weight";
const B_: &str = "lora_B.weight";

const RANK: Setting = Setting {
    key: "rank",
    kind: SettingKind::Integer { min: 1, max: 65536 },
    default: "32",
    meaning: "Rank r of the products.",
};
const ALPHA: Setting = Setting {
    key: "alpha",
    kind: SettingKind::Number { min: 0.0, max: 1e6 },
    default: "32.0",
    meaning: "The products are scaled by alpha / r.",
};
const DROPOUT: Setting = Setting {
    key: "dropout",
    kind: SettingKind::Number {
        min: 0.0,
        max: 0.999_999,
    },
    default: "0.1",
    meaning: "Share of a product's input values that are dropped, in training.",
};
const RSLORA: Setting = Setting {
    key: "use_rslora",
    kind: SettingKind::Flag,
    default: "false",
    meaning: "Scale by alpha / √r instead (rank-stabilised LoRA).",
};
const TARGETS: Setting = Setting {
    key: "target_modules",
    kind: SettingKind::Names,
    default: "[]",
    meaning: "Linear maps to change, by the last parts of their names in the checkpoint (`q`, `v_proj`), or `all-linear`. \
              None named: queries and values, or the map that fuses them (`qkv_proj`).",
};

/// Sizes, constants and targets of the low-rank products.
#[derive(Debug, Clone, PartialEq)]
pub struct LoraConfig {
    /// Rank `r`.
    pub rank: usize,
    /// Numerator of the scaling factor.
    pub alpha: f64,
    /// Dropout on a product's input, active on autodiff backends only.
    pub dropout: f64,
    /// Whether the denominator of the scaling factor is `√r` instead of `r`.
    pub use_rslora: bool,
    /// The linear maps to change.
    pub target_modules: TargetModules,
    /// Ranks for maps whose names end with a pattern; the first match counts.
    pub rank_pattern: Vec<(String, usize)>,
    /// `alpha` by pattern, in the same way.
    pub alpha_pattern: Vec<(String, f64)>,
    /// Whether a file restricts its maps by further options (`layers_to_transform`, ..), so that only its tensors tell
    /// which maps are changed.
    pub is_restricted: bool,
}

impl LoraConfig {
    /// LoRA of this rank on the method's default maps, without dropout.
    pub fn new(rank: usize, alpha: f64) -> Self {
        Self {
            rank,
            alpha,
            dropout: 0.0,
            use_rslora: false,
            target_modules: TargetModules::default(),
            rank_pattern: Vec::new(),
            alpha_pattern: Vec::new(),
            is_restricted: false,
        }
    }

    /// Targets the maps with these names, or name endings, instead of LoRA's default ones.
    #[must_use]
    pub fn with_targets<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.target_modules = TargetModules::Names(names.into_iter().map(str::to_owned).collect());
        self
    }

    fn rank_of(&self, module: &str) -> usize {
        by_pattern(&self.rank_pattern, module).unwrap_or(self.rank)
    }

    fn scale_of(&self, module: &str) -> f64 {
        let rank = self.rank_of(module) as f64;
        let alpha = by_pattern(&self.alpha_pattern, module).unwrap_or(self.alpha);
        alpha / if self.use_rslora { rank.sqrt() } else { rank }
    }

    fn select<'a>(&self, sites: &'a ModelSites) -> Result<Vec<&'a LinearMap>, CoreError> {
        let is_default = |map: &LinearMap| {
            let part = map.site.part;
            part.is_query() || part.is_value() || part == LinearPart::QueryKeyValue
        };
        self.target_modules.select(Method::Lora, sites, is_default)
    }

    fn shapes_of(&self, module: &str, input: usize, output: usize) -> [Shape; 2] {
        let rank = self.rank_of(module);
        [
            (format!("{PREFIX}{module}.{A}"), vec![rank, input]),
            (format!("{PREFIX}{module}.{B_}"), vec![output, rank]),
        ]
    }

    fn adapter<B: Backend>(&self, places: Places, pairs: Vec<Pair<B>>) -> Lora<B> {
        let scales = places.maps.iter().map(|map| self.scale_of(&map.name)).collect();
        Lora {
            pairs,
            places,
            scales,
            dropout: self.dropout,
        }
    }
}

/// The value of the first pattern that a module's name ends with.
fn by_pattern<T: Copy>(patterns: &[(String, T)], module: &str) -> Option<T> {
    let fits = |pattern: &str| whole_parts(pattern).is_ok_and(|pattern| pattern.is_match(module));
    patterns
        .iter()
        .find(|(pattern, _)| fits(pattern))
        .map(|(_, value)| *value)
}

/// PEFT's interpretation of a key of `rank_pattern`: the last whole components of a name.
fn whole_parts(pattern: &str) -> Result<Regex, regex::Error> {
    Regex::new(&format!(r"^(?:.*\.)?(?:{pattern})$"))
}

/// `A` and `B` of one linear map.
#[derive(Module, Debug)]
pub struct Pair<B: Backend> {
    /// `[in, r]`.
    pub a: Param<Tensor<B, 2>>,
    /// `[r, out]`.
    pub b: Param<Tensor<B, 2>>,
}

/// Low-rank products of all chosen weights.
#[derive(Module, Debug)]
pub struct Lora<B: Backend> {
    /// The products, in the model's order.
    pub pairs: Vec<Pair<B>>,
    #[module(skip)]
    places: Places,
    #[module(skip)]
    scales: Vec<f64>,
    #[module(skip)]
    dropout: f64,
}

impl<B: Backend> Intervention<B> for Lora<B> {
    fn linear(&self, site: LinearSite) -> Option<LinearChange<B>> {
        let place = self.places.of(site)?;
        let Pair { a, b } = &self.pairs[place];
        Some(LinearChange {
            low_rank: Some(LowRank::new(a.val(), b.val(), self.scales[place], self.dropout)),
            ..LinearChange::none()
        })
    }

    fn changes_model(&self) -> bool {
        true
    }
}

impl MethodConfig for LoraConfig {
    type Module<B: Backend> = Lora<B>;

    const INFO: MethodInfo = MethodInfo {
        title: "LoRA",
        summary: "products of low rank beside chosen weights, `x·W + (alpha/r)·x·A·B`",
        peft_type: "LORA",
        has_prompt: false,
        groups: &[ParameterGroup {
            name: "lora",
            prefix: "",
            defaults: Some(GroupDefaults {
                learning_rate: 3e-4,
                weight_decay: 0.0,
                warmup_steps: 500,
            }),
        }],
        merge: Merge::Weights,
        inference: "nothing once merged; otherwise a product of low rank at each map",
        citation: "Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, ICLR 2022",
    };

    const SETTINGS: &'static [Setting] = &[RANK, ALPHA, DROPOUT, RSLORA, TARGETS];

    fn from_settings(settings: &MethodSettings<'_>) -> Result<Self, CoreError> {
        Ok(Self {
            dropout: settings.own(Method::Lora, &DROPOUT)?,
            use_rslora: settings.own(Method::Lora, &RSLORA)?,
            target_modules: settings.own(Method::Lora, &TARGETS)?,
            ..Self::new(settings.own(Method::Lora, &RANK)?, settings.own(Method::Lora, &ALPHA)?)
        })
    }

    fn validate(&self) -> Result<(), CoreError> {
        let ranks = || {
            [self.rank]
                .into_iter()
                .chain(self.rank_pattern.iter().map(|(_, rank)| *rank))
        };
        if ranks().any(|rank| rank == 0) {
            return Err(refuse(Method::Lora, "rank", "at least 1", 0));
        }
        let alphas = [self.alpha]
            .into_iter()
            .chain(self.alpha_pattern.iter().map(|(_, alpha)| *alpha));
        if let Some(alpha) = alphas.into_iter().find(|alpha| !alpha.is_finite()) {
            return Err(refuse(Method::Lora, "alpha", "a finite number", alpha));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(refuse(Method::Lora, "dropout", "at least 0 and below 1", self.dropout));
        }
        let patterns = self.rank_pattern.iter().map(|(pattern, _)| pattern);
        let mut patterns = patterns.chain(self.alpha_pattern.iter().map(|(pattern, _)| pattern));
        match patterns.find(|pattern| whole_parts(pattern).is_err()) {
            Some(pattern) => Err(refuse(
                Method::Lora,
                "rank_pattern or alpha_pattern",
                "regular expressions",
                pattern,
            )),
            None => Ok(()),
        }
    }

    fn tensor_shapes(&self, sites: &ModelSites) -> Result<Vec<Shape>, CoreError> {
        let maps = self.select(sites)?;
        let shapes = maps
            .iter()
            .flat_map(|map| self.shapes_of(&map.name, map.input, map.output));
        Ok(shapes.collect())
    }

    fn file_shapes(&self, found: &[Shape]) -> Vec<Shape> {
        let mut sizes: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
        for (name, shape) in found {
            if let Some(module) = module(name, A) {
                sizes.entry(module).or_default()[0] = shape.last().copied().unwrap_or(0);
            } else if let Some(module) = module(name, B_) {
                sizes.entry(module).or_default()[1] = shape.first().copied().unwrap_or(0);
            }
        }
        if sizes.is_empty() {
            // An adapter without products is invalid: report its first tensor as missing.
            sizes.insert("*", [0, 0]);
        }
        sizes
            .into_iter()
            .flat_map(|(module, [input, output])| self.shapes_of(module, input, output))
            .collect()
    }

    fn start<B: Backend>(
        &self,
        sites: &ModelSites,
        start: AdapterInit<B>,
        device: &B::Device,
    ) -> Result<Lora<B>, CoreError> {
        let places = Places::new(self.select(sites)?);
        let pair = |(place, map): (usize, &LinearMap)| {
            let rank = self.rank_of(&map.name);
            // PyTorch's kaiming_uniform_(a = √5) on `[r, in]`, PEFT's initialisation.
            let bound = 1.0 / (map.input as f64).sqrt();
            let a = site_matrix([map.input, rank], bound, start.seed, place);
            Pair {
                a: Param::from_tensor(Tensor::from_data(a, device)),
                b: Param::from_tensor(Tensor::zeros([rank, map.output], device)),
            }
        };
        let pairs = places.maps.iter().enumerate().map(pair).collect();
        Ok(self.adapter(places, pairs))
    }

    fn with_tensors<B: Backend>(
        &self,
        sites: &ModelSites,
        mut tensors: BTreeMap<String, TensorData>,
        device: &B::Device,
    ) -> Result<Lora<B>, CoreError> {
        let named: Vec<&LinearMap> = tensors
            .keys()
            .filter_map(|tensor| Some((tensor, module(tensor, A)?)))
            .map(|(tensor, module)| find(Method::Lora, sites, tensor, module))
            .collect::<Result<_, _>>()?;
        let is_named = |map: &&LinearMap| named.iter().any(|named| named.site == map.site);
        let maps: Vec<&LinearMap> = match self.is_restricted {
            true => sites.linears.iter().filter(is_named).collect(),
            false => self.select(sites)?,
        };
        let places = Places::new(maps);
        let mut pairs = Vec::with_capacity(places.maps.len());
        for map in &places.maps {
            let mut take = |(tensor, expected): &Shape| match tensors.remove(tensor) {
                Some(data) if data.shape.as_slice() == expected.as_slice() => Ok(values(data)),
                found => {
                    let found = found.map_or(vec![], |data| data.shape.to_vec());
                    Err(mismatch(tensor, expected, &found))
                }
            };
            let [a_shape, b_shape] = self.shapes_of(&map.name, map.input, map.output);
            let (a, b) = (take(&a_shape)?, take(&b_shape)?);
            let rank = a_shape.1[0];
            let b = match &map.fused {
                Some(fused) => fused.from_checkpoint(&b, rank),
                None => b,
            };
            let a = TensorData::new(transposed(&a, [rank, map.input]), [map.input, rank]);
            let b = TensorData::new(transposed(&b, [map.output, rank]), [rank, map.output]);
            pairs.push(Pair {
                a: Param::from_tensor(Tensor::from_data(a, device)),
                b: Param::from_tensor(Tensor::from_data(b, device)),
            });
        }
        match tensors.first_key_value() {
            Some((tensor, data)) => Err(mismatch(tensor, &[], &data.shape)),
            None => Ok(self.adapter(places, pairs)),
        }
    }

    fn tensors<B: Backend>(module: &Lora<B>) -> Vec<(String, TensorData)> {
        let of_map = |(map, pair): (&LinearMap, &Pair<B>)| {
            let [_, rank] = pair.a.dims();
            let a = values(pair.a.val().into_data());
            let b = values(pair.b.val().into_data());
            let b = transposed(&b, [rank, map.output]);
            let b = match &map.fused {
                Some(fused) => fused.to_checkpoint(&b, rank),
                None => b,
            };
            let a = TensorData::new(transposed(&a, [map.input, rank]), [rank, map.input]);
            [
                (format!("{PREFIX}{}.{A}", map.name), a),
                (
                    format!("{PREFIX}{}.{B_}", map.name),
                    TensorData::new(b, [map.output, rank]),
                ),
            ]
        };
        module.places.maps.iter().zip(&module.pairs).flat_map(of_map).collect()
    }

    fn check_constants<B: Backend>(&self, module: &Lora<B>) -> Result<(), CoreError> {
        if module.dropout != self.dropout {
            return Err(differs("dropout", self.dropout, module.dropout));
        }
        for (map, &scale) in module.places.maps.iter().zip(&module.scales) {
            let described = self.scale_of(&map.name);
            if described != scale {
                return Err(differs("alpha / rank", described, scale));
            }
        }
        Ok(())
    }

    fn peft_keys<B: Backend>(&self, module: &Lora<B>) -> Map<String, Value> {
        let ranks: Map<String, Value> = pattern_keys(&self.rank_pattern);
        let alphas: Map<String, Value> = self
            .alpha_pattern
            .iter()
            .map(|(pattern, alpha)| (pattern.clone(), exact(*alpha)))
            .collect();
        object(json!({
            "alpha_pattern": alphas,
            "bias": "none",
            "fan_in_fan_out": false,
            "init_lora_weights": true,
            "lora_alpha": self.alpha,
            "lora_dropout": self.dropout,
            "r": self.rank,
            "rank_pattern": ranks,
            "target_modules": target_value(&self.target_modules, &module.places),
            "use_rslora": self.use_rslora,
        }))
    }

    fn own_keys(&self) -> Map<String, Value> {
        object(json!({
            "alpha": exact(self.alpha),
            "default_targets": self.target_modules.is_default(),
            "dropout": exact(self.dropout),
        }))
    }

    fn from_keys(top: &mut Fields<'_>, own: &mut Fields<'_>) -> Result<Self, CoreError> {
        refuse_options(
            top,
            &[
                ("bias", Some("none")),
                ("lora_bias", None),
                ("modules_to_save", None),
                ("use_dora", None),
                ("use_qalora", None),
                ("target_parameters", None),
                ("trainable_token_indices", None),
                ("layer_replication", None),
            ],
        )?;
        // How the checkpoint lays out the weights that are changed; the adapter's tensors are the same.
        top.flag("fan_in_fan_out")?;
        let mut is_restricted = false;
        for key in ["layers_to_transform", "layers_pattern", "exclude_modules"] {
            let named = top.peek(key).is_some_and(|value| !is_empty(value));
            is_restricted |= named;
        }
        // These initialisations also modify the backbone's weights, which the adapter file does not contain.
        top.take(
            "init_lora_weights",
            "true, false, \"gaussian\", \"eva\" or \"orthogonal\"",
            |value| {
                let leaves_weights = matches!(value.as_str(), None | Some("gaussian" | "eva" | "orthogonal"));
                leaves_weights.then_some(())
            },
        )?;
        let rank = top.required_count("r")?;
        let stated = top.number("lora_alpha")?;
        let exact = own.number("alpha")?;
        // The last digit may be lost in PEFT's field, and nothing else.
        if let (Some(stated), Some(exact)) = (stated, exact)
            && (stated - exact).abs() > 1e-12 * exact.abs()
        {
            return Err(top.error("lora_alpha", &format!("{exact}, as adept.alpha"), &stated.into()));
        }
        let alpha = exact.or(stated).unwrap_or(8.0);
        let dropout = top.number("lora_dropout")?.unwrap_or(0.0);
        let targets = read_targets(top, "target_modules")?.unwrap_or_default();
        let is_default = own.flag("default_targets")?.unwrap_or(false);
        Ok(Self {
            dropout: own.number("dropout")?.unwrap_or(dropout),
            use_rslora: top.flag("use_rslora")?.unwrap_or(false),
            target_modules: if is_default { TargetModules::default() } else { targets },
            rank_pattern: top.pattern("rank_pattern", |value| usize::try_from(value.as_u64()?).ok())?,
            alpha_pattern: top.pattern("alpha_pattern", Value::as_f64)?,
            is_restricted,
            ..Self::new(rank, alpha)
        })
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        vec![
            ("rank r", self.rank.to_string()),
            ("alpha", self.alpha.to_string()),
            ("rank-stabilised", self.use_rslora.to_string()),
            ("dropout", self.dropout.to_string()),
            ("target modules", self.target_modules.to_string()),
        ]
    }

    fn rank(&self) -> usize {
        self.rank
    }
}

fn pattern_keys(patterns: &[(String, usize)]) -> Map<String, Value> {
    patterns
        .iter()
        .map(|(pattern, rank)| (pattern.clone(), (*rank).into()))
        .collect()
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

fn differs(field: &'static str, described: f64, held: f64) -> CoreError {
    let found = format!("{described} (the adapter's is {held})");
    refuse(Method::Lora, field, "the value the adapter computes with", found)
}
