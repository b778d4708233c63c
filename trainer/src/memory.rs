//! How freed memory is kept.

/// A training step allocates and frees the same activations again and again. By default glibc returns blocks of that
/// size to the system at once and has them zeroed, page by page, when they come back: more than a tenth of a
/// step. Elsewhere nothing happens.
///
/// To be called first thing in `main`.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const ONE_GIB: libc::c_int = 1 << 30;
        for (parameter, value) in
            [(libc::M_MMAP_THRESHOLD, ONE_GIB), (libc::M_TRIM_THRESHOLD, ONE_GIB), (libc::M_ARENA_MAX, 1)]
        {
            // SAFETY: `mallopt` takes two numbers and touches the allocator's own settings only; a value that it
            // does not like leaves them as they were.
            #[allow(unsafe_code)]
            unsafe {
                libc::mallopt(parameter, value);
            }
        }
    }
}
