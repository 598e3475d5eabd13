//! Runs cargo as from a shell.

use std::env;
use std::process::Command;

/// Cargo with the environment of xtask's caller. `cargo xtask` is a `cargo run`, which sets variables about xtask's own
/// package; a build script that depends on such a variable (ring's does) would otherwise run again, and everything
/// depending on it be rebuilt, after each switch between `cargo xtask` and `cargo build`.
pub fn command() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(is_of_this_package) {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// Whether `cargo run` sets the variable. Others that begin with `CARGO_` are the user's settings.
fn is_of_this_package(name: &str) -> bool {
    name.starts_with("CARGO_PKG_") || ["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH"].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `cargo test` sets the same variables as `cargo run`.
    #[test]
    fn variables_of_this_package_are_not_handed_on() {
        let command = command();
        for name in [
            "CARGO_MANIFEST_DIR",
            "CARGO_MANIFEST_PATH",
            "CARGO_PKG_NAME",
            "CARGO_PKG_VERSION_MAJOR",
        ] {
            assert!(env::var_os(name).is_some(), "{name}");
            assert!(
                command
                    .get_envs()
                    .any(|(found, value)| found == name && value.is_none()),
                "{name}"
            );
        }
    }

    #[test]
    fn settings_of_the_user_are() {
        for name in [
            "CARGO",
            "CARGO_HOME",
            "CARGO_TARGET_DIR",
            "CARGO_PROFILE_RELEASE_LTO",
            "CARGO_TERM_COLOR",
        ] {
            assert!(!is_of_this_package(name), "{name}");
        }
    }
}
