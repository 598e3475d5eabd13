//! Whether tests take their time; shared by the tests of several crates.

/// With `ADEPT_THOROUGH` in the environment, as in CI, tests try every place, size and pair, and those run that take
/// many seconds.
#[allow(clippy::print_stderr, reason = "a test that is skipped says so")]
pub fn thorough() -> bool {
    let is_asked_for = std::env::var_os("ADEPT_THOROUGH").is_some();
    if !is_asked_for {
        eprintln!("skipped, or not in full: set ADEPT_THOROUGH for it");
    }
    is_asked_for
}
