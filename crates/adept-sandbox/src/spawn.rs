//! Starts one interpreter in its sandbox, and ends it.

use std::io::PipeReader;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::Pid;

use crate::group::{Group, Parent};
use crate::plan::{OUTER, Plan};
use crate::{Layer, SandboxError};

/// Maximum time for the kernel to empty a process namespace.
const PATIENCE: Duration = Duration::from_secs(10);

/// One interpreter in its sandbox, ended on drop.
#[derive(Debug)]
pub(crate) struct Box {
    child: Child,
    scratch: Option<PathBuf>,
    group: Option<Group>,
    has_stage: bool,
    ended: bool,
}

/// Starts the helper with the given handles 0 and 1, and with the report pipe as handle 2, whose other end it returns.
pub(crate) fn start(
    helper: &Path,
    mut plan: Plan,
    groups: Option<&Parent>,
    first: OwnedFd,
    second: OwnedFd,
) -> Result<(Box, PipeReader), SandboxError> {
    let bounds = &plan.bounds;
    let group = groups
        .map(|parent| parent.make(bounds.memory, bounds.scratch))
        .transpose()?;
    plan.group = group.as_ref().map(Group::entrance);
    let (report, report_end) = std::io::pipe().map_err(SandboxError::io("making a pipe"))?;
    // For use without a separate file tree; otherwise the scratch folder is inside that.
    let scratch = if plan.wanted.contains(&Layer::Mount) && plan.strict {
        None
    } else {
        Some(scratch_folder()?)
    };
    plan.scratch = scratch.clone().unwrap_or_default();
    let text = serde_json::to_string(&plan).map_err(SandboxError::io("writing the plan"))?;
    let child = Command::new(helper)
        .args([OUTER, &text])
        .env_clear()
        // A host program's allocator may reserve address space at startup (mimalloc: one GiB), which would leave too
        // little under the later limits to start the interpreter.
        .env("MIMALLOC_ARENA_RESERVE", "16384")
        .stdin(first)
        .stdout(second)
        .stderr(report_end)
        // Key presses at a terminal are for the program that runs the sandbox.
        .process_group(0)
        .spawn();
    match child {
        Ok(child) => Ok((
            Box {
                child,
                scratch,
                group,
                has_stage: plan.wanted.contains(&Layer::Pid),
                ended: false,
            },
            report,
        )),
        Err(source) => {
            remove(scratch.as_deref());
            Err(SandboxError::Io {
                doing: "starting the sandbox's helper",
                source,
            })
        }
    }
}

impl Box {
    /// The outside stage, the ancestor of every process in the sandbox.
    pub(crate) fn top(&self) -> u32 {
        self.child.id()
    }

    /// Whether the inside stage remains beside the interpreter, as the first process of its namespace.
    pub(crate) fn has_stage(&self) -> bool {
        self.has_stage
    }

    /// Whether the kernel killed processes of the sandbox's control group for lack of memory.
    pub(crate) fn ran_out(&self) -> bool {
        self.group.as_ref().is_some_and(Group::ran_out)
    }

    /// Ends everything in the sandbox, and returns when nothing in it is running any more.
    pub(crate) fn end(&mut self) -> Result<(), SandboxError> {
        if std::mem::replace(&mut self.ended, true) {
            return Ok(());
        }
        // The outside stage ends the first process inside and waits for it. It has not been waited for yet, so its
        // process id is still its own; that it may already have ended is not an error.
        let _ = kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM);
        let until = Instant::now() + PATIENCE;
        let mut pause = Duration::from_micros(100);
        let in_time = loop {
            let ended = self
                .child
                .try_wait()
                .map_err(SandboxError::io("waiting for the sandbox"))?
                .is_some();
            if ended || Instant::now() > until {
                break ended;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(5));
        };
        if !in_time {
            // The kernel ends the processes inside along with it.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        remove(self.scratch.as_deref());
        match in_time {
            true => Ok(()),
            false => Err(SandboxError::Start {
                message: format!("it did not end within {} s", PATIENCE.as_secs()),
            }),
        }
    }
}

impl Drop for Box {
    fn drop(&mut self) {
        // An error could not be reported to anyone, and the run already has one.
        let _ = self.end();
    }
}

/// A folder that no one else can write to. In this case the interpreter runs as this user: root becomes another user
/// only with a separate file tree.
fn scratch_folder() -> Result<PathBuf, SandboxError> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let clock = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    let name = format!("adept-sandbox-{}-{count}-{}", std::process::id(), clock.as_nanos());
    let folder = std::env::temp_dir().join(name);
    nix::unistd::mkdir(&folder, Mode::S_IRWXU).map_err(SandboxError::io("making a scratch folder"))?;
    Ok(folder)
}

/// Removes a scratch folder. Symbolic links in it are removed, not followed.
fn remove(scratch: Option<&Path>) {
    if let Some(folder) = scratch {
        // A program can create folders that resist removal; leftovers remain in the system's temporary folder.
        let _ = std::fs::remove_dir_all(folder);
    }
}
