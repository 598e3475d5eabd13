//! The inside stage: applies the layers and starts the interpreter.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{chdir, sethostname};

use super::{landlock, limits, mounts, put_on, refused, report_end, seccomp, user};
use crate::plan::{Plan, Role};
use crate::{Layer, python};

pub(super) fn run(plan: Plan) -> Result<ExitCode, String> {
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(refused("prctl(PR_SET_PDEATHSIG)"))?;
    // The program must receive all signals as usual: those that the outside stage waits for, and any that the caller
    // had blocked.
    SigSet::empty().thread_set_mask().map_err(refused("sigprocmask"))?;
    let proc_self = user::proc_self()?;
    put_on(&plan, Layer::Net, || {
        namespace(CloneFlags::CLONE_NEWNET, "no interface is up")
    })?;
    put_on(&plan, Layer::Ipc, || namespace(CloneFlags::CLONE_NEWIPC, "empty"))?;
    put_on(&plan, Layer::Uts, || {
        let entered = namespace(CloneFlags::CLONE_NEWUTS, "host name `sandbox`")?;
        sethostname("sandbox").map_err(refused("sethostname"))?;
        Ok(entered)
    })?;
    put_on(&plan, Layer::Cgroup, || {
        namespace(CloneFlags::CLONE_NEWCGROUP, "its own root")
    })?;
    let own_tree = put_on(&plan, Layer::Mount, || mounts::build(&plan))?;
    if plan.privileged {
        // Without a separate file tree the interpreter may be in a place that only root can read.
        if own_tree {
            user::become_nobody(&proc_self, plan.wanted.contains(&Layer::User))?;
        }
        put_on(&plan, Layer::User, || user::enter_namespace(&proc_self))?;
    }
    drop(proc_self);
    put_on(&plan, Layer::Capabilities, user::drop_capabilities)?;
    put_on(&plan, Layer::NoNewPrivileges, || {
        prctl::set_no_new_privs().map_err(refused("prctl(PR_SET_NO_NEW_PRIVS)"))?;
        Ok("set".to_owned())
    })?;
    put_on(&plan, Layer::Rlimits, || limits::set(&plan.bounds))?;
    let scratch = if own_tree {
        Path::new(mounts::SCRATCH)
    } else {
        &plan.scratch
    };
    chdir(scratch).map_err(refused("scratch folder"))?;
    put_on(&plan, Layer::Landlock, || landlock::restrict(&plan, scratch, own_tree))?;
    // Without a process namespace nothing ends a program's remaining processes, so it must not start any.
    let is_first = plan.wanted.contains(&Layer::Pid);
    put_on(&plan, Layer::Seccomp, || seccomp::restrict(is_first, own_tree))?;

    let mut interpreter = interpreter(&plan, scratch)?;
    if !is_first {
        return Err(refused("starting the interpreter")(interpreter.exec()));
    }
    let mut child = interpreter.spawn().map_err(refused("starting the interpreter"))?;
    let status = child.wait().map_err(refused("waiting for the interpreter"))?;
    report_end(status)?;
    Ok(ExitCode::SUCCESS)
}

fn namespace(kind: CloneFlags, what: &str) -> Result<String, String> {
    unshare(kind).map_err(refused(&format!(
        "unshare({})",
        kind.iter_names().map(|(name, _)| name).collect::<String>()
    )))?;
    Ok(what.to_owned())
}

fn interpreter(plan: &Plan, scratch: &Path) -> Result<Command, String> {
    let mut command = Command::new(&plan.interpreter.program);
    command.args(["-S", "-s", "-B", "-c", python::BOOT]).env_clear();
    let environment = [
        ("PYTHONHASHSEED", "0"),
        ("PYTHONUTF8", "1"),
        ("PYTHONSAFEPATH", "1"),
        ("LANG", "C.UTF-8"),
    ];
    command.envs(environment).env("HOME", scratch).env("TMPDIR", scratch);
    if plan.role == Role::Player {
        // The report pipe ends here: what the program writes to standard error is output.
        let output = io::stdout()
            .as_fd()
            .try_clone_to_owned()
            .map_err(refused("standard error"))?;
        command.stderr(Stdio::from(output));
    }
    Ok(command)
}
