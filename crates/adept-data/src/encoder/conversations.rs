//! Conversations as token ids: the whole text of the chat template tokenised at once, as by transformers'
//! `apply_chat_template`, and divided in front of the last answer.
//!
//! ```text
//! <user> One? <assistant> Uno. <end> <user> Two? <assistant> Dos. <end>
//! └──────────────────────── source ────────────────────────┘ └ target ┘
//!                         └ answer ┘
//! ```
//! What stands behind the last answer is left out: nothing is predicted from it.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

use serde_json::Map;

use super::{EncodedRow, JoinedText, RowEncoder};
use crate::conversation::{Conversation, ConversationPlace, Message, Role};
use crate::loss::LossyText;
use crate::template::{ChatTemplate, ConversationText, TrainedAnswers};
use crate::tokenizer::PlacedIds;
use crate::{ChatError, DataError, Encoded};

impl RowEncoder<'_> {
    /// The text that is tokenised for a conversation that is to be answered.
    ///
    /// # Errors
    /// [`DataError::NoConversations`], or the error of a template that fails to render.
    pub fn question(&self, told: &Conversation) -> Result<Cow<'static, str>, DataError> {
        let (chat, ..) = self.chat()?;
        let text = chat.render_messages(&told.messages, &told.variables, true);
        text.map(Cow::Owned).map_err(|fault| template_fault(told, fault))
    }

    /// The special token with which the chat template ends an answer; `None` if it ends one with other text, and
    /// without a template.
    ///
    /// # Errors
    /// [`DataError::Tokenize`].
    pub fn turn_end(&self) -> Result<Option<u32>, DataError> {
        let Ok((chat, ..)) = self.chat() else { return Ok(None) };
        let place = ConversationPlace {
            file: Path::new("").into(),
            line: 0,
        };
        let probe = Conversation {
            messages: vec![Message::new(Role::User, "a"), Message::new(Role::Assistant, "b")],
            first_trained: 0,
            variables: Map::new(),
            place,
        };
        // A template that refuses these two says how by refusing rows.
        let Ok(text) = chat.conversation(&probe, TrainedAnswers::Last) else {
            return Ok(None);
        };
        let placed = self.tokenizer.encode_with_places(&[&text.text])?;
        let ends = self.tokenizer.special_ids();
        let row = placed.first().and_then(|ids| {
            Placed {
                ids,
                text: &text,
                ends: &ends,
            }
            .encoded()
        });
        let last = row.and_then(|(row, _)| row.target.last().copied());
        Ok(last.filter(|id| ends.binary_search(id).is_ok()))
    }

    /// The text of a conversation's last answer, as a generation of the same tokens is read: with all that the template
    /// makes of the message, such as reasoning, calls of tools and trimmed ends.
    ///
    /// # Errors
    /// [`DataError::Tokenize`].
    pub(crate) fn written_answer(&self, row: &Encoded) -> Result<String, DataError> {
        self.tokenizer.decode(&row.target, true)
    }

    /// Ids of rows, not truncated, with what their texts lose.
    pub(super) fn conversations(&self, all: &[&Conversation]) -> Result<Vec<EncodedRow>, DataError> {
        let (chat, trained, end) = self.chat()?;
        let render = |told: &&Conversation| {
            chat.conversation(told, trained)
                .map_err(|fault| template_fault(told, fault))
        };
        let texts = all.iter().map(render).collect::<Result<Vec<_>, _>>()?;
        let whole: Vec<&str> = texts.iter().map(|text| text.text.as_str()).collect();
        let ends = self.tokenizer.special_ids();
        let mut rows = Vec::with_capacity(all.len());
        let mut parts = Vec::with_capacity(all.len());
        for ((text, placed), told) in texts.iter().zip(self.tokenizer.encode_with_places(&whole)?).zip(all) {
            let row = Placed {
                ids: &placed,
                text,
                ends: &ends,
            };
            let (mut row, place) = row
                .encoded()
                .ok_or_else(|| template_fault(told, chat.no_answer(told, told.messages.len())))?;
            if row.source.is_empty() {
                // As in front of any other target without a prompt.
                row.source.push(end);
            }
            rows.push(row);
            parts.push((&text.text[..place.start], &text.text[place]));
        }
        let sources = rows
            .iter()
            .zip(&parts)
            .map(|(row, part)| (part.0, row.source.as_slice()));
        let sources = self.tokenizer.losses(LossyText::Source, "", sources)?;
        // White space around an answer is the template's.
        let targets = rows
            .iter()
            .zip(&parts)
            .map(|(row, part)| (part.1, row.target.as_slice()));
        let targets = self.tokenizer.losses(LossyText::Source, "", targets)?;
        let losses = sources.into_iter().zip(targets).map(Into::into);
        Ok(rows.into_iter().zip(losses).collect())
    }

    /// The template, which answers are trained on, and the token that ends a text.
    fn chat(&self) -> Result<(&ChatTemplate, TrainedAnswers, u32), DataError> {
        match self.joined {
            Some(JoinedText {
                chat: Some(chat),
                answers,
                end,
                ..
            }) => Ok((chat, *answers, *end)),
            _ => Err(DataError::NoConversations),
        }
    }
}

fn template_fault(told: &Conversation, fault: ChatError) -> DataError {
    DataError::ConversationTemplate {
        file: told.place.file.to_path_buf(),
        line: told.place.line,
        fault: Box::new(fault),
    }
}

/// A tokenised conversation.
struct Placed<'a> {
    ids: &'a PlacedIds,
    text: &'a ConversationText,
    /// Tokens that may end a turn.
    ends: &'a [u32],
}

impl Placed<'_> {
    /// The row, and the bytes of its target; `None` if an answer has no token.
    fn encoded(&self) -> Option<(Encoded, Range<usize>)> {
        let spans: Vec<Range<usize>> = self.text.answers.iter().map(|answer| self.tokens(answer)).collect();
        if spans.iter().any(Range::is_empty) {
            return None;
        }
        let (last, earlier) = spans.split_last()?;
        let (ids, places) = self.ids;
        let row = Encoded {
            source: ids[..last.start].to_vec(),
            target: ids[last.clone()].to_vec(),
            answers: earlier.to_vec(),
        };
        Some((row, places[last.start].start..places[last.end - 1].end))
    }

    /// The tokens of an answer: those that stand for any of its bytes. White space behind the token that ends a turn is
    /// not among them unless the template says so: generation has ended there.
    fn tokens(&self, answer: &Range<usize>) -> Range<usize> {
        let (ids, places) = self.ids;
        let first = places.partition_point(|place| place.end <= answer.start);
        // White space at the answer's end that no token has does not make the next turn's first token its own.
        let behind = places.partition_point(|place| place.own_start < answer.end).max(first);
        if self.text.is_marked {
            return first..behind;
        }
        let ends = (first..behind).filter(|index| self.ends.binary_search(&ids[*index]).is_ok());
        let is_last = |end: &usize| {
            // Nothing is left behind a token that takes the following white space.
            let left = self.text.text.get(places[*end].end..answer.end);
            left.is_none_or(|left| left.trim().is_empty())
        };
        // The first of them: the next turn may begin with a special token that takes the white space before it.
        first..ends.into_iter().find(is_last).map_or(behind, |end| end + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::TokenPlace;

    fn text(text: &str, answers: &[&str], is_marked: bool) -> ConversationText {
        let place = |answer: &&str| text.find(answer).map(|start| start..start + answer.len());
        ConversationText {
            text: text.to_owned(),
            answers: answers
                .iter()
                .map(|answer| place(answer).expect("it is there"))
                .collect(),
            is_marked,
        }
    }

    /// A token for each of `parts`; `<e>` ends a turn, `<u>` begins one. What stands behind `|` in a part no token has.
    fn row(parts: &[&str], text: &ConversationText) -> Option<(Encoded, Range<usize>)> {
        let (mut behind, mut taken) = (0, 0);
        let places = parts.iter().map(|part| {
            let (own, dropped) = part.split_once('|').unwrap_or((part, ""));
            let place = TokenPlace {
                start: behind,
                own_start: taken,
                end: taken + own.len(),
            };
            (behind, taken) = (place.end, place.end + dropped.len());
            place
        });
        let id = |(index, part): (usize, &&str)| match part.split('|').next().map(str::trim) {
            Some("<u>") => 98,
            Some("<e>") => 99,
            _ => index as u32,
        };
        let ids = (parts.iter().enumerate().map(id).collect(), places.collect());
        let placed = Placed {
            ids: &ids,
            text,
            ends: &[98, 99],
        };
        placed.encoded()
    }

    #[test]
    fn a_turn_ends_with_its_end_token() {
        let whole = text("<u>a<a>b c<e>\n<u>d<a>e<e>\n", &["b c<e>\n", "e<e>\n"], false);
        let parts = [
            "<u>", "a", "<a>", "b", " c", "<e>", "\n", "<u>", "d", "<a>", "e", "<e>", "\n",
        ];
        let (encoded, place) = row(&parts, &whole).expect("answers");
        assert_eq!(encoded.source, [98, 1, 2, 3, 4, 99, 6, 98, 8, 9]);
        assert_eq!(encoded.target, [10, 99]);
        assert_eq!(encoded.answers.first(), Some(&(3..6)));
        assert_eq!(&whole.text[place], "e<e>");
        // A template that says what an answer is decides itself.
        let marked = ConversationText {
            is_marked: true,
            ..whole.clone()
        };
        let (encoded, _) = row(&parts, &marked).expect("answers");
        assert_eq!(encoded.target, [10, 99, 12]);
        assert_eq!(encoded.answers.first(), Some(&(3..7)));
        // The line end behind an answer is the next turn's token's, or none's.
        let taken = [
            "<u>", "a", "<a>", "b", " c", "<e>", "\n<u>", "d", "<a>", "e", "<e>", "\n",
        ];
        let dropped = ["<u>", "a", "<a>", "b", " c", "<e>|\n", "<u>", "d", "<a>", "e", "<e>|\n"];
        for parts in [&taken[..], &dropped] {
            let (encoded, _) = row(parts, &whole).expect("answers");
            assert_eq!(encoded.answers.first(), Some(&(3..6)), "{parts:?}");
            assert_eq!(encoded.target, [9, 99], "{parts:?}");
        }
        let (encoded, _) = row(&dropped, &marked).expect("answers");
        assert_eq!(encoded.answers.first(), Some(&(3..6)), "no token of the answer has it");
        assert_eq!(encoded.target, [9, 99]);
    }

    #[test]
    fn a_token_that_reaches_into_an_answer_belongs_to_it() {
        let whole = text("<a>\n\nb\n", &["\nb\n"], false);
        let (encoded, _) = row(&["<a>", "\n\n", "b", "\n"], &whole).expect("an answer");
        assert_eq!(
            (encoded.source, encoded.target),
            (vec![0], vec![1, 2, 3]),
            "nothing else ends the turn"
        );
        assert_eq!(row(&[], &whole), None);
    }
}
