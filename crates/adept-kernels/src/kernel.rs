//! Kernels of products with packed weights: which there are, and the choice of one.

use thiserror::Error;

/// A kernel of products with packed weights, on the flex backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelInfo {
    /// Its name in settings and records.
    pub name: &'static str,
    /// Whether this processor has its instructions, and the system lets this process use them.
    pub is_available: bool,
}

/// A kernel that cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KernelError {
    /// No kernel has this name.
    #[error("no kernel is named {name:?}: {}", known.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// The names of all.
        known: Vec<&'static str>,
    },
    /// The processor or the system lacks what it needs.
    #[error("the kernel {name} needs instructions that are not available here; available: {}", available.join(", "))]
    Unavailable {
        /// What was asked for.
        name: &'static str,
        /// The names of those that can be had.
        available: Vec<&'static str>,
    },
    /// The process uses another one since an earlier call.
    #[error("the kernel {name} comes too late: another one was chosen before")]
    Late {
        /// What was asked for.
        name: &'static str,
    },
}

/// All kernels, from the fastest on; none without the feature `flex`.
#[must_use]
pub fn kernels() -> Vec<KernelInfo> {
    #[cfg(feature = "flex")]
    {
        let kernels = crate::flex::Kernel::ALL.iter();
        kernels
            .map(|kernel| KernelInfo {
                name: kernel.name(),
                is_available: kernel.is_available(),
            })
            .collect()
    }
    #[cfg(not(feature = "flex"))]
    Vec::new()
}

/// Uses the named kernel for all weights that this process prepares from now on, instead of the fastest one.
///
/// # Errors
/// A name that no kernel has, instructions that are not available, or another choice before.
pub fn force_kernel(name: &str) -> Result<(), KernelError> {
    let all = kernels();
    let Some(found) = all.iter().find(|kernel| kernel.name == name) else {
        return Err(KernelError::Unknown {
            name: name.to_owned(),
            known: all.iter().map(|kernel| kernel.name).collect(),
        });
    };
    if !found.is_available {
        let available = all.iter().filter(|kernel| kernel.is_available);
        return Err(KernelError::Unavailable {
            name: found.name,
            available: available.map(|kernel| kernel.name).collect(),
        });
    }
    #[cfg(feature = "flex")]
    if crate::flex::Kernel::ALL
        .into_iter()
        .any(|kernel| kernel.name() == name && !kernel.force())
    {
        return Err(KernelError::Late { name: found.name });
    }
    Ok(())
}
