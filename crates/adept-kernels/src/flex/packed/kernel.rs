//! Which instructions compute products with packed weights.

use std::sync::OnceLock;

use super::{amx, avx512};
use crate::prepared::ROUNDED;

/// How the products are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kernel {
    /// `tdpbf16ps` of AMX, whole tiles at a time.
    Amx,
    /// `vdpbf16ps` of AVX512-BF16.
    Avx512,
    /// Rounded operands in float32 products, on any processor.
    Rounded,
}

/// The kernel that [`Kernel::force`] has set.
static FORCED: OnceLock<Kernel> = OnceLock::new();

impl Kernel {
    /// From the one with the fastest products on.
    pub(crate) const ALL: [Self; 3] = [Self::Amx, Self::Avx512, Self::Rounded];

    /// Its name in settings and records.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Amx => "amx-bf16",
            Self::Avx512 => "avx512-bf16",
            Self::Rounded => ROUNDED,
        }
    }

    /// Whether this processor, and the system on it, has the instructions. Both of the first kernels take numbers below
    /// the smallest normal one for 0.
    pub(crate) fn is_available(self) -> bool {
        match self {
            Self::Amx => amx::is_available() && avx512::is_available(),
            Self::Avx512 => avx512::is_available(),
            Self::Rounded => true,
        }
    }

    /// The forced one, else the fastest one on this processor.
    pub(crate) fn chosen() -> Self {
        if let Some(forced) = FORCED.get() {
            return *forced;
        }
        let mut kernels = Self::ALL.into_iter();
        kernels
            .find(|kernel| kernel.is_available() && kernel.outruns_float32())
            .unwrap_or(Self::Rounded)
    }

    /// Whether this processor, which has the instructions, computes more with them than with float32 ones.
    fn outruns_float32(self) -> bool {
        match self {
            Self::Avx512 => avx512::outruns_float32(),
            Self::Amx | Self::Rounded => true,
        }
    }

    /// Uses this kernel from now on, for weights that are packed from now on; `false` if another one was forced before.
    pub(crate) fn force(self) -> bool {
        *FORCED.get_or_init(|| self) == self
    }
}
