//! Build script. It names the build by a hash of everything that can change the bytes that a training writes:
//! sources, settings and compiler. Runs are bound to this name.
//!
//! If `DYNCLEAN_PAGE` names the folder of a built page, the script also puts that page into the program.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Sources and settings that the hash covers, relative to the workspace root.
const SOURCES: [&str; 10] = [
    "Cargo.lock",
    "Cargo.toml",
    "trainer/Cargo.toml",
    "trainer/src",
    "trainer/nn/Cargo.toml",
    "trainer/nn/src",
    "shared/Cargo.toml",
    "shared/src",
    "shared/lanes/Cargo.toml",
    "shared/lanes/src",
];
/// Build settings that the hash covers, as cargo's environment variables.
const SETTINGS: [&str; 4] = ["TARGET", "OPT_LEVEL", "DEBUG", "CARGO_ENCODED_RUSTFLAGS"];

fn main() {
    let mut hash = DefaultHasher::new();
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("..");
    for source in SOURCES {
        let path = root.join(source);
        println!("cargo::rerun-if-changed={}", path.display());
        for file in files(&path) {
            // Hash the path relative to the root, so that the location of the repository does not matter.
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
    let page = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("page.rs");
    if let Err(error) = fs::write(&page, page_files()) {
        println!("cargo::error=cannot write {}: {error}", page.display());
    }
}

/// Returns the files of the page with their names, as a Rust expression. Without a page the list is empty.
fn page_files() -> String {
    println!("cargo::rerun-if-env-changed=DYNCLEAN_PAGE");
    let Some(folder) = env::var_os("DYNCLEAN_PAGE").map(PathBuf::from) else { return "&[]".to_owned() };
    println!("cargo::rerun-if-changed={}", folder.display());
    if !folder.is_absolute() || !folder.join("index.html").is_file() {
        println!("cargo::error=DYNCLEAN_PAGE must be the full path of a built page, not {}", folder.display());
    }
    let file = |path: PathBuf| {
        let name = path.strip_prefix(&folder).ok()?.to_str()?.replace('\\', "/");
        Some(format!("({name:?}, include_bytes!({:?}) as &[u8]),\n", path.to_str()?))
    };
    format!("&[\n{}]", files(&folder).into_iter().filter_map(file).collect::<String>())
}

/// Returns all files in a folder, or the file itself, always in the same order.
fn files(path: &Path) -> BTreeSet<PathBuf> {
    match fs::read_dir(path) {
        Ok(entries) => entries.flatten().flat_map(|entry| files(&entry.path())).collect(),
        Err(_) => BTreeSet::from([path.to_owned()]),
    }
}
