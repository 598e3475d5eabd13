//! Task cards: no text makes their parser panic, and every rejection states its reason.

use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;

use crate::properties::config;
use crate::properties::feed::check_card;

/// Valid and invalid lines and values of cards.
const PIECES: [&str; 26] = [
    "name = \"x\"",
    "display = \"X\"",
    "about = \"a\"",
    "[source]",
    "pieces = [{ field = \"a\" }]",
    "max_length = -1",
    "[target]",
    "kind = \"class\"",
    "kind = \"score\"",
    "min = -inf",
    "max = inf",
    "max = 1e38",
    "min = nan",
    "classes = [\"a\", \"b\"]",
    "[split]",
    "rule = \"official\"",
    "[metrics]",
    "all = [\"em\"]",
    "all = []",
    "[[forms]]",
    "format = \"csv\"",
    "files = { train = [\"\"], validation = [\"..\"], test = [\"/\"] }",
    "[forms.fields]",
    "é = \"[]\"",
    "a = { path = \"[].[]\", unique = true }",
    "\u{feff}",
];

/// Texts of the built-in cards.
fn built_in() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tasks");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the cards' folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    files
        .iter()
        .map(|file| std::fs::read_to_string(file).expect("a card"))
        .collect()
}

proptest! {
    #![proptest_config(config(1024))]

    #[test]
    fn any_text_is_a_card_or_an_error(
        text in prop_oneof![
            prop::collection::vec(any::<char>(), 0..60).prop_map(String::from_iter),
            prop::collection::vec(prop::sample::select(&PIECES[..]), 0..26).prop_map(|lines| lines.join("\n")),
        ],
    ) {
        check_card(&text);
    }

    #[test]
    fn scores_of_any_range_are_a_card_or_an_error(
        ends in prop::array::uniform2(prop_oneof![
            any::<f32>(),
            -2000.0..2000_f32,
            prop::sample::select(&[f32::INFINITY, f32::NEG_INFINITY, f32::NAN, f32::MAX, f32::MIN, 0.0, 1e9][..]),
        ]),
    ) {
        let number = |end: f32| format!("{end:?}").replace("NaN", "nan");
        let [min, max] = ends.map(number);
        check_card(&format!(
            "name = \"x\"\ndisplay = \"X\"\nabout = \"a\"\n[source]\npieces = [{{ field = \"a\" }}]\n[target]\nkind = \
             \"score\"\nmin = {min}\nmax = {max}\n[split]\nrule = \"official\"\n[metrics]\nall = [\"pearson\"]\n[[forms]]\n\
             name = \"f\"\nformat = \"csv\"\nfiles = {{ train = [\"a\"], validation = [\"b\"], test = [\"c\"] }}\n"
        ));
    }

    #[test]
    fn changed_cards_are_cards_or_errors(
        card in prop::sample::select(built_in()),
        changes in prop::collection::vec((0..5_u8, any::<Index>(), any::<Index>(), any::<u8>()), 1..4),
    ) {
        let mut lines: Vec<String> = card.lines().map(str::to_owned).collect();
        for (kind, at, piece, byte) in changes {
            if lines.is_empty() {
                break;
            }
            let at = at.index(lines.len());
            let piece = || piece.get(&PIECES[..]).to_string();
            match kind {
                0 => drop(lines.remove(at)),
                1 => lines.insert(at, piece()),
                2 => lines.insert(at, lines[at].clone()),
                3 => lines[at] = piece(),
                _ => {
                    let mut bytes = lines[at].clone().into_bytes();
                    if let Some(last) = bytes.last_mut() {
                        *last = byte;
                    }
                    lines[at] = String::from_utf8_lossy(&bytes).into_owned();
                }
            }
        }
        check_card(&lines.join("\n"));
    }
}
