//! The page inside the program, if the program was built with one (see `build.rs`).

/// Names and contents of the page's files.
const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// Returns whether the program contains a page.
pub fn is_there() -> bool {
    !FILES.is_empty()
}

/// Returns a file of the page by its name in the address.
pub(super) fn file(name: &str) -> Option<&'static [u8]> {
    FILES.iter().find(|(of, _)| *of == name).map(|(_, bytes)| *bytes)
}
