//! The outside stage: creates the namespaces that only a child can enter, starts the inside stage, and waits.

use std::fs;
use std::process::{Child, Command, ExitCode};

use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Gid, Uid};

use super::{handles, put_on, refused, report_end, user};
use crate::Layer;
use crate::plan::{INNER, Plan};

pub(super) fn run(mut plan: Plan) -> Result<ExitCode, String> {
    handles::close_inherited()?;
    if let Some(entrance) = &plan.group {
        fs::write(entrance, "0").map_err(refused(&entrance.to_string_lossy()))?;
    }
    // If the machine runs out of memory, this run is killed before the user's other programs. That is only a courtesy
    // to them, so a failure is ignored.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    // The thread that started this process waits for it: if it dies, so does the run.
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(refused("prctl(PR_SET_PDEATHSIG)"))?;
    // Blocked before there is a child, so that no signal is missed. The inside stage starts with them blocked as well.
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGCHLD);
    signals.thread_block().map_err(refused("sigprocmask"))?;

    plan.privileged = has_powers();
    if !plan.privileged {
        let held = put_on(&plan, Layer::User, || {
            let (uid, gid) = (Uid::effective(), Gid::effective());
            unshare(CloneFlags::CLONE_NEWUSER).map_err(refused("unshare(CLONE_NEWUSER)"))?;
            user::map(&user::proc_self()?, uid, gid)?;
            Ok("unprivileged".to_owned())
        })?;
        if !held {
            plan.wanted.retain(|layer| *layer != Layer::User);
        }
    }
    let inside = put_on(&plan, Layer::Pid, || {
        unshare(CloneFlags::CLONE_NEWPID).map_err(refused("unshare(CLONE_NEWPID)"))?;
        Ok("first process of its own".to_owned())
    })?;
    if !inside {
        plan.wanted.retain(|layer| *layer != Layer::Pid);
    }
    let text = serde_json::to_string(&plan).map_err(refused("the plan"))?;
    let child = Command::new("/proc/self/exe").args([INNER, &text]).spawn();
    wait(child.map_err(refused("starting the stage inside"))?, &signals)
}

/// Waits for the child, or ends it on request. The kernel releases the child only after everything else in its process
/// namespace, so nothing is running any more when this returns.
fn wait(mut child: Child, signals: &SigSet) -> Result<ExitCode, String> {
    loop {
        match signals.wait().map_err(refused("sigwait"))? {
            Signal::SIGTERM => {
                child.kill().map_err(refused("kill"))?;
                child.wait().map_err(refused("wait"))?;
                return Ok(ExitCode::SUCCESS);
            }
            _ => {
                if let Some(status) = child.try_wait().map_err(refused("wait"))? {
                    report_end(status)?;
                    return Ok(ExitCode::SUCCESS);
                }
            }
        }
    }
}

/// Whether this is root with the capabilities to create namespaces and to become nobody. A container's root may lack
/// them, and in a user namespace with a single user there is no other user to become.
fn has_powers() -> bool {
    let needed = [
        caps::Capability::CAP_SYS_ADMIN,
        caps::Capability::CAP_SETUID,
        caps::Capability::CAP_SETGID,
    ];
    let has = |capability| caps::has_cap(None, caps::CapSet::Effective, capability).unwrap_or(false);
    Uid::effective().is_root() && needed.into_iter().all(has) && user::knows_nobody()
}
