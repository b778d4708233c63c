//! Properties of the program and the machine that decide how results are rounded.

use gemm_common::cache::CACHE_INFO;
use nn::Place;
use serde::Serialize;

use crate::team::Team;

/// The build of this program and the kind of the CPU.
///
/// Trainings with another build, or on another kind of CPU, may differ in the last bits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rounding {
    /// Hash of the sources, their dependencies, the compiler and its settings.
    build: &'static str,
    /// `None` on a GPU, where equal bits are not promised.
    cpu: Option<String>,
    /// Number of processes that train together. It is left out if there is only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    processes: Option<usize>,
}

impl Rounding {
    /// Returns the properties of this process.
    pub fn here(place: Place, team: Team) -> Self {
        let processes = (!team.is_alone()).then(|| team.size());
        Self { build: env!("DYNCLEAN_BUILD"), cpu: (!place.is_gpu()).then(cpu), processes }
    }
}

/// Describes the properties that matrix products depend on: the vectors of the CPU, whether it fuses
/// multiplication and addition, and its first-level cache. The size of this cache decides how long sums are
/// divided.
fn cpu() -> String {
    let [first, ..] = *CACHE_INFO;
    let cache = format!("{} KiB in {} ways", first.cache_bytes / 1024, first.associativity);
    format!("{} {}, first cache {cache}", std::env::consts::ARCH, vectors())
}

#[cfg(target_arch = "x86_64")]
fn vectors() -> &'static str {
    if is_x86_feature_detected!("avx512f") {
        "avx512f"
    } else if is_x86_feature_detected!("fma") {
        "fma"
    } else {
        "sse"
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn vectors() -> &'static str {
    "vectors"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_counts_where_it_computes() {
        let of = |place| serde_json::to_value(Rounding::here(place, Team::default())).unwrap();
        let here = of(Place::Cpu);
        assert_eq!(here["build"].as_str().map(str::len), Some(16));
        let cpu = here["cpu"].as_str().unwrap();
        assert!(cpu.starts_with(std::env::consts::ARCH) && cpu.contains("KiB"), "{cpu}");
        assert_eq!(of(Place::CpuTensors), here);
        assert!(of(Place::Cuda(0))["cpu"].is_null());
    }
}
