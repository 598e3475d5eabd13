//! `config.json` and `generation_config.json` of a folder, resolved as in transformers.
//!
//! Both files may state the end, padding and start tokens; transformers' `generate` follows `generation_config.json`
//! where it has a value, and otherwise `config.json`. Other keys are read by the families, refused by name here, or
//! ignored for a reason:
//!
//! | keys | |
//! |---|---|
//! | `do_sample`, `temperature`, `top_k`, `top_p`, `num_beams`, `max_length` and other decoding options | ignored: a run's own settings decide how and how long to generate |
//! | `repetition_penalty` | ignored for decoders, whose runs set `generation.repetition_penalty`; refused otherwise |
//! | whatever forces, forbids or delays tokens, or ends a text other than by end tokens ([`ALTERS_TEXT`]) | refused unless neutral: `generate` would produce something else |
//! | `bos_token_id` | checked; the tokenizer decides how a text begins |
//! | `use_cache`, `pretraining_tp`, `transformers_version`, `task_specific_params`, … | ignored: they do not affect the model |

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::ModelError;

/// File name of the generation settings.
pub const GENERATION_CONFIG: &str = "generation_config.json";
/// File name of a model's configuration.
pub const CONFIG: &str = "config.json";

/// Generation keys that change greedily decoded text, each with its neutral number. `null`, `false` and empty lists are
/// neutral as well.
pub const ALTERS_TEXT: [(&str, Option<f64>); 20] = [
    ("bad_words_ids", None),
    ("begin_suppress_tokens", None),
    ("constraints", None),
    ("dola_layers", None),
    ("encoder_no_repeat_ngram_size", Some(0.0)),
    ("encoder_repetition_penalty", Some(1.0)),
    ("exponential_decay_length_penalty", None),
    ("force_words_ids", None),
    ("forced_bos_token_id", None),
    ("forced_decoder_ids", None),
    ("forced_eos_token_id", None),
    ("guidance_scale", Some(1.0)),
    ("min_length", Some(0.0)),
    ("min_new_tokens", Some(0.0)),
    ("no_repeat_ngram_size", Some(0.0)),
    ("sequence_bias", None),
    ("stop_strings", None),
    ("suppress_tokens", None),
    ("token_healing", None),
    ("watermarking_config", None),
];

/// Configuration keys that change the computation of other architectures than ours, each with its neutral number.
const ALTERS_MODEL: [(&str, Option<f64>); 24] = [
    ("add_cross_attention", None),
    ("alibi", None),
    ("attention_multiplier", None),
    ("attn_logit_softcapping", Some(0.0)),
    ("embedding_multiplier", Some(1.0)),
    ("embedding_scale", Some(1.0)),
    ("final_logit_softcapping", Some(0.0)),
    ("logit_scale", Some(1.0)),
    ("logits_scaling", Some(1.0)),
    ("num_experts", Some(0.0)),
    ("num_local_experts", Some(0.0)),
    ("pruned_heads", None),
    ("qk_layernorm", None),
    ("quantization_config", None),
    ("residual_multiplier", Some(1.0)),
    ("rope_interleaved", None),
    ("scale_depth", Some(1.0)),
    ("scale_emb", Some(1.0)),
    ("scale_embedding", Some(1.0)),
    ("text_config", None),
    ("tie_encoder_decoder", None),
    ("use_alibi", None),
    ("use_qk_norm", None),
    ("vision_config", None),
];

/// A model's settings, unresolved.
#[derive(Debug)]
pub(crate) struct ConfigFiles {
    text: String,
    pub config: Object,
    generation: Option<Object>,
}

/// A file that holds a JSON object.
#[derive(Debug)]
pub(crate) struct Object {
    pub path: PathBuf,
    map: Map<String, Value>,
}

/// Special tokens, as stated by the files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TokenIds {
    pub bos: Option<u32>,
    /// Not empty. Training rows end with the first: the first of `config.json`, if it is among them.
    pub eos: Option<Vec<u32>>,
    pub pad: Option<u32>,
    pub decoder_start: Option<u32>,
}

/// How to recognise a family's files.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signs {
    pub model_type: &'static str,
    /// Part of its architectures' names, in lower case.
    pub architecture: &'static str,
    pub is_encoder_decoder: bool,
    /// Keys of [`ALTERS_MODEL`] that the family reads.
    pub reads: &'static [&'static str],
}

impl Signs {
    /// Those of a decoder-only family.
    pub const fn causal(model_type: &'static str, architecture: &'static str) -> Self {
        Self {
            model_type,
            architecture,
            is_encoder_decoder: false,
            reads: &[],
        }
    }
}

impl ConfigFiles {
    /// Reads the files of a folder.
    pub fn from_dir(dir: &Path) -> Result<Self, ModelError> {
        let path = dir.join(CONFIG);
        let text = adept_files::read_text(&path)?;
        let generation = dir.join(GENERATION_CONFIG);
        Ok(Self {
            config: Object::parse(path, &text)?,
            generation: match adept_files::is_named(&generation) {
                true => Some(Object::parse(
                    generation.clone(),
                    &adept_files::read_text(&generation)?,
                )?),
                false => None,
            },
            text,
        })
    }

    /// Parses the texts of the files.
    pub fn from_texts(config: &str, generation: Option<&str>) -> Result<Self, ModelError> {
        let generation = generation.map(|text| Object::parse(PathBuf::from(GENERATION_CONFIG), text));
        Ok(Self {
            text: config.to_owned(),
            config: Object::parse(PathBuf::from(CONFIG), config)?,
            generation: generation.transpose()?,
        })
    }

    /// Deserialises the fields a family needs, from the text rather than from the object so that errors have a line
    /// number.
    pub fn fields<T: DeserializeOwned>(&self) -> Result<T, ModelError> {
        serde_json::from_str(&self.text).map_err(|source| ModelError::Json {
            path: self.config.path.clone(),
            source,
        })
    }

    /// Refuses files of other models, and keys that would change what the model computes or generates.
    pub fn check(&self, signs: Signs) -> Result<(), ModelError> {
        let config = &self.config;
        match config.get("model_type") {
            None => {}
            Some(Value::String(found)) if found == signs.model_type => {}
            Some(found) => return Err(config.refuse("model_type", signs.model_type, found)),
        }
        if let Some(found) = config.get("architectures").filter(|found| !is_neutral(found, None)) {
            let is_ours = |name: &Value| {
                let name = name.as_str().unwrap_or_default().to_lowercase();
                name.contains(signs.architecture)
            };
            if !found.as_array().is_some_and(|names| names.iter().any(is_ours)) {
                let expected = format!("an architecture of {}", signs.model_type);
                return Err(config.refuse("architectures", expected, found));
            }
        }
        config.only("is_encoder_decoder", &[Value::Bool(signs.is_encoder_decoder)])?;
        if !signs.is_encoder_decoder {
            // Embedding models made of decoders look both ways.
            config.only("is_causal", &[Value::Bool(true)])?;
        }
        for (key, neutral) in ALTERS_MODEL.iter().filter(|(key, _)| !signs.reads.contains(key)) {
            config.neutral(key, *neutral)?;
        }
        self.check_dtype()?;
        let generation = self.generation.as_ref().unwrap_or(config);
        for (key, neutral) in ALTERS_TEXT {
            generation.neutral(key, neutral)?;
        }
        if signs.is_encoder_decoder {
            generation.neutral("repetition_penalty", Some(1.0))?;
        }
        Ok(())
    }

    /// Checks `torch_dtype`, called `dtype` since version 5 of transformers: models compute in float32 whatever their
    /// storage type, but any other type indicates quantised weights.
    fn check_dtype(&self) -> Result<(), ModelError> {
        const KNOWN: [&str; 5] = ["auto", "float32", "float16", "bfloat16", "float64"];
        for key in ["torch_dtype", "dtype"] {
            let Some(found) = self.config.get(key) else { continue };
            let name = found.as_str().map(|name| name.trim_start_matches("torch."));
            if !name.is_some_and(|name| KNOWN.contains(&name)) {
                return Err(self.config.refuse(key, "float32, float16 or bfloat16", found));
            }
        }
        Ok(())
    }

    /// Special tokens, preferring `generation_config.json` over `config.json`.
    pub fn tokens(&self) -> Result<TokenIds, ModelError> {
        let model = self.config.tokens()?;
        let Some(file) = &self.generation else {
            return Ok(model);
        };
        let generation = file.tokens()?;
        if let (Some(trained), Some(written)) = (model.decoder_start, generation.decoder_start)
            && trained != written
        {
            let expected = format!("{trained} as in {CONFIG}, which training begins answers with");
            return Err(file.refuse("decoder_start_token_id", expected, written));
        }
        let eos = match (generation.eos, model.eos) {
            (Some(mut written), Some(trained)) => {
                // The token that training rows ended with goes first; sorting by a flag keeps the others in order.
                written.sort_by_key(|id| *id != trained[0]);
                Some(written)
            }
            (written, trained) => written.or(trained),
        };
        Ok(TokenIds {
            bos: generation.bos.or(model.bos),
            eos,
            pad: generation.pad.or(model.pad),
            decoder_start: generation.decoder_start.or(model.decoder_start),
        })
    }
}

impl Object {
    fn parse(path: PathBuf, text: &str) -> Result<Self, ModelError> {
        match adept_files::json_object(text.as_bytes()) {
            Ok(map) => Ok(Self { path, map }),
            Err(source) => Err(ModelError::Json { path, source }),
        }
    }

    /// All keys with their values.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.map
    }

    /// The value of a key, unless it is missing or `null`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// Whether a key is present and `null`, which for some keys is not the default.
    pub fn is_null(&self, key: &str) -> bool {
        self.map.get(key).is_some_and(Value::is_null)
    }

    /// An unsupported value.
    pub fn refuse(&self, key: &str, expected: impl ToString, found: impl ToString) -> ModelError {
        /// Longer values are cut: a whole object or list does not help in a message.
        const LONGEST: usize = 120;
        let found = found.to_string();
        ModelError::Setting {
            file: self.path.clone(),
            key: key.to_owned(),
            expected: expected.to_string(),
            found: match found.char_indices().nth(LONGEST) {
                Some((end, _)) => format!("{} …", &found[..end]),
                None => found,
            },
        }
    }

    /// Refuses a value, if stated, that is none of `values`.
    pub fn only(&self, key: &str, values: &[Value]) -> Result<(), ModelError> {
        let Some(found) = self.get(key) else { return Ok(()) };
        // 1 and 1.0 are the same number.
        let is_same = |value: &Value| value == found || value.as_f64().is_some_and(|own| Some(own) == found.as_f64());
        if values.iter().any(is_same) {
            return Ok(());
        }
        let expected: Vec<String> = values.iter().map(ToString::to_string).collect();
        Err(self.refuse(key, expected.join(" or "), found))
    }

    fn neutral(&self, key: &str, number: Option<f64>) -> Result<(), ModelError> {
        let found = self.get(key).filter(|found| !is_neutral(found, number));
        let Some(found) = found else { return Ok(()) };
        let expected = match number {
            Some(number) => format!("{number} or nothing (it is not supported)"),
            None => "nothing (it is not supported)".to_owned(),
        };
        Err(self.refuse(key, expected, found))
    }

    fn tokens(&self) -> Result<TokenIds, ModelError> {
        let eos = match self.get("eos_token_id") {
            None => None,
            Some(Value::Array(ids)) => {
                let ids: Option<Vec<u32>> = ids.iter().map(id).collect();
                let ids = ids.filter(|ids| !ids.is_empty());
                let found = &self.map["eos_token_id"];
                Some(ids.ok_or_else(|| self.refuse("eos_token_id", "a token id or a list of them", found))?)
            }
            Some(one) => {
                Some(vec![id(one).ok_or_else(|| {
                    self.refuse("eos_token_id", "a token id or a list of them", one)
                })?])
            }
        };
        // -1 means none in the first published Llamas.
        let pad = match self.get("pad_token_id").and_then(Value::as_i64) {
            Some(-1) => None,
            _ => self.token("pad_token_id")?,
        };
        Ok(TokenIds {
            bos: self.token("bos_token_id")?,
            eos,
            pad,
            decoder_start: self.token("decoder_start_token_id")?,
        })
    }

    fn token(&self, key: &str) -> Result<Option<u32>, ModelError> {
        let Some(found) = self.get(key) else { return Ok(None) };
        id(found).map(Some).ok_or_else(|| self.refuse(key, "a token id", found))
    }
}

/// A token id.
fn id(value: &Value) -> Option<u32> {
    u32::try_from(value.as_u64()?).ok()
}

/// Whether a value leaves the feature off.
fn is_neutral(value: &Value, number: Option<f64>) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Number(found) => number.is_some() && found.as_f64() == number,
        Value::Bool(true) | Value::String(_) => false,
    }
}

/// A single token as a number, several as a list, as in configuration files.
#[must_use]
pub fn one_or_many(ids: &[u32]) -> Value {
    match ids {
        [one] => Value::from(*one),
        many => Value::from(many),
    }
}
