//! The processes of a run and what memory they hold, as the kernel tells it in `/proc`.

use std::collections::BTreeMap;
use std::fs;
use std::io;

/// How the children of a process are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// Each thread's list of its children.
    Lists,
    /// The parents of all processes of the machine, where the kernel keeps no such lists.
    Scan,
}

impl Lookup {
    /// What this machine has. An error where `/proc` shows no processes at all.
    pub(crate) fn find() -> io::Result<Self> {
        match fs::read_to_string("/proc/thread-self/children") {
            Ok(_) => Ok(Self::Lists),
            Err(_) => fs::read_to_string("/proc/self/stat").map(|_| Self::Scan),
        }
    }

    /// The processes that `top` has started, those that they have, and so on. Processes that end meanwhile may be
    /// missing, as may in rare cases their neighbours.
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

/// The children of a process: each of its threads has its own.
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

/// The folders of a process's threads. One that has ended has none.
fn threads(process: u32) -> Vec<String> {
    let folder = format!("/proc/{process}/task");
    let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| Some(format!("{folder}/{}", entry.file_name().to_str()?)))
        .collect()
}

/// Every process of the machine with its parent.
fn parents() -> Vec<(u32, u32)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let process = |entry: fs::DirEntry| {
        let process = entry.file_name().to_str()?.parse().ok()?;
        let text = fs::read_to_string(entry.path().join("stat")).ok()?;
        // The name, which may hold anything, ends with the last bracket; a letter for the state is next.
        let parent = text.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        Some((process, parent))
    };
    entries.filter_map(process).collect()
}

/// Address space, and memory of its own (a page that is shared with forked processes counts for each), in bytes. None
/// where the process has ended.
pub(crate) fn size(process: u32) -> Option<(u64, u64)> {
    first_of(process, "status", |text| {
        let own = field(text, "RssAnon:").or_else(|| field(text, "VmRSS:"))?;
        Some((field(text, "VmSize:")?, own + field(text, "VmSwap:").unwrap_or(0)))
    })
}

/// Memory of its own, in bytes: a page that is shared with forked processes counts as its part. None where the process
/// has ended, or where this one may not know.
pub(crate) fn share(process: u32) -> Option<u64> {
    first_of(process, "smaps_rollup", |text| {
        // Older kernels do not tell the kinds apart.
        let own = field(text, "Pss_Anon:").or_else(|| field(text, "Pss:"))?;
        Some(own + field(text, "SwapPss:").unwrap_or(0))
    })
}

/// What a process's file says, or that of one of its threads: where the first thread has ended, the process's own file
/// is that of a process without memory.
fn first_of<T>(process: u32, file: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
    let of = |folder: &str| read(&fs::read_to_string(format!("{folder}/{file}")).ok()?);
    of(&format!("/proc/{process}")).or_else(|| threads(process).iter().find_map(|thread| of(thread)))
}

/// A line of `Name:  12 kB`, in bytes.
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
        // A line is there when both have been started.
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
