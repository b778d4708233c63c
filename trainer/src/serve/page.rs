//! The page inside the program, where it was built with one: see `build.rs`.

/// Names and contents of its files.
const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// Whether there is one.
pub fn is_there() -> bool {
    !FILES.is_empty()
}

/// A file of it, by its name in an address.
pub(super) fn file(name: &str) -> Option<&'static [u8]> {
    FILES.iter().find(|(of, _)| *of == name).map(|(_, bytes)| *bytes)
}
