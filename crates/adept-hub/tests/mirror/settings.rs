//! Settings from the environment variables that Python's tools use.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use adept_hub::{HubError, Settings};

fn settings(variables: &[(&str, &str)]) -> Result<Settings, HubError> {
    let find = |name: &str| {
        let known = variables.iter().find(|(known, _)| *known == name);
        known.map(|(_, value)| OsString::from(value))
    };
    Settings::from_variables(&find)
}

#[test]
fn settings_come_from_the_variables_that_python_reads() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("token"), "from-file\n").unwrap();
    let home = folder.path().to_str().unwrap();
    let found = settings(&[("HF_HOME", home)]).unwrap();
    assert_eq!(found.cache, folder.path().join("hub"));
    assert_eq!(found.token.as_deref(), Some("from-file"));
    assert_eq!(found.endpoint, "https://huggingface.co");
    assert!(!found.offline);

    let found = settings(&[
        ("HOME", "/home/x"),
        ("HF_TOKEN", "t0ken"),
        ("HF_ENDPOINT", "http://mirror/"),
        ("HF_HUB_OFFLINE", "1"),
    ])
    .unwrap();
    assert_eq!(found.cache, Path::new("/home/x/.cache/huggingface/hub"));
    assert_eq!(found.token.as_deref(), Some("t0ken"));
    assert_eq!(found.endpoint, "http://mirror");
    assert!(found.offline);
    assert!(!format!("{found:?}").contains("t0ken"), "a token is not shown");

    let found = settings(&[("HF_HUB_CACHE", "/cache"), ("HF_HOME", ""), ("HF_HUB_OFFLINE", "0")]).unwrap();
    assert_eq!((found.cache.as_path(), found.token), (Path::new("/cache"), None));
    assert!(!found.offline);
}

#[test]
fn what_is_missing_or_cannot_be_read_is_named() {
    let error = settings(&[]).unwrap_err();
    assert!(error.to_string().contains("set HF_HOME"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let error = settings(&[("HF_HOME", path), ("HF_TOKEN_PATH", path)]).unwrap_err();
    assert!(matches!(error, HubError::Io { .. }), "{error}");
    assert!(error.to_string().contains(path), "{error}");
}

#[test]
fn homes_and_variables_are_put_into_paths() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir_all(home.path().join("hf")).unwrap();
    fs::write(home.path().join("hf/token"), "\u{feff}t0ken\n").unwrap();
    let at_home = ("HOME", home.path().to_str().unwrap());
    for value in ["~/hf", "$HOME/hf", "${HOME}/hf"] {
        let found = settings(&[at_home, ("HF_HOME", value)]).unwrap();
        assert_eq!(found.cache, home.path().join("hf/hub"), "{value}");
        assert_eq!(found.token.as_deref(), Some("t0ken"), "{value}");
        let found = settings(&[at_home, ("HF_HUB_CACHE", value)]).unwrap();
        assert_eq!(found.cache, home.path().join("hf"), "{value}");
        let found = settings(&[at_home, ("HUGGINGFACE_HUB_CACHE", value)]).unwrap();
        assert_eq!(found.cache, home.path().join("hf"), "{value}");
        let found = settings(&[at_home, ("XDG_CACHE_HOME", value)]).unwrap();
        assert_eq!(found.cache, home.path().join("hf/huggingface/hub"), "{value}");
        let token = format!("{value}/token");
        let found = settings(&[at_home, ("HF_TOKEN_PATH", &token)]).unwrap();
        assert_eq!(found.token.as_deref(), Some("t0ken"), "{value}");
    }
    let error = settings(&[at_home, ("HF_HOME", "~ann/hf")]).unwrap_err();
    assert!(error.to_string().contains("write the full path"), "{error}");
}
