//! Installs the standard library for wasm32-unknown-unknown, for the current toolchain.
//!
//! rustup installs it if it may download. If it may not (`RUSTUP_AUTO_INSTALL=0`), or if there is no rustup, std
//! is built once. The source has exactly the same version, and the settings are those of the official releases.
//! The rlibs are put where rustc looks for them.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    layout::Layout,
    process::{cargo, find, output},
    steps::{Step, Steps},
};

pub const TARGET: &str = "wasm32-unknown-unknown";
/// Variable with the path of an archive of std's source (the `library` folder), for machines without Debian's
/// package.
const SOURCE_VARIABLE: &str = "DYNCLEAN_RUST_STD_SRC";
/// The Debian suite whose `rust-src` follows Rust's releases.
const SUITE: &str = "trixie-backports";

pub fn ensure(layout: &Layout, steps: &mut Steps) -> Result<()> {
    steps.step(&format!("std for {TARGET}"), |step| {
        let rustc = Rustc::ask()?;
        if has_std(&rustc.target_folder()) {
            return Ok(((), format!("already there, Rust {}", rustc.version)));
        }
        if let Some(rustup) = find("rustup").filter(|_| rustup_may_download()) {
            step.say("asking rustup");
            step.run(Command::new(rustup).args(["target", "add", TARGET]))
                .with_context(|| format!("By hand: rustup target add {TARGET}"))?;
            // If rustc is not rustup's own, this has not helped.
            if has_std(&rustc.target_folder()) {
                return Ok(((), "installed by rustup".to_owned()));
            }
        }
        step.say("building from source, about a minute");
        let work = layout.tools().join("wasm-std");
        from_source(step, &rustc, &work)?;
        Ok(((), format!("built, in {}", rustc.target_folder().display())))
    })
}

/// What rustc reports about itself.
struct Rustc {
    sysroot: PathBuf,
    version: String,
    commit: String,
}

impl Rustc {
    fn ask() -> Result<Self> {
        // Cargo itself uses the same variable.
        let program = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let sysroot = output(Command::new(&program).args(["--print", "sysroot"]))?;
        let about = output(Command::new(&program).arg("-vV"))?;
        let field = |name| field(&about, name).with_context(|| format!("`rustc -vV` states no {name}"));
        Ok(Self {
            sysroot: sysroot.into(),
            version: field("release")?.to_owned(),
            commit: field("commit-hash")?.to_owned(),
        })
    }

    fn target_folder(&self) -> PathBuf {
        self.sysroot.join("lib/rustlib").join(TARGET).join("lib")
    }
}

/// Returns `value` of a line `name: value`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

fn has_std(target_folder: &Path) -> bool {
    rlibs(target_folder).is_ok_and(|rlibs| rlibs.iter().any(|rlib| is_std(rlib)))
}

fn is_std(rlib: &Path) -> bool {
    rlib.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libstd-"))
}

fn rlibs(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut rlibs = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "rlib") {
            rlibs.push(path);
        }
    }
    Ok(rlibs)
}

fn rustup_may_download() -> bool {
    env::var_os("RUSTUP_AUTO_INSTALL").is_none_or(|value| value != "0")
}

fn from_source(step: &Step, rustc: &Rustc, work: &Path) -> Result<()> {
    // Files from an interrupted attempt could mix into the result.
    if work.exists() {
        fs::remove_dir_all(work).with_context(|| format!("cannot clear {}", work.display()))?;
    }
    let source = work.join("source");
    fs::create_dir_all(&source).with_context(|| format!("cannot create {}", source.display()))?;
    match env::var_os(SOURCE_VARIABLE) {
        Some(archive) => step
            .run(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(&source))
            .with_context(|| format!("cannot unpack {} (tar and xz are needed)", archive.display()))?,
        None => from_debian(step, rustc, work, &source).with_context(|| by_hand(rustc))?,
    }
    let library = find_library(&source)
        .with_context(|| format!("no library folder of Rust in the source. {}", by_hand(rustc)))?;
    let built = build(step, rustc, &library, &work.join("target"))?;
    install(&built, &rustc.target_folder())?;
    fs::remove_dir_all(work).with_context(|| format!("cannot clear {}", work.display()))
}

fn by_hand(rustc: &Rustc) -> String {
    format!(
        "std for {TARGET} is missing. Where downloads are allowed: rustup target add {TARGET}. \
         Otherwise set {SOURCE_VARIABLE} to a tar archive of the `library` folder of Rust {}'s source",
        rustc.version
    )
}

/// Fetches Debian's `rust-src` with our own package state. The system's package state is not changed and does not
/// need this suite. Nothing is installed.
fn from_debian(step: &Step, rustc: &Rustc, work: &Path, source: &Path) -> Result<()> {
    for tool in ["apt-get", "apt-cache", "dpkg-deb", "tar"] {
        ensure!(find(tool).is_some(), "no {tool} on PATH to fetch rust-src with");
    }
    step.say(&format!("fetching rust-src {} from {SUITE}", rustc.version));
    for folder in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(work.join(folder)).context("cannot create apt's folders")?;
    }
    let sources = work.join("sources.list");
    let line =
        format!("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {} {SUITE} main\n", system_mirror()?);
    fs::write(&sources, line).with_context(|| format!("cannot write {}", sources.display()))?;
    let apt = |program: &str| {
        let mut command = Command::new(program);
        let option = |name: &str, path: &Path| {
            let mut option = OsString::from(format!("-o{name}="));
            option.push(path);
            option
        };
        command.current_dir(work).args([
            option("Dir::Etc::sourcelist", &sources),
            option("Dir::Etc::sourceparts", Path::new("/dev/null")),
            option("Dir::Etc::preferencesparts", Path::new("/dev/null")),
            option("Dir::State::lists", &work.join("lists")),
            option("Dir::Cache", &work.join("cache")),
            // apt's own user may not enter our folder.
            "-oAPT::Sandbox::User=root".into(),
            "-oAcquire::Languages=none".into(),
        ]);
        command
    };
    step.run(apt("apt-get").arg("update"))?;
    let offers = output(apt("apt-cache").args(["madison", "rust-src"]))?;
    let Some(package) = package_version(&offers, &rustc.version) else {
        bail!("{SUITE} has no rust-src {}", rustc.version);
    };
    step.run(apt("apt-get").args(["download", &format!("rust-src={package}")]))?;

    let package = fs::read_dir(work)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|end| end == "deb"))
        .context("apt-get download left no package")?;
    // The package contains the whole compiler. Only the library is unpacked.
    let mut contents = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(&package)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start dpkg-deb")?;
    let pipe = contents.stdout.take().context("dpkg-deb has no output")?;
    let member = format!("./usr/src/rustc-{}/library", rustc.version);
    let unpacked = step.run(Command::new("tar").arg("-x").arg("-C").arg(source).arg(member).stdin(pipe));
    let status = contents.wait().context("cannot wait for dpkg-deb")?;
    unpacked?;
    ensure!(status.success(), "dpkg-deb ended with {status}");
    Ok(())
}

/// Returns the mirror that the system itself uses.
fn system_mirror() -> Result<String> {
    for file in ["/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"] {
        if let Some(mirror) = fs::read_to_string(file).ok().as_deref().and_then(mirror_in) {
            return Ok(mirror.to_owned());
        }
    }
    bail!("no Debian mirror in this machine's apt sources")
}

/// Returns the first address, in either of apt's formats: `URIs: address …`, `deb [options] address suite …`.
fn mirror_in(sources: &str) -> Option<&str> {
    sources.lines().map(str::trim).find_map(|line| {
        let entry = line.strip_prefix("URIs:").or_else(|| line.strip_prefix("deb "))?;
        entry.split_whitespace().find(|word| word.contains("://"))
    })
}

/// Returns the version of the package of this release. `offers` is the table of `apt-cache madison`
/// (`package | version | source`). For example, `1.95.0+dfsg1-1~bpo13+1` is a package of 1.95.0.
fn package_version<'a>(offers: &'a str, release: &str) -> Option<&'a str> {
    offers
        .lines()
        .filter_map(|line| line.split('|').nth(1))
        .map(str::trim)
        .find(|version| version.split(['+', '-']).next() == Some(release))
}

/// Returns the `library` folder, at any depth of the archive.
fn find_library(folder: &Path) -> Option<PathBuf> {
    if folder.join("sysroot/Cargo.toml").is_file() {
        return Some(folder.to_path_buf());
    }
    let folders = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    folders.filter(|path| path.is_dir()).find_map(|path| find_library(&path))
}

/// Builds std like the official releases (profile `dist`). Returns the folder of the rlibs.
fn build(step: &Step, rustc: &Rustc, library: &Path, target: &Path) -> Result<PathBuf> {
    // The flags are in cargo's encoded form, because a path may contain spaces.
    let flags = format!(
        "-Zforce-unstable-if-unmarked\u{1f}--remap-path-prefix={}=/rustc/{}/library",
        library.display(),
        rustc.commit
    );
    step.run(
        cargo()
            .args(["build", "--locked", "--profile", "dist", "--target", TARGET])
            .args(["--features", "panic-unwind,backtrace,compiler-builtins-mem"])
            .arg("--manifest-path")
            .arg(library.join("sysroot/Cargo.toml"))
            // std needs unstable features of the compiler with which it is released.
            .env("RUSTC_BOOTSTRAP", "1")
            // Keeps these crates apart from a user's crates with the same name and version.
            .env("__CARGO_DEFAULT_LIB_METADATA", "stablestd")
            .env("CARGO_TARGET_DIR", target)
            .env("CARGO_ENCODED_RUSTFLAGS", flags),
    )
    .context("std could not be built; its dependencies come from the crates registry")?;
    Ok(target.join(TARGET).join("dist/deps"))
}

/// Copies the rlibs, with std last: if std is there, everything is there.
fn install(built: &Path, target_folder: &Path) -> Result<()> {
    let mut rlibs = rlibs(built)?;
    ensure!(rlibs.iter().any(|rlib| is_std(rlib)), "the build left no std in {}", built.display());
    rlibs.sort_by_key(|rlib| is_std(rlib));
    fs::create_dir_all(target_folder)
        .with_context(|| format!("cannot write to the toolchain: {}", target_folder.display()))?;
    for rlib in rlibs {
        let Some(name) = rlib.file_name() else {
            continue;
        };
        fs::copy(&rlib, target_folder.join(name))
            .with_context(|| format!("cannot write to the toolchain: {}", target_folder.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rustc_tells_version_and_commit() {
        let about = "rustc 1.95.0 (598 2026)\nbinary: rustc\ncommit-hash: 598abc\nrelease: 1.95.0\n";
        assert_eq!(field(about, "release"), Some("1.95.0"));
        assert_eq!(field(about, "commit-hash"), Some("598abc"));
        assert_eq!(field(about, "LLVM version"), None);
    }

    #[test]
    fn the_package_of_the_very_release_is_chosen() {
        let offers = " rust-src | 1.95.1+dfsg1-1 | mirror suite/main\n \
                       rust-src | 1.95.0+dfsg1-1~bpo13+1 | mirror suite/main\n";
        assert_eq!(package_version(offers, "1.95.0"), Some("1.95.0+dfsg1-1~bpo13+1"));
        assert_eq!(package_version(offers, "1.95"), None);
        assert_eq!(package_version("", "1.95.0"), None);
    }

    #[test]
    fn the_mirror_is_read_from_both_formats() {
        let deb822 = "Types: deb\n# URIs: http://old\nURIs: http://mirror.example/debian\nSuites: x\n";
        let line = "# deb http://old x main\ndeb [signed-by=/k.gpg] http://mirror.example/debian x main\n";
        for sources in [deb822, line] {
            assert_eq!(mirror_in(sources), Some("http://mirror.example/debian"));
        }
        assert_eq!(mirror_in("# nothing\n"), None);
    }

    #[test]
    fn the_library_is_found_at_any_depth() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(find_library(folder.path()), None);
        let library = folder.path().join("usr/src/rustc-1.95.0/library");
        fs::create_dir_all(library.join("sysroot")).unwrap();
        fs::write(library.join("sysroot/Cargo.toml"), "").unwrap();
        assert_eq!(find_library(folder.path()), Some(library.clone()));
        assert_eq!(find_library(&library), Some(library));
    }

    #[test]
    fn std_counts_only_once_all_is_copied() {
        let (built, sysroot) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let target_folder = sysroot.path().join("lib");
        assert!(!has_std(&target_folder));
        fs::write(built.path().join("libcore-1.rlib"), "").unwrap();
        assert!(install(built.path(), &target_folder).is_err());
        fs::write(built.path().join("libstd-1.rlib"), "").unwrap();
        fs::write(built.path().join("libstd_detect-1.rlib"), "").unwrap();
        install(built.path(), &target_folder).unwrap();
        assert!(has_std(&target_folder));
        assert_eq!(rlibs(&target_folder).unwrap().len(), 3);
    }
}
