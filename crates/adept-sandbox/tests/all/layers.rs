//! The layers: what one lets through the others stop, and a sandbox that lacks one is not created.

use std::path::Path;
use std::process::Command;

use crate::common::outside::Outside;
use crate::common::{run, sandbox, settings, unhurried, without};
use adept_sandbox::{Layer, Outcome, Sandbox, SandboxError, Settings};
use nix::libc;
use nix::unistd::Uid;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

/// All layers with `ADEPT_THOROUGH` in the environment, as in CI, else some: a sandbox takes half a second to try
/// itself.
fn some_layers() -> impl Iterator<Item = Layer> {
    let step = if std::env::var_os("ADEPT_THOROUGH").is_some() {
        1
    } else {
        4
    };
    Layer::ALL.into_iter().step_by(step)
}

#[test]
fn a_layer_that_is_missing_is_refused() {
    let Some(whole) = sandbox() else { return };
    assert!(whole.layers().missing().is_empty());
    for layer in some_layers() {
        let settings = Settings {
            leave_out: vec![layer],
            ..settings()
        };
        match Sandbox::new(settings).unwrap_err() {
            SandboxError::Missing(missing) => assert!(missing.iter().any(|trial| trial.layer == layer), "{layer}"),
            error => panic!("{layer}: {error}"),
        }
        let allowed = without(layer).unwrap();
        assert!(!allowed.layers().holds(layer));
    }
}

/// Every escape in one program, each tried whatever the result of the others.
const ATTACK: &str = "import os, signal, socket
def tried(attack):
    try:
        attack()
    except Exception as error:
        print(type(error).__name__, error)
def f():
    tried(lambda: print(open(FOLDER + '/secret').read()))
    tried(lambda: open(FOLDER + '/secret', 'w').write('here'))
    tried(lambda: open(FOLDER + '/new', 'w').write('here'))
    tried(lambda: os.mkdir(FOLDER + '/new'))
    tried(lambda: os.symlink('/', FOLDER + '/link'))
    tried(lambda: os.remove(FOLDER + '/secret'))
    tried(lambda: os.chmod(FOLDER + '/secret', 0))
    tried(lambda: socket.create_connection(('127.0.0.1', TCP), 1))
    tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'here', ('127.0.0.1', UDP)))
    tried(lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b'here', FOLDER + '/datagrams'))
    tried(lambda: os.kill(VICTIM, signal.SIGKILL))
";

#[test]
fn one_layer_less_lets_nothing_out() {
    if sandbox().is_none() {
        return;
    }
    for layer in some_layers() {
        let sandbox = without(layer).unwrap();
        let mut outside = Outside::new();
        let verdict = run(&sandbox, &outside.aim(ATTACK), "f()", &unhurried()).unwrap();
        let touched = outside.touched(&verdict.output);
        assert_eq!(touched, [""; 0], "without {layer}: {}", verdict.output);
        assert_eq!(verdict.outcome, Outcome::Pass, "without {layer}: {}", verdict.output);
    }
}

/// Without a separate file tree the scratch folder is in the system's temporary folder. It is removed after the run,
/// without following links in it.
#[test]
fn a_scratch_folder_on_disk_is_removed_without_what_it_leads_to() {
    let Some(sandbox) = without(Layer::Mount) else { return };
    let mut outside = Outside::new();
    let solution = outside.aim(
        "import os
def f():
    print(os.getcwd())
    open('file', 'w').write('text')
    os.symlink(FOLDER, 'folder')
    os.symlink(FOLDER + '/secret', 'secret')
    try:
        os.mkdir('deep')
    except PermissionError:
        return 'no folders'",
    );
    let verdict = run(&sandbox, &solution, "assert f() == 'no folders'", &unhurried()).unwrap();
    assert_eq!(verdict.outcome, Outcome::Pass, "{}", verdict.output);
    let scratch = Path::new(verdict.output.trim());
    assert!(
        scratch.is_absolute() && scratch.starts_with(std::env::temp_dir()),
        "{}",
        scratch.display()
    );
    assert!(!scratch.exists());
    assert_eq!(outside.touched(""), [""; 0]);
}

/// Without a user namespace the kernel counts a user's processes over all runs.
#[test]
fn runs_without_a_user_namespace_leave_each_other_their_processes() {
    // Only root can become a user that no other run has.
    let (Some(sandbox), true) = (without(Layer::User), Uid::effective().is_root()) else {
        return;
    };
    let threads = "import threading, time
def f():
    threads = [threading.Thread(target=time.sleep, args=(1,)) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(threads)";
    std::thread::scope(|scope| {
        let runs = [(); 3].map(|()| scope.spawn(|| run(&sandbox, threads, "assert f() == 10", &unhurried()).unwrap()));
        for verdict in runs.map(|run| run.join().unwrap()) {
            assert_eq!(verdict.outcome, Outcome::Pass, "{}", verdict.output);
        }
    });
}

/// Nothing would end a program's remaining processes, so it must not start any.
#[test]
fn without_a_process_namespace_there_is_one_process() {
    let Some(sandbox) = without(Layer::Pid) else { return };
    let fork = "import os\ndef f():\n    os.fork()";
    let verdict = run(&sandbox, fork, "f()", &unhurried()).unwrap();
    assert!(
        verdict.outcome.to_string().contains("PermissionError"),
        "{}",
        verdict.outcome
    );
    let threads = "import threading
def f():
    done = []
    thread = threading.Thread(target=done.append, args=(3,))
    thread.start()
    thread.join()
    return done";
    let verdict = run(&sandbox, threads, "assert f() == [3]", &unhurried()).unwrap();
    assert_eq!(verdict.outcome, Outcome::Pass);
    let abort = run(&sandbox, "import os\ndef f():\n    os.abort()", "f()", &unhurried()).unwrap();
    assert!(abort.outcome.to_string().contains("SIGABRT"), "{}", abort.outcome);
    let others = "import ctypes\ndef f(pid):\n    return ctypes.CDLL(None).tgkill(pid, pid, 0)";
    let verdict = run(
        &sandbox,
        others,
        &format!("assert f({}) == -1", std::process::id()),
        &unhurried(),
    )
    .unwrap();
    // It may be missing from an older C library, or ctypes from this Python; then there is no signal either.
    assert!(
        !verdict.outcome.to_string().contains("AssertionError"),
        "{}",
        verdict.outcome
    );
}

#[test]
fn what_is_missing_on_the_machine_is_said() {
    let python = |python: &str| {
        let settings = Settings {
            python: python.into(),
            ..settings()
        };
        Sandbox::new(settings).unwrap_err().to_string()
    };
    assert!(python("/nowhere/python3").starts_with("/nowhere/python3: No such file"));
    assert!(python("no-such-python").starts_with("no-such-python: No such file"));
    assert!(python("false").starts_with("false: exit status: 1"));
    let no_helper = Settings {
        helper: None,
        ..settings()
    };
    assert!(matches!(Sandbox::new(no_helper), Err(SandboxError::NoHook)));
    // A program that does not call the hook does not answer like a helper.
    let wrong_helper = Settings {
        helper: Some("/bin/true".into()),
        ..settings()
    };
    assert!(Sandbox::new(wrong_helper).is_err());
}

/// Output of this crate's binary, which applies every layer that it can, when started by a thread under a filter that
/// fails these calls with this error: containers and services have such filters.
fn said_under_a_filter(calls: &[i64], errno: i32) -> String {
    let rules = calls.iter().map(|call| (*call, vec![])).collect();
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let (otherwise, matched) = (SeccompAction::Allow, SeccompAction::Errno(errno as u32));
    let filter: BpfProgram = SeccompFilter::new(rules, otherwise, matched, arch)
        .unwrap()
        .try_into()
        .unwrap();
    std::thread::spawn(move || {
        seccompiler::apply_filter(&filter).unwrap();
        said(Command::new(env!("CARGO_BIN_EXE_adept-sandbox")))
    })
    .join()
    .unwrap()
}

fn said(mut command: Command) -> String {
    let output = command.output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The lines about a layer: whether it holds and why not, then the remedy.
#[track_caller]
fn about<'a>(said: &'a str, layer: &str) -> (&'a str, &'a str) {
    let mut lines = said.lines().skip_while(|line| line.split(' ').next() != Some(layer));
    (lines.next().unwrap(), lines.next().unwrap_or_default().trim())
}

#[test]
fn the_reason_and_the_remedy_are_those_of_what_is_in_the_way() {
    if sandbox().is_none() {
        return;
    }
    // A filter on this process, inside a container or not.
    const FILTER: &str = "--security-opt seccomp=unconfined";
    let landlock = libc::SYS_landlock_create_ruleset;
    for (calls, errno, layer, reason, remedy) in [
        (&[libc::SYS_mount][..], libc::EACCES, "mount", "EACCES", FILTER),
        (
            &[landlock],
            libc::ENOSYS,
            "landlock",
            "not in this kernel, or hidden by a filter",
            FILTER,
        ),
        (&[landlock], libc::EOPNOTSUPP, "landlock", "not enabled", "`lsm=`"),
        (
            &[libc::SYS_seccomp],
            libc::ENOSYS,
            "seccomp",
            "Function not implemented",
            FILTER,
        ),
    ] {
        let said = said_under_a_filter(calls, errno);
        let (first, second) = about(&said, layer);
        assert!(first.contains("MISSING") && first.contains(reason), "{said}");
        assert!(second.contains(remedy), "{said}");
        assert_eq!(said.matches("MISSING").count(), 1, "{said}");
    }
    // Docker's filter. The consequences of a missing layer are not reported as separate problems.
    let said = said_under_a_filter(&[libc::SYS_unshare, libc::SYS_mount, libc::SYS_pivot_root], libc::EPERM);
    let (first, second) = about(&said, "user");
    assert!(first.contains("EPERM") && second.contains(FILTER), "{said}");
    let (first, second) = about(&said, "net");
    assert!(first.contains("unshare(CLONE_NEWNET)"), "{said}");
    let is_root = Uid::effective().is_root();
    assert!(
        second.contains(if is_root { FILTER } else { "follows from `user`" }),
        "{said}"
    );
}

#[test]
fn limits_of_the_shell_are_named() {
    if sandbox().is_none() {
        return;
    }
    for (limit, name, figure) in [("n 16", "RLIMIT_NOFILE", "16"), ("v 900000", "RLIMIT_AS", "921600000")] {
        let mut shell = Command::new("sh");
        shell.args([
            "-c",
            &format!("ulimit -{limit} && exec \"$0\""),
            env!("CARGO_BIN_EXE_adept-sandbox"),
        ]);
        let said = said(shell);
        let (first, second) = about(&said, "rlimits");
        assert!(
            first.contains(&format!("{name}: this process may have {figure} at most")),
            "{said}"
        );
        assert!(second.contains("ulimit"), "{said}");
    }
}

/// Root in a user namespace with a single user cannot become another user; it is treated as an ordinary user.
#[test]
fn root_of_a_namespace_of_one_user_has_every_layer() {
    if sandbox().is_none() {
        return;
    }
    let mut nested = Command::new("unshare");
    nested.args(["-r", env!("CARGO_BIN_EXE_adept-sandbox")]);
    // The command may be missing or forbidden.
    if Command::new("unshare")
        .args(["-r", "true"])
        .status()
        .is_ok_and(|status| status.success())
    {
        let said = said(nested);
        assert!(said.starts_with("user ") && !said.contains("MISSING"), "{said}");
    }
}

#[test]
fn a_refusal_says_what_to_do() {
    let missing = |python: &str| {
        let settings = Settings {
            python: python.into(),
            ..settings()
        };
        Sandbox::new(settings).unwrap_err().to_string()
    };
    assert!(missing("/nowhere/python3").contains("install Python 3"));
    let group = |folder: &Path| {
        let settings = Settings {
            group: Some(folder.to_owned()),
            ..settings()
        };
        Sandbox::new(settings).unwrap_err().to_string()
    };
    let folder = tempfile::tempdir().unwrap();
    for folder in [folder.path(), Path::new("/nowhere")] {
        if sandbox().is_some() {
            let said = group(folder);
            assert!(
                said.contains("not a memory control group") && said.contains("Delegate=yes"),
                "{said}"
            );
        }
    }
}
