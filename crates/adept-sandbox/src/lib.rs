//! Runs model-written Python against tests in a sandbox.
//!
//! In MBPP a completion is correct if prompt, completion and tests run without an exception. The completion is
//! untrusted in two ways: it must not touch the machine, and it must not be able to fake a pass. A [`Sandbox`] runs
//! each [`Program`] in **two interpreters, each in its own sandbox**:
//!
//! ```text
//!                 solution, tests, names                 solution, calls with arguments
//! this process ───────────────────────────▶ judge ───────────────────────────────────────▶ player
//!      ▲  ▲       verdict                     │  ◀──────── values, as plain data ─────────   │ │
//!      │  └───────────────────────────────────┘                                              │ │
//!      └───────────────── what it prints (capped) ───────────────────────────────────────────┘ │
//!      └───────────────── how it ended, from the process that started it  ◀────────────────────┘
//! ```
//!
//! # Faking a pass
//! The player defines the solution and never sees the tests. The judge runs the tests; the solution's names are bound
//! to proxies that send arguments and receive values. Only the judge writes a verdict, on a socket that only it has, so
//! there is no secret for a program to find and use: **a pass means that every assertion of the tests held in an
//! interpreter in which no line of the solution ever ran.**
//!
//! | trick of a solution | why it does not help |
//! |---|---|
//! | printing a verdict, writing to every handle | the player's handles lead to its output, which is never read for a verdict, and to the judge, which reads answers there; anything that is not an answer is a failure |
//! | `sys.exit(0)`, `os._exit(0)`, `SystemExit`, `atexit` | an ended player is never a pass. Once a player has ended, or sent garbage, the verdict is decided: tests that catch everything (`except:`) cannot undo it |
//! | redefining `check`, patching `builtins`, `sys.modules`, `unittest`, frames, `gc`, `ctypes` | that changes the player; the tests run in the judge, and take from the solution only the names in [`Program::names`] |
//! | answering with `exec`, `eval`, `vars`, a class, a function | anything other than data is a proxy in the judge: calling it sends a request to the player. The only names resolved in the judge are classes that just hold data (`int`, `list`, `collections.deque`) and exceptions |
//! | values that are equal to everything, subclasses of `int` or `list` with their own `==` | see below: such a class does not get to decide about data |
//! | pretending not to be Python | the text is compiled before any of it runs, and a syntax error is accepted only at that point |
//! | looking for the expected result in arguments, environment, files, frames | it is not there: the player is sent nothing but the arguments of calls |
//! | attacking the judge | separate process namespaces, and a socket on which the judge reads length-prefixed data that it never evaluates. While it answers, the player may request only two things: to call a function, or to advance an iterator, that the tests have passed to it |
//!
//! # Equality and other decisions
//! Data is transferred as data, and the judge compares it. For an object of one of the solution's own classes, a single
//! interpreter would leave the decision to that class. Here:
//!
//! - *Two objects of the solution's classes* are compared by their class, in the player. Both were created there, so
//!   nothing known only to the tests is revealed; but the result is the solution's claim, as are its attributes,
//!   methods, truth value, length and iteration. Tests whose expected values are created by the solution's own classes
//!   trust those classes, here as in a single interpreter.
//! - *An object of the solution's class and data*: `==`, `<`, `in`, `+`, `-` and the like would reveal the expected
//!   value to the class and let it decide (`abs(f(3) - 3.14) < 1e-9` with a `-` that always returns 0). The class is
//!   not asked. If it has no such method, the judge does what Python does in that case. If it has one, it is asked
//!   about a value unrelated to the tests: a class that claims to equal or contain that as well, or to be both less and
//!   greater than it, is treated as an object of an unrelated type, so that the assertion fails; for any other class
//!   there is no verdict ([`SandboxError::Unsupported`]). The `==` of a data class is known to apply only to its own
//!   kind.
//! - *Data in a subclass of the solution's* (`class N(int)`, a named tuple, an `IntEnum`) is data: the judge has the
//!   number or the items themselves, and requests only the attributes and methods that the class adds. An overridden
//!   `==` is treated as above.
//! - `isinstance` follows the player's claim, and gives an object none of the type's behaviour.
//!
//! A solution can still answer calls with any data it likes, for instance with answers that it has memorised or read in
//! its prompt.
//!
//! # What is transferred
//! Only one side runs at a time, and each message begins with the changes since the previous one:
//!
//! - *Data* with its exact types: numbers, texts, `list`, `tuple`, `dict`, `set`, `range`, dict views, and from the
//!   library `collections`, `array`, `decimal`, `fractions`, `datetime` (with time zones), `uuid`, paths. A list, dict
//!   or set held by both sides remains one object: in-place changes by either side are visible to the other, and `is`
//!   holds. A set keeps its iteration order.
//! - *Functions and iterators of the tests* are called and advanced in the judge, at the solution's request.
//! - *Classes, objects, functions, generators, coroutines of the solution* are proxies with the class's name, bases and
//!   special methods, so that `isinstance`, `with`, `for`, `await`, `sorted`, attributes and `except` work.
//! - *Exceptions* keep their class, its bases, arguments, attributes, message and cause.
//! - *Printed text*, if the tests have replaced `sys.stdout` with a text buffer; the state of `random`, if they seed
//!   it.
//!
//! # What is not transferred
//! There is no verdict, but a reason, if the tests: pass an object or class of their own, or one that is not reachable
//! by name (an open file, `functools.cmp_to_key`); derive a class from one of the solution's; compare an object of the
//! solution's class with data that would have to be revealed to the class; inspect the signature of a function or the
//! fields of a data class; copy data in a subclass of the solution's; replace `input`, `print`, `open` or `sys.stdin`;
//! catch a `StopIteration` raised by a call; fail after using a file (the program has files of its own). Nor is there
//! one if the program starts more threads than [`Limits::processes`], or if the order of a set cannot be reproduced.
//! Values nested deeper than 400 levels and messages over 128 MiB are a failure of the solution.
//!
//! Undetected differences: `is` between equal immutable values other than an argument of the call itself; the traceback
//! and `__context__` of an exception; a module changed by the tests (`mock.patch` of anything but the names above);
//! library classes not listed above, which are equal to nothing in the judge and are not bases of the solution's
//! classes according to `issubclass`; concurrent coroutines and threads of the tests, which the player serves one after
//! another; what the solution does in threads of its own between requests; the environment, time zone and decimal
//! context of the other side.
//!
//! # Touching the machine
//! Each interpreter is confined by these [`Layer`]s, applied in this order by a helper, which is this very program
//! ([`child_main`]); what one layer lets through, the next ones stop. Before applying any, the helper closes all
//! inherited handles except its own three: files, folders, connections, locks and pipes that the host program has open.
//!
//! | layer | effect |
//! |---|---|
//! | user | the processes inside have no identity outside; root's run as another user |
//! | pid | nothing outside can be seen or signalled; when the first process inside ends, the kernel ends all others |
//! | mount | the tree consists of the interpreter, its library and the system's shared libraries, read-only; `/dev/null`; an in-memory scratch folder of limited size, discarded after the run. No `/proc`, `/sys`, `/home`, `/tmp` of the host |
//! | net | no interface, loopback included |
//! | ipc, uts, cgroup | no shared memory or queues, host name or control groups of the host |
//! | capabilities, no-new-privileges | no power over the namespaces themselves, and no way to gain any |
//! | rlimits | per process: address space, processor time, file size, open files, processes, core dumps |
//! | landlock | the same restriction of files again, no `execve` except of the interpreter and the system's loader, no TCP, no signals to the outside |
//! | seccomp | an allow-list of system calls; no sockets, tracing, mounts, namespaces, keys, io_uring, no signals to others, no shared memory without a file; file locks are faked |
//! | memory | by the parent: total memory of a sandbox's processes, see below |
//! | wall clock | by the parent: both process namespaces are ended, and the run returns when the kernel reports that they are empty |
//! | output | by the parent: anything beyond the cap is read and discarded |
//!
//! [`Sandbox::new`] determines which layers hold by applying all of them, and returns an error if one is missing
//! ([`SandboxError::Missing`], with a remedy for each); [`Settings::allow_missing`] runs with those that hold, listed
//! by [`Sandbox::layers`]. If a layer of an existing sandbox fails later, that run ends with an error. The sandbox
//! works for root and ordinary users alike; it needs no program installed with special privileges.
//!
//! # Memory
//! [`Limits::memory`] bounds both the address space of each process (rlimits) and the total memory of all of them. A
//! single process cannot hold more than its address space: shared memory without a file would be the exception, and is
//! denied. The total is bounded in one of two ways:
//!
//! - **A control group** (version 2, or `memory` of version 1), in [`Settings::group`] or in a group delegated by
//!   systemd. The kernel ends the run at the limit, plus the size of the scratch folder, plus 32 MiB for the helper's
//!   stages. It counts everything: pages, page tables, pipes, the scratch folder, cached files (which it reclaims
//!   first).
//! - **A watchdog**, everywhere. The parent sums what the processes of a sandbox hold: private pages, with those shared
//!   by forked processes counted once, and swapped-out pages. It samples every 20 ms; two or three samples in a row
//!   above the limit end the run. Until then the limit can be exceeded, by as much as the processes can fill in that
//!   time, but at most up to each one's own limit. Not counted: the scratch folder (limited by [`Limits::scratch`]),
//!   pipes and socket pairs (limited by their number, some 200 KiB each), page tables. If the kernel does not tell the
//!   watchdog what is shared, shared pages count for each process.
//!
//! Either way the outcome is [`Outcome::Memory`]. The limit applies to each of the two interpreters separately. If the
//! machine itself runs out of memory, the kernel kills a sandbox's processes first.
//!
//! # Limitations
//! Not covered are bugs of the kernel itself; how much processor time a run takes within its wall clock limit; and
//! secrets in files below the interpreter's library or `/usr/lib`, which are readable. Native code can run, in the
//! interpreter (`ctypes`) and through the system's loader, which starts any program it can read, namely those below
//! `/usr/lib`. These are under the same layers and gain nothing. A file lock is granted to everyone who requests it, so
//! that two processes of one program cannot use it to exclude each other. Without a process namespace, programs cannot
//! start other processes at all. Without a separate file tree, only Landlock protects files (their names and sizes are
//! visible), no folders can be created, no file's mode or times can be changed, and only the size of each file is
//! limited; for root, the number of processes is then not limited either, because the kernel does not count root's.
//!
//! A failure of the sandbox itself is an [`Err`], never an [`Outcome`].

mod error;
mod layers;
mod program;
mod remedy;
mod settings;

#[cfg(target_os = "linux")]
mod family;
#[cfg(target_os = "linux")]
mod finish;
#[cfg(target_os = "linux")]
mod group;
#[cfg(target_os = "linux")]
mod interpreter;
#[cfg(target_os = "linux")]
mod plan;
#[cfg(target_os = "linux")]
mod python;
#[cfg(target_os = "linux")]
mod run;
#[cfg(target_os = "linux")]
mod sandbox;
#[cfg(target_os = "linux")]
mod spawn;
#[cfg(target_os = "linux")]
mod stage;
#[cfg(target_os = "linux")]
mod text;
#[cfg(target_os = "linux")]
mod watchdog;

#[cfg(not(target_os = "linux"))]
#[path = "elsewhere.rs"]
mod sandbox;

mod parallel;

pub use error::SandboxError;
pub use layers::{Layer, Layers, Trial};
pub use parallel::run_all;
pub use program::{Limits, Outcome, Program, Verdict};
pub use sandbox::Sandbox;
pub use settings::Settings;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether this program calls [`child_main`], so that it can serve as its own helper.
static HOOKED: AtomicBool = AtomicBool::new(false);

/// Lets a program serve as its own sandbox's helper. Must be called first in `main`, before any thread is started:
///
/// ```
/// fn main() -> std::process::ExitCode {
///     if let Some(code) = adept_sandbox::child_main() {
///         return code;
///     }
///     // The program itself.
///     std::process::ExitCode::SUCCESS
/// }
/// ```
///
/// `None` if this process was not started as a helper.
#[must_use = "a helper has to end with this code"]
pub fn child_main() -> Option<ExitCode> {
    HOOKED.store(true, Ordering::Relaxed);
    #[cfg(target_os = "linux")]
    return stage::run(std::env::args_os());
    #[cfg(not(target_os = "linux"))]
    return None;
}

/// Compiles and runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
