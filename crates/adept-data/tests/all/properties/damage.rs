//! Damages valid files, both as bytes and as JSON, and sets the number of cases per property. Shared by the property
//! tests of every crate.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngSeed};
use serde_json::{Value, json};

use super::input::{join, parts};

/// The value of `PROPTEST_CASES` at which [`config`] uses its argument unchanged.
const DEFAULT_CASES: u32 = 256;

/// The configuration of a property with `cases` cases by default. Cases come from a fixed seed, so that runs are
/// reproducible; `PROPTEST_CASES` (as a share of 256) and `PROPTEST_RNG_SEED` override both.
pub fn config(cases: u32) -> Config {
    let mut config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    config.cases = (config.cases.saturating_mul(cases) / DEFAULT_CASES).max(1);
    if std::env::var_os("PROPTEST_RNG_SEED").is_none() {
        config.rng_seed = RngSeed::Fixed(1);
    }
    config
}

#[derive(Debug, Clone)]
pub enum Damage {
    Flip(Index, u8),
    Byte(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Cut(Index),
    Repeat(Index, usize),
    /// Overwrites eight bytes with a number.
    Number(Index, u64),
}

/// Any damage; insertions are taken from `pieces`.
pub fn damage(pieces: &'static [&'static [u8]]) -> impl Strategy<Value = Damage> {
    let index = any::<Index>;
    let numbers = [0, 1, u64::MAX, 1 << 63, 1 << 40, u64::from(u32::MAX), 100_000_001];
    prop_oneof![
        4 => (index(), 0..8_u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        2 => (index(), any::<u8>()).prop_map(|(at, byte)| Damage::Byte(at, byte)),
        2 => (index(), prop::sample::select(pieces)).prop_map(|(at, piece)| Damage::Insert(at, piece.to_vec())),
        2 => (index(), 1..9_usize).prop_map(|(at, count)| Damage::Remove(at, count)),
        1 => index().prop_map(Damage::Cut),
        1 => (index(), 1..40_usize).prop_map(|(at, count)| Damage::Repeat(at, count)),
        1 => (index(), prop::sample::select(numbers.to_vec())).prop_map(|(at, number)| Damage::Number(at, number)),
    ]
}

pub fn apply(damage: &Damage, bytes: &mut Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    let some = |at: &Index, count: usize, bytes: &[u8]| {
        let at = at.index(bytes.len());
        at..bytes.len().min(at + count)
    };
    match damage {
        Damage::Flip(at, bit) => *at.get_mut(bytes) ^= 1 << bit,
        Damage::Byte(at, byte) => *at.get_mut(bytes) = *byte,
        Damage::Insert(at, piece) => {
            let at = at.index(bytes.len());
            bytes.splice(at..at, piece.iter().copied());
        }
        Damage::Remove(at, count) => drop(bytes.drain(some(at, *count, bytes))),
        Damage::Cut(at) => bytes.truncate(at.index(bytes.len())),
        Damage::Repeat(at, count) => {
            let again = bytes[some(at, *count, bytes)].to_vec();
            let at = at.index(bytes.len());
            bytes.splice(at..at, again);
        }
        Damage::Number(at, number) => {
            let place = some(at, 8, bytes);
            let length = place.len();
            bytes[place].copy_from_slice(&number.to_le_bytes()[..length]);
        }
    }
}

/// Edge cases of JSON values: overflow, division by zero, empty, or another type.
pub fn edge() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(2),
        json!(-1),
        json!(0.5),
        json!(1e-300),
        json!(1e308),
        json!(-1e308),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(u64::MAX - 1),
        json!(1_u64 << 63),
        json!((1_u64 << 62) + 2),
        json!(1_u64 << 32),
        json!(u32::MAX),
        json!(1 << 20),
        json!(""),
        json!("a"),
        json!("é🫖"),
        json!("/dev/zero"),
        json!("../x"),
        json!([]),
        json!([0]),
        json!([1, u64::MAX]),
        json!(["a", "a"]),
        json!({}),
        json!({"a": 0}),
    ])
}

/// Replaces one of a document's values with `edge`.
pub fn change(document: &mut Value, at: &Index, edge: &Value) {
    let mut left = at.index(count(document));
    replace(document, &mut left, edge);
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(values) => values.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum::<usize>(),
        _ => 0,
    }
}

fn replace(value: &mut Value, left: &mut usize, edge: &Value) -> bool {
    if *left == 0 {
        *value = edge.clone();
        return true;
    }
    *left -= 1;
    match value {
        Value::Array(values) => values.iter_mut().any(|value| replace(value, left, edge)),
        Value::Object(fields) => fields.values_mut().any(|value| replace(value, left, edge)),
        _ => false,
    }
}

/// Damaged copies of one of the valid inputs: either bytes are damaged, or values of a JSON file within it are
/// replaced.
pub fn damaged(seeds: Vec<Vec<u8>>, pieces: &'static [&'static [u8]]) -> impl Strategy<Value = Vec<u8>> {
    let bytes = prop::collection::vec(damage(pieces), 1..5);
    let values = prop::collection::vec((any::<Index>(), edge()), 1..4);
    let kind = prop_oneof![
        bytes.prop_map(|damages| (damages, Vec::new())),
        values.prop_map(|changes| (Vec::new(), changes)),
    ];
    (prop::sample::select(seeds), any::<Index>(), kind).prop_map(|(mut input, at, (damages, changes))| {
        if !changes.is_empty() {
            input = with_json(&input, &at, |document| {
                changes.iter().for_each(|(at, edge)| change(document, at, edge));
            });
        }
        damages.iter().for_each(|damage| apply(damage, &mut input));
        input
    })
}

/// The input with one of its JSON documents changed: a JSON file, or the header of a tensor file. Unchanged if it has
/// none.
fn with_json(input: &[u8], at: &Index, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut parts = parts(input);
    let document = |bytes: &[u8]| -> Option<(Value, usize)> {
        if let Ok(document) = serde_json::from_slice(bytes) {
            return Some((document, 0));
        }
        let length = u64::from_le_bytes(*bytes.first_chunk()?);
        let end = usize::try_from(length).ok()?.checked_add(8)?;
        Some((serde_json::from_slice(bytes.get(8..end)?).ok()?, end))
    };
    let found: Vec<_> = parts
        .iter()
        .enumerate()
        .filter_map(|(place, (_, bytes))| Some((place, document(bytes)?)))
        .collect();
    if found.is_empty() {
        return input.to_vec();
    }
    let (place, (mut document, header)) = at.get(&found).clone();
    change(&mut document);
    let mut text = document.to_string().into_bytes();
    if header > 0 {
        let length = (text.len() as u64).to_le_bytes();
        text = [&length, &text[..], &parts[place].1[header..]].concat();
    }
    parts[place].1 = &text;
    join(&parts)
}

/// The committed seeds of a fuzz target, sorted by name.
pub fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/seeds")
        .join(target);
    let mut seeds: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("an entry").path())
        .map(|file| {
            let name = file.file_name().expect("a name").to_string_lossy().into_owned();
            (name, fs::read(file).expect("a seed"))
        })
        .collect();
    seeds.sort();
    seeds
}
