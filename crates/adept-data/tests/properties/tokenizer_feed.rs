//! A folder of a tokenizer's files that hold any bytes, and what is asked of the tokenizer that comes of them. The
//! property tests here and the fuzz targets (`fuzz/` at the repository's root) share this file.

use adept_data::{DataError, TextTokenizer};

use crate::input::Folder;

/// A folder that tokenizers are read from.
pub struct TokenizerFeed(Folder);

/// One of them is enough for what is the same for any text.
const LONG: &str = "The quick  brown\tfox,\r\n jumps 123 times.";

/// Texts with what tokenizers stumble over.
const TEXTS: [&str; 6] = [
    "",
    "a",
    LONG,
    "é🫖 ﬁ x\u{301} \u{200b}",
    " </s> <pad><|endoftext|> <extra_id_0> ",
    "    def f(x):\n\treturn x",
];

impl TokenizerFeed {
    /// For inputs that hold a `tokenizer.json`.
    pub fn json() -> Self {
        Self(Folder::new(&["tokenizer.json"]))
    }

    /// For inputs that hold the files of byte-level byte pairs; a vocabulary of the bytes alone stands in for one that
    /// is left out, and no merges for theirs.
    pub fn byte_pairs() -> Self {
        let folder = Folder::new(&[
            "vocab.json",
            "merges.txt",
            "added_tokens.json",
            "special_tokens_map.json",
            "tokenizer_config.json",
        ]);
        Self(
            folder
                .with("vocab.json", byte_vocabulary())
                .with("merges.txt", "#version: 0.2\n"),
        )
    }

    /// Loads the tokenizer and gives it texts.
    ///
    /// # Panics
    /// Where the tokenizer does, where an error of loading names no file of the folder, and where a text comes back
    /// longer than was asked for.
    pub fn check(&self, input: &[u8]) -> Result<TextTokenizer, DataError> {
        let folder = self.0.fill(input);
        let tokenizer = TextTokenizer::from_dir(folder).inspect_err(|error| {
            let message = error.to_string();
            let place = folder.display().to_string();
            assert!(message.contains(&place), "no file of the folder: {message}");
        })?;
        assert_eq!(tokenizer.sha256().len(), 64);
        let size = tokenizer.vocab_size();
        let special = tokenizer.special_ids();
        assert!(special.is_sorted() && special.len() <= size.max(special.len()));
        tokenizer.token_id("</s>");
        for text in TEXTS {
            let Ok(ids) = tokenizer.encode(text, usize::MAX) else {
                continue;
            };
            for most in [0, 3] {
                assert_eq!(tokenizer.cut(&ids, most).len(), ids.len().min(most));
                assert_eq!(tokenizer.cut_left(&ids, most).len(), ids.len().min(most));
            }
            for skip in [false, true] {
                let _ = tokenizer.decode(&ids, skip);
            }
        }
        let ids = tokenizer.encode(LONG, 3);
        assert!(ids.is_ok_and(|ids| ids.len() <= 3) || tokenizer.encode(LONG, usize::MAX).is_err());
        let _ = tokenizer.encode_continuation(LONG);
        let _ = tokenizer.decode(&[0, 1, u32::MAX], false);
        Ok(tokenizer)
    }
}

/// The `vocab.json` of the 256 bytes: those that are printed stand for themselves, the others for characters from
/// U+0100 on.
fn byte_vocabulary() -> String {
    let is_plain = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let mut next = 0x100;
    let vocabulary: serde_json::Map<String, serde_json::Value> = (0..=u8::MAX)
        .map(|byte| {
            let character = match is_plain(byte) {
                true => char::from(byte),
                false => {
                    next += 1;
                    char::from_u32(next - 1).expect("a character of Latin Extended-A")
                }
            };
            (character.to_string(), byte.into())
        })
        .collect();
    serde_json::Value::Object(vocabulary).to_string()
}
