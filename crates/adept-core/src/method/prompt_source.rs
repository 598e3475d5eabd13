//! What makes the virtual tokens beside ADePT's offset: they are trained themselves, or a network of residual prompt
//! tuning or P-tuning makes them. The paper calls its offset orthogonal to such methods and open to their prompts
//! (section 1, on the first three of its four paths).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::p_tuning::{self, Encoder, PTuningConfig};
use super::prompt::{self, MOST_HIDDEN, refuse};
use super::residual::{self, ResidualConfig};
use super::{MethodSettings, ParameterGroup, Setting, SettingKind};
use crate::file::Fields;
use crate::network::NetworkSizes;
use crate::{CoreError, Method};

/// Words for the sources, in settings and in files.
const WORDS: [&str; 3] = ["plain", "residual", "p_tuning"];

const PROMPT: Setting = Setting {
    key: "prompt",
    kind: SettingKind::Choice(&WORDS),
    default: "\"plain\"",
    meaning: "What the virtual tokens are: trained themselves (`plain`), made by the network of residual prompt tuning \
              (`residual`, trained with `optimizer.adept_residual`), or by the encoder of P-tuning (`p_tuning`, \
              trained together with its embedding with `optimizer.adept_p_tuning`). `adapter.budget_tokens` does not \
              count the network: inference has its result alone.",
};
const ENCODER: Setting = Setting {
    key: "encoder",
    kind: SettingKind::Choice(&["mlp", "lstm"]),
    default: "\"mlp\"",
    meaning: "The encoder of `prompt = \"p_tuning\"`, as `adapter.p_tuning.encoder`.",
};
const HIDDEN: Setting = Setting {
    key: "hidden",
    kind: SettingKind::Integer {
        min: 0,
        max: MOST_HIDDEN as i64,
    },
    default: "0",
    meaning: "Hidden width h of the network. 0: 800 for `residual`, the model's width for `p_tuning`.",
};

/// Settings of the section `adapter.adept`.
pub(super) const SETTINGS: &[Setting] = &[PROMPT, ENCODER, HIDDEN];

/// The network of `residual`; its prompt is in the group `prompt`.
pub(super) const RESIDUAL_GROUP: ParameterGroup = ParameterGroup {
    name: "adept_residual",
    prefix: "network",
    defaults: Some(residual::NETWORK_DEFAULTS),
};
/// The encoder of `p_tuning` and its embedding: whatever an earlier group does not contain.
pub(super) const P_TUNING_GROUP: ParameterGroup = ParameterGroup {
    name: "adept_p_tuning",
    prefix: "",
    defaults: Some(p_tuning::DEFAULTS),
};

/// What makes ADePT's virtual tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PromptSource {
    /// They are trained themselves.
    #[default]
    Plain,
    /// The network of residual prompt tuning.
    Residual {
        /// Its hidden width `h`.
        hidden: usize,
    },
    /// The encoder of P-tuning.
    PTuning {
        /// Its kind.
        encoder: Encoder,
        /// Its hidden width `h`.
        hidden: usize,
    },
}

/// The words for the sources.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Plain,
    Residual,
    PTuning,
}

impl PromptSource {
    /// Kind and sizes of the network, if there is one.
    pub(crate) fn network(self, d_model: usize, virtual_tokens: usize) -> Option<NetworkSizes> {
        match self {
            Self::Plain => None,
            Self::Residual { hidden } => Some(ResidualConfig::new(d_model, virtual_tokens, hidden).network()),
            Self::PTuning { encoder, hidden } => {
                Some(PTuningConfig::new(d_model, virtual_tokens, encoder, hidden).network())
            }
        }
    }

    /// The source that the settings of `adapter.adept` choose.
    pub(super) fn from_settings(settings: &MethodSettings<'_>) -> Result<Self, CoreError> {
        let hidden: usize = settings.own(Method::Adept, &HIDDEN)?;
        let encoder: Encoder = settings.own(Method::Adept, &ENCODER)?;
        let or = |default: usize| if hidden == 0 { default } else { hidden };
        let word = settings.own(Method::Adept, &PROMPT)?;
        if encoder != Encoder::Mlp && !matches!(word, Word::PTuning) {
            let expected = "left out unless prompt = \"p_tuning\"";
            return Err(refuse(Method::Adept, "encoder", expected, "lstm"));
        }
        match word {
            Word::Plain if hidden > 0 => {
                let expected = "0: a plain prompt has no network";
                Err(refuse(Method::Adept, "hidden", expected, hidden))
            }
            Word::Plain => Ok(Self::Plain),
            Word::Residual => Ok(Self::Residual {
                hidden: or(residual::DEFAULT_HIDDEN),
            }),
            Word::PTuning => Ok(Self::PTuning {
                encoder,
                hidden: or(settings.sites.d_model),
            }),
        }
    }

    /// Checks the sizes of the network.
    pub(super) fn validate(self, d_model: usize, virtual_tokens: usize) -> Result<(), CoreError> {
        let Some(sizes) = self.network(d_model, virtual_tokens) else {
            return Ok(());
        };
        if virtual_tokens == 0 {
            let expected = "at least 1, for the network to make";
            return Err(refuse(Method::Adept, "virtual_tokens", expected, 0));
        }
        prompt::validate_sizes(Method::Adept, sizes)
    }

    /// Adds its keys to those of the section `adept` in files; a plain prompt has none.
    pub(super) fn put_keys(self, keys: &mut Map<String, Value>) {
        match self {
            Self::Plain => {}
            Self::Residual { hidden } => {
                keys.extend(prompt::object(json!({ "hidden": hidden, "prompt": Word::Residual })));
            }
            Self::PTuning { encoder, hidden } => {
                let own = json!({ "encoder": encoder, "hidden": hidden, "prompt": Word::PTuning });
                keys.extend(prompt::object(own));
            }
        }
    }

    /// Reads the keys of [`PromptSource::put_keys`].
    pub(super) fn from_keys(own: &mut Fields<'_>) -> Result<Self, CoreError> {
        let word = own.word("prompt", "plain, residual or p_tuning")?;
        Ok(match word.unwrap_or(Word::Plain) {
            Word::Plain => Self::Plain,
            Word::Residual => Self::Residual {
                hidden: own.required_count("hidden")?,
            },
            Word::PTuning => Self::PTuning {
                encoder: own.word("encoder", "mlp or lstm")?.unwrap_or(Encoder::Mlp),
                hidden: own.required_count("hidden")?,
            },
        })
    }

    /// Human-readable sizes, as (name, value); none for a plain prompt.
    pub(super) fn facts(self) -> Vec<(&'static str, String)> {
        let fact = |word: &str, hidden: usize| {
            vec![
                ("prompt made by", word.to_owned()),
                ("hidden width h", hidden.to_string()),
            ]
        };
        match self {
            Self::Plain => Vec::new(),
            Self::Residual { hidden } => fact("a residual network", hidden),
            Self::PTuning { encoder, hidden } => fact(encoder.peft_name(), hidden),
        }
    }
}
