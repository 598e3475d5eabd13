//! The `adept` program. Everything useful to library users is in the crates below this one; here are the command line,
//! the choice of a backend, progress, messages and exit codes.
#![recursion_limit = "256"] // wgpu's types nest deeper than the default limit.

mod allocator;
mod args;
mod commands;
mod device;
mod failure;
mod grid_progress;
mod interrupt;
mod pretrain_progress;
mod progress;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    // Model-written programs run in this executable as a sandbox helper, so check for that first.
    if let Some(code) = adept_sandbox::child_main() {
        return code;
    }
    allocator::keep_freed_pages();
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(told) => return failure::usage(&told),
    };
    // Inside the thread pool, a thread that hands out work also does a share of it, whereas one outside would sleep
    // until the others have been woken and are done. Steps of small models take 5 to 9 % less.
    match rayon::scope(|_| failure::guarded(|| commands::run(cli))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
