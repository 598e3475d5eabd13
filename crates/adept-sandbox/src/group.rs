//! Memory control groups: where they may be created, the kernel itself bounds the total memory of a run.
//!
//! The control groups of a machine have one owner (systemd, a container engine), and creating groups in another owner's
//! part of the tree corrupts its accounting. So groups are created only in a folder named by the caller, or in one that
//! systemd has marked as delegated (`Delegate=yes` with `DelegateSubgroup=`), which is the parent of this process's own
//! group.

use std::fs;
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::SandboxError;

/// How systemd marks a group delegated to a user's and to root's processes.
const MARKS: [&str; 2] = ["user.delegate", "trusted.delegate"];
/// Memory for the two stages of a sandbox, in addition to the interpreter's.
const STAGES: u64 = 32 << 20;

/// Version of the kernel's control group interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// The group in which a sub-group is created for each sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parent {
    folder: PathBuf,
    version: Version,
}

/// The group of one sandbox, removed on drop.
#[derive(Debug)]
pub(crate) struct Group {
    folder: PathBuf,
    version: Version,
}

impl Parent {
    /// The group named by the caller.
    pub(crate) fn named(folder: &Path) -> Result<Self, SandboxError> {
        let failed = |message: String| SandboxError::Group {
            folder: folder.to_owned(),
            message,
        };
        let has = |file: &str| folder.join(file).exists();
        if has("memory.limit_in_bytes") {
            return Ok(Self {
                folder: folder.to_owned(),
                version: Version::One,
            });
        }
        let Ok(controllers) = fs::read_to_string(folder.join("cgroup.controllers")) else {
            return Err(failed("not a memory control group".to_owned()));
        };
        if !controllers.split_whitespace().any(|name| name == "memory") {
            return Err(failed(format!(
                "its controllers are `{}`, without `memory`",
                controllers.trim()
            )));
        }
        let enabled = folder.join("cgroup.subtree_control");
        let has_memory =
            fs::read_to_string(&enabled).is_ok_and(|text| text.split_whitespace().any(|name| name == "memory"));
        if !has_memory {
            fs::write(&enabled, "+memory").map_err(|error| failed(format!("cgroup.subtree_control: {error}")))?;
        }
        Ok(Self {
            folder: folder.to_owned(),
            version: Version::Two,
        })
    }

    /// The group delegated to this process, if any.
    pub(crate) fn delegated() -> Option<Self> {
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        let (mount, group) = own_group(&own, &mounts)?;
        let parent = mount.join(group.strip_prefix("/").ok()?.parent()?);
        let is_marked = MARKS
            .iter()
            .any(|mark| xattr::get(&parent, mark).is_ok_and(|value| value.as_deref() == Some(b"1")));
        if is_marked { Self::named(&parent).ok() } else { None }
    }

    /// The group's folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Creates the group of one sandbox, limited to `memory` bytes plus the stages and the in-memory scratch folder.
    pub(crate) fn make(&self, memory: u64, scratch: u64) -> Result<Group, SandboxError> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = self
            .folder
            .join(format!("adept-sandbox-{}-{count}", std::process::id()));
        fs::create_dir(&folder).map_err(SandboxError::io("making a control group"))?;
        let group = Group {
            folder,
            version: self.version,
        };
        let limit = memory.saturating_add(scratch).saturating_add(STAGES).to_string();
        let put = |file: &str, value: &str| fs::write(group.folder.join(file), value);
        // Without the second limit, excess memory would be swapped out. Kernels without swap accounting lack the file.
        let (first, second, swap) = match self.version {
            Version::One => ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", limit.as_str()),
            Version::Two => ("memory.max", "memory.swap.max", "0"),
        };
        put(first, &limit).map_err(SandboxError::io("limiting a control group"))?;
        match put(second, swap) {
            Err(error) if !is_absent(&error) => return Err(SandboxError::io("limiting a control group")(error)),
            _ => {}
        }
        if self.version == Version::Two {
            // All or none: a program must not continue with only some of its processes.
            put("memory.oom.group", "1").map_err(SandboxError::io("limiting a control group"))?;
        }
        Ok(group)
    }
}

impl Group {
    /// The file through which a process enters the group, by writing `0` for itself.
    pub(crate) fn entrance(&self) -> PathBuf {
        self.folder.join("cgroup.procs")
    }

    /// Whether the kernel killed a process of the group for lack of memory.
    pub(crate) fn ran_out(&self) -> bool {
        let file = match self.version {
            Version::One => "memory.oom_control",
            Version::Two => "memory.events",
        };
        let text = fs::read_to_string(self.folder.join(file)).unwrap_or_default();
        let kills = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        kills.is_some_and(|count| count.trim() != "0")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The kernel may take a moment to release processes that have been waited for. An empty group does no harm.
        for _ in 0..20 {
            match fs::remove_dir(&self.folder) {
                Err(error) if error.kind() == ErrorKind::ResourceBusy => std::thread::sleep(Duration::from_millis(1)),
                _ => break,
            }
        }
    }
}

/// Whether a group's file does not exist. Creating one is impossible: the kernel reports either error.
fn is_absent(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied)
}

/// Mount point of control groups version 2, and this process's group relative to it, from `/proc/self/cgroup` and
/// `/proc/self/mountinfo`.
fn own_group<'a>(groups: &'a str, mounts: &str) -> Option<(PathBuf, &'a Path)> {
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let mount = mounts.lines().find_map(|line| {
        let (fields, kind) = line.split_once(" - ")?;
        let mut fields = fields.split(' ').skip(3);
        let (root, at) = (fields.next()?, fields.next()?);
        // If only a part of the tree is mounted, its paths differ from those of the whole.
        (root == "/" && kind.starts_with("cgroup2 ")).then(|| PathBuf::from(at))
    })?;
    Some((mount, Path::new(group)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A folder with these files in place of a group, so that what is written can be checked.
    fn stand_in(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn each_version_is_told_what_it_understands() {
        let two = stand_in(&[
            ("cgroup.controllers", "cpu memory pids\n"),
            ("cgroup.subtree_control", "cpu\n"),
        ]);
        let group = Parent::named(two.path()).unwrap().make(1 << 30, 16 << 20).unwrap();
        let read = |group: &Group, file: &str| fs::read_to_string(group.folder.join(file)).unwrap();
        assert_eq!(
            fs::read_to_string(two.path().join("cgroup.subtree_control")).unwrap(),
            "+memory"
        );
        assert_eq!(read(&group, "memory.max"), ((1024 + 16 + 32) << 20).to_string());
        assert_eq!(
            (&*read(&group, "memory.swap.max"), &*read(&group, "memory.oom.group")),
            ("0", "1")
        );
        assert!(group.entrance().starts_with(two.path()) && !group.ran_out());
        fs::write(
            group.folder.join("memory.events"),
            "low 0\noom 3\noom_kill 0\noom_group_kill 0\n",
        )
        .unwrap();
        assert!(!group.ran_out());
        fs::write(
            group.folder.join("memory.events"),
            "low 0\noom 3\noom_kill 2\noom_group_kill 1\n",
        )
        .unwrap();
        assert!(group.ran_out());

        let one = stand_in(&[("memory.limit_in_bytes", "9223372036854771712\n")]);
        let group = Parent::named(one.path()).unwrap().make(1 << 30, 0).unwrap();
        assert_eq!(read(&group, "memory.limit_in_bytes"), ((1024 + 32) << 20).to_string());
        assert_eq!(
            read(&group, "memory.memsw.limit_in_bytes"),
            ((1024 + 32) << 20).to_string()
        );
        fs::write(
            group.folder.join("memory.oom_control"),
            "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
        )
        .unwrap();
        assert!(group.ran_out());
    }

    #[test]
    fn what_is_no_group_of_memory_is_said() {
        let message = |folder: &Path| Parent::named(folder).unwrap_err().to_string();
        let other = stand_in(&[("cgroup.controllers", "cpu pids\n")]);
        assert!(message(other.path()).contains("its controllers are `cpu pids`, without `memory`"));
        assert!(message(stand_in(&[]).path()).contains("not a memory control group"));
        assert!(message(Path::new("/nowhere")).starts_with("/nowhere: "));
    }

    #[test]
    fn the_own_group_is_found_in_either_layout() {
        let line = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        let mixed = "35 24 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n36 24 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let part = "36 24 0:31 /docker/x /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        let own = |groups, mounts: &str| {
            own_group(groups, mounts).map(|(mount, group)| (mount.display().to_string(), group.display().to_string()))
        };
        let found = |mount: &str, group: &str| Some((mount.to_owned(), group.to_owned()));
        assert_eq!(
            own("0::/user.slice/a.service/main\n", line),
            found("/sys/fs/cgroup", "/user.slice/a.service/main")
        );
        assert_eq!(own("4:memory:/x\n0::/\n", mixed), found("/sys/fs/cgroup/unified", "/"));
        assert_eq!((own("0::/a\n", part), own("4:memory:/x\n", mixed)), (None, None));
    }
}
