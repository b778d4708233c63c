//! Work on all cores.

/// Returns what `work` makes of each part, in their order. With the feature `threads`, the cores share the parts; the page
/// has only one core. The result must not depend on how many there are, so parts need a fixed size.
#[cfg(feature = "threads")]
pub fn map<P: Send, T: Send>(parts: Vec<P>, work: impl Fn(P) -> T + Sync) -> Vec<T> {
    use rayon::prelude::*;
    parts.into_par_iter().map(&work).collect()
}

/// Returns what `work` makes of each part, in their order.
#[cfg(not(feature = "threads"))]
pub fn map<P, T>(parts: Vec<P>, work: impl Fn(P) -> T) -> Vec<T> {
    parts.into_iter().map(work).collect()
}
