//! Words of a shell script: any bytes, quoted for bash.

use std::ffi::OsStr;

/// The word that bash reads back as these bytes. The result is plain text on one line, whatever the bytes are.
pub(super) fn quote(word: impl AsRef<OsStr>) -> String {
    let bytes = word.as_ref().as_encoded_bytes();
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_./:=,@%+-".contains(byte);
    match str::from_utf8(bytes) {
        Ok(text) if !bytes.is_empty() && bytes.iter().all(is_plain) => text.to_owned(),
        Ok(text) if !text.contains(char::is_control) => format!("'{}'", text.replace('\'', r"'\''")),
        _ => escaped(bytes),
    }
}

/// `$'…'`, in which every byte can be written as an escape.
fn escaped(bytes: &[u8]) -> String {
    let mut word = String::from("$'");
    for &byte in bytes {
        match byte {
            b'\n' => word.push_str(r"\n"),
            b'\\' | b'\'' => word.extend(['\\', char::from(byte)]),
            b' '..=b'~' => word.push(char::from(byte)),
            _ => word.push_str(&format!(r"\x{byte:02x}")),
        }
    }
    word.push('\'');
    word
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_that_need_it_are_quoted() {
        for (word, expected) in [
            ("--set=train.steps=4", "--set=train.steps=4"),
            ("", "''"),
            ("two words", "'two words'"),
            ("it's", r"'it'\''s'"),
            ("a\"b$HOME`id`", "'a\"b$HOME`id`'"),
            ("~", "'~'"),
            ("*", "'*'"),
            ("line\nbreak's \\", r"$'line\nbreak\'s \\'"),
            ("é", "'é'"),
        ] {
            assert_eq!(quote(word), expected);
        }
        assert_eq!(quote(OsStr::from_bytes(b"caf\xe9\x01f")), r"$'caf\xe9\x01f'");
    }

    /// What bash makes of the quoted words.
    fn read_back(words: &[&OsStr]) -> Vec<u8> {
        let words: Vec<String> = words.iter().map(quote).collect();
        let script = format!("printf '%s\\0' {}", words.join(" "));
        let output = Command::new("bash")
            .args(["-c", &script])
            .output()
            .expect("bash is there");
        assert!(output.status.success());
        output.stdout
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn bash_reads_every_word_back(words in prop::collection::vec(prop::collection::vec(1..=255_u8, 0..12), 1..20)) {
            let expected: Vec<u8> = words.iter().flat_map(|word| word.iter().copied().chain([0])).collect();
            let words: Vec<&OsStr> = words.iter().map(|word| OsStr::from_bytes(word)).collect();
            prop_assert_eq!(read_back(&words), expected);
        }
    }
}
