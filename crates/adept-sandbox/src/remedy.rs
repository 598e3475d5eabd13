//! Suggests remedies for missing layers. The kernel reports most failures as `EPERM`; which setting or filter is
//! responsible is inferred from the environment of this process.

use crate::Layer;

/// Container options that permit a sandbox inside. The default filter of Docker and Podman denies namespaces, and their
/// AppArmor or SELinux policy denies mounts.
const CONTAINER: &str = "start the container with `--security-opt seccomp=unconfined --security-opt \
    apparmor=unconfined` (with SELinux `--security-opt label=disable`; in Kubernetes `seccompProfile` and \
    `appArmorProfile` of type `Unconfined`)";

/// Remedy for layers that need the user namespace, if that is missing.
pub(crate) const FOLLOWS: &str = "follows from `user`";

/// Bit of root's capability to manage namespaces.
#[cfg(target_os = "linux")]
const CAP_SYS_ADMIN: u32 = 21;

/// The environment of this process. Values that cannot be read are unknown.
#[derive(Debug, Clone, Default)]
pub(crate) struct Surroundings {
    /// Whether a seccomp filter already applies to this process.
    pub filtered: bool,
    /// Whether this is root with the capability to create namespaces without a user namespace.
    pub admin: bool,
    /// Whether it runs in a container.
    pub container: bool,
    /// Debian's `kernel.unprivileged_userns_clone`.
    pub userns_clone: Option<u64>,
    /// `user.max_user_namespaces`.
    pub max_user_namespaces: Option<u64>,
    /// Ubuntu's `kernel.apparmor_restrict_unprivileged_userns`.
    pub apparmor_userns: Option<u64>,
}

impl Surroundings {
    #[cfg(target_os = "linux")]
    pub(crate) fn find() -> Self {
        let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let number = |path: &str| text(path).trim().parse().ok();
        let status = text("/proc/self/status");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim().to_owned())
        };
        let is_there = |path: &&str| std::path::Path::new(path).exists();
        Self {
            filtered: field("Seccomp:").is_some_and(|mode| mode != "0"),
            admin: field("CapEff:")
                .and_then(|set| u64::from_str_radix(&set, 16).ok())
                .is_some_and(|set| set & (1 << CAP_SYS_ADMIN) != 0),
            container: ["/.dockerenv", "/run/.containerenv"].iter().any(is_there)
                || std::env::var_os("KUBERNETES_SERVICE_HOST").is_some(),
            userns_clone: number("/proc/sys/kernel/unprivileged_userns_clone"),
            max_user_namespaces: number("/proc/sys/user/max_user_namespaces"),
            apparmor_userns: number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
        }
    }

    /// The remedy for a layer that is missing with this error of the kernel. `has_user`: the user namespace holds.
    pub(crate) fn remedy(&self, layer: Layer, detail: &str, has_user: bool) -> String {
        match layer {
            Layer::User => self.user_namespace(detail),
            Layer::Pid | Layer::Mount | Layer::Net | Layer::Ipc | Layer::Uts | Layer::Cgroup
                if !has_user && !self.admin =>
            {
                FOLLOWS.to_owned()
            }
            Layer::Pid | Layer::Net | Layer::Ipc | Layer::Uts | Layer::Cgroup if detail.contains("ENOSPC") => {
                format!("raise the limit: `sysctl -w user.max_{layer}_namespaces=1024`")
            }
            Layer::Mount => self.mounts(),
            Layer::Pid | Layer::Net | Layer::Ipc | Layer::Uts | Layer::Cgroup => self.filter(
                "use a kernel with this kind of namespace (CONFIG_NAMESPACES), outside of any policy that forbids it",
            ),
            Layer::Landlock if detail.contains("not enabled") => {
                "add `landlock` to the list of `lsm=` on the kernel's command line (`/sys/kernel/security/lsm` has it)"
                    .to_owned()
            }
            Layer::Landlock => self.filter("use Linux 5.13 or newer, built with CONFIG_SECURITY_LANDLOCK"),
            Layer::Seccomp => self.filter("use a kernel built with CONFIG_SECCOMP_FILTER"),
            Layer::Rlimits => {
                "raise the limit in the shell that starts this program (`ulimit`), or in its service".to_owned()
            }
            Layer::Memory => "mount `/proc`, or name a writable memory control group".to_owned(),
            Layer::Capabilities | Layer::NoNewPrivileges => self.filter("start it outside of whatever forbids this"),
        }
    }

    fn user_namespace(&self, detail: &str) -> String {
        if self.max_user_namespaces == Some(0) || detail.contains("ENOSPC") || detail.contains("EUSERS") {
            return "no more user namespaces can be created here: `sysctl -w user.max_user_namespaces=15000`, and where \
                this is one already, use one less deep"
                .to_owned();
        }
        if self.userns_clone == Some(0) {
            return "let ordinary users make them: `sysctl -w kernel.unprivileged_userns_clone=1`".to_owned();
        }
        if self.apparmor_userns == Some(1) && !self.filtered {
            return "AppArmor keeps ordinary users from them: `sysctl -w \
                kernel.apparmor_restrict_unprivileged_userns=0`, or give this program a profile with `userns,`"
                .to_owned();
        }
        self.policy("use a kernel with user namespaces (CONFIG_USER_NS), outside of a chroot")
    }

    fn mounts(&self) -> String {
        if self.apparmor_userns == Some(1) {
            return "AppArmor keeps ordinary users from mounts: `sysctl -w \
                kernel.apparmor_restrict_unprivileged_userns=0`, or give this program a profile with `userns,`"
                .to_owned();
        }
        self.policy("start it where AppArmor, SELinux or another policy does not forbid mounts")
    }

    /// The remedy for a denied call; `otherwise` if no filter applies to this process.
    fn filter(&self, otherwise: &str) -> String {
        match (self.filtered, self.container) {
            (true, true) => CONTAINER.to_owned(),
            (true, false) => format!(
                "a seccomp filter is on this process: leave it off (a service: `SystemCallFilter=`, \
                `RestrictNamespaces=`), and in a container {CONTAINER}"
            ),
            (false, _) => otherwise.to_owned(),
        }
    }

    /// The same for what a container's policy may deny without a filter.
    fn policy(&self, otherwise: &str) -> String {
        if self.container {
            CONTAINER.to_owned()
        } else {
            self.filter(otherwise)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remedy_is_that_of_what_is_in_the_way() {
        let plain = Surroundings::default();
        let filtered = Surroundings {
            filtered: true,
            ..plain.clone()
        };
        let container = Surroundings {
            container: true,
            ..filtered.clone()
        };
        let debian = Surroundings {
            userns_clone: Some(0),
            ..plain.clone()
        };
        let ubuntu = Surroundings {
            apparmor_userns: Some(1),
            ..plain.clone()
        };
        let none_left = Surroundings {
            max_user_namespaces: Some(0),
            ..plain.clone()
        };
        let user = |around: &Surroundings, detail: &str| around.remedy(Layer::User, detail, false);
        let eperm = "unshare(CLONE_NEWUSER): EPERM: Operation not permitted";
        assert!(user(&container, eperm).starts_with("start the container with `--security-opt seccomp=unconfined"));
        assert!(user(&filtered, eperm).starts_with("a seccomp filter is on this process"));
        assert!(user(&debian, eperm).contains("kernel.unprivileged_userns_clone=1"));
        assert!(user(&ubuntu, eperm).contains("kernel.apparmor_restrict_unprivileged_userns=0"));
        assert!(user(&none_left, eperm).contains("user.max_user_namespaces="));
        assert!(user(&plain, "unshare(CLONE_NEWUSER): ENOSPC").contains("user.max_user_namespaces="));
        assert!(user(&plain, eperm).contains("CONFIG_USER_NS"));

        assert_eq!(container.remedy(Layer::Net, "EPERM", false), FOLLOWS);
        let root = Surroundings {
            admin: true,
            ..filtered.clone()
        };
        assert_eq!(
            root.remedy(Layer::Net, "EPERM", false),
            filtered.remedy(Layer::Net, "EPERM", true)
        );
        assert!(
            plain
                .remedy(Layer::Net, "ENOSPC", true)
                .contains("user.max_net_namespaces=1024")
        );
        assert!(
            filtered
                .remedy(Layer::Mount, "EACCES", true)
                .contains("apparmor=unconfined")
        );
        assert!(
            ubuntu
                .remedy(Layer::Mount, "EACCES", true)
                .contains("apparmor_restrict_unprivileged_userns=0")
        );
        assert!(
            plain
                .remedy(Layer::Landlock, "built in, not enabled", true)
                .contains("lsm=")
        );
        assert!(
            plain
                .remedy(Layer::Landlock, "not in this kernel", true)
                .contains("5.13")
        );
        assert!(
            filtered
                .remedy(Layer::Seccomp, "ENOSYS", true)
                .contains("seccomp filter is on this process")
        );
        assert!(plain.remedy(Layer::Rlimits, "RLIMIT_NOFILE", true).contains("ulimit"));
    }
}
