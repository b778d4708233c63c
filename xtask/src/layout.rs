//! Where things lie: the repository, the build folder, the project's own tools.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

pub struct Layout {
    /// The repository's root.
    pub root: PathBuf,
    /// Cargo's target folder; elsewhere than `root/target` where the user set one.
    build: PathBuf,
}

impl Layout {
    pub fn find() -> Result<Self> {
        // Cargo sets the variable for the checkout it runs in; the compiled-in path only serves
        // a binary started by hand.
        let package =
            env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = package.parent().context("the xtask folder has no parent")?;

        // This program lies in <target>/debug: asking for its own place honours every way
        // in which cargo's target folder can be set.
        let own = env::current_exe().context("cannot tell where xtask itself lies")?;
        let build = own.ancestors().nth(2).context("xtask does not lie in a cargo target folder")?;
        Ok(Self { root: root.to_path_buf(), build: build.to_path_buf() })
    }

    /// The project's own tools, so that the user's installed ones are left as they are. They lie in the user's cache
    /// folder, so that a second checkout builds none of them.
    pub fn tools(&self) -> PathBuf {
        let folder = |variable: &str| env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
        let cache = folder("XDG_CACHE_HOME")
            .or_else(|| folder("HOME").map(|home| home.join(".cache")))
            .or_else(|| folder("LOCALAPPDATA"));
        match cache.filter(|cache| cache.is_absolute()) {
            Some(cache) => cache.join("dynclean/tools"),
            None => self.root.join("target/tools"),
        }
    }

    /// The folder for `npm install --prefix`.
    pub fn node(&self) -> PathBuf {
        self.tools().join("node")
    }

    pub fn logs(&self) -> PathBuf {
        self.root.join("target/xtask-logs")
    }

    pub fn dist(&self) -> PathBuf {
        self.root.join("dist")
    }

    /// The trainer as `cargo build --release` leaves it.
    pub fn trainer(&self) -> PathBuf {
        self.build.join("release").join(format!("trainer{}", env::consts::EXE_SUFFIX))
    }

    /// Where criterion leaves its estimates.
    pub fn criterion(&self) -> PathBuf {
        self.build.join("criterion")
    }

    /// `path` relative to the repository where it lies inside: shorter to read.
    pub fn shown<'a>(&self, path: &'a Path) -> std::path::Display<'a> {
        path.strip_prefix(&self.root).unwrap_or(path).display()
    }

    /// PATH for children: the project's own tools first.
    pub fn search_path(&self) -> Result<OsString> {
        let own = [self.tools().join("bin"), self.node().join("node_modules/.bin")];
        let users = env::var_os("PATH").unwrap_or_default();
        env::join_paths(own.into_iter().chain(env::split_paths(&users)))
            .context("the repository's path holds a character that PATH cannot carry (`:` or `\"`)")
    }
}
