//! The folders of the project: the repository, the build folder, and the project's own tools.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

pub struct Layout {
    /// The repository's root.
    pub root: PathBuf,
    /// Cargo's target folder. The user may have set another one than `root/target`.
    build: PathBuf,
}

impl Layout {
    pub fn find() -> Result<Self> {
        // Cargo sets the variable for the checkout in which it runs. The compiled-in path is only for a binary
        // that is started by hand.
        let package =
            env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = package.parent().context("the xtask folder has no parent")?;

        // This program is in <target>/debug. Its own path is right for every way to set cargo's target folder.
        let own = env::current_exe().context("cannot tell where xtask itself lies")?;
        let build = own.ancestors().nth(2).context("xtask does not lie in a cargo target folder")?;
        Ok(Self { root: root.to_path_buf(), build: build.to_path_buf() })
    }

    /// Returns the folder of the project's own tools, so that the user's installed tools stay as they are. It is
    /// in the user's cache folder, so that a second checkout does not build the tools again.
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

    /// Returns the folder for `npm install --prefix`.
    pub fn node(&self) -> PathBuf {
        self.tools().join("node")
    }

    pub fn logs(&self) -> PathBuf {
        self.root.join("target/xtask-logs")
    }

    pub fn dist(&self) -> PathBuf {
        self.root.join("dist")
    }

    /// Returns the folder of the built documentation.
    pub fn book(&self) -> PathBuf {
        self.root.join("target/book")
    }

    /// Returns the path of the trainer that `cargo build --release` builds.
    pub fn trainer(&self) -> PathBuf {
        self.program("release")
    }

    /// Returns the path of the trainer that is for others.
    pub fn published(&self) -> PathBuf {
        self.program("published")
    }

    fn program(&self, profile: &str) -> PathBuf {
        self.build.join(profile).join(format!("trainer{}", env::consts::EXE_SUFFIX))
    }

    /// Returns the folder in which criterion stores its estimates.
    pub fn criterion(&self) -> PathBuf {
        self.build.join("criterion")
    }

    /// Returns `path` relative to the repository if it is inside, because that is shorter to read.
    pub fn shown<'a>(&self, path: &'a Path) -> std::path::Display<'a> {
        path.strip_prefix(&self.root).unwrap_or(path).display()
    }

    /// Returns PATH for child processes. The project's own tools come first.
    pub fn search_path(&self) -> Result<OsString> {
        let own = [self.tools().join("bin"), self.node().join("node_modules/.bin")];
        let users = env::var_os("PATH").unwrap_or_default();
        env::join_paths(own.into_iter().chain(env::split_paths(&users)))
            .context("the repository's path holds a character that PATH cannot carry (`:` or `\"`)")
    }
}
