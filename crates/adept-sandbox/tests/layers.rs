//! The layers: what one misses the others hold, and a sandbox that lacks one is not made.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use adept_sandbox::{Layer, Outcome, Sandbox, SandboxError, Settings};
use common::outside::Outside;
use common::{run, sandbox, settings, unhurried, without};

#[test]
fn a_layer_that_is_missing_is_refused() {
    let Some(whole) = sandbox() else { return };
    assert!(whole.layers().missing().is_empty());
    for layer in Layer::ALL {
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

/// Every way out in one program, each tried whatever became of the others.
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
    for layer in Layer::ALL {
        let sandbox = without(layer).unwrap();
        let mut outside = Outside::new();
        let verdict = run(&sandbox, &outside.aim(ATTACK), "f()", &unhurried()).unwrap();
        let touched = outside.touched(&verdict.output);
        assert_eq!(touched, [""; 0], "without {layer}: {}", verdict.output);
        assert_eq!(verdict.outcome, Outcome::Pass, "without {layer}: {}", verdict.output);
    }
}

/// Where there is no file tree of its own the scratch folder is in the system's temporary one. It goes with the run, and
/// links in it are not followed.
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

/// Nothing would end what a program leaves behind, so it starts nothing.
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
    // It may be missing from an older C library, or ctypes from this Python: that is no signal either.
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
    // A program without the hook does not answer as a helper does.
    let wrong_helper = Settings {
        helper: Some("/bin/true".into()),
        ..settings()
    };
    assert!(Sandbox::new(wrong_helper).is_err());
}
