//! Programs in the sandbox: what passes, what fails, what is stopped, and attacks on the machine.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]
#![allow(clippy::print_stderr, reason = "a skipped test has to say so")]

mod canonical;
mod common;
mod escape;
mod layers;
mod resources;
mod verdicts;
mod wire;
