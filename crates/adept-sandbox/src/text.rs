//! Sanitises text influenced by a program for display.

/// Maximum message length in characters.
const LONGEST: usize = 4000;

/// Escapes everything that a terminal or log may interpret: control characters (including line ends and escape
/// sequences) and marks that change the writing direction.
pub(crate) fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for (place, character) in text.chars().enumerate() {
        if place == LONGEST {
            shown.push('…');
            break;
        }
        if character.is_control() || is_mark(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Line and paragraph separators, and direction marks.
fn is_mark(character: char) -> bool {
    matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_shown_as_an_escape() {
        assert_eq!(
            shown("x\n974 of 974 pass\r\u{1b}]0;owned\u{7}"),
            "x\\n974 of 974 pass\\r\\u{1b}]0;owned\\u{7}"
        );
        assert_eq!(shown("\u{9b}2J\u{7f}\0"), "\\u{9b}2J\\u{7f}\\u{0}");
        assert_eq!(
            shown("a\u{202e}b\u{2028}c\u{2066}d\u{200f}"),
            "a\\u{202e}b\\u{2028}c\\u{2066}d\\u{200f}"
        );
        let plain = "assert f('é', \"日本\") == '\\\\' # 🦀";
        assert_eq!(shown(plain), plain);
        assert_eq!(shown(&"x".repeat(LONGEST + 1)).chars().count(), LONGEST + 1);
    }
}
