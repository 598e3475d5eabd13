//! The `adept` program: what people run. Everything a library user could want too lives in the crates below this one;
//! here are the command line, the choice of a backend, progress, messages and exit codes.
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
    // What a model has written is run by this very program as its own helper, before it is anything else.
    if let Some(code) = adept_sandbox::child_main() {
        return code;
    }
    allocator::keep_freed_pages();
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(told) => return failure::usage(&told),
    };
    // From inside the thread pool: a thread that hands work out then does its share of it, where one from outside would
    // sleep until others have been woken and are done. Steps of small models take 5 to 9 % less.
    match rayon::scope(|_| failure::guarded(|| commands::run(cli))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
