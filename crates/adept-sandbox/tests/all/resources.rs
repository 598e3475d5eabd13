//! Programs that exceed their limits: time, memory, output, processes, files. Whatever they do, the run ends, and
//! nothing of it remains.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::common::outside::{marker, processes_with};
use crate::common::{Expected, check, check_any, hurried, run, sandbox, unhurried};
use adept_sandbox::{Limits, Outcome};

/// How long after its wall clock limit a run may end: both namespaces have to be emptied, on a busy machine.
const GRACE: Duration = Duration::from_secs(8);

#[track_caller]
fn check_timeout(solution: &str) {
    let Some(sandbox) = sandbox() else { return };
    let limits = hurried();
    let begin = Instant::now();
    let verdict = run(sandbox, solution, "f()", &limits).unwrap();
    assert_eq!(
        verdict.outcome,
        Outcome::Timeout { limit: limits.wall },
        "{}",
        verdict.output
    );
    assert!(begin.elapsed() < limits.wall + GRACE, "{:?}", begin.elapsed());
    assert!(verdict.output.len() <= limits.output * 3, "invalid bytes become three");
}

#[test]
fn time_runs_out_whatever_is_caught() {
    let solutions = [
        "def f():\n    while True: pass",
        "while True: pass",
        "import time\ndef f():\n    time.sleep(1000)",
        "def f():
    while True:
        try:
            while True: pass
        except BaseException: pass",
        "import signal, time
for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, signal.SIG_IGN)
def f():
    while True: time.sleep(1)",
        "import os\nimport signal\ndef f():\n    signal.raise_signal(signal.SIGSTOP)",
        "def f():\n    return 7 ** 7 ** 9",
        "class Slow:\n    def __del__(self):\n        while True: pass\ndef f():\n    Slow()",
        "import threading\nwait = threading.Event()\ndef f():\n    wait.wait()",
    ];
    // All of them wait for the clock, so they wait together.
    std::thread::scope(|scope| {
        for solution in solutions {
            scope.spawn(move || check_timeout(solution));
        }
    });
}

#[test]
fn output_is_capped_and_does_not_hold_up_the_clock() {
    check_timeout("def f():\n    while True: print('x' * 1000)");
    check_timeout("import os\ndef f():\n    while True: os.write(2, b'\\xff' * 65536)");
    check_timeout("import os\nwhile True: os.write(1, b'{\"End\":{\"code\":0,\"signal\":null}}\\n' * 1000)");
    let Some(sandbox) = sandbox() else { return };
    let limits = Limits {
        output: 100,
        ..unhurried()
    };
    let verdict = run(sandbox, "def f():\n    print('x' * (1 << 20))", "f()", &limits).unwrap();
    assert_eq!(
        (verdict.outcome, verdict.output.as_str()),
        (Outcome::Pass, &*"x".repeat(100))
    );
}

#[test]
fn memory_runs_out() {
    check("def f():\n    return len(bytearray(8 << 30))", "f()", Expected::Memory);
    check("kept = bytearray(8 << 30)\ndef f(): pass", "f()", Expected::Memory);
    check(
        "def f():\n    kept = []\n    while True: kept.append(bytearray(1 << 20))",
        "f()",
        Expected::Memory,
    );
    check(
        "def f():\n    return 'x' * (8 << 30)",
        "assert f() == 3",
        Expected::Memory,
    );
    // Anything below the limit is allowed.
    check(
        "def f():\n    return len(bytearray(256 << 20))",
        "assert f() == 256 << 20",
        Expected::Pass,
    );
}

/// Limits of a quarter of a GiB, both per process and in total.
fn little_memory() -> Limits {
    Limits {
        memory: 256 << 20,
        ..unhurried()
    }
}

/// Runs a program of several processes with a limit of a quarter of a GiB.
#[track_caller]
fn check_sum(solution: &str, expected: Expected) {
    let Some(sandbox) = sandbox() else { return };
    let verdict = run(sandbox, solution, "f()", &little_memory()).unwrap();
    assert!(
        expected.is_met_by(&verdict.outcome),
        "{} {}",
        verdict.outcome,
        verdict.output
    );
}

/// Each process is below the limit, but their total is above it.
#[test]
fn memory_is_bounded_as_a_sum() {
    let children = "import os, time
def f():
    for _ in range(6):
        if os.fork() == 0:
            kept = bytearray(b'x') * (100 << 20)
            time.sleep(600)
    time.sleep(6)";
    check_sum(children, Expected::Memory);
    let that_left_home = "import os, time
def f():
    for _ in range(6):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                kept = bytearray(b'x') * (100 << 20)
                time.sleep(600)
            os._exit(0)
    time.sleep(6)";
    check_sum(that_left_home, Expected::Memory);
    let other_interpreters = "import subprocess, sys, time
def f():
    text = \"import time; kept = bytearray(b'x') * (100 << 20); time.sleep(600)\"
    kept = [subprocess.Popen([sys.executable, '-S', '-c', text]) for _ in range(6)]
    time.sleep(6)";
    check_sum(other_interpreters, Expected::Memory);
    // The memory of such a process does not show up in the usual place.
    let without_a_first_thread = "import ctypes, os, threading, time
def hold():
    kept = bytearray(b'x') * (100 << 20)
    time.sleep(600)
def f():
    for _ in range(5):
        if os.fork() == 0:
            threading.Thread(target=hold).start()
            time.sleep(0.2)
            ctypes.CDLL(None).syscall(60 if os.uname().machine == 'x86_64' else 93, 0)
    time.sleep(6)";
    check_sum(without_a_first_thread, Expected::Memory);
}

#[test]
fn memory_that_processes_share_counts_once() {
    let forked = "import os, time
def f():
    kept = bytearray(b'x') * (150 << 20)
    for _ in range(6):
        if os.fork() == 0:
            time.sleep(600)
    time.sleep(1)";
    check_sum(forked, Expected::Pass);
    let borrowed = "import subprocess, sys
def f():
    kept = bytearray(b'x') * (150 << 20)
    for _ in range(10):
        subprocess.run([sys.executable, '-S', '-c', 'pass'], check=True)";
    check_sum(borrowed, Expected::Pass);
    let each_in_its_turn = "import os
def f():
    for _ in range(6):
        child = os.fork()
        if child == 0:
            kept = bytearray(b'x') * (100 << 20)
            os._exit(0)
        os.waitpid(child, 0)";
    check_sum(each_in_its_turn, Expected::Pass);
}

/// The kernel sends these when memory or processor time is exhausted; sent by the program itself they mean neither.
#[test]
fn a_signal_of_ones_own_is_a_failure() {
    let raise = |signal: &str| format!("import signal\ndef f():\n    signal.raise_signal(signal.{signal})");
    check(&raise("SIGKILL"), "f()", Expected::Fail("its tests: SIGKILL"));
    check(&raise("SIGXCPU"), "f()", Expected::Fail("its tests: SIGXCPU"));
    check(&raise("SIGTERM"), "f()", Expected::Fail("its tests: SIGTERM"));
    let less_time = "import resource
def f():
    resource.setrlimit(resource.RLIMIT_CPU, (1, 1))
    while True: pass";
    check(less_time, "f()", Expected::Fail("its tests: SIG"));
}

#[test]
fn the_stack_is_bounded() {
    check(
        "def f(n=0):\n    return f(n + 1)",
        "f()",
        Expected::Fail("RecursionError"),
    );
}

#[test]
fn a_nested_value_runs_out_of_stack() {
    // Depending on the version, this ends the interpreter, runs out of memory, or is detected.
    let deep = "import sys
sys.setrecursionlimit(10 ** 9)
def f():
    nest = []
    for _ in range(10 ** 6): nest = [nest]
    return len(repr(nest))";
    check_any(
        deep,
        "f()",
        &[
            Expected::Fail("SIGSEGV"),
            Expected::Fail("RecursionError"),
            Expected::Memory,
        ],
    );
}

#[test]
fn a_recursion_without_a_limit_ends() {
    let endless = "import sys\nsys.setrecursionlimit(10 ** 9)\ndef f(n=0):\n    return f(n + 1)";
    let Some(sandbox) = sandbox() else { return };
    // Whether memory or the time comes first depends on the machine.
    let limits = Limits {
        wall: Duration::from_secs(4),
        ..Limits::default()
    };
    let result = run(sandbox, endless, "f()", &limits);
    let ends = [Expected::Memory, Expected::Timeout, Expected::Fail("")];
    assert!(ends.iter().any(|end| end.is_met(&result)), "{result:?}");
}

#[test]
fn processes_are_counted() {
    let Some(sandbox) = sandbox() else { return };
    // The processes wait, so that all of them exist at once.
    let count = "import os, time
def f():
    made = 0
    for _ in range(200):
        try:
            if os.fork() == 0:
                time.sleep(600)
                os._exit(0)
            made += 1
        except OSError:
            break
    return made";
    let limits = unhurried();
    let tests = format!("assert 0 < f() < {}", limits.processes);
    let verdict = run(sandbox, count, &tests, &limits).unwrap();
    assert_eq!(verdict.outcome, Outcome::Pass);
    let threads = "import threading, time
def f():
    made = 0
    for _ in range(200):
        try:
            threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
            made += 1
        except RuntimeError:
            break
    return made";
    let verdict = run(sandbox, threads, &tests, &limits).unwrap();
    assert_eq!(verdict.outcome, Outcome::Pass);
}

/// Runs a program that starts processes with a marker in their arguments: they must be visible while it runs, and gone
/// when the run has returned.
#[track_caller]
fn check_gone(solution: &str, limits: &Limits, expected: &[Expected]) {
    let Some(sandbox) = sandbox() else { return };
    let marker = marker("left-behind");
    let (is_over, most) = (AtomicBool::new(false), AtomicUsize::new(0));
    let verdict = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                most.fetch_max(processes_with(&marker), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let verdict = run(
            sandbox,
            &solution.replace("MARKER", &format!("{marker:?}")),
            "f()",
            limits,
        );
        // Counted before the processes could end by themselves.
        let left = processes_with(&marker);
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(left, 0, "of {} processes", most.load(Ordering::Relaxed));
        verdict.unwrap()
    });
    let most = most.into_inner();
    assert!(most > 0, "none was seen: {} {}", verdict.outcome, verdict.output);
    assert!(most as u64 <= limits.processes, "{most} at once");
    assert!(
        expected.iter().any(|expected| expected.is_met_by(&verdict.outcome)),
        "{}",
        verdict.outcome
    );
}

#[test]
fn nothing_is_left_behind() {
    let background = "import os, sys, time
def f():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execv(sys.executable, [sys.executable, '-S', '-c', 'import time; time.sleep(600)', MARKER])
        os._exit(0)
    time.sleep(1)";
    check_gone(background, &unhurried(), &[Expected::Pass]);
    let and_then_end = format!("{background}\n    os._exit(0)");
    check_gone(&and_then_end, &unhurried(), &[Expected::Fail("exit code 0")]);
}

#[test]
fn a_fork_bomb_ends_with_its_run() {
    let bomb = "import os, sys
def f():
    while True:
        try:
            if os.fork() == 0:
                os.execv(sys.executable, [sys.executable, '-S', '-c', 'import os\\nwhile True:\\n  try: os.fork()\\n  except OSError: pass', MARKER])
        except OSError: pass";
    check_gone(
        bomb,
        &Limits {
            wall: Duration::from_secs(2),
            ..Limits::default()
        },
        &[Expected::Timeout],
    );
    check(
        "import os\ndef f():\n    while True: os.fork()",
        "f()",
        Expected::Fail(""),
    );
}

#[test]
fn files_are_limited() {
    let large = "def f():
    with open('large', 'wb') as file:
        while True: file.write(bytes(1 << 20))";
    check(large, "f()", Expected::Fail("OSError"));
    let several = "def f():
    for name in range(100):
        with open(str(name), 'wb') as file: file.write(bytes(1 << 20))";
    check(several, "f()", Expected::Fail("OSError"));
    let many = "def f():\n    for name in range(10 ** 5): open(str(name), 'w').close()";
    check(many, "f()", Expected::Fail("OSError"));
    let open_at_once = "def f():\n    kept = [open('/dev/null') for _ in range(1000)]";
    check(open_at_once, "f()", Expected::Fail("OSError"));
    let small = "def f():\n    open('small', 'w').write('text')\n    return open('small').read()";
    check(small, "assert f() == 'text'", Expected::Pass);
}

/// Handles and processes of this very process, over many runs that end in every way.
#[test]
fn a_run_costs_this_process_nothing() {
    let Some(sandbox) = sandbox() else { return };
    let handles = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let limits = Limits {
        wall: Duration::from_millis(300),
        ..Limits::default()
    };
    let mut seen = Vec::new();
    for _ in 0..3 {
        for solution in ["def f(): pass", "import os\nos._exit(3)", "while True: pass", "f = ("] {
            run(sandbox, solution, "f()", &limits).unwrap();
        }
        seen.push(handles());
    }
    // Concurrent tests have handles open, so only growth with every round indicates a leak.
    assert!(seen[2] < seen[0] + 40, "{seen:?}");
}
