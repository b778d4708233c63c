//! Memory of the process: settings of the allocator, and how much was needed.

/// Makes glibc keep freed memory for later use. Returns false if the allocator refuses a setting.
///
/// A training step allocates and frees the same activations again and again. By default glibc returns blocks of
/// that size to the system at once, and the system zeroes them page by page when they are allocated again. This
/// costs more than a tenth of a step. If a setting is refused, training works but is slower. On other systems the
/// function does nothing and returns true.
///
/// Call this first in `main`.
#[must_use]
pub fn keep_freed_memory() -> bool {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const ONE_GIB: libc::c_int = 1 << 30;
        /// The highest threshold that older versions of glibc accept.
        const OLDER: libc::c_int = 32 << 20;
        let set = |parameter, value| {
            // SAFETY: `mallopt` takes two numbers and changes only the allocator's own settings. A value that it
            // refuses changes nothing.
            #[allow(unsafe_code)]
            unsafe {
                libc::mallopt(parameter, value) == 1
            }
        };
        // Set all of them, even if one is refused.
        let results = [
            set(libc::M_MMAP_THRESHOLD, ONE_GIB) || set(libc::M_MMAP_THRESHOLD, OLDER),
            set(libc::M_TRIM_THRESHOLD, ONE_GIB),
            set(libc::M_ARENA_MAX, 1),
        ];
        results.into_iter().all(|accepted| accepted)
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    true
}

/// Returns the largest memory of the process so far, in MiB, if the system reports it.
pub fn peak_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim().parse::<f64>().ok().map(|kib| kib / 1024.0)
}
