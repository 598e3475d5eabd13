//! The sandbox from within: what the helper does before it becomes the interpreter.
//!
//! The helper runs in two stages. The first stays outside: it creates the namespaces that only a child can enter, and
//! waits. The second is the first process inside: it applies the other layers one by one, starts the interpreter and
//! waits, so that the interpreter is an ordinary process with ordinary signals. Nothing here uses threads or unsafe
//! code.
//!
//! Handles of a stage: 0 and 1 belong to the interpreter, 2 is the report pipe. The first stage closes all others.

mod handles;
mod inner;
mod landlock;
mod limits;
mod mounts;
mod outer;
mod seccomp;
mod user;

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::Layer;
use crate::plan::{INNER, OUTER, Plan, Report};

/// Runs the stage that these arguments select, if any.
pub(crate) fn run(mut arguments: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    let stage = match arguments.nth(1)?.to_str()? {
        OUTER => outer::run,
        INNER => inner::run,
        _ => return None,
    };
    let text = arguments.next()?.into_string().ok()?;
    let done = match serde_json::from_str::<Plan>(&text) {
        Ok(plan) => stage(plan),
        Err(error) => Err(format!("the plan cannot be read: {error}")),
    };
    Some(done.unwrap_or_else(|message| {
        report(&Report::Error { message });
        ExitCode::FAILURE
    }))
}

/// Writes a report line for the parent.
fn report(report: &Report) {
    if let Ok(line) = serde_json::to_string(report) {
        // If the parent is gone, no one reads this, and the kernel ends this process.
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}

/// Reports how the interpreter ended. It must be the only child that was waited for.
fn report_end(status: ExitStatus) -> Result<(), String> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(refused("getrusage"))?;
    let seconds = |time: TimeVal| time.num_microseconds() as f64 / 1e6;
    report(&Report::End {
        code: status.code(),
        signal: status.signal(),
        cpu_seconds: seconds(usage.user_time()) + seconds(usage.system_time()),
    });
    Ok(())
}

/// Applies a layer if it is wanted, and returns whether it holds. An error if it is required and fails.
fn put_on(plan: &Plan, layer: Layer, how: impl FnOnce() -> Result<String, String>) -> Result<bool, String> {
    if !plan.wanted.contains(&layer) {
        return Ok(false);
    }
    let (held, detail) = match how() {
        Ok(detail) => (true, detail),
        Err(detail) if plan.strict => return Err(format!("{layer}: {detail}")),
        Err(detail) => (false, detail),
    };
    if !plan.strict {
        report(&Report::Layer { layer, held, detail });
    }
    Ok(held)
}

/// For `map_err`: adds the step that the kernel refused.
fn refused<E: std::fmt::Display>(step: &str) -> impl FnOnce(E) -> String {
    move |error| format!("{step}: {error}")
}
