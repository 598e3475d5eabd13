//! Byte-level byte pairs (Radford et al. 2019) as GPT-2's files hold them: `vocab.json`, each token with its id, and
//! `merges.txt`, a line for each pair of tokens that makes another, the most frequent first.
//!
//! Three files may say more: `added_tokens.json` (CodeGen: runs of spaces and tabs), `special_tokens_map.json` and
//! `tokenizer_config.json`. What is built of them is what transformers builds.

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

/// Tokens by id.
pub(super) const VOCABULARY: &str = "vocab.json";
/// Pairs that make a token.
pub(super) const MERGES: &str = "merges.txt";
const ADDED: &str = "added_tokens.json";
const SPECIAL: &str = "special_tokens_map.json";
const CONFIG: &str = "tokenizer_config.json";

/// What GPT-2 and CodeGen call each of their special tokens where no file says otherwise.
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
/// Those of them that [`END_OF_TEXT`] is.
const DEFAULT_ROLES: usize = 3;
/// Tokens by id, in the configuration.
const DECODER: &str = "added_tokens_decoder";

/// Why GPT-2's files make no tokenizer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BpeError {
    /// One of the two files without the other.
    #[error("{}: expected {missing} beside {there}", folder.display())]
    Missing {
        /// The folder.
        folder: PathBuf,
        /// The file that is there.
        there: &'static str,
        /// The one that is not.
        missing: &'static str,
    },
    /// A file that is not UTF-8.
    #[error("{}:{line}: expected UTF-8", file.display())]
    NotUtf8 {
        /// The file.
        file: PathBuf,
        /// The line with the first other byte.
        line: usize,
    },
    /// A line of merges that is no pair.
    #[error("{}:{line}: expected two tokens with one space between them, found `{found}`", file.display())]
    Line {
        /// The file.
        file: PathBuf,
        /// The line.
        line: usize,
        /// What stands there.
        found: String,
    },
    /// A merge of or into a token that the vocabulary lacks.
    #[error("{}:{line}: the vocabulary has no token `{token}`", file.display())]
    UnknownToken {
        /// The file.
        file: PathBuf,
        /// The line.
        line: usize,
        /// The token.
        token: String,
    },
    /// Two tokens with one id.
    #[error("{}: expected an id of its own for every token, found id {id} for `{first}` and `{second}`", file.display())]
    DuplicateId {
        /// The file.
        file: PathBuf,
        /// The id.
        id: u32,
        /// The token that has it first.
        first: String,
        /// The other one.
        second: String,
    },
    /// A token that stands twice in a file.
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
    /// Bytes that no token stands for, so that a text with them would lose them.
    #[error("{}: expected a token for each of the 256 bytes, found {found}; the first that is missing is `{missing}`", file.display())]
    Bytes {
        /// The file.
        file: PathBuf,
        /// Bytes that have a token.
        found: usize,
        /// The first character that has none, as the file writes bytes.
        missing: char,
    },
    /// An added token whose id does not follow those before it.
    #[error("{}: expected id {expected} for `{token}`, as added tokens follow the vocabulary, found {found}", file.display())]
    AddedId {
        /// The file.
        file: PathBuf,
        /// The token.
        token: String,
        /// The id that it can have.
        expected: u32,
        /// The id in the file.
        found: u32,
    },
    /// A field that is something else.
    #[error("{}: field `{field}`: expected {expected}", file.display())]
    Field {
        /// The file.
        file: PathBuf,
        /// The field.
        field: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A tokenizer that puts a token in front of every text, which these files cannot say in a way that all agree on.
    #[error("{}: add_bos_token is true: a tokenizer.json is needed, in which it is part of the tokenizer", file.display())]
    AddedBeginning {
        /// The file.
        file: PathBuf,
    },
}

/// A file that was read, for its checksum.
pub(super) type Part = (&'static str, Vec<u8>);

/// Whether a folder without a `tokenizer.json` is of this kind.
pub(super) fn is_there(dir: &Path) -> bool {
    adept_files::is_named(&dir.join(VOCABULARY)) || adept_files::is_named(&dir.join(MERGES))
}

/// The tokenizer of a folder, and the files that it was read from, in an order of their own.
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

/// Readers of one folder's files, which name a file where it is wrong.
struct Files<'a> {
    dir: &'a Path,
}

impl Files<'_> {
    /// Tokens and ids of a file, by id.
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
        // Equal ids stay in the file's order.
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
            // A byte pair's first token can be `#version:` only behind a space, so nothing else begins a line like this.
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

    /// A file of one object; without the file an empty one.
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

    /// A token as a string, which stands for itself, or as an object.
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

    /// The special tokens that the files name, in the order in which they are added.
    fn special(&self, map: &Object, config: &Object) -> Result<Vec<AddedToken>, DataError> {
        // Which file counts has changed over the years: a configuration that lists tokens by id counts alone, else the map
        // counts before the configuration.
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

    /// Adds the tokens that are not words of the vocabulary, or may not be split: those of the configuration, else those
    /// of the file of added tokens, by id; then special ones that are not among them.
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

/// The fields of a file.
struct Object {
    name: &'static str,
    fields: Map<String, Value>,
}
