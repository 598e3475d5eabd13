//! The processes of a run and their memory use, according to `/proc`.

use std::collections::BTreeMap;
use std::fs;
use std::io;

/// How to find the children of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// From the list of children of each of its threads.
    Lists,
    /// From the parents of all processes on the machine, if the kernel does not provide such lists.
    Scan,
}

impl Lookup {
    /// The method available on this machine; an error if `/proc` shows no processes at all.
    pub(crate) fn find() -> io::Result<Self> {
        match fs::read_to_string("/proc/thread-self/children") {
            Ok(_) => Ok(Self::Lists),
            Err(_) => fs::read_to_string("/proc/self/stat").map(|_| Self::Scan),
        }
    }

    /// All descendants of `top`. Processes that end meanwhile may be missing and, in rare cases, so may their siblings.
    pub(crate) fn descendants(self, top: u32) -> Vec<u32> {
        let mut found = Vec::new();
        let mut waiting = match self {
            Self::Lists => listed(top),
            Self::Scan => {
                let parents = parents();
                let mut by_parent: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
                for (process, parent) in parents {
                    by_parent.entry(parent).or_default().push(process);
                }
                let mut waiting = vec![top];
                while let Some(parent) = waiting.pop() {
                    let children = by_parent.remove(&parent).unwrap_or_default();
                    found.extend(&children);
                    waiting.extend(children);
                }
                return found;
            }
        };
        while let Some(process) = waiting.pop() {
            found.push(process);
            waiting.extend(listed(process));
        }
        found
    }
}

/// The children of a process; each of its threads has its own.
fn listed(process: u32) -> Vec<u32> {
    let threads = threads(process);
    let lists = threads
        .iter()
        .filter_map(|thread| fs::read_to_string(format!("{thread}/children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|number| number.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
}

/// The folders of a process's threads; empty for a process that has ended.
fn threads(process: u32) -> Vec<String> {
    let folder = format!("/proc/{process}/task");
    let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| Some(format!("{folder}/{}", entry.file_name().to_str()?)))
        .collect()
}

/// All processes on the machine with their parents.
fn parents() -> Vec<(u32, u32)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let process = |entry: fs::DirEntry| {
        let process = entry.file_name().to_str()?.parse().ok()?;
        let text = fs::read_to_string(entry.path().join("stat")).ok()?;
        // The name may contain anything, but ends at the last bracket; it is followed by the state, a single letter.
        let parent = text.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        Some((process, parent))
    };
    entries.filter_map(process).collect()
}

/// Address space and private memory in bytes (a page shared with forked processes counts for each of them). `None` if
/// the process has ended.
pub(crate) fn size(process: u32) -> Option<(u64, u64)> {
    first_of(process, "status", |text| {
        let own = field(text, "RssAnon:").or_else(|| field(text, "VmRSS:"))?;
        Some((field(text, "VmSize:")?, own + field(text, "VmSwap:").unwrap_or(0)))
    })
}

/// Proportional private memory in bytes: a page shared with forked processes counts by share. `None` if the process has
/// ended, or if this one lacks permission.
pub(crate) fn share(process: u32) -> Option<u64> {
    first_of(process, "smaps_rollup", |text| {
        // Older kernels do not distinguish the kinds of memory.
        let own = field(text, "Pss_Anon:").or_else(|| field(text, "Pss:"))?;
        Some(own + field(text, "SwapPss:").unwrap_or(0))
    })
}

/// Reads a file of a process, or that of one of its threads: if the main thread has ended, the process's own file shows
/// no memory.
fn first_of<T>(process: u32, file: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
    let of = |folder: &str| read(&fs::read_to_string(format!("{folder}/{file}")).ok()?);
    of(&format!("/proc/{process}")).or_else(|| threads(process).iter().find_map(|thread| of(thread)))
}

/// The value of a line `Name:  12 kB`, in bytes.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn processes_under_another_are_found_either_way() {
        let mut shell = Command::new("sh")
            .args(["-c", "sleep 60 & sleep 60 & echo; wait"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // The shell prints a line once both have been started.
        io::Read::read(&mut shell.stdout.take().unwrap(), &mut [0; 1]).unwrap();
        for lookup in [Lookup::Lists, Lookup::Scan] {
            let own = lookup.descendants(std::process::id());
            let found = lookup.descendants(shell.id());
            assert_eq!(found.len(), 2, "{lookup:?}");
            assert!(
                own.contains(&shell.id()) && found.iter().all(|one| own.contains(one)),
                "{lookup:?}"
            );
            assert!(
                found
                    .iter()
                    .all(|one| size(*one).unwrap().0 > 0 && share(*one).unwrap() > 0)
            );
        }
        let found = Lookup::find().unwrap().descendants(shell.id());
        for process in found.iter().chain([&shell.id()]) {
            nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(*process as i32),
                nix::sys::signal::Signal::SIGKILL,
            )
            .unwrap();
        }
        shell.wait().unwrap();
        assert_eq!(size(shell.id()), None);
    }

    #[test]
    fn figures_are_read_in_bytes() {
        let text = "Name:\tpython3\nVmSize:\t    2048 kB\nRssAnon:\t       3 kB\n";
        assert_eq!(
            (field(text, "VmSize:"), field(text, "RssAnon:")),
            (Some(2 << 20), Some(3 << 10))
        );
        assert_eq!((field(text, "Name:"), field(text, "VmSwap:")), (None, None));
    }
}
