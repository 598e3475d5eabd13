//! Expands `~`, `$NAME` and `${NAME}` in variables with folder names, like Python's
//! `os.path.expandvars(os.path.expanduser(…))`: a shell has not done so for a variable set in a unit file, in a
//! container or in quotation marks.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::HubError;

/// Expands a variable's value to a path. An unknown `$NAME` is left unchanged, and substituted text is not expanded
/// again.
///
/// # Errors
/// [`HubError::NoHome`] for `~` if no variable gives the home folder, [`HubError::OtherHome`] for another user's home
/// (`~name`), which is not supported.
pub fn expand(value: &OsStr, variable: &dyn Fn(&str) -> Option<OsString>) -> Result<PathBuf, HubError> {
    let Some(bytes) = bytes(value) else {
        return Ok(PathBuf::from(value));
    };
    let mut expanded: Vec<u8> = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    if let Some(behind) = bytes.strip_prefix(b"~") {
        let name = behind.split(|&byte| is_separator(byte)).next().unwrap_or_default();
        if !name.is_empty() {
            return Err(HubError::OtherHome {
                value: value.to_string_lossy().into_owned(),
            });
        }
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let home = set("HOME").or_else(|| set("USERPROFILE")).ok_or(HubError::NoHome)?;
        let home = self::bytes(&home).unwrap_or_default();
        // With the root as home, `~/x` must not get two separators.
        expanded.extend(home.strip_suffix(b"/").filter(|_| !behind.is_empty()).unwrap_or(home));
        rest = behind;
    }
    while let Some((&byte, behind)) = rest.split_first() {
        let found = (byte == b'$').then(|| name(behind)).flatten();
        let found = found.and_then(|(name, rest)| Some((variable(std::str::from_utf8(name).ok()?)?, rest)));
        match found {
            Some((value, behind)) => {
                expanded.extend(self::bytes(&value).unwrap_or_default());
                rest = behind;
            }
            None => {
                expanded.push(byte);
                rest = behind;
            }
        }
    }
    Ok(path(expanded))
}

/// Splits off the name at the front, bare or in braces.
fn name(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    if let Some(inner) = bytes.strip_prefix(b"{") {
        let end = inner.iter().position(|&byte| byte == b'}')?;
        return Some((&inner[..end], &inner[end + 1..]));
    }
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let end = bytes.iter().position(|byte| !is_name(byte)).unwrap_or(bytes.len());
    (end > 0).then(|| bytes.split_at(end))
}

fn is_separator(byte: u8) -> bool {
    byte == b'/' || (cfg!(windows) && byte == b'\\')
}

#[cfg(unix)]
fn bytes(text: &OsStr) -> Option<&[u8]> {
    Some(std::os::unix::ffi::OsStrExt::as_bytes(text))
}

#[cfg(unix)]
fn path(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(<OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes))
}

/// Values that are not Unicode are not expanded.
#[cfg(not(unix))]
fn bytes(text: &OsStr) -> Option<&[u8]> {
    text.to_str().map(str::as_bytes)
}

#[cfg(not(unix))]
fn path(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn find(name: &str) -> Option<OsString> {
        let known = [
            ("HOME", "/home/x"),
            ("A_1", "$HOME"),
            ("SPACES", " a b "),
            ("EMPTY", ""),
        ];
        let found = known.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| OsString::from(value))
    }

    /// The expected values are from Python.
    #[test]
    fn paths_are_expanded_as_python_expands_them() {
        for (value, expected) in [
            ("~", "/home/x"),
            ("~/hf", "/home/x/hf"),
            ("~/", "/home/x/"),
            ("$HOME/hf", "/home/x/hf"),
            ("${HOME}/hf", "/home/x/hf"),
            ("${HOME}hf", "/home/xhf"),
            ("$HOMEhf", "$HOMEhf"),
            ("$NOWHERE/x", "$NOWHERE/x"),
            ("${NOWHERE}/x", "${NOWHERE}/x"),
            ("/data/$A_1/x", "/data/$HOME/x"),
            ("a${SPACES}b", "a a b b"),
            ("a${EMPTY}b", "ab"),
            ("a~/b", "a~/b"),
            ("./~", "./~"),
            ("50$", "50$"),
            ("$", "$"),
            ("$$HOME", "$/home/x"),
            ("${HOME", "${HOME"),
            (" ~", " ~"),
        ] {
            assert_eq!(
                expand(OsStr::new(value), &find).unwrap(),
                PathBuf::from(expected),
                "{value}"
            );
        }
        let root = |name: &str| (name == "HOME").then(|| OsString::from("/"));
        assert_eq!(expand(OsStr::new("~/hf"), &root).unwrap(), PathBuf::from("/hf"));
        assert_eq!(expand(OsStr::new("~"), &root).unwrap(), PathBuf::from("/"));
    }

    #[test]
    fn homes_that_are_not_known_are_refused() {
        let nothing = |_: &str| None;
        assert!(matches!(expand(OsStr::new("~/hf"), &nothing), Err(HubError::NoHome)));
        let error = expand(OsStr::new("~ann/hf"), &find).unwrap_err();
        assert!(error.to_string().contains("`~ann/hf`"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_no_text_stay() {
        use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
        let value = OsString::from_vec(b"~/caf\xe9/$HOME".to_vec());
        let found = expand(&value, &find).unwrap();
        assert_eq!(found.as_os_str().as_bytes(), b"/home/x/caf\xe9//home/x");
    }
}
