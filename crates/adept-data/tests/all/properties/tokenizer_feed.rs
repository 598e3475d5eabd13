//! A folder of tokenizer files with arbitrary bytes, and the checks on a tokenizer loaded from it. Shared by the
//! property tests here and the fuzz targets (`fuzz/` at the repository's root).

use adept_data::{DataError, TextTokenizer};

use super::input::Folder;

/// A folder that tokenizers are loaded from.
pub struct TokenizerFeed(Folder);

/// One long text suffices for properties that hold for any text.
const LONG: &str = "The quick  brown\tfox,\r\n jumps 123 times.";

/// Texts that are difficult for tokenizers.
const TEXTS: [&str; 6] = [
    "",
    "a",
    LONG,
    "é🫖 ﬁ x\u{301} \u{200b}",
    " </s> <pad><|endoftext|> <extra_id_0> ",
    "    def f(x):\n\treturn x",
];

impl TokenizerFeed {
    /// For inputs with a `tokenizer.json`.
    pub fn json() -> Self {
        Self(Folder::new(&["tokenizer.json"]))
    }

    /// For inputs with byte-level BPE files; a missing vocabulary defaults to the 256 bytes, and missing merges to
    /// none.
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

    /// Loads the tokenizer and encodes texts with it.
    ///
    /// # Panics
    /// If the tokenizer panics, if a loading error does not name a file of the folder, or if a text has more tokens
    /// than requested.
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

/// The `vocab.json` of the 256 bytes: printable ones represent themselves, the others are mapped to characters from
/// U+0100.
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
