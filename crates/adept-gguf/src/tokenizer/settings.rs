//! Special tokens, the post-processor and the chat template.

use serde_json::{Map, Value, json};

use super::vocabulary::Vocabulary;
use crate::container::Metadata;
use crate::error::GgufError;

/// Ids of special tokens.
#[derive(Debug, Clone, Default)]
pub(crate) struct SpecialIds {
    /// Begin of text.
    pub bos: Option<usize>,
    /// End of text.
    pub eos: Option<usize>,
    /// End of a turn or message; `generate` stops at these as well.
    pub ends: Vec<usize>,
    /// Padding.
    pub pad: Option<usize>,
}

#[derive(Debug)]
pub(super) struct Settings<'a> {
    pub ids: SpecialIds,
    bos: Option<&'a str>,
    eos: Option<&'a str>,
    pad: Option<&'a str>,
    unknown: Option<&'a str>,
    adds_bos: bool,
    adds_eos: bool,
}

impl<'a> Settings<'a> {
    pub fn read(metadata: &Metadata, vocabulary: &Vocabulary<'a>, begins_texts: bool) -> Result<Self, GgufError> {
        let token = |name: &str| {
            let key = format!("tokenizer.ggml.{name}_token_id");
            let Some(id) = metadata.find_count(&key)? else {
                return Ok((None, None));
            };
            match vocabulary.text(id) {
                Some(text) => Ok((Some(id), Some(text))),
                None => Err(metadata.refuse(&key, "the id of a token", id)),
            }
        };
        let ((bos_id, bos), (eos_id, eos)) = (token("bos")?, token("eos")?);
        let ((pad_id, pad), (_, unknown)) = (token("padding")?, token("unknown")?);
        let mut ends = Vec::new();
        for name in ["eot", "eom"] {
            if let (Some(id), _) = token(name)?
                && Some(id) != eos_id
                && !ends.contains(&id)
            {
                ends.push(id);
            }
        }
        let adds_bos = metadata
            .find_flag("tokenizer.ggml.add_bos_token")?
            .unwrap_or(begins_texts);
        let adds_eos = metadata.find_flag("tokenizer.ggml.add_eos_token")?.unwrap_or(false);
        Ok(Self {
            ids: SpecialIds {
                bos: bos_id,
                eos: eos_id,
                ends,
                pad: pad_id,
            },
            adds_bos: adds_bos && bos.is_some(),
            adds_eos: adds_eos && eos.is_some(),
            bos,
            eos,
            pad,
            unknown,
        })
    }

    /// The post-processor that adds special tokens, after `offsets`.
    pub fn post_processor(&self, offsets: Option<Value>) -> Value {
        let begin = self.bos.zip(self.ids.bos).filter(|_| self.adds_bos);
        let end = self.eos.zip(self.ids.eos).filter(|_| self.adds_eos);
        if begin.is_none() && end.is_none() {
            return offsets.unwrap_or(Value::Null);
        }
        let around = |sequence: &str, number: u8| {
            let special = |(text, _): (&str, usize)| json!({ "SpecialToken": { "id": text, "type_id": number } });
            let text = json!({ "Sequence": { "id": sequence, "type_id": number } });
            let parts = [begin.map(special), Some(text), end.map(special)];
            parts.into_iter().flatten().collect::<Vec<Value>>()
        };
        let single = around("A", 0);
        let pair: Vec<Value> = single.iter().cloned().chain(around("B", 1)).collect();
        let special = [begin, end].into_iter().flatten();
        let special: Map<String, Value> = special
            .map(|(text, id)| (text.to_owned(), json!({ "id": text, "ids": [id], "tokens": [text] })))
            .collect();
        let template = json!({
            "type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": special,
        });
        match offsets {
            Some(offsets) => json!({ "type": "Sequence", "processors": [offsets, template] }),
            None => template,
        }
    }

    /// `tokenizer_config.json`.
    pub fn config(&self, metadata: &Metadata, added: &[Value], positions: usize) -> Result<Value, GgufError> {
        let decoder: Map<String, Value> = added
            .iter()
            .filter_map(|token| {
                let mut token = token.as_object()?.clone();
                let id = token.shift_remove("id")?;
                Some((id.to_string(), Value::Object(token)))
            })
            .collect();
        let mut config = json!({
            "add_bos_token": self.adds_bos,
            "add_eos_token": self.adds_eos,
            "added_tokens_decoder": decoder,
            "clean_up_tokenization_spaces": false,
            "model_max_length": positions,
            // Model-specific classes would rebuild the tokenizer and ignore parts of tokenizer.json.
            "tokenizer_class": "PreTrainedTokenizerFast",
        });
        for (name, token) in [
            ("bos_token", self.bos),
            ("eos_token", self.eos),
            ("pad_token", self.pad),
            ("unk_token", self.unknown),
        ] {
            if let Some(token) = token {
                config[name] = json!(token);
            }
        }
        if let Some(template) = metadata.find_text("tokenizer.chat_template")? {
            config["chat_template"] = json!(template);
        }
        Ok(config)
    }
}
