//! What texts lose when they are tokenised: tokens beyond the length limit, characters missing from the vocabulary, and
//! characters the tokenizer changes (collapsed white space, line breaks, replaced characters).
//!
//! Losses never stop a run. They are counted so that a target the model cannot learn is noticed before hours of
//! training, not after.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{DataError, RowEncoder, TextTokenizer};

/// Excerpt length in characters on either side of the first difference.
const AROUND: usize = 24;

/// Which text of a row is affected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LossyText {
    /// The model's input.
    Source,
    /// The expected output.
    Target,
    /// Both, concatenated for a decoder-only backbone.
    Row,
}

/// How text is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LossKind {
    /// Tokens beyond the limit.
    Cut,
    /// Characters missing from the vocabulary.
    Unknown,
    /// Characters that decode to others, or not at all.
    Altered,
}

/// One kind of loss in the texts of a split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// The text affected.
    pub text: LossyText,
    /// What is lost.
    pub kind: LossKind,
    /// Rows affected.
    pub rows: usize,
    /// For [`LossKind::Cut`], the limit in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// For [`LossKind::Cut`], length of the longest text in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest: Option<usize>,
    /// The first affected row.
    pub example: LossExample,
}

/// A row with a loss.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossExample {
    /// Its number in its file or input, from 1.
    pub row: usize,
    /// Excerpt of the text around the first loss.
    pub before: String,
    /// The same excerpt as the model sees it.
    pub after: String,
}

/// Losses in the texts of a split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitLosses {
    /// The split: `training`, `validation` or `test`.
    pub split: String,
    /// Rows of the split.
    pub rows: usize,
    /// One entry per kind of loss, sources first.
    pub losses: Vec<Loss>,
}

impl SplitLosses {
    /// One line of report per kind of loss.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.losses
            .iter()
            .map(|loss| format!("{} of {} {} {loss}", loss.rows, self.rows, self.split))
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text {
            LossyText::Source => f.write_str("sources ")?,
            LossyText::Target => f.write_str("targets ")?,
            LossyText::Row => f.write_str("rows of source and target ")?,
        }
        match self.kind {
            LossKind::Cut => {
                let (limit, longest) = (self.limit.unwrap_or_default(), self.longest.unwrap_or_default());
                write!(f, "are cut to {limit} tokens (the longest has {longest})")?;
            }
            LossKind::Unknown => f.write_str("have characters that the vocabulary has no token for (<unk>)")?,
            LossKind::Altered => f.write_str("are changed by the tokenizer")?,
        }
        let LossExample { row, before, after } = &self.example;
        write!(f, "; row {row}: {before:?} becomes {after:?}")
    }
}

/// A loss, with the excerpt around it as written and as the model sees it.
pub(crate) type Lost = Option<(LossKind, (String, String))>;

/// Classifies what a text loses irrespective of its length, by decoding its ids; `None` if it round-trips.
///
/// White space around a source carries no information and is ignored. Around a target it matters: no prediction could
/// ever equal it.
/// never equal it.
pub(crate) fn text_loss(which: LossyText, text: &str, read_back: &str, has_unknown: bool) -> Option<LossKind> {
    if has_unknown {
        return Some(LossKind::Unknown);
    }
    let same = match which {
        LossyText::Source => text.trim() == read_back.trim(),
        LossyText::Target | LossyText::Row => text == read_back,
    };
    (!same).then_some(LossKind::Altered)
}

/// Excerpts of two texts around their first difference.
pub(crate) fn excerpts(before: &str, after: &str) -> (String, String) {
    let common: usize = before
        .chars()
        .zip(after.chars())
        .take_while(|(left, right)| left == right)
        .map(|(left, _)| left.len_utf8())
        .sum();
    (around(before, common), around(after, common))
}

/// An excerpt around byte `place`.
fn around(text: &str, place: usize) -> String {
    let (left, right) = text.split_at(place);
    let from = left.char_indices().rev().nth(AROUND - 1).map_or(0, |(index, _)| index);
    let to = right.char_indices().nth(AROUND).map_or(right.len(), |(index, _)| index);
    format!(
        "{}{}{}{}",
        if from > 0 { "…" } else { "" },
        &left[from..],
        &right[..to],
        if to < right.len() { "…" } else { "" }
    )
}

/// Counts the losses of one text across the rows of a split.
#[derive(Debug, Clone)]
pub struct LossCounter {
    text: LossyText,
    limit: usize,
    found: [Option<Loss>; 3],
}

impl LossCounter {
    /// Starts at zero; texts longer than `limit` tokens count as cut.
    #[must_use]
    pub fn new(text: LossyText, limit: usize) -> Self {
        Self {
            text,
            limit,
            found: [None, None, None],
        }
    }

    /// Counts a source (row number from 0), given its untruncated ids from [`RowEncoder::source`].
    ///
    /// # Errors
    /// As [`RowEncoder::source`] and [`TextTokenizer::decode`].
    pub fn add(&mut self, encoder: RowEncoder<'_>, row: usize, source: &str, ids: &[u32]) -> Result<(), DataError> {
        self.add_prompt(encoder, row, &encoder.prompt(source)?, ids)
    }

    /// Counts a source as the text that is tokenised for it, given its untruncated ids from [`RowEncoder::prompt_ids`].
    ///
    /// # Errors
    /// As [`TextTokenizer::decode`].
    pub fn add_prompt(
        &mut self,
        encoder: RowEncoder<'_>,
        row: usize,
        prompt: &str,
        ids: &[u32],
    ) -> Result<(), DataError> {
        if let Some((kind, excerpts)) = encoder.prompt_loss(prompt, ids)? {
            self.note(kind, row, || Ok(excerpts))?;
        }
        let limit = self.limit;
        self.add_length(row, ids.len(), || encoder.cut_excerpts(LossyText::Source, ids, limit))
    }

    /// Counts a target's losses other than truncation; `ids` come from [`RowEncoder::target`].
    ///
    /// # Errors
    /// As [`TextTokenizer::decode`].
    pub fn add_target(
        &mut self,
        encoder: RowEncoder<'_>,
        row: usize,
        target: &str,
        ids: &[u32],
    ) -> Result<(), DataError> {
        match encoder.target_loss(target, ids)? {
            Some((kind, excerpts)) => self.note(kind, row, || Ok(excerpts)),
            None => Ok(()),
        }
    }

    /// Counts a text of which only `kept` remains if it exceeds the limit.
    ///
    /// # Errors
    /// As [`TextTokenizer::decode`].
    pub fn add_cut(
        &mut self,
        tokenizer: &TextTokenizer,
        row: usize,
        ids: &[u32],
        kept: impl FnOnce() -> Vec<u32>,
    ) -> Result<(), DataError> {
        self.add_length(row, ids.len(), || tokenizer.cut_excerpts(ids, &kept()))
    }

    /// Counts a text of `tokens` tokens; `excerpts` is called for the first one that is cut.
    pub(crate) fn add_length(
        &mut self,
        row: usize,
        tokens: usize,
        excerpts: impl FnOnce() -> Result<(String, String), DataError>,
    ) -> Result<(), DataError> {
        if tokens <= self.limit {
            return Ok(());
        }
        self.note(LossKind::Cut, row, excerpts)?;
        if let Some(loss) = &mut self.found[LossKind::Cut as usize] {
            loss.limit = Some(self.limit);
            loss.longest = loss.longest.max(Some(tokens));
        }
        Ok(())
    }

    /// Counts one loss of this kind.
    pub(crate) fn note(
        &mut self,
        kind: LossKind,
        row: usize,
        excerpts: impl FnOnce() -> Result<(String, String), DataError>,
    ) -> Result<(), DataError> {
        let text = self.text;
        match &mut self.found[kind as usize] {
            Some(loss) => loss.rows += 1,
            none => {
                let (before, after) = excerpts()?;
                *none = Some(Loss {
                    text,
                    kind,
                    rows: 1,
                    limit: None,
                    longest: None,
                    example: LossExample {
                        row: row + 1,
                        before,
                        after,
                    },
                });
            }
        }
        Ok(())
    }

    /// The losses found, one per kind.
    fn finish(self) -> impl Iterator<Item = Loss> {
        self.found.into_iter().flatten()
    }
}

/// Combines counters in order; `None` if nothing is lost.
#[must_use]
pub fn split_losses(split: &str, rows: usize, counters: impl IntoIterator<Item = LossCounter>) -> Option<SplitLosses> {
    let losses: Vec<Loss> = counters.into_iter().flat_map(LossCounter::finish).collect();
    (!losses.is_empty()).then(|| SplitLosses {
        split: split.to_owned(),
        rows,
        losses,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_show_the_place_and_not_the_text() {
        assert_eq!(excerpts("a\nb", "a b"), ("a\nb".to_owned(), "a b".to_owned()));
        let long = format!("{}é!{}", "x".repeat(100), "y".repeat(100));
        let (before, after) = excerpts(&long, &format!("{}é", "x".repeat(100)));
        assert_eq!(before, format!("…{}é!{}…", "x".repeat(23), "y".repeat(23)));
        assert_eq!(after, format!("…{}é", "x".repeat(23)));
        assert_eq!(excerpts("", ""), (String::new(), String::new()));
    }

    #[test]
    fn white_space_around_a_source_is_no_loss() {
        let kind = text_loss;
        assert_eq!(kind(LossyText::Source, "a film ", "a film", false), None);
        assert_eq!(
            kind(LossyText::Target, "a film ", "a film", false),
            Some(LossKind::Altered)
        );
        assert_eq!(
            kind(LossyText::Source, "a  film", "a film", false),
            Some(LossKind::Altered)
        );
        assert_eq!(kind(LossyText::Target, "{", "<unk>", true), Some(LossKind::Unknown));
    }

    #[test]
    fn a_line_says_how_many_of_what_and_shows_one() {
        let mut counter = LossCounter::new(LossyText::Target, 4);
        for (row, tokens) in [(3, 9), (5, 4), (7, 12)] {
            let excerpts = || Ok(("one two".to_owned(), "one".to_owned()));
            counter.add_length(row, tokens, excerpts).expect("nothing is decoded");
        }
        let losses =
            split_losses("training", 9, [LossCounter::new(LossyText::Source, 9), counter]).expect("two are cut");
        assert_eq!(
            losses.lines().collect::<Vec<_>>(),
            ["2 of 9 training targets are cut to 4 tokens (the longest has 12); row 4: \"one two\" becomes \"one\""]
        );
    }
}
