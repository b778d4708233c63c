//! Choice of the device: the meaning of `--device` on this machine and in this build.

use std::fmt;

use anyhow::{Context, Result, bail};
use candle_core::{DType, Device};
use serde::{Deserialize, Serialize};

use super::kernels::Kernels;
use super::tensors::Tensors;
use super::{Engine, StartingValues};

/// Number format and operations of a training.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arithmetic {
    /// f32, with this program's own CPU kernels, on packed batches in random order.
    #[default]
    Kernels,
    /// f32, with the tensor operations of a GPU, on padded batches of sentences of similar length.
    TensorsF32,
    /// Like [`Self::TensorsF32`], but with matrix products in bf16.
    TensorsBf16,
}

impl Arithmetic {
    /// Returns whether it is the default.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Returns a name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kernels => "kernels of the CPU",
            Self::TensorsF32 => "tensor operations, f32",
            Self::TensorsBf16 => "tensor operations, bf16",
        }
    }
}

/// How a model computes.
#[derive(Debug, Clone, Default)]
pub enum Compute {
    /// With this program's own kernels on the CPU: the same seed gives the same bytes.
    #[default]
    Kernels,
    /// With tensor operations on a device.
    Tensors {
        /// The device.
        device: Device,
        /// Type of the numbers in matrix products: f32 or bf16.
        dtype: DType,
    },
}

impl Compute {
    /// Gives weights to an engine that computes in this way.
    ///
    /// # Errors
    /// When the device does not have enough memory.
    pub fn engine(&self, weights: &[StartingValues]) -> Result<Box<dyn Engine>> {
        Ok(match self {
            Self::Kernels => Box::new(Kernels::new(weights)?),
            Self::Tensors { device, dtype } => Box::new(Tensors::new(weights, *dtype, device)?),
        })
    }
}

/// The device on which a training computes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// The CPU, with this program's own kernels.
    #[default]
    Cpu,
    /// The CPU, with the tensor operations of a GPU. For tests.
    CpuTensors,
    /// The NVIDIA GPU with this number, from 0.
    Cuda(usize),
    /// The GPU of a Mac.
    Metal,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::CpuTensors => f.write_str("cpu-tensors"),
            Self::Cuda(0) => f.write_str("cuda"),
            Self::Cuda(n) => write!(f, "cuda:{n}"),
            Self::Metal => f.write_str("metal"),
        }
    }
}

/// Parses `auto` (`None`), `cpu`, `cuda`, `cuda:N`, `metal` or `cpu-tensors`.
///
/// # Errors
/// The error lists the values that are allowed.
pub fn parse_place(text: &str) -> Result<Option<Place>, String> {
    let place = match text {
        "auto" => return Ok(None),
        "cpu" => Place::Cpu,
        "cpu-tensors" => Place::CpuTensors,
        "cuda" => Place::Cuda(0),
        "metal" => Place::Metal,
        _ => {
            let number = text.strip_prefix("cuda:").and_then(|number| number.parse().ok());
            return number.map(|n| Some(Place::Cuda(n))).ok_or_else(|| {
                "expected auto, cpu, cuda, cuda:N (the GPU of that number, from 0) or metal".to_owned()
            });
        }
    };
    Ok(Some(place))
}

impl Place {
    /// Returns the best available place: the first GPU if this build can use one and it can be opened, else the
    /// CPU.
    pub fn best() -> Self {
        let candidates: &[Self] = if cfg!(feature = "cuda") {
            &[Self::Cuda(0)]
        } else if cfg!(feature = "metal") {
            &[Self::Metal]
        } else {
            &[]
        };
        candidates.iter().copied().find(|place| place.device().is_ok()).unwrap_or_default()
    }

    /// Returns whether the place is a GPU.
    pub fn is_gpu(self) -> bool {
        matches!(self, Self::Cuda(_) | Self::Metal)
    }

    /// Opens the device. Each call opens it again with its own queue, so that trainings side by side do not wait
    /// for each other's operations.
    ///
    /// # Errors
    /// The error says what is missing: support in this build, the driver, a library, or the card.
    pub fn device(self) -> Result<Device> {
        match self {
            Self::Cpu | Self::CpuTensors => Ok(Device::Cpu),
            Self::Cuda(n) => cuda(n),
            Self::Metal => metal(),
        }
    }

    /// Returns how to compute at this place with this arithmetic.
    ///
    /// # Errors
    /// The same as [`device`](Self::device), or when the place does not support the arithmetic.
    pub fn compute(self, arithmetic: Arithmetic) -> Result<Compute> {
        let dtype = match (self, arithmetic) {
            (Self::Cpu, Arithmetic::Kernels) => return Ok(Compute::Kernels),
            (_, Arithmetic::TensorsF32) if self != Self::Cpu => DType::F32,
            (_, Arithmetic::TensorsBf16) if self != Self::Cpu => DType::BF16,
            _ => bail!("--device {self} does not compute by {}", arithmetic.name()),
        };
        Ok(Compute::Tensors { device: self.device()?, dtype })
    }
}

#[cfg(feature = "cuda")]
fn cuda(number: usize) -> Result<Device> {
    use candle_core::cuda_backend::cudarc::driver::CudaContext;

    // Without these libraries, the calls below would panic.
    if !is_library_there(&["libcuda.so.1", "libcuda.so", "nvcuda.dll"]) {
        bail!(
            "there is no CUDA driver on this machine (libcuda.so.1 is not found): install NVIDIA's driver, or use \
             --device cpu"
        );
    }
    for library in ["cublas", "curand"] {
        if !is_library_there(&library_names(library)) {
            bail!(
                "CUDA's library {library} is not found: add the folder that has lib{library}.so to LD_LIBRARY_PATH \
                 (of the Python packages nvidia-cublas and nvidia-curand, the folder nvidia/cu13/lib), or use \
                 --device cpu"
            );
        }
    }
    let cards = CudaContext::device_count().map_err(|error| anyhow::anyhow!("the CUDA driver fails: {error:?}"))?;
    if number >= usize::try_from(cards).unwrap_or(0) {
        match cards {
            0 => bail!("the CUDA driver finds no GPU: use --device cpu"),
            1 => bail!("there is no GPU {number}: the only one has number 0 (--device cuda:0)"),
            n => bail!("there is no GPU {number}: there are {n}, with the numbers 0 to {}", n - 1),
        }
    }
    Device::new_cuda(number).with_context(|| format!("GPU {number} cannot be opened"))
}

/// Returns the names under which a CUDA library may be installed.
#[cfg(feature = "cuda")]
fn library_names(library: &str) -> Vec<String> {
    let versions = ["", ".13", ".12", ".11", ".10"];
    let unix = versions.iter().map(|version| format!("lib{library}.so{version}"));
    let windows = ["", "64_13", "64_12", "64_11", "64_10"].iter().map(|version| format!("{library}{version}.dll"));
    unix.chain(windows).collect()
}

/// Returns whether a shared library can be loaded under one of these names.
#[cfg(feature = "cuda")]
fn is_library_there(names: &[impl AsRef<str>]) -> bool {
    names.iter().any(|name| {
        // SAFETY: loading a library runs its initialisers. These libraries are NVIDIA's own, and candle is about
        // to load and use them under the same names.
        #[allow(unsafe_code)]
        let loaded = unsafe { libloading::Library::new(name.as_ref()) };
        loaded.is_ok()
    })
}

#[cfg(not(feature = "cuda"))]
fn cuda(_: usize) -> Result<Device> {
    bail!(
        "this build has no GPU support: use --device cpu, or a build with it (`cargo xtask gpu-bundle`, or `cargo \
         build --profile published -p trainer --features cuda` where CUDA is installed; see docs/GPU.md)"
    )
}

fn metal() -> Result<Device> {
    if !cfg!(feature = "metal") {
        bail!(
            "this build has no support for the GPU of a Mac: use --device cpu, or build with `cargo build --profile \
             published -p trainer --features metal` (see docs/GPU.md)"
        );
    }
    Device::new_metal(0).context("the GPU cannot be opened")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_they_are_shown() {
        for place in [Place::Cpu, Place::CpuTensors, Place::Cuda(0), Place::Cuda(3), Place::Metal] {
            assert_eq!(parse_place(&place.to_string()), Ok(Some(place)));
        }
        assert_eq!(parse_place("auto"), Ok(None));
        for wrong in ["gpu", "cuda:", "cuda:-1", "cuda0", ""] {
            assert!(parse_place(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_that_a_place_has_not_are_refused() {
        assert!(Place::Cpu.compute(Arithmetic::TensorsBf16).is_err());
        assert!(Place::CpuTensors.compute(Arithmetic::Kernels).is_err());
        let tensors = Place::CpuTensors.compute(Arithmetic::TensorsF32).unwrap();
        assert!(matches!(tensors, Compute::Tensors { dtype: DType::F32, .. }));
    }
}
