//! The sandbox's helper as a separate program, for tests and for programs that cannot be their own helper. Run by hand,
//! it lists which layers hold on this machine.

use std::process::ExitCode;

use adept_sandbox::{Sandbox, Settings};

#[allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a program")]
fn main() -> ExitCode {
    if let Some(code) = adept_sandbox::child_main() {
        return code;
    }
    let settings = Settings {
        allow_missing: true,
        ..Settings::default()
    };
    match Sandbox::new(settings) {
        Ok(sandbox) => {
            println!("{}", sandbox.layers());
            if sandbox.layers().missing().is_empty() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
