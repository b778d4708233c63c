//! Names the build: by everything that decides which bytes a training leaves. Runs are bound to it.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Sources and settings, from the workspace's root.
const SOURCES: [&str; 8] = [
    "Cargo.lock",
    "Cargo.toml",
    "trainer/Cargo.toml",
    "trainer/src",
    "shared/Cargo.toml",
    "shared/src",
    "shared/lanes/Cargo.toml",
    "shared/lanes/src",
];
/// What cargo says of the build.
const SETTINGS: [&str; 4] = ["TARGET", "OPT_LEVEL", "DEBUG", "CARGO_ENCODED_RUSTFLAGS"];

fn main() {
    let mut hash = DefaultHasher::new();
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("..");
    for source in SOURCES {
        let path = root.join(source);
        println!("cargo::rerun-if-changed={}", path.display());
        for file in files(&path) {
            // Where the repository lies does not matter.
            file.strip_prefix(&root).unwrap_or(&file).hash(&mut hash);
            fs::read(&file).unwrap_or_default().hash(&mut hash);
        }
    }
    for (name, value) in env::vars().filter(|(n, _)| SETTINGS.contains(&n.as_str()) || n.starts_with("CARGO_FEATURE_"))
    {
        (name, value).hash(&mut hash);
    }
    let compiler = env::var_os("RUSTC").and_then(|rustc| Command::new(rustc).arg("-vV").output().ok());
    compiler.map(|output| output.stdout).unwrap_or_default().hash(&mut hash);
    println!("cargo::rustc-env=DYNCLEAN_BUILD={:016x}", hash.finish());
}

/// All files in a folder, or the file itself, always in the same order.
fn files(path: &Path) -> BTreeSet<PathBuf> {
    match fs::read_dir(path) {
        Ok(entries) => entries.flatten().flat_map(|entry| files(&entry.path())).collect(),
        Err(_) => BTreeSet::from([path.to_owned()]),
    }
}
