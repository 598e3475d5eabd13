//! Programs that attack the machine: files, network, other processes, the kernel. Each attack is first run without the
//! sandbox, where it must succeed, or the test would prove nothing.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::common::outside::{Outside, unprotected};
use crate::common::{Expected, check, limits, run, sandbox};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::libc;

/// Runs an attack unprotected, where it must touch the outside world as stated, and then in the sandbox, where it must
/// have the expected outcome and touch nothing.
#[track_caller]
fn check_contained(attack: &str, touches: &str, expected: Expected) {
    let Some(sandbox) = sandbox() else { return };
    let mut outside = Outside::new();
    let said = unprotected(&outside.aim(attack));
    let touched = outside.touched(&said);
    assert!(
        touched.iter().any(|what| what == touches),
        "in the open: {touched:?} {said}"
    );

    let mut outside = Outside::new();
    let verdict = run(sandbox, &outside.aim(attack), "f()", &limits(expected)).unwrap();
    let said = format!("{} {}", verdict.output, verdict.outcome);
    assert_eq!(outside.touched(&said), [""; 0], "{said}");
    assert!(
        expected.is_met_by(&verdict.outcome),
        "{expected:?} expected, but: {said}"
    );
}

const NO_FILE: Expected = Expected::Fail("FileNotFoundError");
const REFUSED: Expected = Expected::Fail("PermissionError");

#[test]
fn files_outside_cannot_be_read() {
    let read = "def f():\n    print(open(FOLDER + '/secret').read())";
    check_contained(read, "secret read", NO_FILE);
    let while_loading = "print(open(FOLDER + '/secret').read())\ndef f(): pass";
    check_contained(while_loading, "secret read", NO_FILE);
    let in_the_answer = "def f():\n    raise ValueError(open(FOLDER + '/secret').read())";
    check_contained(in_the_answer, "secret read", NO_FILE);
    let by_a_link = "import os
def f():
    name = 'link-' + str(os.getpid())
    os.symlink(FOLDER + '/secret', name)
    try:
        print(open(name).read())
    finally:
        os.remove(name)";
    check_contained(by_a_link, "secret read", NO_FILE);
    let up_the_tree = "def f():\n    print(open('../' * 40 + FOLDER[1:] + '/secret').read())";
    check_contained(up_the_tree, "secret read", NO_FILE);
}

#[test]
fn files_outside_cannot_be_written() {
    let make = "def f():\n    open(FOLDER + '/new', 'w').write('here')";
    check_contained(make, "folder changed", NO_FILE);
    let change = "def f():\n    open(FOLDER + '/secret', 'w').write('here')";
    check_contained(change, "secret changed", NO_FILE);
    let remove = "import os\ndef f():\n    os.remove(FOLDER + '/secret')";
    check_contained(remove, "folder changed", NO_FILE);
    let rename = "import os\ndef f():\n    os.rename(FOLDER + '/secret', FOLDER + '/other')";
    check_contained(rename, "folder changed", NO_FILE);
    let link = "import os\ndef f():\n    os.link(FOLDER + '/secret', FOLDER + '/other')";
    check_contained(link, "folder changed", NO_FILE);
}

/// One thread swaps a link between a readable and an unreadable file while others open it: a check made before opening
/// would occasionally be fooled.
#[test]
fn a_race_over_a_link_gains_nothing() {
    let race = "import os, threading, time
def f():
    mine = 'mine-' + str(os.getpid())
    link = 'link-' + str(os.getpid())
    open(mine, 'w').write('nothing')
    end = time.monotonic() + 1.5
    def swap():
        while time.monotonic() < end:
            for target in (os.path.abspath(mine), FOLDER + '/secret'):
                os.symlink(target, link + '.new')
                os.replace(link + '.new', link)
    def read():
        while time.monotonic() < end:
            try:
                text = open(link).read()
            except OSError:
                continue
            if text and text != 'nothing':
                print(text)
                return
    threads = [threading.Thread(target=target) for target in (swap, read, read)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    os.remove(mine)
    os.remove(link)";
    check_contained(race, "secret read", Expected::Pass);
}

#[test]
fn the_network_cannot_be_reached() {
    let connect = "import socket\ndef f():\n    socket.create_connection(('127.0.0.1', TCP), 5)";
    check_contained(connect, "tcp", REFUSED);
    let send = "import socket
def f():
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'here', ('127.0.0.1', UDP))";
    check_contained(send, "udp", REFUSED);
    let by_name = "import socket\ndef f():\n    socket.socket(socket.AF_UNIX).connect(FOLDER + '/stream')";
    check_contained(by_name, "stream", REFUSED);
    // A socket pair may be created, but must not lead anywhere else.
    let by_a_pair = "import socket
def f():
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    here.sendto(b'here', FOLDER + '/datagrams')";
    check_contained(by_a_pair, "datagrams", REFUSED);
    check(
        "import asyncio\nasync def g():\n    await asyncio.sleep(0.01)\n    return 3\ndef f():\n    return asyncio.run(g())",
        "assert f() == 3",
        Expected::Pass,
    );
}

#[test]
fn no_other_process_can_be_signalled() {
    let victim = "import os\ndef f():\n    os.kill(VICTIM, 9)";
    check_contained(victim, "process ended", REFUSED);
    let quietly = "import os
def f():
    for number in (VICTIM, os.getppid(), 1):
        try:
            os.kill(number, 9)
        except OSError as error:
            print(error)";
    check(&quietly.replace("VICTIM", "2"), "f()", Expected::Pass);
    // Unprotected, this would kill the test, so it is run in the sandbox only.
    for target in ["os.getppid()", "1", "-1", "0"] {
        let attack = format!("import os\ndef f():\n    os.kill({target}, 9)");
        check(&attack, "f()", REFUSED);
    }
    check("import os\ndef f():\n    os.killpg(os.getpgid(0), 9)", "f()", REFUSED);
}

/// Denied calls, by number and arguments: what they would do matters less than that they are not available.
fn refused_calls() -> Vec<(&'static str, libc::c_long, Vec<i64>)> {
    let one = |name, number, arguments: &[i64]| (name, number, arguments.to_vec());
    vec![
        one("ptrace(PTRACE_ATTACH, 1)", libc::SYS_ptrace, &[16, 1, 0, 0]),
        one("ptrace(PTRACE_TRACEME)", libc::SYS_ptrace, &[0, 0, 0, 0]),
        one("process_vm_readv", libc::SYS_process_vm_readv, &[1, 0, 0, 0, 0, 0]),
        one("process_vm_writev", libc::SYS_process_vm_writev, &[1, 0, 0, 0, 0, 0]),
        one("pidfd_open", libc::SYS_pidfd_open, &[1, 0]),
        one("pidfd_getfd", libc::SYS_pidfd_getfd, &[0, 0, 0]),
        one("pidfd_send_signal", libc::SYS_pidfd_send_signal, &[0, 0, 0, 0]),
        one("kill", libc::SYS_kill, &[1, 0]),
        one("tkill", libc::SYS_tkill, &[1, 0]),
        one("rt_sigqueueinfo", libc::SYS_rt_sigqueueinfo, &[1, 0, 0]),
        one("prlimit64 of another", libc::SYS_prlimit64, &[1, 7, 0, 0]),
        one("fcntl(F_SETOWN)", libc::SYS_fcntl, &[0, libc::F_SETOWN.into(), 1]),
        one("fcntl(F_SETSIG)", libc::SYS_fcntl, &[0, 10, 9]),
        one(
            "unshare(CLONE_NEWUSER)",
            libc::SYS_unshare,
            &[libc::CLONE_NEWUSER.into()],
        ),
        one("unshare(CLONE_NEWNS)", libc::SYS_unshare, &[libc::CLONE_NEWNS.into()]),
        one(
            "clone(CLONE_NEWUSER)",
            libc::SYS_clone,
            &[i64::from(libc::CLONE_NEWUSER | libc::SIGCHLD), 0, 0, 0, 0],
        ),
        one("setns", libc::SYS_setns, &[0, 0]),
        one("mount", libc::SYS_mount, &[0, 0, 0, 0, 0]),
        one("umount2", libc::SYS_umount2, &[0, 0]),
        one("pivot_root", libc::SYS_pivot_root, &[0, 0]),
        one("chroot", libc::SYS_chroot, &[0]),
        one("open_tree", libc::SYS_open_tree, &[0, 0, 0]),
        one("fsopen", libc::SYS_fsopen, &[0, 0]),
        one("name_to_handle_at", libc::SYS_name_to_handle_at, &[0, 0, 0, 0, 0]),
        one("open_by_handle_at", libc::SYS_open_by_handle_at, &[0, 0, 0]),
        one("openat2", libc::SYS_openat2, &[0, 0, 0, 0]),
        one("mknodat", libc::SYS_mknodat, &[0, 0, 0, 0]),
        one("bpf", libc::SYS_bpf, &[0, 0, 0]),
        one("perf_event_open", libc::SYS_perf_event_open, &[0, 0, 0, 0, 0]),
        one("io_uring_setup", libc::SYS_io_uring_setup, &[1, 0]),
        one("userfaultfd", libc::SYS_userfaultfd, &[0]),
        one("keyctl", libc::SYS_keyctl, &[0, 0, 0, 0, 0]),
        one("add_key", libc::SYS_add_key, &[0, 0, 0, 0, 0]),
        one("memfd_create", libc::SYS_memfd_create, &[0, 0]),
        one("socket(AF_INET)", libc::SYS_socket, &[2, 1, 0]),
        one("socket(AF_UNIX)", libc::SYS_socket, &[1, 1, 0]),
        one("socket(AF_NETLINK)", libc::SYS_socket, &[16, 3, 0]),
        one("connect", libc::SYS_connect, &[0, 0, 0]),
        one("sendmsg", libc::SYS_sendmsg, &[0, 0, 0]),
        one("recvmsg", libc::SYS_recvmsg, &[0, 0, 0]),
        one("sendto with an address", libc::SYS_sendto, &[0, 0, 0, 0, 1, 16]),
        one("shmget", libc::SYS_shmget, &[1, 1, 0]),
        one("msgget", libc::SYS_msgget, &[1, 0]),
        one("setuid", libc::SYS_setuid, &[0]),
        one("setresuid", libc::SYS_setresuid, &[0, 0, 0]),
        one("capset", libc::SYS_capset, &[0, 0]),
        one("seccomp", libc::SYS_seccomp, &[0, 0, 0]),
        one("personality", libc::SYS_personality, &[0]),
        one("prctl(PR_SET_PDEATHSIG)", libc::SYS_prctl, &[1, 0, 0, 0, 0]),
        one("prctl(PR_SET_DUMPABLE)", libc::SYS_prctl, &[4, 1, 0, 0, 0]),
        one("ioctl(TIOCSTI)", libc::SYS_ioctl, &[0, 0x5412, 0]),
        one("sethostname", libc::SYS_sethostname, &[0, 0]),
    ]
}

#[test]
fn calls_that_lead_out_do_not_exist() {
    let Some(sandbox) = sandbox() else { return };
    let solution = "import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def f(number, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(argument) for argument in arguments])
    return result, ctypes.get_errno()";
    let calls = refused_calls();
    let mut listed: Vec<String> = calls
        .iter()
        .map(|(name, number, arguments)| format!("({name:?}, {number}, {arguments:?}, {})", libc::EPERM))
        .collect();
    // A filter cannot see its flags, and programs fall back to `clone` if it does not exist.
    listed.push(format!("('clone3', {}, [0, 0], {})", libc::SYS_clone3, libc::ENOSYS));
    let tests = format!(
        "wrong = []\nfor name, number, arguments, error in [{}]:
    answer = f(number, *arguments)
    if answer != (-1, error):
        wrong.append((name, answer))
assert f({}) > (0, 0), 'an allowed call'
assert not wrong, wrong",
        listed.join(", "),
        libc::SYS_getpid
    );
    let verdict = run(sandbox, solution, &tests, &limits(Expected::Pass)).unwrap();
    let said = verdict.outcome.to_string();
    if said.contains("ImportError") || said.contains("ModuleNotFoundError") {
        eprintln!("skipped: this Python has no ctypes: {said}");
        return;
    }
    assert!(verdict.outcome.is_pass(), "{said}");
}

#[test]
fn programs_of_the_machine_cannot_be_run() {
    let shell = "import subprocess
def f():
    print(subprocess.run(['/bin/sh', '-c', 'cat ' + FOLDER + '/secret'], capture_output=True).stdout.decode())";
    check_contained(shell, "secret read", NO_FILE);
    // An executable created by the program, in the scratch folder, from a readable file.
    let own = "import os, subprocess, sys
def f():
    open('own', 'wb').write(open(sys.executable, 'rb').read(1 << 20))
    os.chmod('own', 0o755)
    subprocess.run(['./own', '-c', 'pass'])";
    check(own, "f()", REFUSED);
}

#[test]
fn what_is_inside_says_nothing_of_what_is_outside() {
    for (inside, wanted) in [
        (
            "[name for name in ('/proc', '/sys', '/tmp', '/old', '/etc/passwd', '/dev/shm') if os.path.exists(name)]",
            "f() == []",
        ),
        (
            "list(os.environ)",
            "not set(f()) & {'PATH', 'USER', 'HOSTNAME', 'CARGO_MANIFEST_DIR'}",
        ),
        ("os.uname().nodename", "f() == 'sandbox'"),
        ("os.listdir('.')", "f() == []"),
        ("os.getpid()", "f() < 10"),
        ("os.getuid()", "f() == 0"),
    ] {
        let solution = format!("import os\ndef f():\n    return {inside}");
        check(&solution, &format!("assert {wanted}, f()"), Expected::Pass);
    }
}

/// What a careless host program may have open without close-on-exec, one handle of every kind.
struct Inherited {
    folder: tempfile::TempDir,
    lock: File,
    _kept: Vec<OwnedFd>,
    inodes: Vec<(u64, u64)>,
}

impl Inherited {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| File::create_new(folder.path().join(name)).unwrap();
        let (lock, open) = (file("lock"), file("open"));
        lock.lock().unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        let (here, there) = UnixStream::pair().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let copy = lock.as_fd().try_clone_to_owned().unwrap();
        let kept: Vec<OwnedFd> = vec![
            copy,
            open.into(),
            File::open(folder.path()).unwrap().into(),
            reader.into(),
            writer.into(),
            here.into(),
            there.into(),
            listener.into(),
            client.into(),
        ];
        let mut inodes = Vec::new();
        for handle in &kept {
            fcntl(handle, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
            let about = nix::sys::stat::fstat(handle).unwrap();
            inodes.push((about.st_dev, about.st_ino));
        }
        Self {
            folder,
            lock,
            _kept: kept,
            inodes,
        }
    }
}

#[test]
fn handles_of_the_host_program_are_closed() {
    let Some(sandbox) = sandbox() else { return };
    let outside = Inherited::new();
    // The tests' interpreter must not have them either.
    let seen = "import os
def seen(wanted):
    found = []
    for handle in range(1024):
        try:
            about = os.fstat(handle)
        except OSError:
            continue
        if (about.st_dev, about.st_ino) in wanted:
            found.append(handle)
    return found
";
    let solution = format!("{seen}def f(wanted):\n    return seen(wanted)");
    let wanted = &outside.inodes;
    let tests =
        format!("{seen}\nassert f({wanted:?}) == [], f({wanted:?})\nassert seen({wanted:?}) == [], 'the tests'");
    let verdict = run(sandbox, &solution, &tests, &limits(Expected::Pass)).unwrap();
    assert_eq!(verdict.outcome, adept_sandbox::Outcome::Pass);
    assert_eq!(wanted.len(), 9);
}

#[test]
fn what_a_program_does_to_any_handle_changes_nothing_outside() {
    let Some(sandbox) = sandbox() else { return };
    let outside = Inherited::new();
    let everything = "import fcntl, os
def f():
    for handle in range(3, 1024):
        for attack in (
            lambda: fcntl.flock(handle, fcntl.LOCK_UN),
            lambda: os.utime(handle, (1, 1)),
            lambda: os.fchmod(handle, 0),
            lambda: os.mkdir('new', dir_fd=handle),
            lambda: os.ftruncate(handle, 7),
        ):
            try: attack()
            except OSError: pass";
    let verdict = run(sandbox, everything, "f()", &limits(Expected::Pass)).unwrap();
    assert_eq!(verdict.outcome, adept_sandbox::Outcome::Pass);
    let file = outside.folder.path().join("lock");
    assert!(File::open(&file).unwrap().try_lock().is_err(), "the lock was given up");
    let about = outside.lock.metadata().unwrap();
    assert!(
        about.len() == 0 && about.mode() & 0o777 != 0 && about.mtime() != 1,
        "{about:?}"
    );
    assert!(!outside.folder.path().join("new").exists());
}

/// A program may pass its own handles to processes that it starts.
#[test]
fn handles_of_the_program_are_inherited_as_it_says() {
    let hand_over = "import os, subprocess, sys
def f():
    reader, writer = os.pipe()
    text = f'import os; os.write({writer}, b\"ok\")'
    subprocess.run([sys.executable, '-S', '-c', text], pass_fds=[writer], check=True)
    os.set_inheritable(reader, True)
    return os.read(reader, 2), os.get_inheritable(reader)";
    check(hand_over, "assert f() == (b'ok', True)", Expected::Pass);
}

/// Path of the interpreter's own `os.py`.
fn library_file() -> PathBuf {
    let output = std::process::Command::new("python3")
        .args([
            "-I",
            "-S",
            "-c",
            "import os; print(os.path.realpath(os.__file__), end='')",
        ])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().into()
}

/// A lock on a library file would block all other programs on the machine, and be a channel between two runs.
#[test]
fn locks_on_the_library_keep_nobody_out() {
    let Some(sandbox) = sandbox() else { return };
    let library = File::open(library_file()).unwrap();
    for lock in [
        "fcntl.flock(handle, fcntl.LOCK_EX)",
        "fcntl.lockf(handle, fcntl.LOCK_SH)",
    ] {
        let solution = format!(
            "import fcntl, os, time
def f():
    handle = os.open(os.__file__, os.O_RDONLY)
    {lock}
    print('locked', flush=True)
    time.sleep(1)"
        );
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let watcher = scope.spawn(|| {
                let mut refused = 0;
                while !is_over.load(Ordering::Relaxed) {
                    match library.try_lock() {
                        Ok(()) => library.unlock().unwrap(),
                        Err(_) => refused += 1,
                    }
                    let mut question = libc::flock {
                        l_type: libc::F_WRLCK as i16,
                        l_whence: 0,
                        l_start: 0,
                        l_len: 0,
                        l_pid: 0,
                    };
                    fcntl(&library, FcntlArg::F_GETLK(&mut question)).unwrap();
                    refused += usize::from(question.l_type != libc::F_UNLCK as i16);
                    std::thread::sleep(Duration::from_millis(5));
                }
                refused
            });
            let verdict = run(sandbox, &solution, "f()", &limits(Expected::Pass)).unwrap();
            is_over.store(true, Ordering::Relaxed);
            assert_eq!(verdict.outcome, adept_sandbox::Outcome::Pass, "{}", verdict.output);
            assert_eq!(watcher.join().unwrap(), 0, "{lock}");
        });
    }
    // Programs that lock their own files work as usual.
    let database = "import sqlite3
def f():
    with sqlite3.connect('own.db') as base:
        base.execute('create table numbers (one int)')
        base.execute('insert into numbers values (3)')
    return sqlite3.connect('own.db').execute('select one from numbers').fetchall()";
    crate::common::check_any(
        database,
        "assert f() == [(3,)]",
        &[Expected::Pass, Expected::Fail("ModuleNotFoundError")],
    );
}

/// Its pages persist when all but one byte is unmapped, so the address space limit would not bound it.
#[test]
fn there_is_no_shared_memory_without_a_file() {
    let map = |arguments: &str| format!("import mmap\ndef f():\n    mmap.mmap({arguments})[0] = 1");
    check(&map("-1, 4096"), "f()", REFUSED);
    check(&map("-1, 4096, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS"), "f()", REFUSED);
    check(
        &map("-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS"),
        "f()",
        Expected::Pass,
    );
    let file = "import mmap
def f():
    with open('file', 'w+b') as file:
        file.write(bytes(4096))
        file.flush()
        mmap.mmap(file.fileno(), 4096)[0] = 7
        file.seek(0)
        return file.read(1)";
    check(file, "assert f() == b'\\x07'", Expected::Pass);
}
