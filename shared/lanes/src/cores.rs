//! Work on all cores.

/// Runs `work` on each part, and returns the results in the order of the parts. With the feature `threads`, the cores
/// share the parts. The page has only one core. The result must not depend on the number of cores, so parts need a
/// fixed size.
#[cfg(feature = "threads")]
pub fn map<P: Send, T: Send>(parts: Vec<P>, work: impl Fn(P) -> T + Sync) -> Vec<T> {
    use rayon::prelude::*;
    parts.into_par_iter().map(&work).collect()
}

/// Runs `work` on each part, and returns the results in the order of the parts.
#[cfg(not(feature = "threads"))]
pub fn map<P, T>(parts: Vec<P>, work: impl Fn(P) -> T) -> Vec<T> {
    parts.into_iter().map(work).collect()
}
