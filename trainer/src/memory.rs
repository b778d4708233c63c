//! How freed memory is kept.

/// A training step allocates and frees the same activations again and again. By default glibc returns blocks of that
/// size to the system at once and has them zeroed, page by page, when they come back: more than a tenth of a
/// step. Elsewhere nothing happens. False where the allocator refuses a setting: then training is slower.
///
/// To be called first thing in `main`.
#[must_use]
pub fn keep_freed_memory() -> bool {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const ONE_GIB: libc::c_int = 1 << 30;
        /// The highest threshold that older versions of glibc accept.
        const OLDER: libc::c_int = 32 << 20;
        let set = |parameter, value| {
            // SAFETY: `mallopt` takes two numbers and touches the allocator's own settings only; a value that it
            // does not like leaves them as they were.
            #[allow(unsafe_code)]
            unsafe {
                libc::mallopt(parameter, value) == 1
            }
        };
        // All are set, also after one is refused.
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
