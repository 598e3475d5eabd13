//! Seccomp: an allow-list of the system calls that an interpreter needs. All others are denied.

use std::collections::BTreeMap;

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Is, SeccompCondition as Condition,
    SeccompFilter, SeccompRule, TargetArch,
};

use super::refused;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Unconditionally allowed calls. They cannot create sockets, tracers, mounts, namespaces, keys, io_urings or BPF
/// programs, nor signal anything except the caller's own threads.
const ALLOWED: &[i64] = &[
    // Open files, and files by name.
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_lseek,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_flock,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_ftruncate,
    libc::SYS_truncate,
    libc::SYS_fallocate,
    libc::SYS_copy_file_range,
    libc::SYS_sendfile,
    libc::SYS_pipe2,
    libc::SYS_openat,
    libc::SYS_newfstatat,
    libc::SYS_fstat,
    libc::SYS_statx,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_chdir,
    libc::SYS_fchdir,
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    libc::SYS_renameat2,
    libc::SYS_symlinkat,
    libc::SYS_linkat,
    libc::SYS_umask,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    // Waiting for files; recvfrom and, below, sendto are for the socket pair that asyncio uses for wake-ups.
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_recvfrom,
    libc::SYS_shutdown,
    // Memory.
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_membarrier,
    // The process's own threads and signals.
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_get_robust_list,
    libc::SYS_rseq,
    libc::SYS_set_tid_address,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_rt_sigpending,
    libc::SYS_rt_sigsuspend,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_getitimer,
    libc::SYS_setitimer,
    // Processes: ended with the namespace, and counted by the limits.
    libc::SYS_execve,
    libc::SYS_wait4,
    libc::SYS_waitid,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_setsid,
    libc::SYS_setpgid,
    // Identity and time.
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getppid,
    libc::SYS_getpgid,
    libc::SYS_getsid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getgroups,
    libc::SYS_getresuid,
    libc::SYS_getresgid,
    libc::SYS_getpriority,
    libc::SYS_getcpu,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getrandom,
    libc::SYS_getrusage,
    libc::SYS_getrlimit,
    libc::SYS_setrlimit,
    libc::SYS_times,
    libc::SYS_gettimeofday,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
];

/// Legacy forms of the same calls, which newer architectures lack.
#[cfg(target_arch = "x86_64")]
const OLDER: &[i64] = &[
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_unlink,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_symlink,
    libc::SYS_link,
    libc::SYS_dup2,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_select,
    libc::SYS_epoll_create,
    libc::SYS_epoll_wait,
    libc::SYS_getpgrp,
    libc::SYS_time,
    libc::SYS_alarm,
    libc::SYS_arch_prctl,
    libc::SYS_pause,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[i64] = &[];

/// Calls that pretend to succeed but do nothing: file locks. A lock on a library file would block every other process
/// on the machine and be visible to other runs; the scratch folder's files are private to this run, and programs that
/// lock them (sqlite does) should not fail.
const PRETENDED: &[i64] = &[libc::SYS_flock];
const PRETENDED_FCNTLS: [i32; 2] = [libc::F_SETLK, libc::F_SETLKW];

/// Calls that change a file's metadata but not its content. Landlock does not cover them, so they are allowed only in a
/// file tree in which all files but the program's own are read-only.
const MODES: &[i64] = &[
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_utimensat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
];

/// Calls that create a process unconditionally; for clone, flags distinguish processes from threads.
#[cfg(target_arch = "x86_64")]
const FORKS: &[i64] = &[libc::SYS_fork, libc::SYS_vfork];
#[cfg(not(target_arch = "x86_64"))]
const FORKS: &[i64] = &[];

/// Flags of clone that create namespaces.
const NAMESPACES: i32 = libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP;

/// Permitted ioctl requests on a terminal or file.
const IOCTLS: [u64; 6] = [
    libc::TCGETS,
    libc::TIOCGWINSZ,
    libc::FIONREAD,
    libc::FIOCLEX,
    libc::FIONCLEX,
    libc::FIONBIO,
];

/// Permitted fcntl commands. Excluded are those that choose the process and the signal to notify about readable data.
const FCNTLS: [i32; 10] = [
    libc::F_DUPFD,
    libc::F_DUPFD_CLOEXEC,
    libc::F_GETFD,
    libc::F_SETFD,
    libc::F_GETFL,
    libc::F_SETFL,
    libc::F_GETLK,
    libc::F_SETLK,
    libc::F_SETLKW,
    libc::F_GETPIPE_SZ,
];

/// `may_fork`: other processes can be started and signalled, which requires a process namespace to confine them.
/// `own_tree`: the sandbox has a separate file tree.
pub(super) fn restrict(may_fork: bool, own_tree: bool) -> Result<String, String> {
    let rules = rules(may_fork, own_tree).map_err(refused("seccomp"))?;
    let calls = rules.len();
    let listed = compile(rules, SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow)?;
    // The flags of clone3 are in memory, where a filter cannot inspect them. If it is reported as missing, programs
    // fall back to clone.
    let clone3 = Rules::from([(libc::SYS_clone3, vec![])]);
    let hidden = compile(clone3, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS as u32))?;
    let locks = pretended().map_err(refused("seccomp"))?;
    // Error number zero means success.
    let pretended = compile(locks, SeccompAction::Allow, SeccompAction::Errno(0))?;
    for program in [&hidden, &pretended, &listed] {
        seccompiler::apply_filter(program).map_err(refused("seccomp"))?;
    }
    Ok(format!("{calls} calls allowed"))
}

fn rules(may_fork: bool, own_tree: bool) -> Result<Rules, seccompiler::BackendError> {
    let modes = if own_tree { MODES } else { &[] };
    let free = ALLOWED.iter().chain(OLDER).chain(modes);
    let mut rules: Rules = free.map(|call| (*call, vec![])).collect();
    let mut only = |call: i64, rule: Vec<SeccompRule>| rules.insert(call, rule);
    // Handled by the other filter.
    only(libc::SYS_clone3, vec![]);
    let flags = if may_fork {
        Condition::new(0, Len::Qword, Is::MaskedEq(NAMESPACES as u64), 0)?
    } else {
        let kinds = NAMESPACES as u64 | libc::CLONE_THREAD as u64;
        Condition::new(0, Len::Qword, Is::MaskedEq(kinds), libc::CLONE_THREAD as u64)?
    };
    only(libc::SYS_clone, vec![SeccompRule::new(vec![flags])?]);
    if may_fork {
        for call in FORKS {
            only(*call, vec![]);
        }
    }
    if may_fork {
        only(libc::SYS_tgkill, vec![]);
    } else {
        // The interpreter is executed by this process and keeps its process id.
        only(libc::SYS_tgkill, vec![any_of(0, u64::from(std::process::id()))?]);
    }
    only(libc::SYS_prlimit64, vec![any_of(0, 0)?]);
    // Shared memory without a file persists in pages that no process has mapped, which no limit here counts.
    let flags = |mask: i32, value: i32| Condition::new(3, Len::Dword, Is::MaskedEq(mask as u64), value as u64);
    let of_a_file = flags(libc::MAP_ANONYMOUS, 0)?;
    let private = flags(libc::MAP_SHARED | libc::MAP_PRIVATE, libc::MAP_PRIVATE)?;
    only(
        libc::SYS_mmap,
        vec![SeccompRule::new(vec![of_a_file])?, SeccompRule::new(vec![private])?],
    );
    // Without an address: a socket pair leads nowhere else.
    let to_its_pair = Condition::new(4, Len::Qword, Is::Eq, 0)?;
    only(libc::SYS_sendto, vec![SeccompRule::new(vec![to_its_pair])?]);
    let of_files = FCNTLS.map(|command| any_of(1, command as u64));
    only(libc::SYS_fcntl, of_files.into_iter().collect::<Result<_, _>>()?);
    let of_terminals = IOCTLS.map(|request| any_of(1, request));
    only(libc::SYS_ioctl, of_terminals.into_iter().collect::<Result<_, _>>()?);
    only(libc::SYS_socketpair, vec![any_of(0, libc::AF_UNIX as u64)?]);
    // Names of threads and of memory; not the signal sent when the parent dies.
    let names = [
        libc::PR_SET_NAME as u64,
        libc::PR_GET_NAME as u64,
        libc::PR_SET_VMA as u64,
    ];
    only(
        libc::SYS_prctl,
        names
            .map(|option| any_of(0, option))
            .into_iter()
            .collect::<Result<_, _>>()?,
    );
    Ok(rules)
}

/// The locks that only pretend to succeed.
fn pretended() -> Result<Rules, seccompiler::BackendError> {
    let mut rules: Rules = PRETENDED.iter().map(|call| (*call, vec![])).collect();
    let commands = PRETENDED_FCNTLS.map(|command| any_of(1, command as u64));
    rules.insert(libc::SYS_fcntl, commands.into_iter().collect::<Result<_, _>>()?);
    Ok(rules)
}

/// A rule for one value of one argument.
fn any_of(argument: u8, value: u64) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(vec![Condition::new(argument, Len::Dword, Is::Eq, value)?])
}

fn compile(rules: Rules, otherwise: SeccompAction, matched: SeccompAction) -> Result<BpfProgram, String> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(refused("seccomp"))?;
    let filter = SeccompFilter::new(rules, otherwise, matched, arch).map_err(refused("seccomp"))?;
    filter.try_into().map_err(refused("seccomp"))
}
