//! Prefix tuning: trained keys and values in front of an attention's own (Li and Liang, 2021), either directly or made by
//! a network (`crate::prefix`).
//!
//! - `sites = "decoder"`: self-attention of the decoder, as in PEFT. Files are PEFT's `PREFIX_TUNING`: `prompt_embeddings`
//!   `[m, 2·L·w]` holds for each of L blocks w channels of keys and w of values. The tensors of a network stand beside it.
//! - `sites = "all"`: the encoder's self-attention, the decoder's self-attention and cross-attention, each with an
//!   embedding and a network of its own, as in the published code. Files are our own `PREFIX_TUNING_ALL`, with the same
//!   names behind `encoder.`, `decoder.` and `cross.`.
//!
//! Keys and values enter after the projections and unrotated; tokens count their positions from m on. T5's relative
//! positions see the prefix at 0 to m − 1, in the encoder by its bidirectional buckets; cross-attention has no positions.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::TensorData;
use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::prompt::{self, Given, MOST_HIDDEN, object, refuse};
use super::{
    AdapterInit, GroupDefaults, Merge, MethodConfig, MethodInfo, MethodSettings, ParameterGroup, PromptSizes, Setting,
    SettingKind, Shape,
};
use crate::file::Fields;
use crate::prefix::{AttentionPrefix, Place, PrefixSizes, VALUES};
use crate::site::{KeyHeads, ModelSites, SublayerSite};
use crate::{CoreError, Intervention, Method, Prefix};

const SITES: Setting = Setting {
    key: "sites",
    kind: SettingKind::Choice(&["decoder", "all"]),
    default: "\"decoder\"",
    meaning: "Attentions with a prefix: the decoder's self-attention (`decoder`, as in PEFT), or the encoder's \
              self-attention, the decoder's self-attention and cross-attention, each with its own (`all`, as in the \
              method's paper). A decoder-only backbone has `decoder` alone.",
};
const HIDDEN: Setting = Setting {
    key: "hidden",
    kind: SettingKind::Integer {
        min: 0,
        max: MOST_HIDDEN as i64,
    },
    default: "0",
    meaning: "Hidden width of a network that makes keys and values; 0: they are trained themselves. With \
              `sites = \"all\"` each kind of attention has its own network.",
};

/// PEFT's type for a prefix of the decoder, and our own for one of all attentions.
const TYPES: [&str; 2] = ["PREFIX_TUNING", "PREFIX_TUNING_ALL"];

/// Attentions that have a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrefixSites {
    /// Self-attention of the decoder.
    Decoder,
    /// Self-attention of the encoder and of the decoder, and cross-attention.
    All {
        /// Blocks of the encoder.
        encoder_layers: usize,
    },
}

/// Words for them, in settings and in files.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Decoder,
    All,
}

/// Sizes of a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefixConfig {
    /// Slots `m` in front of an attention's own.
    pub virtual_tokens: usize,
    /// Attentions that have a prefix.
    pub sites: PrefixSites,
    /// Blocks `L` of the decoder.
    pub layers: usize,
    /// Heads of keys and values.
    pub heads: KeyHeads,
    /// Hidden width of the network, or of each of them; 0: none.
    pub hidden: usize,
    /// Longest source in training; informational.
    pub max_source_length: usize,
}

impl PrefixConfig {
    /// A prefix of `virtual_tokens` slots for the decoder's self-attention of that model, made by a network if `hidden`
    /// is not 0.
    ///
    /// # Errors
    /// A model without self-attention in its decoder, or with attentions of different sizes.
    pub fn new(sites: &ModelSites, virtual_tokens: usize, hidden: usize) -> Result<Self, CoreError> {
        let (layers, heads) = Place::Decoder.attentions(sites).ok_or(CoreError::NoSite {
            method: Method::Prefix,
            needed: "self-attentions of one size in its decoder",
        })?;
        Ok(Self {
            virtual_tokens,
            sites: PrefixSites::Decoder,
            layers,
            heads,
            hidden,
            max_source_length: prompt::DEFAULT_LENGTH,
        })
    }

    /// The same for every attention of an encoder-decoder.
    ///
    /// # Errors
    /// As [`PrefixConfig::new`], and a model without encoder or cross-attention.
    pub fn all(sites: &ModelSites, virtual_tokens: usize, hidden: usize) -> Result<Self, CoreError> {
        let decoder = Self::new(sites, virtual_tokens, hidden)?;
        let [encoder, cross] = [Place::Encoder, Place::Cross].map(|place| place.attentions(sites));
        let (Some((encoder_layers, heads)), Some(cross)) = (encoder, cross) else {
            let expected = "decoder: the model has no encoder and cross-attention";
            return Err(refuse(Method::Prefix, "sites", expected, "all"));
        };
        if heads != decoder.heads || cross != (decoder.layers, decoder.heads) {
            return Err(CoreError::NoSite {
                method: Method::Prefix,
                needed: "attentions of one size in both of its stacks",
            });
        }
        Ok(Self {
            sites: PrefixSites::All { encoder_layers },
            ..decoder
        })
    }

    /// Sizes of the decoder's prefix.
    fn decoder_sizes(&self) -> PrefixSizes {
        PrefixSizes {
            virtual_tokens: self.virtual_tokens,
            layers: self.layers,
            width: self.heads.width(),
            hidden: self.hidden,
        }
    }

    /// Sizes of a place's prefix, if it has one.
    fn sizes(&self, place: Place) -> Option<PrefixSizes> {
        let decoder = self.decoder_sizes();
        match (place, self.sites) {
            (Place::Decoder, _) | (Place::Cross, PrefixSites::All { .. }) => Some(decoder),
            (Place::Encoder, PrefixSites::All { encoder_layers }) => Some(PrefixSizes {
                layers: encoder_layers,
                ..decoder
            }),
            (Place::Encoder | Place::Cross, PrefixSites::Decoder) => None,
        }
    }

    /// The kinds of attention that have a prefix, with its sizes, in file order.
    fn places(&self) -> impl Iterator<Item = (Place, PrefixSizes)> {
        Place::ALL
            .into_iter()
            .filter_map(|place| Some((place, self.sizes(place)?)))
    }

    /// Name in files of a tensor of a place.
    fn name(&self, place: Place, tensor: &str) -> String {
        match self.sites {
            PrefixSites::Decoder => tensor.to_owned(),
            PrefixSites::All { .. } => format!("{}{tensor}", place.front()),
        }
    }

    fn shapes(&self) -> Vec<Shape> {
        let of_place = |(place, sizes): (Place, PrefixSizes)| {
            let shapes = sizes.shapes().into_iter();
            shapes.map(move |(name, shape)| (self.name(place, name), shape))
        };
        self.places().flat_map(of_place).collect()
    }

    /// Checks that the prefix has the size of the model's attentions.
    fn check(&self, sites: &ModelSites) -> Result<(), CoreError> {
        let model = match self.sites {
            PrefixSites::Decoder => Self::new(sites, self.virtual_tokens, self.hidden)?,
            PrefixSites::All { .. } => Self::all(sites, self.virtual_tokens, self.hidden)?,
        };
        let sizes = |stack, config: &Self, layers| (stack, [layers, config.heads.heads, config.heads.channels]);
        let all = |config: &Self| {
            let decoder = sizes("decoder", config, config.layers);
            match config.sites {
                PrefixSites::Decoder => vec![decoder],
                PrefixSites::All { encoder_layers } => vec![sizes("encoder", config, encoder_layers), decoder],
            }
        };
        let mut pairs = all(self).into_iter().zip(all(&model));
        match pairs.find(|(expected, found)| expected != found) {
            None => Ok(()),
            Some(((stack, expected), (_, found))) => Err(CoreError::OtherAttention { stack, expected, found }),
        }
    }

    /// An adapter of each place's prefix.
    fn adapter<B: Backend>(&self, mut make: impl FnMut(Place, PrefixSizes) -> AttentionPrefix<B>) -> PrefixAdapter<B> {
        let decoder = make(Place::Decoder, self.decoder_sizes());
        let others = [Place::Encoder, Place::Cross].into_iter();
        let others = others.filter_map(|place| Some(make(place, self.sizes(place)?)));
        PrefixAdapter {
            decoder,
            others: others.collect(),
        }
    }
}

/// Keys and values of all blocks, for each kind of attention that has a prefix.
#[derive(Module, Debug)]
pub struct PrefixAdapter<B: Backend> {
    /// Of the decoder's self-attentions.
    pub decoder: AttentionPrefix<B>,
    /// Of the encoder's self-attentions and of the cross-attentions, in this order; empty if the decoder alone has a
    /// prefix.
    pub others: Vec<AttentionPrefix<B>>,
}

impl<B: Backend> PrefixAdapter<B> {
    fn place(&self, place: Place) -> Option<&AttentionPrefix<B>> {
        match place {
            Place::Decoder => Some(&self.decoder),
            Place::Encoder => self.others.first(),
            Place::Cross => self.others.get(1),
        }
    }

    /// Those that are there, in file order, with what stands in front of their names in files.
    fn parts(&self) -> impl Iterator<Item = (&'static str, &AttentionPrefix<B>)> {
        let is_alone = self.others.is_empty();
        let parts = Place::ALL.into_iter();
        parts.filter_map(move |place| {
            let part = self.place(place)?;
            Some((if is_alone { "" } else { place.front() }, part))
        })
    }

    /// The same prefix with its values computed once, for inference.
    #[must_use]
    pub fn folded(self) -> Self {
        Self {
            decoder: self.decoder.folded(),
            others: self.others.into_iter().map(AttentionPrefix::folded).collect(),
        }
    }
}

impl<B: Backend> Intervention<B> for PrefixAdapter<B> {
    fn prefix(&self, site: SublayerSite) -> Option<Prefix<B>> {
        self.place(Place::of(site)?)?.block(site.block)
    }

    fn changes_model(&self) -> bool {
        true
    }

    fn virtual_tokens(&self) -> usize {
        self.decoder.slots()
    }
}

impl MethodConfig for PrefixConfig {
    type Module<B: Backend> = PrefixAdapter<B>;

    const INFO: MethodInfo = MethodInfo {
        title: "Prefix tuning",
        summary: "keys and values in front of the decoder's own, or of every attention's",
        peft_type: TYPES[0],
        has_prompt: false,
        groups: &[ParameterGroup {
            name: "prefix",
            prefix: "",
            defaults: Some(GroupDefaults {
                learning_rate: 3e-3,
                weight_decay: 0.0,
                warmup_steps: 500,
            }),
        }],
        merge: Merge::No("keys and values in front of others are not weights"),
        inference: "m more keys and values in each attention with a prefix",
        citation: "Li and Liang, Prefix-Tuning: Optimizing Continuous Prompts for Generation, ACL 2021",
    };

    const SETTINGS: &'static [Setting] = &[SITES, HIDDEN];

    const PEFT_TYPES: &'static [&'static str] = &TYPES;

    fn from_settings(settings: &MethodSettings<'_>) -> Result<Self, CoreError> {
        let hidden = settings.own(Method::Prefix, &HIDDEN)?;
        let (sites, m) = (settings.sites, settings.virtual_tokens);
        let config = match settings.own(Method::Prefix, &SITES)? {
            Word::Decoder => Self::new(sites, m, hidden)?,
            Word::All => Self::all(sites, m, hidden)?,
        };
        Ok(Self {
            max_source_length: settings.max_source_length,
            ..config
        })
    }

    fn validate(&self) -> Result<(), CoreError> {
        let expected = "at least 1 (the prefix is all there is)";
        if self.virtual_tokens == 0 {
            return Err(refuse(Method::Prefix, "virtual_tokens", expected, 0));
        }
        if self.hidden > MOST_HIDDEN {
            return Err(refuse(Method::Prefix, "hidden", "from 0 to 8192", self.hidden));
        }
        // Files from other programs may contain anything.
        let bytes = |layers: usize| {
            let width = self.heads.heads.checked_mul(self.heads.channels)?;
            let width = width.checked_mul(2)?.checked_mul(layers)?;
            let rows = self.virtual_tokens.max(MOST_HIDDEN);
            width.checked_mul(rows)?.checked_mul(8)
        };
        let fits = |layers| bytes(layers).is_some_and(|bytes| bytes > 0 && bytes <= isize::MAX as usize);
        let encoder = match self.sites {
            PrefixSites::Decoder => None,
            PrefixSites::All { encoder_layers } => Some(("encoder_layers", encoder_layers)),
        };
        let mut stacks = [("num_layers", self.layers)].into_iter().chain(encoder);
        match stacks.find(|(_, layers)| !fits(*layers)) {
            None => Ok(()),
            Some((field, layers)) => {
                let expected = "at least 1, and a size that fits in memory";
                Err(refuse(Method::Prefix, field, expected, layers))
            }
        }
    }

    fn peft_type(&self) -> &'static str {
        match self.sites {
            PrefixSites::Decoder => TYPES[0],
            PrefixSites::All { .. } => TYPES[1],
        }
    }

    fn tensor_shapes(&self, sites: &ModelSites) -> Result<Vec<Shape>, CoreError> {
        self.check(sites)?;
        Ok(self.shapes())
    }

    fn file_shapes(&self, _: &[Shape]) -> Vec<Shape> {
        self.shapes()
    }

    fn derived_shapes(&self) -> Vec<Shape> {
        // PEFT does not read a prefix of all attentions, so there is nothing to compute for it.
        let of_place = |(place, sizes): (Place, PrefixSizes)| {
            (self.name(place, VALUES), vec![self.virtual_tokens, sizes.columns()])
        };
        match (self.sites, self.hidden) {
            (PrefixSites::Decoder, 1..) => self.places().map(of_place).collect(),
            _ => Vec::new(),
        }
    }

    fn start<B: Backend>(
        &self,
        sites: &ModelSites,
        start: AdapterInit<B>,
        device: &B::Device,
    ) -> Result<PrefixAdapter<B>, CoreError> {
        self.check(sites)?;
        Ok(self.adapter(|place, sizes| sizes.start(start.seed, place.first_stream(), device)))
    }

    fn with_tensors<B: Backend>(
        &self,
        sites: &ModelSites,
        tensors: BTreeMap<String, TensorData>,
        device: &B::Device,
    ) -> Result<PrefixAdapter<B>, CoreError> {
        self.check(sites)?;
        let mut given = Given::new(tensors, &self.shapes())?;
        Ok(self.adapter(|place, sizes| {
            let names = sizes.shapes().into_iter();
            let data: Vec<_> = names.map(|(name, _)| given.data(&self.name(place, name))).collect();
            sizes.build(data, device)
        }))
    }

    fn tensors<B: Backend>(module: &PrefixAdapter<B>) -> Vec<(String, TensorData)> {
        let named = |(front, part): (&str, &AttentionPrefix<B>)| {
            let tensors = part.tensors().into_iter();
            let named = tensors.map(|(name, data)| (format!("{front}{name}"), data));
            named.collect::<Vec<_>>()
        };
        module.parts().flat_map(named).collect()
    }

    fn derived<B: Backend>(module: &PrefixAdapter<B>) -> Vec<(String, TensorData)> {
        let made = module.parts().filter(|(front, _)| front.is_empty());
        made.filter_map(|(_, part)| Some((VALUES.to_owned(), part.made()?)))
            .collect()
    }

    fn check_constants<B: Backend>(&self, _: &PrefixAdapter<B>) -> Result<(), CoreError> {
        Ok(())
    }

    fn peft_keys<B: Backend>(&self, _: &PrefixAdapter<B>) -> Map<String, Value> {
        object(json!({
            "encoder_hidden_size": if self.hidden > 0 { Value::from(self.hidden) } else { Value::Null },
            "num_attention_heads": self.heads.heads,
            "num_layers": self.layers,
            "num_transformer_submodules": 1,
            "num_virtual_tokens": self.virtual_tokens,
            // The values of a network are in the file: PEFT need not compute them.
            "prefix_projection": false,
            "token_dim": self.heads.width(),
        }))
    }

    fn own_keys(&self) -> Map<String, Value> {
        let mut keys = object(json!({
            "hidden": self.hidden,
            "max_source_length": self.max_source_length,
        }));
        if let PrefixSites::All { encoder_layers } = self.sites {
            keys.extend(object(json!({ "encoder_layers": encoder_layers, "sites": Word::All })));
        }
        keys
    }

    fn from_keys(top: &mut Fields<'_>, own: &mut Fields<'_>) -> Result<Self, CoreError> {
        let (virtual_tokens, width) = prompt::sizes(top)?;
        let heads = top.required_count("num_attention_heads")?;
        if heads == 0 || !width.is_multiple_of(heads) {
            return Err(top.error("num_attention_heads", "a divisor of token_dim", &heads.into()));
        }
        // Without our own key the file is of PEFT, which stores the values alone.
        top.flag("prefix_projection")?;
        top.count("encoder_hidden_size")?;
        let sites = match own.word("sites", "decoder or all")?.unwrap_or(Word::Decoder) {
            Word::Decoder => PrefixSites::Decoder,
            Word::All => PrefixSites::All {
                encoder_layers: own.required_count("encoder_layers")?,
            },
        };
        Ok(Self {
            virtual_tokens,
            sites,
            layers: top.required_count("num_layers")?,
            heads: KeyHeads {
                heads,
                channels: width / heads,
            },
            hidden: own.count("hidden")?.unwrap_or(0),
            max_source_length: own.count("max_source_length")?.unwrap_or(prompt::DEFAULT_LENGTH),
        })
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let encoder = match self.sites {
            PrefixSites::Decoder => None,
            PrefixSites::All { encoder_layers } => Some(("encoder blocks", encoder_layers.to_string())),
        };
        let mut facts = vec![("virtual tokens m", self.virtual_tokens.to_string())];
        facts.extend(encoder);
        facts.extend([
            ("blocks", self.layers.to_string()),
            ("width of keys", self.heads.width().to_string()),
            ("hidden width h", self.hidden.to_string()),
            ("max source length", self.max_source_length.to_string()),
        ]);
        facts
    }

    fn prompt_sizes(&self) -> Option<PromptSizes> {
        Some(PromptSizes {
            d_model: None,
            virtual_tokens: self.virtual_tokens,
            max_source_length: self.max_source_length,
        })
    }
}
