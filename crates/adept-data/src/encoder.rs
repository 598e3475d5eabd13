//! Converts the texts of rows into token ids, for both kinds of backbone.
//!
//! An encoder-decoder reads source and target separately, each tokenised as a whole text. A decoder-only backbone reads
//! them concatenated ([`RowTemplate`], [`ChatTemplate`]): the ids of the prompt, then those of the target, then the
//! end-of-text token. The prompt is tokenised on its own in training too, so that training and generation see identical
//! prompt tokens. Conversations are tokenised as a whole ([`conversations`]).

mod conversations;

use std::borrow::Cow;

use crate::loss::{LossyText, Lost};
use crate::task::TargetLength;
use crate::template::{ChatTemplate, RowTemplate, TrainedAnswers};
use crate::tokenizer::cut;
use crate::{DataError, Encoded, Example, TextTokenizer};

/// Targets are tokenised after this text, so that they get the tokens they have in mid-text.
const BEFORE: &str = "a";

/// How source and target of a decoder-only row are concatenated.
#[derive(Debug, Clone)]
pub struct JoinedText {
    /// Joins source and target.
    pub template: RowTemplate,
    /// Wraps the text before the target as a user message; `None` leaves it as plain text.
    pub chat: Option<ChatTemplate>,
    /// Id of the token that ends every target.
    pub end: u32,
    /// Which answers of a conversation are trained on.
    pub answers: TrainedAnswers,
}

/// Tokenises sources and targets.
#[derive(Debug, Clone, Copy)]
pub struct RowEncoder<'a> {
    tokenizer: &'a TextTokenizer,
    joined: Option<&'a JoinedText>,
}

/// A row's ids, and what its source and its target lose in tokenisation.
pub(crate) type EncodedRow = (Encoded, [Lost; 2]);

impl<'a> RowEncoder<'a> {
    /// For a backbone that reads source and target separately.
    #[must_use]
    pub fn apart(tokenizer: &'a TextTokenizer) -> Self {
        Self {
            tokenizer,
            joined: None,
        }
    }

    /// For a decoder-only backbone.
    #[must_use]
    pub fn joined(tokenizer: &'a TextTokenizer, text: &'a JoinedText) -> Self {
        Self {
            tokenizer,
            joined: Some(text),
        }
    }

    /// The tokenizer this encodes with.
    #[must_use]
    pub fn tokenizer(&self) -> &'a TextTokenizer {
        self.tokenizer
    }

    /// The text that is tokenised for a source.
    ///
    /// # Errors
    /// If rendering the chat template fails.
    pub fn prompt<'t>(&self, source: &'t str) -> Result<Cow<'t, str>, DataError> {
        let Some(JoinedText { template, chat, .. }) = self.joined else {
            return Ok(Cow::Borrowed(source));
        };
        let prompt = template.prompt(source);
        Ok(Cow::Owned(match chat {
            Some(chat) => chat.render(&prompt)?,
            None => prompt,
        }))
    }

    /// Ids of one source, not truncated.
    ///
    /// # Errors
    /// As [`sources`](Self::sources).
    pub fn source(&self, source: &str) -> Result<Vec<u32>, DataError> {
        Ok(self.sources(&[source])?.pop().unwrap_or_default())
    }

    /// Ids of sources, in order, not truncated. For a decoder-only backbone an empty prompt becomes the end-of-text
    /// token, so that its target starts a text.
    ///
    /// # Errors
    /// [`DataError::Tokenize`], or the error of a chat template that fails to render.
    pub fn sources(&self, sources: &[&str]) -> Result<Vec<Vec<u32>>, DataError> {
        let prompts = sources.iter().map(|source| self.prompt(source));
        self.prompt_ids(&prompts.collect::<Result<Vec<_>, _>>()?)
    }

    /// Ids of texts from [`prompt`](Self::prompt) or [`question`](Self::question), in order, not truncated.
    ///
    /// # Errors
    /// [`DataError::Tokenize`].
    pub fn prompt_ids(&self, prompts: &[Cow<'_, str>]) -> Result<Vec<Vec<u32>>, DataError> {
        let texts: Vec<&str> = prompts.iter().map(AsRef::as_ref).collect();
        let Some(joined) = self.joined else {
            return self.tokenizer.encode_batch(&texts, usize::MAX);
        };
        let mut all = match joined.chat {
            // The template already contains the begin-of-text token.
            Some(_) => self.tokenizer.encode_continuations(&texts)?,
            None => self.tokenizer.encode_batch(&texts, usize::MAX)?,
        };
        let behind = joined.chat.as_ref().map_or(self.tokenizer.suffix(), |_| 0);
        for ids in &mut all {
            // End-of-text tokens do not belong between prompt and target.
            ids.truncate(ids.len().saturating_sub(behind));
            if ids.is_empty() {
                ids.push(joined.end);
            }
        }
        Ok(all)
    }

    /// Ids of one target including the end token, not truncated.
    ///
    /// # Errors
    /// As [`targets`](Self::targets).
    pub fn target(&self, target: &str) -> Result<Vec<u32>, DataError> {
        Ok(self.targets(&[target])?.pop().unwrap_or_default())
    }

    /// Ids of targets, in order, including the end token, not truncated. They do not depend on the preceding prompt.
    ///
    /// # Errors
    /// [`DataError::Tokenize`].
    pub fn targets(&self, targets: &[&str]) -> Result<Vec<Vec<u32>>, DataError> {
        let Some(joined) = self.joined else {
            return self.tokenizer.encode_batch(targets, usize::MAX);
        };
        let lead = self.lead();
        let texts: Vec<String> = targets.iter().map(|target| format!("{lead}{target}")).collect();
        let mut all = self.behind_a_word(lead, &texts)?;
        all.iter_mut().for_each(|ids| ids.push(joined.end));
        Ok(all)
    }

    /// Spaces prepended to a target. A chat template ends where the answer begins.
    fn lead(&self) -> &'a str {
        match self.joined {
            Some(JoinedText {
                template, chat: None, ..
            }) => template.lead(),
            _ => "",
        }
    }

    /// Ids of texts as they are in mid-text: some tokenizers insert a space at the beginning of a text. Only texts that
    /// begin with a space are tokenised independently of the preceding word.
    fn behind_a_word(&self, lead: &str, texts: &[String]) -> Result<Vec<Vec<u32>>, DataError> {
        let plain = || {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            self.tokenizer.encode_continuations(&texts)
        };
        if lead.is_empty() {
            return plain();
        }
        let before = self.tokenizer.encode_continuation(BEFORE)?;
        let whole: Vec<String> = texts.iter().map(|text| format!("{BEFORE}{text}")).collect();
        let whole: Vec<&str> = whole.iter().map(String::as_str).collect();
        let whole = self.tokenizer.encode_continuations(&whole)?;
        let behind = |ids: &Vec<u32>| ids.strip_prefix(before.as_slice()).map(<[u32]>::to_vec);
        match whole.iter().map(behind).collect() {
            Some(ids) => Ok(ids),
            // A tokenizer that does not split at spaces: encode all texts on their own.
            None => plain(),
        }
    }

    /// Maximum target length of a task in tokens, including the end token.
    ///
    /// # Errors
    /// As [`targets`](Self::targets).
    pub fn target_length(&self, length: &TargetLength) -> Result<usize, DataError> {
        let texts = match length {
            TargetLength::Tokens(tokens) => return Ok(*tokens),
            TargetLength::LongestOf(texts) => texts,
        };
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let longest = self.targets(&texts)?.iter().map(Vec::len).max();
        Ok(longest.unwrap_or(1))
    }

    /// Truncates a source's ids to `longest`. For an encoder the beginning is kept, plus the tokenizer's suffix; for a
    /// decoder the end is kept, which the target follows, plus the tokenizer's prefix.
    #[must_use]
    pub fn cut_source(&self, ids: &[u32], longest: usize) -> Vec<u32> {
        match self.kept_in_front() {
            Some(_) => self.cut_front(ids, longest),
            None => self.tokenizer.cut(ids, longest),
        }
    }

    fn cut_front(&self, ids: &[u32], longest: usize) -> Vec<u32> {
        match self.joined {
            Some(JoinedText { chat: Some(_), .. }) => ids[ids.len().saturating_sub(longest)..].to_vec(),
            _ => self.tokenizer.cut_left(ids, longest),
        }
    }

    /// Truncates a target's ids to `longest`, keeping its end token.
    #[must_use]
    pub fn cut_target(&self, ids: &[u32], longest: usize) -> Vec<u32> {
        match self.joined {
            Some(_) => cut(ids, longest, 1),
            None => self.tokenizer.cut(ids, longest),
        }
    }

    /// Number of prefix ids preserved when a source is truncated at its beginning; `None` if it is truncated at its
    /// end.
    pub(crate) fn kept_in_front(&self) -> Option<usize> {
        self.joined.map(|joined| match joined.chat {
            Some(_) => 0,
            None => self.tokenizer.prefix(),
        })
    }

    /// Largest id that may occur in a row.
    pub(crate) fn largest_id(&self) -> u32 {
        let largest = self.tokenizer.largest_id();
        self.joined.map_or(largest, |joined| largest.max(joined.end))
    }

    /// Cache key of everything besides the tokenizer that determines a text's ids; `None` for separate rows.
    pub(crate) fn key(&self) -> Option<String> {
        let JoinedText {
            template,
            chat,
            end,
            answers,
        } = self.joined?;
        let chat = chat.as_ref().map(ChatTemplate::identity);
        Some(format!("joined {:?} {end} {chat:?} {answers:?}", template.text()))
    }

    /// Ids of examples, not truncated, with what their texts lose.
    pub(crate) fn rows(&self, examples: &[Example]) -> Result<Vec<EncodedRow>, DataError> {
        let conversations: Option<Vec<_>> = examples.iter().map(|example| example.conversation.as_deref()).collect();
        if let Some(conversations) = conversations.filter(|conversations| !conversations.is_empty()) {
            return self.conversations(&conversations);
        }
        let prompts = examples.iter().map(|example| self.prompt(&example.source));
        let prompts = prompts.collect::<Result<Vec<_>, _>>()?;
        let sources = self.prompt_ids(&prompts)?;
        let targets: Vec<&str> = examples.iter().map(|example| example.target.as_str()).collect();
        let target_ids = self.targets(&targets)?;
        let read = prompts.iter().zip(&sources);
        let read = read.map(|(prompt, ids)| (prompt.as_ref(), self.own_source(prompt, ids)));
        let source_losses = self.tokenizer.losses(LossyText::Source, "", read)?;
        let own = targets.iter().zip(&target_ids);
        let own = own.map(|(target, ids)| (*target, self.own_target(ids)));
        let target_losses = self.tokenizer.losses(LossyText::Target, self.lead(), own)?;
        let rows = sources.into_iter().zip(target_ids);
        let losses = source_losses.into_iter().zip(target_losses);
        Ok(rows
            .zip(losses)
            .map(|((source, target), losses)| (Encoded::new(source, target), losses.into()))
            .collect())
    }

    /// Ids of a prompt without special tokens.
    fn own_source<'i>(&self, prompt: &str, ids: &'i [u32]) -> &'i [u32] {
        match self.kept_in_front() {
            None => self.tokenizer.own(ids),
            Some(_) if prompt.is_empty() => &[],
            Some(front) => &ids[front.min(ids.len())..],
        }
    }

    /// Ids of a target without special tokens.
    fn own_target<'i>(&self, ids: &'i [u32]) -> &'i [u32] {
        match self.joined {
            None => self.tokenizer.own(ids),
            Some(_) => &ids[..ids.len().saturating_sub(1)],
        }
    }

    /// What a prompt from [`prompt`](Self::prompt) loses, other than by truncation.
    ///
    /// # Errors
    /// [`DataError::Tokenize`].
    pub(crate) fn prompt_loss(&self, prompt: &str, ids: &[u32]) -> Result<Lost, DataError> {
        self.tokenizer
            .loss(LossyText::Source, prompt, self.own_source(prompt, ids))
    }

    /// What a target loses, other than by truncation.
    ///
    /// # Errors
    /// [`DataError::Tokenize`].
    pub(crate) fn target_loss(&self, target: &str, ids: &[u32]) -> Result<Lost, DataError> {
        let own = std::iter::once((target, self.own_target(ids)));
        Ok(self
            .tokenizer
            .losses(LossyText::Target, self.lead(), own)?
            .pop()
            .flatten())
    }

    /// Excerpts of a source or target around the cut at `longest`, before and after truncation.
    pub(crate) fn cut_excerpts(
        &self,
        which: LossyText,
        ids: &[u32],
        longest: usize,
    ) -> Result<(String, String), DataError> {
        let kept = match which {
            LossyText::Target => self.cut_target(ids, longest),
            LossyText::Source | LossyText::Row => self.cut_source(ids, longest),
        };
        match self.joined {
            None => self.tokenizer.cut_excerpts(ids, &kept),
            Some(_) => self.tokenizer.excerpts_of(ids, &kept),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::loss::LossKind;

    fn tokenizer(family: &str) -> TextTokenizer {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/goldens");
        TextTokenizer::from_dir(&folder.join(family)).unwrap()
    }

    fn joined(template: &str) -> JoinedText {
        JoinedText {
            template: RowTemplate::parse(template).unwrap(),
            chat: None,
            end: 281,
            answers: TrainedAnswers::All,
        }
    }

    #[test]
    fn a_row_is_its_prompt_and_its_target_and_the_end() {
        let (llama, text) = (tokenizer("llama"), joined("{source} {target}"));
        let encoder = RowEncoder::joined(&llama, &text);
        let source = encoder.source("a film ").unwrap();
        assert_eq!(
            source,
            llama.encode("a film", usize::MAX).unwrap(),
            "its beginning included"
        );
        let target = encoder.target("good").unwrap();
        assert_eq!(target.last(), Some(&281));
        let whole = [source.as_slice(), &target].concat();
        assert_eq!(llama.decode(&whole, true).unwrap(), "a film good");
        // The same ids as in a whole text.
        let all = llama.encode("a film good", usize::MAX).unwrap();
        assert_eq!(whole[..whole.len() - 1], all);
    }

    #[test]
    fn an_empty_prompt_is_the_end_of_another_text() {
        let (codegen, text) = (tokenizer("codegen"), joined("{source} {target}"));
        let encoder = RowEncoder::joined(&codegen, &text);
        assert_eq!(encoder.sources(&["", " "]).unwrap(), [[281], [281]]);
        // Llama's tokenizer adds its own begin-of-text token.
        let llama = tokenizer("llama");
        assert_eq!(RowEncoder::joined(&llama, &text).source("").unwrap(), [280]);
    }

    #[test]
    fn prompts_are_cut_from_the_left_and_targets_keep_their_end() {
        let (llama, text) = (tokenizer("llama"), joined("{source} {target}"));
        let encoder = RowEncoder::joined(&llama, &text);
        let ids = [280, 1, 2, 3, 4];
        assert_eq!(encoder.cut_source(&ids, 3), [280, 3, 4]);
        assert_eq!(encoder.cut_source(&ids, 9), ids);
        assert_eq!(encoder.cut_target(&[1, 2, 3, 281], 2), [1, 281]);
    }

    #[test]
    fn what_rows_lose_is_found_in_what_is_read() {
        let (llama, text) = (tokenizer("llama"), joined("{source} {target}"));
        let example = |source: &str, target: &str| Example {
            id: 0,
            group: 0,
            source: source.to_owned(),
            target: target.to_owned(),
            golds: Vec::new(),
            conversation: None,
        };
        let lost = |encoder: RowEncoder<'_>, source, target| {
            let (_, losses) = encoder.rows(&[example(source, target)]).unwrap().remove(0);
            losses.map(|loss| loss.map(|(kind, _)| kind))
        };
        let encoder = RowEncoder::joined(&llama, &text);
        assert_eq!(
            lost(encoder, "two  words\n", "a\tb"),
            [None, None],
            "byte pairs keep everything"
        );
        assert_eq!(lost(encoder, "", "0"), [None, None]);
        let t5 = tokenizer("t5_v1_0");
        let encoder = RowEncoder::apart(&t5);
        assert_eq!(lost(encoder, "a  b", "a b"), [Some(LossKind::Altered), None]);
    }
}
