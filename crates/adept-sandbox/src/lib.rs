//! Runs model-written Python against tests, in a box that holds.
//!
//! MBPP counts a completion as right when prompt, completion and tests run without an exception. The completion is
//! untrusted in two ways: it must not touch the machine, and it must not be able to claim that it passed. A
//! [`Sandbox`] runs each [`Program`] in **two interpreters, each in a sandbox of its own**:
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
//! # Claiming to have passed
//! The player defines the solution and never sees the tests. The judge runs the tests; in place of the solution's names
//! it has stand-ins that hand arguments over and take values back. A verdict is written by the judge alone, on a socket
//! that only it has, so there is no secret that a program could find and use: **pass means that every assertion of the
//! tests held in an interpreter in which no line of the solution ever ran.**
//!
//! | trick of a solution | why it does not help |
//! |---|---|
//! | printing a verdict, writing to every handle | the player's handles lead to its output, which nobody reads for a verdict, and to the judge, which reads answers there; bytes that are no answer are a failure |
//! | `sys.exit(0)`, `os._exit(0)`, `SystemExit`, `atexit` | the player's end is never a pass. A player that has ended, or made no sense once, has decided the verdict: tests that catch everything (`except:`) cannot undo it |
//! | redefining `check`, patching `builtins`, `sys.modules`, `unittest`, frames, `gc`, `ctypes` | that changes the player; the tests run in the judge, and take from the solution only the names in [`Program::names`] |
//! | answering with `exec`, `eval`, `vars`, a class, a function | whatever is no data is a stand-in in the judge: a call of it is a question to the player. What has a name of its own there are classes that only make data (`int`, `list`, `collections.deque`) and exceptions |
//! | values that are equal to everything, subclasses of `int` or `list` with their own `==` | see below: the word of such a class is not asked about data |
//! | claiming to be no Python | the text is compiled before any of it runs, and only then is that answer taken |
//! | looking for what is expected in arguments, environment, files, frames | it is not there: arguments of calls are all that the player is sent |
//! | attacking the judge | separate process namespaces, and a socket on which the judge reads length-prefixed data that it never evaluates. The player may ask for two things while it answers: to call a function, and to take the next item of an iterator, that the tests have handed over |
//!
//! # Equality, and what else could decide
//! Data crosses as data, and the judge compares it. For an object of a class of the solution's, the class decides in
//! one interpreter. Here:
//!
//! - *Two objects of the solution's* are compared by their class, in the player. Both were made there, so nothing that
//!   the tests know is told; but it is the solution's word, as its attributes, methods, truth, length and iteration
//!   are. Tests whose right side is made by the solution's own classes trust those classes, here as in one interpreter.
//! - *An object of the solution's and data*: `==`, `<`, `in`, `+`, `-` and the like would tell the class what is
//!   expected and let it decide (`abs(f(3) - 3.14) < 1e-9` with a `-` that is always 0). The class is not asked.
//!   Where it has no such method, the judge does what Python does then. Where it has, it is asked about a value that
//!   the tests do not know: a class that is equal to that too, or contains it, or is less and more than it, is treated
//!   as an object of some other type, so that the assertion fails; for any other there is no verdict
//!   ([`SandboxError::Unsupported`]). `==` of a data class is known to be with its own kind alone.
//! - *Data in a class of the solution's* (`class N(int)`, a named tuple, an `IntEnum`) is data: the judge has the
//!   number or the items themselves, and an attribute or method that the class adds is asked for. An own `==` is
//!   treated as above.
//! - `isinstance` is the claim of the player's side, and gives an object none of a type's behaviour.
//!
//! What a solution can still do: answer calls with any data it likes, for instance with answers that it knows by heart
//! or read in its prompt.
//!
//! # What crosses
//! One side runs at a time, and each message first says what has changed since the last one:
//!
//! - *Data* with its exact types: numbers, texts, `list`, `tuple`, `dict`, `set`, `range`, views of dicts, and of the
//!   library `collections`, `array`, `decimal`, `fractions`, `datetime` (with time zones), `uuid`, paths. A list, dict
//!   or set that both sides hold stays one object: changes in place are seen on the other side, whoever makes them, and
//!   `is` holds. A set keeps the order in which it is iterated.
//! - *Functions and iterators of the tests* are called and read in the judge, when the solution asks.
//! - *Classes, objects, functions, generators, coroutines of the solution* are stand-ins with the class's name, bases
//!   and special methods, so that `isinstance`, `with`, `for`, `await`, `sorted`, attributes and `except` work.
//! - *Exceptions* have their class, its bases, arguments, attributes, message and cause.
//! - *What is printed* where the tests have put a text buffer in place of `sys.stdout`; the state of `random` where
//!   they seed it.
//!
//! # What does not cross
//! There is no verdict, with the reason, where the tests: hand over an object or class of their own, or one that their
//! names do not lead to (an open file, `functools.cmp_to_key`); derive a class from one of the solution's; compare an
//! object of the solution's with data that its class would have to be told; look at the signature of a function or the
//! fields of a data class; copy data in a class of the solution's; put something in place of `input`, `print`, `open`
//! or `sys.stdin`; catch a `StopIteration` that comes out of a call; fail after they have used a file (the program has
//! files of its own); where the program starts more threads than [`Limits::processes`]; and where the order of a set
//! cannot be made again. Values nested deeper than 400 levels and messages over 128 MiB are a failure of the solution.
//!
//! Differences that are not noticed: `is` between equal immutable values that are not an argument of the call itself;
//! the traceback and `__context__` of an exception; a module that the tests change (`mock.patch` of anything but the
//! names above); library classes that are not in the list above, which are equal to nothing of the judge's and are no
//! bases of the solution's classes to `issubclass`; concurrent coroutines and threads of the tests, which the player
//! answers one after another; what the solution does in threads of its own while the tests do not ask; the
//! environment, time zone and decimal context of the other side.
//!
//! # Touching the machine
//! Each interpreter is under these [`Layer`]s, put on in this order by a helper that is this very program
//! ([`child_main`]); what one misses the next ones hold. Before any of them, the helper closes every handle that it was
//! born with but its own three: files, folders, connections, locks and pipes that the host program has open.
//!
//! | layer | holds |
//! |---|---|
//! | user | the processes inside are nobody outside; root's are another user's |
//! | pid | nothing outside can be seen or signalled; when the first process inside ends, the kernel ends all others |
//! | mount | the tree is the interpreter, its library and the system's shared libraries, read-only; `/dev/null`; a scratch folder in memory, of limited size, gone with the run. No `/proc`, `/sys`, `/home`, `/tmp` of the host |
//! | net | no interface, loopback included |
//! | ipc, uts, cgroup | no shared memory or queues, host name or control groups of the host |
//! | capabilities, no-new-privileges | no power over the namespaces themselves, and none to be gained |
//! | rlimits | of each process: address space, processor time, file size, open files, processes, core dumps |
//! | landlock | the same files once more, no `execve` but of the interpreter and the system's loader, no TCP, no signals to the outside |
//! | seccomp | a list of allowed calls; no sockets, traces, mounts, namespaces, keys, rings, no signals to others, no shared memory without a file; locks on files are pretended |
//! | memory | the parent's: memory that all processes of a sandbox hold together, see below |
//! | wall clock | the parent's: both process namespaces are ended, and the run returns when the kernel says that they are empty |
//! | output | the parent's: what is beyond the cap is read and thrown away |
//!
//! [`Sandbox::new`] finds out which layers hold by putting all of them on, and refuses to make a sandbox where one is
//! missing ([`SandboxError::Missing`], which says what to do about each); [`Settings::allow_missing`] runs with those
//! that hold, and [`Sandbox::layers`] says which. Where it was made, a layer that fails later ends that run with an
//! error. Root and ordinary users can use it alike; it needs no program that is installed with special rights.
//!
//! # Memory
//! [`Limits::memory`] bounds each process's address space (rlimits) and what all of them hold together. One process
//! cannot hold more than its address space: shared memory that has no file could, and is refused. For the sum there are
//! two means:
//!
//! - **A control group** (version 2, or `memory` of version 1), in [`Settings::group`] or in a group that systemd has
//!   handed over. The kernel ends the run at the limit, the scratch folder's size and 32 MiB for the helper's stages.
//!   It counts everything: pages, page tables, pipes, the scratch folder, cached files (which it gives back first).
//! - **A watchdog**, everywhere. The parent adds up what the processes of a sandbox hold: pages of their own, those
//!   that forked processes share once, and what is swapped out. A look every 20 ms; two or three in a row that find
//!   more than the limit end the run. Until then it can be exceeded, by as much as the processes can fill in that time
//!   and at most to the limit of each. Not counted: the scratch folder (limited by [`Limits::scratch`]), pipes and
//!   pairs of sockets (by their number, some 200 KiB each), page tables. Where the kernel does not show the watchdog
//!   what is shared, shared pages count for each process.
//!
//! Either way the run is [`Outcome::Memory`]. Both interpreters have the limit, each for itself. Where the machine
//! itself runs out of memory, the kernel ends a sandbox's processes first.
//!
//! # What is not held
//! A fault of the kernel itself; how much of the processor's time a run takes within its wall clock; secrets in files
//! under the interpreter's library or `/usr/lib`, which can be read. Native code runs, in the interpreter (`ctypes`)
//! and by the system's loader, which starts any program that it can read: the ones under `/usr/lib`. They have the same
//! layers on and gain nothing. A lock on a file is granted to everybody who asks, so that two processes of one program
//! do not keep each other out by it. Without a process namespace, programs cannot start other processes at all. Without
//! a file tree of its own, Landlock alone keeps files shut (their names and sizes can be seen), no folders can be made,
//! no file's mode or times can be changed, and only the size of each file is limited; for root, processes are not
//! counted then either, because the kernel does not count root's.
//!
//! A run that the sandbox itself could not do is an [`Err`], never an [`Outcome`].

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

/// Whether this program has the hook, so that it can be its own helper.
static HOOKED: AtomicBool = AtomicBool::new(false);

/// The hook by which a program serves as its own sandbox's helper. It comes first in `main`, before any thread:
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
/// `None` where this process was not started as a helper.
#[must_use = "a helper has to end with this code"]
pub fn child_main() -> Option<ExitCode> {
    HOOKED.store(true, Ordering::Relaxed);
    #[cfg(target_os = "linux")]
    return stage::run(std::env::args_os());
    #[cfg(not(target_os = "linux"))]
    return None;
}
