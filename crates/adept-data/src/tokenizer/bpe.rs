//! Byte-level byte-pair encoding (Radford et al. 2019) in GPT-2's file format: `vocab.json` maps each token to its id,
//! and `merges.txt` has one line for each pair of tokens that merges into another, most frequent first.
//!
//! Three optional files add to that: `added_tokens.json` (CodeGen: runs of spaces and tabs), `special_tokens_map.json`
//! and `tokenizer_config.json`. The resulting tokenizer is the one that transformers builds.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer};

use super::entries::Entries;
use super::guarded;
use crate::DataError;
use crate::text::without_mark;

/// Token ids.
pub(super) const VOCABULARY: &str = "vocab.json";
/// Merges, by priority.
pub(super) const MERGES: &str = "merges.txt";
const ADDED: &str = "added_tokens.json";
const SPECIAL: &str = "special_tokens_map.json";
const CONFIG: &str = "tokenizer_config.json";

/// Default for the special tokens of GPT-2 and CodeGen.
const END_OF_TEXT: &str = "<|endoftext|>";
/// Names of special tokens in the files, in the order in which transformers adds them.
const ROLES: [&str; 7] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];
/// The first of them, which default to [`END_OF_TEXT`].
const DEFAULT_ROLES: usize = 3;
/// Configuration key of the tokens by id.
const DECODER: &str = "added_tokens_decoder";

/// Why GPT-2's files do not form a tokenizer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BpeError {
    /// One of the two files is missing.
    #[error("{}: expected {missing} beside {there}", folder.display())]
    Missing {
        /// The folder.
        folder: PathBuf,
        /// The file that exists.
        there: &'static str,
        /// The missing file.
        missing: &'static str,
    },
    /// A file with invalid UTF-8.
    #[error("{}:{line}: expected UTF-8", file.display())]
    NotUtf8 {
        /// The file.
        file: PathBuf,
        /// The line of the first invalid byte.
        line: usize,
    },
    /// A line of merges that is not a pair.
    #[error("{}:{line}: expected two tokens with one space between them, found `{found}`", file.display())]
    Line {
        /// The file.
        file: PathBuf,
        /// The line.
        line: usize,
        /// The line's text.
        found: String,
    },
    /// A merge with a token that is not in the vocabulary.
    #[error("{}:{line}: the vocabulary has no token `{token}`", file.display())]
    UnknownToken {
        /// The file.
        file: PathBuf,
        /// The line.
        line: usize,
        /// The token.
        token: String,
    },
    /// Two tokens with the same id.
    #[error("{}: expected a unique id for every token, found id {id} for `{first}` and `{second}`", file.display())]
    DuplicateId {
        /// The file.
        file: PathBuf,
        /// The id.
        id: u32,
        /// The first token with the id.
        first: String,
        /// The second token with the id.
        second: String,
    },
    /// A token that occurs twice in a file.
    #[error("{}: expected every token once, found `{token}` with ids {first} and {second}", file.display())]
    DuplicateToken {
        /// The file.
        file: PathBuf,
        /// The token.
        token: String,
        /// Its first id.
        first: u32,
        /// Its second id.
        second: u32,
    },
    /// Bytes without a token, which would be lost in tokenisation.
    #[error("{}: expected a token for each of the 256 bytes, found {found}; the first missing one is `{missing}`", file.display())]
    Bytes {
        /// The file.
        file: PathBuf,
        /// Number of bytes that have a token.
        found: usize,
        /// The first missing byte, in the file's character encoding of bytes.
        missing: char,
    },
    /// An added token whose id does not follow on from the preceding ones.
    #[error("{}: expected id {expected} for `{token}`, as added tokens follow the vocabulary, found {found}", file.display())]
    AddedId {
        /// The file.
        file: PathBuf,
        /// The token.
        token: String,
        /// The next free id.
        expected: u32,
        /// The id in the file.
        found: u32,
    },
    /// A field of the wrong type.
    #[error("{}: field `{field}`: expected {expected}", file.display())]
    Field {
        /// The file.
        file: PathBuf,
        /// The field.
        field: String,
        /// Accepted types.
        expected: &'static str,
    },
    /// A tokenizer that prepends a token to every text, which these files do not express unambiguously.
    #[error("{}: add_bos_token is true: this requires a tokenizer.json, which states it as part of the tokenizer", file.display())]
    AddedBeginning {
        /// The file.
        file: PathBuf,
    },
}

/// A file that was read, for the checksum.
pub(super) type Part = (&'static str, Vec<u8>);

/// Whether a folder has GPT-2's files.
pub(super) fn is_there(dir: &Path) -> bool {
    adept_files::is_named(&dir.join(VOCABULARY)) || adept_files::is_named(&dir.join(MERGES))
}

/// Reads a folder's tokenizer, and returns the files used, in a fixed order.
pub(super) fn read(dir: &Path) -> Result<(Tokenizer, Vec<Part>), DataError> {
    for (there, missing) in [(VOCABULARY, MERGES), (MERGES, VOCABULARY)] {
        if !adept_files::is_named(&dir.join(missing)) {
            let folder = dir.to_path_buf();
            return Err(BpeError::Missing { folder, there, missing }.into());
        }
    }
    let mut parts: Vec<Part> = Vec::new();
    for name in [VOCABULARY, MERGES, ADDED, SPECIAL, CONFIG] {
        let file = dir.join(name);
        if adept_files::is_named(&file) {
            DataError::check_stand_in(&file)?;
            let bytes = std::fs::read(&file).map_err(|source| DataError::Io {
                file: file.clone(),
                source,
            })?;
            without_mark(&file, &bytes)?;
            parts.push((name, bytes));
        }
    }
    let part = |name: &str| {
        parts
            .iter()
            .find(|(part, _)| *part == name)
            .map(|(_, bytes)| adept_files::without_mark(bytes))
    };
    let files = Files { dir };

    let vocabulary = files.entries(VOCABULARY, part(VOCABULARY).unwrap_or_default())?;
    let ids: HashMap<&str, u32> = vocabulary.iter().map(|(token, id)| (token.as_str(), *id)).collect();
    files.check_bytes(&ids)?;
    let merges = files.merges(part(MERGES).unwrap_or_default(), &ids)?;
    let added = match part(ADDED) {
        Some(bytes) => files.entries(ADDED, bytes)?,
        None => Vec::new(),
    };
    let special = files.object(SPECIAL, part(SPECIAL))?;
    let config = files.object(CONFIG, part(CONFIG))?;

    let spaced = files.flag(&config, "add_prefix_space")?;
    if files.flag(&config, "add_bos_token")? {
        let file = dir.join(CONFIG);
        return Err(BpeError::AddedBeginning { file }.into());
    }
    let failed = |source| DataError::Tokenizer {
        file: dir.join(VOCABULARY),
        source,
    };
    let vocabulary: Vocab = vocabulary.into_iter().collect();
    let model = guarded(|| BPE::builder().vocab_and_merges(vocabulary, merges).build()).map_err(failed)?;
    let mut tokenizer = Tokenizer::new(model);
    tokenizer
        .with_pre_tokenizer(Some(ByteLevel::new(spaced, true, true)))
        .with_decoder(Some(ByteLevel::default()))
        .with_post_processor(Some(ByteLevel::default().trim_offsets(false)));
    files.add(&mut tokenizer, added, &special, &config)?;
    Ok((tokenizer, parts))
}

/// Readers for one folder's files, whose errors name the file.
struct Files<'a> {
    dir: &'a Path,
}

impl Files<'_> {
    /// Tokens and ids of a file, sorted by id.
    fn entries(&self, name: &str, bytes: &[u8]) -> Result<Vec<(String, u32)>, DataError> {
        let file = || self.dir.join(name);
        let Entries(mut entries) =
            serde_json::from_slice(bytes).map_err(|source| DataError::JsonDocument { file: file(), source })?;
        let mut seen: HashMap<&str, u32> = HashMap::with_capacity(entries.len());
        for (token, second) in &entries {
            if let Some(first) = seen.insert(token, *second) {
                let (file, token, second) = (file(), token.clone(), *second);
                return Err(BpeError::DuplicateToken {
                    file,
                    token,
                    first,
                    second,
                }
                .into());
            }
        }
        // Stable sort: equal ids stay in file order.
        entries.sort_by_key(|(_, id)| *id);
        if let Some(pair) = entries.windows(2).find(|pair| pair[0].1 == pair[1].1) {
            let (file, id) = (file(), pair[0].1);
            let [first, second] = [&pair[0], &pair[1]].map(|(token, _)| token.clone());
            return Err(BpeError::DuplicateId {
                file,
                id,
                first,
                second,
            }
            .into());
        }
        Ok(entries)
    }

    fn check_bytes(&self, ids: &HashMap<&str, u32>) -> Result<(), DataError> {
        let alphabet: BTreeSet<char> = ByteLevel::alphabet().into_iter().collect();
        let has = |byte: &char| ids.contains_key(byte.encode_utf8(&mut [0; 4]) as &str);
        let found = alphabet.iter().filter(|byte| has(byte)).count();
        match alphabet.into_iter().find(|byte| !has(byte)) {
            None => Ok(()),
            Some(missing) => {
                let file = self.dir.join(VOCABULARY);
                Err(BpeError::Bytes { file, found, missing }.into())
            }
        }
    }

    fn merges(&self, bytes: &[u8], ids: &HashMap<&str, u32>) -> Result<Vec<(String, String)>, DataError> {
        let file = || self.dir.join(MERGES);
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let before = &bytes[..error.valid_up_to()];
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            BpeError::NotUtf8 { file: file(), line }
        })?;
        let mut merges = Vec::new();
        for (place, found) in text.trim_end_matches(['\r', '\n']).lines().enumerate() {
            let line = place + 1;
            // The first token of a pair can be `#version:` only after a space, so no merge begins a line like this.
            if place == 0 && found.starts_with("#version") {
                continue;
            }
            let mut tokens = found.split(' ');
            let (Some(first), Some(second), None) = (tokens.next(), tokens.next(), tokens.next()) else {
                let found = found.to_owned();
                return Err(BpeError::Line {
                    file: file(),
                    line,
                    found,
                }
                .into());
            };
            let made = format!("{first}{second}");
            for token in [first, second, &made] {
                if token.is_empty() {
                    let found = found.to_owned();
                    return Err(BpeError::Line {
                        file: file(),
                        line,
                        found,
                    }
                    .into());
                }
                if !ids.contains_key(token) {
                    let token = token.to_owned();
                    return Err(BpeError::UnknownToken {
                        file: file(),
                        line,
                        token,
                    }
                    .into());
                }
            }
            merges.push((first.to_owned(), second.to_owned()));
        }
        Ok(merges)
    }

    /// A file with one object; an absent file yields an empty one.
    fn object(&self, name: &'static str, bytes: Option<&[u8]>) -> Result<Object, DataError> {
        let Some(bytes) = bytes else {
            return Ok(Object {
                name,
                fields: Map::new(),
            });
        };
        let file = self.dir.join(name);
        let fields = adept_files::json_object(bytes).map_err(|source| DataError::JsonDocument { file, source })?;
        Ok(Object { name, fields })
    }

    fn wrong(&self, name: &str, field: &str, expected: &'static str) -> DataError {
        let (file, field) = (self.dir.join(name), field.to_owned());
        BpeError::Field { file, field, expected }.into()
    }

    fn flag(&self, object: &Object, field: &str) -> Result<bool, DataError> {
        match object.fields.get(field) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.wrong(object.name, field, "true or false")),
        }
    }

    /// A token given as a string or as an object.
    fn token(&self, name: &str, field: &str, value: &Value, special: bool) -> Result<AddedToken, DataError> {
        let wrong = || self.wrong(name, field, "a token, as a string or as an object with its content");
        match value {
            Value::String(content) => Ok(AddedToken::from(content.clone(), special)),
            Value::Object(fields) => {
                let content = fields.get("content").and_then(Value::as_str).ok_or_else(wrong)?;
                let flag = |key: &str, default: bool| fields.get(key).and_then(Value::as_bool).unwrap_or(default);
                let special = special || flag("special", false);
                Ok(AddedToken::from(content, special)
                    .single_word(flag("single_word", false))
                    .lstrip(flag("lstrip", false))
                    .rstrip(flag("rstrip", false))
                    .normalized(flag("normalized", !special)))
            }
            _ => Err(wrong()),
        }
    }

    /// The special tokens named in the files, in the order in which they are added.
    fn special(&self, map: &Object, config: &Object) -> Result<Vec<AddedToken>, DataError> {
        // Precedence has changed over the years: a configuration that lists tokens by id is used alone; otherwise the
        // map takes precedence over the configuration.
        let objects = match config.fields.contains_key(DECODER) {
            true => vec![config],
            false => vec![map, config],
        };
        let mut tokens = Vec::new();
        for (place, role) in ROLES.iter().enumerate() {
            let said = objects.iter().find_map(|object| {
                let value = object.fields.get(*role)?;
                Some((object.name, value))
            });
            match said {
                Some((_, Value::Null)) => {}
                Some((name, value)) => tokens.push(self.token(name, role, value, true)?),
                None if place < DEFAULT_ROLES => tokens.push(AddedToken::from(END_OF_TEXT, true)),
                None => {}
            }
        }
        const MORE: &str = "additional_special_tokens";
        for object in objects {
            match object.fields.get(MORE) {
                None | Some(Value::Null) => {}
                Some(Value::Array(values)) => {
                    for value in values {
                        tokens.push(self.token(object.name, MORE, value, true)?);
                    }
                    break;
                }
                Some(_) => return Err(self.wrong(object.name, MORE, "a list of tokens")),
            }
        }
        Ok(tokens)
    }

    /// Adds tokens that are not in the vocabulary or must not be split: those of the configuration, else those of the
    /// file of added tokens, by id; then special tokens not among them.
    fn add(
        &self,
        tokenizer: &mut Tokenizer,
        added: Vec<(String, u32)>,
        map: &Object,
        config: &Object,
    ) -> Result<(), DataError> {
        let special = self.special(map, config)?;
        let mut tokens: BTreeMap<u32, AddedToken> = BTreeMap::new();
        let from = match config.fields.get(DECODER) {
            Some(Value::Object(entries)) => {
                for (id, value) in entries {
                    let id = id.parse().map_err(|_| self.wrong(CONFIG, DECODER, "ids as keys"))?;
                    tokens.insert(id, self.token(CONFIG, DECODER, value, false)?);
                }
                CONFIG
            }
            Some(_) => return Err(self.wrong(CONFIG, DECODER, "an object of tokens by id")),
            None => {
                for (content, id) in added {
                    let is_special = special.iter().any(|special| special.content == content);
                    tokens.insert(id, AddedToken::from(content, is_special));
                }
                ADDED
            }
        };
        let failed = |source| DataError::Tokenizer {
            file: self.dir.join(from),
            source,
        };
        let known: BTreeSet<String> = tokens.values().map(|token| token.content.clone()).collect();
        for (found, token) in tokens {
            let content = token.content.clone();
            guarded(|| tokenizer.add_tokens([token])).map_err(failed)?;
            let expected = tokenizer.token_to_id(&content).unwrap_or_default();
            if expected != found {
                let (file, token) = (self.dir.join(from), content);
                return Err(BpeError::AddedId {
                    file,
                    token,
                    expected,
                    found,
                }
                .into());
            }
        }
        let more = special.into_iter().filter(|token| !known.contains(&token.content));
        guarded(|| tokenizer.add_special_tokens(more)).map_err(failed)?;
        Ok(())
    }
}

/// The parsed object of a file.
struct Object {
    name: &'static str,
    fields: Map<String, Value>,
}
