//! The only place that names concrete backends.
//!
//! Commands are written once, generic over the backend, as a [`WithBackend`]; [`with_backend`] runs them on the backend
//! selected by `--device`.

use std::fmt;
use std::str::FromStr;

use burn::tensor::backend::AutodiffBackend;

use crate::failure::Failure;

/// A backend and a device number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceName {
    kind: Kind,
    index: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Flex,
    Ndarray,
    Cuda,
    Wgpu,
    Vulkan,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Flex, Self::Cuda, Self::Vulkan, Self::Wgpu, Self::Ndarray];

    /// The backend's name, which is also its cargo feature.
    const fn name(self) -> &'static str {
        match self {
            Self::Flex => "flex",
            Self::Ndarray => "ndarray",
            Self::Cuda => "cuda",
            Self::Wgpu => "wgpu",
            Self::Vulkan => "vulkan",
        }
    }

    // A GPU's feature also enables the variant without fusion.
    const fn compiled_in(self) -> bool {
        match self {
            Self::Flex => cfg!(feature = "flex"),
            Self::Ndarray => cfg!(feature = "ndarray"),
            Self::Cuda => cfg!(feature = "cuda-unfused"),
            Self::Wgpu => cfg!(feature = "wgpu-unfused"),
            Self::Vulkan => cfg!(feature = "vulkan-unfused"),
        }
    }
}

/// An invalid device name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// Unknown backend.
    #[error("unknown device `{found}`; expected cpu, flex, ndarray, cuda[:N], wgpu[:N] or vulkan[:N]")]
    Unknown {
        /// The name given.
        found: String,
    },
    /// An invalid device number, or one for a backend with a single device.
    #[error("device `{found}`: expected {expected} after the colon")]
    Index {
        /// The name given.
        found: String,
        /// What would be accepted.
        expected: &'static str,
    },
    /// The program was built without this backend.
    #[error("device `{name}` is not compiled into this program, which has: {compiled}")]
    NotCompiled {
        /// The backend.
        name: &'static str,
        /// The backends that are compiled in.
        compiled: String,
    },
}

impl FromStr for DeviceName {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        let (name, index) = match text.split_once(':') {
            Some((name, index)) => (name, Some(index)),
            None => (text, None),
        };
        let unknown = || DeviceError::Unknown { found: text.to_owned() };
        let kind = match name {
            "cpu" => cpu(),
            _ => Kind::ALL
                .into_iter()
                .find(|kind| kind.name() == name)
                .ok_or_else(unknown)?,
        };
        let wrong = |expected| DeviceError::Index {
            found: text.to_owned(),
            expected,
        };
        let index = match (index, kind) {
            (None, _) => None,
            (Some(_), Kind::Flex | Kind::Ndarray) => return Err(wrong("nothing (the CPU is one device)")),
            (Some(index), _) => Some(index.parse().map_err(|_| wrong("the device's number, from 0,"))?),
        };
        Ok(Self { kind, index })
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())?;
        self.index.map_or(Ok(()), |index| write!(f, ":{index}"))
    }
}

/// The CPU backend that is compiled in; flex if there is none, so that the error names it.
fn cpu() -> Kind {
    if cfg!(all(feature = "ndarray", not(feature = "flex"))) {
        Kind::Ndarray
    } else {
        Kind::Flex
    }
}

impl Default for DeviceName {
    /// flex if it is compiled in, else the fastest available.
    fn default() -> Self {
        let kind = Kind::ALL
            .into_iter()
            .find(|kind| kind.compiled_in())
            .unwrap_or(Kind::Flex);
        Self { kind, index: None }
    }
}

/// Names of the backends compiled in.
pub fn compiled_in() -> String {
    let names: Vec<&str> = Kind::ALL
        .into_iter()
        .filter(|kind| kind.compiled_in())
        .map(Kind::name)
        .collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

/// An operation written once for every backend.
pub trait WithBackend {
    /// Runs the operation on a device of the backend.
    fn run<AB: AutodiffBackend>(self, device: AB::Device) -> Result<(), Failure>;
}

/// Runs an operation on the named device.
pub fn with_backend(name: DeviceName, work: impl WithBackend) -> Result<(), Failure> {
    #[allow(unused_imports)]
    // Unused in a build without backends, in which every command ends in the last arm.
    use burn::backend::Autodiff;
    match name.kind {
        #[cfg(feature = "flex")]
        Kind::Flex => work.run::<Autodiff<burn_flex::Flex>>(burn_flex::FlexDevice),
        #[cfg(feature = "ndarray")]
        Kind::Ndarray => work.run::<Autodiff<burn::backend::NdArray>>(burn::backend::ndarray::NdArrayDevice::Cpu),
        #[cfg(feature = "cuda-unfused")]
        Kind::Cuda => {
            let device = burn::backend::cuda::CudaDevice::new(name.index.unwrap_or(0));
            work.run::<Autodiff<burn::backend::Cuda>>(device)
        }
        #[cfg(feature = "wgpu-unfused")]
        Kind::Wgpu => work.run::<Autodiff<burn::backend::Wgpu>>(graphics_device(name.index)),
        #[cfg(feature = "vulkan-unfused")]
        Kind::Vulkan => work.run::<Autodiff<burn::backend::Vulkan>>(graphics_device(name.index)),
        #[allow(unreachable_patterns)] // Reachable unless every backend is compiled in.
        kind => {
            let feature = kind.name();
            let refused = DeviceError::NotCompiled {
                name: feature,
                compiled: compiled_in(),
            };
            Err(Failure::input(refused).hint(format_args!(
                "build with the cargo feature `{feature}`: cargo xtask --features {feature} COMMAND … takes care of it \
                 (or: cargo build --release --features {feature})"
            )))
        }
    }
}

/// Without a number, the system's best GPU; with one, that discrete GPU.
#[cfg(feature = "wgpu-unfused")]
fn graphics_device(index: Option<usize>) -> burn::backend::wgpu::WgpuDevice {
    use burn::backend::wgpu::WgpuDevice;
    index.map_or(WgpuDevice::DefaultDevice, WgpuDevice::DiscreteGpu)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, DeviceError>) {
        assert_eq!(
            text.parse::<DeviceName>().map(|device| device.to_string()),
            expected.map(str::to_owned)
        );
    }

    #[test]
    fn names_and_numbers() {
        check("cuda:1", Ok("cuda:1"));
        check("vulkan", Ok("vulkan"));
        check("flex", Ok("flex"));
        check(
            "gpu",
            Err(DeviceError::Unknown {
                found: "gpu".to_owned(),
            }),
        );
        check(
            "cuda:one",
            Err(DeviceError::Index {
                found: "cuda:one".to_owned(),
                expected: "the device's number, from 0,",
            }),
        );
        check(
            "flex:0",
            Err(DeviceError::Index {
                found: "flex:0".to_owned(),
                expected: "nothing (the CPU is one device)",
            }),
        );
    }

    #[test]
    #[cfg(feature = "flex")]
    fn the_processor_is_the_default() {
        assert_eq!(DeviceName::default().to_string(), "flex");
        check("cpu", Ok("flex"));
    }
}
